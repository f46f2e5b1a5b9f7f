"""The classifier under inspection: its classes, its neurons, and its prediction for each image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Bools, Floats
from pipelines.data.image_lists import ListedImages
from pipelines.data.images import ImageFile, Rejected, check_header, find_files
from pipelines.data.labels import Truth, find_tables, order_classes, read_truth, split_label
from pipelines.deepinspect.imports import as_matrix
from pipelines.dnn.activations import neuron_layers, stream_activations
from pipelines.dnn.evaluation import THRESHOLD as PREDICTED
from pipelines.dnn.evaluation import Task, class_shares, find_task
from pipelines.dnn.model import Network
from pipelines.runs.errors import InputError
from pipelines.runs.folder import Progress
from pipelines.runs.wording import count_of


@dataclass
class PredictionBatches:
    """Predictions for the images so far, batch by batch.

    Memory grows with the number of images times the number of classes.

    Attributes
    ----------
    images : list of ImageFile
    rejected : list of Rejected
        Images that could not be decoded.
    predicted : list of array of bool, shape (n, k)
        Which classes are predicted, one array for each batch.
    runner_up : list of array of int32, shape (n,)
        The class with the second largest share; -1 if an image may have several classes.
    margin : list of array of float32, shape (n,)
        Difference between the largest and the second largest share.
    """

    images: list[ImageFile] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    predicted: list[Bools] = field(default_factory=list)
    runner_up: list[NDArray[np.int32]] = field(default_factory=list)
    margin: list[Floats] = field(default_factory=list)


@dataclass(frozen=True)
class InspectedImages:
    """All inspected images with their predictions and labels; see `PredictionBatches`.

    Attributes
    ----------
    files : list of ImageFile, length n
    predicted : array of bool, shape (n, k)
    runner_up : array of int32, shape (n,)
    margin : array of float32, shape (n,)
    truth : array of bool, shape (n, k), or None
        Which classes each image shows; all False for an image without a label, None if no image has
        a label.
    labelled : array of bool, shape (n,)
    """

    files: list[ImageFile]
    predicted: Bools
    runner_up: NDArray[np.int32]
    margin: Floats
    truth: Bools | None
    labelled: Bools


def list_labelled(listed: ListedImages, files: Sequence[ImageFile]) -> list[str]:
    """Return the paths of the images whose labels define the classes.

    These are the inspected images; for a list that names its folder, all images of that folder.
    """
    if not listed.part_of_folder:
        return [image.path for image in files]
    folder = listed.folder
    return [path for path in find_files(folder)[0] if not check_header(folder, path)]


def read_labels_of(folder: Path, paths: Sequence[str]) -> Truth | None:
    """Read the labels of the images of a folder; None if they have none.

    Raises
    ------
    InputError
        When `labels.csv` cannot be used.
    """
    if not find_tables(folder, paths) and not any("/" in path for path in paths):
        return None
    return read_truth(folder, paths)


def choose_task(option: str | None, truth: Truth | None, network: Network) -> Task:
    """Return whether an image has one class or may have several.

    Parameters
    ----------
    option : str or None
        The user's choice, "classes" or "several"; None infers the task from labels and network.

    Raises
    ------
    InputError
        When the network predicts numbers.
    """
    task: Task
    if option is not None:
        task = "several" if option == "several" else "classes"
    elif truth is not None:
        task = find_task(truth, network.activation, network.outputs)
    elif network.activation not in {"softmax", "sigmoid"} and network.outputs == 1:
        task = "numbers"
    else:
        several = network.activation == "sigmoid" and network.outputs > 1
        task = "several" if several else "classes"
    if task == "numbers":
        raise InputError(
            f"{network.file} predicts numbers: it has no classes that could be confused. If it is "
            "a classifier, give --task classes or --task several."
        )
    return task


def name_classes(
    truth: Truth | None, network: Network, class_names: Sequence[str] | None, task: Task
) -> tuple[str, ...]:
    """Return the names of the classes in the order of the outputs.

    Parameters
    ----------
    truth : Truth or None
        Labels; their names are used if `class_names` is None.
    class_names : sequence of str or None
        Names from the user.  Without them and without labels, classes are named by position.

    Raises
    ------
    InputError
        When names, labels and outputs do not match.
    """
    several = task == "several"
    if truth is not None:
        try:
            return order_classes(truth, network.outputs, class_names, several)
        except InputError as error:
            raise InputError(
                f"{error} If the {truth.source} are no labels of this model, give --no-labels."
            ) from None
    count = 2 if network.outputs == 1 and not several else network.outputs
    if class_names is None:
        return tuple(str(place) for place in range(count))
    if len(class_names) != count or len(set(class_names)) != count:
        raise InputError(
            f"classes: expected {count_of(count, 'name')}, one for each output of the network, "
            f"received {len(class_names)} ({', '.join(class_names[:5])}, ...)."
        )
    return tuple(class_names)


def choose_layers(network: Network, layers: Sequence[str]) -> dict[str, int]:
    """Return the layers whose neurons are measured, with the number of neurons of each.

    Parameters
    ----------
    layers : sequence of str
        The user's choice; empty for all layers with neurons.

    Raises
    ------
    InputError
        When a chosen layer has no neurons, or no layer of the network has any.
    """
    known = neuron_layers(network.model)
    for name in layers:
        if name not in known:
            raise InputError(
                f"layers: {network.file} has no neurons in a layer {name!r}. Choose among "
                f"{', '.join(known)}."
            )
    chosen = {name: count for name, count in known.items() if not layers or name in layers}
    if not chosen:
        raise InputError(
            f"{network.file} has no dense layer and no convolution: it has no neurons to measure."
        )
    return chosen


def stream_predictions(
    network: Network,
    neurons: Mapping[str, int],
    folder: Path,
    files: Sequence[ImageFile],
    task: Task,
    predictions: PredictionBatches,
    progress: Progress,
    batch_size: int,
) -> Iterator[tuple[Mapping[str, Floats], Bools]]:
    """Yield the activations and the predicted classes of each batch.

    Parameters
    ----------
    neurons : mapping of str to int
        Number of neurons of each layer; see `choose_layers`.
    predictions : PredictionBatches
        Extended by each batch.

    Yields
    ------
    activations : mapping of str to array of float32, shape (n, neurons)
    predicted : array of bool, shape (n, k)
    """
    for batch in stream_activations(network, list(neurons), folder, files, progress, batch_size):
        predictions.images += batch.images
        predictions.rejected += batch.rejected
        if not batch.images:
            continue
        shares = class_shares(batch.outputs, network.activation, task)
        predicted, runner_up, margin = _predict(shares, task)
        predictions.predicted.append(predicted)
        predictions.runner_up.append(runner_up)
        predictions.margin.append(margin)
        yield batch.layers, predicted


def _predict(shares: Floats, task: Task) -> tuple[Bools, NDArray[np.int32], Floats]:
    """Return the predicted classes, the runner-up and the margin; see `PredictionBatches`."""
    count = len(shares)
    if task == "several" or shares.shape[1] < 2:
        none = np.full(count, -1, np.int32)
        return shares > PREDICTED, none, np.zeros(count, np.float32)
    best = shares.argmax(axis=1)
    rows = np.arange(count)
    predicted = np.zeros(shares.shape, np.bool_)
    predicted[rows, best] = True
    second = np.where(predicted, -np.inf, shares).argmax(axis=1)
    margin = shares[rows, best] - shares[rows, second]
    return predicted, second.astype(np.int32), margin.astype(np.float32)


def join_predictions(
    predictions: PredictionBatches, truth: Truth | None, names: Sequence[str], task: Task
) -> InspectedImages:
    """Join the predictions of all batches with the labels of the images, if any."""
    paths = [image.path for image in predictions.images]
    values = truth.values if truth is not None else {}
    labelled = np.array([path in values for path in paths], dtype=np.bool_)
    truth_matrix = None
    if labelled.any():
        cells = [values[path][0] if path in values else None for path in paths]
        parts = [
            () if cell is None else split_label(cell) if task == "several" else (cell,)
            for cell in cells
        ]
        truth_matrix = as_matrix(parts, names)
    return InspectedImages(
        predictions.images,
        np.concatenate(predictions.predicted),
        np.concatenate(predictions.runner_up),
        np.concatenate(predictions.margin),
        truth_matrix,
        labelled,
    )
