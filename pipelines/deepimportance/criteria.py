"""Other coverage criteria, for comparison with Importance-Driven Coverage (DeepImportance, 5.2).

Each function takes the activations of one layer and returns an array of bool: which of the items
that the criterion counts are covered. The results of batches and test sets are combined by `|`.

- NC, neuron coverage: Pei, Cao, Yang, Jana, *DeepXplore*, SOSP 2017, section 4.1.
- KMNC, NBC, SNAC, TKNC: Ma et al., *DeepGauge*, ASE 2018, section 3.
- LSC, DSC, surprise coverage: Kim, Feldt, Yoo, *Guiding Deep Learning System Testing using Surprise
  Adequacy*, ICSE 2019, sections 3.1 to 3.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Bools, Floats

THRESHOLD = 0.75
SECTIONS = 1000
TOP = 3
LARGEST_LIKELIHOOD, LARGEST_DISTANCE = 2000.0, 2.0
"""Upper bounds of surprise by likelihood (LSA) and by distance (DSA)."""
BUCKETS = 1000
LEAST_VARIANCE = 1e-5
"""Neurons with a smaller variance of activation are left out of the density (Kim et al., 3.1)."""
FLAT = 1e-9
"""Share of the largest variance up to which a direction counts as one without variance."""
BLOCK = 1 << 24
"""Number of distances that are computed at once."""


@dataclass(frozen=True)
class Range:
    """The range of activations of each neuron of a layer on the training images.

    Attributes
    ----------
    low, high : array of float32, shape (neurons,)
    """

    low: Floats
    high: Floats


def extend_range(known: Range | None, values: Floats) -> Range:
    """Extend a range by the activations of another batch.

    Parameters
    ----------
    known : Range or None
        None for the first batch.
    values : array of float32, shape (n, neurons)
    """
    low, high = values.min(axis=0), values.max(axis=0)
    if known is None:
        return Range(low, high)
    return Range(np.minimum(known.low, low), np.maximum(known.high, high))


def neuron_coverage(values: Floats, threshold: float = THRESHOLD) -> Bools:
    """Return which neurons are above the threshold for at least one image (NC).

    The activations of an image are scaled to 0 to 1 over the layer; if all are equal, no neuron is
    active.

    Parameters
    ----------
    values : array of float32, shape (n, neurons)
        Activations of one layer.
    threshold : float
        0 to 1.

    Returns
    -------
    array of bool, shape (neurons,)
    """
    low = values.min(axis=1, keepdims=True)
    spread = values.max(axis=1, keepdims=True) - low
    scaled = np.divide(values - low, spread, out=np.zeros_like(values), where=spread > 0)
    above: Bools = (scaled > threshold).any(axis=0)
    return above


def multisection_coverage(values: Floats, known: Range, k: int = SECTIONS) -> Bools:
    """Return which of k equal sections of each neuron's training range have an image (KMNC).

    The upper end of the range belongs to the last section. A neuron that is constant in training
    can cover only its first section.

    Parameters
    ----------
    values : array of float32, shape (n, neurons)
    known : Range
        Activations on the training images.
    k : int
        Number of sections.

    Returns
    -------
    array of bool, shape (neurons, k)
    """
    covered = np.zeros((values.shape[1], k), dtype=np.bool_)
    inside = (values >= known.low) & (values <= known.high)
    spread = known.high.astype(np.float64) - known.low
    share = np.divide(
        values - known.low.astype(np.float64),
        spread,
        out=np.zeros(values.shape),
        where=spread > 0,
    )
    images, neurons = np.nonzero(inside)
    sections = np.minimum((share[images, neurons] * k).astype(np.int64), k - 1)
    covered[neurons, sections] = True
    return covered


def boundary_coverage(values: Floats, known: Range) -> Bools:
    """Return which neurons go below, and which above, their training range (NBC, SNAC).

    Parameters
    ----------
    values : array of float32, shape (n, neurons)
    known : Range
        Activations on the training images.

    Returns
    -------
    array of bool, shape (neurons, 2)
        Columns: below, above.  NBC counts both; SNAC (strong activations) only the second.
    """
    return np.stack([(values < known.low).any(axis=0), (values > known.high).any(axis=0)], axis=1)


def top_coverage(values: Floats, k: int = TOP) -> Bools:
    """Return which neurons are among the k most active of the layer for any image (TKNC).

    Of equal activations, those of the first neurons count.

    Parameters
    ----------
    values : array of float32, shape (n, neurons)
    k : int

    Returns
    -------
    array of bool, shape (neurons,)
    """
    neurons = values.shape[1]
    if k >= neurons:
        return np.full(neurons, len(values) > 0)
    least = np.partition(values, neurons - k, axis=1)[:, [neurons - k]]
    above = values > least
    equal = values == least
    taken = equal & (np.cumsum(equal, axis=1) <= k - above.sum(axis=1, keepdims=True))
    top: Bools = (above | taken).any(axis=0)
    return top


def surprise_coverage(surprise: NDArray[np.float64], largest: float, k: int = BUCKETS) -> Bools:
    """Return which of k equal buckets, from 0 (exclusive) to the largest surprise, have an image.

    Parameters
    ----------
    surprise : array of float64, shape (n,)
        Values beyond either end, and NaN, are in no bucket.
    largest : float
        Upper end of the last bucket.

    Returns
    -------
    array of bool, shape (k,)
    """
    covered = np.zeros(k, dtype=np.bool_)
    inside = surprise[(surprise > 0) & (surprise <= largest)]
    covered[np.minimum(np.ceil(inside / largest * k).astype(np.int64) - 1, k - 1)] = True
    return covered


def distance_surprise(
    values: Floats, predicted: NDArray[np.int32], training: Floats, classes: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Compute the surprise of images by distance (DSA; Kim et al., section 3.2).

    DSA is the distance to the nearest training image of the predicted class, divided by that
    training image's distance to the nearest training image of another class. Time grows with the
    product of both numbers of images; memory is limited to a block of distances.

    Parameters
    ----------
    values : array of float32, shape (n, neurons)
    predicted : array of int32, shape (n,)
    training : array of float32, shape (t, neurons)
    classes : array of int32, shape (t,)
        Classes that the DNN predicts for the training images.

    Returns
    -------
    array of float64, shape (n,)
        NaN if no training image, or every one, is predicted to be of the image's class. 0 / 0 (an
        image equal to training images of two classes) counts as infinite.
    """
    surprise = np.full(len(values), np.nan)
    for class_ in np.unique(predicted):
        images = np.flatnonzero(predicted == class_)
        same, others = training[classes == class_], training[classes != class_]
        if not len(same) or not len(others):
            continue
        near, place = _nearest(values[images], same)
        references, back = np.unique(place, return_inverse=True)
        far, _ = _nearest(same[references], others)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = near / far[back]
        surprise[images] = np.where(np.isnan(ratio), np.inf, ratio)
    return surprise


def _nearest(points: Floats, others: Floats) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the distance of each point to the nearest of `others`, and the position of that one.

    A matrix product finds the nearest one. Its distance is then computed from the difference, since
    the product rounds distances close to 0. The mean is subtracted first, because a large offset
    would cancel digits.
    """
    mean = others.mean(axis=0, dtype=np.float64).astype(np.float32)
    moved, around = points - mean, others - mean
    lengths = np.einsum("ij,ij->i", around, around)
    place = np.concatenate(
        [
            (lengths - 2 * (moved[part] @ around.T)).argmin(axis=1)
            for part in _blocks(len(points), len(others))
        ]
    )
    difference = points.astype(np.float64) - others[place]
    return np.sqrt(np.einsum("ij,ij->i", difference, difference)), place


def likelihood_surprise(
    values: Floats, predicted: NDArray[np.int32], training: Floats, classes: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Compute the surprise of images by likelihood (LSA; Kim et al., section 3.1).

    LSA is minus the logarithm of the density of the training images of the predicted class. The
    density is a sum of Gaussian kernels, one at each training image. Their covariance is that of
    the images times the square of Scott's factor. Two things are left out: neurons with a variance
    below `LEAST_VARIANCE`, and directions in which the images do not vary, because the density does
    not exist there. Time grows with the product of both numbers of images; memory is limited to a
    block of distances.

    Parameters
    ----------
    values, predicted, training, classes
        See `distance_surprise`; all classes are 0 for a DNN that predicts numbers.

    Returns
    -------
    array of float64, shape (n,)
        NaN if the class has fewer than two training images, or these do not vary.
    """
    surprise = np.full(len(values), np.nan)
    for class_ in np.unique(predicted):
        images = np.flatnonzero(predicted == class_)
        known = training[classes == class_].astype(np.float64)
        if len(known) < 2:
            continue
        varied = known.var(axis=0) >= LEAST_VARIANCE
        if not varied.any():
            continue
        known = known[:, varied]
        mean = known.mean(axis=0)
        spreads, axes = np.linalg.eigh(np.atleast_2d(np.cov(known, rowvar=False)))
        kept = spreads > FLAT * spreads[-1]
        size = int(kept.sum())
        factor = len(known) ** (-1 / (size + 4))
        turn = axes[:, kept] / (np.sqrt(spreads[kept]) * factor)
        constant = 0.5 * size * np.log(2 * np.pi) + np.log(len(known))
        constant += 0.5 * np.log(spreads[kept]).sum() + size * np.log(factor)
        surprise[images] = constant - _log_kernels(
            (values[images][:, varied] - mean) @ turn, (known - mean) @ turn
        )
    return surprise


def _log_kernels(points: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithm of the sum of exp(-|p - c|^2 / 2) over all centres, for each point."""
    log_sums = np.empty(len(points))
    lengths = np.einsum("ij,ij->i", centres, centres)
    for part in _blocks(len(points), len(centres)):
        block_points = points[part]
        powers = block_points @ centres.T
        powers -= 0.5 * lengths
        powers -= 0.5 * np.einsum("ij,ij->i", block_points, block_points)[:, None]
        np.minimum(powers, 0, out=powers)
        largest = powers.max(axis=1)
        log_sums[part] = largest + np.log(np.exp(powers - largest[:, None]).sum(axis=1))
    return log_sums


def _blocks(points: int, others: int) -> Iterator[slice]:
    step = max(1, BLOCK // max(1, others))
    for start in range(0, points, step):
        yield slice(start, start + step)
