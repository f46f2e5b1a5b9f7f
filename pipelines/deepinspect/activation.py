"""How often each neuron is active for each class (DeepInspect, section III-A).

Classes are what the DNN predicts: no labels are needed.  An image that has several predicted labels
counts for each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Floats
from pipelines.runs.errors import InputError

THRESHOLD = 0.5
"""Scaled activation above which a neuron is active (section V, RQ1a)."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Probabilities:
    """The neuron activation probability matrix, by threshold.

    Attributes
    ----------
    neurons : dict of str to int
        By layer, in the order of the rows of a matrix, how many it has.
    images : array of int64, shape (k,)
        That are predicted to show each class.
    matrices : dict of float to array of float32, shape (neurons, k)
        By threshold, P(n|c) (Equation 1); NaN for a class that is never predicted.
    """

    neurons: dict[str, int]
    images: NDArray[np.int64]
    matrices: dict[float, Floats]


def check_thresholds(thresholds: Sequence[float]) -> tuple[float, ...]:
    """Return the thresholds, each once; InputError for one that no scaled activation can pass."""
    for threshold in thresholds:
        if not 0 <= threshold < 1:
            raise InputError(
                f"threshold: expected 0 or more and less than 1, received {threshold}. Activations "
                "are scaled to 0 to 1 per image and layer."
            )
    return tuple(dict.fromkeys(thresholds))


def scale_layer(activations: Floats) -> Floats:
    """Scale the activations of one layer to 0 to 1, image by image.

    Parameters
    ----------
    activations : array of float32, shape (n, neurons)

    Returns
    -------
    array of float32, of the same shape
        0 for images for which all of the layer's neurons give the same.
    """
    low = activations.min(axis=1, keepdims=True)
    span = activations.max(axis=1, keepdims=True) - low
    scaled = np.zeros_like(activations)
    np.divide(activations - low, span, out=scaled, where=span > 0)
    return scaled


def activation_probabilities(
    batches: Iterable[tuple[Mapping[str, Floats], Bools]],
    neurons: dict[str, int],
    classes: int,
    thresholds: Sequence[float] = (THRESHOLD,),
) -> Probabilities:
    """Compute P(n|c) of all neurons and classes, for all thresholds in one pass.

    P(n|c) is the share of the images of class c whose activation of n, scaled, is above the
    threshold.  Memory grows with neurons x classes x thresholds, and not with the number of images.

    Parameters
    ----------
    batches : iterable of (dict of str to array of float32, array of bool)
        By layer the activations, of shape (n, neurons); and which classes each image is predicted
        to show, of shape (n, classes).
    neurons : dict of str to int
        By layer, how many it has.
    thresholds : sequence of float
        From 0, below 1.
    """
    total = sum(neurons.values())
    images = np.zeros(classes, dtype=np.int64)
    active = {each: np.zeros((classes, total), np.uint32) for each in thresholds}
    for activations, predicted in batches:
        images += predicted.sum(axis=0)
        met = np.flatnonzero(predicted.any(axis=0))  # most classes have no image in a batch
        if not len(met):
            continue
        shows = predicted[:, met].T.astype(np.float32)
        scaled = np.concatenate([scale_layer(activations[name]) for name in neurons], axis=1)
        for threshold, counts in active.items():
            counts[met] += (shows @ (scaled > threshold).astype(np.float32)).astype(np.uint32)
    with np.errstate(invalid="ignore"):
        shares = {
            threshold: (counts.T / images).astype(np.float32)
            for threshold, counts in active.items()
        }
    return Probabilities(neurons, images, shares)
