"""What a network's outputs stand for, as far as labels of the training images tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.data.labels import (
    LABELS_TABLE,
    Truth,
    order_classes,
    split_label,
)
from pipelines.deepimportance.measurement import (
    Measured,
)
from pipelines.deepimportance.sets import ImageSet
from pipelines.dnn.evaluation import Outcome, Task, doubt_order, find_task, judge
from pipelines.dnn.model import Network
from pipelines.runs.errors import InputError
from pipelines.runs.folder import Run


@dataclass(frozen=True)
class Labels:
    """What the network's outputs stand for, as far as labels tell."""

    task: Task
    names: tuple[str, ...] | None


def read_labels(
    run: Run,
    network: Network,
    training: ImageSet,
    given: Sequence[str] | None,
    class_: str | None,
) -> Labels:
    """Tell what the outputs stand for.

    Labels are not needed.  Folders that are no classes are therefore no error, unless a class is
    asked for.
    """
    truth = training.truth
    unlabelled: Task = "classes"
    if network.activation == "sigmoid" and network.outputs > 1:
        unlabelled = "several"
    elif network.activation not in {"softmax", "sigmoid"} and given is None:
        unlabelled = "numbers"
    guessed = unlabelled
    names: tuple[str, ...] | None = tuple(given) if given else None
    try:
        if truth is not None:
            guessed = tell_task(truth, network, given)
            if guessed != "numbers":
                names = order_classes(truth, network.outputs, given, guessed == "several")
    except InputError as error:
        if class_ is not None or given is not None or truth is None:
            raise
        if truth.source == LABELS_TABLE:
            raise
        guessed = unlabelled  # folders that are no classes tell nothing of the DNN
        run.manifest.notes.append(f"The folders of the images are not taken as classes: {error}")
    if class_ is not None:
        if truth is None:
            raise InputError(f"--class: the images of {training.folder} have no labels.")
        if guessed != "classes" or names is None or class_ not in names:
            known = ", ".join(names) if names and guessed == "classes" else "none: it tells none"
            raise InputError(f"--class: the DNN's classes are {known}; received {class_!r}.")
    return Labels(guessed, names)


def tell_task(truth: Truth, network: Network, given: Sequence[str] | None) -> Task:
    """Tell what a network predicts, from its labels: classes, where names of them are given.

    Raises
    ------
    InputError
        When the labels are 0 and 1, the network gives one number, and no names are given.
    """
    ends_plain = network.activation not in {"softmax", "sigmoid"}
    activation = "sigmoid" if given is not None and ends_plain else network.activation
    try:
        return find_task(truth, activation, network.outputs)
    except InputError:
        raise InputError(
            f"the labels ({truth.source}) are 0 and 1, and the network gives one number. If that "
            "is a class before a sigmoid, give --classes, a file of two lines, 0 and 1; if not, "
            "take the labels away: they are not needed."
        ) from None


def check_labels(test: ImageSet, labels: Labels) -> None:
    """Raise InputError where a test set has labels that the training images do not have."""
    if test.truth is None or labels.names is None:
        return
    cells = {cell for row in test.truth.values.values() for cell in row}
    used = (
        {part for cell in cells for part in split_label(cell)}
        if labels.task == "several"
        else cells
    )
    if unknown := sorted(used - set(labels.names)):
        raise InputError(
            f"--test: {test.folder} has images of the class {unknown[0]!r} ({test.truth.source}), "
            f"which the training images do not have: expected {', '.join(labels.names)}. Give a "
            "test set of the same classes."
        )


def predicted_classes(network: Network, labels: Labels, images: Measured) -> NDArray[np.int32]:
    """Return the position of the class that is predicted of each image; 0 where there is none."""
    outputs = images.outputs
    if labels.task != "classes":
        return np.zeros(len(outputs), dtype=np.int32)
    if network.outputs == 1:
        middle = 0.5 if network.activation == "sigmoid" else 0.0
        return np.asarray(outputs[:, 0] > middle, dtype=np.int32)
    return np.asarray(outputs.argmax(axis=1), dtype=np.int32)


def _judge(network: Network, labels: Labels, each: ImageSet, images: Measured) -> Outcome | None:
    """Compare a classifier with the labels of a folder, where it has some."""
    if each.truth is None or labels.names is None:
        return None
    rows = [i for i, image in enumerate(images.images) if image.path in each.truth.values]
    if not rows:
        return None
    return judge(
        each.truth,
        [images.images[row].path for row in rows],
        images.outputs[rows],
        network.activation,
        task=labels.task,
        classes=labels.names,
    )


def measure_accuracy(
    network: Network, labels: Labels, test: ImageSet, images: Measured
) -> float | None:
    """Return the share of a test set's labelled images that are right, of a classifier."""
    outcome = _judge(network, labels, test, images)
    return None if outcome is None else outcome.accuracy()


def note_order(
    run: Run,
    network: Network,
    labels: Labels,
    training: ImageSet,
    images: Measured,
    given: Sequence[str] | None,
) -> None:
    """Note it when training images tell that the classes have another order than that of names."""
    outcome = None if given is not None else _judge(network, labels, training, images)
    if outcome is None or outcome.task != "classes":
        return
    places = {name: place for place, name in enumerate(outcome.names)}
    shown, best = (
        np.array([places[name] for name in names], dtype=np.int32)
        for names in (outcome.expected, outcome.predicted)
    )
    if note := doubt_order(shown, best, len(places)):
        run.manifest.notes.append(note)
