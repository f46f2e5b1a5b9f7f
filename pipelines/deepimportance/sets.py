"""The sets of images on which coverage is measured: training, tests, and new images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.data.image_lists import CHECKING, list_images
from pipelines.data.images import (
    ImageFile,
    Rejected,
    check_images,
    check_openable,
    no_usable_image,
)
from pipelines.data.labels import WHERE, Truth, read_optional_truth
from pipelines.runs.errors import InputError
from pipelines.runs.files import as_text
from pipelines.runs.folder import Run
from pipelines.runs.wording import count_of

MOST_LISTED = 10
TRAINING_SET, TEST, NEW = "training", "test", "new"


@dataclass(frozen=True)
class ImageSet:
    """The images of a folder, and their labels, if any.

    Attributes
    ----------
    kind : str
        `TRAINING_SET`, `TEST` or `NEW`.
    name : str
        Name of the folder; with a number if an earlier set has the same name.
    source : Path
        The folder or list (such as `failures.txt`) that the user named.
    folder : Path
    paths : list of str
        Paths of the files to read, relative to `folder`.
    images : list of ImageFile
        Images that can be read; empty before `check_sets`.
    rejected : list of Rejected
        Files that cannot be used.
    truth : Truth or None
        Labels; None if there are none.
    notes : tuple of str
        What the user should know about the images; see `image_lists.ListedImages`.
    """

    kind: str
    name: str
    source: Path
    folder: Path
    paths: list[str]
    images: list[ImageFile]
    rejected: list[Rejected]
    truth: Truth | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageSets:
    """All sets of images of a coverage run.

    Attributes
    ----------
    training : ImageSet
    tests : tuple of ImageSet
        One or more.
    new : ImageSet or None
        New images that may widen the first test set.
    """

    training: ImageSet
    tests: tuple[ImageSet, ...]
    new: ImageSet | None

    @property
    def all(self) -> tuple[ImageSet, ...]:
        """Training set, test sets and new images, in this order."""
        return (self.training, *self.tests, *((self.new,) if self.new else ()))


def find_sets(
    training: Path, tests: Sequence[Path], new: Path | None, class_: str | None = None
) -> ImageSets:
    """Find the images of all folders, and their labels; no image is decoded yet.

    Sets are named after their folders; if two folders have the same name, the second set gets a
    number.

    Raises
    ------
    InputError
        When a folder or a list cannot be read or has no image, a table of labels is damaged, or a
        set has no image of the class `class_`.
    """
    names: list[str] = []

    def find(kind: str, source: Path) -> ImageSet:
        listed = list_images(source)
        folder = listed.folder
        name = as_text((folder if source.is_dir() else source.parent).resolve().name)
        number = next(n for n in range(1, len(names) + 2) if _numbered(name, n) not in names)
        names.append(_numbered(name, number))
        paths, rejected = list(listed.paths), list(listed.rejected)
        check_openable(folder, paths, rejected)
        truth = read_optional_truth(folder, paths) if kind != NEW else None
        image_set = ImageSet(
            kind, names[-1], source, folder, paths, [], rejected, truth, notes=listed.notes
        )
        if class_ is not None and kind != NEW:
            read_labels_for_class(image_set, class_)
        return image_set

    return ImageSets(
        find(TRAINING_SET, training),
        tuple(find(TEST, test) for test in tests),
        find(NEW, new) if new is not None else None,
    )


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name} ({number})"


def check_sets(run: Run, sets: ImageSets) -> ImageSets:
    """Read all images of all sets once, with their labels; add notes on missing labels.

    Raises
    ------
    InputError
        When a set has no image that can be used, or a table of labels is damaged.
    """
    sets = ImageSets(
        _check_set(run, sets.training),
        tuple(_check_set(run, test) for test in sets.tests),
        _check_set(run, sets.new) if sets.new else None,
    )
    _note_labels(run, sets)
    return sets


def _note_labels(run: Run, sets: ImageSets) -> None:
    """Add notes on sets without labels or with missing ones, and on the use of labels."""
    if sets.training.truth is None:
        run.manifest.notes.append(
            f"No labels of {sets.training.name} are known: --class needs them, and the scaling and "
            f"the order of the classes are not checked. {WHERE}"
        )
    for test in sets.tests:
        if test.truth is None:
            run.manifest.notes.append(
                f"No labels of {test.name} are known: its coverage is measured, but not how often "
                f"the DNN is right on it. {WHERE}"
            )
            continue
        labels = test.truth.values
        if without := sum(image.path not in labels for image in test.images):
            run.manifest.notes.append(
                f"{count_of(without, 'image')} of {test.name} without a label: measured, but not "
                "counted in its accuracy."
            )


def _check_set(run: Run, image_set: ImageSet) -> ImageSet:
    """Read all images of a set once, and its labels.

    Raises
    ------
    InputError
        When no image can be used, or `labels.csv` is damaged.
    """

    def step(done: int, total: int) -> None:
        run.progress(CHECKING, done, total)

    images, unusable = check_images(image_set.folder, image_set.paths, step)
    if not images:
        raise no_usable_image(image_set.folder, [*image_set.rejected, *unusable])
    truth, paths = None, [image.path for image in images]
    if image_set.kind != NEW:  # new images may still wait for labels, in folders of any name
        truth = read_optional_truth(image_set.folder, paths)
        run.manifest.notes += truth.notes if truth else ()
    return replace(image_set, images=images, rejected=[*image_set.rejected, *unusable], truth=truth)


def read_labels_for_class(image_set: ImageSet, class_: str) -> dict[str, tuple[str, ...]]:
    """Return the labels of a set, by path; at least one of them is the chosen class.

    Raises
    ------
    InputError
        When the set has no labels, or no image of the class.
    """
    if image_set.truth is None:
        raise InputError(
            f"--class: the images of {image_set.folder} have no labels. {WHERE} Add them, or leave "
            "out --class."
        )
    labels = image_set.truth.values
    if (class_,) not in labels.values():
        classes = sorted({cell for row in labels.values() for cell in row})
        raise InputError(
            f"--class: {image_set.folder} has no image of the class {class_!r}. Its labels are "
            f"{', '.join(classes[:MOST_LISTED])}{', ...' if len(classes) > MOST_LISTED else ''}: "
            "choose one of them, or leave out --class."
        )
    return labels


def keep_class(image_set: ImageSet, class_: str) -> ImageSet:
    """Keep the images of one class; new images, which have no labels, are all kept.

    Raises
    ------
    InputError
        When the set has no labels, or no image of the class.
    """
    if image_set.kind == NEW:
        return image_set
    truth = read_labels_for_class(image_set, class_)
    images = [image for image in image_set.images if truth.get(image.path) == (class_,)]
    return replace(image_set, images=images)
