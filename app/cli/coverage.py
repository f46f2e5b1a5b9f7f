"""Commands on how well a test set exercises a DNN, and test sets to check that with."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.options import job, print_left_out, print_rest, take_options, take_start
from app.commands.coverage import CoverageOptions, PerturbOptions
from app.commands.signature import takes
from pipelines.runs.wording import count_of

if TYPE_CHECKING:
    from pipelines.deepimportance.entries import CriterionCell


@takes(CoverageOptions)
def coverage(options: CoverageOptions) -> None:
    """Measure how well test sets exercise the neurons that decide (DeepImportance)."""
    from pipelines.deepimportance.job import Options, measure_coverage
    from pipelines.deepimportance.results import COMBINATIONS_FILE, CRITERIA_FILE

    wanted = take_options(Options, options, trust=options.trust_model)
    with job() as progress:
        manifest = measure_coverage(
            options.model,
            options.training,
            options.test,
            options.out,
            wanted,
            **take_start(options, progress),
        )
    _print_coverage(options.out)
    print_rest(manifest, options.out)
    files = " and ".join(str(options.out / name) for name in (COMBINATIONS_FILE, CRITERIA_FILE))
    print(f"Look at {files}, or at the page.")


@takes(PerturbOptions)
def perturb(options: PerturbOptions) -> None:
    """Make a noisy or adversarial copy of a test set, to check coverage criteria."""
    from pipelines.data.images import Rejected
    from pipelines.deepimportance.manifest import PerturbFigures
    from pipelines.deepimportance.perturbation_job import ATTACKS, Options, perturb_images
    from pipelines.runs.files import read_pairs
    from pipelines.runs.folder import REJECTED_FILE
    from pipelines.runs.manifest import read_part

    wanted = take_options(Options, options, trust=options.trust_model)
    with job() as progress:
        manifest = perturb_images(
            options.model, options.images, options.out, wanted, **take_start(options, progress)
        )
    copies = read_part(manifest, PerturbFigures)
    print(f"{count_of(copies.images, 'image')} in {options.out}, at the size of the model's input.")
    if copies.labels:
        print(f"Their labels are those of the originals ({copies.labels}).")
    if copies.unchanged:
        why = "--strength is too small to change a pixel"
        if options.how in ATTACKS:
            why = f"the model's gradient is 0 for them, or {why}"
        print(f"Note: {count_of(copies.unchanged, 'image')} as before: {why}.")
    for note in manifest.notes:
        print(f"Note: {note}")
    rejected = read_pairs(options.out / REJECTED_FILE).items()
    print_left_out([Rejected(path, reason) for path, reason in rejected], "Not used")


def export_widening(run: Path, folder: Path, link: bool, count: int | None) -> None:
    """Export the new images that widen a test set, as `export` does for a run of coverage."""
    from pipelines.deepimportance.results import EXPORTED
    from pipelines.deepimportance.results import export_widening as export

    with job("What was copied so far stays there.") as progress:
        wanted, missing = export(run, folder, progress, links=link, count=count)
    print_left_out(missing, "Not exported")
    print(
        f"{count_of(wanted - len(missing), 'image')} {'linked' if link else 'copied'} to "
        f"{folder / EXPORTED}, with "
        "label_studio.json and coco.json beside them."
    )


def _print_coverage(out: Path) -> None:
    from pipelines.deepimportance.results import read_coverage

    results = read_coverage(out)
    names = [test.name for test in results.tests]
    regions = " x ".join(str(len(neuron.centroids)) for neuron in results.neurons)
    print(
        f"Neurons of {results.layer} that decide: {len(results.neurons):,}, with {regions} "
        f"regions, {_large(results.combinations)}."
    )
    for test in results.tests:
        print(
            f"{test.name}: {test.covered:,} of them covered by "
            f"{count_of(test.images, 'image')} ({test.coverage:.1%}), "
            f"{test.alone:,} of them by one image alone; training images cover "
            f"{test.trained_uncovered:,} more."
        )
    columns = [
        (name, [_share(row.tests[i]) for row in results.criteria]) for i, name in enumerate(names)
    ]
    print("criterion", *(f"{name:>7}" for name in names), sep="  ")
    for place, row in enumerate(results.criteria):
        cells = (f"{shares[place]:>{max(7, len(name))}}" for name, shares in columns)
        print(f"{row.criterion:<9}", *cells, sep="  ")
    if new := results.widening:
        print(
            f"New images that add a combination each to {names[0]}: {new.adds:,} of "
            f"{new.images:,}. With them, coverage is {new.coverage:.1%}. See widening.csv; "
            f"export {out} DIR copies them."
        )


def _large(number: str) -> str:
    if len(number) < 13:
        return count_of(int(number), "combination")
    return f"{Decimal(number):.2g} combinations"


def _share(cell: CriterionCell) -> str:
    return "n/a" if cell.value is None else f"{cell.value:.1%}"
