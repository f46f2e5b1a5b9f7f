"""Tables that a user gives: parameters of the images, and the unsafe values of those."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pipelines.columns import Column, encoded, parse_number, read_column
from pipelines.errors import InputError
from pipelines.files import FORMULA_STARTS, write_csv
from pipelines.images import one_line
from pipelines.tables import USED, clean, join_rows, read_table, shown

UNSAFE_COLUMNS = ("parameter", "value", "side")
MOST_LISTED = 20
"""Parameters that a message names."""
EXACT = 2**53
"""Below it, whole numbers are written without a decimal point."""

KEPT = 100
"""Problems of each column of a table that are listed, of its rows, and of it as a whole."""

NAMES = frozenset({"label", "prediction", "expected", "predicted", "class"})
"""Titles of columns that hold names of classes, also where these are made of digits."""
TEST_TITLES = {"expected": "label", "predicted": "prediction"}
"""Columns of the table that `test` writes, and what they are as parameters."""
TEST_ONLY = ("correct", "explained output")
"""Columns of that table that are no parameters; nor are the scores of each class."""

Kind = Literal["number", "angle", "category"]
Side = Literal["near", "at most", "at least"]


@dataclass(frozen=True)
class Parameter:
    """One parameter of all images of a run.

    Attributes
    ----------
    name : str
        The column's title.
    kind : str
        "number", "angle" (in degrees, 360 is 0) or "category".
    values : array of float64, shape (n,)
        One an image; nan where none is known.  Of a category, its position in `categories`.
    categories : tuple of str
        What occurs, sorted; empty for numbers and angles.
    """

    name: str
    kind: Kind
    values: NDArray[np.float64]
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Problem:
    """Something in a table that could not be used; the rest of the table was.

    Attributes
    ----------
    file : str
        Name of the table.
    row : int
        Line of the file, 1 is the header; 0 where it concerns none.
    column : str
        Title; empty where it concerns the whole row.
    what : str
        What was expected, what was received, and what became of it.
    count : int
        How often, where it stands for others like it.
    used : bool
        Whether nothing was left out: it is then only remarked.
    """

    file: str
    row: int
    column: str
    what: str
    count: int = 1
    used: bool = False


def left_out(problems: Iterable[Problem]) -> int:
    """Count what could not be used; remarks on what was do not count."""
    return sum(problem.count for problem in problems if not problem.used)


@dataclass(frozen=True)
class UnsafeValue:
    """A value of a parameter around which failures are likely (HUDD, RQ1.3, Table IV).

    Attributes
    ----------
    side : str
        "near" it, or "at most" or "at least" that much.
    """

    parameter: str
    value: float
    side: Side = "near"


@dataclass(frozen=True)
class ParameterTable:
    """What the tables say of the images of a run.

    Attributes
    ----------
    parameters : tuple of Parameter
        In the order of the files and of their columns.
    given : int
        Images of the run with at least one value.
    problems : tuple of Problem
        By file, then by row.
    """

    parameters: tuple[Parameter, ...]
    given: int
    problems: tuple[Problem, ...]


Report = Callable[[int, str, str], None]
"""Takes down a problem: row, column, what."""


def read_parameters(
    files: Sequence[Path],
    paths: Sequence[str],
    angles: Sequence[str],
    folder: Path | None = None,
) -> ParameterTable:
    """Read the parameters of a run's images from tables (HUDD, section V-B, Table III).

    The first column of every table holds the images' paths, on which it joins; every other column
    is a parameter. See `tables.read_table` for what a table may look like. A column is

    - an angle when `angles` names it;
    - a category when its title is label, prediction, expected, predicted or class;
    - a category when it holds only 0 and 1, or only true, false, yes and no;
    - a number when at least half of its values are;
    - else a category, unless it tells images apart rather than groups them: more than 100
      different values, and more than half of all.

    Of the `testResult.csv` of a test, the expected and the predicted class are the label and the
    prediction, and errors are numbers; scores are left out.

    nan and infinities are no values. Whatever cannot be used is left out and becomes a problem;
    of many alike, the first hundred are listed. Time and memory grow with the number of cells.

    Parameters
    ----------
    files : sequence of Path
        Their columns come side by side; of columns with equal titles, the first is used.
    paths : sequence of str, length n
        Of the run's images, relative, with forward slashes.
    angles : sequence of str
        Titles of the columns that are angles in degrees.
    folder : Path, optional
        That the images are in: absolute paths below it are understood.

    Raises
    ------
    InputError
        When a file is no table or holds no image of the run, no column can be used, or no table
        has a column of `angles`.
    """
    problems: list[Problem] = []
    parameters: list[Parameter] = []
    titles: list[str] = []
    wanted = {clean(angle) for angle in angles}
    names = Counter(file.name for file in files)
    for file in files:
        name = one_line(file.name if names[file.name] == 1 else str(file))
        notebook = _Notebook(name, [], Counter())
        parameters += _read_file(file, paths, wanted, folder, titles, notebook.take)
        problems += notebook.close()
    missing = sorted(wanted - set(titles))
    if missing:
        raise InputError(
            f"angles: expected columns of the tables ({', '.join(titles) or 'there is none'}), "
            f"received {', '.join(map(repr, missing))}. Give titles as they are in the tables."
        )
    if files and not parameters:
        first = next((each for each in problems if each.column and not each.used), None)
        why = f" ({first.column}: {first.what})" if first else ""
        raise InputError(
            f"{', '.join(map(str, files))}: expected a column of numbers or categories, received "
            f"none that can be used{why}."
        )
    values = np.array([each.values for each in parameters]).reshape(len(parameters), len(paths))
    given = int((~np.isnan(values)).any(axis=0).sum())
    return ParameterTable(tuple(parameters), given, tuple(problems))


@dataclass(frozen=True)
class _Notebook:
    """The problems of one table, `KEPT` of each kind; of the others, their number."""

    file: str
    problems: list[Problem]
    counts: Counter[tuple[str, bool]]

    def take(self, row: int, column: str, what: str) -> None:
        self.counts[column, row > 0] += 1
        if self.counts[column, row > 0] <= KEPT:
            self.problems.append(Problem(self.file, row, column, what, used=what.endswith(USED)))

    def close(self) -> list[Problem]:
        """Return the problems by row, those that were not kept as numbers at the end."""
        left = [
            Problem(self.file, 0, column, f"and {count - KEPT:,} more like these", count - KEPT)
            for (column, _), count in self.counts.items()
            if count > KEPT
        ]
        return [*sorted(self.problems, key=lambda problem: problem.row), *left]


def _read_file(
    file: Path,
    paths: Sequence[str],
    angles: set[str],
    folder: Path | None,
    titles: list[str],
    report: Report,
) -> list[Parameter]:
    """Read one table; `titles` are those of the tables before, and get those of this one."""
    table = read_table(file)
    rows, remarks = join_rows(file, table, paths, folder)
    for line, what in [*table.remarks, *remarks]:
        report(line, "", what)
    places = np.array(list(rows), dtype=np.intp)
    lines = [table.lines[row] for row in rows.values()]
    columns = zip(*(table.rows[row] for row in rows.values()), strict=True)
    next(columns)
    parameters = []
    for position, (written, cells) in enumerate(zip(table.header[1:], columns, strict=True), 2):
        title = _as_parameter(written, table.header)
        if title is None:
            continue
        if not title:
            what = f"expected a title of column {position}, received none: column left out"
            report(table.header_line, "", what)
        elif title in titles or title == table.header[0]:
            what = "expected titles that differ, received this one again: the later is left out"
            report(table.header_line, title, what)
        else:
            titles.append(title)
            column = read_column(
                [cell.strip() for cell in cells],
                decimal_commas=table.decimal_commas,
                numeric="an angle in degrees" if title in angles else "",
                categorical=title.lower() in NAMES and title not in angles,
            )
            for row, what in column.problems:
                report(lines[row] if row >= 0 else 0, title, what)
            if column.usable:
                values = np.full(len(paths), np.nan)
                values[places] = turned(column.values) if title in angles else column.values
                kind = _kind(column, title in angles)
                parameters.append(Parameter(title, kind, values, column.categories))
    return parameters


def _as_parameter(title: str, header: Sequence[str]) -> str | None:
    """Return the title of a column as a parameter; None for what a test alone has use for."""
    if not {*TEST_TITLES, *TEST_ONLY} <= {*header}:
        return title
    if title in TEST_ONLY or title.startswith("score "):
        return None
    if "error" in header and title in TEST_TITLES:  # numbers: every image has its own
        return None
    return TEST_TITLES.get(title, title)


def _kind(column: Column, angle: bool) -> Kind:
    if angle:
        return "angle"
    return "category" if column.categories else "number"


def turned(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return angles in degrees, 0 up to but not including 360."""
    turned = angles % 360
    return np.where(turned == 360, 0.0, turned)  # what is just below 0 is rounded up to 360


def read_unsafe_values(
    file: Path, parameters: Sequence[Parameter]
) -> tuple[tuple[UnsafeValue, ...], tuple[Problem, ...]]:
    """Read the unsafe values of parameters (HUDD, RQ1.3, Table IV).

    A table with the columns `parameter`, `value` and, if wished, `side`: near (also where it is
    empty), at most, or at least. See `tables.read_table` for what a table may look like.

    Parameters
    ----------
    parameters : sequence of Parameter
        Those of the run.

    Returns
    -------
    values : tuple of UnsafeValue
        As in the file; angles from 0 up to but not including 360.
    problems : tuple of Problem
        By row.

    Raises
    ------
    InputError
        When the file is no such table, or nothing in it can be used.
    """
    table = read_table(file)
    name = one_line(file.name)
    problems = [
        Problem(name, line, "", what, used=what.endswith(USED)) for line, what in table.remarks
    ]
    titles = [title.lower() for title in table.header]
    if not {"parameter", "value"} <= {*titles}:
        raise InputError(
            f"{file}: expected the columns parameter, value and, if wished, side, received "
            f"{', '.join(table.header)}. Write these titles into the first line."
        )
    for title in table.header:
        if title.lower() not in UNSAFE_COLUMNS:
            what = f"expected {', '.join(UNSAFE_COLUMNS)}, received this column: left out"
            problems.append(Problem(name, table.header_line, title, what))
    known = {each.name: each for each in parameters}
    places = [titles.index(title) if title in titles else None for title in UNSAFE_COLUMNS]
    found: dict[UnsafeValue, int] = {}
    for line, row in zip(table.lines, table.rows, strict=True):
        cells = ["" if place is None else clean(row[place]) for place in places]
        value = _unsafe_value(cells, known, table.decimal_commas)
        if isinstance(value, UnsafeValue) and value in found:
            value = ("", f"expected values that differ, received that of row {found[value]} again")
        if isinstance(value, UnsafeValue):
            found[value] = line
        else:
            problems.append(Problem(name, line, value[0], f"{value[1]}: row left out"))
    if not found:
        raise InputError(
            f"{file}: expected unsafe values of parameters of the run, received none that can be "
            f"used (row {problems[-1].row}: {problems[-1].what}). Give numbers of these "
            f"parameters: {_listed(known.values()) or 'there is none'}."
        )
    return tuple(found), tuple(sorted(problems, key=lambda problem: problem.row))


def _unsafe_value(
    cells: Sequence[str], known: Mapping[str, Parameter], decimal_commas: bool
) -> UnsafeValue | tuple[str, str]:
    """Read one row; where it cannot be used, return the column and what is wrong."""
    name, text, side_text = cells
    if name not in known:
        expected = _listed(known.values()) or "a parameter, but there is none"
        return "parameter", f"expected {expected}, received {shown(name)}"
    kind = known[name].kind
    if kind == "category":
        return "parameter", f"expected a number or an angle, received the category {shown(name)}"
    value = parse_number(text)
    if value is None and decimal_commas:
        value = parse_number(text, decimal_comma=True)
    if value is None or not math.isfinite(value):
        return "value", f"expected a number, received {shown(text) if text else 'an empty cell'}"
    side = next((side for side in get_args(Side) if side == (side_text.lower() or "near")), None)
    if side is None:
        return "side", f"expected {', '.join(get_args(Side))}, received {shown(side_text)}"
    if kind == "angle":
        value = float(turned(np.array(value)))
    return UnsafeValue(name, value, side)


def _listed(parameters: Iterable[Parameter]) -> str:
    names = [each.name for each in parameters if each.kind != "category"]
    return ", ".join(names[:MOST_LISTED]) + (", ..." if len(names) > MOST_LISTED else "")


def write_parameters(path: Path, paths: Sequence[str], parameters: Sequence[Parameter]) -> None:
    """Write the table as it is used, whole or not at all.

    The first column is `path`, then comes one a parameter; categories are text, numbers have as
    many digits as tell them apart, and unknown values are empty.

    Parameters
    ----------
    paths : sequence of str, length n
    parameters : sequence of Parameter
    """
    # `write_csv` guards cells, and takes titles as they are; these are a user's.
    titles = [
        f"'{each.name}" if each.name.startswith(FORMULA_STARTS) else each.name
        for each in parameters
    ]
    columns = [as_cells(each) for each in parameters]
    write_csv(path, ["path", *titles], zip(paths, *columns, strict=True))


def as_cells(parameter: Parameter) -> list[str | float | int]:
    """Return a parameter's values as a table shows them: words, whole numbers, "" for nan."""
    values = parameter.values.tolist()
    if parameter.kind == "category":
        return ["" if math.isnan(value) else parameter.categories[int(value)] for value in values]
    return [
        ""
        if math.isnan(value)
        else int(value)
        if abs(value) < EXACT and value == int(value)
        else value
        for value in values
    ]


def read_parameter_columns(
    path: Path, kinds: Sequence[tuple[str, Kind]]
) -> tuple[list[str], tuple[Parameter, ...]]:
    """Read back what `write_parameters` wrote.

    Parameters
    ----------
    kinds : sequence of tuple of str and Kind
        Name and kind of each parameter, in the file's order.

    Returns
    -------
    paths : list of str
    parameters : tuple of Parameter

    Raises
    ------
    InputError
        When the file cannot be read, or is not the one that was written.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = [[cell.removeprefix("'") for cell in row] for row in csv.reader(file)]
            paths, *columns = zip(*rows, strict=True) if rows else [()] * len(header)
        if header != ["path", *(name for name, _ in kinds)]:
            raise ValueError(f"its columns are {', '.join(header)}")
        parameters = [
            _parameter(name, kind, cells)
            for (name, kind), cells in zip(kinds, columns, strict=True)
        ]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(
            f"{path}: expected the parameters of the run, received something else ({error}). "
            "Explain the run again, with its tables."
        ) from error
    return list(paths), tuple(parameters)


def _parameter(name: str, kind: Kind, cells: Sequence[str]) -> Parameter:
    if kind != "category":
        values = np.array([float(cell or "nan") for cell in cells])
        return Parameter(name, kind, values)
    categories = tuple(sorted({*cells} - {""}))
    return Parameter(name, kind, encoded(cells, categories), categories)
