"""How often each neuron is active for each class (DeepInspect, section III-A).

The classes of an image are those that the DNN predicts, so no labels are needed.  An image with
several predicted labels counts for each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Bools, Floats
from pipelines.runs.errors import InputError

THRESHOLD = 0.5
"""Scaled activation above which a neuron is active (section V, RQ1a)."""


@dataclass(frozen=True)
class Probabilities:
    """The neuron activation probability matrix, by threshold.

    Attributes
    ----------
    neurons : dict of str to int
        Number of neurons of each layer; layers in the order of the rows of a matrix.
    images : array of int64, shape (k,)
        Number of images for which each class is predicted.
    matrices : dict of float to array of float32, shape (neurons, k)
        P(n|c) for each threshold (Equation 1); NaN for a class that is never predicted.
    """

    neurons: dict[str, int]
    images: NDArray[np.int64]
    matrices: dict[float, Floats]


def check_thresholds(thresholds: Sequence[float]) -> tuple[float, ...]:
    """Return the thresholds without duplicates.

    Raises
    ------
    InputError
        When a threshold is below 0, or so high that no scaled activation can exceed it.
    """
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
        0 for an image for which all neurons of the layer have the same activation.
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
    """Compute P(n|c) of all neurons and classes, for all thresholds in one pass (Equation 1).

    P(n|c) is the share of the images of class c for which the scaled activation of neuron n is
    above the threshold.  Memory grows with neurons x classes x thresholds, and not with the number
    of images.

    Parameters
    ----------
    batches : iterable of (dict of str to array of float32, array of bool)
        For each batch, the activations of each layer, of shape (n, neurons), and which classes are
        predicted for each image, of shape (n, classes).
    neurons : dict of str to int
        Number of neurons of each layer.
    classes : int
        Number of classes, k.
    thresholds : sequence of float
        At least 0 and less than 1.
    """
    total = sum(neurons.values())
    images = np.zeros(classes, dtype=np.int64)
    active = {threshold: np.zeros((classes, total), np.uint32) for threshold in thresholds}
    for activations, predicted in batches:
        images += predicted.sum(axis=0)
        occurring = np.flatnonzero(predicted.any(axis=0))  # most classes have no image in a batch
        if not len(occurring):
            continue
        shows = predicted[:, occurring].T.astype(np.float32)
        scaled = np.concatenate([scale_layer(activations[name]) for name in neurons], axis=1)
        for threshold, counts in active.items():
            counts[occurring] += (shows @ (scaled > threshold).astype(np.float32)).astype(np.uint32)
    with np.errstate(invalid="ignore"):
        shares = {
            threshold: (counts.T / images).astype(np.float32)
            for threshold, counts in active.items()
        }
    return Probabilities(neurons, images, shares)
