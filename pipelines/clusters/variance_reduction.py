"""How much a group's images vary in a parameter, against the whole set (HUDD, section V-B, RQ1.2).

The reduction rate is the paper's, RR = 1 - variance in the group / variance in the whole failing
set. Of numbers it compares sample variances, so that RR of a random group is 0 on average; of
angles circular variances, 1 - mean resultant length (Mardia and Jupp: *Directional Statistics*,
2000). A category has no variance: its figure is the largest difference, over all categories,
between the share in the group and the share in the whole set.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters.clusters import NOISE
from pipelines.data.arrays import Doubles
from pipelines.data.parameters import Parameter

HIGH_REDUCTION = 0.5
"""From here on, the paper calls a reduction in variance high."""
FEWEST = 3
"""Values, below which nothing is said of a group."""
ENOUGH = 0.5
"""Share of a group's images that have a value, below which nothing is said of it."""
COUNTS = 2_000_000
"""Categories of random groups to count at a time."""
DECIMALS = 9
"""Of figures: equal groups are equal, however their sums are rounded."""
ROUNDING = 1e-12
"""Circular variance up to which all directions are one."""

Positions = NDArray[np.intp]


@dataclass(frozen=True)
class PreparedParameter:
    """A parameter that varies, made ready so that the figure of any group is one of sums.

    Attributes
    ----------
    parameter : Parameter
    defined : array of bool, shape (n,)
        Which images have a value.
    terms : array of float64, shape (2, n)
        What is summed up: of numbers, z (0 on average, of variance 1) and its square; of angles,
        cosine and sine. 0 where undefined, and for categories.
    codes : array of intp, shape (n,)
        Of categories, the position; 0 elsewhere.
    shares : array of float64, shape (c,)
        Of each category in the whole set.
    spread : float
        Of the whole set: of angles, the circular variance; of numbers, the standard deviation.
    """

    parameter: Parameter
    defined: NDArray[np.bool_]
    terms: Doubles
    codes: Positions
    shares: Doubles
    spread: float


def prepare_parameter(parameter: Parameter) -> PreparedParameter | None:
    """Make a parameter ready; None for one that is constant in the whole set, or never known."""
    defined = ~np.isnan(parameter.values)
    values = parameter.values[defined]
    if not len(values) or values.min() == values.max():
        return None
    terms = np.zeros((2, len(defined)))
    codes = np.zeros(len(defined), dtype=np.intp)
    spread = 1.0
    if parameter.kind == "category":
        codes[defined] = values.astype(np.intp)
    elif parameter.kind == "angle":
        terms[:, defined] = np.cos(np.deg2rad(values)), np.sin(np.deg2rad(values))
        spread = 1 - compute_direction(values)[1]
        if spread <= ROUNDING:
            return None
    else:
        spread = float(values.std(ddof=1))
        if not spread:
            return None
        # Centred: else the difference of sums of squares would cancel.
        z = (values - values.mean()) / spread
        terms[:, defined] = z, z * z
    shares = np.bincount(codes[defined], minlength=len(parameter.categories)) / len(values)
    return PreparedParameter(parameter, defined, terms, codes, shares, spread)


def compute_direction(angles: Doubles) -> tuple[float, float]:
    """Compute mean direction, in degrees from 0 to 360, and mean resultant length, 0 to 1."""
    turns = np.deg2rad(angles)
    x, y = float(np.cos(turns).mean()), float(np.sin(turns).mean())
    return math.degrees(math.atan2(y, x)) % 360, min(1.0, math.hypot(x, y))


def split_groups(labels: NDArray[np.int32]) -> dict[int, Positions]:
    """Return the positions of each cluster's or family's images, noise left out."""
    groups: list[int] = np.unique(labels[labels != NOISE]).tolist()
    return {group: np.flatnonzero(labels == group) for group in groups}


def select_with_values(defined: NDArray[np.bool_], members: Positions) -> Positions | None:
    """Return the members that have a value; None where they are less than 3, or than half."""
    inside = members[defined[members]]
    return inside if len(inside) >= max(FEWEST, ENOUGH * len(members)) else None


def compute_figures(each: PreparedParameter, groups: Positions, sizes: Sequence[int]) -> Doubles:
    """Compute RR, or the difference of shares, of the beginnings of groups.

    Time grows with the number of positions, whatever the number of sizes.

    Parameters
    ----------
    groups : array of intp, shape (b, m)
        Positions of images that have a value.
    sizes : sequence of int, length s
        Ascending, 2 to m.

    Returns
    -------
    array of float64, shape (b, s)
        1 for a group without variance; below 0 for one that varies more than the whole set.
    """
    groups = groups[:, : sizes[-1]]
    if each.parameter.kind == "category":
        parts = math.ceil(len(groups) * len(sizes) * len(each.shares) / COUNTS)
        split = np.array_split(groups, min(parts, len(groups)))
        return np.concatenate([_differences(each, part, sizes) for part in split])
    starts = [0, *sizes[:-1]]
    first, second = (
        np.add.reduceat(term.take(groups), starts, axis=1).cumsum(axis=1) for term in each.terms
    )
    counts = np.asarray(sizes)
    if each.parameter.kind == "angle":
        remaining = (1 - np.hypot(first, second) / counts) / each.spread
    else:
        remaining = (second - first * first / counts) / (counts - 1)
    reduced: Doubles = np.round(1 - np.maximum(remaining, 0), DECIMALS)
    return reduced


def _differences(each: PreparedParameter, groups: Positions, sizes: Sequence[int]) -> Doubles:
    rows, categories = len(groups), len(each.shares)
    # One count by step between sizes, row and category.
    steps = np.repeat(np.arange(len(sizes)), [end - start for start, end in pairwise([0, *sizes])])
    cells = (steps * rows + np.arange(rows)[:, None]) * categories + each.codes.take(groups)
    counts = np.bincount(cells.ravel(), minlength=len(sizes) * rows * categories)
    counts = counts.reshape(len(sizes), rows, categories).cumsum(axis=0)
    shares = counts / np.asarray(sizes)[:, None, None]
    largest: Doubles = np.round((shares - each.shares).max(axis=2).T, DECIMALS)
    return largest


def compute_reductions(
    parameter: Parameter, labels: NDArray[np.int32]
) -> dict[int, tuple[float, float]]:
    """Compute a parameter's reduction rate and its average in each group.

    Parameters
    ----------
    parameter : Parameter
        A number or an angle.
    labels : array of int32, shape (n,)
        Cluster or family of each image; -1 is noise, which counts in the whole set alone.

    Returns
    -------
    dict
        By group, RR and the mean (of angles, the mean direction in degrees). Groups with less than
        3 values, or values of less than half of their images, are left out; all of them are where
        the parameter is constant in the whole set.
    """
    each = prepare_parameter(parameter)
    found: dict[int, tuple[float, float]] = {}
    if each is None or parameter.kind == "category":
        return found
    for group, members in split_groups(labels).items():
        inside = select_with_values(each.defined, members)
        if inside is not None:
            values = parameter.values[inside]
            average = (
                compute_direction(values)[0] if parameter.kind == "angle" else float(values.mean())
            )
            found[group] = float(compute_figures(each, inside[None], [len(inside)])[0, 0]), average
    return found
