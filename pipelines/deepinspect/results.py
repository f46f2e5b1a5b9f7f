"""The files of an inspection: what they hold, how they are written and read back."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.image_lists import PAIR_FOLDER, PAIR_NAMES
from pipelines.data.thumbnails import THUMBNAIL_FOLDER, THUMBNAIL_NAMES
from pipelines.deepinspect.activation import Probabilities
from pipelines.deepinspect.findings import Findings, Kind, Truths
from pipelines.deepinspect.ranking import pairs_of
from pipelines.runs.errors import InputError
from pipelines.runs.files import (
    Outputs,
    atomic_write,
    find_delimiter,
    read_csv,
    write_csv,
    write_text,
)
from pipelines.runs.folder import REJECTED_FILE
from pipelines.runs.guard import find_file_inside, name_damaged_file
from pipelines.runs.manifest import read_manifest

JOB = "inspect"
CLASSES_FILE = "classes.csv"
CONFUSION_FILE = "confusion.csv"
BIAS_FILE = "bias.csv"
ACTIVATION_FILE = "activation.npz"
EVALUATION_FILE = "evaluation.json"
PREDICTIONS_FILE = "predictions.csv"
SHOWN_COLUMNS = ("path", "expected", "predicted", "runner_up", "margin", "thumbnail")
"""Columns of `predictions.csv` that the page shows."""
PAIR_FILES: dict[Kind, str] = {"confusion": CONFUSION_FILE, "bias": BIAS_FILE}
OUTPUTS = Outputs(
    (
        CLASSES_FILE,
        CONFUSION_FILE,
        BIAS_FILE,
        ACTIVATION_FILE,
        EVALUATION_FILE,
        PREDICTIONS_FILE,
        REJECTED_FILE,
    ),
    {PAIR_FOLDER: PAIR_NAMES, THUMBNAIL_FOLDER: THUMBNAIL_NAMES},
)
SCORES: dict[Kind, tuple[str, str]] = {
    "confusion": ("napvd", "below_one_sd"),
    "bias": ("average_bias", "above_one_sd"),
}
"""Columns of the score of each ranking, and whether it is beyond one standard deviation."""
AGAIN = "inspect the model again"
DIGITS = 5
LISTED = 200
"""Pairs of each ranking that the page lists."""


@dataclass(frozen=True)
class ClassRow:
    """One class, as `classes.csv` has it.

    Attributes
    ----------
    predicted, labelled : int or None
        How many images are predicted to show it, and do; None where that is not known.
    x, y : float or None
        Its place on the map; None for a class without distances.
    place : int
        Its position when similar classes stand side by side.
    """

    name: str
    predicted: int | None
    labelled: int | None
    x: float | None
    y: float | None
    place: int


# --- writing ------------------------------------------------------------------------------------


def write_classes(
    run: Path,
    found: Findings,
    predicted: NDArray[np.int64] | None,
    labelled: NDArray[np.int64] | None,
) -> None:
    """Write `classes.csv`, a row a class in the order of the outputs."""
    place = np.argsort(found.order)
    rows = [
        (
            position,
            name,
            "" if predicted is None else int(predicted[position]),
            "" if labelled is None else int(labelled[position]),
            *(_figure(part) for part in found.places[position]),
            int(place[position]),
        )
        for position, name in enumerate(found.names)
    ]
    header = ("position", "class", "predicted", "labelled", "x", "y", "place")
    write_csv(run / CLASSES_FILE, header, rows)


def write_pairs_tables(run: Path, found: Findings, truths: Truths | None) -> None:
    """Write `confusion.csv` and, where there is any, `bias.csv`: all pairs, best rank first."""
    for kind in found.scores:
        header, columns = _columns(found, truths, kind)
        order = found.rankings[kind].order
        rows = zip(*[[column[pair] for pair in order.tolist()] for column in columns], strict=True)
        numbered = ((rank, *row) for rank, row in enumerate(rows, 1))
        write_csv(run / PAIR_FILES[kind], ("rank", *header), numbered)


def _columns(
    found: Findings, truths: Truths | None, kind: Kind
) -> tuple[list[str], list[list[Any]]]:
    first, second = (side.tolist() for side in pairs_of(len(found.names)))
    ranking = found.rankings[kind]
    confusion = kind == "confusion"
    score, beyond = SCORES[kind]
    columns: dict[str, list[Any]] = {
        "class_a": [found.names[a] for a in first],
        "class_b": [found.names[b] for b in second],
        score: [_figure(value) for value in found.scores[kind]],
        beyond: ranking.one_sd.astype(int).tolist(),
        "top": ranking.top.astype(int).tolist(),
    }
    if not confusion and found.bias is not None:
        for place in range(found.bias.thirds.shape[2]):
            columns |= _thirds(found, place, first, second)
    if truths is not None and kind in truths.values:
        values = truths.values[kind]
        true = ("type2" if truths.several else "type1") if confusion else "disparity"
        columns[true] = [_figure(value) for value in values]
        columns["true_error"] = truths.errors[kind].astype(int).tolist()
        if confusion:
            pairs = zip(first, second, strict=True)
            columns["images"] = [len(truths.images.get(pair, ())) for pair in pairs]
    return list(columns), list(columns.values())


def _thirds(
    found: Findings, place: int, first: Sequence[int], second: Sequence[int]
) -> dict[str, list[Any]]:
    """Return which third class drives each pair, how much, and which of both it is nearer to."""
    assert found.bias is not None
    names, near, much = [], [], []
    for a, b in zip(first, second, strict=True):
        third = int(found.bias.thirds[a, b, place])
        known = third >= 0
        nearer = a if known and found.distances[third, a] < found.distances[third, b] else b
        names.append(found.names[third] if known else "")
        near.append(found.names[nearer] if known else "")
        much.append(_figure(float(found.bias.biases[a, b, place])) if known else "")
    number = place + 1
    return {f"third_{number}": names, f"nearer_{number}": near, f"bias_{number}": much}


def _figure(value: float) -> float | str:
    return "" if np.isnan(value) else float(f"{value:.{DIGITS}g}")


def write_activation(run: Path, found: Findings, measured: Probabilities | None) -> None:
    """Write `activation.npz`: plain arrays, no pickle.

    `distances` and `average_bias` of all classes, and of all pairs the `thirds` that drive their
    bias, with `third_biases`; of a model also `layers` and their `neurons`, `images` of each class,
    and P(n|c) for each of `thresholds`, named `p_0`, `p_1`, ...
    """
    arrays: dict[str, Any] = {
        "classes": np.array(found.names, dtype=np.str_),
        "distances": found.distances,
    }
    if found.bias is not None:
        arrays |= {
            "average_bias": found.bias.average,
            "thirds": found.bias.thirds,
            "third_biases": found.bias.biases,
        }
    if measured is not None:
        arrays |= {
            "layers": np.array(list(measured.neurons), dtype=np.str_),
            "neurons": np.array(list(measured.neurons.values())),
            "images": measured.images,
            "thresholds": np.array(list(measured.matrices)),
        }
        arrays |= {f"p_{place}": each for place, each in enumerate(measured.matrices.values())}
    with atomic_write(run / ACTIVATION_FILE) as file:
        np.savez_compressed(file, **arrays)


def write_evaluation(run: Path, truths: Truths) -> None:
    """Write `evaluation.json`: of confusion and of bias, how good the reported pairs are."""
    document: dict[str, Any] = {"truth": "type2" if truths.several else "type1"}
    for kind in PAIR_FILES:
        each = truths.evaluations.get(kind)
        document[kind] = None if each is None else each.as_document()
    write_text(run / EVALUATION_FILE, json.dumps(document, indent=1) + "\n")


def write_predictions(run: Path, rows: Iterator[Sequence[object]]) -> None:
    """Write `predictions.csv`, a row an image."""
    header = ("path", "predicted", "expected", "runner_up", "margin", "thumbnail")
    write_csv(run / PREDICTIONS_FILE, header, rows)


# --- reading ------------------------------------------------------------------------------------


def read_inspection(run: Path) -> tuple[dict[str, Any], tuple[ClassRow, ...]]:
    """Read what a finished inspection found, in figures, and its classes.

    Raises
    ------
    InputError
        When the folder holds none, or a file of it is not as the tool writes it.
    """
    try:
        manifest = read_manifest(run)
    except InputError as error:
        raise InputError(f"{run} holds no inspection: {error}.") from error
    if manifest.job != JOB or manifest.ended != "finished":
        raise InputError(
            f"{run} holds no finished inspection: its job, {manifest.job}, {manifest.ended}."
        )
    with name_damaged_file(run / CLASSES_FILE, AGAIN):
        rows = read_csv(find_file_inside(run, CLASSES_FILE))
        classes = tuple(
            ClassRow(
                name=row["class"],
                predicted=int(row["predicted"]) if row["predicted"] else None,
                labelled=int(row["labelled"]) if row["labelled"] else None,
                x=float(row["x"]) if row["x"] else None,
                y=float(row["y"]) if row["y"] else None,
                place=int(row["place"]),
            )
            for row in rows
        )
        if sorted(each.place for each in classes) != list(range(len(classes))):
            raise ValueError("the places of its classes are not 0, 1, 2, ...")
    about = manifest.model_dump(include={"notes", "result", "parameters", "chosen", "started_at"})
    return about, classes


def read_top_pairs(run: Path, kind: Kind) -> list[dict[str, str]]:
    """Read the first pairs of a ranking; none where there is no such table.

    As `files.read_csv`, a spreadsheet may have saved it since.
    Time does not grow with the number of pairs.
    """
    path = run / PAIR_FILES[kind]
    if not path.exists():
        return []
    with (
        name_damaged_file(path, AGAIN),
        find_file_inside(run, path.name).open(encoding="utf-8-sig", newline="") as file,
    ):
        delimiter = find_delimiter(file.readline())
        file.seek(0)
        header, *rows = islice(csv.reader(file, delimiter=delimiter), LISTED + 1)
        if missing := {"rank", "class_a", "class_b", *SCORES[kind]} - set(header):
            raise ValueError(f"it has no column {', '.join(sorted(missing))}")
        return [
            {name: cell.removeprefix("'") for name, cell in zip(header, row, strict=True)}
            for row in rows
        ]


def read_matrices(run: Path, classes: int | None = None) -> dict[Kind, NDArray[np.float64]]:
    """Read NAPVD and average bias of all classes, each of shape (k, k).

    Parameters
    ----------
    classes : int, optional
        How many there have to be, as `classes.csv` has it.
    """
    with (
        name_damaged_file(run / ACTIVATION_FILE, AGAIN),
        np.load(find_file_inside(run, ACTIVATION_FILE), allow_pickle=False) as kept,
    ):
        matrices: dict[Kind, NDArray[np.float64]] = {"confusion": kept["distances"]}
        if "average_bias" in kept:
            matrices["bias"] = kept["average_bias"]
        count = len(kept["classes"]) if classes is None else classes
        if any(each.shape != (count, count) for each in matrices.values()):
            raise ValueError("its matrices are not of all classes")
        return matrices


def read_thirds(run: Path, a: int, b: int) -> list[tuple[int, float]]:
    """Read which third classes drive the bias of a pair, and how much each; none without bias."""
    with (
        name_damaged_file(run / ACTIVATION_FILE, AGAIN),
        np.load(find_file_inside(run, ACTIVATION_FILE), allow_pickle=False) as kept,
    ):
        if "thirds" not in kept:
            return []
        thirds, biases = kept["thirds"][a, b].tolist(), kept["third_biases"][a, b].tolist()
        if max(thirds, default=-1) >= len(kept["classes"]):
            raise ValueError("a third class is none")
        return [(third, bias) for third, bias in zip(thirds, biases, strict=True) if third >= 0]


def read_evaluation(run: Path) -> dict[str, Any] | None:
    """Read `evaluation.json`; None for an inspection without labels."""
    path = run / EVALUATION_FILE
    if not path.exists():
        return None
    with name_damaged_file(path, AGAIN):
        document = json.loads(find_file_inside(run, path.name).read_bytes())
        if not isinstance(document, dict):
            raise ValueError("expected an object")
        return document


def read_predictions(run: Path) -> list[dict[str, str]]:
    """Read `predictions.csv`; empty for an inspection of exported files."""
    if not (run / PREDICTIONS_FILE).exists():
        return []
    with name_damaged_file(run / PREDICTIONS_FILE, AGAIN):
        rows = read_csv(find_file_inside(run, PREDICTIONS_FILE), SHOWN_COLUMNS)
        for row in rows:
            float(row["margin"] or 0)
        return rows
