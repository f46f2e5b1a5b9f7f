"""Looks: frames of one track that lie in one direction from the passing images.

Not in SAFE. A track has many similar frames. So looks are clustered instead of frames, and each
frame then gets the cluster of its look.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Floats
from pipelines.safe.situations import TOGETHER, to_unit_length


def find_looks(rays: Floats, groups: NDArray[np.int64]) -> NDArray[np.intp]:
    """Find the looks of each group: frames of one track that lie in one direction.

    Thirty frames of one sign are close to one another, but they are no situation. So looks are
    clustered instead of frames. The method is average linkage of the cosine distances within a
    group, cut at `TOGETHER`.

    Time and memory grow with the square of the largest group.

    Parameters
    ----------
    rays : array of float32, shape (n, c)
        Rays of the frames, the result of `contrast.project`.
    groups : array of int64, shape (n,)
        Group (track) of each frame.

    Returns
    -------
    array of intp, shape (n,)
        Look of each frame, from 0; a look has frames of one group only.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    units = to_unit_length(rays)
    looks = np.zeros(len(rays), dtype=np.intp)
    first = 0
    for group in np.unique(groups):
        inside = np.flatnonzero(groups == group)
        own = np.zeros(len(inside), dtype=np.intp)
        if len(inside) > 1:
            upper = np.triu_indices(len(inside), 1)
            distances = np.maximum(1 - units[inside] @ units[inside].T, 0)[upper]
            own = fcluster(linkage(distances, "average"), TOGETHER, "distance") - 1
        looks[inside] = first + own
        first += int(own.max()) + 1
    return looks


def average_rays(rays: Floats, looks: NDArray[np.intp]) -> Floats:
    """Average the rays of each look.

    Returns
    -------
    array of float32, shape (number of looks, c)
    """
    sums = np.zeros((int(looks.max()) + 1, rays.shape[1]), dtype=np.float64)
    np.add.at(sums, looks, rays)
    return (sums / np.bincount(looks)[:, None]).astype(np.float32)
