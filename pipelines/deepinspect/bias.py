"""Bias: how much closer a third class is to one of two classes (DeepInspect, III-C and IV-C)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.deepinspect.confusion import known_classes

DRIVERS = 3
"""Number of third classes that are listed for a pair."""
LEAST = 3
"""Smallest number of classes for which bias is defined: two and a third one."""


@dataclass(frozen=True)
class Bias:
    """The average bias of all pairs of classes.

    Attributes
    ----------
    average : array of float64, shape (k, k)
        Symmetric (Equation 4); NaN on the diagonal, and for pairs with a class without distances.
    thirds : array of int32, shape (k, k, drivers)
        The third classes with the largest bias, largest first; -1 if no further bias is above 0.
    biases : array of float32, shape (k, k, drivers)
        The bias of each of these third classes (Equation 3).
    """

    average: NDArray[np.float64]
    thirds: NDArray[np.int32]
    biases: NDArray[np.float32]


def filter_threshold(distances: NDArray[np.float64]) -> float:
    """Return the distance above which two classes are far apart: mean - 1 sd over all pairs.

    Parameters
    ----------
    distances : array of float64, shape (k, k)
        NAPVD; NaN for pairs with a class without images.
    """
    values = distances[np.triu_indices(len(distances), 1)]
    values = values[~np.isnan(values)]
    return float(values.mean() - values.std())


def average_bias(
    distances: NDArray[np.float64], *, threshold: float | None = None, drivers: int = DRIVERS
) -> Bias:
    """Compute the average bias of all pairs of classes over all third ones (Equations 3 and 4).

    bias(a, b, c) = |D(c, a) - D(c, b)| / (D(c, a) + D(c, b)), and 0 if both distances are 0. A
    triplet whose c is far from both a and b counts as 0 (section IV-C). The average is over all |O|
    - 2 third classes, as Equation 4 is printed.

    Time grows with the cube of the number of classes, memory with its square: for one class a, the
    triplets with all b and all third classes close to a are computed together. Triplets that are
    filtered out are not computed.

    Parameters
    ----------
    distances : array of float64, shape (k, k)
        NAPVD, symmetric; NaN for pairs with a class without images. That class is left out of O.
    threshold : float, optional
        Distance above which two classes are far apart; `filter_threshold` if None.  Infinity
        filters no triplet.
    drivers : int
        Number of third classes that are listed for each pair.

    Raises
    ------
    ValueError
        When fewer than three classes have distances.
    """
    known = known_classes(distances)
    count = len(known)
    if count < LEAST:
        raise ValueError(f"bias needs {LEAST} classes with distances, received {count}")
    far = filter_threshold(distances) if threshold is None else threshold
    between = distances[np.ix_(known, known)]
    near = between <= far
    np.fill_diagonal(near, False)
    # A third class close to both a and b is counted twice, as (a, b) and as (b, a): by half each.
    weights = 1 - near / 2
    sides = np.zeros((count, count))
    thirds = np.full((count, count, drivers), -1, np.int32)
    biases = np.zeros((count, count, drivers), np.float32)
    rows = np.arange(count)
    for a in range(count):
        near_thirds = np.flatnonzero(near[a])
        if not len(near_thirds):
            continue
        triplets = _triplet_biases(between, a, near_thirds)
        np.einsum("cb,cb->b", triplets, weights[near_thirds], out=sides[a])
        triplets = np.ascontiguousarray(triplets.T) if drivers else triplets
        for place in range(min(drivers, len(near_thirds))):
            best = triplets.argmax(axis=1)
            value = triplets[rows, best]
            thirds[a, :, place] = np.where(value > 0, near_thirds[best], -1)
            biases[a, :, place] = value
            triplets[rows, best] = 0
    average = (sides + sides.T) / (count - 2)
    np.fill_diagonal(average, np.nan)
    return _spread(len(distances), known, Bias(average, *_merge(thirds, biases)))


def _triplet_biases(
    between: NDArray[np.float64], a: int, thirds: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Compute bias(a, b, c) for one class a, all classes b and some third classes (Equation 3).

    Returns
    -------
    array of float64, shape (c, k)
        One row per third class, one column per class b; 0 if both are the same class.
    """
    own = between[a, thirds, None]
    biases = between[thirds]  # a copy, worked on in place
    sums = biases + own
    sums[sums == 0] = 1
    biases -= own
    np.abs(biases, out=biases)
    biases /= sums
    biases[np.arange(len(thirds)), thirds] = 0
    return biases


def _merge(
    thirds: NDArray[np.int32], biases: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Merge, for each pair, the third classes close to its first and to its second class."""
    merged, amounts = np.full_like(thirds, -1), np.zeros_like(biases)
    for a in range(len(thirds) - 1 if thirds.shape[2] else 0):
        later = slice(a + 1, None)
        one, other = thirds[a, later], thirds[later, a]
        repeated = (other[:, :, None] == one[:, None, :]).any(axis=2)  # near to both
        classes = np.concatenate([one, other], axis=1)
        values = np.concatenate([biases[a, later], np.where(repeated, 0, biases[later, a])], axis=1)
        order = np.lexsort((classes, -values), axis=1)[:, : thirds.shape[2]]
        best = np.take_along_axis(values, order, axis=1)
        named = np.where(best > 0, np.take_along_axis(classes, order, axis=1), -1)
        merged[a, later] = merged[later, a] = named
        amounts[a, later] = amounts[later, a] = best
    return merged, amounts


def _spread(count: int, known: NDArray[np.intp], bias: Bias) -> Bias:
    """Insert rows and columns for the classes without distances."""
    if len(known) == count:
        return bias
    average = np.full((count, count), np.nan)
    drivers = bias.thirds.shape[2]
    thirds = np.full((count, count, drivers), -1, np.int32)
    biases = np.zeros((count, count, drivers), np.float32)
    places = np.ix_(known, known)
    average[places] = bias.average
    thirds[places] = np.where(bias.thirds >= 0, known[bias.thirds], -1)
    biases[places] = bias.biases
    return Bias(average, thirds, biases)
