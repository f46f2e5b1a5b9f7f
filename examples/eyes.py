"""The built-in example: gaze directions of drawn eyes, and a DNN that gets some of them wrong.

The example follows the gaze detection DNN of the HUDD and SAFE papers. Pictures of one eye are
drawn from known parameters; a small CNN learns to tell eight gaze directions apart from a training
set in which some situations (`LEFT_OUT`) do not occur; and the test images that it then gets wrong
are kept as the failures whose root causes the tool should find: most pictures with sunglasses,
glare, fog on the lens or a bar before the eye, and some others.
"""

import json
import math
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from examples.eye import Eye
from examples.eye_drawing import draw_eye
from examples.sampling import (
    DIRECTIONS,
    LEFT_OUT,
    UNSAFE_VALUES,
    gaze_direction,
    sample_eyes,
    situations,
)
from pipelines.data.prefetch import prefetch
from pipelines.dnn.keras import import_keras
from pipelines.runs.errors import InputError
from pipelines.runs.files import Outputs, remove_outputs, write_csv, write_text
from pipelines.runs.folder import Progress, join_listeners, status_writer
from pipelines.runs.manifest import STATUS_FILE

__all__ = [
    "DIRECTIONS",
    "LEFT_OUT",
    "ExampleSummary",
    "Eye",
    "build_dnn",
    "draw_eye",
    "gaze_direction",
    "sample_eyes",
    "situations",
    "write_example",
]

SIZE = (160, 120)
"""Width and height of the example's images in pixels."""

_SPLITS = ("train", "test", "improvement")
_NAMES = r"eye_\d+\.jpg|(labels|parameters|unsafe_values)\.csv"
"""Files in the folders of the example, as a regular expression."""
FAILURES = "failures"
MODEL = "model.keras"
COMPLETE = "example.json"
_PARTIAL = ".partial"
_BATCH = 32
LEARNING_RATE = 2e-3
DRAWN_AHEAD = 16


@dataclass(frozen=True)
class ExampleSummary:
    """What `write_example` wrote.

    Attributes
    ----------
    folder : Path
        Where it is.
    train, test, improvement, failures : int
        Numbers of images.
    train_accuracy, test_accuracy : float
        Shares of the images, as saved, that the DNN classifies correctly: 0 to 1.
    """

    folder: Path
    train: int
    test: int
    improvement: int
    failures: int
    train_accuracy: float
    test_accuracy: float


def build_dnn(size: tuple[int, int] = SIZE) -> Any:
    """Build the untrained, compiled gaze DNN.

    Parameters
    ----------
    size : tuple of int
        Width and height of the images, in pixels, at least 16 each.

    Returns
    -------
    keras.Sequential
        Takes (batch, height, width, 3) RGB values from 0 to 255 and returns (batch, 8) shares of
        `DIRECTIONS`, float32.
    """
    keras, _ = import_keras()
    from keras import layers

    width, height = size
    stack: list[Any] = [keras.Input((height, width, 3), name="image")]
    stack.append(layers.Rescaling(1 / 255, name="rescaling"))
    # The wide first step keeps training fast: the iris is large, its place is all that counts.
    for block, (filters, kernel, step) in enumerate(((16, 5, 4), (32, 3, 1), (32, 3, 1)), start=1):
        stack.append(
            layers.Conv2D(
                filters, kernel, step, padding="same", activation="relu", name=f"conv{block}"
            )
        )
        if block < 3:
            stack.append(layers.MaxPooling2D(name=f"pool{block}"))
    stack.append(layers.Flatten(name="flatten"))
    stack.append(layers.Dense(64, activation="relu", name="dense"))
    stack.append(layers.Dense(len(DIRECTIONS), activation="softmax", name="direction"))
    dnn = keras.Sequential(stack, name="gaze_dnn")
    dnn.compile(
        keras.optimizers.Adam(LEARNING_RATE),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        # Compiling ahead takes longer than it saves on a processor.
        jit_compile=False,
    )
    return dnn


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
) -> ExampleSummary:
    """Draw the three sets, train the DNN and keep the test images it gets wrong.

    The training set leaves out every situation in `LEFT_OUT`; the test and improvement sets are
    drawn from the same complete distribution. ``folder`` has a ``status.json`` while they are,
    and then contains

    - ``train/``, ``test/`` and ``improvement/``: JPEG images, ``labels.csv`` (path, label) and
      ``parameters.csv`` (path and the fields of `Eye`);
    - ``failures/``: the same for the test images that the DNN, run on the files as saved, gets
      wrong; ``labels.csv`` has a third column, prediction;
    - ``unsafe_values.csv`` in ``test/`` and in ``failures/``: where failures are likely;
    - ``model.keras``: the trained DNN;
    - ``example.json``: seed, counts, accuracies and versions.

    All is drawn into a hidden folder inside and moved up at the end, ``example.json`` last: with
    it the example is complete, and an interrupted call leaves the rest of `folder` as it was.

    The same arguments give the same pictures and, on the same machine, the same predictions. For
    that the function seeds Keras and switches TensorFlow to deterministic operations for the rest
    of the process.

    Parameters
    ----------
    folder : Path
        Where to write; made if missing.
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

    Returns
    -------
    ExampleSummary
        Counts and accuracies.

    Raises
    ------
    InputError
        If `folder` is a file, or is not empty and `overwrite` is false or it is no example.
    ValueError
        If a count is less than 1.
    """
    counts = dict(zip(_SPLITS, (train, test, improvement), strict=True))
    for name, count in {**counts, "epochs": epochs}.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, not {count}")
    _check_folder(folder, overwrite)
    partial = folder / _PARTIAL
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        told = join_listeners(status_writer(folder), progress)
        return _write(folder, partial, counts, seed, epochs, size, told)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        (folder / STATUS_FILE).unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()


def _write(
    folder: Path,
    partial: Path,
    counts: dict[str, int],
    seed: int,
    epochs: int,
    size: tuple[int, int],
    progress: Progress,
) -> ExampleSummary:
    drawn = _draw_sets(partial, counts, seed, size, progress)
    paths = {name: [partial / name / path for path in drawn[name]] for name in _SPLITS}
    dnn = _train(paths["train"], list(drawn["train"].values()), seed, epochs, size, progress)
    correct = {}
    for name in ("train", "test"):
        predictions = _predict(dnn, paths[name], progress)
        labels = [gaze_direction(eye.gaze_angle) for eye in drawn[name].values()]
        correct[name] = float(np.mean([a == b for a, b in zip(predictions, labels, strict=True)]))
    failures = _keep_failures(partial, drawn["test"], predictions)
    dnn.save(partial / MODEL)
    summary = ExampleSummary(
        folder=folder,
        **counts,
        failures=failures,
        train_accuracy=correct["train"],
        test_accuracy=correct["test"],
    )
    _write_description(partial / COMPLETE, summary, seed, epochs, size)
    _move_into_place(partial, folder)
    return summary


def _check_folder(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; the example needs a folder. Choose another.")
    names = [file.name for file in folder.iterdir()] if folder.is_dir() else []
    if any(not name.startswith(".") and name != STATUS_FILE for name in names):
        if not (folder / COMPLETE).is_file():
            raise InputError(
                f"{folder} is not empty and holds no example; it is left as it is. "
                "Choose a new or empty folder."
            )
        if not overwrite:
            raise InputError(
                f"{folder} holds an example already. Choose another folder, or give --overwrite."
            )


def _move_into_place(partial: Path, folder: Path) -> None:
    # The mark of completeness goes first and comes last, so that no half example looks complete.
    (folder / COMPLETE).unlink(missing_ok=True)
    remove_outputs(folder, Outputs((MODEL,), dict.fromkeys((*_SPLITS, FAILURES), _NAMES)))
    for name in (*_SPLITS, FAILURES):
        (folder / name).mkdir(exist_ok=True)
        for file in (partial / name).iterdir():
            file.replace(folder / name / file.name)
    for name in (MODEL, COMPLETE):
        (partial / name).replace(folder / name)


def _draw_sets(
    folder: Path, counts: dict[str, int], seed: int, size: tuple[int, int], progress: Progress
) -> dict[str, dict[str, Eye]]:
    """Write the three sets and return, for each, the eye of every file name."""
    done, total = 0, sum(counts.values())
    drawn: dict[str, dict[str, Eye]] = {}

    def write(item: tuple[Path, Eye, list[int]]) -> None:
        path, eye, seeds = item
        Image.fromarray(draw_eye(eye, size, seed=seeds)).save(path, quality=95)

    for split, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True)
        eyes = sample_eyes(count, seed, split=split, complete=name != "train")
        drawn[name] = {f"eye_{index:05d}.jpg": eye for index, eye in enumerate(eyes)}
        items = (
            (folder / name / path, eye, [seed, split, index])
            for index, (path, eye) in enumerate(drawn[name].items())
        )
        for _ in prefetch(write, items, ahead=DRAWN_AHEAD):
            done += 1
            progress("drawing eyes", done, total)
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


def _train(
    paths: list[Path],
    eyes: list[Eye],
    seed: int,
    epochs: int,
    size: tuple[int, int],
    progress: Progress,
) -> Any:
    keras, tf = import_keras()
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    images = _read_images(paths)
    labels = np.array([DIRECTIONS.index(gaze_direction(eye.gaze_angle)) for eye in eyes])
    dnn = build_dnn(size)
    steps = -(-len(paths) // _BATCH)
    done = 0

    def report(batch: int, logs: object) -> None:
        nonlocal done
        done += 1
        progress("training the DNN", done, steps * epochs)

    def slow_down(epoch: int) -> float:
        return LEARNING_RATE * (1 + math.cos(math.pi * epoch / epochs)) / 2

    callbacks = [
        keras.callbacks.LambdaCallback(on_train_batch_end=report),
        keras.callbacks.LearningRateScheduler(slow_down),
    ]
    dnn.fit(images, labels, _BATCH, epochs, verbose=0, callbacks=callbacks)
    # The file tells whoever trains the DNN further the rate to begin with.
    dnn.optimizer.learning_rate = LEARNING_RATE
    return dnn


def _predict(dnn: Any, paths: list[Path], progress: Progress) -> list[str]:
    """Return the DNN's class of every file."""
    predictions: list[str] = []
    for start in range(0, len(paths), _BATCH):
        shares = dnn.predict_on_batch(_read_images(paths[start : start + _BATCH]))
        predictions += [DIRECTIONS[best] for best in shares.argmax(axis=1)]
        progress("testing the DNN", len(predictions), len(paths))
    return predictions


def _read_images(paths: list[Path]) -> npt.NDArray[np.uint8]:
    return np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])


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


def _write_description(
    path: Path, summary: ExampleSummary, seed: int, epochs: int, size: tuple[int, int]
) -> None:
    description = asdict(summary)
    del description["folder"]
    description |= {
        "seed": seed,
        "epochs": epochs,
        "size": list(size),
        "left_out": [asdict(situation) for situation in LEFT_OUT],
        "versions": {
            "python": sys.version.split()[0],
            **{name: version(name) for name in ("tensorflow", "keras", "numpy", "pillow")},
        },
    }
    write_text(path, json.dumps(description, indent=2) + "\n")
