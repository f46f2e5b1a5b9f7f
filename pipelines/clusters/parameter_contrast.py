"""How a group's images differ from passing images in a parameter, and what chance makes of it.

HUDD's reduction rate (section V-B, RQ1.2) compares the variance of a cluster with that of the whole
failing set. Against passing images a mean that lies elsewhere counts as much as a small variance:
fog that no passing image has is what a cluster of foggy ones shares, however much it varies. So the
figure of numbers is

    1 - variance of the group / mean squared distance of passing images to the group's mean,

where the distance is the variance of passing images plus the square of the difference of the means;
where the means are equal, it is the reduction rate. Of angles, squared distances become 1 - cosine
of the difference (Mardia and Jupp: *Directional Statistics*, 2000). Of categories it is the largest
difference, over all categories, between the share in the group and the share of passing images.

By chance, a group is any as large a part of its own images and the passing ones together, compared
with the others of these: a permutation test, exact also for what few or no passing images have. It
compares the excess, distance less variance, and not its share of the distance: in foggy and clear
images, any clear group has no variance, and so all of the distance, which is small.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters.variance_reduction import DECIMALS, ROUNDING, Positions, compute_direction
from pipelines.data.arrays import Doubles
from pipelines.data.parameters import Parameter

BLOCK = 1_000_000
"""Images of random orders at a time."""
CELLS = 2_000_000
"""Images of random groups, or shares of categories, at a time."""

Masks = NDArray[np.bool_]


@dataclass(frozen=True)
class ParameterContrast:
    """A parameter of failing and passing images, made ready so that all figures are of sums.

    Attributes
    ----------
    parameter : Parameter
    values : array of float64, shape (n + m,)
        Of failing images, then of passing ones.
    defined : array of bool, shape (n + m,)
        Which images have a value.
    passing : array of intp, shape (q,)
        Positions of passing images that have one.
    terms : array of float64, shape (2, n + m)
        What is summed up: of numbers, z (0 on average over passing images, of variance 1) and its
        square; of angles, cosine and sine. 0 where undefined, and for categories.
    codes : array of intp, shape (n + m,)
        Of categories, the position; 0 elsewhere.
    """

    parameter: Parameter
    values: Doubles
    defined: Masks
    passing: Positions
    terms: Doubles
    codes: Positions


def prepare_contrast(parameter: Parameter) -> ParameterContrast | None:
    """Make a parameter ready; None for one that is constant over failing and passing images.

    Parameters
    ----------
    parameter : Parameter
        Two passing images or more have a value.
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
        # Centred: else the difference of sums of squares would cancel.
        z = (known - others.mean()) / spread
        terms[:, defined] = z, z * z
    passing = len(parameter.values) + np.flatnonzero(defined[len(parameter.values) :])
    return ParameterContrast(parameter, values, defined, passing, terms, codes)


def compare_groups(
    each: ParameterContrast, groups: Positions, pool: Positions
) -> tuple[Doubles, Doubles]:
    """Compare groups with all other images of a pool.

    Parameters
    ----------
    groups : array of intp, shape (b, k)
        Positions of images that have a value, k of two or more.
    pool : array of intp, shape (k + q,)
        What every group is a part of; the other q, two or more, are its reference.

    Returns
    -------
    excess : array of float64, shape (b,)
        Mean squared distance of the reference to the group's mean, less the variance of the group.
        Of a category, the largest difference of shares.
    distance : array of float64, shape (b,)
        That mean squared distance; 1 for categories. Excess over distance is the figure.
    """
    count, categories = groups.shape[1], len(each.parameter.categories)
    parts = np.array_split(groups, max(1, len(groups) * max(count, categories) // CELLS))
    compare = _compare_shares if each.parameter.kind == "category" else _compare_sums
    excess, distance = zip(*(compare(each, part, pool) for part in parts), strict=True)
    return np.round(np.concatenate(excess), DECIMALS), np.concatenate(distance)


def _compare_sums(
    each: ParameterContrast, groups: Positions, pool: Positions
) -> tuple[Doubles, Doubles]:
    count = groups.shape[1]
    rest = len(pool) - count
    first, second = (term.take(groups).sum(axis=1) for term in each.terms)
    whole = each.terms[:, pool].sum(axis=1)
    first_rest, second_rest = whole[0] - first, whole[1] - second
    if each.parameter.kind == "angle":
        length = np.hypot(first, second)
        along = (first_rest * first + second_rest * second) / np.maximum(length, ROUNDING) / rest
        own, distance = 1 - length / count, np.maximum(1 - along, 0)
    else:
        own = (second - first * first / count) / (count - 1)
        others = (second_rest - first_rest * first_rest / rest) / (rest - 1)
        distance = np.maximum(others, 0) + np.square(first / count - first_rest / rest)
    return distance - np.maximum(own, 0), distance


def _compare_shares(
    each: ParameterContrast, groups: Positions, pool: Positions
) -> tuple[Doubles, Doubles]:
    (rows, count), categories = groups.shape, len(each.parameter.categories)
    whole = np.bincount(each.codes[pool], minlength=categories)
    cells = np.arange(rows)[:, None] * categories + each.codes.take(groups)
    counts = np.bincount(cells.ravel(), minlength=rows * categories).reshape(rows, categories)
    differences = counts / count - (whole - counts) / (len(pool) - count)
    return differences.max(axis=1), np.ones(rows)


def draw_contrasts(
    contrasts: Mapping[int, ParameterContrast],
    insides: Mapping[int, Mapping[int, Positions]],
    seed: int,
    draws: int,
) -> dict[int, dict[int, Doubles]]:
    """Compute the excess of random groups, for each group and each parameter that it has.

    Parameters with values of the same images are drawn together, so that what they have in common
    is in their random groups, too.

    Time grows with draws times the number of passing images once, and with draws times the images
    of all groups for each parameter.

    Parameters
    ----------
    contrasts : mapping of int to ParameterContrast
        By place of the parameter.
    insides : mapping of int to mapping of int to array of intp
        By group and place, positions of the group's images that have a value.

    Returns
    -------
    dict of int to dict of int to array of float64, shape (draws,)
        By group and place.
    """
    rng = np.random.default_rng(seed)
    own = {
        group: {place: inside for place, inside in inside_of.items() if place in contrasts}
        for group, inside_of in insides.items()
    }
    results = {
        group: {place: np.empty(draws) for place in inside_of} for group, inside_of in own.items()
    }
    largest = max((len(each) for of in own.values() for each in of.values()), default=0)
    for some, orders in _passing_orders(rng, contrasts, largest, draws):
        for group, inside_of in own.items():
            drawn: dict[bytes, Positions] = {}
            for place, inside in inside_of.items():
                each = contrasts[place]
                key = inside.tobytes() + each.passing.tobytes()
                if key not in drawn:
                    drawn[key] = _random_groups(rng, inside, orders[each.passing.tobytes()])
                pool = np.concatenate([inside, each.passing])
                results[group][place][some] = compare_groups(each, drawn[key], pool)[0]
    return results


@dataclass(frozen=True)
class _Orders:
    """The beginnings of random orders of passing images, and how many images there are."""

    beginnings: Positions
    images: int


def _passing_orders(
    rng: np.random.Generator,
    contrasts: Mapping[int, ParameterContrast],
    largest: int,
    draws: int,
) -> Iterator[tuple[slice, dict[bytes, _Orders]]]:
    """Yield random orders of the passing images that have a value, in blocks of draws."""
    known = {each.passing.tobytes(): each.passing for each in contrasts.values()}
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
    """Draw groups of as many images as are inside, from these and the others together.

    How many are from inside is hypergeometric; which ones, any of these.

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
