"""The sets of images that a coverage is measured on: training, tests, and new ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.data.images import ImageFile, Rejected, check_images, find_images, no_usable_image
from pipelines.data.labels import (
    LABELS_TABLE,
    Truth,
    read_truth,
)
from pipelines.runs.errors import InputError
from pipelines.runs.files import as_text
from pipelines.runs.folder import Run

CHECKING = "checking images"
TRAINING_SET, TEST, NEW = "training", "test", "new"


@dataclass(frozen=True)
class ImageSet:
    """The images of a folder, and their labels where they have some.

    Attributes
    ----------
    kind : str
        `TRAINING_SET`, `TEST` or `NEW`.
    name : str
        That of the folder; of two that are called so, the second has a number.
    source : Path
        As it was given: the folder, or a list such as `failures.txt`.
    """

    kind: str
    name: str
    source: Path
    folder: Path
    paths: list[str]
    images: list[ImageFile]
    rejected: list[Rejected]
    truth: Truth | None = None


@dataclass(frozen=True)
class ImageSets:
    """The images that a coverage is measured on, apart from one another.

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
        """All of them, in this order."""
        return (self.training, *self.tests, *((self.new,) if self.new else ()))


def find_sets(training: Path, tests: Sequence[Path], new: Path | None) -> ImageSets:
    """Find the images of all folders; of two that are called the same, the second has a number."""
    names: list[str] = []

    def find(kind: str, source: Path) -> ImageSet:
        folder, paths, rejected = find_images(source)
        name = as_text((folder if source.is_dir() else source.parent).resolve().name)
        number = next(n for n in range(1, len(names) + 2) if _numbered(name, n) not in names)
        names.append(_numbered(name, number))
        return ImageSet(kind, names[-1], source, folder, paths, [], rejected)

    return ImageSets(
        find(TRAINING_SET, training),
        tuple(find(TEST, test) for test in tests),
        find(NEW, new) if new is not None else None,
    )


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name} ({number})"


def check_set(run: Run, each: ImageSet) -> ImageSet:
    """Read all images of a set once, and its labels; raise InputError where no image is left."""

    def step(done: int, total: int) -> None:
        run.progress(CHECKING, done, total)

    images, unusable = check_images(each.folder, each.paths, step)
    if not images:
        raise no_usable_image(each.folder, [*each.rejected, *unusable])
    truth = None
    if each.kind != NEW:  # of those, a table may still be empty, and folders may be anything
        try:
            truth = read_truth(each.folder, [image.path for image in images])
        except InputError:
            if (each.folder / LABELS_TABLE).is_file():
                raise  # else there are none: labels are not needed
    return replace(each, images=images, rejected=[*each.rejected, *unusable], truth=truth)


def keep_class(each: ImageSet, class_: str) -> ImageSet:
    """Leave the images of one class; of new ones, which have no labels, what is predicted tells."""
    if each.kind == NEW:
        return each
    if each.truth is None:
        raise InputError(f"--class: the images of {each.folder} have no labels.")
    truth = each.truth.values
    images = [image for image in each.images if truth.get(image.path) == (class_,)]
    if not images:
        raise InputError(f"--class: {each.folder} has no image of the class {class_!r}.")
    return replace(each, images=images)
