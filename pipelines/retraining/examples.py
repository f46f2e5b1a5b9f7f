"""Labelled images of several folders as one list: training set, unsafe set, test set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters.clusters import NOISE
from pipelines.data.arrays import Floats, Positions
from pipelines.data.changes import tell_changed
from pipelines.data.image_lists import list_images
from pipelines.data.images import (
    ImageFile,
    Rejected,
    check_images,
    find_files,
    no_usable_image,
    resolve_folder,
)
from pipelines.data.labels import LABEL, Truth, find_tables, read_labelled, read_truth
from pipelines.data.pixels import load_pixels
from pipelines.data.prefetch import prefetch
from pipelines.data.tables import clean
from pipelines.dnn.job import UNLABELLED
from pipelines.dnn.model import Network, scale
from pipelines.runs.errors import InputError
from pipelines.runs.wording import count_of
from pipelines.unsafe_set.digests import NOT_SELECTED, read_digests
from pipelines.unsafe_set.files import read_engineer_labels, read_selection
from pipelines.unsafe_set.rows import UNSAFE_SET_FILE, read_rows

Role = Literal["training", "unsafe", "validation", "test", "improvement"]
KEPT_BYTES = 1 << 30
"""Largest size of decoded images in memory, bytes; a larger set is decoded again for each use."""
AHEAD = 64
MOST_LISTED = 5


@dataclass(frozen=True)
class Example:
    """A labelled image.

    Attributes
    ----------
    role : str
        The set that the image comes from.
    folder : Path
    image : ImageFile
    label : tuple of str
        The cells of the label, as in `Truth`.
    cluster : int
        The cluster of an image of the unsafe set; -1 for others.
    """

    role: Role
    folder: Path
    image: ImageFile
    label: tuple[str, ...]
    cluster: int = NOISE

    @property
    def name(self) -> str:
        """Role and relative path; a path alone may occur in several sets."""
        return f"{self.role}/{self.image.path}"


@dataclass(frozen=True)
class LabelledSet:
    """A set of labelled images.

    Attributes
    ----------
    folder : Path
    examples : list of Example
    rejected : list of Rejected
        Files that cannot be used, and images without a label; paths start with the set's role.
    truth : Truth
        The labels, and their source.
    notes : tuple of str
        What the user should know about the images; see `image_lists.ListedImages`.
    """

    folder: Path
    examples: list[Example]
    rejected: list[Rejected]
    truth: Truth
    notes: tuple[str, ...] = ()


Step = Callable[[int, int], None]


def gather_set(role: Role, source: Path, step: Step) -> LabelledSet:
    """Find the labelled images of a folder; labels come from class folders or from `labels.csv`.

    Parameters
    ----------
    source : Path
        A folder, or a list of images.
    step : callable
        Called with the number of finished images and the number of all.

    Raises
    ------
    InputError
        When there are no labels, or no image has one.
    """
    listed = list_images(source)
    folder = listed.folder
    images, unusable = check_images(folder, listed.paths, step)
    rejected = [*listed.rejected, *unusable]
    if not images:
        raise no_usable_image(folder, rejected)
    truth = read_labelled(folder, [image.path for image in images])
    examples = [
        Example(role, folder, image, truth.values[image.path])
        for image in images
        if image.path in truth.values
    ]
    unlabelled = [image.path for image in images if image.path not in truth.values]
    rejected += [Rejected(path, UNLABELLED) for path in unlabelled]
    notes = (*listed.notes, *truth.notes)
    return LabelledSet(folder, examples, _prefix_role(role, rejected), truth, notes)


def gather_unsafe_set(run: Path, known: set[str], step: Step) -> LabelledSet:
    """Find the labelled images of a run's unsafe set.

    A label in `unsafe_set.csv` takes precedence over a label of the improvement folder. An image
    that changed since it was selected is rejected: its cluster and label may be wrong by now.

    Parameters
    ----------
    known : set of str
        Labels of the training set. If the engineer filled in some labels, folders with other names
        (a day, a drive) are not used as labels.
    step : callable
        Called with the number of finished images and the number of all.

    Raises
    ------
    InputError
        When the run has no unsafe set, or none of its images has a label.
    """
    unsafe = read_unsafe_set(run, known)
    folder, labels = unsafe.folder, unsafe.labels
    images, rejected = check_images(folder, sorted(unsafe.clusters), step)
    for image in list(images):
        selected = ImageFile(image.path, unsafe.digests.get(image.path, image.digest))
        if changed := tell_changed(selected, image.digest, NOT_SELECTED):
            images.remove(image)
            rejected.append(changed)
    if not images:
        raise no_usable_image(folder, rejected)
    examples = [
        Example("unsafe", folder, image, labels[image.path], unsafe.clusters[image.path])
        for image in images
        if image.path in labels
    ]
    if not examples:
        raise no_unsafe_label(run, unsafe)
    rejected += [Rejected(image.path, UNLABELLED) for image in images if image.path not in labels]
    return LabelledSet(folder, examples, _prefix_role("unsafe", rejected), unsafe.truth)


@dataclass(frozen=True)
class UnsafeImages:
    """The images of an unsafe set, before any of them is opened.

    Attributes
    ----------
    folder : Path
        The improvement folder.
    clusters : dict of str to int
        The cluster of each image, by path.
    labels : dict of str to tuple of str
        The labels, by path; images without a label are left out.
    truth : Truth
        Source of the labels that were not filled in by an engineer.
    digests : dict of str to str
        See `unsafe_set.digests.read_digests`.
    """

    folder: Path
    clusters: dict[str, int]
    labels: dict[str, tuple[str, ...]]
    truth: Truth
    digests: dict[str, str]


def read_unsafe_set(run: Path, known: set[str]) -> UnsafeImages:
    """Read which images a run's unsafe set has, and their labels; see `gather_unsafe_set`."""
    selection = read_selection(run)
    if selection is None:
        raise InputError(f"{run} has no unsafe set: select one first, then label its images.")
    clusters = {row["path"]: int(row["cluster"]) for row in read_rows(run, selection.listed)}
    if not clusters:
        raise InputError(
            f"{run / UNSAFE_SET_FILE} is empty: there is nothing to retrain with. Select more "
            "images, or take some in again."
        )
    folder = resolve_folder(Path(selection.folder))
    engineer_labels = {path: clean(label) for path, label in read_engineer_labels(run).items()}
    truth = _read_folder_labels(folder, clusters, engineer_labels, known)
    filled_in = {path: (label,) for path, label in engineer_labels.items()}
    labels = {path: cells for path, cells in (truth.values | filled_in).items() if path in clusters}
    return UnsafeImages(folder, clusters, labels, truth, read_digests(run, selection))


def no_unsafe_label(run: Path, unsafe: UnsafeImages) -> InputError:
    """Return the error that no image of an unsafe set has a label."""
    return InputError(
        f"none of {count_of(len(unsafe.clusters), 'image')} of the unsafe set has a label: fill in "
        f"the column {LABEL} of {run / UNSAFE_SET_FILE}, or put the images of {unsafe.folder} into "
        "class folders."
    )


def _read_folder_labels(
    folder: Path, wanted: Iterable[str], engineer_labels: dict[str, str], known: set[str]
) -> Truth:
    """Read the labels of the improvement folder, unless the engineer filled in all of them."""
    nothing = Truth((LABEL,), {}, UNSAFE_SET_FILE)
    if all(path in engineer_labels for path in wanted):
        return nothing
    try:
        paths = find_files(folder)[0]
        truth = read_truth(folder, paths)
    except InputError:
        if find_tables(folder, paths):  # a damaged table must not count as a missing one
            raise
        return nothing
    if engineer_labels and not truth.in_tables:
        values = {path: label for path, label in truth.values.items() if set(label) <= known}
        return replace(truth, values=values)
    return truth


def _prefix_role(role: Role, rejected: Sequence[Rejected]) -> list[Rejected]:
    return [Rejected(f"{role}/{file.path}", file.reason) for file in rejected]


def check_apart(one: LabelledSet, other: LabelledSet) -> None:
    """Refuse two sets that share images: a test with training images is meaningless.

    Raises
    ------
    InputError
        When images of both sets have the same bytes; the message names them.
    """
    known = {example.image.digest: example for example in one.examples}
    both = [
        (known[example.image.digest], example)
        for example in other.examples
        if example.image.digest in known
    ]
    if not both:
        return
    listed = ", ".join(f"{first.name} = {second.name}" for first, second in both[:MOST_LISTED])
    first, second = both[0]
    raise InputError(
        f"the {first.role} set {one.folder} and the {second.role} set {other.folder} share "
        f"{count_of(len(both), 'image')} (the same bytes): {listed}"
        f"{', ...' if len(both) > MOST_LISTED else ''}. Take them out of one of the two."
    )


class Pictures:
    """The decoded images of a list of examples, by their position.

    All images are decoded once at the start, so that damaged files are known before training. Up to
    `KEPT_BYTES` they stay in memory; a larger set is decoded again for each use.

    Attributes
    ----------
    examples : list of Example
        Examples whose images could be decoded.
    rejected : list of Rejected
        The others, which could not be decoded.
    """

    def __init__(
        self, network: Network, examples: Sequence[Example], step: Step, kept: int = KEPT_BYTES
    ) -> None:
        width, height = network.size
        if width is None or height is None:
            raise ValueError("expected a network with a fixed input size: call fix_size first")
        self._size, self._grey = (width, height), network.channels == 1
        self.examples: list[Example] = []
        self.rejected: list[Rejected] = []
        shape = (height, width, network.channels)
        fits = len(examples) * height * width * network.channels <= kept
        pixels = np.empty((len(examples) if fits else 0, *shape), dtype=np.uint8)
        for done, loaded in enumerate(prefetch(self._load, examples, ahead=AHEAD), 1):
            example = examples[done - 1]
            if isinstance(loaded, Rejected):
                self.rejected.append(Rejected(example.name, loaded.reason))
            else:
                if fits:
                    pixels[len(self.examples)] = loaded
                self.examples.append(example)
            step(done, len(examples))
        self._pixels = pixels if fits else None

    def _load(self, example: Example) -> NDArray[np.uint8] | Rejected:
        return load_pixels(example.folder, example.image, self._size, grey=self._grey)

    def batches(self, order: Positions, size: int) -> Iterator[tuple[Positions, NDArray[np.uint8]]]:
        """Yield the images in an order, batch by batch.

        Parameters
        ----------
        order : array of intp
            Positions of images; they may repeat.
        size : int
            Number of images of a batch.

        Yields
        ------
        positions : array of intp, shape (m,)
        pixels : array of uint8, shape (m, height, width, channels)

        Raises
        ------
        InputError
            When a file can no longer be read, or has changed.
        """
        parts = [order[start : start + size] for start in range(0, len(order), size)]
        if self._pixels is not None:
            for part in parts:
                yield part, self._pixels[part]
            return
        loaded = prefetch(lambda place: self._load(self.examples[place]), order.tolist(), AHEAD)
        for part in parts:
            pixels = []
            for place in part.tolist():
                decoded = next(loaded)
                if isinstance(decoded, Rejected):
                    name = self.examples[place].folder / self.examples[place].image.path
                    raise InputError(
                        f"{name} can no longer be read: {decoded.reason}. It has changed since "
                        "this job started. Restore it, and start the job again."
                    )
                pixels.append(decoded)
            yield part, np.stack(pixels)


def predict_pictures(network: Network, pictures: Pictures, order: Positions, size: int) -> Floats:
    """Run the network over pictures.

    Parameters
    ----------
    order : array of intp
        Positions of the pictures.
    size : int
        Number of pictures that are predicted at once.

    Returns
    -------
    array of float32, shape (len(order), outputs)
    """
    parts = [
        np.asarray(network.model(scale(network, pixels), training=False), dtype=np.float32)
        for _, pixels in pictures.batches(order, size)
    ]
    return np.concatenate(parts) if parts else np.empty((0, network.outputs), np.float32)
