"""Commands that find root cause clusters in images, and tell of them."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import (
    MOST_PROBLEMS,
    Angles,
    Overwrite,
    ParameterFiles,
    RunFolder,
    UnsafeValues,
    job,
    number_option,
    print_clusters,
)
from app.numbers import COUNT, POSITIVE, SEED

if TYPE_CHECKING:
    from pipelines.clusters.explanation import Explanation


def cluster(
    out: RunFolder,
    images: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of images on which the DNN failed, failures.txt of a test, or a pair's "
            "list of inspect; read only. Left out with --test-run."
        ),
    ] = None,
    passing: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER|LIST",
            help="Images of the same test that the DNN gets right: what varies among them, too, is "
            "no cause, and they tell how often images like these fail.",
        ),
    ] = None,
    test_run: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder that `test` wrote: failing and passing images, labels and predictions by "
            "itself, in the place of IMAGES.",
        ),
    ] = None,
    sample: Annotated[
        int, number_option(COUNT, help="Passing images that are looked at, at most.")
    ] = 2000,
    groups: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN|REGEX|auto|none",
            help="Which images are of one track, drive or person: a column of a table of "
            "--parameters, or a regular expression whose first group in the path names it. auto: "
            "by the stem that names share before a frame number, else by pictures that are nearly "
            "the same. (default: auto)",
        ),
    ] = None,
    overwrite: Overwrite = False,
    recipe: Annotated[
        str,
        typer.Option(
            help="'contrast': failing images seen in contrast with passing ones (block2_pool to "
            "block4_pool, 40 components). 'appearance': by what images look like (block3_pool to "
            "block5_pool, unit length, 50 components). 'default': the same of block4_pool and "
            "block5_pool, as before there were passing images. 'paper': SAFE as printed (fc2, 256 "
            "components); downloads 528 MB. (default: contrast with passing images, else "
            "appearance)",
            show_default=False,
        ),
    ] = "",
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
        int | None, number_option(COUNT, help="Principal components. (default: the recipe's)")
    ] = None,
    min_samples: Annotated[
        int | None, number_option(COUNT, help="Of DBSCAN. (default: searched)")
    ] = None,
    eps: Annotated[
        float | None, number_option(POSITIVE, help="Of DBSCAN. (default: searched)")
    ] = None,
    seed: Annotated[
        int,
        number_option(
            SEED,
            help="Of the randomised PCA, and of the random groups that hints and parameters are "
            "tested against.",
        ),
    ] = 0,
    batch_size: Annotated[int, number_option(COUNT, help="Images the network sees at once.")] = 8,
    precision: Annotated[
        str, typer.Option(help="auto, float32 or bfloat16; auto takes what the CPU does fastest.")
    ] = "auto",
    parameters: ParameterFiles = None,
    angles: Angles = None,
    unsafe_values: UnsafeValues = None,
) -> None:
    """Find the root cause clusters of failing images, and how often images like these fail."""
    from pipelines.clusters.explanation_tables import Given
    from pipelines.safe.job import find_root_cause_clusters
    from pipelines.safe.recipe import Options

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
        passing=passing,
        test_run=test_run,
        sample=sample,
        groups=groups,
    )
    with job(
        "Features extracted so far are kept: the same command with --overwrite goes on from there."
    ) as progress:
        manifest = find_root_cause_clusters(
            images, out, options, progress=progress, command=sys.argv[1:], overwrite=overwrite
        )
    print_clusters(manifest, out)


def explain(
    run: Annotated[Path, typer.Argument(help="Run folder whose clusters are explained.")],
    parameters: ParameterFiles = None,
    angles: Angles = None,
    unsafe_values: UnsafeValues = None,
    seed: Annotated[
        int | None,
        number_option(SEED, help="Of the random groups. (default: the run's)"),
    ] = None,
) -> None:
    """Say what the images of each cluster share, once more: with parameters of the images.

    Without tables, those that were given before are used again.
    """
    from pipelines.clusters.explain import explain_run
    from pipelines.clusters.explanation_tables import Given
    from pipelines.clusters.report.report import write_report

    given = Given(tuple(parameters or ()), tuple(angles or ()), unsafe_values)
    with job("What was said before may be replaced in part: explain again.") as progress:
        explanation = explain_run(run, given, seed=seed, progress=progress)
        report = write_report(run)
    _print_explanation(explanation)
    print(f"Look at {report}; {run / 'clusters.csv'} has the words.")


def report(
    run: Annotated[Path, typer.Argument(help="Run folder to report on.")],
) -> None:
    """Write report.html anew, with names, notes and verdicts as they are now."""
    from pipelines.retraining.report import write_run_report

    with job("The report is as it was."):
        file = write_run_report(run)
    print(f"{file}: one file, to be opened in any browser, filed or printed.")


def example(
    folder: Annotated[Path, typer.Argument(help="New or empty folder for the example.")],
    seed: Annotated[int, number_option(SEED, help="Other seeds draw other eyes.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier example.")
    ] = False,
) -> None:
    """Draw the example: eye images, a small DNN trained on them, and the images it gets wrong."""
    from examples.eyes import MODEL, write_example
    from examples.sampling import ANGLES

    with job("The folder is as it was.") as progress:
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
    model, images, table, unsafe = (
        shlex.quote(str(folder / name))
        for name in (MODEL, "test", "test/parameters.csv", "test/unsafe_values.csv")
    )
    angles = " ".join(f"--angles {name}" for name in ANGLES)
    print(f"Next: python SAFE_Tool.py test {model} {images} --out TEST")
    print(
        f"Then: python SAFE_Tool.py cluster --test-run TEST --out RUN --parameters {table} "
        f"--unsafe-values {unsafe} {angles}"
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
    for note in explanation.notes:
        print(f"Note: {note}")
    problems = explanation.problems
    for problem in problems[:MOST_PROBLEMS]:
        where = f"row {problem.row}" if problem.row else "the table"
        where += f", column {problem.column}" if problem.column else ""
        print(f"{problem.file}, {where}: {problem.what}")
    more = sum(problem.count for problem in problems[MOST_PROBLEMS:])
    if more:
        print(f"and {more} more; the report lists them.")
