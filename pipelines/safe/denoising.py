"""Denoising of reduced features on their neighbourhood graph (not in SAFE; measured to help).

Clusters of failing images differ in density, and weak cases of one cause lie between strong cases
and other causes. So DBSCAN with one eps merges some causes and splits others. Denoising moves every
image a few times to the weighted mean of its nearest neighbours (manifold denoising, Hein and
Maier, 2006). This contracts each situation and keeps the gaps between situations.
`benchmarks/quality.py` compares it with the paper's choices and with UMAP.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.safe.dbscan import find_nearest

NEIGHBOURS = 5
STEPS = 8
COPY = np.float32(1e-6)
"""Smallest scale of an image, so that copies of an image do not cause a division by 0."""


def denoise(
    points: NDArray[np.float32], neighbours: int = NEIGHBOURS, steps: int = STEPS
) -> NDArray[np.float32]:
    """Move every image towards its neighbours.

    Two images are linked if one is among the nearest `neighbours` of the other. The weight of a
    link is exp(-d^2 / (s_i s_j)). Here d is the distance of the two images, and s the distance of
    an image to the last of these neighbours (Zelnik-Manor and Perona, 2004). So an outlier, which
    is far from its linked images, hardly moves. In each step, every image moves to the weighted
    mean of its linked images and of itself, with weight 1.

    Time grows with n^2 (the search for neighbours), memory with n.

    Parameters
    ----------
    points : array of float32, shape (n, d)
    neighbours : int
        More neighbours merge rare situations into frequent ones; fewer split frequent ones.
    steps : int
        Number of moves of every image.

    Returns
    -------
    array of float32, shape (n, d)
    """
    from scipy.sparse import coo_array

    n = len(points)
    near = find_nearest(points, neighbours + 1)
    scales = np.maximum(near.distances[:, -1], COPY)
    ends = np.repeat(np.arange(n), near.indices.shape[1]), near.indices.ravel()
    exponents = np.square(near.distances.ravel()) / (scales[ends[0]] * scales[ends[1]])
    links = coo_array((np.exp(-exponents), ends), shape=(n, n)).tocsr()
    links = links.maximum(links.T)
    links.setdiag(1.0)
    weights = links.sum(axis=1)[:, None]
    moved = points
    for _ in range(steps):
        moved = (links @ moved) / weights
    return moved.astype(np.float32)
