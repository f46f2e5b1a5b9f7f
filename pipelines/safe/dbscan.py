"""DBSCAN at any eps from one spanning tree (Ester et al., 1996; SAFE, section 2: clustering).

- The core distance of an image is its distance to its min_samples-th neighbour; the image itself
  counts as the first. An image is a core image at eps if its core distance is at most eps.
- The mutual reachability distance of two images is the largest of their distance and their two core
  distances. Two core images are linked at eps if this distance is at most eps.
- So the clusters at eps are the parts of the minimum spanning tree of mutual reachability distances
  that remain when the edges longer than eps are cut (Campello et al., 2013).
- An image that is not a core image has fewer than min_samples neighbours within eps. So its nearest
  min_samples neighbours show which clusters it borders on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Floats

Labels = NDArray[np.int32]

NOISE = -1
MATRIX_LIMIT = 20_000


class Distances:
    """Euclidean distances between images, row by row.

    Up to `MATRIX_LIMIT` images they are computed once and kept in 4 n^2 bytes (1.6 GB for 20,000
    images). For more images, each row is computed on demand. That is slower, but memory grows only
    linearly with n.

    Parameters
    ----------
    points : array of float32, shape (n, d)
    """

    def __init__(self, points: Floats, limit: int = MATRIX_LIMIT) -> None:
        self.points = points
        self.matrix = _between(points, points) if len(points) <= limit else None
        if self.matrix is None:
            self.exact = points.astype(np.float64)
            self.squares = np.square(self.exact).sum(axis=1)

    def __len__(self) -> int:
        return len(self.points)

    def rows(self, index: int | slice) -> Floats:
        """Return the distances of one image, shape (n,), or of a slice of images, (k, n)."""
        rows: Floats
        if self.matrix is not None:
            rows = self.matrix[index]
        elif isinstance(index, slice):
            rows = _between(self.points[index], self.points)
        else:
            # The expanded square, as in `_between`: one matrix-vector product a row.
            squares = self.squares + self.squares[index] - 2 * (self.exact @ self.exact[index])
            squares[index] = 0
            rows = np.sqrt(np.maximum(squares, 0)).astype(np.float32)
        return rows


def _between(some: Floats, all_points: Floats) -> Floats:
    from sklearn.metrics import euclidean_distances

    # scikit-learn expands the square in float64, so that near-duplicates keep small distances.
    distances: Floats = euclidean_distances(some, None if some is all_points else all_points)
    return distances.astype(np.float32, copy=False)


@dataclass(frozen=True)
class Neighbours:
    """The nearest images of each image, including itself.

    Attributes
    ----------
    distances : array of float32, shape (n, k)
        Ascending; column m - 1 is the core distance for min_samples = m.
    indices : array of int64, shape (n, k)
    """

    distances: Floats
    indices: NDArray[np.int64]


def find_nearest(points: Floats, k: int) -> Neighbours:
    """Find the k nearest images of each image, including itself; if there are fewer, all.

    Time grows with n^2, memory with n k.
    """
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=min(k, len(points)), algorithm="brute").fit(points)
    distances, indices = search.kneighbors(points)
    return Neighbours(distances.astype(np.float32), indices.astype(np.int64))


@dataclass(frozen=True)
class Tree:
    """A minimum spanning tree of mutual reachability distances for one min_samples.

    Attributes
    ----------
    ends : array of int64, shape (2, n - 1)
        The two images that each edge links, the one closer to the root first. Every image except
        the root is the second image of one edge.
    lengths : array of float32, shape (n - 1,)
    """

    ends: NDArray[np.int64]
    lengths: Floats


def grow_spanning_tree(distances: Distances, core_distances: Floats) -> Tree:
    """Grow the minimum spanning tree by Prim's algorithm, which reads each row of distances once.

    Time grows with n^2, memory with n.

    Parameters
    ----------
    core_distances : array of float32, shape (n,)
    """
    n = len(distances)
    shortest = np.full(n, np.inf, dtype=np.float32)
    origin = np.zeros(n, dtype=np.int64)
    outside = np.ones(n, dtype=np.bool_)
    ends = np.empty((2, n - 1), dtype=np.int64)
    lengths = np.empty(n - 1, dtype=np.float32)
    newest = 0
    for step in range(n - 1):
        outside[newest] = False
        shortest[newest] = np.inf
        reach = np.maximum(distances.rows(newest), core_distances)
        np.maximum(reach, core_distances[newest], out=reach)
        closer = (reach < shortest) & outside
        np.copyto(shortest, reach, where=closer)
        origin[closer] = newest
        newest = int(shortest.argmin())
        ends[:, step] = origin[newest], newest
        lengths[step] = shortest[newest]
    return Tree(ends, lengths)


def cut(tree: Tree, neighbours: Neighbours, eps: float, min_samples: int) -> Labels:
    """Return DBSCAN's labels at `eps`, numbered as scikit-learn numbers them.

    Clusters are numbered by their first core image; an image that borders on several clusters
    belongs to the one with the lowest number. Time grows with n log n.

    Parameters
    ----------
    tree : Tree
        The tree for this `min_samples`.
    neighbours : Neighbours
        At least `min_samples` neighbours of each image.

    Returns
    -------
    array of int32, shape (n,)
    """
    n = len(neighbours.indices)
    labels = np.full(n, NOISE, dtype=np.int32)
    core = is_core(neighbours, eps, min_samples)
    if not core.any():
        return labels
    tops = _find_tops(tree, eps, n)
    _, first, part = np.unique(tops[core], return_index=True, return_inverse=True)
    labels[core] = first.argsort().argsort()[part]

    border = np.flatnonzero(~core)
    near = neighbours.indices[border, :min_samples]
    within = (neighbours.distances[border, :min_samples] <= eps) & core[near]
    lowest = np.where(within, labels[near], n).min(axis=1)
    labels[border] = np.where(lowest < n, lowest, NOISE)
    return labels


def _find_tops(tree: Tree, eps: float, n: int) -> NDArray[np.int64]:
    """Return the topmost image that each image is linked to by edges of at most `eps`.

    In each round, every image jumps to the target of its current target, until none moves. The
    number of rounds grows with the logarithm of the tree's depth.
    """
    kept = tree.lengths <= eps
    tops = np.arange(n)
    tops[tree.ends[1, kept]] = tree.ends[0, kept]
    while True:
        higher = tops[tops]
        if (higher == tops).all():
            return tops
        tops = higher


def is_core(neighbours: Neighbours, eps: float, min_samples: int) -> NDArray[np.bool_]:
    """Tell which images have at least `min_samples` images within `eps`, including themselves."""
    if min_samples > neighbours.distances.shape[1]:
        return np.zeros(len(neighbours.distances), dtype=np.bool_)
    core: NDArray[np.bool_] = neighbours.distances[:, min_samples - 1] <= eps
    return core
