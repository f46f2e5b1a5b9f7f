"""`retraining.json`: all changes by retraining, for the page and the report."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pipelines.runs.errors import InputError
from pipelines.runs.manifest import Document, check_replaced, read_document

RETRAINING_FILE = "retraining.json"
MODEL_FILE = "retrained.keras"
HISTORY_FILE = "history.csv"
EPOCH_COLUMNS = ("epoch", "loss", "validation loss", "validation accuracy", "learning rate",
                 "seconds", "best")  # fmt: skip
CHANGES_FILE = "before_after.csv"
CHANGES_COLUMNS = ("path", "expected", "before", "after", "right before", "right after", "cluster",
                   "sha256")  # fmt: skip
REPAIRS_FILE = "repairs.csv"
REPAIRS_PICTURE = "repairs.png"
PROGRESS_FOLDER = ".retraining"
"""Folder with the state of training, from which it continues after a kill."""
AGAIN = "Retrain again, with --overwrite."

State = Literal["repaired", "not repaired", "unclear"]


class Accuracy(Document):
    """The share of images that a model gets right, with Wilson's 95 % interval.

    If images come in groups, the interval counts as many images as are independent.
    """

    images: int
    right: int
    share: float
    low: float
    high: float


class Change(Document):
    """What changed for test images: for all of them, or for a class.

    Attributes
    ----------
    name : str
        Name of the class; empty for all images.
    before, after : Accuracy
    repaired, broken : int
        Number of images correct only after retraining, and only before.
    p : float
        Two-sided p-value of the change: of McNemar's exact test or, if images come in groups, of
        the exact sign-flip test of groups.
    groups, groups_changed : int or None
        Number of groups of the images, and of groups with a repaired or broken image; None if
        images are independent.
    """

    name: str
    before: Accuracy
    after: Accuracy
    repaired: int
    broken: int
    p: float
    groups: int | None = None
    groups_changed: int | None = None


class Repair(Document):
    """What changed for the failing images of a root cause cluster, or of noise.

    Attributes
    ----------
    cluster : int
        -1 is noise.
    name : str
        The engineer's name of the cluster; may be empty.
    failing : int
        Number of the cluster's images in the test set on which the model before was wrong.
    after : Accuracy
        Accuracy of the retrained model on these images.
    labelled : int
        Number of images of the unsafe set chosen for the cluster and used for training.
    state : str
        "repaired" or "not repaired" if the whole interval is above or below one half, otherwise
        "unclear".
    groups : int or None
        Number of groups of the failing images; None if images are independent.
    """

    cluster: int
    name: str
    failing: int
    after: Accuracy
    labelled: int
    state: State
    groups: int | None = None


class Method(Document):
    """The accuracies of one method of choosing images for labelling.

    Attributes
    ----------
    name : str
    accuracies : list of float
        Accuracy on the test set after each repeat.
    mean, deviation : float
        Mean and sample standard deviation of `accuracies`.
    a12, p : float or None
        Probability that our selection is better (Vargha and Delaney), and p-value of the
        Mann-Whitney test; None for our selection itself, and for fewer than two repeats.
    effect : str
        Size of `a12` in words; empty if `a12` is None.
    """

    name: str
    accuracies: list[float]
    mean: float
    deviation: float
    a12: float | None = None
    effect: str = ""
    p: float | None = None


class Comparison(Document):
    """The comparison of methods of choosing the same number of images for labelling.

    Attributes
    ----------
    labels, trained : int
        Number of labelled images, and number of training images with duplicates.
    repeats : int
        Number of trainings with each method.
    methods : list of Method
        Our selection first.
    best_baseline : str
        Name of the baseline with the highest mean accuracy.
    difference : float
        Mean accuracy with our selection minus that with the best baseline.
    added : float or None
        Mean accuracy with our selection minus that of the same training without new labels; None in
        retrainings of older versions.
    """

    labels: int
    trained: int
    repeats: int
    methods: list[Method]
    best_baseline: str
    difference: float
    added: float | None = None


class Retraining(Document):
    """What was retrained, with what, and what changed.

    Attributes
    ----------
    run : str
        The run whose unsafe set was used.
    model, training, improvement, test : str
        Files and folders.
    training_images, unsafe_images, balanced_images, held_out : int
        Number of training images: of the training set, of the unsafe set, and of the latter with
        duplicates; and number of images held out from both.
    recipe : dict of str to str
        Optimiser, loss and learning rate, with their sources.
    best, epochs : int
        The best epoch, and the number of epochs.
    ended : str
        See `training.TrainingOutcome`.
    change : Change
        Change for all test images.
    classes : list of Change
        Change for each class; empty for a DNN that does not predict one class for each image.
    repairs : list of Repair
        The largest cluster first, noise last; empty if no failing image is in the test set.
    comparison : Comparison, optional
    groups : str
        Number of test images and groups, and how images were grouped; empty if images are
        independent, as in retrainings of older versions.
    """

    schema_version: Literal[1] = 1
    run: str
    model: str
    training: str
    improvement: str
    test: str
    training_images: int
    unsafe_images: int
    balanced_images: int
    held_out: int
    recipe: dict[str, str]
    best: int
    epochs: int
    ended: str
    change: Change
    classes: list[Change]
    repairs: list[Repair]
    comparison: Comparison | None = None
    groups: str = ""


def read_retraining(folder: Path) -> Retraining:
    """Read `retraining.json`.

    Raises
    ------
    InputError
        When the file is missing or damaged.
    """
    check_replaced(folder)
    retraining = read_document(folder / RETRAINING_FILE, Retraining, AGAIN)
    if retraining is None:
        raise InputError(
            f"{folder} holds no finished retraining: it has no {RETRAINING_FILE}. {AGAIN} A killed "
            "job then continues from its last epoch."
        )
    return retraining
