"""Variance of a parameter in a group of images and in the whole set (HUDD, section V-B, RQ1.2).

The reduction rate is the paper's: RR = 1 - variance in the group / variance in the whole failing
set. For numbers it compares sample variances, so that the RR of a random group is 0 on average. For
angles it compares circular variances, 1 - mean resultant length (Mardia and Jupp: *Directional
Statistics*, 2000). Categories have no variance: their figure is the largest difference, over all
categories, between the share in the group and the share in the whole set.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters.clusters import NOISE
from pipelines.data.arrays import Doubles, Positions
from pipelines.data.parameters import Parameter

HIGH_REDUCTION = 0.5
"""Smallest reduction rate that the paper calls high."""
FEWEST = 3
"""A group with fewer values is not compared."""
ENOUGH = 0.5
"""A group is not compared if a smaller share of its images has a value."""
COUNTS = 2_000_000
"""Number of category counts of random groups in memory at a time."""
DECIMALS = 9
"""Decimals of figures; rounding makes the figures of equal groups equal."""
ROUNDING = 1e-12
"""Circular variance up to which all directions count as equal."""


@dataclass(frozen=True)
class PreparedParameter:
    """A parameter that varies, with the terms that are summed to the figure of a group.

    Attributes
    ----------
    parameter : Parameter
    defined : array of bool, shape (n,)
        Which images have a value.
    terms : array of float64, shape (2, n)
        The terms to sum: for numbers, z (mean 0, variance 1) and its square; for angles, cosine and
        sine. 0 if the value is undefined, and for categories.
    codes : array of intp, shape (n,)
        For categories, their position; 0 otherwise.
    shares : array of float64, shape (c,)
        Share of each category in the whole set.
    spread : float
        For angles, the circular variance of the whole set; for numbers, its standard deviation.
    """

    parameter: Parameter
    defined: NDArray[np.bool_]
    terms: Doubles
    codes: Positions
    shares: Doubles
    spread: float


def prepare_parameter(parameter: Parameter) -> PreparedParameter | None:
    """Prepare a parameter for comparisons; time grows linearly with the number of images.

    Returns
    -------
    PreparedParameter or None
        None if the parameter is constant in the whole set, or no image has a value.
    """
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
        # Centred, because the difference of large sums of squares would lose its digits.
        z = (values - values.mean()) / spread
        terms[:, defined] = z, z * z
    shares = np.bincount(codes[defined], minlength=len(parameter.categories)) / len(values)
    return PreparedParameter(parameter, defined, terms, codes, shares, spread)


def compute_direction(angles: Doubles) -> tuple[float, float]:
    """Compute the mean direction (0 to 360 degrees) and the mean resultant length (0 to 1)."""
    turns = np.deg2rad(angles)
    x, y = float(np.cos(turns).mean()), float(np.sin(turns).mean())
    return math.degrees(math.atan2(y, x)) % 360, min(1.0, math.hypot(x, y))


def split_groups(labels: NDArray[np.int32]) -> dict[int, Positions]:
    """Return the positions of the images of each cluster or family; noise is left out."""
    groups: list[int] = np.unique(labels[labels != NOISE]).tolist()
    return {group: np.flatnonzero(labels == group) for group in groups}


def select_with_values(defined: NDArray[np.bool_], members: Positions) -> Positions | None:
    """Return the members with a value; None if these are fewer than 3, or fewer than half."""
    inside = members[defined[members]]
    return inside if len(inside) >= max(FEWEST, ENOUGH * len(members)) else None


def compute_figures(
    prepared: PreparedParameter, groups: Positions, sizes: Sequence[int]
) -> Doubles:
    """Compute the figure of groups: RR, or the difference of shares for categories.

    In each row of `groups`, the first `size` images form one group, for every size in `sizes`. Time
    grows with the number of positions, not with the number of sizes.

    Parameters
    ----------
    groups : array of intp, shape (b, m)
        Positions of images that have a value.
    sizes : sequence of int, length s
        Group sizes, ascending, from 2 to m.

    Returns
    -------
    array of float64, shape (b, s)
        1 for a group without variance; below 0 for one that varies more than the whole set.
    """
    groups = groups[:, : sizes[-1]]
    if prepared.parameter.kind == "category":
        parts = math.ceil(len(groups) * len(sizes) * len(prepared.shares) / COUNTS)
        split = np.array_split(groups, min(parts, len(groups)))
        return np.concatenate([_differences(prepared, part, sizes) for part in split])
    starts = [0, *sizes[:-1]]
    first, second = (
        np.add.reduceat(term.take(groups), starts, axis=1).cumsum(axis=1) for term in prepared.terms
    )
    counts = np.asarray(sizes)
    if prepared.parameter.kind == "angle":
        remaining = (1 - np.hypot(first, second) / counts) / prepared.spread
    else:
        remaining = (second - first * first / counts) / (counts - 1)
    reduced: Doubles = np.round(1 - np.maximum(remaining, 0), DECIMALS)
    return reduced


def _differences(prepared: PreparedParameter, groups: Positions, sizes: Sequence[int]) -> Doubles:
    rows, categories = len(groups), len(prepared.shares)
    # Count each category between one size and the next, then sum these counts.
    steps = np.repeat(np.arange(len(sizes)), [end - start for start, end in pairwise([0, *sizes])])
    cells = (steps * rows + np.arange(rows)[:, None]) * categories + prepared.codes.take(groups)
    counts = np.bincount(cells.ravel(), minlength=len(sizes) * rows * categories)
    counts = counts.reshape(len(sizes), rows, categories).cumsum(axis=0)
    shares = counts / np.asarray(sizes)[:, None, None]
    largest: Doubles = np.round((shares - prepared.shares).max(axis=2).T, DECIMALS)
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
        Cluster or family of each image; -1 is noise, which counts as part of the whole set only.

    Returns
    -------
    dict
        By group, RR and the mean (for angles, the mean direction in degrees). A group is left out
        if it has fewer than 3 values, or values for fewer than half of its images. The result is
        empty if the parameter is a category, or constant in the whole set.
    """
    prepared = prepare_parameter(parameter)
    rates: dict[int, tuple[float, float]] = {}
    if prepared is None or parameter.kind == "category":
        return rates
    for group, members in split_groups(labels).items():
        inside = select_with_values(prepared.defined, members)
        if inside is not None:
            values = parameter.values[inside]
            average = (
                compute_direction(values)[0] if parameter.kind == "angle" else float(values.mean())
            )
            rates[group] = (
                float(compute_figures(prepared, inside[None], [len(inside)])[0, 0]),
                average,
            )
    return rates
