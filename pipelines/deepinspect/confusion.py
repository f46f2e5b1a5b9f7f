"""NAPVD: the distance of two classes in neuron activation (DeepInspect, section III-B)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def napvd(matrix: NDArray[np.float32], *, normalise: bool = False) -> NDArray[np.float64]:
    """Compute the neuron activation probability vector distance of all pairs (Equation 2).

    The closer two classes are, the more likely the DNN confuses them. Time grows with neurons x
    classes^2, memory with neurons x classes and with classes^2.

    Parameters
    ----------
    matrix : array of float32, shape (neurons, k)
        P(n|c); columns of NaN for classes without images.
    normalise : bool
        Whether each distance is divided by the square root of the number of neurons that are active
        at least once for either class, as in the published code of the paper.

    Returns
    -------
    array of float64, shape (k, k)
        Symmetric, 0 on the diagonal; NaN for pairs with a class without images.
    """
    from scipy.spatial.distance import pdist, squareform

    count = matrix.shape[1]
    known = np.flatnonzero(~np.isnan(matrix).any(axis=0))
    result = np.full((count, count), np.nan)
    if len(known):
        columns = matrix[:, known].T.astype(np.float64)
        distances = squareform(pdist(columns)) if len(known) > 1 else np.zeros((1, 1))
        if normalise:
            firing = (columns > 0).astype(np.float32)
            firing_counts = firing.sum(axis=1)
            either = firing_counts[:, None] + firing_counts - firing @ firing.T
            distances = distances / np.sqrt(np.maximum(either, 1))
        result[np.ix_(known, known)] = distances
    np.fill_diagonal(result, 0)
    return result


def order_by_similarity(distances: NDArray[np.float64]) -> NDArray[np.intp]:
    """Order classes so that similar ones are side by side.

    Parameters
    ----------
    distances : array of float64, shape (k, k)

    Returns
    -------
    array of int, shape (k,)
        Positions of classes: the leaves of a dendrogram (average linkage), then the classes without
        distances.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    known = known_classes(distances)
    others = np.setdiff1d(np.arange(len(distances)), known)
    if len(known) < 3:
        return np.concatenate([known, others])
    condensed = squareform(distances[np.ix_(known, known)], checks=False)
    leaves = leaves_list(linkage(condensed, "average", optimal_ordering=True))
    return np.concatenate([known[leaves], others])


def place_classes(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Place classes in a plane so that their distances are kept (classical scaling).

    Returns
    -------
    array of float64, shape (k, 2)
        NaN for classes without distances.  The sign of each axis is chosen so that its coordinate
        of largest magnitude is positive: the same distances always give the same map.
    """
    places = np.full((len(distances), 2), np.nan)
    known = known_classes(distances)
    if not len(known):
        return places
    squared = distances[np.ix_(known, known)] ** 2
    centred = squared - squared.mean(axis=0) - squared.mean(axis=1, keepdims=True) + squared.mean()
    values, vectors = np.linalg.eigh(-centred / 2)
    axes = np.argsort(-values, kind="stable")[:2]
    coordinates = vectors[:, axes] * np.sqrt(np.maximum(values[axes], 0))
    largest = coordinates[np.abs(coordinates).argmax(axis=0), np.arange(coordinates.shape[1])]
    places[known] = 0
    places[known, : coordinates.shape[1]] = coordinates * np.where(largest < 0, -1, 1)
    return places


def known_classes(distances: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the positions of the classes that have a distance to another class."""
    has_distance = ~np.isnan(distances)
    np.fill_diagonal(has_distance, False)
    return np.flatnonzero(has_distance.any(axis=1))
