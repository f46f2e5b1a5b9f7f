"""The JSON documents of an inspection for the page."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.data.labels import SEPARATOR
from pipelines.data.pair_lists import list_name
from pipelines.data.thumbnails import THUMBNAIL_FOLDER
from pipelines.deepinspect.evaluation_file import read_evaluation
from pipelines.deepinspect.findings import Kind
from pipelines.deepinspect.manifest import InspectionChoices
from pipelines.deepinspect.results import (
    PAIR_FILES,
    read_inspection,
    read_matrices,
    read_predictions,
    read_thirds,
    read_top_pairs,
)
from pipelines.runs.errors import InputError
from pipelines.runs.manifest import read_part

LEVELS = 254
SHOWN = 24


def describe_inspection(folder: Path) -> dict[str, object]:
    """Describe an inspection for the page: its classes, ranked pairs, matrices and evaluation.

    Time and size grow with the square of the number of classes, not with the number of images.

    Returns
    -------
    dict
        For a matrix, `data` has one byte per pair in Base64, row by row in the order of the
        outputs: 0 for unknown, otherwise 1 to 255 from `low` to `high`.

    Raises
    ------
    InputError
        When it is no inspection, or one of its files is damaged.
    """
    manifest, classes = read_inspection(folder)
    about = manifest.model_dump(include={"notes", "result", "parameters", "chosen", "started_at"})
    places = {known.name: position for position, known in enumerate(classes)}
    pairs: dict[str, list[dict[str, object]]] = {}
    for kind in PAIR_FILES:
        pairs[kind] = [
            {**row, "a": places[row["class_a"]], "b": places[row["class_b"]]}
            for row in read_top_pairs(folder, kind, places)
        ]
    matrices = read_matrices(folder, len(classes))
    evaluation = read_evaluation(folder)
    return {
        "name": folder.name,
        **about,
        "classes": [asdict(known) for known in classes],
        "order": sorted(range(len(classes)), key=lambda position: classes[position].place),
        "pairs": pairs,
        "matrices": {kind: _as_bytes(matrix) for kind, matrix in matrices.items()},
        "evaluation": evaluation.model_dump() if evaluation else None,
    }


def _as_bytes(matrix: NDArray[np.float64]) -> dict[str, object]:
    values = matrix.copy()
    np.fill_diagonal(values, np.nan)
    known = ~np.isnan(values)
    low, high = (0.0, 0.0)
    if known.any():
        low, high = float(values[known].min()), float(values[known].max())
    shares = (np.nan_to_num(values) - low) / (high - low or 1)
    levels = np.where(known, 1 + np.round(np.clip(shares, 0, 1) * LEVELS), 0).astype(np.uint8)
    data = base64.b64encode(levels.tobytes()).decode("ascii")
    return {"low": low, "high": high, "data": data}


def describe_pair(folder: Path, a: int, b: int) -> dict[str, object]:
    """Describe a pair of classes for the page: figures, images of both, and confused images.

    Time grows with the number of images.

    Returns
    -------
    dict
        `first`, `second` and `confused` are images that have thumbnails. With labels, the images of
        `first` and `second` are classified correctly. Without labels, `confused` has images that
        are nearly a tie between the two classes. `list` is the path of the list of all confused
        images, or None.

    Raises
    ------
    InputError
        When there is no such pair, or a file is damaged.
    """
    manifest, classes = read_inspection(folder)
    if not (0 <= a < len(classes) and 0 <= b < len(classes)) or a == b:
        raise InputError(f"{folder.name} has no pair of classes {a} and {b}. Open it again.")
    matrices = read_matrices(folder, len(classes))
    figures: dict[Kind, float | None] = {}
    for kind, distances in matrices.items():
        value = float(distances[a, b])
        figures[kind] = None if np.isnan(value) else value
    matrix = matrices["confusion"]
    thirds = [
        {
            "name": classes[third].name,
            "nearer": classes[a if matrix[third, a] < matrix[third, b] else b].name,
            "bias": bias,
        }
        for third, bias in read_thirds(folder, a, b)
    ]
    one, other = classes[a].name, classes[b].name
    rows = read_predictions(folder, manifest.images.used)
    several = read_part(manifest, InspectionChoices).task == "several"
    labelled = any(row["expected"] for row in rows)
    confused = [row for row in rows if _is_confused(row, one, other, several, labelled)]
    if not labelled:
        confused.sort(key=lambda row: float(row["margin"] or 0))
    right = [row for row in rows if not labelled or row["expected"] == row["predicted"]]
    listed = list_name(a, b)
    return {
        "a": a,
        "b": b,
        "figures": figures,
        "thirds": thirds,
        "first": _shown(row for row in right if one in _split(row["predicted"], several)),
        "second": _shown(row for row in right if other in _split(row["predicted"], several)),
        "confused": _shown(confused),
        "count": len(confused) if labelled else None,
        "list": str(folder / listed) if (folder / listed).is_file() else None,
    }


def _split(cell: str, several: bool) -> list[str]:
    return cell.split(SEPARATOR) if several else [cell]


def _is_confused(row: dict[str, str], one: str, other: str, several: bool, labelled: bool) -> bool:
    """Tell whether an image is confused between two classes; without labels, if it nearly is."""
    if not labelled:
        return {row["predicted"], row["runner_up"]} == {one, other}
    if not several:
        return {row["predicted"], row["expected"]} == {one, other}
    seen, there = row["predicted"].split(SEPARATOR), row["expected"].split(SEPARATOR)
    return one in seen and other in seen and (one in there) != (other in there)


def _shown(rows: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """Return the first images that have thumbnails."""
    drawn = (row for row in rows if row["thumbnail"])
    return [
        {
            "path": row["path"],
            "expected": row["expected"],
            "predicted": row["predicted"],
            "thumbnail": f"{THUMBNAIL_FOLDER}/{row['thumbnail']}",
        }
        for row in islice(drawn, SHOWN)
    ]
