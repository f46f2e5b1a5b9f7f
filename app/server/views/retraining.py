"""The JSON document of a retraining for the page, during the job and afterwards."""

from __future__ import annotations

import math
from pathlib import Path

from pipelines.data.thumbnails import thumbnail_name
from pipelines.retraining.manifest import RetrainParameters
from pipelines.retraining.report import describe_comparison, describe_ending, summarise_change
from pipelines.retraining.results import (
    CHANGES_COLUMNS,
    CHANGES_FILE,
    EPOCH_COLUMNS,
    HISTORY_FILE,
    PROGRESS_FOLDER,
    RETRAINING_FILE,
    Change,
    read_retraining,
)
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv
from pipelines.runs.folder import is_written
from pipelines.runs.guard import find_file_inside, name_damaged_file
from pipelines.runs.manifest import read_manifest, read_part

SHOWN = 8
"""Largest number of thumbnails of repaired images, and of others, per cluster."""
MOST_BROKEN = 48
Repairs = dict[str, dict[str, list[dict[str, str]]]]


def describe_retraining(folder: Path) -> dict[str, object]:
    """Describe a retraining for the page: its progress, and afterwards its changes.

    Time and the size of the result grow linearly with the number of test images, at most.

    Returns
    -------
    dict
        `running`, `epochs` (the requested number) and `history` (one row per epoch). When there are
        results, also `found` (the entries of `retraining.json`), `sentence`, `compared`, `notes`,
        `clusters` (images with thumbnails, by cluster) and `broken`.

    Raises
    ------
    InputError
        When it is no retraining, or one of its files is damaged.
    """
    manifest = read_manifest(folder)
    if manifest.job != "retrain":
        raise InputError(f"{folder} is no retraining: its job is {manifest.job}.")
    running = is_written(folder)
    description: dict[str, object] = {
        "name": folder.name,
        "running": running,
        "epochs": read_part(manifest, RetrainParameters).epochs,
        "history": _history(folder, running),
        "found": None,
    }
    if not (folder / RETRAINING_FILE).is_file():
        return description
    find_file_inside(folder, RETRAINING_FILE)
    results = read_retraining(folder)
    with name_damaged_file(folder / CHANGES_FILE, "Retrain again, with --overwrite."):
        rows = read_csv(find_file_inside(folder, CHANGES_FILE), CHANGES_COLUMNS)
        _check_changes(rows, results.change)
    clusters, broken = _changed(rows)
    ending = describe_ending(manifest)
    return description | {
        "found": results.model_dump(),
        "sentence": summarise_change(results.change),
        "compared": describe_comparison(results.comparison) if results.comparison else "",
        "notes": [*manifest.notes, *([ending] if ending and not running else ())],
        "clusters": clusters,
        "broken": broken,
    }


def _check_changes(rows: list[dict[str, str]], change: Change) -> None:
    """Raise ValueError unless the rows are of as many images as were counted."""
    counts = [change.before.images, change.before.right, change.after.right]
    read = [len({row["path"] for row in rows})]
    for name in ("right before", "right after"):
        if not {row[name] for row in rows} <= {"0", "1"}:
            raise ValueError(f"its column {name} holds more than 0 and 1")
        read.append(sum(row[name] == "1" for row in rows))
    if read != counts or len(rows) != change.before.images:
        raise ValueError(f"its images are not those that {RETRAINING_FILE} counts")


def _history(folder: Path, running: bool) -> list[dict[str, float]]:
    file = (folder / PROGRESS_FOLDER if running else folder) / HISTORY_FILE
    if running and not file.is_file():  # training is finished, and the job continues
        file = folder / HISTORY_FILE
    if not file.exists():
        return []
    try:
        with name_damaged_file(file, "Retrain again, with --overwrite."):
            rows = read_csv(file, EPOCH_COLUMNS)
            history = [{key: float(row[key]) for key in EPOCH_COLUMNS} for row in rows]
            if [row["epoch"] for row in history] != [*range(1, len(history) + 1)]:
                raise ValueError("its epochs are not 1, 2, 3, ...")
            if not all(math.isfinite(figure) for row in history for figure in row.values()):
                raise ValueError("a figure is no finite number")
            return history
    except InputError:
        if running:  # the job removes the file when it has the results
            return []
        raise


def _changed(rows: list[dict[str, str]]) -> tuple[Repairs, list[dict[str, str]]]:
    """Return the failing images of each cluster that have a thumbnail, and the broken images."""
    clusters: Repairs = {}
    broken: list[dict[str, str]] = []
    for row in rows:
        was, now = row["right before"] == "1", row["right after"] == "1"
        image = {
            "path": row["path"],
            "expected": row["expected"],
            "before": row["before"],
            "after": row["after"],
            "thumbnail": f"thumbnails/{thumbnail_name(row['sha256'])}",
        }
        if was and not now and len(broken) < MOST_BROKEN:
            broken.append(image)
        elif not was and row["cluster"]:
            kinds = clusters.setdefault(row["cluster"], {"repaired": [], "left": []})
            group = kinds["repaired" if now else "left"]
            if len(group) < SHOWN:
                group.append(image)
    return clusters, broken
