"""Families: clusters of one situation that look different, such as blurred signs of eight kinds.

At the scale that keeps clusters pure, DBSCAN splits one cause by appearance. The shallow layers of
a network respond to imaging conditions rather than to objects (Gatys et al.: *Image style transfer
using convolutional neural networks*, CVPR 2016). Clusters whose means in a shallow layer are close
therefore form a family.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters.clusters import NOISE, compute_inspection_share

INSPECTED = 0.1
"""Families are joined until five images of each are at most this share of all images."""
FARTHEST = 0.6
"""Clusters farther apart are never joined; unit: root mean square distance of images to their
mean."""


def find_families(
    conditions: NDArray[np.float32],
    labels: NDArray[np.int32],
    *,
    inspected: float = INSPECTED,
    farthest: float = FARTHEST,
) -> dict[int, int]:
    """Group clusters into families until five images of each family are a tenth of all images.

    The method is average linkage of the clusters' means. It joins clusters while five images of
    each family are more than the share `inspected` of all images, and never joins clusters farther
    apart than `farthest`. If five images of each cluster are few enough from the start, every
    cluster is a family of its own.

    Time and memory grow with the square of the number of clusters, and linearly with images.

    Parameters
    ----------
    conditions : array of float32, shape (n, d)
        Features of a layer that responds to imaging conditions.
    labels : array of int32, shape (n,)
        Cluster of each image; -1 is noise.

    Returns
    -------
    dict of int to int
        Family by cluster; family 0 has the most images, ties by the largest cluster.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    clusters = [int(cluster) for cluster in np.unique(labels) if cluster != NOISE]
    if not clusters:
        return {}
    means = np.stack([conditions[labels == c].mean(axis=0, dtype=np.float64) for c in clusters])
    spread = conditions.std(axis=0, dtype=np.float64)
    limit = farthest * float(np.sqrt(np.square(spread).sum()))
    families = np.arange(len(clusters), dtype=np.intp)
    if len(clusters) > 1:
        joined = linkage(means, "average")
        for height in joined[:, 2]:
            enough = compute_inspection_share(_by_image(families, clusters, labels)) <= inspected
            if enough or height > limit:
                break
            families = fcluster(joined, height, "distance") - 1
    return _numbered(families, clusters, labels)


def _by_image(
    families: NDArray[np.intp], clusters: list[int], labels: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Return the family of each image, -1 for noise."""
    largest = max(*clusters, int(labels.max(initial=NOISE)))
    table = np.full(largest + 2, NOISE, dtype=np.int32)  # the last entry is noise's
    table[clusters] = families
    return table[labels]


def _numbered(
    families: NDArray[np.intp], clusters: list[int], labels: NDArray[np.int32]
) -> dict[int, int]:
    by_image = _by_image(families, clusters, labels)
    # Clusters are numbered by size: the first cluster of a family is its largest.
    order = sorted(
        dict.fromkeys(families.tolist()), key=lambda family: -int((by_image == family).sum())
    )
    return {c: order.index(f) for c, f in zip(clusters, families.tolist(), strict=True)}


def label_families(families: Mapping[int, int], labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the family of each image, -1 for noise.

    Parameters
    ----------
    families : mapping of int to int
        Family by cluster.
    labels : array of int32, shape (n,)
        Cluster of each image.
    """
    clusters = list(families)
    if not clusters:
        return np.full(len(labels), NOISE, dtype=np.int32)
    return _by_image(np.array([families[c] for c in clusters]), clusters, labels)
