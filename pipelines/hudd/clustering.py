"""Hierarchical clustering of heatmaps, layer by layer (HUDD, III-B and IV-A, Equations 5 and 6).

Ward linkage on the distances of a layer gives a dendrogram.  The knee of the derivative of the
weighted average intra-cluster distance (WICD) determines where to cut it, and the layer with the
smallest WICD is chosen. Silhouettes, distances to cluster centres and the map are also computed
from distances, since the heatmaps do not fit in memory.

Where the published code differs from the paper, this module follows the paper: that code treats the
rows of the distance matrix as points, and divides every row by its length.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Doubles
from pipelines.hudd.distances import Distances
from pipelines.hudd.wicd import choose_number, compute_wicd_curve, limit_clusters

FEWEST_IMAGES = 4
"""Fewer images than this are one cluster: they are too few to form groups."""
DENSE = 200
"""Number of images up to which all eigenvectors are computed: an iterative solver is no faster."""

Labels = NDArray[np.int32]


@dataclass(frozen=True)
class LayerClusters:
    """The clusters of images by their heatmaps of one layer.

    Attributes
    ----------
    layer : str
    clusters : int
    labels : array of int32, shape (n,)
        Cluster ids from 0, the largest first; clusters of equal size are sorted by their first
        image.
    wicd : float
        WICD of these clusters (Equation 5).
    curve : array of float64, shape (most - 1,)
        WICD of 2, 3, ... most clusters; empty when there are too few images to choose from.
    varies : bool
        Whether any two heatmaps differ.
    seconds : float
        Duration of clustering, including the distances when an iterable computes them on demand.
    """

    layer: str
    clusters: int
    labels: Labels
    wicd: float
    curve: Doubles
    varies: bool
    seconds: float


@dataclass(frozen=True)
class LayerChoice:
    """The clusters of all layers, and the chosen layer.

    Attributes
    ----------
    layers : tuple of LayerClusters
        In the order of the network.
    chosen : LayerClusters
        One of `layers`.
    distances : array of float32, shape (n, n)
        Distances of the images by the chosen layer.
    """

    layers: tuple[LayerClusters, ...]
    chosen: LayerClusters
    distances: Distances


def cluster_layers(layers: Iterable[tuple[str, Distances]], most: int | None = None) -> LayerChoice:
    """Cluster the images by the heatmaps of each layer, and choose a layer (section IV-A).

    Only two matrices of distances are in memory at once: that of the best layer so far, and that of
    the current one.  Time and memory for each layer are those of `cluster_layer`.

    Parameters
    ----------
    layers : iterable of (str, array of float32 of shape (n, n))
        Names and distances.  A generator may compute the distances on demand.
    most : int, optional
        See `wicd.limit_clusters`.

    Raises
    ------
    ValueError
        When there is no layer, or for the reasons of `cluster_layer`.
    """
    layer_results: list[LayerClusters] = []
    best_distances: Distances | None = None
    start = time.perf_counter()
    for name, distances in layers:
        layer_results.append(cluster_layer(name, distances, most, started=start))
        if choose_layer(layer_results) == len(layer_results) - 1:
            best_distances = distances
        start = time.perf_counter()
    if best_distances is None:
        raise ValueError("layers: expected at least one, received none")
    return LayerChoice(
        tuple(layer_results), layer_results[choose_layer(layer_results)], best_distances
    )


def choose_layer(layers: Sequence[LayerClusters]) -> int:
    """Choose the layer with the smallest WICD; of equal ones, the first.

    A layer whose heatmaps are all equal has a WICD of 0 but does not distinguish images: it is
    chosen only if all layers are like that.

    Returns
    -------
    int
        Position of the chosen layer.
    """
    return min(range(len(layers)), key=lambda at: (not layers[at].varies, layers[at].wicd, at))


def cluster_layer(
    layer: str, distances: Distances, most: int | None = None, *, started: float | None = None
) -> LayerClusters:
    """Cluster the images by the heatmaps of one layer (section IV-A).

    All images are one cluster if there are fewer than `FEWEST_IMAGES` images, or if all heatmaps
    are equal. Images with equal heatmaps are always in the same cluster.

    Time grows with n^2.  Memory: see `ward`.

    Parameters
    ----------
    distances : array of float32, shape (n, n)
        Distances of normalised heatmaps (Equation 3): symmetric, 0 on the diagonal.
    most : int, optional
        See `wicd.limit_clusters`.
    started : float, optional
        Value of `time.perf_counter` at the start of the duration; by default, now.

    Raises
    ------
    ValueError
        When the matrix is not square, is empty or has an entry that is not finite, or `most` is
        less than 2.
    """
    start = time.perf_counter() if started is None else started
    n = len(distances)
    if distances.shape != (n, n) or not n:
        raise ValueError(f"distances: expected a square of rows, received {distances.shape}")
    if not np.isfinite(distances.max()):  # catches NaN and infinity
        raise ValueError("distances: expected finite numbers, received others")
    most = limit_clusters(n, most)
    varies = bool(distances.any())
    if n < FEWEST_IMAGES or not varies:
        labels, curve = np.zeros(n, dtype=np.int32), np.empty(0)
        mean = distances.sum(dtype=np.float64) / max(1, n * (n - 1))
        return LayerClusters(
            layer, 1, labels, float(mean), curve, varies, time.perf_counter() - start
        )
    merges = ward(distances)
    # Equal heatmaps merge at height 0 and stay together: a cut between them would be arbitrary.
    most = min(most, 1 + int((merges[:, 2] > 0).sum()))
    curve = compute_wicd_curve(distances, merges, most)
    clusters = choose_number(curve)
    return LayerClusters(
        layer=layer,
        clusters=clusters,
        labels=cut_dendrogram(merges, clusters),
        wicd=float(curve[clusters - 2]),
        curve=curve,
        varies=varies,
        seconds=time.perf_counter() - start,
    )


def ward(distances: Distances) -> Doubles:
    """Build the dendrogram by Ward linkage (section III-B).

    SciPy's update for Ward (Lance and Williams, 1967) takes distances, squares them and takes the
    root again. For Euclidean distances, such as those of Equation 4, the result is that of Ward
    (1963), who defines it for points. The height of a merge is sqrt(2) times the root of the
    increase of the sum of squares within clusters.

    Time grows with n^2 (nearest-neighbour chains). Memory: 10 n^2 bytes besides the distances.

    Parameters
    ----------
    distances : array of float32, shape (n, n)

    Returns
    -------
    array of float64, shape (n - 1, 4)
        Merges, lowest first: two clusters, height, size.  Image i is cluster i; merge j makes
        cluster n + j.
    """
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    if len(distances) < 2:
        return np.empty((0, 4))
    merges: Doubles = linkage(squareform(distances, checks=False), "ward")
    return merges


def cut_dendrogram(merges: Doubles, clusters: int) -> Labels:
    """Cut the dendrogram into a number of clusters.

    Time and memory grow with n.

    Parameters
    ----------
    merges : array of float64, shape (n - 1, 4)
        See `ward`.
    clusters : int
        1 to n.

    Returns
    -------
    array of int32, shape (n,)
        Cluster ids from 0, the largest first; clusters of equal size are sorted by their first
        image.
    """
    n = len(merges) + 1
    # The last merges are left out. From the top down, both parts of a merge get its cluster.
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


def measure_centre_distances(distances: Distances, labels: Labels) -> NDArray[np.float32]:
    """Compute each image's distance to the mean heatmap of its cluster, from distances alone.

    The squared distance of x to the mean of a cluster is the mean of the squared distances from x
    to the images of the cluster, minus half the mean of the squared distances between all pairs of
    these images (pairs of an image with itself included).

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


def compute_silhouettes(distances: Distances, labels: Labels) -> NDArray[np.float32]:
    """Compute the silhouette of every image (Rousseeuw, 1987); 0 if there is only one cluster.

    Time grows with n^2, memory with n: distances are processed block by block.

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

    The coordinates are the first two principal components of the heatmaps, computed from distances:
    double centring turns squared distances into products of centred heatmaps, and each coordinate
    is one of the two leading eigenvectors of these times the root of its eigenvalue.  The sign of
    an axis is chosen so that its largest coordinate is positive: the same distances always give the
    same map.

    Time grows with n^2.  Memory: 4 n^2 bytes.

    Parameters
    ----------
    distances : array of float32, shape (n, n)
        Euclidean.

    Returns
    -------
    array of float32, shape (n, 2)
        In the unit of the distances.  An axis along which images do not vary is all 0.
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

        # A fixed start vector makes the result reproducible.
        start = np.random.default_rng(0).standard_normal(n).astype(np.float32)
        values, vectors = eigsh(products, k=2, which="LA", v0=start, rng=0)
    for axis, at in enumerate(np.argsort(-values)[:2]):
        vector = vectors[:, at] * np.sign(vectors[np.abs(vectors[:, at]).argmax(), at])
        # An eigenvalue that consists of rounding error counts as 0.
        value = values[at] if values[at] > 1e-6 * values.max() else 0.0
        places[:, axis] = vector * np.sqrt(value) * largest
    return places
