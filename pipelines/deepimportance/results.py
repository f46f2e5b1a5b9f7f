"""The files of a coverage run: what they are called, its tables, and what is read back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.images import Rejected
from pipelines.data.thumbnails import THUMBNAIL_FOLDER, THUMBNAIL_NAMES
from pipelines.deepimportance.coverage import (
    Rows,
    Seen,
    count_combinations,
    coverage,
    find_combinations,
    growth,
    uncovered,
)
from pipelines.deepimportance.measurement import Measured
from pipelines.deepimportance.quantisation import Regions, find_regions
from pipelines.deepimportance.widening import Widening
from pipelines.runs.errors import InputError
from pipelines.runs.files import Outputs, read_csv, write_csv
from pipelines.runs.folder import REJECTED_FILE, Progress
from pipelines.runs.guard import find_file_inside, name_damaged_file
from pipelines.unsafe_set.export import ExportedImage, check_target, export_images

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
LISTED = 200
"""Uncovered combinations that are listed of a test set."""
DIGITS = 6

Row = dict[str, Any]


@dataclass(frozen=True)
class CoverageResult:
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


@dataclass(frozen=True)
class Combinations:
    """The combinations of regions that sets of images exercise (Equation 5).

    Attributes
    ----------
    clusters : tuple of int
        Regions of each important neuron.
    training : Seen
    tests : tuple of Seen
    uncovered : tuple of list
        By test set, what it does not exercise: see `coverage.uncovered`; at most `LISTED`.
    """

    clusters: tuple[int, ...]
    training: Seen
    tests: tuple[Seen, ...]
    uncovered: tuple[list[tuple[tuple[int, ...], int, int]], ...]

    @property
    def total(self) -> int:
        """How many there are."""
        return count_combinations(self.clusters)

    def share(self, covered: int) -> float:
        """Return the coverage, IDC, of so many combinations."""
        return figure(coverage(covered, self.clusters))


def regions_of(result: CoverageResult, images: Measured) -> Rows:
    """Return the region of each important neuron, for each image."""
    return find_regions(images.values[:, result.neurons], result.regions)


def combine(result: CoverageResult) -> Combinations:
    """Find the combinations that the training images and each test set exercise."""
    clusters = tuple(len(regions.centroids) for regions in result.regions)
    training = find_combinations(regions_of(result, result.training))
    tests = tuple(find_combinations(regions_of(result, images)) for images in result.tests)
    listed = tuple(uncovered(test.rows, training, clusters, LISTED) for test in tests)
    return Combinations(clusters, training, tests, listed)


def images_of_each(seen: Seen) -> dict[tuple[int, ...], int]:
    """Return the number of images of each combination."""
    return dict(zip(map(tuple, seen.rows.tolist()), seen.counts.tolist(), strict=True))


def by_size(seen: Seen) -> list[int]:
    """Return the places of combinations, those of most images first."""
    order: list[int] = np.argsort(-seen.counts, kind="stable").tolist()
    return order


def figure(value: float) -> float:
    """Round a figure as all files of a coverage run have it."""
    return float(f"{value:.{DIGITS}g}")


def in_words(row: Sequence[int]) -> str:
    """Write a combination: the region of each important neuron, from 1.

    Spaces between them, as a spreadsheet would make a date of dashes.
    """
    return " ".join(str(region + 1) for region in row)


def write_neurons(run: Path, neurons: Sequence[Row]) -> None:
    """Write `neurons.csv`: a row a region of each important neuron."""
    header = (
        "rank", "neuron", "relevance", "share", "clusters", "silhouette", "region", "centroid",
        "from", "to", "training_images", "test_images",
    )  # fmt: skip
    rows = []
    for neuron in neurons:
        borders = ["", *neuron["borders"], ""]
        for region, centroid in enumerate(neuron["centroids"]):
            whole = (neuron["rank"], neuron["neuron"], neuron["relevance"], neuron["share"])
            score = "" if neuron["silhouette"] is None else neuron["silhouette"]
            ends = (borders[region], borders[region + 1])
            sizes = (neuron["sizes"][region], neuron["inside"][0][region])
            rows.append((*whole, len(neuron["sizes"]), score, region + 1, centroid, *ends, *sizes))
    write_csv(run / NEURONS_FILE, header, rows)


def write_combinations(run: Path, result: CoverageResult, combinations: Combinations) -> None:
    """Write `combinations.csv`: by test set, those it covers and some that it does not."""
    header = (
        "test_set", "combination", "covered", "images", "training_images", "differing_neurons",
        "example",
    )  # fmt: skip
    trained = images_of_each(combinations.training)
    rows: list[tuple[object, ...]] = []
    for name, images, seen, missing in zip(
        result.names, result.tests, combinations.tests, combinations.uncovered, strict=True
    ):
        for place in by_size(seen):
            row = tuple(seen.rows[place].tolist())
            example = images.images[int(seen.first[place])].path
            count = int(seen.counts[place])
            rows.append((name, in_words(row), 1, count, trained.get(row, 0), 0, example))
        rows += [(name, in_words(row), 0, 0, many, off, "") for row, many, off in missing]
    write_csv(run / COMBINATIONS_FILE, header, rows)


def write_growth(run: Path, result: CoverageResult, combinations: Combinations) -> None:
    """Write `growth.csv`: by test set, the coverage after each of its images."""
    rows = [
        (name, number, image.path, int(count), combinations.share(int(count)))
        for name, images, seen in zip(result.names, result.tests, combinations.tests, strict=True)
        for number, (image, count) in enumerate(zip(images.images, growth(seen), strict=True), 1)
    ]
    write_csv(run / GROWTH_FILE, ("test_set", "images", "path", "combinations", "coverage"), rows)


def write_criteria(run: Path, names: Sequence[str], criteria: Sequence[Row]) -> None:
    """Write `criteria.csv`: each criterion of each test set."""
    header = ("test_set", "criterion", "covered", "total", "value", "added_to_the_first")
    rows = [
        (name, row["criterion"], *("" if cell is None else cell for cell in cells.values()))
        for row in criteria
        for name, cells in zip(names, row["tests"], strict=True)
    ]
    write_csv(run / CRITERIA_FILE, header, rows)


def write_widening(run: Path, new: Measured, rows: Rows, ranked: Widening) -> None:
    """Write `widening.csv`: new images, those first that widen the first test set most."""
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
    with name_damaged_file(run / COVERAGE_FILE, AGAIN):
        document = json.loads(find_file_inside(run, COVERAGE_FILE).read_bytes())
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
    widening = read_coverage(run)["widening"]
    if widening is None or not widening["widening"]:
        raise InputError(
            f"{run} has no new images that widen the test set: "
            + ("none does." if widening else "measure the coverage with --candidates.")
        )
    if count is not None and count < 1:
        raise InputError(f"--count: expected a number of images, 1 or more, received {count}.")
    images = Path(widening["folder"])
    check_target(out, images)
    with name_damaged_file(run / WIDENING_FILE, AGAIN):
        rows = read_csv(find_file_inside(run, WIDENING_FILE))
        kept = rows[:count] if count is not None else [row for row in rows if row["adds"] == "1"]
        keys = ("path", "combination", "rank", "label")
        listed = [
            ExportedImage(row["path"], f"{EXPORTED}/{row['path']}", {key: row[key] for key in keys})
            for row in kept
        ]
    return len(listed), export_images(images, listed, out, progress, links=links)
