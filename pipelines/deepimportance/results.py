"""The files of a coverage run: their names, and how they are written and read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.data.images import Rejected
from pipelines.data.thumbnails import THUMBNAIL_FOLDER, THUMBNAIL_NAMES
from pipelines.deepimportance.coverage import (
    ExercisedCombinations,
    Rows,
    compute_coverage,
    count_combinations,
    count_growth,
    find_combinations,
    list_uncovered,
)
from pipelines.deepimportance.entries import CoverageDocument, CriterionEntry, NeuronEntry
from pipelines.deepimportance.measurement import ImageActivations
from pipelines.deepimportance.quantisation import Regions, find_regions
from pipelines.deepimportance.widening import Widening
from pipelines.runs.errors import InputError
from pipelines.runs.files import Outputs, read_csv, write_csv
from pipelines.runs.folder import REJECTED_FILE, Progress
from pipelines.runs.guard import find_file_inside, name_damaged_file
from pipelines.runs.manifest import check_replaced, read_needed_document
from pipelines.unsafe_set.export import ExportedImage, check_target, export_images

COVERAGE_FILE = "coverage.json"
NEURONS_FILE = "neurons.csv"
COMBINATIONS_FILE = "combinations.csv"
CRITERIA_FILE = "criteria.csv"
GROWTH_FILE = "growth.csv"
WIDENING_FILE = "widening.csv"
MEASURE_AGAIN = (
    "it changed since it was measured: put the earlier file back, or measure the coverage again"
)
TABLES = (NEURONS_FILE, COMBINATIONS_FILE, CRITERIA_FILE, GROWTH_FILE, WIDENING_FILE)
OUTPUTS = Outputs(
    (COVERAGE_FILE, *TABLES, REJECTED_FILE),
    {THUMBNAIL_FOLDER: THUMBNAIL_NAMES},
)
AGAIN = "measure the coverage again"
EXPORTED = "new combinations"
"""Name of the folder to which new images are exported."""
IDC = "IDC"
CRITERIA = (IDC, "NC", "KMNC", "NBC", "SNAC", "TKNC", "LSC", "DSC")
LISTED = 200
"""Largest number of uncovered combinations that are listed for a test set."""
DIGITS = 6


@dataclass(frozen=True)
class CoverageResult:
    """Everything that a coverage job measured.

    Attributes
    ----------
    layer : str
        The measured layer.
    neurons : array of int, shape (m,)
        Positions of the important neurons in the layer, the most important first.
    relevance : array of float64, shape (neurons of the layer,)
        Cumulative relevance over the training images.
    regions : tuple of Regions, length m
        Regions of the important neurons.
    training : ImageActivations
    tests : tuple of ImageActivations
        One for each test set.
    names : tuple of str
        Names of the test sets.
    accuracies : tuple of float or None
        Accuracy on each test set; None for one without labels.
    new : ImageActivations, optional
        New images that may widen the first test set.
    """

    layer: str
    neurons: NDArray[np.intp]
    relevance: NDArray[np.float64]
    regions: tuple[Regions, ...]
    training: ImageActivations
    tests: tuple[ImageActivations, ...]
    names: tuple[str, ...]
    accuracies: tuple[float | None, ...]
    new: ImageActivations | None


@dataclass(frozen=True)
class Combinations:
    """The combinations of regions that sets of images exercise (Equation 5).

    Attributes
    ----------
    clusters : tuple of int
        Number of regions of each important neuron.
    training : ExercisedCombinations
    tests : tuple of ExercisedCombinations
        One for each test set.
    uncovered : tuple of list
        For each test set, at most `LISTED` combinations that it does not exercise; see
        `coverage.list_uncovered`.
    """

    clusters: tuple[int, ...]
    training: ExercisedCombinations
    tests: tuple[ExercisedCombinations, ...]
    uncovered: tuple[list[tuple[tuple[int, ...], int, int]], ...]

    @property
    def total(self) -> int:
        """Number of all combinations."""
        return count_combinations(self.clusters)

    def share(self, covered: int) -> float:
        """Return the coverage (IDC) of a number of covered combinations, rounded."""
        return round_figure(compute_coverage(covered, self.clusters))


def assign_regions(result: CoverageResult, images: ImageActivations) -> Rows:
    """Return the region of each important neuron for each image; uint8, shape (n, m)."""
    return find_regions(images.values[:, result.neurons], result.regions)


def find_all_combinations(result: CoverageResult) -> Combinations:
    """Find the combinations of the training images and of each test set, and uncovered ones."""
    clusters = tuple(len(regions.centroids) for regions in result.regions)
    training = find_combinations(assign_regions(result, result.training))
    tests = tuple(find_combinations(assign_regions(result, images)) for images in result.tests)
    listed = tuple(list_uncovered(test.rows, training, clusters, LISTED) for test in tests)
    return Combinations(clusters, training, tests, listed)


def count_images(exercised: ExercisedCombinations) -> dict[tuple[int, ...], int]:
    """Return the number of images of each combination."""
    return dict(zip(map(tuple, exercised.rows.tolist()), exercised.counts.tolist(), strict=True))


def order_by_size(exercised: ExercisedCombinations) -> list[int]:
    """Return the rows of combinations, those with most images first."""
    order: list[int] = np.argsort(-exercised.counts, kind="stable").tolist()
    return order


def round_figure(value: float) -> float:
    """Round a figure to the number of digits in all files of a coverage run."""
    return float(f"{value:.{DIGITS}g}")


def format_combination(row: Sequence[int]) -> str:
    """Format a combination: the region of each important neuron, counted from 1.

    Regions are separated by spaces, because a spreadsheet would read dashes as a date.
    """
    return " ".join(str(region + 1) for region in row)


def write_neurons(run: Path, neurons: Sequence[NeuronEntry]) -> None:
    """Write `neurons.csv`: one row for each region of each important neuron."""
    header = (
        "rank", "neuron", "relevance", "share", "clusters", "silhouette", "region", "centroid",
        "from", "to", "training_images", "test_images",
    )  # fmt: skip
    rows = []
    for neuron in neurons:
        borders = ["", *neuron.borders, ""]
        for region, centroid in enumerate(neuron.centroids):
            whole = (neuron.rank, neuron.neuron, neuron.relevance, neuron.share)
            score = "" if neuron.silhouette is None else neuron.silhouette
            ends = (borders[region], borders[region + 1])
            sizes = (neuron.sizes[region], neuron.inside[0][region])
            rows.append((*whole, len(neuron.sizes), score, region + 1, centroid, *ends, *sizes))
    write_csv(run / NEURONS_FILE, header, rows)


def write_combinations(run: Path, result: CoverageResult, combinations: Combinations) -> None:
    """Write `combinations.csv`: those that each test set covers, and some uncovered ones."""
    header = (
        "test_set", "combination", "covered", "images", "training_images", "differing_neurons",
        "example",
    )  # fmt: skip
    trained = count_images(combinations.training)
    rows: list[tuple[object, ...]] = []
    for name, images, exercised, missing in zip(
        result.names, result.tests, combinations.tests, combinations.uncovered, strict=True
    ):
        for place in order_by_size(exercised):
            row = tuple(exercised.rows[place].tolist())
            example = images.images[int(exercised.first[place])].path
            count = int(exercised.counts[place])
            rows.append((name, format_combination(row), 1, count, trained.get(row, 0), 0, example))
        rows += [
            (name, format_combination(row), 0, 0, training_images, differing, "")
            for row, training_images, differing in missing
        ]
    write_csv(run / COMBINATIONS_FILE, header, rows)


def write_growth(run: Path, result: CoverageResult, combinations: Combinations) -> None:
    """Write `growth.csv`: the coverage of each test set after each of its images."""
    rows = [
        (name, number, image.path, int(count), combinations.share(int(count)))
        for name, images, exercised in zip(
            result.names, result.tests, combinations.tests, strict=True
        )
        for number, (image, count) in enumerate(
            zip(images.images, count_growth(exercised), strict=True), 1
        )
    ]
    write_csv(run / GROWTH_FILE, ("test_set", "images", "path", "combinations", "coverage"), rows)


def write_criteria(run: Path, names: Sequence[str], criteria: Sequence[CriterionEntry]) -> None:
    """Write `criteria.csv`: the value of each criterion for each test set."""
    header = ("test_set", "criterion", "covered", "total", "value", "added_to_the_first")
    rows = [
        (name, row.criterion, *("" if cell is None else cell for _, cell in cells))
        for row in criteria
        for name, cells in zip(names, row.tests, strict=True)
    ]
    write_csv(run / CRITERIA_FILE, header, rows)


def write_widening(run: Path, new: ImageActivations, rows: Rows, ranked: Widening) -> None:
    """Write `widening.csv`: new images, sorted by how much they widen the first test set.

    Parameters
    ----------
    new : ImageActivations
    rows : array of uint8, shape (n, m)
        Combination of each new image.
    ranked : Widening
    """
    header = ("path", "rank", "combination", "adds", "differing_neurons", "label", "sha256")
    lines = [
        (
            new.images[image].path,
            place,
            format_combination(rows[image].tolist()),
            int(adds),
            int(differing),
            "",
            new.images[image].digest,
        )
        for place, (image, adds, differing) in enumerate(
            zip(ranked.images.tolist(), ranked.adds, ranked.differing_neurons, strict=True), 1
        )
    ]
    write_csv(run / WIDENING_FILE, header, lines)


def read_coverage(run: Path) -> CoverageDocument:
    """Read the document of a coverage run, `coverage.json`.

    Raises
    ------
    InputError
        When the file is missing or damaged.
    """
    check_replaced(run)
    return read_needed_document(run, COVERAGE_FILE, CoverageDocument, AGAIN)


def export_widening(
    run: Path, out: Path, progress: Progress, *, links: bool = False, count: int | None = None
) -> tuple[int, list[Rejected]]:
    """Export the new images that widen the test set, in the same way as the unsafe set.

    See `pipelines.unsafe_set.export`.

    Parameters
    ----------
    out : Path
        A new or empty folder.
    links : bool
        Whether to link to the images instead of copying them.
    count : int, optional
        Number of images to export, best first; if None, all images that add a combination.

    Returns
    -------
    int
        Number of images to export.
    list of Rejected
        Images to export that no longer exist, or changed since they were measured.

    Raises
    ------
    InputError
        When the run has no image that widens the test set, or `out` cannot be used.
    """
    widening = read_coverage(run).widening
    if widening is None or not widening.widening:
        raise InputError(
            f"{run} has no new images that widen the test set: "
            + (
                "none of its new images does. Measure the coverage with others."
                if widening
                else "it has no new images. Measure the coverage with --candidates."
            )
        )
    if count is not None and count < 1:
        raise InputError(f"--count: expected a number of images, 1 or more, received {count}.")
    images = Path(widening.folder)
    check_target(out, images)
    with name_damaged_file(run / WIDENING_FILE, AGAIN):
        rows = read_csv(find_file_inside(run, WIDENING_FILE))
        adding = [row["adds"] for row in rows].count("1")
        if (len(rows), adding) != (widening.widening, widening.adds):
            raise ValueError(f"it lists other images than {COVERAGE_FILE} counts")
        kept = rows[:count] if count is not None else [row for row in rows if row["adds"] == "1"]
        listed = [_exported_image(row) for row in kept]
    return len(listed), export_images(
        images, listed, out, progress, links=links, advice=MEASURE_AGAIN
    )


def _exported_image(row: dict[str, str]) -> ExportedImage:
    return ExportedImage(
        row["path"],
        f"{EXPORTED}/{row['path']}",
        {key: row[key] for key in ("path", "combination", "rank", "label")},
        row.get("sha256", ""),  # earlier versions did not write it
    )
