"""Activations, relevance and coverage of images, measured in one pass over each folder.

DeepImportance, sections 3.1 and 5.2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Bools, Floats
from pipelines.data.images import ImageFile, Rejected, no_usable_image
from pipelines.deepimportance import criteria
from pipelines.deepimportance.criteria import Range, extend_range
from pipelines.deepimportance.importance import sum_relevance
from pipelines.dnn.activations import build_activations, stream_activations
from pipelines.dnn.lrp_rules import Rule
from pipelines.dnn.model import BATCH, Network, load_batches, scale
from pipelines.dnn.relevance import build_relevance
from pipelines.runs.errors import InputError
from pipelines.runs.folder import Progress

Decoded = tuple[ImageFile, NDArray[np.uint8]]


@dataclass(frozen=True)
class ImageActivations:
    """Outputs and activations of the network for the images of a folder.

    Attributes
    ----------
    folder : Path
    images : list of ImageFile, length n
        Images that could be decoded.
    rejected : list of Rejected
        Images that could not be decoded.
    outputs : array of float32, shape (n, k)
    values : array of float32, shape (n, neurons)
        Activations of the measured layer. Those of other layers are not stored.
    covered : dict of str to array of bool, or None
        For each criterion, the items that are covered, over all layers; None if the criterion is
        not defined.
    """

    folder: Path
    images: list[ImageFile]
    rejected: list[Rejected]
    outputs: Floats
    values: Floats
    covered: dict[str, Bools | None]


@dataclass(frozen=True)
class TrainingMeasurements:
    """Activations and relevance of the neurons on the training images.

    Attributes
    ----------
    measured : ImageActivations
    cumulative : array of float64, shape (neurons,)
        Relevance of the neurons of the measured layer, summed over all images.
    ranges : dict of str to Range
        Range of activations of the neurons of each layer.
    """

    measured: ImageActivations
    cumulative: NDArray[np.float64]
    ranges: dict[str, Range]


def measure_training(
    network: Network,
    layers: Sequence[str],
    layer: str,
    folder: Path,
    images: Sequence[ImageFile],
    progress: Progress,
    *,
    stage: str,
    rule: str,
    targets: Mapping[str, int],
    batch_size: int = BATCH,
) -> TrainingMeasurements:
    """Measure relevance and activations of all training images (Algorithm 1).

    Images on which the DNN is wrong count as well. Time grows linearly with the number of images,
    memory with a batch and with the number of images times the neurons of one layer.

    Parameters
    ----------
    layers : sequence of str
        All layers with neurons; the ranges of their activations are measured.
    layer : str
        The measured layer, whose activations and relevance are stored.
    rule : str
        See `dnn.relevance.build_relevance`.
    targets : mapping of str to int
        Position of the class whose output is explained, by path; for other paths, the predicted
        class. With one output, positions are 0 and 1; relevance for class 0 is relevance that
        lowers it.

    Raises
    ------
    InputError
        When relevance cannot pass through the network, no image can be decoded, or a value is NaN.
    """
    measure = _build_measure(network, layers, layer, rule, targets)
    decoded: list[ImageFile] = []
    rejected: list[Rejected] = []
    outputs, values = [], []
    ranges: dict[str, Range] = {}
    total: NDArray[np.float64] | None = None
    for batch in load_batches(network, folder, images, batch_size):
        usable = [item for item in batch if not isinstance(item, Rejected)]
        rejected += [item for item in batch if isinstance(item, Rejected)]
        if usable:
            batch_outputs, neurons, relevance = measure(usable)
            added = sum_relevance(relevance)
            total = added if total is None else total + added
            ranges |= {name: extend_range(ranges.get(name), a) for name, a in neurons.items()}
            decoded += [image for image, _ in usable]
            outputs.append(batch_outputs)
            values.append(neurons[layer])
        progress(stage, len(decoded) + len(rejected), len(images))
    if total is None:
        raise no_usable_image(folder, rejected)
    measured = ImageActivations(
        folder, decoded, rejected, np.concatenate(outputs), np.concatenate(values), {}
    )
    return TrainingMeasurements(measured, total, ranges)


def _build_measure(
    network: Network, layers: Sequence[str], layer: str, rule: str, targets: Mapping[str, int]
) -> Callable[[Sequence[Decoded]], tuple[Floats, dict[str, Floats], Floats]]:
    """Compile a function that measures a batch of training images.

    Returns
    -------
    callable
        Takes decoded images; returns outputs, activations by layer, and the relevance of `layer`.
        Raises InputError if one of these is not a number.
    """
    # build_relevance refuses an unknown rule.
    explain = build_relevance(network.model, rule=cast("Rule", rule), layers=(layer,))
    activate = build_activations(network.model, layers)

    def measure(batch: Sequence[Decoded]) -> tuple[Floats, dict[str, Floats], Floats]:
        images = [image for image, _ in batch]
        scaled = scale(network, np.stack([pixels for _, pixels in batch]))
        outputs, neurons = activate(scaled)
        classes = np.array([targets.get(image.path, -1) for image in images], np.int32)
        relevances = explain(scaled, np.minimum(classes, network.outputs - 1))
        relevance = relevances.layers[layer]
        if network.outputs == 1:
            relevance = _turn_to_class(relevance, classes, relevances.logits[:, 0])
        for what, numbers in (neurons | {"output": outputs}).items():
            _check_finite(network, what, numbers, images)
        _check_finite(network, layer, relevance, images)
        return outputs, neurons, relevance

    return measure


def _turn_to_class(relevance: Floats, classes: NDArray[np.int32], logits: Floats) -> Floats:
    """Turn the sign of relevance for class 0 of a network with one output for two classes.

    What lowers the output speaks for class 0.

    Parameters
    ----------
    relevance : array of float32, shape (n, ...)
    classes : array of int32, shape (n,)
        Position of each image's class; -1 for the predicted class.
    logits : array of float32, shape (n,)
        The output before the sigmoid; below 0, class 0 is predicted.
    """
    against = (classes == 0) | ((classes < 0) & (logits < 0))
    sign = np.where(against, -1, 1).astype(np.float32)
    return relevance * sign.reshape(-1, *[1] * (relevance.ndim - 1))


def _check_finite(
    network: Network, what: str, numbers: Floats, images: Sequence[ImageFile]
) -> None:
    finite = np.isfinite(numbers).reshape(len(numbers), -1).all(axis=1)
    if not finite.all():
        raise InputError(
            f"{network.file}: {what!r} gives for {images[int(finite.argmin())].path} a value, or a "
            f"relevance, that is not a finite number. Is --scaling {network.scaling} right?"
        )


def measure_images(
    network: Network,
    layer: str,
    folder: Path,
    images: Sequence[ImageFile],
    progress: Progress,
    *,
    stage: str,
    ranges: Mapping[str, Range] | None = None,
    batch_size: int = BATCH,
) -> ImageActivations:
    """Measure the activations of the images of a folder, and their coverage by other criteria.

    Time grows linearly with the number of images; memory with a batch, with the number of images
    times the neurons of one layer, and with the sections of all neurons (KMNC).

    Parameters
    ----------
    layer : str
        The measured layer, whose activations are stored.
    ranges : mapping of str to Range, optional
        Range of activations on the training images, by layer.  If None, no criterion is measured.

    Raises
    ------
    InputError
        When no image can be decoded, or an activation is not a number.
    """
    decoded: list[ImageFile] = []
    rejected: list[Rejected] = []
    outputs, values = [], []
    covered: dict[tuple[str, str], Bools] = {}
    layers = tuple(ranges) if ranges else (layer,)

    def notify(_: str, done: int, total: int) -> None:
        progress(stage, done, total)

    for batch in stream_activations(network, layers, folder, images, notify, batch_size):
        decoded += batch.images
        rejected += batch.rejected
        if not batch.images:
            continue
        outputs.append(batch.outputs)
        values.append(batch.layers[layer])
        for name, known in (ranges or {}).items():
            for criterion, bits in _cover(batch.layers[name], known).items():
                key = criterion, name
                covered[key] = covered[key] | bits if key in covered else bits
    if not decoded:
        raise no_usable_image(folder, rejected)
    merged: dict[str, Bools | None] = {
        criterion: np.concatenate(
            [bits.reshape(-1) for (other, _), bits in covered.items() if other == criterion]
        )
        for criterion in dict.fromkeys(criterion for criterion, _ in covered)
    }
    return ImageActivations(
        folder, decoded, rejected, np.concatenate(outputs), np.concatenate(values), merged
    )


def _cover(values: Floats, known: Range) -> dict[str, Bools]:
    boundaries = criteria.boundary_coverage(values, known)
    return {
        "NC": criteria.neuron_coverage(values),
        "KMNC": criteria.multisection_coverage(values, known),
        "NBC": boundaries,
        "SNAC": boundaries[:, 1],
        "TKNC": criteria.top_coverage(values),
    }


def cover_surprises(
    measured: ImageActivations,
    predicted: NDArray[np.int32],
    training: ImageActivations,
    classes: NDArray[np.int32],
    classifies: bool,
) -> dict[str, Bools | None]:
    """Return which buckets of surprise (LSC, DSC) a set of images covers, at the measured layer.

    Parameters
    ----------
    measured, training : ImageActivations
        The images, and the training images.
    predicted, classes : arrays of int32, shapes (n,) and (t,)
        Predicted classes of the images, and of the training images.
    classifies : bool
        Whether the DNN predicts classes; surprise by distance is not defined otherwise.

    Returns
    -------
    dict of str to array of bool, or None
        None if no image has a surprise, for example when the DNN predicts only one class for the
        training images.
    """
    activations = measured.values, predicted, training.values, classes
    likely = criteria.likelihood_surprise(*activations)
    far = (
        criteria.distance_surprise(*activations) if classifies else np.full(len(predicted), np.nan)
    )
    bounds = criteria.LARGEST_LIKELIHOOD, criteria.LARGEST_DISTANCE
    return {
        name: None if np.isnan(values).all() else criteria.surprise_coverage(values, largest)
        for name, values, largest in zip(("LSC", "DSC"), (likely, far), bounds, strict=True)
    }
