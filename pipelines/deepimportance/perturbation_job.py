"""From a folder of images to a perturbed copy of it, a test set again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.data.images import ImageFile, Rejected, check_images, find_images, no_usable_image
from pipelines.data.labels import LABELS_TABLE, Truth, order_classes, read_classes, read_truth
from pipelines.deepimportance.labels import tell_task
from pipelines.deepimportance.perturbation import build_perturbing
from pipelines.dnn.model import Network, fix_size, load_batches, load_network
from pipelines.runs.errors import InputError
from pipelines.runs.files import atomic_write, write_csv
from pipelines.runs.folder import Progress
from pipelines.unsafe_set.export import check_target

CHECKING = "checking images"
STAGE = "perturbing images"
SUFFIX = ".png"
UNKNOWN = -1
ATTACKS = ("fgsm", "bim")


@dataclass(frozen=True)
class Asked:
    """What the user may decide.

    Attributes
    ----------
    how : str
        One of `perturbation.HOWS`.
    strength : float, optional
        See `perturbation.build_perturbing`.
    seed : int
        Of the noise.
    scaling, trust
        See `dnn.model.load_network`.
    classes : Path, optional
        A file with the names of the classes, one a line, in the order of the outputs.
    """

    how: str = "gaussian"
    strength: float | None = None
    seed: int = 0
    scaling: str | None = None
    trust: bool = False
    classes: Path | None = None


@dataclass(frozen=True)
class Perturbed:
    """What became of the images of a folder.

    Attributes
    ----------
    images : int
        Written, at the size of the network's input.
    unchanged : int
        Of them, those that are as before: a gradient was 0 everywhere, or the change too small.
    rejected : list of Rejected
    labels : str
        Where those of the perturbed images come from, in words; empty where there are none.
    """

    images: int
    unchanged: int
    rejected: list[Rejected]
    labels: str


def perturb_images(
    model: Path, source: Path, out: Path, asked: Asked, progress: Progress
) -> Perturbed:
    """Write a perturbed copy of each image of a folder to `out`, with the labels it had.

    Class folders stay, and `labels.csv` is written anew: copies are PNG files, without loss, and
    their names end so.  Time grows linearly with the number of images, memory with a batch.

    Parameters
    ----------
    source : Path
        A folder of images, or a list such as `failures.txt`.
    out : Path
        A new or empty folder.

    Raises
    ------
    InputError
        When the model, an option, `out` or the images cannot be used.
    """
    folder, paths, rejected = find_images(source)
    check_target(out, folder)
    images, unusable = check_images(
        folder, paths, lambda done, total: progress(CHECKING, done, total)
    )
    rejected = [*rejected, *unusable]
    if not images:
        raise no_usable_image(folder, rejected)
    network = fix_size(load_network(model, asked.scaling, trust=asked.trust), folder, images)
    how: Any = asked.how  # checked by `build_perturbing`
    perturb = build_perturbing(network, how, asked.strength, asked.seed)
    truth = _read_truth(folder, images)
    shown = _shown(network, truth, asked) if asked.how in ATTACKS else {}
    names: dict[str, str] = {}
    taken: set[str] = set()
    unchanged = done = 0
    for batch in load_batches(network, folder, images):
        usable = [item for item in batch if not isinstance(item, Rejected)]
        rejected += [item for item in batch if isinstance(item, Rejected)]
        done += len(batch)
        if usable:
            pixels = np.stack([pixel for _, pixel in usable])
            classes = [shown.get(image.path, UNKNOWN) for image, _ in usable]
            made = perturb(pixels, np.array(classes, dtype=np.int32))
            unchanged += int((made == pixels).all(axis=(1, 2, 3)).sum())
            for (image, _), picture in zip(usable, made, strict=True):
                names[image.path] = name = _name(image.path, taken)
                taken.add(name)
                _write(out / name, picture)
        progress(STAGE, done, len(images))
    if not names:
        raise no_usable_image(folder, rejected)
    if truth and truth.source == LABELS_TABLE:
        rows = [(name, *truth.values[path]) for path, name in names.items() if path in truth.values]
        write_csv(out / LABELS_TABLE, ("path", *truth.columns), rows)
    return Perturbed(len(names), unchanged, rejected, truth.source if truth else "")


def _read_truth(folder: Path, images: Sequence[ImageFile]) -> Truth | None:
    try:
        return read_truth(folder, [image.path for image in images])
    except InputError:
        if (folder / LABELS_TABLE).is_file():
            raise
        return None


def _shown(network: Network, truth: Truth | None, asked: Asked) -> dict[str, int]:
    """Return the output that each image shows, by path; none where there are no labels."""
    given = read_classes(asked.classes) if asked.classes else None
    classifies = given is not None or network.activation in {"softmax", "sigmoid"}
    task = tell_task(truth, network, given) if truth else "classes"
    if task != "classes" or not (truth or classifies):
        raise InputError(
            f"--how {asked.how} needs a DNN that predicts one class an image, and this one "
            f"predicts {'several labels' if task == 'several' else 'numbers'}, or there are no "
            "labels to tell. Take gaussian or gaussian-random."
        )
    if truth is None:
        return {}
    names = order_classes(truth, network.outputs, given, several=False)
    places = {name: place for place, name in enumerate(names)}
    return {path: places[cells[0]] for path, cells in truth.values.items()}


def _name(path: str, taken: set[str]) -> str:
    name = path if path.lower().endswith(SUFFIX) else path + SUFFIX
    while name in taken:  # eye.jpg beside eye.jpg.png
        name += SUFFIX
    return name


def _write(file: Path, pixels: NDArray[np.uint8]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    with atomic_write(file) as opened:
        picture.save(opened, "PNG")
