"""The document of a coverage run, `coverage.json`: everything that the page shows of the run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Bools
from pipelines.data.images import ImageFile
from pipelines.data.prefetch import prefetch
from pipelines.data.thumbnails import (
    DECODED_AHEAD,
    THUMBNAIL_FOLDER,
    draw_thumbnail,
    thumbnail_name,
)
from pipelines.deepimportance.coverage import (
    ExercisedCombinations,
    compute_expected_growth,
    count_growth,
    find_combinations,
    find_contributors,
)
from pipelines.deepimportance.entries import (
    CoverageDocument,
    CoveredEntry,
    CriterionCell,
    CriterionEntry,
    LoneEntry,
    NeuronEntry,
    NewImageEntry,
    TestSetEntry,
    TrainingEntry,
    UncoveredEntry,
    WideningEntry,
)
from pipelines.deepimportance.manifest import CoverageFigures
from pipelines.deepimportance.measurement import ImageActivations
from pipelines.deepimportance.quantisation import find_regions
from pipelines.deepimportance.results import (
    COVERAGE_FILE,
    CRITERIA,
    IDC,
    Combinations,
    CoverageResult,
    assign_regions,
    count_images,
    find_all_combinations,
    format_combination,
    order_by_size,
    round_figure,
    write_combinations,
    write_criteria,
    write_growth,
    write_neurons,
    write_widening,
)
from pipelines.deepimportance.widening import rank_new_images
from pipelines.runs.files import as_text, write_text
from pipelines.runs.folder import Progress

BINS = 40
SHOWN = 100
"""Largest number of rows of a table, and of images, that the page shows."""
POINTS = 200
"""Number of points of the curve of expected growth."""
EXACT = 9
"""Significant digits that distinguish any two float32 activations."""


@dataclass
class _Thumbnails:
    """The images whose thumbnails will be drawn, without duplicates."""

    wanted: dict[str, tuple[Path, ImageFile]]

    def add(self, images: ImageActivations, place: int) -> str:
        """Add an image; return the path of its thumbnail in the run folder."""
        image = images.images[place]
        name = thumbnail_name(image.digest)
        self.wanted.setdefault(name, (images.folder, image))
        return f"{THUMBNAIL_FOLDER}/{name}"

    def draw(self, run: Path, progress: Progress, stage: str) -> None:
        """Draw all thumbnails; an image that can no longer be read gets none."""
        (run / THUMBNAIL_FOLDER).mkdir(exist_ok=True)
        drawn = prefetch(
            lambda item: draw_thumbnail(*item, run), self.wanted.values(), DECODED_AHEAD
        )
        for done, _ in enumerate(drawn, 1):
            progress(stage, done, len(self.wanted))


def write_coverage(
    run: Path, result: CoverageResult, progress: Progress, stage: str
) -> CoverageFigures:
    """Write all files of a coverage run, and return the result for `run.json`.

    Returns
    -------
    CoverageFigures
    """
    combinations = find_all_combinations(result)
    thumbnails = _Thumbnails({})
    covered = len(combinations.training.rows)
    document = CoverageDocument(
        schema_version=1,
        layer=result.layer,
        neurons_of_layer=len(result.relevance),
        combinations=str(combinations.total),
        training=TrainingEntry(
            images=len(result.training.images),
            folder=_place(result.training),
            covered=covered,
            coverage=combinations.share(covered),
        ),
        neurons=_neurons(result),
        tests=[
            _test(result, combinations, place, thumbnails) for place in range(len(result.tests))
        ],
        criteria=_criteria(result, combinations),
        widening=None,
    )
    write_neurons(run, document.neurons)
    write_combinations(run, result, combinations)
    write_growth(run, result, combinations)
    write_criteria(run, result.names, document.criteria)
    figures = _count_first(result, combinations)
    if result.new is not None:
        widening = _widen(run, result, result.new, combinations, thumbnails)
        document = document.model_copy(update={"widening": widening})
        of_new = {"new_images": widening.images, "new_combinations": widening.adds}
        figures = figures.model_copy(update=of_new)
    text = json.dumps(document.model_dump(), ensure_ascii=False, indent=1)
    write_text(run / COVERAGE_FILE, text + "\n")
    thumbnails.draw(run, progress, stage)
    return figures


def _count_first(result: CoverageResult, combinations: Combinations) -> CoverageFigures:
    """Return the result for `run.json`: that of the first test set."""
    total, covered = combinations.total, len(combinations.tests[0].rows)
    return CoverageFigures(
        combinations=total if total < 2**53 else str(total),
        covered=covered,
        coverage=combinations.share(covered),
        images=len(result.tests[0].images),
        training_images=len(result.training.images),
    )


def _activation(value: float) -> float:
    return float(f"{value:.{EXACT}g}")


def _place(images: ImageActivations) -> str:
    """Return the absolute folder of images, which does not depend on the current directory."""
    return as_text(images.folder.resolve())


def _neurons(result: CoverageResult) -> list[NeuronEntry]:
    """Describe each important neuron: its regions, and how many images of each set they hold."""
    positive = float(np.maximum(result.relevance, 0).sum()) or 1.0
    rows = []
    for place, (neuron, regions) in enumerate(
        zip(result.neurons.tolist(), result.regions, strict=True)
    ):
        sets = [images.values[:, neuron] for images in (result.training, *result.tests)]
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
        relevance = float(result.relevance[neuron])
        rows.append(
            NeuronEntry(
                rank=place + 1,
                neuron=neuron,
                relevance=round_figure(relevance),
                share=round(relevance / positive, 4),
                silhouette=None if regions.silhouette is None else round(regions.silhouette, 4),
                centroids=[_activation(centre) for centre in regions.centroids.tolist()],
                borders=[_activation(border) for border in regions.borders().tolist()],
                sizes=regions.sizes.tolist(),
                low=_activation(float(edges[0])),
                high=_activation(float(edges[-1])),
                training=counts[0],
                tests=counts[1:],
                inside=[numbers.tolist() for numbers in inside],
            )
        )
    return rows


def _test(
    result: CoverageResult, combinations: Combinations, place: int, thumbnails: _Thumbnails
) -> TestSetEntry:
    """Describe what one test set covers, and what it does not cover."""
    images, exercised = result.tests[place], combinations.tests[place]
    accuracy = result.accuracies[place]
    trained = count_images(combinations.training)
    grown = count_growth(exercised)
    steps = np.flatnonzero(np.diff(grown, prepend=0))
    sizes = sorted({round(size) for size in np.linspace(1, len(grown), POINTS).tolist()})
    expected = compute_expected_growth(exercised.counts, sizes)
    alone = find_contributors(exercised)
    return TestSetEntry(
        name=result.names[place],
        folder=_place(images),
        images=len(images.images),
        accuracy=None if accuracy is None else round(accuracy, 4),
        covered=len(exercised.rows),
        coverage=combinations.share(len(exercised.rows)),
        trained_uncovered=len(trained.keys() - count_images(exercised).keys()),
        growth=[(int(step) + 1, int(grown[step])) for step in _thin(steps)],
        expected=[(s, round(e, 2)) for s, e in zip(sizes, expected, strict=True)],
        table=_covered(images, exercised, trained, thumbnails),
        missing=_missing(result, combinations, place, thumbnails),
        alone=len(alone),
        contributors=[
            LoneEntry(
                path=images.images[image].path,
                combination=format_combination(exercised.rows[exercised.of_image[image]].tolist()),
                thumbnail=thumbnails.add(images, image),
            )
            for image in alone[:SHOWN].tolist()
        ],
    )


def _covered(
    images: ImageActivations,
    exercised: ExercisedCombinations,
    trained: dict[tuple[int, ...], int],
    thumbnails: _Thumbnails,
) -> list[CoveredEntry]:
    """Describe the combinations with most test images, with their number of training images."""
    rows = []
    for row in order_by_size(exercised)[:SHOWN]:
        combination = tuple(exercised.rows[row].tolist())
        example = int(exercised.first[row])
        rows.append(
            CoveredEntry(
                combination=format_combination(combination),
                images=int(exercised.counts[row]),
                training=trained.get(combination, 0),
                example=images.images[example].path,
                thumbnail=thumbnails.add(images, example),
            )
        )
    return rows


def _missing(
    result: CoverageResult, combinations: Combinations, place: int, thumbnails: _Thumbnails
) -> list[UncoveredEntry]:
    """Describe combinations that a test set does not cover, with a training image for each."""
    training = combinations.training
    first = dict(zip(map(tuple, training.rows.tolist()), training.first.tolist(), strict=True))
    images = result.training
    rows = []
    for combination, training_images, differing in combinations.uncovered[place][:SHOWN]:
        example = first.get(combination)
        rows.append(
            UncoveredEntry(
                combination=format_combination(combination),
                training=training_images,
                differing=differing,
                example="" if example is None else images.images[example].path,
                thumbnail=None if example is None else thumbnails.add(images, example),
            )
        )
    return rows


def _thin(steps: NDArray[np.intp]) -> list[int]:
    """Reduce the steps of a curve to as many as can be drawn; keep the first and the last."""
    most = 5 * POINTS
    if len(steps) > most:
        steps = steps[np.linspace(0, len(steps) - 1, most).astype(np.intp)]
    kept: list[int] = steps.tolist()
    return kept


def _criteria(result: CoverageResult, combinations: Combinations) -> list[CriterionEntry]:
    """Describe each criterion for each test set, and for the first one with each other added."""
    first = combinations.tests[0].rows
    union = [
        len(find_combinations(np.concatenate([first, test.rows])).rows)
        for test in combinations.tests
    ]
    table: list[CriterionEntry] = []
    for criterion in CRITERIA:
        cells = []
        for place, images in enumerate(result.tests):
            counts: tuple[int, int, int | None] | None
            if criterion == IDC:
                covered = len(combinations.tests[place].rows)
                counts = covered, combinations.total, union[place]
            else:
                counts = _count(images.covered.get(criterion), result.tests[0].covered[criterion])
            cell = CriterionCell()
            if counts is not None:
                one, whole, both = counts
                cell = CriterionCell(
                    covered=one,
                    total=str(whole),
                    value=round_figure(one / whole),
                    added=round_figure(both / whole) if place and both is not None else None,
                )
            cells.append(cell)
        table.append(CriterionEntry(criterion=criterion, tests=cells))
    return table


def _count(bits: Bools | None, first: Bools | None) -> tuple[int, int, int | None] | None:
    if bits is None:
        return None
    both = None if first is None else int((bits | first).sum())
    return int(bits.sum()), len(bits), both


def _widen(
    run: Path,
    result: CoverageResult,
    new: ImageActivations,
    combinations: Combinations,
    thumbnails: _Thumbnails,
) -> WideningEntry:
    """Rank the new images, write the table of them, and describe the best ones."""
    exercised = combinations.tests[0]
    rows = assign_regions(result, new)
    ranked = rank_new_images(new.values[:, result.neurons], rows, exercised.rows, result.regions)
    same = count_images(find_combinations(rows))
    write_widening(run, new, rows, ranked)
    after = len(exercised.rows) + int(ranked.adds.sum())
    return WideningEntry(
        folder=_place(new),
        images=len(new.images),
        adds=int(ranked.adds.sum()),
        widening=len(ranked.images),
        covered=after,
        coverage=combinations.share(after),
        rows=[
            NewImageEntry(
                path=new.images[image].path,
                combination=format_combination(rows[image].tolist()),
                adds=bool(adds),
                differing=int(differing),
                same=same[tuple(rows[image].tolist())],
                thumbnail=thumbnails.add(new, image),
            )
            for image, adds, differing in zip(
                ranked.images[:SHOWN].tolist(), ranked.adds, ranked.differing_neurons, strict=False
            )
        ],
    )
