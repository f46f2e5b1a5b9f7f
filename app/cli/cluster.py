"""Commands that find root cause clusters in images, explain them and report on them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from app.cli.options import (
    MOST_PROBLEMS,
    job,
    print_clusters,
    take_options,
    take_start,
    take_tables,
)
from app.commands.cluster import ClusterOptions, ExampleOptions, ExplainOptions, ReportOptions
from app.commands.signature import takes
from pipelines.runs.wording import count_of

if TYPE_CHECKING:
    from pipelines.clusters.explanation import Explanation


@takes(ClusterOptions)
def cluster(options: ClusterOptions) -> None:
    """Find the root cause clusters of failing images, and how often images like these fail."""
    from pipelines.safe.job import find_root_cause_clusters
    from pipelines.safe.recipe import Options

    wanted = take_options(Options, options, layers=options.layer, table_files=take_tables(options))
    with job(
        "Extracted features are kept: the same command with --overwrite continues from there."
    ) as progress:
        manifest = find_root_cause_clusters(
            options.images, options.out, wanted, **take_start(options, progress)
        )
    print_clusters(manifest, options.out)


@takes(ExplainOptions)
def explain(options: ExplainOptions) -> None:
    """Explain the clusters of a run again, for instance with parameters of the images.

    Without tables, those of the earlier explanation are used again.
    """
    from pipelines.clusters.explain import explain_run
    from pipelines.clusters.report.report import write_report

    run = options.run
    with job("The earlier explanation may be replaced in part: explain again.") as progress:
        explanation = explain_run(run, take_tables(options), seed=options.seed, progress=progress)
        report = write_report(run)
    _print_explanation(explanation)
    print(f"Look at {report}; {run / 'clusters.csv'} has the words of the engineer.")


@takes(ReportOptions)
def report(options: ReportOptions) -> None:
    """Write report.html again, with the current names, notes and verdicts."""
    from pipelines.retraining.report import write_run_report

    with job("The report is as it was."):
        file = write_run_report(options.run)
    print(f"{file}: one file, to be opened in any browser, filed or printed.")


@takes(ExampleOptions)
def example(options: ExampleOptions) -> None:
    """Draw the example: eye images, a small DNN trained on them, and the images it gets wrong."""
    from examples.eyes import MODEL, write_example
    from examples.sampling import ANGLES

    folder = options.folder
    with job() as progress:
        summary = write_example(folder, seed=options.seed, **take_start(options, progress))
    print(
        f"{summary.train:,} training, {summary.test:,} test and "
        f"{count_of(summary.improvement, 'improvement image')}."
    )
    print(
        f"The DNN is right on {summary.train_accuracy:.1%} of the training and "
        f"{summary.test_accuracy:.1%} of the test images; those that it gets wrong "
        f"({summary.failures:,}) are in {folder / 'failures'}."
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
    hinted = sum(1 for cluster in clusters if cluster.hints)
    print(f"{hinted:,} of {count_of(len(clusters), 'cluster')} with hints from their pixels.")
    if explanation.parameters:
        named = sum(1 for cluster in clusters if cluster.parameters)
        print(
            f"With a parameter that their images share beyond chance: {named:,}. "
            f"{count_of(explanation.images_with_parameters, 'image')} with parameters."
        )
    met = [value for value in explanation.unsafe_values if value.images]
    if explanation.unsafe_values:
        covered = sum(1 for value in met if value.clusters)
        print(
            f"{covered:,} of {count_of(len(met), 'unsafe value')} next to failing images covered "
            "by a cluster."
        )
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
