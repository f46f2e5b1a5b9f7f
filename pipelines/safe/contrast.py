"""The space in which causes stand out: failing images in contrast with passing ones.

What varies among passing images, too, is what pictures show; what varies among failing ones alone
is cause. Features are therefore measured in units of the passing images' variation: whitened by
their covariance, so that directions in which passing images vary shrink, and those that only
failing images take remain (its relatives: contrastive principal component analysis, Abid et al.,
Nature Communications 2018; linear discriminant analysis against the passing set).

And a cause is a direction: a little more or less of it moves an image along the same ray from the
passing images' mean. So images are compared by where they lie as seen from that mean, not by how
far: else one strong cause (blur) would set the scale, and mild ones (dirt on the lens) would be
lumped together. Images no farther off than passing ones usually are have no sure direction; they
are drawn in towards the middle.

Not in SAFE; `benchmarks/photographs.py` compares it with the paper's features and others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Floats

RIDGE = 0.003
"""Of the largest variance of passing images, added to all: no axis in which they happen not to vary
counts for much."""
ENOUGH = 300
"""Passing images from which on their covariance needs no more than `RIDGE`."""
ROUNDING = 1e-7
NEIGHBOURS = 10
BY_CHANCE = 0.05
DAMPING = 0.5
"""Of the passing images' root mean square length, added to an image's own, in quadrature."""
STEADY = 1.0
"""Of the mean deviation of a layer's features, added to each: one that hardly varies among passing
images is not blown up where it does among failing ones."""


@dataclass(frozen=True)
class Contrast:
    """The scaling and projection that one run applies to features.

    Attributes
    ----------
    widths : tuple of int
        Features of each layer, side by side.
    mean, scale : arrays of float32, shape (sum of widths,)
        Mean and deviation of log(1 + feature) over the passing images; `scale` also has the
        layer's mean deviation added, and the root of its width, so that each layer counts alike.
    axes : array of float32, shape (components, sum of widths)
        From scaled features to whitened components, by falling share of the failing images'
        squared length.
    length : float
        Root mean square length of passing images in these components.
    explained : float
        Share of the failing images' squared length that the components keep, 0 to 1.
    """

    widths: tuple[int, ...]
    mean: Floats
    scale: Floats
    axes: Floats
    length: float
    explained: float


def fit(failing: Floats, passing: Floats, widths: Sequence[int], *, components: int) -> Contrast:
    """Fit the contrast of failing with passing images.

    Features are log(1 + x), centred by the passing images' mean and divided by their deviation plus
    the mean one of the layer, and by the root of the layer's width; whitened along the principal
    axes of the passing images' covariance, divided by the root of eigenvalue plus ridge; and
    projected on those directions from the passing images' mean that hold most of the failing
    images' squared length.

    Time grows with (n + m) d^2 and d^3, memory with (n + m + d) d, d the sum of widths.

    Parameters
    ----------
    failing : array of float32, shape (n, d)
        0 or more, as pooling layers give them.
    passing : array of float32, shape (m, d)
        At least two. With fewer than 300 the ridge grows in proportion: their covariance is less
        sure.
    components : int
        At most; never more than images and features allow.

    Raises
    ------
    ValueError
        When there is no failing image or fewer than two passing ones, or `components` is below 1.
    """
    if not len(failing) or len(passing) < 2 or components < 1:
        raise ValueError(
            f"expected failing images, two passing ones and a component, received {len(failing)}, "
            f"{len(passing)} and {components}"
        )
    mean, scale = _scaling(passing, widths)
    common = _scaled(passing, mean, scale)
    whitening = _whitening(common, RIDGE * max(1.0, ENOUGH / len(passing)))
    rays = _scaled(failing, mean, scale) @ whitening
    kept, squares = _longest_directions(rays, components)
    projected = common @ whitening @ kept.T
    squared_length = np.square(rays).sum()
    return Contrast(
        widths=tuple(widths),
        mean=mean.astype(np.float32),
        scale=scale.astype(np.float32),
        axes=(whitening @ kept.T).T.astype(np.float32),
        length=float(np.sqrt(np.square(projected).sum(axis=1).mean())),
        explained=float(squares.sum() / squared_length) if squared_length else 1.0,
    )


def _whitening(common: NDArray[np.float64], ridge: float) -> NDArray[np.float64]:
    """Return a matrix that gives passing images the covariance of the identity, but for the ridge.

    Any root of the inverse covariance does, since only the directions that follow are kept:
    Cholesky's costs a tenth of the eigenvectors.

    Parameters
    ----------
    common : array of float64, shape (m, d)
        Scaled features of passing images.
    ridge : float
        Added to all variances, as a share of the largest one along any axis.
    """
    from scipy.linalg import cholesky, eigh, solve_triangular

    width = common.shape[1]
    covariance = np.cov(common.T, ddof=1).reshape(width, width)
    largest = eigh(covariance, eigvals_only=True, subset_by_index=[width - 1, width - 1])[0]
    if largest <= 0:  # passing images that are all alike say nothing of what varies
        return np.eye(width)
    root = cholesky(covariance + ridge * largest * np.eye(width), lower=True)
    whitening: NDArray[np.float64] = solve_triangular(root, np.eye(width), lower=True).T
    return whitening


def _longest_directions(
    rays: NDArray[np.float64], components: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the directions of most squared length, shape (components, d), and these lengths.

    Principal components about the origin, not the mean: from the products of images with one
    another or of features with one another, whichever are fewer.
    """
    from scipy.linalg import eigh

    fewest = min(rays.shape)
    wanted = [max(0, fewest - components), fewest - 1]
    if len(rays) < rays.shape[1]:
        squares, vectors = eigh(rays @ rays.T, subset_by_index=wanted)
        lengths = np.sqrt(np.maximum(squares, 0))
        usable = lengths > ROUNDING * lengths.max()  # copies of images span no direction more
        along = rays.T @ vectors
        vectors = np.divide(along, lengths, out=np.zeros_like(along), where=usable)
    else:
        squares, vectors = eigh(rays.T @ rays, subset_by_index=wanted)
    return vectors.T[::-1], np.maximum(squares[::-1], 0)


def find_plain(failing: Floats, passing: Floats, widths: Sequence[int]) -> NDArray[np.bool_]:
    """Tell which passing images are not surrounded by failing ones.

    Passing images of a cause (dim, but recognised all the same) would make its direction one in
    which passing images vary, and hide it. An image is not plain when more of its ten nearest
    neighbours among all others, by scaled features, fail than chance has it (one-sided binomial
    test, 5 %).

    Time grows with (n + m)^2 d, memory with (n + m) d.

    Returns
    -------
    array of bool, shape (m,)
    """
    from scipy.stats import binom
    from sklearn.neighbors import NearestNeighbors

    mean, scale = _scaling(passing, widths)
    images = np.concatenate([_scaled(part, mean, scale) for part in (failing, passing)])
    wanted = min(NEIGHBOURS, len(images) - 1)
    # Without a query, scikit-learn leaves each image out of its own neighbours.
    ends = NearestNeighbors(n_neighbors=wanted).fit(images).kneighbors(return_distance=False)
    around = (ends[len(failing) :] < len(failing)).sum(axis=1)
    chance = binom.sf(around - 1, wanted, len(failing) / (len(images) - 1))
    plain: NDArray[np.bool_] = chance > BY_CHANCE
    return plain


def _scaling(
    passing: Floats, widths: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and divisor of each feature's logarithm."""
    logarithms = np.log1p(passing.astype(np.float64))
    scale = logarithms.std(axis=0)
    start = 0
    for width in widths:
        part = scale[start : start + width]
        part += STEADY * part.mean()
        part[part == 0] = 1.0
        part *= np.sqrt(width)
        start += width
    return logarithms.mean(axis=0), scale


def _scaled(
    features: Floats, mean: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    scaled: NDArray[np.float64] = (np.log1p(features.astype(np.float64)) - mean) / scale
    return scaled


def project(contrast: Contrast, features: Floats) -> Floats:
    """Return where images lie as seen from the passing images' mean, their distance included.

    Parameters
    ----------
    features : array of float32, shape (n, sum of widths)
        Of the same images or of others.

    Returns
    -------
    array of float32, shape (n, components)
        In the passing images' deviations.
    """
    scaled = (np.log1p(features) - contrast.mean) / contrast.scale
    return np.asarray(scaled @ contrast.axes.T, dtype=np.float32)


def compute_directions(contrast: Contrast, rays: Floats) -> Floats:
    """Return the directions of projected images: of length near 1, less where they are not sure.

    Parameters
    ----------
    rays : array of float32, shape (n, components)
        As `project` returns them.

    Returns
    -------
    array of float32, same shape
    """
    damping = DAMPING * contrast.length
    lengths = np.sqrt(np.square(rays).sum(axis=1, keepdims=True) + damping * damping)
    damped: Floats = np.divide(rays, lengths, out=np.zeros_like(rays), where=lengths > 0)
    return damped
