"""Confidence intervals of shares of images: Wilson's interval, for images that come in groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95


def effective_share(failed: NDArray[np.bool_], groups: NDArray[np.int64]) -> float:
    """Return how many independent images one image of a group counts for, 0 to 1.

    Frames of one drive fail together, so many of them say little more than one. The result is 1
    over the design effect (Kish: *Survey Sampling*, 1965): the variance of the share of failing
    images between groups, divided by its variance for independent images, and at least 1. When all
    images fail, or none, the images of each group are assumed to always agree.

    Parameters
    ----------
    failed : array of bool, shape (n,)
        Which images failed. The inverted array gives the same result.
    groups : array of int64, shape (n,)

    Returns
    -------
    float
        1 over the design effect; 1 when each image is a group of its own.
    """
    if not len(groups):
        return 1.0
    _, places = np.unique(groups, return_inverse=True)
    sizes = np.bincount(places).astype(np.float64)
    images, count = sizes.sum(), len(sizes)
    if count == images:
        return 1.0
    if count == 1:
        return float(1 / images)
    share = float(failed.mean())
    agreeing = float(np.square(sizes).sum() / images)
    if share in (0.0, 1.0):
        return 1 / agreeing
    residuals = np.bincount(places, failed.astype(np.float64)) - share * sizes
    between = count / (count - 1) * float(np.square(residuals).sum()) / images**2
    effect = between / (share * (1 - share) / images)
    return float(1 / max(effect, 1.0))


def wilson_interval(successes: float, images: float) -> tuple[float, float]:
    """Compute Wilson's 95 % interval of a share; the numbers need not be whole.

    The form is that of Newcombe (*Statistics in Medicine*, 1998), which SciPy has for whole
    numbers only.

    Parameters
    ----------
    successes : float
        0 to `images`.
    images : float
        More than 0.
    """
    from scipy.special import ndtri

    z = float(ndtri((1 + CONFIDENCE) / 2))
    share = successes / images
    divisor = 2 * (images + z**2)
    middle = (2 * images * share + z**2) / divisor
    half = z / divisor * float(np.sqrt(4 * images * share * (1 - share) + z**2))
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    return low, 1.0 if successes == images else min(1.0, middle + half)


def accuracy_interval(
    correct: NDArray[np.bool_], groups: NDArray[np.int64] | None = None
) -> tuple[float, float]:
    """Compute Wilson's 95 % interval of an accuracy.

    Parameters
    ----------
    correct : array of bool, shape (n,)
        At least one image.
    groups : array of int64, shape (n,), optional
        Images with the same number are of one group and count as fewer independent images (see
        `effective_share`). None when every image is a group of its own.
    """
    independent = 1.0 if groups is None else effective_share(correct, groups)
    return wilson_interval(int(correct.sum()) * independent, len(correct) * independent)
