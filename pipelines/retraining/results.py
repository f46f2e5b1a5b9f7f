"""`retraining.json`: what retraining changed, in one document, for the page and the report."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pipelines.runs.errors import InputError
from pipelines.runs.manifest import read_document

RETRAINING_FILE = "retraining.json"
MODEL_FILE = "retrained.keras"
HISTORY_FILE = "history.csv"
CHANGES_FILE = "before_after.csv"
CHANGES_COLUMNS = ("path", "expected", "before", "after", "right before", "right after", "cluster",
                   "sha256")  # fmt: skip
REPAIRS_FILE = "repairs.csv"
REPAIRS_PICTURE = "repairs.png"
PROGRESS_FOLDER = ".retraining"
"""Where training keeps what it has so far, and goes on from after a kill."""
AGAIN = "Retrain again, with --overwrite."

State = Literal["repaired", "not repaired", "unclear"]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Accuracy(_Document):
    """Of how many images are right, with Wilson's 95 % interval.

    Where images come in groups, the interval is that of as many as are independent.
    """

    images: int
    right: int
    share: float
    low: float
    high: float


class Change(_Document):
    """What became of test images: of all, or of a class.

    Attributes
    ----------
    name : str
        Of the class; empty for all.
    before, after : Accuracy
    repaired, broken : int
        Images that only the retrained model gets right, and only the model before.
    p : float
        For these images alone, two-sided: of McNemar's exact test, or where images come in groups,
        of the exact sign-flip test of groups.
    groups, groups_changed : int or None
        Groups that the images are of, and those with an image that was repaired or broken; None
        where every image is by itself.
    """

    name: str
    before: Accuracy
    after: Accuracy
    repaired: int
    broken: int
    p: float
    groups: int | None = None
    groups_changed: int | None = None


class Repair(_Document):
    """What became of the failing images of a root cause cluster, or of noise.

    Attributes
    ----------
    cluster : int
        -1 is noise.
    name : str
        The engineer's.
    failing : int
        Images of the cluster that are in the test set and that the model got wrong.
    after : Accuracy
        Of the retrained model on them.
    labelled : int
        Images of the unsafe set that were chosen for the cluster, and trained with.
    state : str
        "repaired" and "not repaired" where the interval lies on one side of a half.
    groups : int or None
        Groups that the failing images are of; None where every image is by itself.
    """

    cluster: int
    name: str
    failing: int
    after: Accuracy
    labelled: int
    state: State
    groups: int | None = None


class Method(_Document):
    """One way to choose as many images for labelling, over the repeats.

    Attributes
    ----------
    name : str
    accuracies : list of float
        On the test set, a repeat each.
    mean, deviation : float
        Sample standard deviation.
    a12, p : float or None
        How likely our selection is the better one (Vargha and Delaney), and of the Mann-Whitney
        test; None for our selection itself, and for fewer than two repeats.
    effect : str
        Of `a12`, in words.
    """

    name: str
    accuracies: list[float]
    mean: float
    deviation: float
    a12: float | None = None
    effect: str = ""
    p: float | None = None


class Comparison(_Document):
    """The same number of labels spent in different ways.

    Attributes
    ----------
    labels, trained : int
        Images that are labelled, and with duplicates.
    methods : list of Method
        Our selection first.
    best_baseline : str
    difference : float
        Of the mean accuracy, ours less that of the best baseline.
    added : float or None
        Ours less that of the same training without new labels: what labels added. None in
        retrainings of older versions.
    """

    labels: int
    trained: int
    repeats: int
    methods: list[Method]
    best_baseline: str
    difference: float
    added: float | None = None


class Retraining(_Document):
    """What was retrained, with what, and what changed.

    Attributes
    ----------
    run : str
        The run whose unsafe set was used.
    model, training, improvement, test : str
        Files and folders.
    training_images, unsafe_images, balanced_images, held_out : int
        What was trained with: of the training set, of the unsafe set, the same with duplicates,
        and images held out from both.
    recipe : dict of str to str
        Optimiser, loss, learning rate and where they come from.
    best, epochs : int
    ended : str
        As `training.Trained` has it.
    change : Change
        On all test images.
    classes : list of Change
    repairs : list of Repair
        The largest cluster first, noise last; empty where no failing image is in the test set.
    comparison : Comparison, optional
    groups : str
        How many test images come in how many groups, and how that was told; empty where every
        image is by itself, as in retrainings of older versions.
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
    """Read `retraining.json`; raise InputError where there is none, or a damaged one."""
    found = read_document(folder / RETRAINING_FILE, Retraining, AGAIN)
    if found is None:
        raise InputError(f"{folder} holds no retraining that has finished.")
    return found
