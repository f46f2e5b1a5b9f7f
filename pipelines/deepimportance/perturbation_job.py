"""Perturbation as a job: write a perturbed copy of a folder of images, as a further test set.

DeepImportance, section 5.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.data.image_lists import CHECKING, list_images
from pipelines.data.images import (
    LABELS_TABLE,
    ImageFile,
    Rejected,
    check_images,
    check_openable,
    no_usable_image,
)
from pipelines.data.labels import WHERE, Truth, order_classes, read_classes, read_optional_truth
from pipelines.deepimportance.labels import infer_task
from pipelines.deepimportance.manifest import PerturbFigures, PerturbParameters
from pipelines.deepimportance.perturbation import Perturb, build_perturbation, check_perturbation
from pipelines.dnn.manifest import describe_model
from pipelines.dnn.model import (
    LOADING,
    Network,
    check_network,
    fix_size,
    load_batches,
    load_network,
)
from pipelines.dnn.scaling_notes import note_better_scaling, note_double_scaling
from pipelines.runs.errors import InputError
from pipelines.runs.files import (
    Outputs,
    as_text,
    atomic_write,
    list_files,
    move_files,
    write_csv,
    write_pairs,
)
from pipelines.runs.folder import PERTURBED_FILE, REJECTED_FILE, Run
from pipelines.runs.job import Job, Start, run_job
from pipelines.runs.manifest import ImageCounts, Manifest, write_part

JOB = "perturb"
STAGE = "perturbing images"
SUFFIX = ".png"
UNKNOWN = -1
NO_LABELS = (
    "No labels are known: the copies have none, and no test tells how often the DNN is right on "
    f"them. {WHERE}"
)
ATTACKS = ("fgsm", "bim")
OUTPUTS = Outputs((PERTURBED_FILE, LABELS_TABLE, REJECTED_FILE), listed=PERTURBED_FILE)


@dataclass(frozen=True)
class Options:
    """The options of the user.

    Attributes
    ----------
    how : str
        One of `perturbation.HOWS`.
    strength : float, optional
        See `perturbation.build_perturbation`.
    seed : int
        Seed of the noise.
    scaling, trust
        See `dnn.model.load_network`.
    classes : Path, optional
        A file with the names of the classes, one on each line, in the order of the outputs.
    """

    how: str = "gaussian"
    strength: float | None = None
    seed: int = 0
    scaling: str | None = None
    trust: bool = False
    classes: Path | None = None


@dataclass(frozen=True)
class _Originals:
    """The images to copy, and the names of their classes if the user gave them."""

    folder: Path
    paths: list[str]
    rejected: list[Rejected]
    class_names: tuple[str, ...] | None


@dataclass(frozen=True)
class _Copies:
    """The perturbed copies of the images.

    Attributes
    ----------
    names : dict of str to str
        Path of each perturbed image, by the path of the original.
    unchanged : int
        Number of copies that equal the original: a gradient was 0 everywhere, or the change was
        too small.
    rejected : list of Rejected
        Images that could not be decoded.
    """

    names: dict[str, str]
    unchanged: int
    rejected: list[Rejected]


def perturb_images(
    model: Path, source: Path, out: Path, options: Options, **start: Unpack[Start]
) -> Manifest:
    """Write a perturbed copy of each image of a folder to the run folder `out`, with its labels.

    Copies are PNG files, which are lossless. Class folders are kept. `labels.csv` is written again,
    because names of files change. Time grows linearly with the number of images, memory with a
    batch.

    Parameters
    ----------
    source : Path
        A folder of images, or a list such as `failures.txt`.
    start : Start

    Returns
    -------
    Manifest
        `result` has the number of `images`, the number of `unchanged` ones, and in words the source
        of their `labels`; empty if there are none.

    Raises
    ------
    InputError
        When the model, an option, `out` or the images cannot be used.
    """
    check_perturbation(options.how, options.strength)
    listed = list_images(source)
    folder = listed.folder
    class_names = read_classes(options.classes) if options.classes else None
    check_network(model, options.scaling, trust=options.trust)
    check_openable(folder, listed.paths, listed.rejected)
    read_optional_truth(folder, listed.paths)
    originals = _Originals(folder, list(listed.paths), list(listed.rejected), class_names)
    job = Job(
        name=JOB,
        folder=source,
        sources=(model, source, folder),
        parameters=_parameters(model, options),
        outputs={JOB: OUTPUTS},
        work=lambda run: _perturb(run, model, originals, options),
        notes=listed.notes,
    )
    return run_job(job, out, **start)


def _parameters(model: Path, options: Options) -> PerturbParameters:
    """Return the options in the form of `run.json`."""
    return PerturbParameters(
        model=as_text(model.resolve()),
        how=options.how,
        strength=options.strength,
        seed=options.seed,
        classes=as_text(options.classes.resolve()) if options.classes else None,
        scaling=options.scaling,
        trust_model=options.trust,
    )


def _perturb(run: Run, model: Path, originals: _Originals, options: Options) -> None:
    folder, rejected = originals.folder, originals.rejected
    with run.stage(CHECKING):
        images, unusable = check_images(
            folder, originals.paths, lambda done, total: run.progress(CHECKING, done, total)
        )
        rejected = [*rejected, *unusable]
        if not images:
            raise no_usable_image(folder, rejected)
    with run.stage(LOADING):
        network = fix_size(
            load_network(model, options.scaling, trust=options.trust), folder, images
        )
        perturb = build_perturbation(network, options.how, options.strength, options.seed)
        truth = read_optional_truth(folder, [image.path for image in images])
        run.manifest.notes += truth.notes if truth else (NO_LABELS,)
        note_double_scaling(run.manifest, network)
        note_better_scaling(
            run.manifest, network, folder, images, truth, classes=originals.class_names
        )
        shown: dict[str, int] = {}
        if options.how in ATTACKS:
            shown = _read_shown(network, truth, originals.class_names, options.how)
    with run.partial() as partial:
        with run.stage(STAGE):
            copies = _write_copies(run, partial, network, folder, images, perturb, shown)
        rejected = [*rejected, *copies.rejected]
        if not copies.names:
            raise no_usable_image(folder, rejected)
        _describe(run.manifest, network, copies, rejected, truth)
        _check_free(run, copies.names.values())
        run.begin_results()
        # The table is written first: after a kill, it names the images that exist.
        pairs = [(name, path) for path, name in copies.names.items()]
        write_csv(run.folder / PERTURBED_FILE, ("path", "original"), pairs)
        move_files(partial, run.folder, copies.names.values())
    if truth and truth.in_tables:
        rows = [(name, *truth.values[path]) for name, path in pairs if path in truth.values]
        write_csv(run.folder / LABELS_TABLE, ("path", *truth.columns), rows)
    write_pairs(run.folder / REJECTED_FILE, [(file.path, file.reason) for file in rejected])


def _write_copies(
    run: Run,
    out: Path,
    network: Network,
    folder: Path,
    images: Sequence[ImageFile],
    perturb: Perturb,
    shown: Mapping[str, int],
) -> _Copies:
    """Write the perturbed images into `out`; `shown` has the class of each image by path."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    rejected: list[Rejected] = []
    unchanged = done = 0
    for batch in load_batches(network, folder, images):
        usable = [item for item in batch if not isinstance(item, Rejected)]
        rejected += [item for item in batch if isinstance(item, Rejected)]
        done += len(batch)
        if usable:
            pixels = np.stack([pixel for _, pixel in usable])
            classes = [shown.get(image.path, UNKNOWN) for image, _ in usable]
            perturbed = perturb(pixels, np.array(classes, dtype=np.int32))
            unchanged += int((perturbed == pixels).all(axis=(1, 2, 3)).sum())
            for (image, _), picture in zip(usable, perturbed, strict=True):
                names[image.path] = name = _name(image.path, taken)
                taken.add(name)
                _write(out / name, picture)
        run.progress(STAGE, done, len(images))
    return _Copies(names, unchanged, rejected)


def _describe(
    manifest: Manifest,
    network: Network,
    copies: _Copies,
    rejected: Sequence[Rejected],
    truth: Truth | None,
) -> None:
    used = len(copies.names)
    manifest.images = ImageCounts(found=used + len(rejected), used=used, rejected=len(rejected))
    write_part(manifest, describe_model(network))
    manifest.chosen = {"scaling": network.scaling, "input_size": network.size}
    labels = truth.source if truth else ""
    write_part(manifest, PerturbFigures(images=used, unchanged=copies.unchanged, labels=labels))


def _check_free(run: Run, names: Iterable[str]) -> None:
    """Raise InputError if an image would replace a file that an earlier run did not write."""
    own = {*list_files(run.folder, OUTPUTS)} if run.replaces else set()
    for name in names:
        file = run.folder / name
        if name not in own and os.path.lexists(file):
            raise InputError(
                f"{file} exists and is no image of the earlier run: it is not overwritten. Move it "
                "elsewhere, or choose another --out."
            )
        if not file.parent.resolve().is_relative_to(run.folder.resolve()):
            raise InputError(
                f"{file.parent} is a link to a place outside the run folder. Remove it, or choose "
                "another --out."
            )


def _read_shown(
    network: Network, truth: Truth | None, class_names: tuple[str, ...] | None, how: str
) -> dict[str, int]:
    """Return the position of the class that each image shows, by path; empty without labels."""
    classifies = class_names is not None or network.activation in {"softmax", "sigmoid"}
    task = infer_task(truth, network, class_names) if truth else "classes"
    if task != "classes" or not (truth or classifies):
        raise InputError(
            f"--how {how}: expected a DNN that predicts one class for each image, received one "
            f"that predicts {'several labels' if task == 'several' else 'numbers'}, as far as its "
            "last layer and labels say. Use --how gaussian or --how gaussian-random."
        )
    if truth is None:
        return {}
    names = order_classes(truth, network.outputs, class_names, several=False)
    places = {name: place for place, name in enumerate(names)}
    return {path: places[cells[0]] for path, cells in truth.values.items()}


def _name(path: str, taken: set[str]) -> str:
    name = path if path.lower().endswith(SUFFIX) else path + SUFFIX
    while name in taken:  # such as eye.jpg and eye.jpg.png
        name += SUFFIX
    return name


def _write(file: Path, pixels: NDArray[np.uint8]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    with atomic_write(file) as opened:
        picture.save(opened, "PNG")
