"""Hints: pixel properties that distinguish a root cause cluster, in words with figures.

A cluster is compared with passing images. Without them it is compared with all other failing
images, which is weaker evidence: the other failing images may be the unusual ones.

The effect size is Cliff's delta (*Dominance statistics*, 1993), equal to 2 A12 - 1. Take all pairs
of an image of the cluster and an image of the rest. Delta is the share of pairs in which the
cluster's image has the larger value, minus the share in which it has the smaller value. It assumes
no distribution and is robust to outliers. When cluster and rest hardly overlap, delta is close to 1
for every property; the difference of the medians, in robust standard deviations of the rest, then
decides.

For a circular property, delta compares distances to the cluster's mean direction (Mardia and Jupp:
*Directional Statistics*, 2000): how much closer to it the cluster's images are than the rest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters.variance_reduction import split_groups
from pipelines.data.arrays import Doubles, Positions
from pipelines.data.group_resampling import draw_orders, draw_with_replacement
from pipelines.data.properties import PROPERTIES, Property

LARGE = 0.474
"""Delta from which an effect is called large (Romano et al., 2006)."""
HUGE = 2.0
"""Standardised difference from which an effect is called huge (Sawilowsky, 2009), here "much"."""
DRAWS = 500
QUANTILE = 0.95
BLOCK = 100_000
"""Number of images of random groups in memory at a time."""
TIE = 0.02
"""Deltas are rounded to this precision before comparison: for clear causes all are close to 1."""
ENOUGH = 0.5
"""A property is left out if a smaller share of the cluster's images has a value."""
MAD_TO_DEVIATION = 1.4826


@dataclass(frozen=True)
class Hint:
    """One property that distinguishes a cluster.

    Attributes
    ----------
    key : str
        Key of the property.
    effect : float
        Cliff's delta, -1 to 1: positive if the cluster has the larger values. For circular
        properties 0 to 1.
    cluster_figure, rest_figure : float
        Medians (for circular properties, mean directions) of the cluster and of the images it is
        compared with.
    difference : float
        Difference of the two, in robust standard deviations of the rest.
    words : str
        "much darker than the rest: mean brightness 0.11 against 0.48".
    """

    key: str
    effect: float
    cluster_figure: float
    rest_figure: float
    difference: float
    words: str


@dataclass(frozen=True)
class _Column:
    """The values of one property, with ranks from which the delta of any group is summed.

    Attributes
    ----------
    property : Property
    values : array of float64, shape (n,)
    defined : array of bool, shape (n,)
        Where the value is not nan.
    places : array of float64 or intp, shape (n,)
        Ranks among the defined values, with the mean rank for ties; 0 if undefined. For circular
        values, degrees.
    turned : array of float64, shape (360, 181)
        For circular values: ranks of distances, by direction and distance in degrees.
    reference : array of bool, shape (n,)
        The passing images, if groups are compared with them. Ranks are then ranks among these: the
        number of smaller values plus half the number of equal ones. All False if a group is
        compared with all other images.
    """

    property: Property
    values: Doubles
    defined: NDArray[np.bool_]
    places: Doubles | Positions
    turned: Doubles
    reference: NDArray[np.bool_]


def find_hints(
    values: Doubles,
    labels: NDArray[np.int32],
    *,
    seed: int,
    properties: Sequence[Property] = PROPERTIES,
    passing: Doubles | None = None,
    subjects: NDArray[np.int64] | None = None,
) -> dict[int, list[Hint]]:
    """Find the properties that distinguish each cluster from passing images, or from all others.

    A property becomes a hint of a cluster if

    - its delta is large, and larger than the best delta of all properties in random groups of the
      cluster's size (95 % quantile of 500 groups; groups of passing images, if any). So at most one
      in twenty clusters of images without anything in common gets a hint;
    - the medians differ by an amount that people notice (`Property.noticeable`);
    - at least half of the cluster's images have the property.

    Time grows with p n log n for the ranks, and with 500 p times the sum of the different cluster
    sizes (at most 500 p n) for the random groups. Memory grows with 500 times the largest cluster.

    Parameters
    ----------
    values : array of float64, shape (n, p)
        The result of `properties.measure`; nan is left out for each property.
    labels : array of int32, shape (n,)
        Cluster of each image; -1 is noise.
    seed : int
        Seed of the random groups.
    properties : sequence of Property, length p
    passing : array of float64, shape (m, p), optional
        Values of passing images. Without them a cluster is compared with all other failing images,
        noise included.
    subjects : array of int64, shape (n + m,), optional
        For failing, then passing images. Images with the same number show one subject (track,
        drive, person); random groups are drawn subject by subject.

    Returns
    -------
    dict
        By cluster, its hints, strongest first; empty if no property stands out, or if there are no
        other images.

    Raises
    ------
    ValueError
        When the shapes do not fit.
    """
    expected = (len(labels), len(properties))
    if values.shape != expected:
        raise ValueError(f"values: expected shape {expected}, received {values.shape}")
    columns, pool = _prepare_columns(values, passing, properties)
    members = split_groups(labels)
    sizes = sorted(set(map(len, members.values())))
    chance = dict(zip(sizes, _chance(columns, sizes, pool, seed, subjects), strict=True))
    return {
        cluster: _describe(columns, inside, chance[len(inside)])
        for cluster, inside in members.items()
    }


def _describe(columns: Sequence[_Column], inside: Positions, chance: float) -> list[Hint]:
    """Return the hints of one cluster, strongest first: large, noticeable and beyond chance."""
    hints = []
    for column in columns:
        delta = float(_deltas(column, inside[None])[0])
        if abs(delta) >= LARGE and abs(delta) > chance:
            hints += _say(column, inside, delta)
    return sorted(hints, key=_strength, reverse=True)


def _prepare_columns(
    values: Doubles, passing: Doubles | None, properties: Sequence[Property]
) -> tuple[list[_Column], Positions]:
    """Prepare the values of failing images, followed by those of passing images.

    Returns
    -------
    columns : list of _Column
        One per property.
    pool : array of intp
        Positions of the images from which random groups are drawn: the passing images, if any,
        otherwise all.
    """
    others = np.empty((0, len(properties))) if passing is None else passing
    reference = np.arange(len(values) + len(others)) >= len(values)
    both = np.concatenate([values, others])
    columns = [
        _prepare(both[:, place], property_, reference) for place, property_ in enumerate(properties)
    ]
    return columns, np.flatnonzero(reference) if len(others) else np.arange(len(values))


def _strength(hint: Hint) -> tuple[int, float]:
    return round(abs(hint.effect) / TIE), abs(hint.difference)


def _prepare(values: Doubles, property_: Property, reference: NDArray[np.bool_]) -> _Column:
    from scipy.stats import rankdata

    defined = ~np.isnan(values)
    known = defined & reference if reference.any() else defined
    if not property_.period:
        places = np.zeros(len(values))
        if reference.any():
            ordered = np.sort(values[known])
            sides = (np.searchsorted(ordered, values[defined], side) for side in ("left", "right"))
            places[defined] = sum(sides) / 2
        else:
            places[defined] = rankdata(values[defined])
        return _Column(property_, values, defined, places, np.empty(0), reference)
    # Directions are rounded to whole degrees, so that one table holds the ranks of all distances.
    degrees = np.zeros(len(values), dtype=np.intp)
    degrees[defined] = np.rint(values[defined] * (360 / property_.period)).astype(np.intp) % 360
    counts = np.bincount(degrees[known], minlength=360)
    directions, distances = np.ogrid[:360, :181]
    at = counts[(directions + distances) % 360] + counts[(directions - distances) % 360]
    at[:, [0, 180]] //= 2  # at 0 and 180 degrees, the two sides are the same direction
    turned = at.cumsum(axis=1) - (at - (not reference.any())) / 2
    return _Column(property_, values, defined, degrees, turned, reference)


def _deltas(column: _Column, groups: Positions) -> Doubles:
    """Compute Cliff's delta between each group and the reference, or all other images.

    Parameters
    ----------
    groups : array of intp, shape (b, m)
        Positions of images, m a group.

    Returns
    -------
    array of float64, shape (b,)
        0 if too few images have the property, or if `Property` has no word for the sign.
    """
    defined = column.defined[groups]
    inside = defined.sum(axis=1)
    against = column.reference.any()
    known = int((column.defined & column.reference).sum()) if against else int(column.defined.sum())
    outside = np.full_like(inside, known) if against else known - inside
    places = column.places[groups]
    if column.property.period:
        angles = np.deg2rad(places)
        x, y = ((wave * defined).sum(axis=1) for wave in (np.cos(angles), np.sin(angles)))
        middle = np.rint(np.rad2deg(np.arctan2(y, x))).astype(np.intp)[:, None] % 360
        distances = np.abs((places - middle + 180) % 360 - 180).astype(np.intp)
        ranks = np.where(defined, column.turned[middle, distances], 0).sum(axis=1)
    else:
        ranks = places.sum(axis=1)
    # Mann and Whitney's U from the sum of ranks: the pairs in which the group has the larger value.
    larger = ranks if against else ranks - inside * (inside + 1) / 2
    deltas = 2 * larger / np.maximum(inside * outside, 1) - 1
    if column.property.period:
        deltas = np.maximum(-deltas, 0)
    has_words = np.where(deltas > 0, bool(column.property.high), bool(column.property.low))
    enough = (inside >= np.maximum(ENOUGH * groups.shape[1], 1)) & (outside > 0)
    return np.where(has_words & enough, deltas, 0.0)


def _chance(
    columns: Sequence[_Column],
    sizes: Sequence[int],
    pool: Positions,
    seed: int,
    subjects: NDArray[np.int64] | None,
) -> list[float]:
    """Compute the 95 % quantile of the best delta of random groups, for each group size.

    Parameters
    ----------
    pool : array of intp
        Positions of the images that groups are drawn from.
    subjects : array of int64, optional
        See `find_hints`.
    """
    if not sizes:
        return []
    rng = np.random.default_rng(seed)
    again = bool(columns[0].reference.any())
    own = None if subjects is None else subjects[pool]
    orders = pool[_draw_positions(rng, len(pool), sizes[-1], again, own)]
    quantiles = []
    for size in sizes:
        drawn = orders[:, :size]
        # In blocks, so that temporary arrays fit into the cache.
        blocks = np.array_split(drawn, max(1, drawn.size // BLOCK))
        best = np.concatenate(
            [
                np.max([np.abs(_deltas(column, block)) for column in columns], axis=0)
                for block in blocks
            ]
        )
        # The cluster and the passing images are both samples, so both vary by chance.
        spread = math.sqrt(1 + size / len(pool)) if again else 1.0
        quantiles.append(spread * float(np.quantile(best, QUANTILE)))
    return quantiles


def _draw_positions(
    rng: np.random.Generator,
    pool: int,
    size: int,
    again: bool,
    subjects: NDArray[np.int64] | None,
) -> Positions:
    """Draw random orders of the pool's images, each cut to `size`.

    The first images of a random order are a random group of any size. Passing images are drawn with
    replacement (`again`): otherwise a group of all of them would have delta 0.

    Parameters
    ----------
    pool : int
        Number of images.
    subjects : array of int64, shape (pool,), optional

    Returns
    -------
    array of intp, shape (DRAWS, size)
    """
    if subjects is not None:
        if again:
            return draw_with_replacement(rng, subjects, size, DRAWS)
        return draw_orders(rng, subjects, DRAWS)[:, :size]
    if again:
        return np.stack([rng.integers(pool, size=size) for _ in range(DRAWS)])
    return np.stack([rng.permutation(pool)[:size] for _ in range(DRAWS)])


def _say(column: _Column, inside: Positions, delta: float) -> list[Hint]:
    """Describe a difference in words; return no hint if people would not notice it."""
    property_ = column.property
    chosen = np.zeros(len(column.values), dtype=np.bool_)
    chosen[inside] = True
    own = column.values[chosen & column.defined]
    against_passing = column.reference.any()
    others = column.reference if against_passing else ~chosen
    rest = column.values[others & column.defined]
    figure, rest_figure = _middle(own, property_.period), _middle(rest, property_.period)
    gap = float(_apart(figure, rest_figure, property_.period))
    shown, rest_shown = property_.show(figure), property_.show(rest_figure)
    # Delta compares ranks, so its sign may differ from that of the difference of medians.
    against = not property_.period and gap * delta <= 0
    if abs(gap) < property_.noticeable or shown == rest_shown or against:
        return []
    spread = MAD_TO_DEVIATION * float(
        np.median(np.abs(_apart(rest, rest_figure, property_.period)))
    )
    # If the rest hardly varies, the unit is the smallest noticeable difference.
    difference = gap / max(spread, property_.noticeable)
    much = "much " if abs(difference) >= HUGE and not property_.period else ""
    word = property_.high if delta > 0 else property_.low
    whom = "passing images" if against_passing else "the rest"
    words = f"{much}{word} than {whom}: {property_.figure} {shown} against {rest_shown}"
    return [Hint(property_.key, delta, figure, rest_figure, difference, words)]


def _middle(values: Doubles, period: float) -> float:
    if not period:
        return float(np.median(values))
    angles = values * (2 * np.pi / period)
    middle = np.arctan2(np.sin(angles).sum(), np.cos(angles).sum())
    return float(middle * (period / (2 * np.pi)) % period)


def _apart(values: Doubles | float, middle: float, period: float) -> Doubles:
    apart = np.asarray(values) - middle
    return (apart + period / 2) % period - period / 2 if period else apart
