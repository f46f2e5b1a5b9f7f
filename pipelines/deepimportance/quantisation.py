"""DeepImportance, section 3.2: the regions that a neuron's activations fall into (Algorithm 2).

k-means, with k by the silhouette.  The values are numbers on a line, where clusters are intervals:
both are computed exactly, on all values, by sorting and sums up to each place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Doubles
from pipelines.runs.errors import InputError

FEWEST, MOST = 2, 4
"""Numbers of clusters that are tried: those that the paper reports (section 5.3, RQ2)."""
LIMIT = 255
"""Regions that a byte can tell apart."""


@dataclass(frozen=True)
class Regions:
    """The clusters of a neuron's activations.

    Attributes
    ----------
    centroids : array of float64, shape (k,)
        Ascending; the mean of each cluster.
    sizes : array of int64, shape (k,)
        Training images in each.
    silhouette : float, optional
        Of the chosen k; None of a neuron whose activation is constant.
    scores : dict of int to float
        The silhouette of each k that was tried.
    """

    centroids: Doubles
    sizes: NDArray[np.int64]
    silhouette: float | None
    scores: dict[int, float]

    def borders(self) -> Doubles:
        """Return where regions meet, shape (k - 1,): what lies between is nearest to a centroid."""
        return (self.centroids[1:] + self.centroids[:-1]) / 2


def quantise(values: NDArray[np.float32], most: int = MOST) -> Regions:
    """Cluster the activations of a neuron by k-means, k by the best silhouette (Algorithm 2).

    Of equal silhouettes, the smaller k is taken.  A constant neuron has one cluster.  Time grows
    with n log n and with `most`, memory with n.

    Parameters
    ----------
    values : array of float32, shape (n,)
        On all training images.
    most : int
        The largest number of clusters that is tried; the least is 2.

    Raises
    ------
    InputError
        When there are fewer images than clusters.
    """
    check_clusters(most, len(values))
    points, weights = np.unique(values.astype(np.float64), return_counts=True)
    if len(points) == 1:
        return Regions(points, weights, None, {})
    tried = range(FEWEST, min(most, len(points)) + 1)
    cuts = dict(zip(tried, _divide(points, weights, tried[-1])[1:], strict=True))
    scores = {k: silhouette(points, weights, ends) for k, ends in cuts.items()}
    best = max(scores, key=lambda k: (scores[k], -k))
    starts = np.concatenate([[0], cuts[best][:-1]])
    sizes = np.add.reduceat(weights, starts)
    centroids = np.add.reduceat(points * weights, starts) / sizes
    return Regions(centroids, sizes, scores[best], scores)


def check_clusters(most: int, images: int) -> None:
    """Raise InputError unless there are as many training images as clusters are tried."""
    if not FEWEST <= most <= LIMIT:
        raise InputError(f"--clusters: expected {FEWEST} to {LIMIT}, received {most}.")
    if images < most:
        raise InputError(
            f"--clusters: {most} clusters need as many training images, received {images}. "
            "Give more images, or fewer clusters."
        )


def _divide(points: Doubles, weights: NDArray[np.int64], most: int) -> list[NDArray[np.intp]]:
    """Divide sorted points into 1, 2, ..., `most` intervals of least sum of squares.

    By dynamic programming: the best start of the last interval never moves back as points are
    added, so that each half of the points searches its part of the starts alone (divide and
    conquer), all parts of one depth at once.

    Returns
    -------
    list of array of int, of shapes (1,), (2,), ...
        Where each interval ends, exclusive.
    """
    n = len(points)
    moved = points - np.average(points, weights=weights)  # large offsets would cancel digits
    count = np.concatenate([[0], np.cumsum(weights)]).astype(np.float64)
    first = np.concatenate([[0], np.cumsum(weights * moved)])
    second = np.concatenate([[0], np.cumsum(weights * moved**2)])

    def cost(start: NDArray[np.intp], end: NDArray[np.intp]) -> Doubles:
        total = first[end] - first[start]
        spread: Doubles = second[end] - second[start] - total**2 / (count[end] - count[start])
        return np.maximum(spread, 0)

    ends = np.arange(1, n + 1)
    least = np.concatenate([[np.inf], cost(np.zeros(n, np.intp), ends)])
    begins: list[NDArray[np.intp]] = []
    found = [np.array([n])]
    for k in range(2, most + 1):
        best = np.full(n + 1, np.inf)
        begin = np.zeros(n + 1, dtype=np.intp)
        # Each part: ends low..high (inclusive), whose intervals start at left..right (inclusive).
        parts = np.array([[k, n, k - 1, n - 1]], dtype=np.intp)
        while len(parts):
            low, high, left, right = parts.T
            middle = (low + high) // 2
            last = np.minimum(right, middle - 1)
            lengths = last - left + 1
            offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]])
            starts = np.arange(lengths.sum()) - np.repeat(offsets - left, lengths)
            costs = least[starts] + cost(starts, np.repeat(middle, lengths))
            smallest = np.minimum.reduceat(costs, offsets)
            hits = np.flatnonzero(costs == np.repeat(smallest, lengths))
            chosen = starts[hits[np.searchsorted(hits, offsets)]]
            best[middle], begin[middle] = smallest, chosen
            before = np.stack([low, middle - 1, left, chosen], axis=1)
            after = np.stack([middle + 1, high, chosen, right], axis=1)
            parts = np.concatenate([before, after])
            parts = parts[parts[:, 0] <= parts[:, 1]]
        least = best
        begins.append(begin)
        cut = [n]
        for earlier in reversed(begins):
            cut.append(int(earlier[cut[-1]]))
        found.append(np.array(cut[::-1]))
    return found


def silhouette(points: Doubles, weights: NDArray[np.int64], ends: NDArray[np.intp]) -> float:
    """Compute the mean silhouette of intervals of sorted points (Equations 2 to 4, L1 distance).

    Equation 3 divides by one less than the cluster's size (printed the other way round).  An image
    that is alone in its cluster has the silhouette 0 (Rousseeuw, 1987).  The nearest other cluster
    is one of the two neighbours, as means are in order.  Time and memory grow linearly.

    Parameters
    ----------
    points : array of float64, shape (n,)
        Ascending, each once.
    weights : array of int64, shape (n,)
        How many images have that value.
    ends : array of int, shape (k,), k > 1
        Where each interval ends, exclusive.
    """
    starts = np.concatenate([[0], ends[:-1]])
    points = points - np.average(points, weights=weights)
    count = np.concatenate([[0], np.cumsum(weights)]).astype(np.float64)
    total = np.concatenate([[0.0], np.cumsum(weights * points)])
    sizes = count[ends] - count[starts]
    means = (total[ends] - total[starts]) / sizes
    own = np.repeat(np.arange(len(ends)), ends - starts)
    place = np.arange(len(points))
    below = points * (count[place] - count[starts[own]]) - (total[place] - total[starts[own]])
    above = total[ends[own]] - total[place] - points * (count[ends[own]] - count[place])
    size = sizes[own]
    inner = np.maximum(below + above, 0) / np.maximum(size - 1, 1)
    around = np.concatenate([[-np.inf], means, [np.inf]])
    outer = np.minimum(points - around[own], around[own + 2] - points)
    larger = np.maximum(inner, outer)
    each = np.divide(outer - inner, larger, out=np.zeros_like(outer), where=larger > 0)
    each[size == 1] = 0
    return float(np.average(each, weights=weights))


def find_regions(values: NDArray[np.float32], regions: Sequence[Regions]) -> NDArray[np.uint8]:
    """Return the region of each activation: that of the nearest centroid, the lower of two.

    Parameters
    ----------
    values : array of float32, shape (n, m)
    regions : sequence of Regions, length m

    Returns
    -------
    array of uint8, shape (n, m)
    """
    found = np.empty(values.shape, dtype=np.uint8)
    for column, each in enumerate(regions):
        found[:, column] = np.searchsorted(each.borders(), values[:, column], side="left")
    return found
