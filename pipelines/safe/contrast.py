"""Contrast: a space of features in which causes of failure stand out from passing images.

Features that vary among passing images describe what pictures show; features that vary only among
failing images point to causes. So features are measured in units of the passing images' variation:
they are whitened by the passing images' covariance. Directions in which passing images vary become
short, and directions that only failing images have remain. Related methods are contrastive
principal component analysis (Abid et al., Nature Communications 2018) and linear discriminant
analysis against the passing set.

A cause is a direction: a stronger or weaker form of one cause moves an image along the same ray
from the passing images' mean. So images are compared by their direction from that mean, not by
their distance from it. Otherwise one strong cause (blur) would set the scale, and weak causes (dirt
on the lens) would fall into one cluster. If an image is about as close to the mean as passing
images are, its direction is uncertain; such images are moved towards the centre.

Not in SAFE; `benchmarks/photographs.py` compares it with the paper's features and others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Floats

RIDGE = 0.003
"""This share of the passing images' largest variance is added to all variances, so that an axis
with little variation by chance gets no large weight."""
ENOUGH = 300
"""With at least this many passing images, `RIDGE` is enough to make their covariance stable."""
ROUNDING = 1e-7
NEIGHBOURS = 10
BY_CHANCE = 0.05
DAMPING = 0.5
"""This share of the passing images' root mean square length is added to an image's length (root of
the sum of squares)."""
STEADY = 1.0
"""This share of the mean deviation of a layer's features is added to the deviation of each, so that
a feature that hardly varies among passing images gets no large weight."""


@dataclass(frozen=True)
class Contrast:
    """The scaling and projection that one run applies to features.

    Attributes
    ----------
    widths : tuple of int
        Number of features of each layer; layers are concatenated.
    mean, scale : arrays of float32, shape (sum of widths,)
        Mean and divisor of log(1 + feature). The divisor is the deviation over the passing images
        plus the layer's mean deviation, times the root of the layer's width, so that all layers
        have the same weight.
    axes : array of float32, shape (components, sum of widths)
        Matrix from scaled features to whitened components, sorted by descending share of the
        failing images' squared length.
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

    The steps are:

    1. Take log(1 + x) of the features, subtract the passing images' mean, and divide by the `scale`
       of `Contrast`.
    2. Whiten by the passing images' covariance plus a ridge.
    3. Project on the directions from the passing images' mean that hold most of the failing images'
       squared length.

    Time grows with (n + m) d^2 and d^3, memory with (n + m + d) d, where d is the sum of widths.

    Parameters
    ----------
    failing : array of float32, shape (n, d)
        Features, 0 or more, from pooling layers.
    passing : array of float32, shape (m, d)
        m is at least 2. Below 300 images the ridge grows in proportion, because their covariance is
        less certain.
    components : int
        Largest number of components; images and features may allow fewer.

    Raises
    ------
    ValueError
        When there is no failing image or fewer than two passing ones, or `components` is below 1.
    """
    from scipy.linalg import solve_triangular

    if not len(failing) or len(passing) < 2 or components < 1:
        raise ValueError(
            "expected at least one failing image, two passing images and one component, received "
            f"{len(failing)}, {len(passing)} and {components}"
        )
    mean, scale = _scaling(passing, widths)
    common = _scaled(passing, mean, scale)
    root = _root_of_covariance(common, RIDGE * max(1.0, ENOUGH / len(passing)))
    # `whitened` solves root @ whitened = scaled, with one image per column.
    rays = solve_triangular(root, _scaled(failing, mean, scale).T, lower=True).T
    kept, squares = _longest_directions(rays, components)
    axes = solve_triangular(root, kept.T, trans="T", lower=True).T
    projected = common @ axes.T
    squared_length = np.square(rays).sum()
    return Contrast(
        widths=tuple(widths),
        mean=mean.astype(np.float32),
        scale=scale.astype(np.float32),
        axes=axes.astype(np.float32),
        length=float(np.sqrt(np.square(projected).sum(axis=1).mean())),
        explained=float(squares.sum() / squared_length) if squared_length else 1.0,
    )


def _root_of_covariance(common: NDArray[np.float64], ridge: float) -> NDArray[np.float64]:
    """Return the Cholesky root of the passing images' covariance plus the ridge.

    The inverse of any root whitens, because the components are rotated afterwards. The Cholesky
    root takes a tenth of the time of eigenvectors.

    Parameters
    ----------
    common : array of float64, shape (m, d)
        Scaled features of passing images.
    ridge : float
        Added to all variances, as a share of the largest variance along any axis.

    Returns
    -------
    array of float64, shape (d, d)
        Lower triangular. The identity if all passing images are equal: there is then no variation
        to measure by.
    """
    from scipy.linalg import cholesky, eigh

    centred = common - common.mean(axis=0)
    covariance = centred.T @ centred / (len(common) - 1)
    # The products of images have the same largest eigenvalue as the products of features.
    fewer = centred @ centred.T / (len(common) - 1) if len(common) < len(covariance) else covariance
    last = len(fewer) - 1
    largest = eigh(fewer, eigvals_only=True, subset_by_index=[last, last])[0]
    if largest <= 0:
        return np.eye(len(covariance))
    root: NDArray[np.float64] = cholesky(
        covariance + ridge * largest * np.eye(len(covariance)), lower=True
    )
    return root


def _longest_directions(
    rays: NDArray[np.float64], components: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the directions of most squared length, shape (components, d), and these lengths.

    These are principal components about the origin instead of the mean. They are computed from the
    products of images or of features, whichever matrix is smaller.
    """
    from scipy.linalg import eigh

    fewest = min(rays.shape)
    wanted = [max(0, fewest - components), fewest - 1]
    if len(rays) < rays.shape[1]:
        squares, vectors = eigh(rays @ rays.T, subset_by_index=wanted)
        lengths = np.sqrt(np.maximum(squares, 0))
        usable = lengths > ROUNDING * lengths.max()  # copies of images add no direction
        along = rays.T @ vectors
        vectors = np.divide(along, lengths, out=np.zeros_like(along), where=usable)
    else:
        squares, vectors = eigh(rays.T @ rays, subset_by_index=wanted)
    return vectors.T[::-1], np.maximum(squares[::-1], 0)


def find_plain(failing: Floats, passing: Floats, widths: Sequence[int]) -> NDArray[np.bool_]:
    """Find the plain passing images: those that are not surrounded by failing images.

    Some passing images have a cause of failure, such as dim images that the DNN nevertheless
    recognised. They would make the cause a direction in which passing images vary, and so hide it.
    An image is not plain if more of its ten nearest neighbours, by scaled features, fail than
    chance explains (one-sided binomial test, 5 %).

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
    # Without an argument, scikit-learn does not count an image as its own neighbour.
    ends = NearestNeighbors(n_neighbors=wanted).fit(images).kneighbors(return_distance=False)
    around = (ends[len(failing) :] < len(failing)).sum(axis=1)
    chance = binom.sf(around - 1, wanted, len(failing) / (len(images) - 1))
    plain: NDArray[np.bool_] = chance > BY_CHANCE
    return plain


def _scaling(
    passing: Floats, widths: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and the divisor of each feature's logarithm (see `Contrast`)."""
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
    """Project features: compute the ray of each image from the passing images' mean.

    Time and memory grow linearly with the number of images.

    Parameters
    ----------
    features : array of float32, shape (n, sum of widths)
        Features of the same images or of others.

    Returns
    -------
    array of float32, shape (n, components)
        Rays, in units of the passing images' deviation.
    """
    scaled = (np.log1p(features) - contrast.mean) / contrast.scale
    return np.asarray(scaled @ contrast.axes.T, dtype=np.float32)


def compute_directions(contrast: Contrast, rays: Floats) -> Floats:
    """Compute the directions of rays: length near 1, and shorter if they are uncertain.

    Parameters
    ----------
    rays : array of float32, shape (n, components)
        The result of `project`.

    Returns
    -------
    array of float32, same shape
    """
    damping = DAMPING * contrast.length
    lengths = np.sqrt(np.square(rays).sum(axis=1, keepdims=True) + damping * damping)
    damped: Floats = np.divide(rays, lengths, out=np.zeros_like(rays), where=lengths > 0)
    return damped
