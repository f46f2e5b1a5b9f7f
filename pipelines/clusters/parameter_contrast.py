"""How a group differs from passing images in a parameter, and how much of that is chance.

HUDD's reduction rate (section V-B, RQ1.2) compares the variance of a cluster with that of the whole
failing set. In a comparison with passing images, a different mean counts as much as a small
variance: images of a cluster share fog that no passing image has, even if its density varies much.
The figure for numbers is therefore

    1 - variance of the group / mean squared distance of passing images to the group's mean.

The mean squared distance is the variance of the passing images plus the squared difference of the
means; if the means are equal, the figure is the reduction rate. For angles, squared distances
become 1 - cosine of the difference (Mardia and Jupp: *Directional Statistics*, 2000). For
categories, the figure is the largest difference, over all categories, between the share in the
group and the share among passing images.

A permutation test measures chance: groups of the same size are drawn from the group's images and
the passing images together, and each is compared with the remaining images. The test is exact even
for values that few or no passing images have. It compares the excess (distance minus variance), not
the figure (excess over distance). Reason: if most images are clear and some are foggy, every group
of clear images has variance 0 and so the highest figure, 1, although its distance is small.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters.variance_reduction import DECIMALS, ROUNDING, compute_direction
from pipelines.data.arrays import Doubles, Positions
from pipelines.data.group_resampling import draw_orders
from pipelines.data.parameters import Parameter

BLOCK = 1_000_000
"""Number of images of random orders in memory at a time."""
CELLS = 2_000_000
"""Number of images of random groups, or of shares of categories, in memory at a time."""

Masks = NDArray[np.bool_]


@dataclass(frozen=True)
class ParameterContrast:
    """A parameter of failing and passing images, with the terms that are summed to figures.

    Attributes
    ----------
    parameter : Parameter
    values : array of float64, shape (n + m,)
        Values of the n failing images, then of the m passing ones; nan if missing.
    defined : array of bool, shape (n + m,)
        Which images have a value.
    passing : array of intp, shape (q,)
        Positions of the passing images that have a value.
    terms : array of float64, shape (2, n + m)
        The terms to sum: for numbers, z (mean 0 and variance 1 over passing images) and its square;
        for angles, cosine and sine. 0 if the value is undefined, and for categories.
    codes : array of intp, shape (n + m,)
        For categories, their position; 0 otherwise.
    """

    parameter: Parameter
    values: Doubles
    defined: Masks
    passing: Positions
    terms: Doubles
    codes: Positions


def prepare_contrast(parameter: Parameter) -> ParameterContrast | None:
    """Prepare a parameter for comparisons with passing images; time grows with n + m.

    Parameters
    ----------
    parameter : Parameter
        At least two passing images have a value.

    Returns
    -------
    ParameterContrast or None
        None if the parameter is constant over failing and passing images.
    """
    values = np.concatenate([parameter.values, parameter.passing])
    defined = ~np.isnan(values)
    known = values[defined]
    if known.min() == known.max():
        return None
    terms, codes = np.zeros((2, len(values))), np.zeros(len(values), dtype=np.intp)
    if parameter.kind == "category":
        codes[defined] = known.astype(np.intp)
    elif parameter.kind == "angle":
        if 1 - compute_direction(known)[1] <= ROUNDING:
            return None
        terms[:, defined] = np.cos(np.deg2rad(known)), np.sin(np.deg2rad(known))
    else:
        others = parameter.passing[~np.isnan(parameter.passing)]
        spread = float(others.std(ddof=1)) or float(known.std(ddof=1))
        if not spread:
            return None
        # Centred, because the difference of large sums of squares would lose its digits.
        z = (known - others.mean()) / spread
        terms[:, defined] = z, z * z
    passing = len(parameter.values) + np.flatnonzero(defined[len(parameter.values) :])
    return ParameterContrast(parameter, values, defined, passing, terms, codes)


def compare_groups(
    contrast: ParameterContrast, groups: Positions, pool: Positions
) -> tuple[Doubles, Doubles]:
    """Compare groups with all other images of a pool.

    Parameters
    ----------
    groups : array of intp, shape (b, k)
        Positions of images that have a value; k is at least 2.
    pool : array of intp, shape (k + q,)
        The images from which every group comes; the other q images, at least 2, are its reference.

    Returns
    -------
    excess : array of float64, shape (b,)
        Mean squared distance of the reference to the group's mean, minus the group's variance. For
        a category, the largest difference of shares.
    distance : array of float64, shape (b,)
        The mean squared distance; 1 for categories. The figure is excess / distance.
    """
    count, categories = groups.shape[1], len(contrast.parameter.categories)
    parts = np.array_split(groups, max(1, len(groups) * max(count, categories) // CELLS))
    compare = _compare_shares if contrast.parameter.kind == "category" else _compare_sums
    excess, distance = zip(*(compare(contrast, part, pool) for part in parts), strict=True)
    return np.round(np.concatenate(excess), DECIMALS), np.concatenate(distance)


def _compare_sums(
    contrast: ParameterContrast, groups: Positions, pool: Positions
) -> tuple[Doubles, Doubles]:
    count = groups.shape[1]
    rest = len(pool) - count
    first, second = (term.take(groups).sum(axis=1) for term in contrast.terms)
    whole = contrast.terms[:, pool].sum(axis=1)
    first_rest, second_rest = whole[0] - first, whole[1] - second
    if contrast.parameter.kind == "angle":
        length = np.hypot(first, second)
        along = (first_rest * first + second_rest * second) / np.maximum(length, ROUNDING) / rest
        own, distance = 1 - length / count, np.maximum(1 - along, 0)
    else:
        own = (second - first * first / count) / (count - 1)
        others = (second_rest - first_rest * first_rest / rest) / (rest - 1)
        distance = np.maximum(others, 0) + np.square(first / count - first_rest / rest)
    return distance - np.maximum(own, 0), distance


def _compare_shares(
    contrast: ParameterContrast, groups: Positions, pool: Positions
) -> tuple[Doubles, Doubles]:
    (rows, count), categories = groups.shape, len(contrast.parameter.categories)
    whole = np.bincount(contrast.codes[pool], minlength=categories)
    cells = np.arange(rows)[:, None] * categories + contrast.codes.take(groups)
    counts = np.bincount(cells.ravel(), minlength=rows * categories).reshape(rows, categories)
    differences = counts / count - (whole - counts) / (len(pool) - count)
    return differences.max(axis=1), np.ones(rows)


def draw_contrasts(
    contrasts: Mapping[int, ParameterContrast],
    insides: Mapping[int, Mapping[int, Positions]],
    seed: int,
    draws: int,
    subjects: NDArray[np.int64] | None = None,
) -> dict[int, dict[int, Doubles]]:
    """Compute the excess of random groups, for each group and each parameter that it has.

    Parameters with values for the same images share their random groups. The random figures of
    correlated parameters are then correlated, too.

    Time grows with draws times the number of passing images, and with draws times the number of
    parameters times the images of all groups.

    Parameters
    ----------
    contrasts : mapping of int to ParameterContrast
        By the parameter's place.
    insides : mapping of int to mapping of int to array of intp
        By group and parameter's place, positions of the group's images that have a value.
    subjects : array of int64, shape (n + m,), optional
        Images with the same number show one subject, and are drawn together.

    Returns
    -------
    dict of int to dict of int to array of float64, shape (draws,)
        By group and parameter's place.
    """
    rng = np.random.default_rng(seed)
    own = {
        group: {place: inside for place, inside in inside_of.items() if place in contrasts}
        for group, inside_of in insides.items()
    }
    results = {
        group: {place: np.empty(draws) for place in inside_of} for group, inside_of in own.items()
    }
    sizes = [len(inside) for inside_of in own.values() for inside in inside_of.values()]
    largest = max(sizes, default=0)
    for rows, orders in _passing_orders(rng, contrasts, largest, draws):
        for group, inside_of in own.items():
            drawn: dict[bytes, Positions] = {}
            for place, inside in inside_of.items():
                contrast = contrasts[place]
                key = inside.tobytes() + contrast.passing.tobytes()
                pool = np.concatenate([inside, contrast.passing])
                if key not in drawn and subjects is not None:
                    some = draw_orders(rng, subjects[pool], rows.stop - rows.start)
                    drawn[key] = pool[some[:, : len(inside)]]
                elif key not in drawn:
                    drawn[key] = _random_groups(rng, inside, orders[contrast.passing.tobytes()])
                results[group][place][rows] = compare_groups(contrast, drawn[key], pool)[0]
    return results


@dataclass(frozen=True)
class _Orders:
    """Random orders of the passing images, each cut to the size of the largest group.

    Attributes
    ----------
    beginnings : array of intp, shape (b, k)
    images : int
        Number of passing images in each order, before it is cut.
    """

    beginnings: Positions
    images: int


def _passing_orders(
    rng: np.random.Generator,
    contrasts: Mapping[int, ParameterContrast],
    largest: int,
    draws: int,
) -> Iterator[tuple[slice, dict[bytes, _Orders]]]:
    """Yield random orders of the passing images that have a value, in blocks of draws."""
    known = {contrast.passing.tobytes(): contrast.passing for contrast in contrasts.values()}
    longest = max((len(positions) for positions in known.values()), default=0)
    rows = max(1, BLOCK // max(1, longest + largest))
    for start in range(0, draws if largest else 0, rows):
        some = slice(start, min(start + rows, draws))
        orders = {}
        for key, positions in known.items():
            order = rng.permuted(np.tile(positions, (some.stop - some.start, 1)), axis=1)
            orders[key] = _Orders(order[:, :largest], len(positions))
        yield some, orders


def _random_groups(rng: np.random.Generator, inside: Positions, others: _Orders) -> Positions:
    """Draw groups of the size of `inside` from these images and the others together.

    The number of images that come from `inside` follows the hypergeometric distribution.

    Returns
    -------
    array of intp, shape (b, k)
    """
    count, rows = len(inside), len(others.beginnings)
    own = rng.permuted(np.tile(inside, (rows, 1)), axis=1)
    kept = rng.hypergeometric(count, others.images, count, size=rows)[:, None]
    columns = np.arange(count)
    places = np.minimum(np.maximum(columns - kept, 0), others.beginnings.shape[1] - 1)
    return np.where(columns < kept, own, np.take_along_axis(others.beginnings, places, axis=1))
