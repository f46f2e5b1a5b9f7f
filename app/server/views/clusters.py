"""What the page shows of a run: all that its files say, as one JSON document."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters.clusters import INSPECTED_PER_CLUSTER, VERDICTS, RootCauseClusters
from pipelines.clusters.explanation import (
    PARAMETERS_FILE,
    PROPERTIES_FILE,
    ClusterExplanation,
    Explanation,
)
from pipelines.clusters.pictures import GIF_FOLDER, gif_name
from pipelines.clusters.report.headline import KIND_TITLES, describe_rate, write_headline
from pipelines.clusters.results import ClusterRow, Results, read_results
from pipelines.data.parameters import read_parameter_columns
from pipelines.data.properties import PROPERTIES
from pipelines.data.thumbnails import THUMBNAIL_FOLDER, thumbnail_name
from pipelines.runs import folder as run_folder
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv
from pipelines.runs.guard import find_file_inside, name_damaged_file
from pipelines.runs.manifest import read_run_manifest

LONGEST = {"name": 200, "note": 20_000, "verdict": 60, "severity": 60, "likelihood": 60}
"""How many characters of an engineer's words are kept."""
VALUE_FILES = {"parameters": PARAMETERS_FILE, "properties": PROPERTIES_FILE}
"""Where the values of a run's images are, by source; the explanation tells of their columns."""
EXPLAIN_AGAIN = "explain the run again"
FIGURES = [each.figure for each in PROPERTIES]
IMAGE_KEYS = (
    "path",
    "cluster",
    "core",
    "silhouette",
    "distance",
    "x",
    "y",
    "thumbnail",
    "part",
    "group",
)
Row = dict[str, Any]
UNTOLD: Row = {
    "families": [],
    "family_share": None,
    "unsafe_values": [],
    "problems": [],
    "colourings": [],
}
"""What is served of a run without an explanation."""


def describe(folder: Path) -> Row:
    """Tell all that the page shows of a run.

    Time, memory and the size of the result grow linearly with the number of images.

    Returns
    -------
    dict
        How the run ended and its notes; `clusters` (the rows of `clusters.csv`, largest first,
        noise last, with what the explanation says of each), `images` (columns of `images.csv`),
        `rejected` (pairs of path and reason), and what `_told` returns.  A run that a job is
        writing has none of these yet.

    Raises
    ------
    InputError
        When the folder is no run, or a file of it is not as the tool writes it.
    """
    manifest = read_run_manifest(folder)
    if manifest.ended == "running" and run_folder.is_written(folder):
        results = Results(folder, manifest, "running", None, (), None, ())
    else:
        results = read_results(folder)  # the job may have ended in between
    manifest = results.manifest
    clusters = [_cluster(row) for row in results.rows]
    count = len(results.clusters.paths) if results.clusters else 0
    explained = _told(results.explanation, clusters, count)
    return {
        "run": str(folder),
        "name": folder.name,
        "folder": manifest.folder,
        "started": manifest.started_at,
        "ended": results.ended,
        "message": manifest.message,
        "notes": [*manifest.notes, *(results.explanation.notes if results.explanation else ())],
        "inspection_share": manifest.result.get("inspection_share"),
        "headline": write_headline(manifest.result, count)
        if count and "situations" in manifest.result
        else [],
        "kinds": KIND_TITLES,
        "clusters": clusters,
        "images": _images(results.clusters),
        "rejected": list(results.rejected),
        "longest": LONGEST,
        "verdicts": VERDICTS,
        **explained,
    }


def _cluster(row: ClusterRow) -> Row:
    return {
        "cluster": row.cluster,
        "name": row.name,
        "note": row.note,
        "verdict": row.verdict,
        "severity": row.severity,
        "likelihood": row.likelihood,
        "family": None,
        "size": row.size,
        "share": row.share,
        "cores": row.cores,
        "silhouette": row.silhouette,
        "hints": list(row.hints),
        "parameters": [],
        "confusions": [],
        "unsafe_values": [],
        "central_image": row.central_image,
        "kind": row.kind,
        "rate": describe_rate(row.rate) if row.rate else "",
        "failing": row.rate.rate if row.rate else None,
        "parts": row.parts,
        "groups": row.groups,
        "gif": f"{GIF_FOLDER}/{gif_name(row.cluster)}",
    }


def _images(clusters: RootCauseClusters | None) -> dict[str, list[Any]]:
    if clusters is None:
        return {key: [] for key in IMAGE_KEYS}
    count = len(clusters.paths)
    x, y = clusters.places.T
    return {
        "path": list(clusters.paths),
        "cluster": clusters.labels.tolist(),
        "core": clusters.core.astype(int).tolist(),
        "silhouette": _rounded(clusters.silhouettes),
        "distance": _rounded(clusters.centre_distances),
        "x": _rounded(x),
        "y": _rounded(y),
        "thumbnail": [f"{THUMBNAIL_FOLDER}/{thumbnail_name(each)}" for each in clusters.digests],
        "part": [None] * count if clusters.parts is None else clusters.parts.tolist(),
        "group": list(clusters.groups or [""] * count),
    }


def _rounded(values: NDArray[np.float32]) -> list[float]:
    """Return figures as `images.csv` has them, and not as float32 does."""
    return [round(value, 4) for value in values.tolist()]


# --- the explanation ----------------------------------------------------------------------------


def _told(told: Explanation | None, clusters: list[Row], images: int) -> Row:
    """Return what an explanation says of a run, and add to `clusters` what it says of each.

    Returns
    -------
    dict
        `families` (largest first), `family_share` of all images when five of each family are
        looked at, `unsafe_values`, `problems` of the tables that were given, and `colourings`, the
        columns whose values `read_values` reads.
    """
    if told is None:
        return UNTOLD
    rows = {row["cluster"]: row for row in clusters}
    unsafe = [f"{each.parameter} {each.side} {each.value:.10g}" for each in told.unsafe_values]
    for cluster, said in told.clusters.items():
        rows[cluster] |= _said(said)
        rows[cluster]["unsafe_values"] = [unsafe[position] for position in said.unsafe_values]
    for family in told.families:
        for cluster in family.clusters:
            rows[cluster]["family"] = family.family
    inspected = sum(min(family.size, INSPECTED_PER_CLUSTER) for family in told.families)
    return {
        "families": [
            {
                "family": family.family,
                "clusters": family.clusters,
                "size": family.size,
                **_said(family),
            }
            for family in told.families
        ],
        "family_share": inspected / images,
        "unsafe_values": [
            {
                "words": words,
                "images": each.images,
                "clusters": each.clusters,
            }
            for words, each in zip(unsafe, told.unsafe_values, strict=True)
        ],
        "problems": [asdict(problem) for problem in told.problems],
        "colourings": _colourings(told),
    }


def _said(said: ClusterExplanation) -> Row:
    return {
        "hints": [hint.words for hint in said.hints],
        "parameters": [
            {"parameter": finding.parameter, "words": finding.words} for finding in said.parameters
        ],
        "confusions": [confusion.model_dump() for confusion in said.confusions],
    }


def _colourings(told: Explanation) -> list[Row]:
    columns = [
        ("parameters", index, column.name, column.kind, 360.0 * (column.kind == "angle"))
        for index, column in enumerate(told.parameters)
    ] + [
        ("properties", index, each.figure, "angle" if each.period else "number", each.period)
        for index, each in enumerate(PROPERTIES)
    ]
    keys = ("source", "index", "name", "kind", "period")
    return [dict(zip(keys, column, strict=True)) for column in columns]


def read_values(folder: Path, source: str, index: int, name: str | None = None) -> Row:
    """Read one of the run's `colourings`; `name` is what it is called as far as the page knows.

    Returns
    -------
    dict
        `values`, one an image in the order of `describe`'s, None where none is known; of a
        category, positions in `categories`.

    Raises
    ------
    InputError
        When the run has no such column, or a file of it is not as the tool writes it.
    """
    results = read_results(folder)
    told = results.explanation
    kinds = [(column.name, column.kind) for column in told.parameters] if told else []
    keys = [each.key for each in PROPERTIES] if told else []
    names = {"parameters": [kind[0] for kind in kinds], "properties": keys and FIGURES}
    known_names = names.get(source, [])
    if index >= len(known_names) or name not in {None, known_names[index]}:
        raise InputError(f"{folder.name} has no column {source}/{index}. Open it again.")
    assert results.clusters is not None  # or there would be no explanation
    file = folder / VALUE_FILES[source]
    categories: tuple[str, ...] = ()
    with name_damaged_file(file, EXPLAIN_AGAIN):
        find_file_inside(folder, file.name)
        if source == "parameters":
            listed, parameters = read_parameter_columns(file, kinds)
            categories = parameters[index].categories
            by_path = dict(zip(listed, parameters[index].values.tolist(), strict=True))
        else:
            by_path = {row["path"]: float(row[keys[index]] or "nan") for row in read_csv(file)}
        if any(map(math.isinf, by_path.values())):
            raise ValueError("a figure is no number")
    known = [by_path.get(path, math.nan) for path in results.clusters.paths]
    values = [None if math.isnan(value) else value for value in known]
    is_category = source == "parameters" and kinds[index][1] == "category"
    return {"values": values} | ({"categories": categories} if is_category else {})
