"""What DeepImportance looks at, measured in one pass over the images of each folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Floats
from pipelines.data.images import ImageFile, Rejected, no_usable_image
from pipelines.deepimportance import criteria
from pipelines.deepimportance.criteria import Range, widen
from pipelines.deepimportance.importance import neuron_relevance
from pipelines.dnn.activations import build_activations, stream_activations
from pipelines.dnn.model import BATCH, Network, load_batches, scale
from pipelines.dnn.relevance import build_relevance
from pipelines.runs.errors import InputError
from pipelines.runs.folder import Progress

Bits = NDArray[np.bool_]
Decoded = tuple[ImageFile, NDArray[np.uint8]]


@dataclass(frozen=True)
class Measured:
    """What the neurons of the layer that is looked at give for the images of a folder.

    Attributes
    ----------
    folder : Path
    images : list of ImageFile, length n
        Those that could be decoded.
    rejected : list of Rejected
        The others.
    outputs : array of float32, shape (n, k)
    values : array of float32, shape (n, neurons)
        Of that layer alone: all that is kept of each image.
    covered : dict of str to array of bool, or None
        By criterion, over the neurons of all layers: which of what it asks for is covered; None
        where it is not defined.
    """

    folder: Path
    images: list[ImageFile]
    rejected: list[Rejected]
    outputs: Floats
    values: Floats
    covered: dict[str, Bits | None]


@dataclass(frozen=True)
class Training:
    """What the training images tell of the neurons.

    Attributes
    ----------
    measured : Measured
    cumulative : array of float64, shape (neurons,)
        Relevance of the layer's neurons over all images.
    ranges : dict of str to Range
        Of the neurons of each layer.
    """

    measured: Measured
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
) -> Training:
    """Measure relevance and activations of the training images, all of them as Algorithm 1 says.

    Those that the DNN gets wrong count, too: what decides is looked at, right or wrong.  Time grows
    linearly with the number of images; memory with a batch, and with the images times the neurons
    of one layer.

    Parameters
    ----------
    layers : sequence of str
        All that have neurons; their ranges are measured.
    layer : str
        The one that is looked at.
    rule : str
        See `dnn.relevance.build_relevance`.
    targets : mapping of str to int
        By path, the position of the class whose output is explained; the predicted one of others.
        With one output, positions are 0 and 1, and what speaks for class 0 is what lowers it.

    Raises
    ------
    InputError
        When relevance cannot pass through the network, no image can be decoded, or an activation is
        not a number.
    """
    measure = _build_measure(network, layers, layer, rule, targets)
    kept: list[ImageFile] = []
    rejected: list[Rejected] = []
    outputs, values = [], []
    ranges: dict[str, Range] = {}
    total: NDArray[np.float64] | None = None
    for batch in load_batches(network, folder, images, batch_size):
        usable = [item for item in batch if not isinstance(item, Rejected)]
        rejected += [item for item in batch if isinstance(item, Rejected)]
        if usable:
            batch_outputs, neurons, relevance = measure(usable)
            added = neuron_relevance(relevance)
            total = added if total is None else total + added
            ranges |= {name: widen(ranges.get(name), known) for name, known in neurons.items()}
            kept += [image for image, _ in usable]
            outputs.append(batch_outputs)
            values.append(neurons[layer])
        progress(stage, len(kept) + len(rejected), len(images))
    if total is None:
        raise no_usable_image(folder, rejected)
    measured = Measured(folder, kept, rejected, np.concatenate(outputs), np.concatenate(values), {})
    return Training(measured, total, ranges)


def _build_measure(
    network: Network, layers: Sequence[str], layer: str, rule: str, targets: Mapping[str, int]
) -> Callable[[Sequence[Decoded]], tuple[Floats, dict[str, Floats], Floats]]:
    """Compile what measures a batch of training images.

    Returns
    -------
    callable
        From images to the outputs, the activations by layer, and the relevance of the layer that is
        looked at; it raises InputError where one of these is not a number.
    """
    checked: Any = rule  # by `build_relevance`
    explain = build_relevance(network.model, rule=checked, layers=(layer,))
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
    """Turn the sign where one output stands for two classes: what lowers it speaks for class 0.

    Parameters
    ----------
    classes : array of int32, shape (n,)
        Position of each image's class; -1 for the predicted one.
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
            f"{network.file}: what {what!r} gives for {images[int(finite.argmin())].path}, or its "
            f"relevance, is not a number. Is --scaling {network.scaling} right?"
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
) -> Measured:
    """Measure activations of the images of a folder, and what they cover by all other criteria.

    Time grows linearly with the number of images; memory with a batch, with the images times the
    neurons of one layer, and with the sections of all neurons.

    Parameters
    ----------
    ranges : mapping of str to Range, optional
        By layer, what the training images were between; without, no criterion is measured.

    Raises
    ------
    InputError
        When no image can be decoded, or an activation is not a number.
    """
    kept: list[ImageFile] = []
    rejected: list[Rejected] = []
    outputs, values = [], []
    covered: dict[tuple[str, str], Bits] = {}
    layers = tuple(ranges) if ranges else (layer,)

    def notify(_: str, done: int, total: int) -> None:
        progress(stage, done, total)

    for batch in stream_activations(network, layers, folder, images, notify, batch_size):
        kept += batch.images
        rejected += batch.rejected
        if not batch.images:
            continue
        outputs.append(batch.outputs)
        values.append(batch.layers[layer])
        for name, known in (ranges or {}).items():
            for criterion, bits in _cover(batch.layers[name], known).items():
                key = criterion, name
                covered[key] = covered[key] | bits if key in covered else bits
    if not kept:
        raise no_usable_image(folder, rejected)
    merged: dict[str, Bits | None] = {
        criterion: np.concatenate(
            [bits.reshape(-1) for (other, _), bits in covered.items() if other == criterion]
        )
        for criterion in dict.fromkeys(criterion for criterion, _ in covered)
    }
    return Measured(folder, kept, rejected, np.concatenate(outputs), np.concatenate(values), merged)


def _cover(values: Floats, known: Range) -> dict[str, Bits]:
    boundaries = criteria.boundary_coverage(values, known)
    return {
        "NC": criteria.neuron_coverage(values),
        "KMNC": criteria.multisection_coverage(values, known),
        "NBC": boundaries,
        "SNAC": boundaries[:, 1],
        "TKNC": criteria.top_coverage(values),
    }


def cover_surprises(
    measured: Measured,
    predicted: NDArray[np.int32],
    training: Measured,
    classes: NDArray[np.int32],
    classifies: bool,
) -> dict[str, Bits | None]:
    """Tell which buckets of surprise a set of images covers, at the layer that is looked at.

    Parameters
    ----------
    predicted, classes : array of int32
        Of the images, and of the training images.
    classifies : bool
        Whether the DNN tells classes; otherwise surprise by distance is not defined.

    Returns
    -------
    dict of str to array of bool, or None
        None where no image has a surprise: training images are taken for one class alone, say.
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
