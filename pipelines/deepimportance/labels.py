"""The meaning of a network's outputs, inferred from the labels of the training images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.data.labels import Truth, order_classes, split_label
from pipelines.deepimportance.measurement import (
    ImageActivations,
)
from pipelines.deepimportance.sets import ImageSet, read_labels_for_class
from pipelines.dnn.evaluation import Outcome, Task, doubt_order, find_task, judge
from pipelines.dnn.model import Network
from pipelines.runs.errors import InputError
from pipelines.runs.folder import Run


@dataclass(frozen=True)
class OutputMeaning:
    """The meaning of the outputs of the network.

    Attributes
    ----------
    task : str
        What the network predicts: "classes", "several" or "numbers".
    names : tuple of str or None
        Names of the classes in the order of the outputs; None if they are not known.
    """

    task: Task
    names: tuple[str, ...] | None


def interpret_outputs(
    run: Run,
    network: Network,
    training: ImageSet,
    class_names: Sequence[str] | None,
    class_: str | None,
) -> OutputMeaning:
    """Infer the meaning of the network's outputs.

    Labels are optional. So folders that are not classes are no error (a note says so), unless the
    user names a class.

    Parameters
    ----------
    class_names : sequence of str or None
        Names of the classes from the user, in the order of the outputs.
    class_ : str or None
        The class to which the user restricts the measurement.

    Raises
    ------
    InputError
        When labels, names and outputs do not match, or `class_` is not a class of the network.
    """
    truth = training.truth
    unlabelled: Task = "classes"
    if network.activation == "sigmoid" and network.outputs > 1:
        unlabelled = "several"
    elif network.activation not in {"softmax", "sigmoid"} and class_names is None:
        unlabelled = "numbers"
    guessed = unlabelled
    names: tuple[str, ...] | None = tuple(class_names) if class_names else None
    try:
        if truth is not None:
            guessed = infer_task(truth, network, class_names)
            if guessed != "numbers":
                names = order_classes(truth, network.outputs, class_names, guessed == "several")
    except InputError as error:
        if class_ is not None or class_names is not None or truth is None:
            raise
        if truth.in_tables:
            raise
        guessed = unlabelled  # folders that are not classes say nothing about the DNN
        run.manifest.notes.append(f"The folders of the images are not taken as classes: {error}")
    if class_ is not None:
        read_labels_for_class(training, class_)
        if guessed != "classes" or names is None:
            raise InputError(
                "--class: expected a DNN that predicts one class for each image, received one that "
                f"predicts {'several labels' if guessed == 'several' else 'numbers'}. Leave out "
                "--class."
            )
        if class_ not in names:
            raise InputError(
                f"--class: the DNN's classes are {', '.join(names)}; received {class_!r}."
            )
    return OutputMeaning(guessed, names)


def infer_task(truth: Truth, network: Network, class_names: Sequence[str] | None) -> Task:
    """Infer what a network predicts from the labels of images.

    Parameters
    ----------
    class_names : sequence of str or None
        Names of the classes from the user; with these, the network predicts classes.

    Raises
    ------
    InputError
        When the labels are 0 and 1, the network has one output, and `class_names` is None: the
        output may be a number, or a class before a sigmoid.
    """
    ends_plain = network.activation not in {"softmax", "sigmoid"}
    activation = "sigmoid" if class_names is not None and ends_plain else network.activation
    try:
        return find_task(truth, activation, network.outputs)
    except InputError:
        raise InputError(
            f"the labels ({truth.source}) are 0 and 1, and the network has one output without a "
            "sigmoid. If the output is a class before a sigmoid, give --classes, a file of two "
            "lines, 0 and 1. If it is a number, remove the labels: they are not needed."
        ) from None


def check_labels(test: ImageSet, meaning: OutputMeaning) -> None:
    """Raise InputError when a test set has classes that the training images do not have."""
    if test.truth is None or meaning.names is None:
        return
    cells = {cell for row in test.truth.values.values() for cell in row}
    used = (
        {part for cell in cells for part in split_label(cell)}
        if meaning.task == "several"
        else cells
    )
    if unknown := sorted(used - set(meaning.names)):
        raise InputError(
            f"--test: {test.folder} has images of the class {unknown[0]!r} ({test.truth.source}), "
            f"which the training images do not have: expected {', '.join(meaning.names)}. Give a "
            "test set of the same classes."
        )


def predicted_classes(
    network: Network, meaning: OutputMeaning, images: ImageActivations
) -> NDArray[np.int32]:
    """Return the position of the class that is predicted for each image.

    Returns
    -------
    array of int32, shape (n,)
        All 0 for a network that does not predict one class for each image.
    """
    outputs = images.outputs
    if meaning.task != "classes":
        return np.zeros(len(outputs), dtype=np.int32)
    if network.outputs == 1:
        middle = 0.5 if network.activation == "sigmoid" else 0.0
        return np.asarray(outputs[:, 0] > middle, dtype=np.int32)
    return np.asarray(outputs.argmax(axis=1), dtype=np.int32)


def _judge(
    network: Network, meaning: OutputMeaning, image_set: ImageSet, images: ImageActivations
) -> Outcome | None:
    """Compare the outputs of a classifier with the labels of a folder; None without labels."""
    if image_set.truth is None or meaning.names is None:
        return None
    rows = [i for i, image in enumerate(images.images) if image.path in image_set.truth.values]
    if not rows:
        return None
    return judge(
        image_set.truth,
        [images.images[row].path for row in rows],
        images.outputs[rows],
        network.activation,
        task=meaning.task,
        classes=meaning.names,
    )


def measure_accuracy(
    network: Network, meaning: OutputMeaning, test: ImageSet, images: ImageActivations
) -> float | None:
    """Return the accuracy on the labelled images of a test set; None without labels or classes."""
    outcome = _judge(network, meaning, test, images)
    return None if outcome is None else outcome.accuracy()


def note_order(
    run: Run,
    network: Network,
    meaning: OutputMeaning,
    training: ImageSet,
    images: ImageActivations,
    class_names: Sequence[str] | None,
) -> None:
    """Add a note if training images suggest that the outputs have another order than the names.

    No note is added if the user gave the order of the classes (`class_names`).
    """
    outcome = None if class_names is not None else _judge(network, meaning, training, images)
    if outcome is None or outcome.task != "classes":
        return
    places = {name: place for place, name in enumerate(outcome.names)}
    labelled, best = (
        np.array([places[name] for name in names], dtype=np.int32)
        for names in (outcome.expected, outcome.predicted)
    )
    if note := doubt_order(labelled, best, len(places)):
        run.manifest.notes.append(note)
