"""Other criteria of how well a test set exercises a DNN (DeepImportance, section 5.2).

Each takes the activations of the neurons of one layer, and tells which of the things that can be
covered are: an array of truth values, so that batches, layers and test sets are added up by `|`.

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

from pipelines.data.arrays import Floats

THRESHOLD = 0.75
SECTIONS = 1000
TOP = 3
LARGEST_LIKELIHOOD, LARGEST_DISTANCE = 2000.0, 2.0
"""Upper bounds of surprise: by likelihood, by distance."""
BUCKETS = 1000
LEAST_VARIANCE = 1e-5
"""Neurons whose activations vary less are left out of the density (Kim et al., section 3.1)."""
FLAT = 1e-9
"""Share of the largest variance, below which a direction counts as one without any."""
BLOCK = 1 << 24
"""Entries of a block of distances."""

Bits = NDArray[np.bool_]


@dataclass(frozen=True)
class Range:
    """Between which values each neuron of a layer was on the training images.

    Attributes
    ----------
    low, high : array of float32, shape (neurons,)
    """

    low: Floats
    high: Floats


def widen(known: Range | None, values: Floats) -> Range:
    """Return the range that also has the values, shape (n, neurons), of another batch."""
    low, high = values.min(axis=0), values.max(axis=0)
    if known is None:
        return Range(low, high)
    return Range(np.minimum(known.low, low), np.maximum(known.high, high))


def neuron_coverage(values: Floats, threshold: float = THRESHOLD) -> Bits:
    """Tell which neurons are above the threshold for an image (NC).

    The values of an image are scaled to 0 to 1 over the layer; where all are equal, none is
    active.

    Parameters
    ----------
    values : array of float32, shape (n, neurons)

    Returns
    -------
    array of bool, shape (neurons,)
    """
    low = values.min(axis=1, keepdims=True)
    spread = values.max(axis=1, keepdims=True) - low
    scaled = np.divide(values - low, spread, out=np.zeros_like(values), where=spread > 0)
    above: Bits = (scaled > threshold).any(axis=0)
    return above


def multisection_coverage(values: Floats, known: Range, k: int = SECTIONS) -> Bits:
    """Tell which of k equal sections of a neuron's range have an image (KMNC).

    The upper end belongs to the last section.  A neuron that is constant in training has one value,
    its first section; the other k - 1 count as not covered.

    Returns
    -------
    array of bool, shape (neurons, k)
    """
    found = np.zeros((values.shape[1], k), dtype=np.bool_)
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
    found[neurons, sections] = True
    return found


def boundary_coverage(values: Floats, known: Range) -> Bits:
    """Tell which neurons are below, and which above, what they were in training (NBC, SNAC).

    Returns
    -------
    array of bool, shape (neurons, 2)
        Below, above.  NBC counts both; SNAC, strong activations, the second column alone.
    """
    return np.stack([(values < known.low).any(axis=0), (values > known.high).any(axis=0)], axis=1)


def top_coverage(values: Floats, k: int = TOP) -> Bits:
    """Tell which neurons are among the k largest of the layer for an image (TKNC).

    Of equal values, the first neurons count.

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
    top: Bits = (above | taken).any(axis=0)
    return top


def surprise_coverage(surprise: NDArray[np.float64], largest: float, k: int = BUCKETS) -> Bits:
    """Tell which of k equal buckets, from 0 (exclusive) to the largest surprise, have an image.

    Parameters
    ----------
    surprise : array of float64, shape (n,)
        What is beyond both ends is in no bucket.

    Returns
    -------
    array of bool, shape (k,)
    """
    found = np.zeros(k, dtype=np.bool_)
    inside = surprise[(surprise > 0) & (surprise <= largest)]
    found[np.minimum(np.ceil(inside / largest * k).astype(np.int64) - 1, k - 1)] = True
    return found


def distance_surprise(
    values: Floats, predicted: NDArray[np.int32], training: Floats, classes: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Compute how surprising images are by distance (DSA).

    The distance to the nearest training image of the predicted class, divided by that image's
    distance to the nearest training image of another class.  Time grows with the product of the
    numbers of images; memory is bounded by a block of distances.

    Parameters
    ----------
    values : array of float32, shape (n, neurons)
    predicted : array of int32, shape (n,)
    training : array of float32, shape (t, neurons)
    classes : array of int32, shape (t,)
        Those that the DNN predicts of the training images.

    Returns
    -------
    array of float64, shape (n,)
        NaN where the DNN predicts a class that it never does in training, or only one; 0 / 0, an
        image that is as one of each class, is infinite.
    """
    surprise = np.full(len(values), np.nan)
    for each in np.unique(predicted):
        images = np.flatnonzero(predicted == each)
        same, others = training[classes == each], training[classes != each]
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
    """Return the distance to the nearest of others, and which it is.

    The nearest are found by a matrix product, their distances anew: a product rounds those that
    are next to nothing.  It is one of differences from the mean, as large offsets would cancel
    digits.
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
    """Compute how surprising images are by likelihood (LSA).

    Minus the logarithm of the density of the training images of the predicted class: a Gaussian
    kernel at each, of their covariance times Scott's factor squared.  Neurons that vary less than
    1e-5 are left out, and directions in which the images do not vary at all, where no density
    exists.  Time grows with the product of the numbers of images; memory is bounded by a block of
    distances.

    Parameters
    ----------
    values, predicted, training, classes
        As for `distance_surprise`; of numbers, all classes are 0.

    Returns
    -------
    array of float64, shape (n,)
        NaN where the class has fewer than two training images, or they do not vary.
    """
    surprise = np.full(len(values), np.nan)
    for each in np.unique(predicted):
        images = np.flatnonzero(predicted == each)
        known = training[classes == each].astype(np.float64)
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
    found = np.empty(len(points))
    lengths = np.einsum("ij,ij->i", centres, centres)
    for part in _blocks(len(points), len(centres)):
        here = points[part]
        powers = here @ centres.T
        powers -= 0.5 * lengths
        powers -= 0.5 * np.einsum("ij,ij->i", here, here)[:, None]
        np.minimum(powers, 0, out=powers)
        largest = powers.max(axis=1)
        found[part] = largest + np.log(np.exp(powers - largest[:, None]).sum(axis=1))
    return found


def _blocks(points: int, others: int) -> Iterator[slice]:
    step = max(1, BLOCK // max(1, others))
    for start in range(0, points, step):
        yield slice(start, start + step)
