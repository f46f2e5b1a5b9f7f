"""DeepImportance, section 3.2: the regions that a neuron's activations fall into (Algorithm 2).

The regions are clusters of k-means, with k chosen by the silhouette. Activations of one neuron are
numbers on a line, so clusters are intervals. Both k-means and silhouette are therefore computed
exactly, on all values, from sorted values and cumulative sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Doubles
from pipelines.runs.errors import InputError

FEWEST, MOST = 2, 4
"""Smallest and largest number of clusters to try: those of the paper (section 5.3, RQ2)."""
LIMIT = 255
"""Largest number of regions: their positions are stored as bytes."""


@dataclass(frozen=True)
class Regions:
    """The clusters of a neuron's activations.

    Attributes
    ----------
    centroids : array of float64, shape (k,)
        The mean of each cluster, ascending.
    sizes : array of int64, shape (k,)
        Number of training images in each cluster.
    silhouette : float, optional
        Silhouette of the chosen k; None for a neuron with a constant activation.
    scores : dict of int to float
        Silhouette of each k that was tried.
    """

    centroids: Doubles
    sizes: NDArray[np.int64]
    silhouette: float | None
    scores: dict[int, float]

    def borders(self) -> Doubles:
        """Return the borders of the regions, halfway between centroids; float64, shape (k - 1,)."""
        return (self.centroids[1:] + self.centroids[:-1]) / 2


def quantise(values: NDArray[np.float32], most: int = MOST) -> Regions:
    """Cluster the activations of a neuron by k-means, k by the best silhouette (Algorithm 2).

    Of equal silhouettes, the smaller k is taken. A constant neuron has one cluster. Time grows with
    n log n and with `most`, memory with n.

    Parameters
    ----------
    values : array of float32, shape (n,)
        Activations of the neuron on all training images.
    most : int
        The largest number of clusters to try; the smallest is 2.

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
    """Raise InputError unless `most` clusters are allowed and there are as many images."""
    if not FEWEST <= most <= LIMIT:
        raise InputError(f"--clusters: expected {FEWEST} to {LIMIT}, received {most}.")
    if images < most:
        raise InputError(
            f"--clusters: {most} clusters need as many training images, received {images}. "
            "Give more images, or fewer clusters."
        )


def _divide(points: Doubles, weights: NDArray[np.int64], most: int) -> list[NDArray[np.intp]]:
    """Divide sorted points into 1, 2, ..., `most` intervals with the least sum of squares.

    The method is dynamic programming with divide and conquer. The best start of the last interval
    never moves back when points are added. Once it is known for the middle point, the points before
    it search only earlier starts, and the points after it only later ones. All parts of one depth
    are computed together.

    Returns
    -------
    list of array of int, of shapes (1,), (2,), ...
        The end of each interval, exclusive.
    """
    n = len(points)
    moved = points - np.average(points, weights=weights)  # a large offset would cancel digits
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
    divisions = [np.array([n])]
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
        divisions.append(np.array(cut[::-1]))
    return divisions


def silhouette(points: Doubles, weights: NDArray[np.int64], ends: NDArray[np.intp]) -> float:
    """Compute the mean silhouette of intervals of sorted points (Equations 2 to 4, L1 distance).

    Equation 3, the mean distance within a cluster, is a sum divided by the cluster's size minus 1
    (the paper prints 1 minus the size). An image that is alone in its cluster has the silhouette 0
    (Rousseeuw, 1987). The nearest other cluster is one of the two neighbours, since means are
    sorted. Time and memory grow linearly.

    Parameters
    ----------
    points : array of float64, shape (n,)
        Ascending, without duplicates.
    weights : array of int64, shape (n,)
        Number of images with each value.
    ends : array of int, shape (k,), k > 1
        The end of each interval, exclusive.
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
    silhouettes = np.divide(outer - inner, larger, out=np.zeros_like(outer), where=larger > 0)
    silhouettes[size == 1] = 0
    return float(np.average(silhouettes, weights=weights))


def find_regions(values: NDArray[np.float32], regions: Sequence[Regions]) -> NDArray[np.uint8]:
    """Return the region of each activation, by the nearest centroid; of two, the lower one.

    Parameters
    ----------
    values : array of float32, shape (n, m)
        Activations of m important neurons.
    regions : sequence of Regions, length m

    Returns
    -------
    array of uint8, shape (n, m)
        Positions of regions, from 0.
    """
    places = np.empty(values.shape, dtype=np.uint8)
    for column, neuron_regions in enumerate(regions):
        places[:, column] = np.searchsorted(
            neuron_regions.borders(), values[:, column], side="left"
        )
    return places
