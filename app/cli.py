"""The command line: one command a job, a progress bar while it works, a summary at the end."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from app.endings import ERROR, STOPPED

if TYPE_CHECKING:
    from pipelines.explanation import Explanation
    from pipelines.images import Rejected
    from pipelines.runs import Manifest, Progress
    from pipelines.selecting import Measure
    from pipelines.selection_files import Selection

app = typer.Typer(
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="SAFE: safety analysis and retraining of vision DNNs. Without a command: the page.",
)
RUNS = Path("runs")
MOST_PROBLEMS = 5
ParameterFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--parameters",
        metavar="CSV",
        help="CSV file of parameters of the images, first column the relative path; repeat for "
        "several. Columns label and prediction give confusions.",
    ),
]
Angles = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Parameter that is an angle in degrees; repeat for several."),
]
UnsafeValues = Annotated[
    Path | None,
    typer.Option(
        metavar="CSV",
        help="CSV file of parameter, value and side (near, at most, at least): where failures are "
        "likely.",
    ),
]
ModelFile = Annotated[
    Path, typer.Argument(help="Keras model file of the DNN under analysis (.keras, .h5).")
]
ScalingOption = Annotated[
    str | None,
    typer.Option(
        help="How pixels go into the model: none (0 to 255), 0-1, -1-1, caffe or torch. (default: "
        "none for a model that rescales them itself; else it must be given)"
    ),
]
TrustOption = Annotated[
    bool,
    typer.Option("--trust-model", help="Run code that the model file holds (Lambda layers)."),
]
FailingImages = Annotated[
    Path,
    typer.Argument(
        help="Folder of images on which the DNN failed, or failures.txt of a test; read only."
    ),
]
RunFolder = Annotated[Path, typer.Option(help="Run folder to write: new, or empty.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the run that --out holds.")]
LARGEST_SEED = 2**32 - 1


@app.callback()
def page(
    context: typer.Context,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Of the page. (default: a free one)")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder for the runs made on the page.")] = RUNS,
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to listen on, so that other machines reach the page; needs --auth and "
            "--root. (default: this machine alone)"
        ),
    ] = None,
    auth: Annotated[
        str | None,
        typer.Option(
            metavar="USER:PASSWORD-FILE",
            help="Ask for a login; the password is the file's first line.",
        ),
    ] = None,
    root: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR", help="Folder that the page may use; repeat for several. (default: all)"
        ),
    ] = None,
    browser: Annotated[
        bool | None,
        typer.Option(help="Open the page in a browser. (default: where there is a screen)"),
    ] = None,
) -> None:
    """Serve the page; with a command, do one job instead."""
    if context.invoked_subcommand is not None:
        return
    from pipelines.errors import InputError

    try:
        from app.access import check_access, clean_environment

        granted = check_access(host, auth, root or [])
        clean_environment()
        from app import gui

        gui.launch(granted, port, runs, gui.has_screen() if browser is None else browser)
    except (InputError, OSError) as error:
        print(f"{ERROR}{error}", file=sys.stderr)
        raise typer.Exit(1) from None


@app.command()
def cluster(
    images: FailingImages,
    out: RunFolder,
    overwrite: Overwrite = False,
    recipe: Annotated[
        str,
        typer.Option(
            help="'default': average-pooled block4_pool and block5_pool, unit length, 50 "
            "components. 'paper': SAFE as printed (fc2, 256 components); downloads 528 MB."
        ),
    ] = "default",
    weights: Annotated[
        Path | None, typer.Option(help="Keras weights file of VGG16. (default: ImageNet's)")
    ] = None,
    layer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Layer of VGG16; repeat for several. (default: the recipe's)"
        ),
    ] = None,
    components: Annotated[
        int | None, typer.Option(min=1, help="Principal components. (default: the recipe's)")
    ] = None,
    min_samples: Annotated[
        int | None, typer.Option(min=1, help="Of DBSCAN. (default: searched)")
    ] = None,
    eps: Annotated[float | None, typer.Option(help="Of DBSCAN. (default: searched)")] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            max=LARGEST_SEED,
            help="Of the randomised PCA, and of the random groups that hints and parameters are "
            "tested against.",
        ),
    ] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Images the network sees at once.")] = 8,
    precision: Annotated[
        str, typer.Option(help="auto, float32 or bfloat16; auto takes what the CPU does fastest.")
    ] = "auto",
    parameters: ParameterFiles = None,
    angles: Angles = None,
    unsafe_values: UnsafeValues = None,
) -> None:
    """Find the root cause clusters of a folder of failing images."""
    from pipelines.explaining import Given
    from pipelines.safe.job import Options, find_root_cause_clusters

    options = Options(
        recipe=recipe,
        weights=weights,
        layers=tuple(layer or ()),
        components=components,
        min_samples=min_samples,
        eps=eps,
        seed=seed,
        batch_size=batch_size,
        precision=precision,
        given=Given(tuple(parameters or ()), tuple(angles or ()), unsafe_values),
    )
    with _job(
        "Features extracted so far are kept: the same command with --overwrite goes on from there."
    ) as progress:
        manifest = find_root_cause_clusters(
            images, out, options, progress=progress, command=sys.argv[1:], overwrite=overwrite
        )
    _print_clusters(manifest, out)


@app.command()
def explain(
    run: Annotated[Path, typer.Argument(help="Run folder whose clusters are explained.")],
    parameters: ParameterFiles = None,
    angles: Angles = None,
    unsafe_values: UnsafeValues = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=LARGEST_SEED, help="Of the random groups. (default: the run's)"),
    ] = None,
) -> None:
    """Say what the images of each cluster share, once more: with parameters of the images.

    Without tables, those that were given before are used again.
    """
    from pipelines.explaining import Given, explain_run
    from pipelines.report import write_report

    given = Given(tuple(parameters or ()), tuple(angles or ()), unsafe_values)
    with _job("What was said before may be replaced in part: explain again.") as progress:
        explanation = explain_run(run, given, seed=seed, progress=progress)
        report = write_report(run)
    _print_explanation(explanation)
    print(f"Look at {report}; {run / 'clusters.csv'} has the words.")


@app.command()
def select(
    run: Annotated[Path, typer.Argument(help="Run folder of cluster; the unsafe set goes there.")],
    improvement: Annotated[
        Path, typer.Argument(help="Folder of new images, the improvement set; read only.")
    ],
    count: Annotated[
        int | None,
        typer.Option(help="Images to choose. (default: estimated, else 10 % of the images)"),
    ] = None,
    test_images: Annotated[
        int | None,
        typer.Option(
            help="Size of the test set that the failing images come from; with --accuracy, for "
            "the papers' estimate."
        ),
    ] = None,
    accuracy: Annotated[
        float | None, typer.Option(help="Of the DNN under analysis on that test set, 0 to 1.")
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder that test wrote, instead of both."),
    ] = None,
    selection_factor: Annotated[
        float, typer.Option(help="Of the papers: bounds the set by a share of the test set.")
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
    from pipelines.export import check_target, export_unsafe_set
    from pipelines.selecting import Wanted, select_unsafe_set
    from pipelines.testing_job import read_test

    if test:
        with _job("Nothing was written."):
            test_images, accuracy = read_test(test)
    wanted = Wanted(
        count,
        test_images,
        accuracy,
        selection_factor,
        cast(Any, allocation),
        cast(Any, ranking),
        duplicates,
    )
    with _job("Features extracted so far are kept: the same command goes on from there.") as told:
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


@app.command(name="test")
def test_command(
    model: ModelFile,
    images: Annotated[
        Path,
        typer.Argument(help="Folder of labelled images: class folders, or labels.csv; read only."),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write: new, or empty.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the test that --out holds.")
    ] = False,
    scaling: ScalingOption = None,
    classes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Names of the classes, one a line, in the order of the model's outputs. "
            "(default: sorted)",
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="What the model predicts: classes (one an image), several (labels), or numbers. "
            "(default: as labels and model tell)"
        ),
    ] = None,
    error_threshold: Annotated[
        float | None,
        typer.Option(
            help="Of numbers: mean error (of key points: mean distance) above which an image "
            "counts as failed."
        ),
    ] = None,
    key_points: Annotated[
        bool,
        typer.Option(
            "--key-points",
            help="The numbers are places, x and y by turns. (default: if they are named so)",
        ),
    ] = False,
    trust_model: TrustOption = False,
) -> None:
    """Test a DNN on labelled images, and list those that it gets wrong."""
    from pipelines.testing_job import FAILURES_FILE, Asked, test_model

    asked = Asked(scaling, trust_model, classes, task, error_threshold, key_points)
    with _job("Nothing was written; start again with --overwrite.") as told:
        manifest = test_model(
            model, images, out, asked, progress=told, command=sys.argv[1:], overwrite=overwrite
        )
    found = manifest.result
    print(
        f"The DNN is right on {found['accuracy']:.1%} of {found['images']:,} images (95 % "
        f"interval {found['accuracy_low']:.1%} to {found['accuracy_high']:.1%})."
    )
    if manifest.images.rejected:
        print(
            f"Files that could not be used: {manifest.images.rejected:,}, see "
            f"{out / 'rejected.txt'}"
        )
    for note in manifest.notes:
        print(f"Note: {note}")
    if not found["failures"]:
        print("It gets none of them wrong: there are no failures to look at.")
        return
    failures = out / FAILURES_FILE
    print(f"The {found['failures']:,} images that it gets wrong are listed in {failures}.")
    print(f"Next: python SAFE_Tool.py cluster {failures} --out RUN")


@app.command()
def heatmaps(
    model: ModelFile,
    images: FailingImages,
    out: RunFolder,
    overwrite: Overwrite = False,
    scaling: ScalingOption = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(
            "--layers", metavar="NAME", help="Layer to search; repeat for several. (default: all)"
        ),
    ] = None,
    rule: Annotated[
        str, typer.Option(help="Of relevance: z+ (HUDD's), epsilon or alpha-beta.")
    ] = "z+",
    explain: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS",
            help="Class (or position of an output) whose relevance is looked at. (default: the "
            "predicted one; of numbers and several labels, the one most wrong in the test)",
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            max=LARGEST_SEED,
            help="Of the random groups that hints and parameters are tested against.",
        ),
    ] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Images the DNN sees at once.")] = 16,
    trust_model: TrustOption = False,
    parameters: ParameterFiles = None,
    angles: Angles = None,
    unsafe_values: UnsafeValues = None,
) -> None:
    """Find root cause clusters by what drove the DNN: the heatmaps of its layers (HUDD)."""
    from pipelines.explaining import Given
    from pipelines.hudd.job import Options, find_clusters_by_heatmaps

    options = Options(
        scaling=scaling,
        trust=trust_model,
        layers=tuple(layers or ()),
        rule=rule,
        explain=explain,
        seed=seed,
        batch_size=batch_size,
        given=Given(tuple(parameters or ()), tuple(angles or ()), unsafe_values),
    )
    with _job("Nothing was written; start again with --overwrite.") as told:
        manifest = find_clusters_by_heatmaps(
            model, images, out, options, progress=told, command=sys.argv[1:], overwrite=overwrite
        )
    print(f"Clustered by the heatmaps of {manifest.chosen['layer']}, see {out / 'layers.csv'}.")
    _print_clusters(manifest, out)


@app.command()
def recut(
    run: Annotated[Path, typer.Argument(help="Run folder whose unsafe set is cut anew.")],
    count: Annotated[
        int | None, typer.Option(help="Images to choose. (default: as many as before)")
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Image to take out; repeat for several."),
    ] = None,
    without_cluster: Annotated[
        list[int] | None,
        typer.Option(metavar="ID", help="Cluster to take out with all its images; repeatable."),
    ] = None,
    with_: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="PATH", help="Image to take in again; repeat for several."),
    ] = None,
    with_cluster: Annotated[
        list[int] | None,
        typer.Option(metavar="ID", help="Cluster to take in again; repeat for several."),
    ] = None,
) -> None:
    """Change the unsafe set in a moment: another number, or without some images or clusters."""
    from pipelines import selection_files

    with _job("The unsafe set may be as it was: look at unsafe_set.csv."):
        found = selection_files.recut(
            run,
            count=count,
            images=dict.fromkeys(without or (), False) | dict.fromkeys(with_ or (), True),
            clusters=dict.fromkeys(without_cluster or (), False)
            | dict.fromkeys(with_cluster or (), True),
        ).selection
    print(f"{found.chosen:,} of {found.images:,} images are chosen ({found.counted}).")
    _print_unsafe_set(run, found)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Run folder whose unsafe set is exported.")],
    folder: Annotated[Path, typer.Argument(help="New or empty folder.")],
    link: Annotated[bool, typer.Option("--link", help="Link instead of copying.")] = False,
) -> None:
    """Copy the unsafe set into a folder a cluster, with import files of Label Studio and COCO."""
    from pipelines.export import export_unsafe_set
    from pipelines.selection_files import read_selection

    with _job("What was copied so far stays there.") as told:
        missing = export_unsafe_set(run, folder, told, links=link)
        found = read_selection(run)
    assert found is not None
    _print_export(folder, found, missing)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Run folder to report on.")],
) -> None:
    """Write report.html anew, with names, notes and verdicts as they are now."""
    from pipelines.report import write_report

    with _job("The report is as it was."):
        file = write_report(run)
    print(f"{file}: one file, to be opened in any browser, filed or printed.")


@app.command()
def example(
    folder: Annotated[Path, typer.Argument(help="New or empty folder for the example.")],
    seed: Annotated[
        int, typer.Option(min=0, max=LARGEST_SEED, help="Other seeds draw other eyes.")
    ] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier example.")
    ] = False,
) -> None:
    """Draw the example: eye images, a small DNN trained on them, and the images it gets wrong."""
    from examples.eyes import write_example

    with _job("The folder is as it was.") as progress:
        summary = write_example(folder, seed=seed, progress=progress, overwrite=overwrite)
    print(
        f"{summary.train} training, {summary.test} test and {summary.improvement} improvement "
        "images."
    )
    print(
        f"The DNN is right on {summary.train_accuracy:.1%} of the training and "
        f"{summary.test_accuracy:.1%} of the test images; the {summary.failures} it gets wrong are "
        f"in {folder / 'failures'}."
    )
    print(f"Next: python SAFE_Tool.py cluster {folder / 'failures'} --out RUN")


def _measure_of(run: Path, trust: bool) -> Measure:
    """Return how new images are compared with the clusters of a run: as the run's job does."""
    from pipelines.runs import NoManifestError, read_manifest

    try:
        by_heatmaps = read_manifest(run).job == "heatmaps"
    except NoManifestError:
        by_heatmaps = False  # selecting says what is wrong
    if by_heatmaps:
        from pipelines.hudd import selecting

        return partial(selecting.measure, trust=trust)
    from pipelines.safe.selecting import measure

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


def _print_explanation(explanation: Explanation) -> None:
    clusters = explanation.clusters.values()
    hinted = sum(1 for each in clusters if each.hints)
    print(f"{hinted} of {len(clusters)} clusters have hints from their pixels.")
    if explanation.parameters:
        named = sum(1 for each in clusters if each.parameters)
        print(
            f"{named} share a parameter beyond chance; {explanation.images_with_parameters} images "
            "have parameters."
        )
    met = [each for each in explanation.unsafe_values if each.images]
    if explanation.unsafe_values:
        covered = sum(1 for each in met if each.clusters)
        print(f"{covered} of {len(met)} unsafe values that failing images lie next to are covered.")
    problems = explanation.problems
    for problem in problems[:MOST_PROBLEMS]:
        where = f"row {problem.row}" if problem.row else "the table"
        where += f", column {problem.column}" if problem.column else ""
        print(f"{problem.file}, {where}: {problem.what}")
    more = sum(problem.count for problem in problems[MOST_PROBLEMS:])
    if more:
        print(f"and {more} more; the report lists them.")


def _print_clusters(manifest: Manifest, out: Path) -> None:
    result, counts = manifest.result, manifest.images
    print(
        f"{result['clusters']} root cause clusters of {counts.used} images; "
        f"{result['noise']} images ({result['noise_share']:.0%}) are noise."
    )
    if result["clusters"]:
        print(
            f"Five images of each cluster are {result['inspection_share']:.0%} of all images, "
            f"of each of {result['families']} families {result['family_inspection_share']:.0%}."
        )
    if counts.rejected:
        print(f"Files that could not be used: {counts.rejected}, see {out / 'rejected.txt'}")
    for note in manifest.notes:
        print(f"Note: {note}")
    print(f"Look at {out / 'report.html'} first, and at {out / 'gifs'}.")


@contextmanager
def _job(again: str) -> Iterator[Progress]:
    """Run a job with progress bars; SIGTERM ends it as Ctrl-C does; input errors take one line.

    `again` tells who stopped the job how to go on.
    """
    from pipelines.errors import InputError

    asked = False

    def stop(number: int, frame: object) -> None:
        nonlocal asked
        asked = True
        raise KeyboardInterrupt

    def heard(stage: str, done: int, total: int) -> None:
        if asked:  # a library swallowed the interrupt
            raise KeyboardInterrupt
        bars(stage, done, total)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        with _bars() as bars:
            yield heard
    except KeyboardInterrupt:
        print("Stopped.", again)
        raise typer.Exit(STOPPED) from None
    except InputError as error:
        print(f"{ERROR}{error}", file=sys.stderr)
        raise typer.Exit(1) from None
    except OSError as error:  # a full disk, a folder that may not be read
        print(f"{ERROR}{error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        raise typer.Exit(1) from None


@contextmanager
def _bars() -> Iterator[Progress]:
    import threading

    from tqdm import tqdm

    # Its own lock imports multiprocessing in the middle of a job, where an interrupt can leave
    # Python's import lock taken.
    tqdm.set_lock(threading.RLock())
    bar: tqdm[None] | None = None
    stage_now = ""

    def progress(stage: str, done: int, total: int) -> None:
        nonlocal bar, stage_now
        if stage != stage_now:
            if bar is not None:
                bar.close()
            bar, stage_now = None, stage
        if total and bar is None:
            pause = 0.1 if sys.stderr.isatty() else 5.0  # a log file gets a few lines
            bar = tqdm(desc=stage[0].upper() + stage[1:], total=total, mininterval=pause)
        if bar is not None:
            bar.update(done - bar.n)

    try:
        yield progress
    finally:
        if bar is not None:
            bar.close()
