"""The unsafe set: which new images belong to the clusters, and are worth a label.

HUDD, section IV-C (Equation 7, Figure 10), with heatmap distances; SAFE, section 2, step 4, with
distances of features.  Both share what is here: it takes distances, wherever they come from.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Floats, Positions

SELECTION_FACTOR = 0.3
"""Of the papers: the share of the test set's size that bounds the unsafe set."""
BLOCK = 8_000_000
"""Distances held at a time."""
NO_CLUSTER = -1


@dataclass(frozen=True)
class Choice:
    """Which images are chosen, best first.

    Attributes
    ----------
    images : array of intp, shape (m,)
        Positions in the improvement set.
    clusters : array of int32, shape (m,)
        The cluster that each is chosen for.
    same : dict of int to int
        Images left out for being the same as one that is chosen, and that one.
    """

    images: Positions
    clusters: NDArray[np.int32]
    same: dict[int, int]


def estimate_count(
    test_images: int, accuracy: float, selection_factor: float = SELECTION_FACTOR
) -> int:
    """Estimate how many images to choose: Equation 7, summed over the clusters.

    (size of the test set x selection factor) x (1 - accuracy), rounded half up, at least 1.

    Parameters
    ----------
    test_images : int
        Images of the test set on which the failing ones were found.
    accuracy : float
        Of the DNN under analysis on it, 0 to 1.
    """
    return max(1, int(test_images * selection_factor * (1 - accuracy) + 0.5))


def allocate(count: int, weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Share a number of images out over clusters in proportion to weights.

    Equation 7 gives fractions of images; the largest remainders are rounded up, so that the sum is
    `count`, ties by the cluster's place.

    Parameters
    ----------
    weights : array of float64, shape (k,)
        Sizes of the clusters (HUDD), or ones (SAFE: evenly); not all 0 unless `count` is.

    Returns
    -------
    array of int64, shape (k,)
    """
    if not count:
        return np.zeros(len(weights), dtype=np.int64)
    exact = count * weights / weights.sum()
    shares = np.floor(exact).astype(np.int64)
    order = np.argsort(shares - exact, kind="stable")
    shares[order[: count - int(shares.sum())]] += 1
    result: NDArray[np.int64] = shares
    return result


def cluster_distances(points: Floats, others: Floats, clusters: NDArray[np.int32]) -> Floats:
    """Compute each image's distance to the nearest image of each cluster (single linkage).

    In blocks of matrix products: memory grows with n x k, never with n x m; time with n x m x d.

    Parameters
    ----------
    points : array of float32, shape (n, d)
        Of the improvement set.
    others : array of float32, shape (m, d)
        Of the clusters: core images (SAFE), or all (HUDD).
    clusters : array of int32, shape (m,)
        0 to k - 1; every one occurs.

    Returns
    -------
    array of float32, shape (n, k)
    """
    order = np.argsort(clusters, kind="stable")
    others, starts = others[order], np.flatnonzero(np.diff(clusters[order], prepend=-1))
    # Centred, so that little is lost when squares are subtracted from one another.
    middle = others.mean(axis=0)
    points, others = points - middle, others - middle
    squares = np.square(others).sum(axis=1)
    rows = max(1, BLOCK // len(others))
    result = np.empty((len(points), len(starts)), dtype=np.float32)
    for start in range(0, len(points), rows):
        part = points[start : start + rows]
        squared = np.square(part).sum(axis=1)[:, None] + squares - 2 * (part @ others.T)
        nearest = np.minimum.reduceat(squared, starts, axis=1)
        result[start : start + rows] = np.sqrt(np.maximum(nearest, 0))
    return result


def compute_reaches(points: Floats, clusters: NDArray[np.int32], core: NDArray[np.bool_]) -> Floats:
    """Compute how far a cluster reaches: the distance within which its own images find a core.

    The largest distance of an image of the cluster to the nearest core image other than itself.
    What is farther from every core image than that is outside of the cluster, as eps of DBSCAN
    says on the points that were clustered.

    Parameters
    ----------
    points : array of float32, shape (m, d)
    clusters : array of int32, shape (m,)
        0 to k - 1, no noise; every one has a core image.
    core : array of bool, shape (m,)

    Returns
    -------
    array of float32, shape (k,)
        0 for a cluster of one core image and nothing else.
    """
    result = np.zeros(int(clusters.max()) + 1, dtype=np.float32)
    for cluster in range(len(result)):
        inside = np.flatnonzero(clusters == cluster)
        cores = np.flatnonzero(core[inside])
        own, others = points[inside].astype(np.float64), points[inside[cores]].astype(np.float64)
        squares = np.square(own).sum(axis=1)[:, None] + np.square(others).sum(axis=1)
        distances = np.sqrt(np.maximum(squares - 2 * own @ others.T, 0))
        distances[cores, np.arange(len(cores))] = np.inf
        nearest = distances.min(axis=1)
        found = nearest[np.isfinite(nearest)]
        result[cluster] = found.max() if len(found) else 0.0
    return result


Turn = tuple[int, int]
"""A cluster, and the number of a group of images in it."""
Same = Callable[[int, list[int]], int | None]
"""Names the chosen image of a cluster that an image is the same as; None for none."""


def fill(
    distances: Floats,
    quotas: NDArray[np.int64],
    *,
    order: Floats | None = None,
    same: Same | None = None,
    groups: NDArray[np.int64] | None = None,
    before: Choice | None = None,
) -> Choice:
    """Fill the clusters with images, by rank (Figure 10).

    For every image, clusters are ranked by their distance. For each rank, the images that are left
    come in order, and go to their cluster of that rank while it is not full.  So a spurious one
    takes no more than its quota, and what it does not take goes on to the cluster that is next.  As
    printed, the loop of lines 15 to 21 handles one image a rank; the text says all, and so it does
    here.  Not in the paper: within a rank, the groups of images in a cluster take turns.

    Time grows with n k log k, and with n log n a rank until all are full.

    Parameters
    ----------
    distances : array of float32, shape (n, k)
        To the nearest image of each cluster; infinite where an image may not go.
    quotas : array of int64, shape (k,)
    order : array of float32, shape (n,), optional
        Small values come first, ties by place; by default, distances to the cluster of the rank.
    same : callable, optional
        An image that is the same as one chosen for the cluster is left out for good.
    groups : array of int64, shape (n,), optional
        Images with one number are of one group; by default, each is its own.
    before : Choice, optional
        Images that the clusters have beyond their quotas: their groups have had those turns.

    Returns
    -------
    Choice
        By turns: the first of each cluster, then the second of each, and so on.
    """
    ranked = np.argsort(distances, axis=1, kind="stable").astype(np.int32)
    chosen: list[list[int]] = [[] for _ in quotas]
    left, twins = np.ones(len(distances), dtype=np.bool_), dict[int, int]()
    numbers = np.arange(len(left)) if groups is None else groups
    had = Counter(_turns(before.clusters, numbers[before.images]) if before else ())
    for rank in range(len(quotas)):
        if all(len(images) >= quotas[cluster] for cluster, images in enumerate(chosen)):
            break
        clusters = ranked[:, rank]
        images = _in_order(distances[np.arange(len(left)), clusters], left, order)
        turns = _turns(clusters[images], numbers[images])
        for place in _take_turns(turns, had):
            image, cluster = int(images[place]), turns[place][0]
            if len(chosen[cluster]) >= quotas[cluster]:
                continue
            left[image] = False
            if same and (twin := same(image, chosen[cluster])) is not None:
                twins[image] = twin
                continue
            chosen[cluster].append(image)
            had[turns[place]] += 1
    return _interleave(chosen, twins)


def _in_order(costs: Floats, left: NDArray[np.bool_], order: Floats | None) -> Positions:
    """Return the images that are left and may go to their cluster of a rank, first ones first."""
    images = np.flatnonzero(left & np.isfinite(costs))
    return images[np.argsort((costs if order is None else order)[images], kind="stable")]


def _turns(clusters: NDArray[np.int32], groups: NDArray[np.int64]) -> list[Turn]:
    return list(zip(clusters.tolist(), groups.tolist(), strict=True))


def _take_turns(turns: Sequence[Turn], had: Counter[Turn]) -> Iterator[int]:
    """Yield the places of `turns`: of what has had fewest first, and else in their order.

    Who takes what is yielded counts it in `had` before the next is asked for.
    """
    waiting: dict[Turn, deque[int]] = {}
    for place, turn in enumerate(turns):
        waiting.setdefault(turn, deque()).append(place)
    heap = [(had[turn], places.popleft(), turn) for turn, places in waiting.items()]
    heapq.heapify(heap)
    while heap:
        _, place, turn = heapq.heappop(heap)
        yield place
        if waiting[turn]:
            heapq.heappush(heap, (had[turn], waiting[turn].popleft(), turn))


def _interleave(chosen: Sequence[Sequence[int]], twins: dict[int, int]) -> Choice:
    """Put the first image of each cluster before the second of any, and so on."""
    ordered = sorted(
        (turn, cluster, image)
        for cluster, images in enumerate(chosen)
        for turn, image in enumerate(images)
    )
    return Choice(
        np.array([image for *_, image in ordered], dtype=np.intp),
        np.array([cluster for _, cluster, _ in ordered], dtype=np.int32),
        twins,
    )
