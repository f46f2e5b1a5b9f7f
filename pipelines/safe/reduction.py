"""Dimensionality reduction by principal component analysis (SAFE, section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

EXACT_BELOW = 1000


@dataclass(frozen=True)
class Reduction:
    """The scaling and projection that one run applies to features.

    Attributes
    ----------
    widths : tuple of int
        Number of features of each layer; layers are concatenated. Each is scaled to unit length
        unless `unit_length` is False.
    mean : array of float32, shape (sum of widths,)
    components : array of float32, shape (components, sum of widths)
        Principal axes, sorted by descending variance.
    explained : float
        Share of the variance that the components keep, 0 to 1.
    """

    widths: tuple[int, ...]
    unit_length: bool
    mean: NDArray[np.float32]
    components: NDArray[np.float32]
    explained: float


def scale_to_unit_length(
    features: NDArray[np.float32], widths: Sequence[int]
) -> NDArray[np.float32]:
    """Scale the features of each layer and image to Euclidean length 1; zeros stay zeros.

    Parameters
    ----------
    features : array of float32, shape (n, sum of widths)

    Returns
    -------
    array of float32, same shape
    """
    scaled = features.copy()
    start = 0
    for width in widths:
        part = scaled[:, start : start + width]
        lengths = np.sqrt(np.square(part).sum(axis=1, keepdims=True))
        np.divide(part, lengths, out=part, where=lengths > 0)
        start += width
    return scaled


def fit(
    features: NDArray[np.float32],
    widths: Sequence[int],
    *,
    components: int,
    unit_length: bool,
    seed: int,
) -> Reduction:
    """Fit the principal components of a set of images.

    The paper keeps 256 components; images and features may allow fewer. Below 1,000 images the
    decomposition is exact. From 1,000 images on, it is randomised (Halko et al., 2011), and time
    and memory grow linearly with the number of images.

    Parameters
    ----------
    features : array of float32, shape (n, sum of widths)
    components : int
        Largest number of components, at least 1.

    Raises
    ------
    ValueError
        When a feature is not finite or `components` is below 1.
    """
    from sklearn.decomposition import PCA

    if components < 1:
        raise ValueError(f"components: expected at least 1, received {components}")
    scaled = scale_to_unit_length(features, widths) if unit_length else features
    kept = min(components, *scaled.shape)
    solver = "full" if len(scaled) < EXACT_BELOW else "randomized"
    with np.errstate(divide="ignore", invalid="ignore"):  # one image has no variance
        pca = PCA(kept, svd_solver=solver, random_state=seed).fit(scaled)
    explained = float(pca.explained_variance_ratio_.sum())
    return Reduction(
        widths=tuple(widths),
        unit_length=unit_length,
        mean=pca.mean_.astype(np.float32),
        components=pca.components_.astype(np.float32),
        explained=min(explained, 1.0) if np.isfinite(explained) else 1.0,
    )


def apply(reduction: Reduction, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Project the features of the same images or of new ones; time grows linearly with n.

    Parameters
    ----------
    features : array of float32, shape (n, sum of widths)

    Returns
    -------
    array of float32, shape (n, components)
    """
    scaled = features
    if reduction.unit_length:
        scaled = scale_to_unit_length(features, reduction.widths)
    return np.asarray((scaled - reduction.mean) @ reduction.components.T, dtype=np.float32)


def embed(reduction: Reduction, widths: Sequence[int], columns: NDArray[np.intp]) -> Reduction:
    """Return the same projection for the features of more layers, of which it uses some.

    Parameters
    ----------
    reduction : Reduction
        Fitted to whole layers, in their order.
    widths : sequence of int
        Number of features of each layer, for all layers.
    columns : array of intp, shape (features that `reduction` was fitted to,)
        Their positions among the features of all layers.
    """
    width = sum(widths)
    mean = np.zeros(width, dtype=np.float32)
    components = np.zeros((len(reduction.components), width), dtype=np.float32)
    mean[columns] = reduction.mean
    components[:, columns] = reduction.components
    return replace(reduction, widths=tuple(widths), mean=mean, components=components)
