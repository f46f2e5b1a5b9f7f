"""Parameters of the images of a run, and the file in which the run keeps them."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.data.columns import encode_categories
from pipelines.runs.errors import InputError
from pipelines.runs.files import FORMULA_STARTS, write_csv

EXACT_INTEGERS = 2**53
"""Floats below it hold whole numbers exactly; such values are written without decimal point."""

Kind = Literal["number", "angle", "category"]


@dataclass(frozen=True)
class Parameter:
    """One parameter of all images of a run.

    Attributes
    ----------
    name : str
        The column's title.
    kind : str
        "number", "angle" (degrees; 360 is 0) or "category".
    values : array of float64, shape (n,)
        One per image, nan if unknown. For a category, its position in `categories`.
    categories : tuple of str
        The categories that occur, sorted; empty for numbers and angles.
    passing : array of float64, shape (m,)
        The values of passing images; empty when there are none.
    outcome : bool
        Whether it measures the DNN's error. Failing and passing images then differ by definition.
    """

    name: str
    kind: Kind
    values: NDArray[np.float64]
    categories: tuple[str, ...] = ()
    passing: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    outcome: bool = False


@dataclass(frozen=True)
class Problem:
    """Something in a table that could not be used, or was read in an unusual way.

    Attributes
    ----------
    file : str
        Name of the table.
    row : int
        Line of the file, where 1 is the header; 0 when it does not concern one row.
    column : str
        Title; empty when it concerns the whole row.
    what : str
        What was expected, what was received, and what was done with it.
    count : int
        Number of problems that this one stands for.
    used : bool
        True for a remark: nothing was left out.
    """

    file: str
    row: int
    column: str
    what: str
    count: int = 1
    used: bool = False


def count_left_out(problems: Iterable[Problem]) -> int:
    """Count what could not be used; remarks do not count."""
    return sum(problem.count for problem in problems if not problem.used)


@dataclass(frozen=True)
class ParameterTable:
    """The parameters of the images of a run, from tables.

    Attributes
    ----------
    parameters : tuple of Parameter
        In the order of the files and of their columns.
    images_with_values : int
        Number of images of the run with at least one value.
    problems : tuple of Problem
        Sorted by file, then by row.
    """

    parameters: tuple[Parameter, ...]
    images_with_values: int
    problems: tuple[Problem, ...]


def wrap_angles(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return angles in degrees, from 0 to below 360."""
    wrapped = angles % 360
    return np.where(wrapped == 360, 0.0, wrapped)  # the remainder of -1e-20 rounds up to 360


def write_parameters(path: Path, paths: Sequence[str], parameters: Sequence[Parameter]) -> None:
    """Write the table of parameters that the run uses; an error leaves no part of it.

    The first column is `path`, followed by one column per parameter. Categories are text, numbers
    have enough digits to be read back unchanged, and unknown values are empty.

    Parameters
    ----------
    paths : sequence of str, length n
    parameters : sequence of Parameter
    """
    # `write_csv` puts an apostrophe before cells like formulas, but not before titles.
    titles = [
        f"'{parameter.name}" if parameter.name.startswith(FORMULA_STARTS) else parameter.name
        for parameter in parameters
    ]
    columns = [as_cells(parameter) for parameter in parameters]
    write_csv(path, ["path", *titles], zip(paths, *columns, strict=True))


def as_cells(parameter: Parameter) -> list[str | float | int]:
    """Return a parameter's values as cells of a table: words, numbers, "" for nan."""
    values = parameter.values.tolist()
    if parameter.kind == "category":
        return ["" if math.isnan(value) else parameter.categories[int(value)] for value in values]
    return [
        ""
        if math.isnan(value)
        else int(value)
        if abs(value) < EXACT_INTEGERS and value == int(value)
        else value
        for value in values
    ]


def join_passing(own: Parameter, passing: Parameter) -> Parameter:
    """Return `own` with the values of the parameter `passing` as those of passing images."""
    if own.kind != "category":
        return replace(own, passing=passing.values)
    categories = tuple(sorted({*own.categories, *passing.categories}))
    values, passing_values = (
        encode_categories([*map(str, as_cells(parameter))], categories)
        for parameter in (own, passing)
    )
    return replace(own, values=values, categories=categories, passing=passing_values)


def take_passing(parameter: Parameter) -> Parameter:
    """Return a parameter whose own values are those of the passing images."""
    return replace(parameter, values=parameter.passing, passing=np.empty(0))


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
        When the file cannot be read, or has other content than expected.
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
        if np.isinf(values).any():
            raise ValueError(f"a value of {name} is no finite number")
        return Parameter(name, kind, values)
    categories = tuple(sorted({*cells} - {""}))
    return Parameter(name, kind, encode_categories(cells, categories), categories)
