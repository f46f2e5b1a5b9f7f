"""The test of a DNN: its predictions for labelled images, compared with the labels.

This is HUDD's TestModule (`hudd-tool`, section 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Floats
from pipelines.data.labels import CLASS_FOLDERS, SEPARATOR, Truth, order_classes, split_label
from pipelines.runs.errors import InputError
from pipelines.runs.wording import count_of

Task = Literal["classes", "several", "numbers"]
"""One class per image, several labels per image, or numbers."""
THRESHOLD = 0.5
"""A class is predicted when its sigmoid output is above this."""
SUSPICIOUS_GAIN = 0.3
"""A note doubts the order of the classes if another order would raise accuracy by more than
this."""


@dataclass(frozen=True)
class Outcome:
    """The predictions of a network for labelled images, and which of them are correct.

    Attributes
    ----------
    task : str
        See `Task`.
    names : tuple of str
        Names of the classes, or of the numbers.
    expected, predicted : tuple of str, length n
        Labels and predictions; several classes or numbers are separated by semicolons.
    correct : array of bool, shape (n,)
    scores : array of float32, shape (n, len(names))
        The score of each class, 0 to 1; for numbers, the absolute error of each number.
    targets : array of int32, shape (n,)
        Position of the output that heatmaps explain: that of the predicted class, or of the number
        with the largest error.
    errors : array of float32, shape (n,), or None
        For numbers: the mean error; for key points, the mean distance. None for classes.
    note : str
        A doubt that the user should know about, in one sentence; empty if there is none.
    """

    task: Task
    names: tuple[str, ...]
    expected: tuple[str, ...]
    predicted: tuple[str, ...]
    correct: NDArray[np.bool_]
    scores: Floats
    targets: NDArray[np.int32]
    errors: Floats | None
    note: str = ""

    def accuracy(self) -> float:
        """Return the share of images with a correct prediction, 0 to 1."""
        return float(self.correct.mean())


def read_task(text: str | None) -> Task | None:
    """Return the task that the user named; None leaves it to the labels and the model.

    Raises
    ------
    InputError
        When there is no such task.
    """
    tasks: tuple[Task, ...] = get_args(Task)
    for task in tasks:
        if task == text:
            return task
    if text is not None:
        raise InputError(f"task: expected {', '.join(tasks)}, received {text!r}")
    return None


def find_task(truth: Truth, activation: str, outputs: int) -> Task:
    """Find what a network predicts, from the labels and the network's last layer.

    It predicts numbers when every label has as many numbers as the network has outputs, and the
    last layer is neither softmax nor sigmoid. It predicts several labels per image when a label has
    a semicolon. Otherwise it predicts one class per image.

    Raises
    ------
    InputError
        When the labels are 0 and 1 and the network has one output without an activation: the output
        may be a class or a number.
    """
    rows = list(truth.values.values())
    if activation not in {"softmax", "sigmoid"} and outputs == 1 and _are_bits(rows):
        raise InputError(
            "the labels are 0 and 1, and the network has one output without an activation: give "
            "--task classes if the output is the logit of a class, or --task numbers."
        )
    if activation not in {"softmax", "sigmoid"} and all(_numbers(row, outputs) for row in rows):
        return "numbers"
    from_table = truth.source != CLASS_FOLDERS  # a folder's name is one class, also with semicolons
    several = from_table and any(SEPARATOR in cell for row in rows for cell in row)
    return "several" if several and activation != "softmax" else "classes"


def _are_bits(rows: Sequence[Sequence[str]]) -> bool:
    return all(len(row) == 1 and row[0] in {"0", "1"} for row in rows)


def are_points(names: Sequence[str]) -> bool:
    """Tell whether numbers are coordinates of key points, from their names.

    Coordinates come in pairs whose names differ only by an x and a y, such as
    ``nose_x, nose_y, chin_x, chin_y``.
    """
    pairs = list(zip(names[::2], names[1::2], strict=False))
    if not pairs or len(names) % 2:
        return False
    for first, second in pairs:
        letters = zip(first.lower(), second.lower(), strict=False)
        differences = [(a, b) for a, b in letters if a != b]
        if len(first) != len(second) or differences != [("x", "y")]:
            return False
    return True


def _numbers(row: Sequence[str], outputs: int) -> list[float] | None:
    parts = [part for cell in row for part in cell.split(SEPARATOR)]
    if len(parts) != outputs:
        return None
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None


def judge(
    truth: Truth,
    paths: Sequence[str],
    outputs: Floats,
    activation: str,
    *,
    task: Task | None = None,
    classes: Sequence[str] | None = None,
    error_threshold: float | None = None,
    key_points: bool = False,
) -> Outcome:
    """Compare the outputs of a network with the labels of the images.

    Parameters
    ----------
    paths : sequence of str, length n
        Paths of the images; each has a label in `truth`.
    outputs : array of float32, shape (n, m)
    activation : str
        Activation of the network's last layer; the outputs of a classifier that ends with neither
        softmax nor sigmoid are logits.
    task : str, optional
        See `Task`; if None, `find_task` finds it.
    classes : sequence of str, optional
        Names of the classes in the order of the outputs; if None, see `labels.order_classes`.
    error_threshold : float, optional
        For numbers: an image with a larger error counts as failing.
    key_points : bool
        Whether numbers are the x and y of key points. If False, their names decide (`are_points`).

    Raises
    ------
    InputError
        When labels and outputs do not match, or labels are numbers and there is no threshold.
    """
    task = task or find_task(truth, activation, outputs.shape[1])
    if task == "numbers":
        return _judge_numbers(truth, paths, outputs, error_threshold, key_points)
    names = order_classes(truth, outputs.shape[1], classes, task == "several")
    shares = class_shares(outputs, activation, task)
    if task == "several":
        return _judge_several(truth, paths, shares, names)
    places = {name: place for place, name in enumerate(names)}
    labels = np.array([places[truth.values[path][0]] for path in paths], dtype=np.int32)
    best = shares.argmax(axis=1).astype(np.int32)
    return Outcome(
        "classes",
        names,
        tuple(names[label] for label in labels.tolist()),
        tuple(names[label] for label in best.tolist()),
        best == labels,
        shares,
        best if outputs.shape[1] > 1 else np.zeros(len(best), np.int32),
        None,
        "" if classes else doubt_order(labels, best, len(names)),
    )


def class_shares(outputs: Floats, activation: str, task: Task) -> Floats:
    """Return the score of each class, 0 to 1; a single output becomes the scores of two classes."""
    if activation not in {"softmax", "sigmoid"}:  # logits
        if task == "several" or outputs.shape[1] == 1:
            outputs = (1 / (1 + np.exp(-outputs.astype(np.float64)))).astype(np.float32)
        else:
            powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
            outputs = powers / powers.sum(axis=1, keepdims=True)
    if task == "classes" and outputs.shape[1] == 1:
        return np.concatenate([1 - outputs, outputs], axis=1)
    return outputs


def _judge_several(
    truth: Truth, paths: Sequence[str], shares: Floats, names: tuple[str, ...]
) -> Outcome:
    expected = [split_label(truth.values[path][0]) for path in paths]
    predicted = [
        tuple(sorted(names[place] for place in np.flatnonzero(row > THRESHOLD))) for row in shares
    ]
    # Heatmaps explain the worst error: the class whose score is furthest on the wrong side.
    labelled = np.array([[name in row for name in names] for row in expected])
    worst = np.where(labelled, THRESHOLD - shares, shares - THRESHOLD).argmax(axis=1)
    return Outcome(
        "several",
        names,
        tuple(SEPARATOR.join(row) for row in expected),
        tuple(SEPARATOR.join(row) for row in predicted),
        np.array([a == b for a, b in zip(expected, predicted, strict=True)], dtype=np.bool_),
        shares,
        worst.astype(np.int32),
        None,
    )


def _judge_numbers(
    truth: Truth,
    paths: Sequence[str],
    outputs: Floats,
    error_threshold: float | None,
    key_points: bool,
) -> Outcome:
    if error_threshold is None or not error_threshold > 0:
        raise InputError(
            "the labels are numbers: give --error-threshold, the error above which an image counts "
            f"as failing; received {error_threshold}. If they are classes, give --task classes."
        )
    width = outputs.shape[1]
    rows = [_numbers(truth.values[path], width) for path in paths]
    for path, row in zip(paths, rows, strict=True):
        if row is None:
            raise InputError(
                f"the label of {path}: expected {count_of(width, 'number')}, one for each output "
                f"of the network, received {SEPARATOR.join(truth.values[path])!r} "
                f"({truth.source}). Correct that label."
            )
    wanted = np.array(rows, dtype=np.float64)
    off = np.abs(outputs - wanted)
    names = truth.columns if len(truth.columns) == width else tuple(map(str, range(width)))
    # Pairs are positions in the image, so their error is a distance (HUDD, section V-A).
    points = key_points or are_points(names)
    if points and width % 2:
        raise InputError(
            "key points: expected x and y of each point, so an even number of outputs, received "
            f"{width}. Do not give --key-points if the outputs are other numbers."
        )
    distances = np.sqrt((off.reshape(len(off), -1, 2) ** 2).sum(axis=2)) if points else off
    errors = distances.mean(axis=1)
    return Outcome(
        "numbers",
        names,
        tuple(SEPARATOR.join(f"{value:.6g}" for value in row) for row in wanted.tolist()),
        tuple(SEPARATOR.join(f"{value:.6g}" for value in row) for row in outputs.tolist()),
        errors <= error_threshold,
        off.astype(np.float32),
        off.argmax(axis=1).astype(np.int32),
        errors.astype(np.float32),
        "The numbers are key points: an error is a mean distance." if points else "",
    )


def confusion_matrix(outcome: Outcome) -> NDArray[np.int64]:
    """Count the images of each expected class (rows) with each predicted class (columns).

    Returns
    -------
    array of int64, shape (k, k)
    """
    places = {name: place for place, name in enumerate(outcome.names)}
    matrix = np.zeros((len(places), len(places)), dtype=np.int64)
    rows = [places[name] for name in outcome.expected]
    columns = [places[name] for name in outcome.predicted]
    np.add.at(matrix, (rows, columns), 1)
    return matrix


def doubt_order(labels: NDArray[np.int32], best: NDArray[np.int32], classes: int) -> str:
    """Return a warning if another order of the classes would be far more accurate, else "".

    Without names from the user, classes are sorted; the outputs may have another order.
    """
    from scipy.optimize import linear_sum_assignment

    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (labels, best), 1)
    rows, columns = linear_sum_assignment(-matrix)
    possible = matrix[rows, columns].sum() / len(labels)
    accuracy = float((labels == best).mean())
    if possible - accuracy < SUSPICIOUS_GAIN:
        return ""
    return (
        f"With the classes in another order, the accuracy would be {possible:.0%} instead of "
        f"{accuracy:.0%}: they were sorted by name. Give --classes, their names in the order of "
        "the outputs."
    )
