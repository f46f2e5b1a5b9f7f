"""The files of a coverage run: tables for people and programs, and one document for the page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.images import ImageFile, Rejected
from pipelines.data.prefetch import prefetch
from pipelines.data.thumbnails import (
    DECODED_AHEAD,
    THUMBNAIL_FOLDER,
    THUMBNAIL_NAMES,
    draw_thumbnail,
    thumbnail_name,
)
from pipelines.deepimportance.coverage import (
    Rows,
    Seen,
    contributors,
    count_combinations,
    coverage,
    expected_growth,
    find_combinations,
    growth,
    uncovered,
)
from pipelines.deepimportance.measurement import Measured
from pipelines.deepimportance.quantisation import Regions, find_regions
from pipelines.deepimportance.widening import Widening, rank
from pipelines.runs.errors import InputError
from pipelines.runs.files import Outputs, as_text, read_csv, write_csv, write_text
from pipelines.runs.folder import REJECTED_FILE, Progress
from pipelines.runs.guard import inside, named
from pipelines.unsafe_set.export import Exported, check_target, export_images

COVERAGE_FILE = "coverage.json"
NEURONS_FILE = "neurons.csv"
COMBINATIONS_FILE = "combinations.csv"
CRITERIA_FILE = "criteria.csv"
GROWTH_FILE = "growth.csv"
WIDENING_FILE = "widening.csv"
TABLES = (NEURONS_FILE, COMBINATIONS_FILE, CRITERIA_FILE, GROWTH_FILE, WIDENING_FILE)
OUTPUTS = Outputs(
    (COVERAGE_FILE, *TABLES, REJECTED_FILE),
    {THUMBNAIL_FOLDER: THUMBNAIL_NAMES},
)
AGAIN = "measure the coverage again"
EXPORTED = "new combinations"
"""Folder that new images are exported to."""
IDC = "IDC"
CRITERIA = (IDC, "NC", "KMNC", "NBC", "SNAC", "TKNC", "LSC", "DSC")
BINS = 40
LISTED = 200
"""Uncovered combinations that are listed of a test set."""
SHOWN = 100
"""Rows of each table, and images, that the page shows."""
POINTS = 200
"""Of the curve of expected growth."""
DIGITS = 6
EXACT = 9
"""Digits that tell any two activations apart."""

Bits = NDArray[np.bool_]
Row = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """What a job measured.

    Attributes
    ----------
    layer : str
    neurons : array of int, shape (m,)
        Positions of the important ones in the layer, the most important first.
    relevance : array of float64, shape (neurons of the layer,)
        Cumulative, over the training images.
    regions : tuple of Regions, length m
    training : Measured
    tests : tuple of Measured
    names : tuple of str
        Of the test sets.
    accuracies : tuple of float or None
        Where there are labels.
    new : Measured, optional
        New images that may widen the first test set.
    """

    layer: str
    neurons: NDArray[np.intp]
    relevance: NDArray[np.float64]
    regions: tuple[Regions, ...]
    training: Measured
    tests: tuple[Measured, ...]
    names: tuple[str, ...]
    accuracies: tuple[float | None, ...]
    new: Measured | None


@dataclass
class _Thumbnails:
    """Images of which thumbnails are to be drawn, each once."""

    wanted: dict[str, tuple[Path, ImageFile]]

    def add(self, images: Measured, place: int) -> str:
        """Ask for the thumbnail of an image, and return its path in the run folder."""
        image = images.images[place]
        name = thumbnail_name(image.digest)
        self.wanted.setdefault(name, (images.folder, image))
        return f"{THUMBNAIL_FOLDER}/{name}"

    def draw(self, run: Path, progress: Progress, stage: str) -> None:
        """Draw them; an image that cannot be read any more has none."""
        (run / THUMBNAIL_FOLDER).mkdir(exist_ok=True)
        drawn = prefetch(
            lambda item: draw_thumbnail(*item, run), self.wanted.values(), DECODED_AHEAD
        )
        for done, _ in enumerate(drawn, 1):
            progress(stage, done, len(self.wanted))


def in_words(row: Sequence[int]) -> str:
    """Write a combination: the region of each important neuron, from 1.

    Spaces between them, as a spreadsheet would make a date of dashes.
    """
    return " ".join(str(region + 1) for region in row)


def write_coverage(run: Path, found: Found, progress: Progress, stage: str) -> Row:
    """Write all files of a coverage run, and return what `run.json` tells of it.

    Returns
    -------
    dict
        Of the first test set: combinations there are and those seen, coverage, images; and how many
        new images add one.
    """
    clusters = [len(each.centroids) for each in found.regions]
    total = count_combinations(clusters)
    training = _combinations(found, found.training)
    seen = [_combinations(found, each) for each in found.tests]
    thumbnails = _Thumbnails({})
    document: Row = {
        "schema_version": 1,
        "layer": found.layer,
        "neurons_of_layer": len(found.relevance),
        "combinations": str(total),
        "training": {
            "images": len(found.training.images),
            "folder": _place(found.training),
            "covered": len(training.rows),
            "coverage": _figure(coverage(len(training.rows), clusters)),
        },
        "neurons": _neurons(found),
    }
    _write_neurons(run, document["neurons"])
    listed = [uncovered(each.rows, training, clusters, LISTED) for each in seen]
    _write_combinations(run, found, seen, training, listed)
    _write_growth(run, found, seen, clusters)
    document["tests"] = [
        _test(found, place, each, training, listed[place], clusters, thumbnails)
        for place, each in enumerate(seen)
    ]
    document["criteria"] = _criteria(run, found, seen, total)
    document["widening"] = None
    result: Row = {
        "combinations": total if total < 2**53 else str(total),
        "covered": len(seen[0].rows),
        "coverage": _figure(coverage(len(seen[0].rows), clusters)),
        "images": len(found.tests[0].images),
        "training_images": len(found.training.images),
    }
    if found.new is not None:
        told = _widen(run, found, found.new, seen[0], clusters, thumbnails)
        document["widening"] = told
        result |= {"new_images": told["images"], "new_combinations": told["adds"]}
    write_text(run / COVERAGE_FILE, json.dumps(document, ensure_ascii=False, indent=1) + "\n")
    thumbnails.draw(run, progress, stage)
    return result


def _figure(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _activation(value: float) -> float:
    return float(f"{value:.{EXACT}g}")


def _place(images: Measured) -> str:
    """Return where images lie, whatever folder a later command is started in."""
    return as_text(images.folder.resolve())


def _regions(found: Found, images: Measured) -> Rows:
    return find_regions(images.values[:, found.neurons], found.regions)


def _combinations(found: Found, images: Measured) -> Seen:
    return find_combinations(_regions(found, images))


# --- neurons ------------------------------------------------------------------------------------


def _neurons(found: Found) -> list[Row]:
    """Tell of each important neuron its regions, and where the images of each set fall."""
    positive = float(np.maximum(found.relevance, 0).sum()) or 1.0
    rows = []
    for place, (neuron, regions) in enumerate(
        zip(found.neurons.tolist(), found.regions, strict=True)
    ):
        sets = [each.values[:, neuron] for each in (found.training, *found.tests)]
        low = min(float(values.min()) for values in sets)
        high = max(float(values.max()) for values in sets)
        edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
        counts = [np.histogram(values, edges)[0].tolist() for values in sets]
        inside = [
            np.bincount(
                find_regions(values[:, None], [regions])[:, 0], minlength=len(regions.sizes)
            )
            for values in sets[1:]
        ]
        relevance = float(found.relevance[neuron])
        rows.append(
            {
                "rank": place + 1,
                "neuron": neuron,
                "relevance": _figure(relevance),
                "share": round(relevance / positive, 4),
                "silhouette": None if regions.silhouette is None else round(regions.silhouette, 4),
                "centroids": [_activation(centre) for centre in regions.centroids.tolist()],
                "borders": [_activation(border) for border in regions.borders().tolist()],
                "sizes": regions.sizes.tolist(),
                "low": _activation(float(edges[0])),
                "high": _activation(float(edges[-1])),
                "training": counts[0],
                "tests": counts[1:],
                "inside": [numbers.tolist() for numbers in inside],
            }
        )
    return rows


def _write_neurons(run: Path, neurons: list[Row]) -> None:
    header = (
        "rank", "neuron", "relevance", "share", "clusters", "silhouette", "region", "centroid",
        "from", "to", "training_images", "test_images",
    )  # fmt: skip
    rows = []
    for each in neurons:
        borders = ["", *each["borders"], ""]
        for region, centroid in enumerate(each["centroids"]):
            said = (each["rank"], each["neuron"], each["relevance"], each["share"])
            score = "" if each["silhouette"] is None else each["silhouette"]
            ends = (borders[region], borders[region + 1])
            sizes = (each["sizes"][region], each["inside"][0][region])
            rows.append((*said, len(each["sizes"]), score, region + 1, centroid, *ends, *sizes))
    write_csv(run / NEURONS_FILE, header, rows)


# --- combinations -------------------------------------------------------------------------------


def _write_combinations(
    run: Path,
    found: Found,
    seen: Sequence[Seen],
    training: Seen,
    listed: Sequence[list[tuple[tuple[int, ...], int, int]]],
) -> None:
    header = (
        "test_set", "combination", "covered", "images", "training_images", "differing_neurons",
        "example",
    )  # fmt: skip
    known = _counts(training)
    rows: list[tuple[object, ...]] = []
    for name, images, each, missing in zip(found.names, found.tests, seen, listed, strict=True):
        for place in _by_size(each):
            row = tuple(each.rows[place].tolist())
            example = images.images[int(each.first[place])].path
            count = int(each.counts[place])
            rows.append((name, in_words(row), 1, count, known.get(row, 0), 0, example))
        rows += [(name, in_words(row), 0, 0, many, off, "") for row, many, off in missing]
    write_csv(run / COMBINATIONS_FILE, header, rows)


def _counts(seen: Seen) -> dict[tuple[int, ...], int]:
    return dict(zip(map(tuple, seen.rows.tolist()), seen.counts.tolist(), strict=True))


def _by_size(seen: Seen) -> list[int]:
    order: list[int] = np.argsort(-seen.counts, kind="stable").tolist()
    return order


def _write_growth(run: Path, found: Found, seen: Sequence[Seen], clusters: Sequence[int]) -> None:
    rows = [
        (name, number, image.path, int(count), _figure(coverage(int(count), clusters)))
        for name, images, each in zip(found.names, found.tests, seen, strict=True)
        for number, (image, count) in enumerate(zip(images.images, growth(each), strict=True), 1)
    ]
    write_csv(run / GROWTH_FILE, ("test_set", "images", "path", "combinations", "coverage"), rows)


def _test(
    found: Found,
    place: int,
    seen: Seen,
    training: Seen,
    missing: list[tuple[tuple[int, ...], int, int]],
    clusters: Sequence[int],
    thumbnails: _Thumbnails,
) -> Row:
    images = found.tests[place]
    known = _counts(training)
    first = dict(zip(map(tuple, training.rows.tolist()), training.first.tolist(), strict=True))
    grown = growth(seen)
    steps = np.flatnonzero(np.diff(grown, prepend=0))
    sizes = sorted({round(size) for size in np.linspace(1, len(grown), POINTS).tolist()})
    expected = expected_growth(seen.counts, sizes)
    alone = contributors(seen)
    covered = []
    for row in _by_size(seen)[:SHOWN]:
        combination = tuple(seen.rows[row].tolist())
        example = int(seen.first[row])
        covered.append(
            {
                "combination": in_words(combination),
                "images": int(seen.counts[row]),
                "training": known.get(combination, 0),
                "example": images.images[example].path,
                "thumbnail": thumbnails.add(images, example),
            }
        )
    lacking = []
    for combination, many, off in missing[:SHOWN]:
        trained = first.get(combination)
        lacking.append(
            {
                "combination": in_words(combination),
                "training": many,
                "differing": off,
                "example": "" if trained is None else found.training.images[trained].path,
                "thumbnail": None if trained is None else thumbnails.add(found.training, trained),
            }
        )
    return {
        "name": found.names[place],
        "folder": _place(images),
        "images": len(images.images),
        "accuracy": None
        if found.accuracies[place] is None
        else round(found.accuracies[place] or 0.0, 4),
        "covered": len(seen.rows),
        "coverage": _figure(coverage(len(seen.rows), clusters)),
        "trained_uncovered": len(known.keys() - _counts(seen).keys()),
        "growth": [[int(step) + 1, int(grown[step])] for step in _thin(steps)],
        "expected": [[s, round(e, 2)] for s, e in zip(sizes, expected, strict=True)],
        "table": covered,
        "missing": lacking,
        "alone": len(alone),
        "contributors": [
            {
                "path": images.images[image].path,
                "combination": in_words(seen.rows[seen.of_image[image]].tolist()),
                "thumbnail": thumbnails.add(images, image),
            }
            for image in alone[:SHOWN].tolist()
        ],
    }


def _thin(steps: NDArray[np.intp]) -> list[int]:
    """Leave as many steps of a curve as can be told apart, the first and the last among them."""
    most = 5 * POINTS
    if len(steps) > most:
        steps = steps[np.linspace(0, len(steps) - 1, most).astype(np.intp)]
    kept: list[int] = steps.tolist()
    return kept


# --- criteria -----------------------------------------------------------------------------------


def _criteria(run: Path, found: Found, seen: Sequence[Seen], total: int) -> list[Row]:
    """Tell each criterion of each test set, and of the first one with each other added."""
    table, rows = [], []
    union = [find_combinations(np.concatenate([seen[0].rows, each.rows])) for each in seen]
    for criterion in CRITERIA:
        cells = []
        for place, (name, images) in enumerate(zip(found.names, found.tests, strict=True)):
            if criterion == IDC:
                counts: tuple[int, int, int | None] | None = (
                    len(seen[place].rows), total, len(union[place].rows),
                )  # fmt: skip
            else:
                counts = _count(images.covered.get(criterion), found.tests[0].covered[criterion])
            cell: Row = {"covered": None, "total": None, "value": None, "added": None}
            if counts is not None:
                one, whole, both = counts
                cell = {
                    "covered": one,
                    "total": str(whole),
                    "value": _figure(one / whole),
                    "added": _figure(both / whole) if place and both is not None else None,
                }
            cells.append(cell)
            figures = ("" if cell[key] is None else cell[key] for key in cell)
            rows.append((name, criterion, *figures))
        table.append({"criterion": criterion, "tests": cells})
    header = ("test_set", "criterion", "covered", "total", "value", "added_to_the_first")
    write_csv(run / CRITERIA_FILE, header, rows)
    return table


def _count(bits: Bits | None, first: Bits | None) -> tuple[int, int, int | None] | None:
    if bits is None:
        return None
    both = None if first is None else int((bits | first).sum())
    return int(bits.sum()), len(bits), both


# --- new images ---------------------------------------------------------------------------------


def _widen(
    run: Path,
    found: Found,
    new: Measured,
    seen: Seen,
    clusters: Sequence[int],
    thumbnails: _Thumbnails,
) -> Row:
    """Rank the new images, and write them, best first."""
    rows = _regions(found, new)
    ranked = rank(new.values[:, found.neurons], rows, seen.rows, found.regions)
    known = _counts(seen)
    same = _counts(find_combinations(rows))
    _write_widening(run, new, rows, ranked)
    after = len(known) + int(ranked.adds.sum())
    return {
        "folder": _place(new),
        "images": len(new.images),
        "adds": int(ranked.adds.sum()),
        "widening": len(ranked.images),
        "covered": after,
        "coverage": _figure(coverage(after, clusters)),
        "rows": [
            {
                "path": new.images[image].path,
                "combination": in_words(rows[image].tolist()),
                "adds": bool(adds),
                "differing": int(off),
                "same": same[tuple(rows[image].tolist())],
                "thumbnail": thumbnails.add(new, image),
            }
            for image, adds, off in zip(
                ranked.images[:SHOWN].tolist(), ranked.adds, ranked.apart, strict=False
            )
        ],
    }


def _write_widening(run: Path, new: Measured, rows: Rows, ranked: Widening) -> None:
    header = ("path", "rank", "combination", "adds", "differing_neurons", "label")
    lines = [
        (new.images[image].path, place, in_words(rows[image].tolist()), int(adds), int(off), "")
        for place, (image, adds, off) in enumerate(
            zip(ranked.images.tolist(), ranked.adds, ranked.apart, strict=True), 1
        )
    ]
    write_csv(run / WIDENING_FILE, header, lines)


def read_coverage(run: Path) -> Row:
    """Read what the page shows of a coverage run, `coverage.json`.

    Raises
    ------
    InputError
        When there is none, or it is not as the tool writes it.
    """
    with named(run / COVERAGE_FILE, AGAIN):
        document = json.loads(inside(run, COVERAGE_FILE).read_bytes())
        if not isinstance(document, dict) or document.get("schema_version") != 1:
            raise ValueError("expected a document of schema version 1")
        if missing := {"tests", "criteria", "widening"} - document.keys():
            raise ValueError(f"it does not tell of {', '.join(sorted(missing))}")
        return document


def export_widening(
    run: Path, out: Path, progress: Progress, *, links: bool = False, count: int | None = None
) -> tuple[int, list[Rejected]]:
    """Export the new images that widen a test set as the unsafe set is exported.

    See `pipelines.unsafe_set.export`.

    Parameters
    ----------
    count : int, optional
        Images, best first; all that add a combination if None.

    Returns
    -------
    int
        Images that were wanted.
    list of Rejected
        Those that are not there any more.

    Raises
    ------
    InputError
        When the run has no such images, or `out` cannot be used.
    """
    told = read_coverage(run)["widening"]
    if told is None or not told["widening"]:
        raise InputError(
            f"{run} has no new images that widen the test set: "
            + ("none does." if told else "measure the coverage with --candidates.")
        )
    if count is not None and count < 1:
        raise InputError(f"--count: expected a number of images, 1 or more, received {count}.")
    images = Path(told["folder"])
    check_target(out, images)
    with named(run / WIDENING_FILE, AGAIN):
        rows = read_csv(inside(run, WIDENING_FILE))
        kept = rows[:count] if count is not None else [row for row in rows if row["adds"] == "1"]
        keys = ("path", "combination", "rank", "label")
        listed = [
            Exported(row["path"], f"{EXPORTED}/{row['path']}", {key: row[key] for key in keys})
            for row in kept
        ]
    return len(listed), export_images(images, listed, out, progress, links=links)
