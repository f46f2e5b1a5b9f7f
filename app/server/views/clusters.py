"""The JSON document of a run for the page: the contents of its files."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters.clusters import INSPECTED_PER_CLUSTER, VERDICTS, RootCauseClusters
from pipelines.clusters.explanation import (
    PARAMETERS_FILE,
    PROPERTIES_FILE,
    ClusterExplanation,
    Explanation,
)
from pipelines.clusters.manifest import ClusterFigures
from pipelines.clusters.pictures import GIF_FOLDER, gif_name
from pipelines.clusters.rates import TOO_FEW
from pipelines.clusters.report.headline import KIND_TITLES, describe_rate, describe_situations
from pipelines.clusters.results import ClusterRow, Results, read_results
from pipelines.data.parameters import read_parameter_columns
from pipelines.data.properties import PROPERTIES
from pipelines.data.thumbnails import THUMBNAIL_FOLDER, thumbnail_name
from pipelines.runs import folder as run_folder
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv
from pipelines.runs.guard import find_file_inside, name_damaged_file
from pipelines.runs.manifest import find_part, read_run_manifest

LONGEST = {"name": 200, "note": 20_000, "verdict": 60, "severity": 60, "likelihood": 60}
"""Largest number of characters of an engineer's words."""
VALUE_FILES = {"parameters": PARAMETERS_FILE, "properties": PROPERTIES_FILE}
"""Files with the values of a run's images, by source; the explanation has the names of columns."""
EXPLAIN_AGAIN = "explain the run again"
FIGURES = [known.figure for known in PROPERTIES]
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
Row = dict[str, object]
UNEXPLAINED: Row = {
    "families": [],
    "family_share": None,
    "unsafe_values": [],
    "problems": [],
    "colourings": [],
}
"""The explanation of a run without explanation."""


def describe(folder: Path) -> Row:
    """Describe a run for the page.

    Time, memory and the size of the result grow linearly with the number of images.

    Returns
    -------
    dict
        How the run ended and its notes; `clusters` (the rows of `clusters.csv`, largest first,
        noise last, each with its explanation), `images` (columns of `images.csv`), `rejected`
        (pairs of path and reason), and the entries of `_describe_explanation`. They are empty for a
        run that a job is writing.

    Raises
    ------
    InputError
        When the folder is no run, or one of its files is damaged.
    """
    manifest = read_run_manifest(folder)
    if manifest.ended == "running" and run_folder.is_written(folder):
        results = Results(folder, manifest, "running", None, (), None, ())
    else:
        results = read_results(folder)  # the job may have ended since the check
    manifest = results.manifest
    clusters = [_cluster(row) for row in results.rows]
    count = len(results.clusters.paths) if results.clusters else 0
    explained = _describe_explanation(results.explanation, clusters, count)
    figures = find_part(manifest, ClusterFigures)
    return {
        "run": str(folder),
        "name": folder.name,
        "folder": manifest.folder,
        "started": manifest.started_at,
        "ended": results.ended,
        "message": manifest.message,
        "notes": [*manifest.notes, *(results.explanation.notes if results.explanation else ())],
        "inspection_share": figures.inspection_share if figures else None,
        "headline": describe_situations(manifest, count),
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
        "failing": row.rate.rate if row.rate and row.kind != TOO_FEW else None,
        "parts": row.parts,
        "groups": row.groups,
        "gif": f"{GIF_FOLDER}/{gif_name(row.cluster)}",
    }


def _images(clusters: RootCauseClusters | None) -> dict[str, list[object]]:
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
        "thumbnail": [
            f"{THUMBNAIL_FOLDER}/{thumbnail_name(digest)}" for digest in clusters.digests
        ],
        "part": [None] * count if clusters.parts is None else clusters.parts.tolist(),
        "group": list(clusters.groups or [""] * count),
    }


def _rounded(values: NDArray[np.float32]) -> list[float]:
    """Return figures with the number of decimals in `images.csv`."""
    return [round(value, 4) for value in values.tolist()]


# --- the explanation ----------------------------------------------------------------------------


def _describe_explanation(explanation: Explanation | None, clusters: list[Row], images: int) -> Row:
    """Return the explanation of a run, and add each cluster's explanation to its row in `clusters`.

    Returns
    -------
    dict
        `families` (largest first); `family_share`, the share of all images in five of each family;
        `unsafe_values`; `problems` of the tables; and `colourings`, the columns whose values
        `read_values` reads.
    """
    if explanation is None:
        return UNEXPLAINED
    rows = {row["cluster"]: row for row in clusters}
    unsafe = [
        f"{value.parameter} {value.side} {value.value:.10g}" for value in explanation.unsafe_values
    ]
    for cluster, findings in explanation.clusters.items():
        rows[cluster] |= _describe_findings(findings)
        rows[cluster]["unsafe_values"] = [unsafe[position] for position in findings.unsafe_values]
    for family in explanation.families:
        for cluster in family.clusters:
            rows[cluster]["family"] = family.family
    inspected = sum(min(family.size, INSPECTED_PER_CLUSTER) for family in explanation.families)
    return {
        "families": [
            {
                "family": family.family,
                "clusters": family.clusters,
                "size": family.size,
                **_describe_findings(family),
            }
            for family in explanation.families
        ],
        "family_share": inspected / images,
        "unsafe_values": [
            {
                "words": words,
                "images": value.images,
                "clusters": value.clusters,
            }
            for words, value in zip(unsafe, explanation.unsafe_values, strict=True)
        ],
        "problems": [asdict(problem) for problem in explanation.problems],
        "colourings": _colourings(explanation),
    }


def _describe_findings(explained: ClusterExplanation) -> Row:
    return {
        "hints": [hint.words for hint in explained.hints],
        "parameters": [
            {"parameter": finding.parameter, "words": finding.words}
            for finding in explained.parameters
        ],
        "confusions": [confusion.model_dump() for confusion in explained.confusions],
    }


def _colourings(explanation: Explanation) -> list[Row]:
    columns = [
        ("parameters", index, column.name, column.kind, 360.0 * (column.kind == "angle"))
        for index, column in enumerate(explanation.parameters)
    ] + [
        ("properties", index, known.figure, "angle" if known.period else "number", known.period)
        for index, known in enumerate(PROPERTIES)
    ]
    keys = ("source", "index", "name", "kind", "period")
    return [dict(zip(keys, column, strict=True)) for column in columns]


def read_values(folder: Path, source: str, index: int, name: str | None = None) -> Row:
    """Read one of the run's `colourings`; `name` is its name on the page.

    Returns
    -------
    dict
        `values`, one per image in the order of `describe`, None if not known. The values of a
        category are positions in `categories`.

    Raises
    ------
    InputError
        When the run has no such column, or one of its files is damaged.
    """
    results = read_results(folder)
    explanation = results.explanation
    kinds = [(column.name, column.kind) for column in explanation.parameters] if explanation else []
    keys = [known.key for known in PROPERTIES] if explanation else []
    names = {"parameters": [kind[0] for kind in kinds], "properties": keys and FIGURES}
    known_names = names.get(source, [])
    if index >= len(known_names) or name not in {None, known_names[index]}:
        raise InputError(f"{folder.name} has no column {source}/{index}. Open it again.")
    assert results.clusters is not None  # otherwise there would be no explanation
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
            raise ValueError("a figure is not a finite number")
    known = [by_path.get(path, math.nan) for path in results.clusters.paths]
    values = [None if math.isnan(value) else value for value in known]
    is_category = source == "parameters" and kinds[index][1] == "category"
    return {"values": values} | ({"categories": categories} if is_category else {})
