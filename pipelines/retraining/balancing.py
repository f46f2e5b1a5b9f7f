"""Bootstrap resampling of the unsafe set: rare root causes weigh as much as frequent ones.

HUDD, section IV-D: images of each cluster are duplicated at random until every cluster has as many
images as the largest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Positions


def balance(clusters: NDArray[np.int32], rng: np.random.Generator) -> Positions:
    """Duplicate images until every cluster has as many as the largest.

    Parameters
    ----------
    clusters : array of int32, shape (n,)
        Cluster of each image of the unsafe set.

    Returns
    -------
    array of intp, shape (number of clusters * size of the largest,)
        Positions of images: every image once, then the duplicates, cluster by cluster.
    """
    ids, sizes = np.unique(clusters, return_counts=True)
    largest = int(sizes.max(initial=0))
    copies = [
        rng.choice(np.flatnonzero(clusters == cluster), largest - size)
        for cluster, size in zip(ids.tolist(), sizes.tolist(), strict=True)
    ]
    every: Positions = np.arange(len(clusters), dtype=np.intp)
    return np.concatenate([every, *copies]).astype(np.intp)


def enlarge(images: int, total: int, rng: np.random.Generator) -> Positions:
    """Duplicate images at random until there are `total`, as in HUDD's baselines (V-B4).

    Parameters
    ----------
    images, total : int
        Number of images, and number of images with duplicates.

    Returns
    -------
    array of intp, shape (max(images, total),), or (0,) without images
        Positions of images: every image once, then the duplicates.
    """
    every: Positions = np.arange(images, dtype=np.intp)
    if not images or total <= images:
        return every
    return np.concatenate([every, rng.choice(every, total - images)]).astype(np.intp)
