"""The silhouette index of several labellings (SAFE, section 2: clustering)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipelines.data.arrays import Floats
from pipelines.safe.dbscan import NOISE, Distances, Labels

BLOCK = 1024


def compute_silhouettes(distances: Distances, labellings: Sequence[Labels]) -> list[Floats]:
    """Compute the silhouette of every image under several labellings (Rousseeuw, 1987).

    s = (b - a) / max(a, b), where a is the mean distance to the other images of the image's
    cluster, and b the smallest mean distance to the images of another cluster. Noise does not count
    as another cluster. Noise, images that are alone in a cluster, and labellings of fewer than two
    clusters get 0.

    Distances are summed once over the groups of images that no labelling separates. Each labelling
    then adds up these sums; equal labellings share one result. Time grows with n^2, memory with n.

    Parameters
    ----------
    labellings : sequence of arrays of int32, shape (n,)

    Returns
    -------
    list of arrays of float32, shape (n,)
    """
    from scipy.sparse import csr_array

    different = {labels.tobytes(): labels for labels in labellings}
    results = {key: np.zeros(len(distances), dtype=np.float32) for key in different}
    several = [key for key, labels in different.items() if labels.max(initial=0) > 0]
    if not several:
        return [results[labels.tobytes()] for labels in labellings]
    table = np.stack([different[key] for key in several])
    kinds, group = np.unique(table, axis=1, return_inverse=True)

    def indicator(numbers: Labels) -> csr_array:
        counts = np.bincount(numbers[numbers != NOISE])
        members = np.argsort(numbers, kind="stable")[len(numbers) - counts.sum() :]
        ones = np.ones(len(members), dtype=np.float32)
        rows = np.concatenate([[0], counts.cumsum()])
        return csr_array((ones, members, rows), shape=(len(counts), len(numbers)))

    n = len(distances)
    groups = indicator(group.ravel().astype(np.int32))
    clusters = [indicator(kind) for kind in kinds]
    sizes = [np.bincount(labels[labels != NOISE]).astype(np.float32) for labels in table]
    for start in range(0, n, BLOCK):
        block = slice(start, start + BLOCK)
        sums = groups @ distances.rows(block).T
        for key, labels, members, size in zip(several, table, clusters, sizes, strict=True):
            results[key][block] = _silhouettes(members @ sums, size, labels[block])
    return [results[labels.tobytes()] for labels in labellings]


def _silhouettes(sums: Floats, sizes: Floats, labels: Labels) -> Floats:
    """Compute the silhouettes of a block of images.

    Parameters
    ----------
    sums : array of float32, shape (k, b)
        Summed distances of the b images to the images of each cluster.
    """
    values = np.zeros(len(labels), dtype=np.float32)
    images = np.flatnonzero((labels != NOISE) & (sizes[labels] > 1))
    own = labels[images]
    sums = sums[:, images]
    within = sums[own, np.arange(len(images))] / (sizes[own] - 1)
    means = sums / sizes[:, None]
    means[own, np.arange(len(images))] = np.inf
    between = means.min(axis=0)
    widest = np.maximum(within, between)
    np.divide(between - within, widest, out=widest, where=widest > 0)
    values[images] = widest
    return values
