"""Read the parameters of failing images, and of passing images for comparison, from tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pipelines.data.columns import Column, encode_categories, read_column
from pipelines.data.images import one_line
from pipelines.data.parameters import (
    Kind,
    Parameter,
    ParameterTable,
    Problem,
    as_cells,
    wrap_angles,
)
from pipelines.data.table_rows import PassingImages, join_rows
from pipelines.data.tables import ENDS_USED, Table, clean, read_table
from pipelines.runs.errors import InputError

MOST_PROBLEMS = 100
"""Largest number of problems that are listed for single rows, and for whole columns."""

NAMES = frozenset({"label", "prediction", "expected", "predicted", "class"})
"""Titles of columns that hold names of classes, even if the names consist of digits."""
TEST_TITLES = {"expected": "label", "predicted": "prediction"}
"""Columns of the table that `test` writes, and their names as parameters."""
TEST_ONLY = ("correct", "explained output")
"""Columns of that table that are not parameters. The scores of the classes are none, either."""

Report = Callable[[int, str, str], None]
"""Adds a problem to a list: row, column, and what it is."""


def read_parameters(
    files: Sequence[Path],
    paths: Sequence[str],
    angles: Sequence[str],
    folder: Path | None = None,
    passing: PassingImages | None = None,
) -> ParameterTable:
    """Read the parameters of a run's images from tables (HUDD, section V-B, Table III).

    The first column of every table holds the images' paths; every other column is a parameter.
    `tables.read_table` says what a table may look like. A column is an angle if `angles` names it,
    a category if its title is label, prediction, expected, predicted or class, and otherwise of the
    kind that `columns.read_column` finds.

    In the `testResult.csv` of a test, the expected and the predicted class are the label and the
    prediction, and errors are numbers; scores are left out.

    Rows of passing images may stand in the same tables, or in others with the same titles. A path
    that exists in both folders names the passing image if the table lies in the passing images'
    folder, or if earlier tables have all its titles for failing images; else the failing image.

    nan and infinities count as missing. What cannot be used becomes a problem; the first hundred of
    each kind are listed. Time and memory grow with the number of cells.

    Parameters
    ----------
    files : sequence of Path
        All their columns are read. Of columns with equal titles, the first that has failing images
        and the first that has passing ones are used.
    paths : sequence of str, length n
        Relative paths of the run's images, with forward slashes.
    angles : sequence of str
        Titles of the columns that are angles in degrees.
    folder : Path, optional
        Folder of the images; with it, absolute paths below it are recognised.
    passing : PassingImages, optional
        Passing images, whose values are read for comparison.

    Raises
    ------
    InputError
        When a file is not a table or names no image of the run, no column can be used, or no table
        has a column of `angles`.
    """
    wanted = {clean(angle) for angle in angles}
    columns, problems = _read_files(files, _Images(paths, folder, passing), wanted)
    parameters, lacking = _join_columns(columns, len(paths))
    problems += lacking
    if missing := sorted(wanted - columns.keys()):
        raise _no_angles(files, columns, missing)
    if files and not parameters:
        raise _none_usable(files, problems)
    shape = len(parameters), len(paths)
    values = np.array([parameter.values for parameter in parameters]).reshape(shape)
    with_values = int((~np.isnan(values)).any(axis=0).sum())
    return ParameterTable(tuple(parameters), with_values, tuple(problems))


def _none_usable(files: Sequence[Path], problems: Sequence[Problem]) -> InputError:
    unused = (problem for problem in problems if problem.column and not problem.used)
    first = next(unused, None)
    why = f" ({first.column}: {first.what})" if first else ""
    return InputError(
        f"{', '.join(map(str, files))}: expected a column of numbers or categories, received "
        f"none that can be used{why}."
    )


@dataclass(frozen=True)
class _Notebook:
    """The problems of one table: up to `MOST_PROBLEMS` of each kind, and the number of the rest."""

    file: str
    problems: list[Problem]
    counts: Counter[tuple[str, bool]]

    def take(self, row: int, column: str, what: str) -> None:
        self.counts[column, row > 0] += 1
        if self.counts[column, row > 0] <= MOST_PROBLEMS:
            used = what.endswith(ENDS_USED)
            self.problems.append(Problem(self.file, row, column, what, used=used))

    def close(self) -> list[Problem]:
        """Return the problems by row, then the numbers of those not listed."""
        left = [
            Problem(self.file, 0, column, f"and {more:,} more like these", more)
            for (column, _), count in self.counts.items()
            if (more := count - MOST_PROBLEMS) > 0
        ]
        return [*sorted(self.problems, key=lambda problem: problem.row), *left]


@dataclass(frozen=True)
class _Images:
    """The images that tables may name; positions of passing ones follow those of failing ones."""

    paths: Sequence[str]
    folder: Path | None
    passing: PassingImages | None

    @property
    def count(self) -> int:
        """Number of failing and passing images."""
        return len(self.paths) + (len(self.passing.paths) if self.passing else 0)


@dataclass(frozen=True)
class _Part:
    """The column of one table for a parameter.

    Attributes
    ----------
    file : str
    sides : frozenset of bool
        False for rows of failing images, True for rows of passing images; or both.
    parameter : Parameter or None
        Values of failing and then passing images; None for a column that cannot be used.
    """

    file: str
    sides: frozenset[bool]
    parameter: Parameter | None


def _no_angles(files: Sequence[Path], titles: Iterable[str], missing: Sequence[str]) -> InputError:
    """Return the error that no table has a column of some angles."""
    return InputError(
        f"angles: expected columns of {' and '.join(map(str, files))} "
        f"({', '.join(titles) or 'there is none'}), received {', '.join(map(repr, missing))}. Give "
        "the titles as the tables have them."
    )


def _read_files(
    files: Sequence[Path], images: _Images, angles: set[str]
) -> tuple[dict[str, list[_Part]], list[Problem]]:
    """Read all tables; return each title's columns, and the problems."""
    columns: dict[str, list[_Part]] = {}
    problems: list[Problem] = []
    names = Counter(file.name for file in files)
    for file in files:
        name = one_line(file.name if names[file.name] == 1 else str(file))
        notebook = _Notebook(name, [], Counter())
        _read_file(file, images, angles, columns, notebook.take)
        problems += notebook.close()
    return columns, problems


def _read_file(
    file: Path,
    images: _Images,
    angles: set[str],
    known: dict[str, list[_Part]],
    report: Report,
) -> None:
    """Read one table; add its columns to `known`, the columns of earlier tables."""
    table = read_table(file)
    titles = [_as_parameter(title, table.header) for title in table.header]
    rows, remarks = join_rows(
        file,
        table,
        images.paths,
        images.folder,
        images.passing,
        shared_are_passing=_speaks_of_passing(file, images, titles, known),
    )
    for line, what in [*table.remarks, *remarks]:
        report(line, "", what)
    count = len(images.paths)
    for position, title in enumerate(titles[1:], 1):
        if title is None:
            continue
        sides = {place >= count for place in rows}
        sides -= {side for part in known.get(title, ()) for side in part.sides}
        if not title:
            what = f"expected a title of column {position + 1}, received none: column left out"
            report(table.header_line, "", what)
        elif title in titles[:position] or not sides:
            what = "expected different titles, received this one again: the later is left out"
            report(table.header_line, title, what)
        else:
            own = {place: row for place, row in rows.items() if (place >= count) in sides}
            earlier = [part.parameter for part in known.get(title, ()) if part.parameter]
            as_angle = title in angles
            column, kind = _read_column(table, position, title, own, as_angle, earlier, report)
            parameter = None
            if column.usable:
                values = np.full(images.count, np.nan)
                values[list(own)] = wrap_angles(column.values) if as_angle else column.values
                outcome = _is_test(table.header) and title.startswith("error")
                parameter = Parameter(title, kind, values, column.categories, outcome=outcome)
            part = _Part(one_line(file.name), frozenset(sides), parameter)
            known.setdefault(title, []).append(part)


def _read_column(
    table: Table,
    position: int,
    title: str,
    rows: Mapping[int, int],
    as_angle: bool,
    earlier: Sequence[Parameter],
    report: Report,
) -> tuple[Column, Kind]:
    """Read some rows of a column, as the same kind as the column of an earlier table."""
    kind = earlier[0].kind if earlier else None
    cells = [table.rows[row][position].strip() for row in rows.values()]
    read = partial(
        read_column,
        cells,
        decimal_commas=table.decimal_commas,
        numeric="an angle in degrees" if as_angle else "a number" if kind == "number" else "",
    )
    column = read(categorical=title.lower() in NAMES and not as_angle)
    if kind == "category" and column.usable and not column.categories:
        column = read(categorical=True)
    lines = [table.lines[row] for row in rows.values()]
    for row, what in column.problems:
        report(lines[row] if row >= 0 else 0, title, what)
    return column, "angle" if as_angle else "category" if column.categories else "number"


def _speaks_of_passing(
    file: Path,
    images: _Images,
    titles: Sequence[str | None],
    known: Mapping[str, Sequence[_Part]],
) -> bool:
    """Tell whether a path of both a failing and a passing image means the passing one."""
    if images.passing is None:
        return False
    beside = file.resolve().parent
    folders = [images.folder and images.folder.resolve(), images.passing.folder.resolve()]
    own, other = (
        len(folder.parts) if folder and beside.is_relative_to(folder) else 0 for folder in folders
    )
    if own != other:
        return other > own
    sides = [{side for part in known.get(t, ()) for side in part.sides} for t in titles[1:] if t]
    return bool(sides) and all(False in pair for pair in sides)


def _join_columns(
    columns: Mapping[str, Sequence[_Part]], failing: int
) -> tuple[list[Parameter], list[Problem]]:
    """Join the columns of several tables for failing and for passing images."""
    parameters, problems = [], []
    for title, parts in columns.items():
        usable = [part.parameter for part in parts if part.parameter]
        if not usable:
            continue
        categories = tuple(sorted({word for parameter in usable for word in parameter.categories}))
        values = np.full(len(usable[0].values), np.nan)
        for parameter in usable:
            own = (
                encode_categories(list(map(str, as_cells(parameter))), categories)
                if categories
                else parameter.values
            )
            values = np.where(np.isnan(values), own, values)
        if np.isnan(values[:failing]).all():
            what = "expected values of failing images, received none: column left out"
            problems.append(Problem(parts[0].file, 0, title, what))
            continue
        first = usable[0]
        parameters.append(
            Parameter(
                title, first.kind, values[:failing], categories, values[failing:], first.outcome
            )
        )
    return parameters, problems


def _is_test(header: Sequence[str]) -> bool:
    return {*TEST_TITLES, *TEST_ONLY} <= {*header}


def _as_parameter(title: str, header: Sequence[str]) -> str | None:
    """Return the title of a column as a parameter; None for a column that is not a parameter."""
    if not _is_test(header):
        return title
    if title in TEST_ONLY or title.startswith("score "):
        return None
    if "error" in header and title in TEST_TITLES:  # numbers that differ for every image
        return None
    return TEST_TITLES.get(title, title)
