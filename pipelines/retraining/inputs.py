"""Check the inputs of a retraining before images are read: folders, lists and labels.

Training takes hours, so a missing label is reported before a run folder is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from pipelines.data.groups import find_groups_beside
from pipelines.data.image_lists import list_images
from pipelines.data.images import check_header, check_openable
from pipelines.data.labels import Truth, read_labelled, read_truth
from pipelines.retraining.examples import Role, no_unsafe_label, read_unsafe_set
from pipelines.retraining.targets import order_columns
from pipelines.runs.errors import InputError
from pipelines.runs.wording import count_of


@dataclass(frozen=True)
class InputPaths:
    """The model file, the run of the unsafe set, and the folders that the user names."""

    model: Path
    training: Path
    unsafe: Path
    test: Path
    validation: Path | None


@dataclass(frozen=True)
class _Listed:
    """A set before its images are opened, with the labels that its tables or folders have."""

    role: Role
    folder: Path
    paths: Sequence[str]
    truth: Truth

    @property
    def name(self) -> str:
        return f"{self.role} set {self.folder}"


def check_inputs(paths: InputPaths, groups: str | None, *, compared: bool) -> Path:
    """Check the labelled images of all sets, as far as that is possible without reading them.

    Time grows with the number of listed files, and with the number of rows of labels.

    Parameters
    ----------
    groups : str, optional
        How test images are grouped; see `groups.find_groups_beside`.
    compared : bool
        Whether all images of the improvement folder must have labels.

    Returns
    -------
    Path
        The improvement folder.

    Raises
    ------
    InputError
        When a set has no image or no label, two sets that must not overlap share images, or the
        labels of two sets have different columns.
    """
    training = _list_set("training", paths.training)
    known = {label for labels in training.truth.values.values() for label in labels}
    unsafe = read_unsafe_set(paths.unsafe, known)
    check_openable(unsafe.folder, sorted(unsafe.clusters), ())
    if not unsafe.labels:
        raise no_unsafe_label(paths.unsafe, unsafe)
    sets = [training, _Listed("unsafe", unsafe.folder, tuple(unsafe.clusters), unsafe.truth)]
    test = _list_set("test", paths.test)
    others = [test]
    if paths.validation:
        others.append(_list_set("validation", paths.validation))
    for other in (*sets[1:], *others):
        order_columns((training.name, training.truth.columns), (other.name, other.truth.columns))
    for one, other in (*combinations(others, 2), *((a, b) for a in sets for b in others)):
        _check_others(one, other)
    labelled = [path for path in test.paths if path in test.truth.values]
    find_groups_beside(groups, labelled, test.folder)
    if compared:
        _check_improvement(unsafe.folder)
    return unsafe.folder


def _list_set(role: Role, source: Path) -> _Listed:
    """List the images of a set; at least one can be opened, and at least one has a label."""
    listed = list_images(source)
    check_openable(listed.folder, listed.paths, listed.rejected)
    return _Listed(role, listed.folder, listed.paths, read_labelled(listed.folder, listed.paths))


def _check_others(one: _Listed, other: _Listed) -> None:
    """Raise InputError if two sets are from one folder and share images."""
    if one.folder.resolve() != other.folder.resolve():
        return
    if both := sorted({*one.paths} & {*other.paths}):
        raise InputError(
            f"the {one.name} and the {other.name} share {count_of(len(both), 'image')}, such as "
            f"{both[0]}. Take them out of one of the two, or name another folder."
        )


def _check_improvement(folder: Path) -> None:
    """Raise InputError unless all images of the improvement folder have a label."""
    paths = list_images(folder).paths
    truth = read_truth(folder, paths)
    without = [path for path in paths if path not in truth.values]
    check_all_labelled(folder, [path for path in without if not check_header(folder, path)])


def check_all_labelled(folder: Path, unlabelled: Sequence[str]) -> None:
    """Raise InputError if images of the improvement folder that are compared have no label."""
    if unlabelled:
        raise InputError(
            f"--compare: {count_of(len(unlabelled), 'image')} of {folder} without a label "
            f"({unlabelled[0]}, ...), and the baselines choose from all images. Label all of them, "
            "or retrain without --compare."
        )
