"""The command that ranks pairs of classes by confusion and bias."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.options import job, take_options, take_start
from app.commands.inspect import InspectOptions
from app.commands.option import option_fields
from app.commands.signature import takes
from pipelines.runs.wording import count_of

if TYPE_CHECKING:
    from pipelines.deepinspect.job import Options
    from pipelines.runs.folder import Progress
    from pipelines.runs.manifest import Manifest

OF_A_MODEL = {"scaling", "classes", "task", "threshold", "layer", "normalise", "no_labels"}
"""Options that say how a model is inspected."""
SHOWN = 10


@takes(InspectOptions)
def inspect(options: InspectOptions) -> None:
    """Rank pairs of classes by how likely a DNN confuses them, and by its bias (DeepInspect)."""
    from pipelines.deepinspect.job import Options

    wanted = take_options(
        Options,
        options,
        trust=options.trust_model,
        labelled=not options.no_labels,
        thresholds=options.threshold,
        layers=options.layer,
        top_percent=options.top,
    )
    with job() as progress:
        if options.distances is None:
            manifest = _inspect_model(options, wanted, progress)
        else:
            manifest = _inspect_exported(options, options.distances, wanted, progress)
        _print(manifest, options.out)


def _inspect_model(options: InspectOptions, wanted: Options, progress: Progress) -> Manifest:
    from pipelines.deepinspect.job import inspect_model
    from pipelines.runs.errors import InputError

    if options.model is None or options.images is None:
        raise InputError(
            "expected MODEL and IMAGES, or --distances with what another framework has exported; "
            "received neither."
        )
    if options.labels is not None or options.predictions is not None:
        raise InputError(
            "--labels and --predictions belong to --distances. Labels of images are read from "
            "labels.csv beside them, or from class folders."
        )
    return inspect_model(
        options.model, options.images, options.out, wanted, **take_start(options, progress)
    )


def _inspect_exported(
    options: InspectOptions, distances: Path, wanted: Options, progress: Progress
) -> Manifest:
    from pipelines.deepinspect.exported_job import inspect_exported
    from pipelines.runs.errors import InputError

    if options.model is not None:
        raise InputError(
            "--distances: expected no MODEL beside it, received both: give one of them."
        )
    usual = InspectOptions(out=options.out)
    # Exported distances are used unchanged, so these options would have no effect.
    useless = [
        field.flag
        for field in option_fields(InspectOptions)
        if field.name in OF_A_MODEL and getattr(options, field.name) != getattr(usual, field.name)
    ]
    if useless:
        raise InputError(
            f"{', '.join(useless)}: without effect, because --distances are used unchanged. Leave "
            "out one of the two."
        )
    return inspect_exported(
        distances,
        options.out,
        wanted,
        labels=options.labels,
        predictions=options.predictions,
        **take_start(options, progress),
    )


def _print(manifest: Manifest, out: Path) -> None:
    from pipelines.deepinspect.evaluation_file import read_evaluation
    from pipelines.deepinspect.manifest import InspectionFigures
    from pipelines.deepinspect.results import (
        BIAS_FILE,
        CONFUSION_FILE,
        EVALUATION_FILE,
        read_top_pairs,
    )
    from pipelines.runs.manifest import read_part

    figures = read_part(manifest, InspectionFigures)
    print(
        f"{count_of(figures.pairs, 'pair')} of {count_of(figures.classes, 'class', 'classes')}; "
        f"likely confused are {figures.confusion.one_sd:,} (NAPVD below "
        f"{figures.confusion.cut:g}, mean - 1 sd):"
    )
    for row in read_top_pairs(out, "confusion")[:SHOWN]:
        images = f"  {count_of(int(row['images']), 'image')} confused" if row.get("images") else ""
        print(_row(row, "napvd", "below_one_sd") + images)
    if figures.bias is not None:
        print(
            f"Bias: likely biased are {figures.bias.one_sd:,} (average bias above "
            f"{figures.bias.cut:g}, mean + 1 sd):"
        )
        for row in read_top_pairs(out, "bias")[:SHOWN]:
            side = f"  {row['third_1']} sides with {row['nearer_1']}" if row["third_1"] else ""
            print(_row(row, "average_bias", "above_one_sd") + side)
    evaluation = read_evaluation(out)
    rankings = (
        (("confusion", evaluation.confusion), ("bias", evaluation.bias)) if evaluation else ()
    )
    for kind, judgement in rankings:
        if judgement:
            print(
                f"By the labels, of {kind}: true errors are {judgement.errors:,} of "
                f"{count_of(judgement.pairs, 'pair')}; AUCEC {judgement.aucec:.3f} (random "
                f"0.5, optimum {judgement.aucec_optimum:.3f}), "
                f"{judgement.aucec_gain_over_random:.0%} over random."
            )
    if manifest.images.rejected:
        print(f"Files that could not be used: {manifest.images.rejected:,}.")
    for note in manifest.notes:
        print(f"Note: {note}")
    files = [
        CONFUSION_FILE,
        *[BIAS_FILE] * (figures.bias is not None),
        *[EVALUATION_FILE] * bool(evaluation),
    ]
    print(f"All pairs are in {', '.join(str(out / name) for name in files)}.")
    _print_next(out)


def _row(row: dict[str, str], score: str, flag: str) -> str:
    mark = "*" if row[flag] == "1" else " "
    return f" {mark}{row['rank']:>4}  {row['class_a']} - {row['class_b']}: {row[score]}"


def _print_next(out: Path) -> None:
    """Say how to go on with the first pair that has a list."""
    from pipelines.data.pair_lists import PAIR_FOLDER, PAIRS_TABLE
    from pipelines.runs.files import read_csv

    table = out / PAIR_FOLDER / PAIRS_TABLE
    if not table.is_file():
        return
    lists = read_csv(table)
    first = min(lists, key=lambda row: (not row["rank"], int(row["rank"] or 0)))
    print(
        f"The confused images of {count_of(len(lists), 'pair')} are listed in {table.parent}; "
        f"{table.name} says which list is which pair's."
    )
    listed = shlex.quote(str(table.parent / first["list"]))
    print(
        f"Next: python SAFE_Tool.py cluster {listed} --out RUN   (the root "
        f"causes of {first['class_a']} - {first['class_b']})"
    )
