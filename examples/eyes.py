"""The built-in example: gaze directions of drawn eyes, and a DNN that is wrong on some of them.

The example follows the gaze detection DNN of the HUDD and SAFE papers. Pictures of one eye are
drawn from known parameters. A small CNN learns to classify eight gaze directions from a training
set in which some situations (`LEFT_OUT`) do not occur. The test images on which it is then wrong
are kept as the failures whose root causes the tool should find: most pictures with sunglasses,
glare, fog on the lens or a bar before the eye, and some others.

The training set leaves out every situation in `LEFT_OUT`; the test and improvement sets are drawn
from the same complete distribution. The folder of an example is a run folder, which contains

- ``train/``, ``test/`` and ``improvement/``: JPEG images, ``labels.csv`` (path, label) and
  ``parameters.csv`` (path and the fields of `Eye`);
- ``failures/``: the same for the test images that the DNN, run on the files as saved, gets wrong;
  ``labels.csv`` has a third column, prediction;
- ``unsafe_values.csv`` in ``test/`` and in ``failures/``: where failures are likely;
- ``model.keras``: the trained DNN;
- ``example.json``: seed, counts, accuracies and versions.

All files are drawn into a hidden folder inside and moved up at the end, ``example.json`` last: it
marks the example as complete. An interrupted call leaves the rest of the folder unchanged.

The same arguments give the same pictures and, on the same machine, the same predictions: Keras is
seeded, and TensorFlow uses deterministic operations for the rest of the process.
"""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from PIL import Image

from examples.eye import Eye
from examples.eye_drawing import draw_eye
from examples.gaze_dnn import (
    SIZE,
    TESTING,
    TRAINING,
    predict_directions,
    train_dnn,
)
from examples.sampling import (
    LEFT_OUT,
    UNSAFE_VALUES,
    gaze_direction,
    sample_eyes,
)
from pipelines.data.prefetch import prefetch
from pipelines.runs.errors import InputError
from pipelines.runs.files import Outputs, as_text, move_files, write_csv, write_text
from pipelines.runs.folder import Progress, Run
from pipelines.runs.job import Job, run_job
from pipelines.runs.manifest import (
    MANIFEST_FILE,
    ImageCounts,
    Manifest,
    Part,
    read_part,
    write_manifest,
    write_part,
)

JOB = "example"
_SPLITS = ("train", "test", "improvement")
_NAMES = r"eye_\d+\.jpg|(labels|parameters|unsafe_values)\.csv"
"""Files in the folders of the example, as a regular expression."""
FAILURES = "failures"
MODEL = "model.keras"
COMPLETE = "example.json"
OUTPUTS = Outputs((MODEL, COMPLETE), dict.fromkeys((*_SPLITS, FAILURES), _NAMES))
DRAWING = "drawing eyes"
DRAWN_AHEAD = 16


class ExampleFigures(Part):
    """The result of `write_example`.

    Attributes
    ----------
    train, test, improvement, failures : int
        Numbers of images.
    train_accuracy, test_accuracy : float
        Shares of the images, as saved, that the DNN classifies correctly: 0 to 1.
    """

    part: ClassVar[Literal["result"]] = "result"

    train: int
    test: int
    improvement: int
    failures: int
    train_accuracy: float
    test_accuracy: float


def _no_progress(stage: str, done: int, total: int) -> None:
    pass


def write_example(
    folder: Path,
    *,
    seed: int = 0,
    train: int = 2400,
    test: int = 1200,
    improvement: int = 1600,
    epochs: int = 20,
    size: tuple[int, int] = SIZE,
    overwrite: bool = False,
    progress: Progress = _no_progress,
    command: Sequence[str] = (),
) -> ExampleFigures:
    """Draw the three sets, train the DNN and keep the test images on which it is wrong.

    Parameters
    ----------
    folder : Path
        Folder to write; made if missing.
    seed : int
        Seed of everything, 0 or more.
    train, test, improvement : int
        Numbers of images, at least 1 each.
    epochs : int
        Passes over the training set, at least 1.
    size : tuple of int
        Width and height of the images in pixels.
    overwrite : bool
        Replace an earlier example in `folder`; other files in it stay.
    progress : callable
        Called with stage, steps done and steps in all, about every tenth of a second.
    command : sequence of str
        What the user typed, for the manifest.

    Returns
    -------
    ExampleFigures
        Counts and accuracies.

    Raises
    ------
    InputError
        If `folder` is a file, or is not empty and `overwrite` is false or it is no example.
    ValueError
        If a count is less than 1.
    """
    counts = dict(zip(_SPLITS, (train, test, improvement), strict=True))
    _check_counts({**counts, "epochs": epochs})
    _adopt(folder, overwrite)
    plan = _Plan(counts, seed, epochs, size)
    job = Job(
        name=JOB,
        folder=folder,
        sources=(),
        parameters=ExampleParameters(**counts, seed=seed, epochs=epochs, size=size),
        outputs={JOB: OUTPUTS},
        work=lambda run: _write(run, plan),
    )
    manifest = run_job(job, folder, progress=progress, command=command, overwrite=overwrite)
    return read_part(manifest, ExampleFigures)


def _check_counts(counts: dict[str, int]) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, not {count}")


class ExampleParameters(Part):
    """The options of `example`, as `run.json` keeps them."""

    part: ClassVar[Literal["parameters"]] = "parameters"

    train: int
    test: int
    improvement: int
    seed: int
    epochs: int
    size: tuple[int, int]


@dataclass(frozen=True)
class _Plan:
    """The options of drawing and training; see `write_example`."""

    counts: dict[str, int]
    seed: int
    epochs: int
    size: tuple[int, int]


def _adopt(folder: Path, overwrite: bool) -> None:
    """Turn an example of an earlier version, which has no manifest, into a run to replace."""
    if not (folder / COMPLETE).is_file() or (folder / MANIFEST_FILE).exists():
        return
    if not overwrite:
        raise InputError(
            f"{folder} holds an example already. Choose another folder, or give --overwrite."
        )
    where = as_text(folder.resolve())
    earlier = Manifest(job=JOB, ended="finished", command=[], folder=where, parameters={})
    write_manifest(folder, earlier)


def _write(run: Run, plan: _Plan) -> None:
    with run.partial() as partial:
        with run.stage(DRAWING):
            drawn = _draw_sets(partial, plan, run.progress)
        paths = {name: [partial / name / path for path in drawn[name]] for name in _SPLITS}
        directions = {
            name: [gaze_direction(eye.gaze_angle) for eye in drawn[name].values()]
            for name in _SPLITS
        }
        with run.stage(TRAINING):
            dnn = train_dnn(
                paths["train"], directions["train"], plan.seed, plan.epochs, plan.size, run.progress
            )
        correct = {}
        with run.stage(TESTING):
            for name in ("train", "test"):
                predictions = predict_directions(dnn, paths[name], run.progress)
                pairs = zip(predictions, directions[name], strict=True)
                correct[f"{name}_accuracy"] = float(np.mean([a == b for a, b in pairs]))
        failures = _keep_failures(partial, drawn["test"], predictions)
        dnn.save(partial / MODEL)
        images = sum(plan.counts.values())
        run.manifest.images = ImageCounts(found=images, used=images)
        figures = {**plan.counts, "failures": failures, **correct}
        write_part(run.manifest, ExampleFigures.model_validate(figures))
        _write_description(partial / COMPLETE, run.manifest.result, plan)
        # The mark of completeness is removed first and written last: no half example has it.
        (run.folder / COMPLETE).unlink(missing_ok=True)
        run.begin_results()
        files = (file for file in partial.rglob("*") if file.is_file())
        names = sorted(file.relative_to(partial).as_posix() for file in files)
        move_files(partial, run.folder, sorted(names, key=COMPLETE.__eq__))


def _draw_sets(folder: Path, plan: _Plan, progress: Progress) -> dict[str, dict[str, Eye]]:
    """Write the three sets and return, for each, the eye of every file name."""
    done, total, seed = 0, sum(plan.counts.values()), plan.seed
    drawn: dict[str, dict[str, Eye]] = {}

    def write(item: tuple[Path, Eye, list[int]]) -> None:
        path, eye, seeds = item
        Image.fromarray(draw_eye(eye, plan.size, seed=seeds)).save(path, quality=95)

    for split, (name, count) in enumerate(plan.counts.items()):
        (folder / name).mkdir(parents=True)
        eyes = sample_eyes(count, seed, split=split, complete=name != "train")
        drawn[name] = {f"eye_{index:05d}.jpg": eye for index, eye in enumerate(eyes)}
        items = (
            (folder / name / path, eye, [seed, split, index])
            for index, (path, eye) in enumerate(drawn[name].items())
        )
        for _ in prefetch(write, items, ahead=DRAWN_AHEAD):
            done += 1
            progress(DRAWING, done, total)
        _write_tables(folder / name, drawn[name], ("path", "label"), {})
    return drawn


def _write_tables(
    folder: Path, eyes: dict[str, Eye], header: Sequence[str], predictions: dict[str, str]
) -> None:
    labels, parameters = [], []
    for path, eye in sorted(eyes.items()):
        row = [path, gaze_direction(eye.gaze_angle)]
        labels.append([*row, predictions[path]] if predictions else row)
        parameters.append([path, *astuple(eye)])
    write_csv(folder / "labels.csv", header, labels)
    names = [field.name for field in fields(Eye)]
    write_csv(folder / "parameters.csv", ["path", *names], parameters)


def _keep_failures(folder: Path, eyes: dict[str, Eye], predictions: list[str]) -> int:
    """Copy the wrongly classified test images and return their number."""
    predicted = {
        path: prediction
        for (path, eye), prediction in zip(eyes.items(), predictions, strict=True)
        if prediction != gaze_direction(eye.gaze_angle)
    }
    (folder / FAILURES).mkdir()
    for path in predicted:
        shutil.copyfile(folder / "test" / path, folder / FAILURES / path)
    failed = {path: eyes[path] for path in predicted}
    _write_tables(folder / FAILURES, failed, ("path", "label", "prediction"), predicted)
    for name in ("test", FAILURES):
        header = ("parameter", "value", "side")
        write_csv(folder / name / "unsafe_values.csv", header, UNSAFE_VALUES)
    return len(predicted)


def _write_description(path: Path, result: Mapping[str, object], plan: _Plan) -> None:
    description = {
        **result,
        "seed": plan.seed,
        "epochs": plan.epochs,
        "size": list(plan.size),
        "left_out": [asdict(situation) for situation in LEFT_OUT],
        "versions": {
            "python": sys.version.split()[0],
            **{name: version(name) for name in ("tensorflow", "keras", "numpy", "pillow")},
        },
    }
    write_text(path, json.dumps(description, indent=2) + "\n")
