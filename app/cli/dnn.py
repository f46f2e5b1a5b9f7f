"""Commands on the DNN under analysis: its test, and clusters by its heatmaps."""

from __future__ import annotations

import shlex

from app.cli.options import (
    job,
    print_clusters,
    print_rest,
    take_evaluation,
    take_options,
    take_start,
    take_tables,
)
from app.commands.dnn import HeatmapsOptions, TestOptions
from app.commands.signature import takes
from pipelines.runs.wording import count_of


@takes(TestOptions)
def test(options: TestOptions) -> None:
    """Test a DNN on labelled images, and list those that it gets wrong."""
    from pipelines.clusters.passing import FEWEST
    from pipelines.dnn.job import FAILURES_FILE, test_model
    from pipelines.dnn.manifest import DnnTestFigures
    from pipelines.runs.manifest import read_part

    out = options.out
    with job() as progress:
        manifest = test_model(
            options.model,
            options.images,
            out,
            take_evaluation(options),
            **take_start(options, progress),
        )
    figures = read_part(manifest, DnnTestFigures)
    print(
        f"The DNN is right on {figures.accuracy:.1%} of "
        f"{count_of(figures.images, 'image')} (95 % interval {figures.accuracy_low:.1%} to "
        f"{figures.accuracy_high:.1%})."
    )
    print_rest(manifest, out)
    if not figures.failures:
        print("It gets none of them wrong: there are no failures to look at.")
        return
    failures = out / FAILURES_FILE
    print(f"The images that it gets wrong ({figures.failures:,}) are listed in {failures}.")
    enough = figures.images - figures.failures >= FEWEST
    source = f"--test-run {shlex.quote(str(out))}" if enough else shlex.quote(str(failures))
    print(f"Next: python SAFE_Tool.py cluster {source} --out RUN")


@takes(HeatmapsOptions)
def heatmaps(options: HeatmapsOptions) -> None:
    """Find root cause clusters by what drove the DNN: the heatmaps of its layers (HUDD)."""
    from pipelines.clusters.manifest import ChosenLayer
    from pipelines.hudd.job import Options, find_clusters_by_heatmaps
    from pipelines.runs.manifest import read_part

    wanted = take_options(
        Options,
        options,
        trust=options.trust_model,
        layers=options.layer,
        table_files=take_tables(options),
    )
    with job() as progress:
        manifest = find_clusters_by_heatmaps(
            options.model, options.images, options.out, wanted, **take_start(options, progress)
        )
    layers = options.out / "layers.csv"
    layer = read_part(manifest, ChosenLayer).layer
    print(f"Clustered by the heatmaps of {layer}, see {layers}.")
    print_clusters(manifest, options.out)
