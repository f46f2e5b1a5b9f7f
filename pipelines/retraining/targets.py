"""Labels of examples as targets of a network: their names, checks and encoding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Floats
from pipelines.data.labels import Truth, is_label, order_classes, split_label
from pipelines.dnn.evaluation import Task
from pipelines.dnn.model import Network
from pipelines.retraining.examples import Example, LabelledSet
from pipelines.runs.errors import InputError
from pipelines.runs.wording import count_of

Targets = NDArray[np.int32] | Floats
"""Targets of the loss; see `encode_labels`."""


def align_numbers(first: LabelledSet, other: LabelledSet) -> LabelledSet:
    """Sort the numbers of a set in the order of another set's columns.

    Raises
    ------
    InputError
        When the two sets have different numbers.
    """
    order = order_columns(
        (f"{first.examples[0].role} set {first.folder}", first.truth.columns),
        (f"{other.examples[0].role} set {other.folder}", other.truth.columns),
    )
    if order is None:
        return other
    examples = [
        replace(example, label=tuple(example.label[place] for place in order))
        if len(example.label) == len(order)
        else example
        for example in other.examples
    ]
    return replace(other, examples=examples)


def order_columns(
    first: tuple[str, Sequence[str]], other: tuple[str, Sequence[str]]
) -> list[int] | None:
    """Return the columns of a set in the order of another one; None if the order is the same.

    Parameters
    ----------
    first, other : tuples of str and sequence of str
        Name of the set, for the message, and the columns of its labels.

    Raises
    ------
    InputError
        When the two name different numbers.
    """
    wanted, columns = list(first[1]), list(other[1])
    if columns == wanted or any(len(one) == 1 and is_label(one[0]) for one in (wanted, columns)):
        return None  # the numbers are in one cell and have no names
    if sorted(columns) != sorted(wanted):
        raise InputError(
            f"the {other[0]} gives {', '.join(columns)} and the {first[0]} gives "
            f"{', '.join(wanted)}: expected the same columns in both tables."
        )
    return [columns.index(name) for name in wanted]


def join_truth(sets: Sequence[LabelledSet]) -> Truth:
    """Join the labels of several sets, by the names of their examples."""
    first = sets[0].truth
    values = {example.name: example.label for part in sets for example in part.examples}
    return Truth(first.columns, values, first.source)


def name_classes(
    sets: Sequence[LabelledSet], network: Network, class_names: Sequence[str] | None, task: Task
) -> tuple[str, ...]:
    """Return the names of the classes in the order of the outputs.

    Parameters
    ----------
    sets : sequence of LabelledSet
        The training set, whose labels define the classes, then the others.
    class_names : sequence of str or None
        Names from the user; they take precedence over those of the training set.

    Raises
    ------
    InputError
        When a set has a label that is not a class of the network.
    """
    names = order_classes(sets[0].truth, network.outputs, class_names, task == "several")
    for part in sets[1:]:
        unknown = [
            (label, example)
            for example in part.examples
            for label in (split_label(example.label[0]) if task == "several" else example.label)
            if label not in names
        ]
        if unknown:
            label, example = unknown[0]
            raise InputError(
                f"the model has no class {label!r}, the label of {example.name}: expected one of "
                f"{', '.join(names)}. Unknown labels of the {example.role} set: "
                f"{len(unknown):,}. Correct them, or name the classes with --classes."
            )
    return names


def encode_labels(
    examples: Sequence[Example],
    task: Task,
    names: Sequence[str],
    outputs: int,
    sparse_targets: bool,
) -> Targets:
    """Encode labels as targets of the loss.

    Parameters
    ----------
    names : sequence of str
        Names of the classes in the order of the outputs.
    outputs : int
        Number of outputs of the network.
    sparse_targets : bool
        Whether the loss takes positions of classes instead of one number for each output.

    Returns
    -------
    array of int32, shape (n,), or of float32, shape (n, outputs)
        Positions of classes if `sparse_targets`, otherwise numbers for each output.
    """
    if task == "numbers":
        rows = [[float(n) for cell in e.label for n in cell.split(";")] for e in examples]
        return np.array(rows, dtype=np.float32)
    place = {name: position for position, name in enumerate(names)}
    if task == "several":
        shares = np.zeros((len(examples), outputs), dtype=np.float32)
        for row, example in enumerate(examples):
            shares[row, [place[label] for label in split_label(example.label[0])]] = 1
        return shares
    positions = np.array([place[example.label[0]] for example in examples], dtype=np.int32)
    if sparse_targets:
        return positions
    if outputs == 1:
        return positions[:, None].astype(np.float32)
    return np.eye(outputs, dtype=np.float32)[positions]


def check_numbers(sets: Sequence[LabelledSet], outputs: int) -> None:
    """Raise InputError unless every label has one finite number for each output of the network."""
    for part in sets:
        for example in part.examples:
            cells = [number for cell in example.label for number in cell.split(";")]
            try:
                fine = len(cells) == outputs and bool(np.isfinite([float(c) for c in cells]).all())
            except ValueError:
                fine = False
            if not fine:
                raise InputError(
                    f"the label of {example.name}: expected {count_of(outputs, 'number')}, one "
                    f"for each output of the network, received {';'.join(example.label)!r}."
                )


def count_classes(examples: Sequence[Example]) -> Counter[str]:
    """Count the images of each label."""
    return Counter(example.label[0] for example in examples)
