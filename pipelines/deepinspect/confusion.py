"""How near to one another the neurons see two classes (DeepInspect, section III-B)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def napvd(matrix: NDArray[np.float32], *, normalise: bool = False) -> NDArray[np.float64]:
    """Compute the neuron activation probability vector distance of all pairs (Equation 2).

    The nearer two classes are, the more likely they are confused.  Time grows with neurons x
    classes squared, memory with neurons x classes and classes squared.

    Parameters
    ----------
    matrix : array of float32, shape (neurons, k)
        P(n|c); columns of NaN for classes without images.
    normalise : bool
        Whether each distance is divided by the square root of the number of neurons that are ever
        active for either class, as the published code of the paper does.

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
            fires = (columns > 0).astype(np.float32)
            each = fires.sum(axis=1)
            either = each[:, None] + each - fires @ fires.T
            distances = distances / np.sqrt(np.maximum(either, 1))
        result[np.ix_(known, known)] = distances
    np.fill_diagonal(result, 0)
    return result


def order_by_similarity(distances: NDArray[np.float64]) -> NDArray[np.intp]:
    """Order classes so that those which are near to one another stand side by side.

    Parameters
    ----------
    distances : array of float64, shape (k, k)

    Returns
    -------
    array of int, shape (k,)
        Leaves of the dendrogram (average linkage), classes without distances last.
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
    """Place classes in a plane, as far apart as their distances say (classical scaling).

    Returns
    -------
    array of float64, shape (k, 2)
        NaN for classes without distances.  Of two mirror images the one whose largest coordinate
        is positive.
    """
    places = np.full((len(distances), 2), np.nan)
    known = known_classes(distances)
    if not len(known):
        return places
    squared = distances[np.ix_(known, known)] ** 2
    centred = squared - squared.mean(axis=0) - squared.mean(axis=1, keepdims=True) + squared.mean()
    values, vectors = np.linalg.eigh(-centred / 2)
    axes = np.argsort(-values, kind="stable")[:2]
    found = vectors[:, axes] * np.sqrt(np.maximum(values[axes], 0))
    largest = found[np.abs(found).argmax(axis=0), np.arange(found.shape[1])]
    places[known] = 0
    places[known, : found.shape[1]] = found * np.where(largest < 0, -1, 1)
    return places


def known_classes(distances: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the positions of the classes that have a distance to any other."""
    apart = ~np.isnan(distances)
    np.fill_diagonal(apart, False)
    return np.flatnonzero(apart.any(axis=1))
