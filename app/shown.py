"""What the page shows of a run: all that its files say, as one JSON document."""

from __future__ import annotations

import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines import runs
from pipelines.clusters import (
    CLUSTERS_FILE,
    IMAGES_FILE,
    INSPECTED_PER_CLUSTER,
    NOISE,
    VERDICTS,
    WORDS,
)
from pipelines.errors import InputError
from pipelines.explanation import (
    EXPLANATION_FILE,
    PARAMETERS_FILE,
    PROPERTIES_FILE,
    Explained,
    Explanation,
    read_explanation,
)
from pipelines.files import read_csv, read_pairs
from pipelines.inspection import GIF_FOLDER, THUMBNAIL_FOLDER, gif_name
from pipelines.parameter_files import read_parameter_columns
from pipelines.properties import PROPERTIES
from pipelines.reporting.headline import KIND_TITLES, headline, tell_rate
from pipelines.results import check_explanation, inside, named, read_rate

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
    """Read all that the page shows of a run.

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
    try:
        manifest = runs.read_manifest(folder)
        written = manifest.ended == "running" and runs.is_written(folder)
        if manifest.ended == "running" and not written:
            manifest = runs.read_manifest(folder)  # the job may have ended in between
    except runs.NoManifestError as error:
        raise InputError(f"{folder} is not a run folder: {error}.") from error
    clusters: list[Row] = []
    images: list[Row] = []
    rejected: list[tuple[str, str]] = []
    told = None
    if not written:
        with named(folder / CLUSTERS_FILE):
            clusters = [_cluster(row) for row in _rows(folder, CLUSTERS_FILE)]
        with named(folder / IMAGES_FILE):
            images = [_image(row) for row in _rows(folder, IMAGES_FILE)]
        with named(folder / runs.REJECTED_FILE):
            if (folder / runs.REJECTED_FILE).exists():
                rejected = list(read_pairs(inside(folder, runs.REJECTED_FILE)).items())
        told = _read_explanation(folder) if images else None
    with named(folder / EXPLANATION_FILE, EXPLAIN_AGAIN):
        explained = _told(told, clusters, len(images))
    clusters.sort(key=lambda row: (row["cluster"] == NOISE, row["cluster"]))
    return {
        "run": str(folder),
        "name": folder.name,
        "folder": manifest.folder,
        "started": manifest.started_at,
        "ended": "killed" if manifest.ended == "running" and not written else manifest.ended,
        "message": manifest.message,
        "notes": [*manifest.notes, *(told.notes if told else ())],
        "inspection_share": manifest.result.get("inspection_share"),
        "headline": headline(manifest.result, len(images))
        if images and "situations" in manifest.result
        else [],
        "kinds": KIND_TITLES,
        "clusters": clusters,
        "images": {key: [image[key] for image in images] for key in IMAGE_KEYS},
        "rejected": rejected,
        "longest": LONGEST,
        "verdicts": VERDICTS,
        **explained,
    }


def _rows(folder: Path, name: str) -> list[dict[str, str]]:
    if not (folder / IMAGES_FILE).exists():  # the job ended before it had clusters
        return []
    return read_csv(inside(folder, name))


def _finite(figure: str | float) -> float:
    number = float(figure)
    if not math.isfinite(number):
        raise ValueError(f"{figure} is no number")
    return number


def _cluster(row: dict[str, str]) -> Row:
    cluster, rate = int(row["cluster"]), read_rate(row)
    return {
        "cluster": cluster,
        # Runs of older versions have fewer columns.
        **{name: row.get(name, "") for name in WORDS},
        "family": None,
        "size": int(row["size"]),
        "share": _finite(row["share"]),
        "cores": int(row["cores"]),
        "silhouette": _finite(row["silhouette"]) if row["silhouette"] else None,
        "hints": row["hint"].split("; ") if row["hint"] else [],
        "parameters": [],
        "confusions": [],
        "unsafe_values": [],
        "central_image": row["central_image"],
        "kind": row.get("kind", ""),
        "rate": tell_rate(rate) if rate else "",
        "failing": rate.rate if rate else None,
        "parts": int(row["parts"]) if row.get("parts") else None,
        "groups": int(row["groups"]) if row.get("groups") else None,
        "gif": f"{GIF_FOLDER}/{gif_name(cluster)}",
    }


def _image(row: dict[str, str]) -> Row:
    return {
        "path": row["path"],
        "cluster": int(row["cluster"]),
        "core": int(row["core"]),
        "silhouette": _finite(row["silhouette"]),
        "distance": _finite(row["distance_to_centre"]),
        "x": _finite(row["x"]),
        "y": _finite(row["y"]),
        "thumbnail": f"{THUMBNAIL_FOLDER}/{row['thumbnail']}",
        "part": int(row["part"]) if row.get("part") else None,
        "group": row.get("group", ""),
    }


# --- the explanation ----------------------------------------------------------------------------


def _read_explanation(folder: Path) -> Explanation | None:
    """Read `explanation.json`; runs of older versions, and those without clusters, have none."""
    if not os.path.lexists(folder / EXPLANATION_FILE):
        return None
    with named(folder / EXPLANATION_FILE, EXPLAIN_AGAIN):
        inside(folder, EXPLANATION_FILE)
        return read_explanation(folder)


def _told(told: Explanation | None, clusters: list[Row], images: int) -> Row:
    """Return what an explanation says of a run, and add to `clusters` what it says of each.

    Returns
    -------
    dict
        `families` (largest first), `family_share` of all images when five of each family are
        looked at, `unsafe_values`, `problems` of the tables that were given, and `colourings`, the
        columns whose values `read_values` reads.

    Raises
    ------
    ValueError
        When the explanation is not one of these clusters, as in `results.read_results`.
    """
    if told is None:
        return UNTOLD
    rows = {row["cluster"]: row for row in clusters}
    check_explanation(told, rows.keys() - {NOISE})
    unsafe = [
        f"{each.parameter} {each.side} {_finite(each.value):.10g}" for each in told.unsafe_values
    ]
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


def _said(said: Explained) -> Row:
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
    told = _read_explanation(folder)
    kinds = [(column.name, column.kind) for column in told.parameters] if told else []
    keys = [each.key for each in PROPERTIES] if told else []
    names = {"parameters": [kind[0] for kind in kinds], "properties": keys and FIGURES}
    known_names = names.get(source, [])
    if index >= len(known_names) or name not in {None, known_names[index]}:
        raise InputError(f"{folder.name} has no column {source}/{index}. Open it again.")
    file = folder / VALUE_FILES[source]
    with named(folder / IMAGES_FILE):
        paths = [row["path"] for row in _rows(folder, IMAGES_FILE)]
    with named(file, EXPLAIN_AGAIN):
        inside(folder, file.name)
        categories: tuple[str, ...] = ()
        if source == "parameters":
            found, parameters = read_parameter_columns(file, kinds)
            categories = parameters[index].categories
            by_path = dict(zip(found, parameters[index].values.tolist(), strict=True))
        else:
            by_path = {row["path"]: float(row[keys[index]] or "nan") for row in read_csv(file)}
        known = [by_path.get(path, math.nan) for path in paths]
        values = [None if math.isnan(value) else _finite(value) for value in known]
    is_category = source == "parameters" and kinds[index][1] == "category"
    return {"values": values} | ({"categories": categories} if is_category else {})
