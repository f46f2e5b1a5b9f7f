"""Hierarchical clustering of heatmaps, layer by layer (HUDD, III-B and IV-A, Equations 5 and 6).

Ward linkage on the distances of a layer gives a dendrogram; the knee of the derivative of the
weighted average intra-cluster distance (WICD) says where to cut it; the layer whose clusters have
the least WICD is chosen.  All that is later shown of the clusters is computed from distances too,
since the heatmaps themselves do not fit in memory.

Where the published code does something else than the paper, the paper is followed: its code takes
the rows of the matrix of distances for points, and normalises every row by its length.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Doubles
from pipelines.hudd.wicd import choose_number, most_clusters, wicd_curve

FEWEST_IMAGES = 4
"""Below which nothing can be said about groups: there is one cluster."""
DENSE = 200
"""Images up to which all eigenvectors are computed: of so few, an iterative solver is no faster."""

Distances = NDArray[np.float32]
Labels = NDArray[np.int32]


@dataclass(frozen=True)
class LayerClusters:
    """The clusters that the heatmaps of one layer give.

    Attributes
    ----------
    layer : str
    clusters : int
    labels : array of int32, shape (n,)
        Cluster ids from 0, the largest first; clusters of one size by their first image.
    wicd : float
        Equation 5, of these clusters.
    curve : array of float64, shape (most - 1,)
        WICD of 2, 3, ... most clusters; empty when there are too few images to choose.
    varies : bool
        Whether any two heatmaps differ.
    seconds : float
        What it took to cluster, and to get the distances when they came on demand.
    """

    layer: str
    clusters: int
    labels: Labels
    wicd: float
    curve: Doubles
    varies: bool
    seconds: float


@dataclass(frozen=True)
class Layers:
    """All layers, and the chosen one.

    Attributes
    ----------
    layers : tuple of LayerClusters
        In the order given.
    chosen : LayerClusters
        One of them.
    distances : array of float32, shape (n, n)
        Of the chosen one.
    """

    layers: tuple[LayerClusters, ...]
    chosen: LayerClusters
    distances: Distances


def cluster_layers(layers: Iterable[tuple[str, Distances]], most: int | None = None) -> Layers:
    """Cluster the images by each layer's heatmaps, and choose the layer (section IV-A).

    Layers are asked for one at a time; the distances of two are held at once, of the best so far
    and of the one at hand.  Time and memory are those of `cluster_layer` for each.

    Parameters
    ----------
    layers : iterable of (str, array of float32 of shape (n, n))
        Names and distances; a generator computes them when they are asked for.
    most : int, optional
        See `wicd.most_clusters`.

    Raises
    ------
    ValueError
        When there is no layer; and see `cluster_layer`.
    """
    results: list[LayerClusters] = []
    kept: Distances | None = None
    start = time.perf_counter()
    for name, distances in layers:
        results.append(cluster_layer(name, distances, most, started=start))
        if choose_layer(results) == len(results) - 1:
            kept = distances
        start = time.perf_counter()
    if kept is None:
        raise ValueError("layers: expected at least one, received none")
    return Layers(tuple(results), results[choose_layer(results)], kept)


def choose_layer(layers: Sequence[LayerClusters]) -> int:
    """Choose the layer with the least WICD; of equal ones the first.

    A layer whose heatmaps are all equal has a WICD of 0 and tells no images apart: it is chosen
    only where no other is left.

    Returns
    -------
    int
        Its place.
    """
    return min(range(len(layers)), key=lambda at: (not layers[at].varies, layers[at].wicd, at))


def cluster_layer(
    layer: str, distances: Distances, most: int | None = None, *, started: float | None = None
) -> LayerClusters:
    """Cluster the images by the heatmaps of one layer (section IV-A).

    One cluster when there are fewer than `FEWEST_IMAGES` images or all heatmaps are equal.  Equal
    heatmaps are never in two clusters.

    Time grows with n^2.  Memory: see `ward`.

    Parameters
    ----------
    distances : array of float32, shape (n, n)
        Of normalised heatmaps (Equation 3): symmetric, 0 on the diagonal.
    most : int, optional
        See `wicd.most_clusters`.
    started : float, optional
        Reading of `time.perf_counter` from which on seconds are counted; now by default.

    Raises
    ------
    ValueError
        When distances are no square, have no row or are not finite, or `most` is less than 2.
    """
    start = time.perf_counter() if started is None else started
    n = len(distances)
    if distances.shape != (n, n) or not n:
        raise ValueError(f"distances: expected a square of rows, received {distances.shape}")
    if not np.isfinite(distances.max()):  # NaN and infinity alike
        raise ValueError("distances: expected finite numbers, received others")
    most = most_clusters(n, most)
    varies = bool(distances.any())
    if n < FEWEST_IMAGES or not varies:
        labels, curve = np.zeros(n, dtype=np.int32), np.empty(0)
        mean = distances.sum(dtype=np.float64) / max(1, n * (n - 1))
        return LayerClusters(
            layer, 1, labels, float(mean), curve, varies, time.perf_counter() - start
        )
    merges = ward(distances)
    # Equal heatmaps, merged at height 0, stay together: nothing says where to part them.
    most = min(most, 1 + int((merges[:, 2] > 0).sum()))
    curve = wicd_curve(distances, merges, most)
    clusters = choose_number(curve)
    return LayerClusters(
        layer=layer,
        clusters=clusters,
        labels=cut(merges, clusters),
        wicd=float(curve[clusters - 2]),
        curve=curve,
        varies=varies,
        seconds=time.perf_counter() - start,
    )


def ward(distances: Distances) -> Doubles:
    """Build the dendrogram by Ward linkage (section III-B).

    SciPy's update for Ward (Lance and Williams, 1967) takes plain distances, squares them itself
    and takes the root again: of Euclidean distances, which those of Equation 4 are, it computes
    what Ward (1963) defines on the points, though there are none here. Heights are roots, too:
    sqrt(2) times the root of what a merge adds to the sum of squares within clusters. Rows of the
    matrix of distances as points are something else, and no distance of heatmaps any more.

    Time grows with n^2 (nearest-neighbour chains).  Memory: 10 n^2 bytes beside the distances.

    Parameters
    ----------
    distances : array of float32, shape (n, n)

    Returns
    -------
    array of float64, shape (n - 1, 4)
        Merges, lowest first: two clusters, height, size. Image i is cluster i, merge j makes
        cluster n + j.
    """
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    if len(distances) < 2:
        return np.empty((0, 4))
    merges: Doubles = linkage(squareform(distances, checks=False), "ward")
    return merges


def cut(merges: Doubles, clusters: int) -> Labels:
    """Cut the dendrogram into a number of clusters.  Time and memory grow with n.

    Parameters
    ----------
    merges : array of float64, shape (n - 1, 4)
        See `ward`.
    clusters : int
        1 to n.

    Returns
    -------
    array of int32, shape (n,)
        Cluster ids from 0, the largest first; clusters of one size by their first image.
    """
    n = len(merges) + 1
    # The last merges are left out; from the top down, every cluster is what it is merged into.
    part_of = np.arange(2 * n - 1)
    for step in range(n - clusters - 1, -1, -1):
        part_of[merges[step, :2].astype(np.intp)] = part_of[n + step]
    _, first, members, sizes = np.unique(
        part_of[:n], return_index=True, return_inverse=True, return_counts=True
    )
    numbers = np.empty(len(sizes), dtype=np.int32)
    numbers[np.lexsort((first, -sizes))] = np.arange(len(sizes), dtype=np.int32)
    labels: Labels = numbers[members]
    return labels


def centre_distances(distances: Distances, labels: Labels) -> NDArray[np.float32]:
    """Compute each image's distance to the mean of its cluster's heatmaps, from distances alone.

    The squared distance of x to the mean of a cluster is the mean of its squared distances to the
    images of the cluster, less half the mean of those between any two of them, themselves included.

    Time and memory grow with the square of the largest cluster.

    Parameters
    ----------
    distances : array of float32, shape (n, n)
        Euclidean.
    labels : array of int32, shape (n,)

    Returns
    -------
    array of float32, shape (n,)
    """
    result = np.empty(len(labels), dtype=np.float32)
    for cluster in np.unique(labels):
        inside = np.flatnonzero(labels == cluster)
        squared = np.square(distances[np.ix_(inside, inside)], dtype=np.float64)
        means = squared.mean(axis=1)
        result[inside] = np.sqrt(np.maximum(means - means.mean() / 2, 0))
    return result


def silhouettes(distances: Distances, labels: Labels) -> NDArray[np.float32]:
    """Compute the silhouette of every image (Rousseeuw, 1987); 0 where there is one cluster.

    Time grows with n^2, memory with n: distances are taken block by block.

    Parameters
    ----------
    distances : array of float32, shape (n, n)
    labels : array of int32, shape (n,)

    Returns
    -------
    array of float32, shape (n,)
        -1 to 1; 0 for a cluster of one image.
    """
    from sklearn.metrics import silhouette_samples

    if not 1 < len(np.unique(labels)) < len(labels):
        return np.zeros(len(labels), dtype=np.float32)
    values = silhouette_samples(distances, labels, metric="precomputed")
    return values.astype(np.float32)  # type: ignore[no-any-return]


def map_places(distances: Distances) -> NDArray[np.float32]:
    """Place the images on a map by classical scaling (Torgerson, 1952).

    These are the first two principal components of the heatmaps, without the heatmaps: the two
    leading eigenvectors of the centred products, which double centring makes out of squared
    distances, each times the root of its eigenvalue. An axis points to where the image lies that
    is farthest along it, so that the same distances give the same map.

    Time grows with n^2.  Memory: 4 n^2 bytes.

    Parameters
    ----------
    distances : array of float32, shape (n, n)
        Euclidean.

    Returns
    -------
    array of float32, shape (n, 2)
        In the unit of the distances; a direction in which nothing varies is all 0.
    """
    n = len(distances)
    places = np.zeros((n, 2), dtype=np.float32)
    largest = distances.max(initial=0)
    if not largest:
        return places
    products = distances / largest  # no square is too small or too large for float32
    np.square(products, out=products)
    means = products.mean(axis=1, dtype=np.float64).astype(np.float32)
    products -= means
    products -= (means - means.mean())[:, None]
    products *= -0.5
    if n <= DENSE:
        values, vectors = np.linalg.eigh(products.astype(np.float64))
    else:
        from scipy.sparse.linalg import eigsh

        # From a fixed start, so that no chance is in it.
        start = np.random.default_rng(0).standard_normal(n).astype(np.float32)
        values, vectors = eigsh(products, k=2, which="LA", v0=start, rng=0)
    for axis, at in enumerate(np.argsort(-values)[:2]):
        vector = vectors[:, at] * np.sign(vectors[np.abs(vectors[:, at]).argmax(), at])
        # What rounding leaves of a direction in which nothing varies is no direction.
        value = values[at] if values[at] > 1e-6 * values.max() else 0.0
        places[:, axis] = vector * np.sqrt(value) * largest
    return places
