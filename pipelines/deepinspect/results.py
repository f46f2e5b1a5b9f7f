"""The files of an inspection: their names, and how they are written and read."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.data.pair_lists import PAIR_FOLDER, PAIR_NAMES
from pipelines.data.thumbnails import THUMBNAIL_FOLDER, THUMBNAIL_NAMES
from pipelines.deepinspect.activation import Probabilities
from pipelines.deepinspect.findings import Findings, Kind, Truths
from pipelines.deepinspect.manifest import InspectionChoices, InspectionFigures, read_options
from pipelines.deepinspect.ranking import pairs_of
from pipelines.runs.archives import Entry, read_archive
from pipelines.runs.errors import InputError
from pipelines.runs.files import (
    Outputs,
    atomic_write,
    check_numbers,
    find_delimiter,
    read_csv,
    write_csv,
)
from pipelines.runs.folder import REJECTED_FILE
from pipelines.runs.guard import find_file_inside, name_damaged_file
from pipelines.runs.manifest import Manifest, read_manifest, read_part
from pipelines.runs.wording import count_of

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
"""Columns of each ranking: the score, and whether it is beyond one standard deviation."""
AGAIN = "inspect the model again"
DIGITS = 5
CLASSES = {"classes": Entry("U", 1)}
BIAS = Entry("f", 2, optional=True, unknown=True)
MATRICES = CLASSES | {"distances": Entry("f", 2, unknown=True), "average_bias": BIAS}
THIRDS = {
    name: Entry(kind, 3, True, True) for name, kind in (("thirds", "i"), ("third_biases", "f"))
}
LISTED = 200
"""Number of pairs of each ranking that the page lists."""


@dataclass(frozen=True)
class ClassRow:
    """A row of `classes.csv`: one class.

    Attributes
    ----------
    name : str
    predicted : int or None
        Number of images for which the class is predicted; None if that is not known.
    labelled : int or None
        Number of images with this label; None if labels are not known.
    x, y : float or None
        Coordinates on the map; None for a class without distances.
    place : int
        Position in an order with similar classes side by side.
    """

    name: str
    predicted: int | None
    labelled: int | None
    x: float | None
    y: float | None
    place: int


def write_classes(
    run: Path,
    findings: Findings,
    predicted: NDArray[np.int64] | None,
    labelled: NDArray[np.int64] | None,
) -> None:
    """Write `classes.csv`: one row for each class, in the order of the outputs.

    Parameters
    ----------
    predicted, labelled : array of int64, shape (k,), or None
        See `ClassRow`.
    """
    place = np.argsort(findings.order)
    rows = [
        (
            position,
            name,
            "" if predicted is None else int(predicted[position]),
            "" if labelled is None else int(labelled[position]),
            *(_figure(part) for part in findings.places[position]),
            int(place[position]),
        )
        for position, name in enumerate(findings.names)
    ]
    header = ("position", "class", "predicted", "labelled", "x", "y", "place")
    write_csv(run / CLASSES_FILE, header, rows)


def write_pairs_tables(run: Path, findings: Findings, truths: Truths | None) -> None:
    """Write `confusion.csv` and, if bias is defined, `bias.csv`: all pairs, best rank first."""
    for kind in findings.scores:
        header, columns = _columns(findings, truths, kind)
        order = findings.rankings[kind].order
        rows = zip(*[[column[pair] for pair in order.tolist()] for column in columns], strict=True)
        numbered = ((rank, *row) for rank, row in enumerate(rows, 1))
        write_csv(run / PAIR_FILES[kind], ("rank", *header), numbered)


def _columns(
    findings: Findings, truths: Truths | None, kind: Kind
) -> tuple[list[str], list[Sequence[object]]]:
    """Return the titles and the columns of the table of a ranking, pairs in order of classes."""
    first, second = (side.tolist() for side in pairs_of(len(findings.names)))
    ranking = findings.rankings[kind]
    confusion = kind == "confusion"
    score, beyond = SCORES[kind]
    columns: dict[str, Sequence[object]] = {
        "class_a": [findings.names[a] for a in first],
        "class_b": [findings.names[b] for b in second],
        score: [_figure(value) for value in findings.scores[kind]],
        beyond: ranking.one_sd.astype(int).tolist(),
        "top": ranking.top.astype(int).tolist(),
    }
    if not confusion and findings.bias is not None:
        for place in range(findings.bias.thirds.shape[2]):
            columns |= _thirds(findings, place, first, second)
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
    findings: Findings, place: int, first: Sequence[int], second: Sequence[int]
) -> dict[str, Sequence[object]]:
    """Return the columns of one third class of each pair: name, nearer class of the pair, bias."""
    assert findings.bias is not None
    names, nearer_names, biases = [], [], []
    for a, b in zip(first, second, strict=True):
        third = int(findings.bias.thirds[a, b, place])
        known = third >= 0
        nearer_class = (
            a if known and findings.distances[third, a] < findings.distances[third, b] else b
        )
        names.append(findings.names[third] if known else "")
        nearer_names.append(findings.names[nearer_class] if known else "")
        biases.append(_figure(float(findings.bias.biases[a, b, place])) if known else "")
    number = place + 1
    return {f"third_{number}": names, f"nearer_{number}": nearer_names, f"bias_{number}": biases}


def _figure(value: float) -> float | str:
    return "" if np.isnan(value) else float(f"{value:.{DIGITS}g}")


def write_activation(run: Path, findings: Findings, measured: Probabilities | None) -> None:
    """Write `activation.npz`: plain arrays, no pickle.

    The arrays are `classes`; `distances` and `average_bias` of all pairs; `thirds`, the third
    classes that drive the bias of each pair, with `third_biases`.  For a model there are also
    `layers` and their `neurons`, the number of `images` of each class, `thresholds`, and P(n|c) for
    each threshold as `p_0`, `p_1`, ...
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "classes": np.array(findings.names, dtype=np.str_),
        "distances": findings.distances,
    }
    if findings.bias is not None:
        arrays |= {
            "average_bias": findings.bias.average,
            "thirds": findings.bias.thirds,
            "third_biases": findings.bias.biases,
        }
    if measured is not None:
        arrays |= {
            "layers": np.array(list(measured.neurons), dtype=np.str_),
            "neurons": np.array(list(measured.neurons.values())),
            "images": measured.images,
            "thresholds": np.array(list(measured.matrices)),
        }
        arrays |= {f"p_{place}": matrix for place, matrix in enumerate(measured.matrices.values())}
    with atomic_write(run / ACTIVATION_FILE) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def write_predictions(run: Path, rows: Iterator[Sequence[object]]) -> None:
    """Write `predictions.csv`: one row for each image."""
    header = ("path", "predicted", "expected", "runner_up", "margin", "thumbnail")
    write_csv(run / PREDICTIONS_FILE, header, rows)


def read_inspection(run: Path) -> tuple[Manifest, tuple[ClassRow, ...]]:
    """Read the manifest of a finished inspection, and its classes.

    Returns
    -------
    manifest : Manifest
        With options, choices and figures that have been checked to be readable.
    classes : tuple of ClassRow

    Raises
    ------
    InputError
        When the folder holds no finished inspection, or one of its files is damaged.
    """
    try:
        manifest = read_manifest(run)
    except InputError as error:
        raise InputError(f"{run} holds no inspection: {error}.") from error
    if manifest.job != JOB or manifest.ended != "finished":
        raise InputError(
            f"{run} holds no finished inspection: its job, {manifest.job}, {manifest.ended}. Name "
            "the folder of an inspection that finished."
        )
    read_options(manifest)
    figures = read_part(manifest, InspectionFigures)
    read_part(manifest, InspectionChoices)
    with name_damaged_file(run / CLASSES_FILE, AGAIN):
        rows = read_csv(find_file_inside(run, CLASSES_FILE))
        check_numbers(rows, "x", "y")
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
        if len(classes) != figures.classes:
            raise ValueError(f"expected {figures.classes} classes, received {len(classes)}")
        if sorted(row.place for row in classes) != list(range(len(classes))):
            raise ValueError("the places of its classes are not 0, 1, 2, ...")
    return manifest, classes


def read_top_pairs(
    run: Path, kind: Kind, classes: Collection[str] | None = None
) -> list[dict[str, str]]:
    """Read the first pairs of a ranking; none where the run has no such table.

    The table may have been saved by a spreadsheet, as for `files.read_csv`. Only the first `LISTED`
    rows are read, so time does not grow with the number of pairs.

    Parameters
    ----------
    classes : collection of str, optional
        The classes of `classes.csv`, which the pairs must be of.

    Raises
    ------
    InputError
        When the table is damaged.
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
        pairs = [
            {name: cell.removeprefix("'") for name, cell in zip(header, row, strict=True)}
            for row in rows
        ]
        check_numbers(pairs, SCORES[kind][0], "images")
        if [row["rank"] for row in pairs] != [str(n) for n in range(1, len(pairs) + 1)]:
            raise ValueError("its ranks are not 1, 2, 3, ...")
        if not {row[SCORES[kind][1]] for row in pairs} <= {"0", "1"}:
            raise ValueError(f"its column {SCORES[kind][1]} holds more than 0 and 1")
        if classes is not None:
            _check_pairs([(row["class_a"], row["class_b"]) for row in pairs], classes)
        return pairs


def _check_pairs(pairs: Sequence[tuple[str, str]], classes: Collection[str]) -> None:
    """Raise ValueError unless they are as many different pairs of the classes as are listed."""
    if unknown := {name for pair in pairs for name in pair} - {*classes}:
        raise ValueError(f"{min(unknown)!r} is no class of {CLASSES_FILE}")
    expected = min(LISTED, len(classes) * (len(classes) - 1) // 2)
    if len({frozenset(pair) for pair in pairs if pair[0] != pair[1]}) != expected:
        raise ValueError(f"expected {expected} different pairs, received {len(pairs)}")


def read_matrices(run: Path, classes: int | None = None) -> dict[Kind, NDArray[np.float64]]:
    """Read NAPVD ("confusion") and average bias ("bias") of all pairs of classes.

    Parameters
    ----------
    classes : int, optional
        Number of classes of `classes.csv`, which the matrices must match.

    Returns
    -------
    dict of str to array of float64, shape (k, k)

    Raises
    ------
    InputError
        When `activation.npz` is damaged, or has another number of classes.
    """
    with name_damaged_file(run / ACTIVATION_FILE, AGAIN):
        archive = read_archive(find_file_inside(run, ACTIVATION_FILE), MATRICES)
        matrices: dict[Kind, NDArray[np.float64]] = {"confusion": archive["distances"]}
        if "average_bias" in archive:
            matrices["bias"] = archive["average_bias"]
        count = len(archive["classes"]) if classes is None else classes
        if any(matrix.shape != (count, count) for matrix in matrices.values()):
            raise ValueError(f"expected matrices of {count} classes")
        return matrices


def read_thirds(run: Path, a: int, b: int) -> list[tuple[int, float]]:
    """Read the third classes that drive the bias of a pair, with the bias of each.

    Returns
    -------
    list of (int, float)
        Position of the third class, and its bias; empty if bias is not defined.

    Raises
    ------
    InputError
        When `activation.npz` is damaged.
    """
    with name_damaged_file(run / ACTIVATION_FILE, AGAIN):
        archive = read_archive(find_file_inside(run, ACTIVATION_FILE), CLASSES | THIRDS)
        if "thirds" not in archive:
            return []
        thirds, biases = archive["thirds"][a, b].tolist(), archive["third_biases"][a, b].tolist()
        if max(thirds, default=-1) >= len(archive["classes"]):
            raise ValueError(f"expected third classes below {len(archive['classes'])}")
        known = [pair for pair in zip(thirds, biases, strict=True) if pair[0] >= 0]
        if np.isnan([bias for _, bias in known]).any():
            raise ValueError("the bias of a third class is no number")
        return known


def read_predictions(run: Path, images: int) -> list[dict[str, str]]:
    """Read the rows of `predictions.csv` that the page shows; empty for exported distances.

    Parameters
    ----------
    images : int
        Number of images of the inspection, of which the table has a row each.

    Raises
    ------
    InputError
        When the file is damaged.
    """
    if not (run / PREDICTIONS_FILE).exists():
        return []
    with name_damaged_file(run / PREDICTIONS_FILE, AGAIN):
        rows = read_csv(find_file_inside(run, PREDICTIONS_FILE), SHOWN_COLUMNS)
        check_numbers(rows, "margin")
        if (listed := len({row["path"] for row in rows})) != images or len(rows) != images:
            raise ValueError(f"expected {count_of(images, 'different image')}, received {listed:,}")
        return rows
