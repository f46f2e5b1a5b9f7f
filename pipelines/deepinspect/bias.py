"""With which of two classes a third one sides (DeepInspect, sections III-C and IV-C)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.deepinspect.confusion import known_classes

DRIVERS = 3
"""Third classes that are named for a pair."""
LEAST = 3
"""Classes below which there is no third one."""


@dataclass(frozen=True)
class Bias:
    """The average bias of all pairs of classes.

    Attributes
    ----------
    average : array of float64, shape (k, k)
        Symmetric (Equation 4); NaN on the diagonal, and for pairs with a class without distances.
    thirds : array of int32, shape (k, k, drivers)
        The third classes with the largest bias, largest first; -1 where there is none above 0.
    biases : array of float32, shape (k, k, drivers)
        Theirs (Equation 3).
    """

    average: NDArray[np.float64]
    thirds: NDArray[np.int32]
    biases: NDArray[np.float32]


def filter_threshold(distances: NDArray[np.float64]) -> float:
    """Return the distance above which two classes are far apart: mean - 1 sd of all pairs."""
    values = distances[np.triu_indices(len(distances), 1)]
    values = values[~np.isnan(values)]
    return float(values.mean() - values.std())


def average_bias(
    distances: NDArray[np.float64], *, threshold: float | None = None, drivers: int = DRIVERS
) -> Bias:
    """Compute the average bias of all pairs of classes over all third ones (Equations 3 and 4).

    bias(a, b, c) = |D(c, a) - D(c, b)| / (D(c, a) + D(c, b)), and 0 where both distances are 0.  A
    triplet whose c is far from both a and b tells nothing and counts as 0 (section IV-C); the
    average is over all |O| - 2 third classes, as printed.

    Time grows with the cube of the number of classes, memory with its square: of one a, all b and
    all third classes near to a are computed at once, and no triplet that is filtered out.

    Parameters
    ----------
    distances : array of float64, shape (k, k)
        Symmetric; NaN for pairs with a class without images, which is left out of O.
    threshold : float, optional
        Distance above which two classes are far apart; `filter_threshold` if None, infinity filters
        nothing.
    drivers : int
        Third classes that are named for each pair.

    Raises
    ------
    ValueError
        When fewer than three classes have distances: there is no third one.
    """
    known = known_classes(distances)
    count = len(known)
    if count < LEAST:
        raise ValueError(f"bias needs {LEAST} classes, received {count}")
    far = filter_threshold(distances) if threshold is None else threshold
    between = distances[np.ix_(known, known)]
    near = between <= far
    np.fill_diagonal(near, False)
    # A third class that is near to both is met from both sides: half of its bias each time.
    weights = 1 - near / 2
    sides = np.zeros((count, count))
    thirds = np.full((count, count, drivers), -1, np.int32)
    biases = np.zeros((count, count, drivers), np.float32)
    rows = np.arange(count)
    for a in range(count):
        met = np.flatnonzero(near[a])
        if not len(met):
            continue
        triplets = _triplet_biases(between, a, met)
        np.einsum("cb,cb->b", triplets, weights[met], out=sides[a])
        triplets = np.ascontiguousarray(triplets.T) if drivers else triplets
        for place in range(min(drivers, len(met))):
            best = triplets.argmax(axis=1)
            value = triplets[rows, best]
            thirds[a, :, place] = np.where(value > 0, met[best], -1)
            biases[a, :, place] = value
            triplets[rows, best] = 0
    average = (sides + sides.T) / (count - 2)
    np.fill_diagonal(average, np.nan)
    return _spread(len(distances), known, Bias(average, *_merge(thirds, biases)))


def _triplet_biases(
    between: NDArray[np.float64], a: int, thirds: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Compute bias(a, b, c) for one class a, all classes b and some third ones (Equation 3).

    Returns
    -------
    array of float64, shape (c, k)
        A row a third class, a column a class b; 0 where the third class is b itself.
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
    """Put together, for each pair, the third classes near to its first and to its second class."""
    merged, much = np.full_like(thirds, -1), np.zeros_like(biases)
    for a in range(len(thirds) - 1 if thirds.shape[2] else 0):
        later = slice(a + 1, None)
        one, other = thirds[a, later], thirds[later, a]
        again = (other[:, :, None] == one[:, None, :]).any(axis=2)  # near to both
        classes = np.concatenate([one, other], axis=1)
        values = np.concatenate([biases[a, later], np.where(again, 0, biases[later, a])], axis=1)
        order = np.lexsort((classes, -values), axis=1)[:, : thirds.shape[2]]
        best = np.take_along_axis(values, order, axis=1)
        named = np.where(best > 0, np.take_along_axis(classes, order, axis=1), -1)
        merged[a, later] = merged[later, a] = named
        much[a, later] = much[later, a] = best
    return merged, much


def _spread(count: int, known: NDArray[np.intp], bias: Bias) -> Bias:
    """Make room for the classes without distances."""
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
