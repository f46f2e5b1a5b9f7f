"""Which clusters lie next to a value that is known to be unsafe (HUDD, RQ1.3; SAFE, RQ3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.parameter_files import Parameter, UnsafeValue
from pipelines.variance import HIGH_REDUCTION, Floats, reductions

NEXT = 0.25
"""Share of a subrange within which a value is next to an unsafe one."""
ROUNDING = 1e-9
"""Difference, relative to the size, below which averages are equal to a limit."""


@dataclass(frozen=True)
class Covered:
    """One unsafe value, and who lies next to it.

    Attributes
    ----------
    unsafe : UnsafeValue
    images : int
        Of the whole set that lie next to it, noise included.
    clusters : list of int
        That do, by id: their variance is reduced by half or more, and their average is next to it.
    """

    unsafe: UnsafeValue
    images: int
    clusters: list[int]


def cover(
    unsafe: Sequence[UnsafeValue],
    parameters: Sequence[Parameter],
    labels: NDArray[np.int32],
) -> list[Covered]:
    """Tell which clusters cover each unsafe value.

    The values of a parameter that are unsafe to be near split its domain, the range of the whole
    set and of these values, into subranges; angles' domain is the circle. Next to an unsafe value
    is what differs from it by less than 25 % of the subrange that it is in itself, or equals it.
    What is on the border of two subranges is in either. A value that is unsafe to be at most, or at
    least, splits nothing: what does not exceed it, or reaches it, is next to it; angles are then
    compared as numbers from 0 to 360. Clusters of less than 3 values, or with values of less than
    half of their images, cover nothing.

    Time grows with the number of images times that of unsafe values.

    Parameters
    ----------
    unsafe : sequence of UnsafeValue
    parameters : sequence of Parameter
    labels : array of int32, shape (n,)
        Cluster or family of each image; -1 is noise.

    Returns
    -------
    list of Covered
        As in `unsafe`.

    Raises
    ------
    ValueError
        When an unsafe value is one of no number or angle among the parameters.
    """
    known = {each.name: each for each in parameters if each.kind != "category"}
    strange = [each.parameter for each in unsafe if each.parameter not in known]
    if strange:
        raise ValueError(f"there is no number or angle {strange[0]!r} among the parameters")
    averages = {
        name: {
            group: average
            for group, (reduction, average) in reductions(known[name], labels).items()
            if reduction >= HIGH_REDUCTION
        }
        for name in {each.parameter for each in unsafe}
    }
    found = []
    for each in unsafe:
        parameter, own = known[each.parameter], averages[each.parameter]
        values = parameter.values[~np.isnan(parameter.values)]
        near = [
            other.value
            for other in unsafe
            if other.parameter == each.parameter and other.side == "near"
        ]
        next_to = _next_to(np.array(list(own.values())), each, near, parameter)
        clusters = [group for group, is_next in zip(own, next_to, strict=True) if is_next]
        images = int(_next_to(values, each, near, parameter).sum())
        found.append(Covered(each, images, clusters))
    return found


def _next_to(
    values: Floats, unsafe: UnsafeValue, near: Sequence[float], parameter: Parameter
) -> NDArray[np.bool_]:
    """Tell which values lie next to an unsafe one; `near` are all near ones of the parameter."""
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


def _subranges(values: Floats, near: Sequence[float], parameter: Parameter) -> Floats:
    """Compute the length of the subrange that each value is in; on a border, of the longer one."""
    if parameter.kind == "angle":
        cuts = np.unique(np.asarray(near) % 360)
        borders = np.array([cuts[-1] - 360, *cuts, cuts[0] + 360])
    else:
        known = parameter.values[~np.isnan(parameter.values)]
        borders = np.unique([*near, *([known.min(), known.max()] if len(known) else [])])
    lengths = np.array([0.0, *np.diff(borders), 0.0])
    before = lengths[np.searchsorted(borders, values, side="left")]
    after = lengths[np.searchsorted(borders, values, side="right")]
    longer: Floats = np.maximum(before, after)
    return longer
