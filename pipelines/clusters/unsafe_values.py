"""Unsafe values of parameters, and the clusters that lie next to them (HUDD, RQ1.3; SAFE, RQ3)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters.variance_reduction import HIGH_REDUCTION, compute_reductions
from pipelines.data.arrays import Doubles
from pipelines.data.columns import parse_number
from pipelines.data.images import one_line
from pipelines.data.parameters import Parameter, Problem, wrap_angles
from pipelines.data.tables import ENDS_USED, clean, quote_cell, read_table
from pipelines.runs.errors import InputError

NEXT = 0.25
"""A value is next to an unsafe one if its distance is below this share of the subrange."""
ROUNDING = 1e-9
"""Relative difference up to which an average equals a limit."""
UNSAFE_COLUMNS = ("parameter", "value", "side")
MOST_LISTED = 20
"""Largest number of parameters that a message lists."""

Side = Literal["near", "at most", "at least"]


@dataclass(frozen=True)
class UnsafeValue:
    """A value of a parameter around which failures are likely (HUDD, RQ1.3, Table IV).

    Attributes
    ----------
    side : str
        Which values are unsafe: "near" this one, "at most" or "at least" this one.
    """

    parameter: str
    value: float
    side: Side = "near"


@dataclass(frozen=True)
class CoveredValue:
    """An unsafe value, and the images and clusters that lie next to it (HUDD, RQ1.3).

    Attributes
    ----------
    unsafe : UnsafeValue
    images : int
        Images of the whole set that lie next to it, noise included.
    clusters : list of int
        Clusters that cover it: their variance is reduced by half or more, and their average lies
        next to it.
    """

    unsafe: UnsafeValue
    images: int
    clusters: list[int]


def read_unsafe_values(
    file: Path, parameters: Sequence[Parameter]
) -> tuple[tuple[UnsafeValue, ...], tuple[Problem, ...]]:
    """Read the unsafe values of parameters (HUDD, RQ1.3, Table IV).

    The table has the columns `parameter`, `value` and optionally `side`: near (the default), at
    most, or at least. See `tables.read_table` for the formats of tables.

    Parameters
    ----------
    parameters : sequence of Parameter
        The parameters of the run.

    Returns
    -------
    values : tuple of UnsafeValue
        In the order of the file; angles are from 0 to below 360 degrees.
    problems : tuple of Problem
        What could not be used, ordered by row.

    Raises
    ------
    InputError
        When the file is no such table, or none of its rows can be used.
    """
    table = read_table(file)
    name = one_line(file.name)
    problems = [
        Problem(name, line, "", what, used=what.endswith(ENDS_USED)) for line, what in table.remarks
    ]
    titles = [title.lower() for title in table.header]
    if not {"parameter", "value"} <= {*titles}:
        raise InputError(
            f"{file}: expected the columns parameter, value and optionally side, received "
            f"{', '.join(table.header)}. Write these titles into the first line."
        )
    for title in table.header:
        if title.lower() not in UNSAFE_COLUMNS:
            what = f"expected {', '.join(UNSAFE_COLUMNS)}, received this column: left out"
            problems.append(Problem(name, table.header_line, title, what))
    known = {parameter.name: parameter for parameter in parameters}
    places = [titles.index(title) if title in titles else None for title in UNSAFE_COLUMNS]
    row_of: dict[UnsafeValue, int] = {}
    for line, row in zip(table.lines, table.rows, strict=True):
        cells = ["" if place is None else clean(row[place]) for place in places]
        value = _unsafe_value(cells, known, table.decimal_commas)
        if isinstance(value, UnsafeValue) and value in row_of:
            value = ("", f"expected values that differ, received that of row {row_of[value]} again")
        if isinstance(value, UnsafeValue):
            row_of[value] = line
        else:
            problems.append(Problem(name, line, value[0], f"{value[1]}: row left out"))
    if not row_of:
        raise InputError(
            f"{file}: expected unsafe values of parameters of the run, received none that can be "
            f"used (row {problems[-1].row}: {problems[-1].what}). Give numbers of these "
            f"parameters: {_listed(known.values()) or 'there is none'}."
        )
    return tuple(row_of), tuple(sorted(problems, key=lambda problem: problem.row))


def _unsafe_value(
    cells: Sequence[str], known: Mapping[str, Parameter], decimal_commas: bool
) -> UnsafeValue | tuple[str, str]:
    """Read one row; if it cannot be used, return the column and the fault."""
    name, text, side_text = cells
    if name not in known:
        expected = _listed(known.values()) or "a parameter, but there is none"
        return "parameter", f"expected {expected}, received {quote_cell(name)}"
    kind = known[name].kind
    if kind == "category":
        return (
            "parameter",
            f"expected a number or an angle, received the category {quote_cell(name)}",
        )
    value = parse_number(text)
    if value is None and decimal_commas:
        value = parse_number(text, decimal_comma=True)
    if value is None or not math.isfinite(value):
        return (
            "value",
            f"expected a number, received {quote_cell(text) if text else 'an empty cell'}",
        )
    side = next((side for side in get_args(Side) if side == (side_text.lower() or "near")), None)
    if side is None:
        return "side", f"expected {', '.join(get_args(Side))}, received {quote_cell(side_text)}"
    if kind == "angle":
        value = float(wrap_angles(np.array(value)))
    return UnsafeValue(name, value, side)


def _listed(parameters: Iterable[Parameter]) -> str:
    names = [parameter.name for parameter in parameters if parameter.kind != "category"]
    return ", ".join(names[:MOST_LISTED]) + (", ..." if len(names) > MOST_LISTED else "")


def find_coverage(
    unsafe: Sequence[UnsafeValue],
    parameters: Sequence[Parameter],
    labels: NDArray[np.int32],
) -> list[CoveredValue]:
    """Find the clusters that cover each unsafe value (HUDD, RQ1.3, Table IV).

    A cluster covers an unsafe value if its average lies next to it, and its variance of the
    parameter is reduced by half or more. "Next to" depends on the side:

    - "near": the unsafe values of this side split the parameter's domain into subranges. The domain
      is the range of the whole set and of these values; for angles, it is the circle. A value is
      next to an unsafe one where it equals it, or differs from it by less than 25 % of the subrange
      that it lies in. A value on the border of two subranges lies in both.
    - "at most" and "at least": a value is next to an unsafe one where it is not larger, or not
      smaller. Angles are compared as numbers from 0 to 360.

    Clusters with fewer than 3 values, or with values for fewer than half of their images, cover
    nothing.

    Time grows with the number of images times the number of unsafe values.

    Parameters
    ----------
    unsafe : sequence of UnsafeValue
    parameters : sequence of Parameter
    labels : array of int32, shape (n,)
        Cluster or family of each image; -1 is noise.

    Returns
    -------
    list of CoveredValue
        In the order of `unsafe`.

    Raises
    ------
    ValueError
        When the parameter of an unsafe value is missing or a category.
    """
    known = {parameter.name: parameter for parameter in parameters if parameter.kind != "category"}
    strange = [value.parameter for value in unsafe if value.parameter not in known]
    if strange:
        raise ValueError(f"there is no number or angle {strange[0]!r} among the parameters")
    names = {value.parameter for value in unsafe}
    averages = {name: _average_reduced(known[name], labels) for name in names}
    coverage = []
    for value in unsafe:
        parameter, own = known[value.parameter], averages[value.parameter]
        values = parameter.values[~np.isnan(parameter.values)]
        near = [
            other.value
            for other in unsafe
            if other.parameter == value.parameter and other.side == "near"
        ]
        next_to = _next_to(np.array(list(own.values())), value, near, parameter)
        clusters = [group for group, is_next in zip(own, next_to, strict=True) if is_next]
        images = int(_next_to(values, value, near, parameter).sum())
        coverage.append(CoveredValue(value, images, clusters))
    return coverage


def _average_reduced(parameter: Parameter, labels: NDArray[np.int32]) -> dict[int, float]:
    """Return the average of each group whose variance is reduced by half or more."""
    reductions = compute_reductions(parameter, labels)
    return {group: mean for group, (share, mean) in reductions.items() if share >= HIGH_REDUCTION}


def _next_to(
    values: Doubles, unsafe: UnsafeValue, near: Sequence[float], parameter: Parameter
) -> NDArray[np.bool_]:
    """Tell which values lie next to an unsafe value.

    Parameters
    ----------
    near : sequence of float
        All unsafe values of the parameter whose side is "near".
    """
    limit = unsafe.value
    if parameter.kind == "angle":
        values, limit = values % 360, limit % 360
    equal = np.isclose(values, limit, rtol=ROUNDING, atol=0)
    if unsafe.side == "at most":
        next_to = values < limit
    elif unsafe.side == "at least":
        next_to = values > limit
    else:
        distances = np.abs(values - limit)
        if parameter.kind == "angle":
            distances = np.minimum(distances, 360 - distances)
        next_to = distances < NEXT * _subranges(values, near, parameter)
    both: NDArray[np.bool_] = equal | next_to
    return both


def _subranges(values: Doubles, near: Sequence[float], parameter: Parameter) -> Doubles:
    """Compute the length of the subrange of each value; on a border, the longer one counts."""
    if parameter.kind == "angle":
        cuts = np.unique(np.asarray(near) % 360)
        borders = np.array([cuts[-1] - 360, *cuts, cuts[0] + 360])
    else:
        known = parameter.values[~np.isnan(parameter.values)]
        borders = np.unique([*near, *([known.min(), known.max()] if len(known) else [])])
    lengths = np.array([0.0, *np.diff(borders), 0.0])
    before = lengths[np.searchsorted(borders, values, side="left")]
    after = lengths[np.searchsorted(borders, values, side="right")]
    longer: Doubles = np.maximum(before, after)
    return longer
