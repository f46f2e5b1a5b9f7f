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
    thirds : array of int32, shape (k, k, DRIVERS)
        The third classes with the largest bias, largest first; -1 where there is none above 0.
    biases : array of float32, shape (k, k, DRIVERS)
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


def average_bias(distances: NDArray[np.float64], *, threshold: float | None = None) -> Bias:
    """Compute the average bias of all pairs of classes over all third ones (Equations 3 and 4).

    bias(a, b, c) = |D(c, a) - D(c, b)| / (D(c, a) + D(c, b)), and 0 where both distances are 0.  A
    triplet whose c is far from both a and b tells nothing and counts as 0 (section IV-C); the
    average is over all |O| - 2 third classes, as printed.

    Time grows with the cube of the number of classes, memory with its square: all third classes
    and all b of one a are computed at once.

    Parameters
    ----------
    distances : array of float64, shape (k, k)
        Symmetric; NaN for pairs with a class without images, which is left out of O.
    threshold : float, optional
        Distance above which two classes are far apart; `filter_threshold` if None, infinity filters
        nothing.

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
    between = np.ascontiguousarray(distances[np.ix_(known, known)])
    near = between <= far
    average = np.full((count, count), np.nan)
    thirds = np.full((count, count, DRIVERS), -1, np.int32)
    biases = np.zeros((count, count, DRIVERS), np.float32)
    room, sums = np.empty_like(between), np.empty_like(between)
    for a in range(count - 1):
        later = slice(a + 1, count)
        found, both = room[: count - a - 1], sums[: count - a - 1]
        np.subtract(between[later], between[a], out=found)  # a row a class b, a column a third c
        np.abs(found, out=found)
        np.add(between[later], between[a], out=both)
        with np.errstate(invalid="ignore", divide="ignore"):
            found /= both
        found[(both == 0) | ~(near[later] | near[a])] = 0
        found[:, a] = 0
        rows = np.arange(len(found))
        found[rows, rows + a + 1] = 0
        average[a, later] = average[later, a] = found.sum(axis=1) / (count - 2)
        for place in range(min(DRIVERS, count - 2)):
            best = found.argmax(axis=1)
            value = found[rows, best]
            third = np.where(value > 0, known[best], -1)
            thirds[a, later, place] = thirds[later, a, place] = third
            biases[a, later, place] = biases[later, a, place] = value
            found[rows, best] = 0
    return _spread(len(distances), known, Bias(average, thirds, biases))


def _spread(count: int, known: NDArray[np.intp], found: Bias) -> Bias:
    """Make room for the classes without distances."""
    if len(known) == count:
        return found
    average = np.full((count, count), np.nan)
    thirds = np.full((count, count, DRIVERS), -1, np.int32)
    biases = np.zeros((count, count, DRIVERS), np.float32)
    places = np.ix_(known, known)
    average[places] = found.average
    thirds[places] = found.thirds
    biases[places] = found.biases
    return Bias(average, thirds, biases)
