"""Commands that select the unsafe set, change it, and export it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from app.cli.options import MOST_PROBLEMS, TrustOption, job, number_option
from app.numbers import CLUSTER, COUNT, PART, SHARE

if TYPE_CHECKING:
    from pipelines.data.images import Rejected
    from pipelines.unsafe_set.files import Selection
    from pipelines.unsafe_set.job import Measure


def select(
    run: Annotated[Path, typer.Argument(help="Run folder of cluster; the unsafe set goes there.")],
    improvement: Annotated[
        Path, typer.Argument(help="Folder of new images, the improvement set; read only.")
    ],
    count: Annotated[
        int | None,
        number_option(
            COUNT, help="Images to choose. (default: estimated, else 10 % of the images)"
        ),
    ] = None,
    test_images: Annotated[
        int | None,
        number_option(
            COUNT,
            help="Size of the test set that the failing images come from; with --accuracy, for "
            "the papers' estimate.",
        ),
    ] = None,
    accuracy: Annotated[
        float | None,
        number_option(SHARE, help="Of the DNN under analysis on that test set: 0.93, or 93 %."),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder that test wrote, instead of both."),
    ] = None,
    selection_factor: Annotated[
        float, number_option(PART, help="Of the papers: bounds the set by a share of the test set.")
    ] = 0.3,
    allocation: Annotated[
        str,
        typer.Option(
            help="uniform: evenly over the clusters (SAFE); proportional: by their size (HUDD)."
        ),
    ] = "uniform",
    ranking: Annotated[
        str,
        typer.Option(
            help="Which images come first. contrast: those more like failing than like other new "
            "ones; distance: those nearest to a core image (SAFE, HUDD)."
        ),
    ] = "contrast",
    duplicates: Annotated[
        bool, typer.Option("--duplicates", help="Choose images that look the same, too.")
    ] = False,
    groups: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX|auto|none",
            help="Which images are of one track, drive or person: the first of each such group "
            "comes before the second of any. A regular expression whose first group in the path "
            "names it. auto: by the stem that names share before a frame number. (default: auto)",
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace an unsafe set of another folder with labels."),
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            help="New folder for copies of the chosen images, a folder a cluster, and for import "
            "files of Label Studio and COCO."
        ),
    ] = None,
    link: Annotated[
        bool, typer.Option("--link", help="Link in --export instead of copying.")
    ] = False,
    trust_model: TrustOption = False,
) -> None:
    """Select the unsafe set: which images of a folder of new ones are worth labelling."""
    from pipelines.dnn.job import read_test
    from pipelines.unsafe_set.export import check_target, export_unsafe_set
    from pipelines.unsafe_set.job import Wanted, select_unsafe_set

    if test:
        with job("Nothing was written."):
            test_images, accuracy = read_test(test)
    wanted = Wanted(
        count,
        test_images,
        accuracy,
        selection_factor,
        cast(Any, allocation),
        cast(Any, ranking),
        duplicates,
        groups,
    )
    with job("Features extracted so far are kept: the same command goes on from there.") as told:
        if export:
            check_target(export, improvement)
        found = select_unsafe_set(
            run,
            improvement,
            wanted,
            _measure_of(run, trust_model),
            progress=told,
            overwrite=overwrite,
        )
        missing = export_unsafe_set(run, export, told, links=link) if export else []
    print(f"{found.chosen:,} of {found.images:,} images are chosen ({found.counted}).")
    print(f"{found.images - found.inside:,} images belong to no cluster.")
    if found.same:
        print(f"Left out for being the same as a chosen one: {found.same:,}.")
    if found.rejected:
        print(f"Files that could not be used: {found.rejected:,}.")
    _print_unsafe_set(run, found)
    if export:
        _print_export(export, found, missing)


def recut(
    run: Annotated[Path, typer.Argument(help="Run folder whose unsafe set is cut anew.")],
    count: Annotated[
        int | None, number_option(COUNT, help="Images to choose. (default: as many as before)")
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Image to take out; repeat for several."),
    ] = None,
    without_cluster: Annotated[
        list[int] | None,
        number_option(
            CLUSTER, metavar="ID", help="Cluster to take out with all its images; repeatable."
        ),
    ] = None,
    with_: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="PATH", help="Image to take in again; repeat for several."),
    ] = None,
    with_cluster: Annotated[
        list[int] | None,
        number_option(CLUSTER, metavar="ID", help="Cluster to take in again; repeat for several."),
    ] = None,
) -> None:
    """Change the unsafe set in a moment: another number, or without some images or clusters."""
    from pipelines.unsafe_set import files

    with job("The unsafe set may be as it was: look at unsafe_set.csv."):
        found = files.recut(
            run,
            count=count,
            images=dict.fromkeys(without or (), False) | dict.fromkeys(with_ or (), True),
            clusters=dict.fromkeys(without_cluster or (), False)
            | dict.fromkeys(with_cluster or (), True),
        ).selection
    print(f"{found.chosen:,} of {found.images:,} images are chosen ({found.counted}).")
    _print_unsafe_set(run, found)


def export(
    run: Annotated[
        Path,
        typer.Argument(
            help="Run folder whose unsafe set is exported, or of coverage: the new images that "
            "widen the test set."
        ),
    ],
    folder: Annotated[Path, typer.Argument(help="New or empty folder.")],
    link: Annotated[bool, typer.Option("--link", help="Link instead of copying.")] = False,
    count: Annotated[
        int | None,
        number_option(
            COUNT, help="Of coverage: images, best first. (default: those that add a combination)"
        ),
    ] = None,
) -> None:
    """Copy the unsafe set into a folder a cluster, with import files of Label Studio and COCO.

    Of a run of coverage, copy the new images that widen the test set.
    """
    from app.cli.coverage import export_widening
    from pipelines.unsafe_set.export import export_unsafe_set
    from pipelines.unsafe_set.files import read_selection

    if _job_of(run) == "coverage":
        export_widening(run, folder, link, count)
        return
    with job("What was copied so far stays there.") as told:
        missing = export_unsafe_set(run, folder, told, links=link)
        found = read_selection(run)
    assert found is not None
    _print_export(folder, found, missing)


def _job_of(run: Path) -> str:
    """Return what made a run; empty where that cannot be read, which the job itself says."""
    from pipelines.runs.manifest import NoManifestError, read_manifest

    try:
        return read_manifest(run).job
    except NoManifestError:
        return ""


def _measure_of(run: Path, trust: bool) -> Measure:
    """Return how new images are compared with the clusters of a run: as the run's job does."""
    if _job_of(run) == "heatmaps":
        from pipelines.hudd import placement

        return partial(placement.measure, trust=trust)
    from pipelines.safe.placement import measure

    return measure


def _print_unsafe_set(run: Path, found: Selection) -> None:
    if found.deselected_clusters:
        out = ", ".join(map(str, found.deselected_clusters))
        print(f"Clusters that are taken out: {out}.")
    if found.deselected:
        print(f"Images that are taken out: {len(found.deselected):,}.")
    for note in found.remarks():
        print(f"Note: {note}")
    print(
        f"Fill the labels into {run / 'unsafe_set.csv'}; {run / 'IS_filenames.txt'} has the names."
    )


def _print_export(folder: Path, found: Selection, missing: list[Rejected]) -> None:
    for file in missing[:MOST_PROBLEMS]:
        print(f"Not exported: {file.path}: {file.reason}")
    if len(missing) > MOST_PROBLEMS:
        print(f"and {len(missing) - MOST_PROBLEMS:,} more.")
    print(
        f"{found.chosen - len(missing):,} images are in {folder}, a folder a cluster, with "
        "label_studio.json and coco.json."
    )
