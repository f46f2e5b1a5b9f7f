"""The classifier that is inspected: its classes, its neurons, and what it says of each image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Floats
from pipelines.data.images import ImageFile, Rejected, check_header, find_files
from pipelines.data.labels import LABELS_TABLE, Truth, order_classes, read_truth, split_label
from pipelines.deepinspect.activation import Bools
from pipelines.deepinspect.imports import as_matrix
from pipelines.dnn.activations import neuron_layers, stream_activations
from pipelines.dnn.evaluation import THRESHOLD as PREDICTED
from pipelines.dnn.evaluation import Task, class_shares, find_task
from pipelines.dnn.model import Network
from pipelines.runs.errors import InputError
from pipelines.runs.folder import Progress


@dataclass
class Seen:
    """What was predicted for the images so far; grows with their number, and that of classes.

    Attributes
    ----------
    predicted : list of array of bool, shape (n, k)
    runner_up : list of array of int32, shape (n,)
        The class with the second largest share; -1 where an image may have several.
    margin : list of array of float32, shape (n,)
        By how much the largest share exceeds it.
    """

    images: list[ImageFile] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    predicted: list[Bools] = field(default_factory=list)
    runner_up: list[NDArray[np.int32]] = field(default_factory=list)
    margin: list[Floats] = field(default_factory=list)


@dataclass(frozen=True)
class Images:
    """What is known of all images: see `Seen`.

    Attributes
    ----------
    truth : array of bool, shape (n, k), or None
        Rows without any class where there is no label; None where there are none at all.
    labelled : array of bool, shape (n,)
    """

    files: list[ImageFile]
    predicted: Bools
    runner_up: NDArray[np.int32]
    margin: Floats
    truth: Bools | None
    labelled: Bools


def read_labels_of(folder: Path, source: Path, files: Sequence[ImageFile]) -> Truth | None:
    """Read the labels of a folder's images, where there are any.

    Raises
    ------
    InputError
        When `labels.csv` cannot be used.
    """
    known = [image.path for image in files]
    if source.is_file():  # the classes are those of the whole folder
        known = [path for path in find_files(folder)[0] if not check_header(folder, path)]
    if not (folder / LABELS_TABLE).is_file() and not any("/" in path for path in known):
        return None
    return read_truth(folder, known)


def choose_task(asked: str | None, truth: Truth | None, network: Network) -> Task:
    """Tell whether an image has one class or may have several.

    Raises
    ------
    InputError
        When the network predicts numbers.
    """
    task: Task
    if asked is not None:
        task = "several" if asked == "several" else "classes"
    elif truth is not None:
        task = find_task(truth, network.activation, network.outputs)
    elif network.activation not in {"softmax", "sigmoid"} and network.outputs == 1:
        task = "numbers"
    else:
        several = network.activation == "sigmoid" and network.outputs > 1
        task = "several" if several else "classes"
    if task == "numbers":
        raise InputError(
            f"{network.file} predicts numbers, and has no classes that could be confused. If it "
            "is a classifier, give --task classes or several."
        )
    return task


def name_classes(
    truth: Truth | None, network: Network, given: Sequence[str] | None, task: Task
) -> tuple[str, ...]:
    """Return the names of the classes: those given, else those of the labels, else positions.

    Raises
    ------
    InputError
        When names, labels and outputs do not go together.
    """
    several = task == "several"
    if truth is not None:
        try:
            return order_classes(truth, network.outputs, given, several)
        except InputError as error:
            raise InputError(
                f"{error} If {truth.source} are no labels of this model, give --no-labels."
            ) from None
    count = 2 if network.outputs == 1 and not several else network.outputs
    if given is None:
        return tuple(str(place) for place in range(count))
    if len(given) != count or len(set(given)) != count:
        raise InputError(
            f"classes: expected {count} names, one an output of the network, received {len(given)} "
            f"({', '.join(given[:5])}, ...)."
        )
    return tuple(given)


def choose_layers(network: Network, wanted: Sequence[str]) -> dict[str, int]:
    """Return the layers whose neurons are looked at, and how many each has; all, or those wanted.

    Raises
    ------
    InputError
        When a layer has no neurons, or none has any.
    """
    known = neuron_layers(network.model)
    for name in wanted:
        if name not in known:
            raise InputError(
                f"layers: {network.file} has no neurons in a layer {name!r}. Choose among "
                f"{', '.join(known)}."
            )
    chosen = {name: count for name, count in known.items() if not wanted or name in wanted}
    if not chosen:
        raise InputError(
            f"{network.file} has no dense layer and no convolution, and so no neurons to look at."
        )
    return chosen


def stream_predictions(
    network: Network,
    neurons: Mapping[str, int],
    folder: Path,
    files: Sequence[ImageFile],
    task: Task,
    seen: Seen,
    progress: Progress,
    batch_size: int,
) -> Iterator[tuple[Mapping[str, Floats], Bools]]:
    """Yield the activations of each batch, and keep what is predicted in `seen`."""
    for batch in stream_activations(network, list(neurons), folder, files, progress, batch_size):
        seen.images += batch.images
        seen.rejected += batch.rejected
        if not batch.images:
            continue
        shares = class_shares(batch.outputs, network.activation, task)
        predicted, runner_up, margin = _predict(shares, task)
        seen.predicted.append(predicted)
        seen.runner_up.append(runner_up)
        seen.margin.append(margin)
        yield batch.layers, predicted


def _predict(shares: Floats, task: Task) -> tuple[Bools, NDArray[np.int32], Floats]:
    """Return which classes are predicted, the class that comes second, and how near it is."""
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


def gather(seen: Seen, truth: Truth | None, names: Sequence[str], task: Task) -> Images:
    """Put together what was predicted and, where labels are known, what the images show."""
    paths = [image.path for image in seen.images]
    values = truth.values if truth is not None else {}
    labelled = np.array([path in values for path in paths], dtype=np.bool_)
    shown = None
    if labelled.any():
        cells = [values[path][0] if path in values else None for path in paths]
        parts = [
            () if cell is None else split_label(cell) if task == "several" else (cell,)
            for cell in cells
        ]
        shown = as_matrix(parts, names)
    return Images(
        seen.images,
        np.concatenate(seen.predicted),
        np.concatenate(seen.runner_up),
        np.concatenate(seen.margin),
        shown,
        labelled,
    )
