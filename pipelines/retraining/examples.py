"""Labelled images of several folders as one list: training set, unsafe set, test set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters.clusters import NOISE
from pipelines.data.arrays import Floats
from pipelines.data.images import (
    ImageFile,
    Rejected,
    check_images,
    find_files,
    find_images,
    no_usable_image,
    resolve_folder,
)
from pipelines.data.labels import LABEL, LABELS_TABLE, Truth, order_classes, read_truth, split_label
from pipelines.data.pixels import load_pixels
from pipelines.data.prefetch import prefetch
from pipelines.data.tables import clean
from pipelines.dnn.evaluation import Task
from pipelines.dnn.job import UNLABELLED
from pipelines.dnn.model import Network, scale
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv
from pipelines.runs.guard import name_damaged_file
from pipelines.runs.wording import count_of
from pipelines.unsafe_set.files import UNSAFE_SET_FILE, read_engineer_labels, read_selection

Role = Literal["training", "unsafe", "validation", "test", "improvement"]
KEPT_BYTES = 1 << 30
"""Bytes of decoded images that may stay in memory; a larger set is decoded again for each use."""
AHEAD = 64
MOST_LISTED = 5

Positions = NDArray[np.intp]
Targets = NDArray[np.int32] | Floats
"""Targets of the loss; see `encode_labels`."""


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
        """Role and relative path: a path alone may occur in several sets."""
        return f"{self.role}/{self.image.path}"


@dataclass(frozen=True)
class LabelledSet:
    """A set of labelled images.

    Attributes
    ----------
    folder : Path
    examples : list of Example
    rejected : list of Rejected
        Files that cannot be used, and images without a label; paths begin with the set's role.
    truth : Truth
        The labels, and where they come from.
    """

    folder: Path
    examples: list[Example]
    rejected: list[Rejected]
    truth: Truth


Step = Callable[[int, int], None]


def gather_set(role: Role, source: Path, step: Step) -> LabelledSet:
    """Find the labelled images of a folder; labels come from class folders or from `labels.csv`.

    Parameters
    ----------
    source : Path
        A folder, or a list of images.
    step : callable
        Called with the number of images that are done, and of all.

    Raises
    ------
    InputError
        When there are no labels, or no image has one.
    """
    folder, paths, rejected = find_images(source)
    images, unusable = check_images(folder, paths, step)
    rejected = rejected + unusable
    if not images:
        raise no_usable_image(folder, rejected)
    truth = read_truth(folder, [image.path for image in images])
    examples = [
        Example(role, folder, image, truth.values[image.path])
        for image in images
        if image.path in truth.values
    ]
    rejected += [
        Rejected(image.path, UNLABELLED) for image in images if image.path not in truth.values
    ]
    if not examples:
        raise no_usable_image(folder, rejected)
    return LabelledSet(folder, examples, _prefix_role(role, rejected), truth)


def gather_unsafe_set(run: Path, known: set[str], step: Step) -> LabelledSet:
    """Find the labelled images of a run's unsafe set.

    A label in `unsafe_set.csv` counts first, then one of the improvement folder.

    Parameters
    ----------
    known : set of str
        Labels of the training set.  Where the engineer filled in some labels, folders with other
        names (a day, a drive) are not taken as labels.
    step : callable
        Called with the number of images that are done, and of all.

    Raises
    ------
    InputError
        When the run has no unsafe set, or none of its images has a label.
    """
    selection = read_selection(run)
    if selection is None:
        raise InputError(f"{run} has no unsafe set: select one first, then label its images.")
    with name_damaged_file(run / UNSAFE_SET_FILE):
        clusters = {r["path"]: int(r["cluster"]) for r in read_csv(run / UNSAFE_SET_FILE)}
    if not clusters:
        raise InputError(f"{run / UNSAFE_SET_FILE} is empty: there is nothing to retrain with.")
    folder = resolve_folder(Path(selection.folder))
    images, rejected = check_images(folder, sorted(clusters), step)
    if not images:
        raise no_usable_image(folder, rejected)
    engineer_labels = {path: clean(label) for path, label in read_engineer_labels(run).items()}
    truth = _read_folder_labels(folder, clusters, engineer_labels, known)
    examples = []
    for image in images:
        label = (
            (engineer_labels[image.path],)
            if image.path in engineer_labels
            else truth.values.get(image.path)
        )
        if label is None:
            rejected.append(Rejected(image.path, UNLABELLED))
        else:
            examples.append(Example("unsafe", folder, image, label, clusters[image.path]))
    if not examples:
        raise InputError(
            f"none of the {len(clusters)} images of the unsafe set has a label: fill in the column "
            f"{LABEL} of {run / UNSAFE_SET_FILE}, or put the images of {folder} into class folders."
        )
    return LabelledSet(folder, examples, _prefix_role("unsafe", rejected), truth)


def _read_folder_labels(
    folder: Path, wanted: Iterable[str], engineer_labels: dict[str, str], known: set[str]
) -> Truth:
    """Read the labels of the improvement folder, where the engineer did not fill in all of them."""
    nothing = Truth((LABEL,), {}, UNSAFE_SET_FILE)
    if all(path in engineer_labels for path in wanted):
        return nothing
    try:
        truth = read_truth(folder, find_files(folder)[0])
    except InputError:
        if (folder / LABELS_TABLE).is_file():  # a damaged table must not pass for a missing one
            raise
        return nothing
    if engineer_labels and truth.source != LABELS_TABLE:
        values = {path: label for path, label in truth.values.items() if set(label) <= known}
        return replace(truth, values=values)
    return truth


def _prefix_role(role: Role, rejected: Sequence[Rejected]) -> list[Rejected]:
    return [Rejected(f"{role}/{file.path}", file.reason) for file in rejected]


def check_apart(one: LabelledSet, other: LabelledSet) -> None:
    """Refuse two sets that share images: a test with training images says nothing.

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


def align_numbers(first: LabelledSet, other: LabelledSet) -> LabelledSet:
    """Bring the numbers of a set into the order of the columns of another.

    Raises
    ------
    InputError
        When the two name different numbers.
    """
    wanted, columns = first.truth.columns, other.truth.columns
    if columns == wanted or LABEL in {wanted[0].lower(), columns[0].lower()}:
        return other  # the numbers are in one cell and have no names
    if sorted(columns) != sorted(wanted):
        raise InputError(
            f"the {other.examples[0].role} set {other.folder} gives {', '.join(columns)} and the "
            f"{first.examples[0].role} set {first.folder} gives {', '.join(wanted)}: expected the "
            "same columns in both tables."
        )
    order = [columns.index(name) for name in wanted]
    examples = [
        replace(example, label=tuple(example.label[place] for place in order))
        if len(example.label) == len(order)
        else example
        for example in other.examples
    ]
    return replace(other, examples=examples)


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
        The training set, whose labels name the classes, then the others.
    class_names : sequence of str or None
        Names from the user, which count before those of the training set.

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
                f"{', '.join(names)}. {len(unknown):,} labels of the {example.role} set are "
                "unknown. Correct them, or name the classes with --classes."
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
        Positions of classes if `sparse_targets`; else numbers for each output.
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
                    f"the label of {example.name}: expected {outputs} numbers, one for each output "
                    f"of the network, received {';'.join(example.label)!r}."
                )


def count_classes(examples: Sequence[Example]) -> Counter[str]:
    """Count the images of each label."""
    return Counter(example.label[0] for example in examples)


class Pictures:
    """The decoded images of a list of examples, by their position.

    All images are decoded once at the start, so that damaged files are known before training.  They
    stay in memory up to `KEPT_BYTES`; a larger set is decoded again for each use.

    Attributes
    ----------
    examples : list of Example
        Examples whose images could be decoded.
    rejected : list of Rejected
        The others.
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
