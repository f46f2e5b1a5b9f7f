"""Commands on the DNN under analysis: its test, and clusters by its heatmaps."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from app.cli.options import (
    Angles,
    ClassesOption,
    FailingImages,
    GroupsOption,
    KeyPointsOption,
    ModelFile,
    Overwrite,
    ParameterFiles,
    RunFolder,
    ScalingOption,
    TaskOption,
    ThresholdOption,
    TrustOption,
    UnsafeValues,
    job,
    number_option,
    print_clusters,
)
from app.numbers import COUNT, SEED


def test(
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
    classes: ClassesOption = None,
    task: TaskOption = None,
    error_threshold: ThresholdOption = None,
    key_points: KeyPointsOption = False,
    groups: GroupsOption = None,
    trust_model: TrustOption = False,
) -> None:
    """Test a DNN on labelled images, and list those that it gets wrong."""
    from pipelines.clusters.passing import FEWEST
    from pipelines.dnn.job import FAILURES_FILE, Asked, test_model

    asked = Asked(scaling, trust_model, classes, task, error_threshold, key_points, groups)
    with job("Nothing was written; start again with --overwrite.") as told:
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
    enough = found["images"] - found["failures"] >= FEWEST
    source = f"--test-run {shlex.quote(str(out))}" if enough else shlex.quote(str(failures))
    print(f"Next: python SAFE_Tool.py cluster {source} --out RUN")


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
        number_option(
            SEED,
            help="Of the random groups that hints and parameters are tested against.",
        ),
    ] = 0,
    batch_size: Annotated[int, number_option(COUNT, help="Images the DNN sees at once.")] = 16,
    trust_model: TrustOption = False,
    parameters: ParameterFiles = None,
    angles: Angles = None,
    unsafe_values: UnsafeValues = None,
) -> None:
    """Find root cause clusters by what drove the DNN: the heatmaps of its layers (HUDD)."""
    from pipelines.clusters.explanation_tables import Given
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
    with job("Nothing was written; start again with --overwrite.") as told:
        manifest = find_clusters_by_heatmaps(
            model, images, out, options, progress=told, command=sys.argv[1:], overwrite=overwrite
        )
    print(f"Clustered by the heatmaps of {manifest.chosen['layer']}, see {out / 'layers.csv'}.")
    print_clusters(manifest, out)
