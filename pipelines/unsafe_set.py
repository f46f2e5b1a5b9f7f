"""The unsafe set: which new images belong to the clusters, and are worth a label.

HUDD, section IV-C (Equation 7, Figure 10), with heatmap distances; SAFE, section 2, step 4, with
distances of features.  Both share what is here: it takes distances, wherever they come from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SELECTION_FACTOR = 0.3
"""Of the papers: the share of the test set's size that bounds the unsafe set."""
BLOCK = 8_000_000
"""Distances held at a time."""
NO_CLUSTER = -1

Floats = NDArray[np.float32]
Positions = NDArray[np.intp]


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


def reaches(points: Floats, clusters: NDArray[np.int32], core: NDArray[np.bool_]) -> Floats:
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


Same = Callable[[int, list[int]], int | None]
"""Names the chosen image of a cluster that an image is the same as; None for none."""


def fill(
    distances: Floats,
    quotas: NDArray[np.int64],
    *,
    order: Floats | None = None,
    same: Same | None = None,
) -> Choice:
    """Fill the clusters with images, by rank (Figure 10).

    For every image, clusters are ranked by their distance. For each rank, the images that are left
    come in order, and go to their cluster of that rank while it is not full.  So a spurious
    cluster takes no more than its quota, and what it does not take goes on to the cluster that is
    next.  As printed, the loop of lines 15 to 21 handles one image a rank; the text says that it
    goes over all images, and so it does here.

    Time grows with n k log k for the ranks, and with n log n for each rank until all are full.

    Parameters
    ----------
    distances : array of float32, shape (n, k)
        To the nearest image of each cluster; infinite where an image may not go.
    quotas : array of int64, shape (k,)
    order : array of float32, shape (n,), optional
        Images with small values come first; by default, those with a small distance to their
        cluster of the rank at hand, as printed.  Ties by the image's place.
    same : callable, optional
        An image that is the same as one chosen for the cluster is left out for good.

    Returns
    -------
    Choice
        By turns: the first of each cluster, then the second of each, and so on.
    """
    ranked = np.argsort(distances, axis=1, kind="stable").astype(np.int32)
    chosen: list[list[int]] = [[] for _ in quotas]
    left = np.ones(len(distances), dtype=np.bool_)
    twins: dict[int, int] = {}
    for rank in range(len(quotas)):
        if all(len(images) >= quota for images, quota in zip(chosen, quotas, strict=True)):
            break
        images = np.flatnonzero(left)
        clusters = ranked[images, rank]
        costs = distances[images, clusters]
        places = np.argsort(costs if order is None else order[images], kind="stable")
        for place in places[np.isfinite(costs[places])].tolist():
            image, cluster = int(images[place]), int(clusters[place])
            if len(chosen[cluster]) >= quotas[cluster]:
                continue
            twin = same(image, chosen[cluster]) if same else None
            if twin is None:
                chosen[cluster].append(image)
            else:
                twins[image] = twin
            left[image] = False
    turns = [
        (turn, cluster, image)
        for cluster, images_of in enumerate(chosen)
        for turn, image in enumerate(images_of)
    ]
    turns.sort()
    return Choice(
        np.array([image for *_, image in turns], dtype=np.intp),
        np.array([cluster for _, cluster, _ in turns], dtype=np.int32),
        twins,
    )
