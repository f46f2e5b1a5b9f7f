"""The unsafe set: the new images that belong to the clusters and are worth a label.

HUDD, section IV-C (Equation 7, Figure 10), measures distances of heatmaps; SAFE, section 2, step 4,
measures distances of features. This module works with either.
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
"""The papers' share of the test set's size, which limits the size of the unsafe set."""
BLOCK = 8_000_000
"""Number of distances in memory at a time."""
NO_CLUSTER = -1


@dataclass(frozen=True)
class Choice:
    """The chosen images, best first.

    Attributes
    ----------
    images : array of intp, shape (m,)
        Positions in the improvement set.
    clusters : array of int32, shape (m,)
        The cluster that each image is chosen for.
    same : dict of int to int
        For each image that was left out as a duplicate, the chosen image that it duplicates.
    """

    images: Positions
    clusters: NDArray[np.int32]
    same: dict[int, int]


def estimate_count(
    test_images: int, accuracy: float, selection_factor: float = SELECTION_FACTOR
) -> int:
    """Estimate the number of images to choose: Equation 7 of HUDD, summed over the clusters.

    (size of the test set x selection factor) x (1 - accuracy), rounded half up, at least 1.

    Parameters
    ----------
    test_images : int
        Number of images of the test set that the failing images come from.
    accuracy : float
        Accuracy of the DNN under analysis on that test set, 0 to 1.
    """
    return max(1, int(test_images * selection_factor * (1 - accuracy) + 0.5))


def allocate(count: int, weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Share `count` images among the clusters, in proportion to weights.

    Equation 7 gives fractions of images. They are rounded by the method of largest remainders, so
    that they sum to `count`; of equal remainders, that of the first cluster is rounded up.

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
    """Compute each new image's distance to the nearest image of each cluster (single linkage).

    Distances are computed in blocks: memory grows with n x k, time with n x m x d.

    Parameters
    ----------
    points : array of float32, shape (n, d)
        The images of the improvement set.
    others : array of float32, shape (m, d)
        The images of the clusters: core images (SAFE) or all images (HUDD).
    clusters : array of int32, shape (m,)
        Cluster of each of `others`, 0 to k - 1; every cluster occurs.

    Returns
    -------
    array of float32, shape (n, k)
    """
    order = np.argsort(clusters, kind="stable")
    others, starts = others[order], np.flatnonzero(np.diff(clusters[order], prepend=-1))
    # Centring keeps the squares small, so that their differences lose little precision.
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
    """Compute the reach of each cluster: its images have a core image within this distance.

    The reach is the largest distance from an image of the cluster to the nearest core image other
    than itself. A new image that is farther than the reach from every core image is outside of the
    cluster. This corresponds to eps of DBSCAN for the clustered images.

    Parameters
    ----------
    points : array of float32, shape (m, d)
    clusters : array of int32, shape (m,)
        0 to k - 1, without noise; every cluster has a core image.
    core : array of bool, shape (m,)

    Returns
    -------
    array of float32, shape (k,)
        0 for a cluster of a single image.
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
        finite = nearest[np.isfinite(nearest)]
        result[cluster] = finite.max() if len(finite) else 0.0
    return result


Turn = tuple[int, int]
"""A cluster and the number of a group of images; they define whose turn it is."""
Same = Callable[[int, list[int]], int | None]
"""Called as ``same(image, chosen)``: returns the chosen image that `image` duplicates, or None."""


def fill(
    distances: Floats,
    quotas: NDArray[np.int64],
    *,
    order: Floats | None = None,
    same: Same | None = None,
    groups: NDArray[np.int64] | None = None,
    before: Choice | None = None,
) -> Choice:
    """Choose images for the clusters up to their quotas, rank by rank (HUDD, Figure 10).

    For every image, the clusters are ranked by distance. For each rank, the remaining images are
    taken in order; each is chosen for its cluster of that rank if the cluster is not full. So a
    spurious cluster gets at most its quota, and the images beyond it go to their next cluster.
    Lines 15 to 21 of the figure handle one image per rank; the text of the paper says all images,
    and so does this function. One addition is not in the paper: within a rank, groups of images
    take turns, so that frames of one track do not fill a cluster.

    Time grows with n k log k, and with n log n for each rank.

    Parameters
    ----------
    distances : array of float32, shape (n, k)
        To the nearest image of each cluster; infinite where an image may not be chosen for it.
    quotas : array of int64, shape (k,)
    order : array of float32, shape (n,), optional
        Small values come first, equal ones by position; by default, distances to that cluster.
    same : callable, optional
        Finds duplicates; an image that duplicates one chosen for the same cluster is left out.
    groups : array of int64, shape (n,), optional
        Images with equal numbers are one group; by default, every image is a group of its own.
    before : Choice, optional
        Images that were chosen earlier, besides the quotas: they count as turns of their groups.

    Returns
    -------
    Choice
        The first image of each cluster, then the second image of each cluster, and so on.
    """
    ranked = np.argsort(distances, axis=1, kind="stable").astype(np.int32)
    chosen: list[list[int]] = [[] for _ in quotas]
    left, twins = np.ones(len(distances), dtype=np.bool_), dict[int, int]()
    numbers = np.arange(len(left)) if groups is None else groups
    turn_counts = Counter(_turns(before.clusters, numbers[before.images]) if before else ())
    for rank in range(len(quotas)):
        if all(len(images) >= quotas[cluster] for cluster, images in enumerate(chosen)):
            break
        clusters = ranked[:, rank]
        images = _in_order(distances[np.arange(len(left)), clusters], left, order)
        turns = _turns(clusters[images], numbers[images])
        for place in _take_turns(turns, turn_counts):
            image, cluster = int(images[place]), turns[place][0]
            if len(chosen[cluster]) < quotas[cluster]:
                left[image] = False
                if same and (twin := same(image, chosen[cluster])) is not None:
                    twins[image] = twin
                else:
                    chosen[cluster].append(image)
                    turn_counts[turns[place]] += 1
    return _interleave(chosen, twins)


def _in_order(costs: Floats, left: NDArray[np.bool_], order: Floats | None) -> Positions:
    """Return the remaining images that may be chosen for their cluster of a rank, in order."""
    images = np.flatnonzero(left & np.isfinite(costs))
    return images[np.argsort((costs if order is None else order)[images], kind="stable")]


def _turns(clusters: NDArray[np.int32], groups: NDArray[np.int64]) -> list[Turn]:
    return list(zip(clusters.tolist(), groups.tolist(), strict=True))


def _take_turns(turns: Sequence[Turn], turn_counts: Counter[Turn]) -> Iterator[int]:
    """Yield positions in `turns`: those with the lowest count first, equal counts in order.

    The caller increases `turn_counts` for each image that it chooses before it takes the next.
    """
    waiting: dict[Turn, deque[int]] = {}
    for place, turn in enumerate(turns):
        waiting.setdefault(turn, deque()).append(place)
    heap = [(turn_counts[turn], places.popleft(), turn) for turn, places in waiting.items()]
    heapq.heapify(heap)
    while heap:
        _, place, turn = heapq.heappop(heap)
        yield place
        if waiting[turn]:
            heapq.heappush(heap, (turn_counts[turn], waiting[turn].popleft(), turn))


def _interleave(chosen: Sequence[Sequence[int]], twins: dict[int, int]) -> Choice:
    """Order the images: the first of each cluster, then the second of each, and so on."""
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
