"""Commands that select the unsafe set, change it, and export it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.options import job, print_left_out, take_options
from app.commands.signature import takes
from app.commands.unsafe_set import ExportOptions, RecutOptions, SelectOptions
from pipelines.runs.wording import count_of

if TYPE_CHECKING:
    from pipelines.data.images import Rejected
    from pipelines.unsafe_set.files import Selection
    from pipelines.unsafe_set.job import Measure


@takes(SelectOptions)
def select(options: SelectOptions) -> None:
    """Select the unsafe set: the new images that are worth labelling."""
    from pipelines.dnn.job import read_test
    from pipelines.unsafe_set.export import check_target, export_unsafe_set
    from pipelines.unsafe_set.job import SelectionOptions, select_unsafe_set

    run, export = options.run, options.export
    test_images, accuracy = options.test_images, options.accuracy
    if options.test:
        with job("Nothing was written."):
            test_images, accuracy = read_test(options.test)
    wanted = take_options(SelectionOptions, options, test_images=test_images, accuracy=accuracy)
    with job("Extracted features are kept: the same command continues from there.") as progress:
        if export:
            check_target(export, options.improvement)
        selection = select_unsafe_set(
            run,
            options.improvement,
            wanted,
            _measure_of(run, options.trust_model),
            progress=progress,
            overwrite=options.overwrite,
        )
        exported = export_unsafe_set(run, export, progress, links=options.link) if export else None
    print(_count_chosen(selection))
    print(f"{count_of(selection.images - selection.inside, 'image')} in no cluster.")
    if selection.same:
        print(f"Left out for being the same as a chosen one: {selection.same:,}.")
    if selection.rejected:
        print(f"Files that could not be used: {selection.rejected:,}.")
    _print_unsafe_set(run, selection)
    if export and exported:
        _print_export(export, *exported)


@takes(RecutOptions)
def recut(options: RecutOptions) -> None:
    """Change the unsafe set quickly: another number, or without some images or clusters."""
    from pipelines.unsafe_set import files

    with job("The unsafe set may be as it was: look at unsafe_set.csv."):
        selection = files.recut(
            options.run,
            count=options.count,
            images=dict.fromkeys(options.without, False) | dict.fromkeys(options.with_, True),
            clusters=dict.fromkeys(options.without_cluster, False)
            | dict.fromkeys(options.with_cluster, True),
        ).selection
    print(_count_chosen(selection))
    _print_unsafe_set(options.run, selection)


@takes(ExportOptions)
def export(options: ExportOptions) -> None:
    """Copy the unsafe set, one folder per cluster, with files for Label Studio and COCO.

    For a run of coverage, copy the new images that widen the test set.
    """
    from app.cli.coverage import export_widening
    from pipelines.unsafe_set.export import export_unsafe_set

    run, folder = options.run, options.folder
    if _job_of(run) == "coverage":
        export_widening(run, folder, options.link, options.count)
        return
    with job("What was copied so far stays there.") as progress:
        count, missing = export_unsafe_set(run, folder, progress, links=options.link)
    _print_export(folder, count, missing)


def _job_of(run: Path) -> str:
    """Return the job of a run; empty if it cannot be read (the command then says so)."""
    from pipelines.runs.manifest import NoManifestError, read_manifest

    try:
        return read_manifest(run).job
    except NoManifestError:
        return ""


def _measure_of(run: Path, trust: bool) -> Measure:
    """Return the function that compares new images with a run's clusters; it depends on the job."""
    if _job_of(run) == "heatmaps":
        from pipelines.hudd import placement

        return partial(placement.measure, trust=trust)
    from pipelines.safe.placement import measure

    return measure


def _count_chosen(selection: Selection) -> str:
    chosen = f"{selection.chosen:,} of {count_of(selection.images, 'image')} chosen"
    return f"{chosen} ({selection.describe_count()})."


def _print_unsafe_set(run: Path, selection: Selection) -> None:
    if selection.deselected_clusters:
        out = ", ".join(map(str, selection.deselected_clusters))
        print(f"Clusters that are taken out: {out}.")
    if selection.deselected:
        print(f"Images that are taken out: {len(selection.deselected):,}.")
    for note in selection.remarks():
        print(f"Note: {note}")
    print(
        f"Fill the labels into {run / 'unsafe_set.csv'}; {run / 'IS_filenames.txt'} has the names."
    )


def _print_export(folder: Path, count: int, missing: list[Rejected]) -> None:
    print_left_out(missing, "Not exported")
    print(
        f"{count_of(count - len(missing), 'image')} in {folder}, a folder a cluster, with "
        "label_studio.json and coco.json."
    )
