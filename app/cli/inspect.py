"""The command that ranks pairs of classes by confusion and bias."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import Overwrite, RunFolder, ScalingOption, TrustOption, job, number_option
from app.numbers import ACTIVATION, COUNT, PERCENTAGE

if TYPE_CHECKING:
    from pipelines.deepinspect.job import Options
    from pipelines.runs.manifest import Manifest

SHOWN = 10


def inspect(
    out: RunFolder,
    model: Annotated[
        Path | None,
        typer.Argument(
            help="Keras model file of the classifier (.keras, .h5); none with --distances."
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of images, or a list of them; read only. Labels are not needed."
        ),
    ] = None,
    overwrite: Overwrite = False,
    scaling: ScalingOption = None,
    classes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Names of the classes, one a line, in the order of the model's outputs. "
            "(default: the labels, sorted; without labels, positions)",
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="classes (one an image) or several (labels). (default: as labels and model tell)"
        ),
    ] = None,
    threshold: Annotated[
        list[float] | None,
        number_option(
            ACTIVATION,
            help="Activation, scaled to 0 to 1 per image and layer, above which a neuron is "
            "active; repeat to compare several, of which the first ranks. (default: 0.5)",
        ),
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(
            "--layers",
            metavar="NAME",
            help="Layer whose neurons count; repeat for several. (default: all)",
        ),
    ] = None,
    normalise: Annotated[
        bool,
        typer.Option(
            "--normalise",
            help="Divide distances by the root of the number of neurons that either class "
            "activates, as the authors' code does; the paper does not.",
        ),
    ] = False,
    top: Annotated[
        float,
        number_option(
            PERCENTAGE, metavar="PERCENT", help="Share of the pairs that counts as the top."
        ),
    ] = 1.0,
    batch_size: Annotated[int, number_option(COUNT, help="Images the DNN sees at once.")] = 32,
    trust_model: TrustOption = False,
    no_labels: Annotated[
        bool,
        typer.Option("--no-labels", help="Take no labels from labels.csv or class folders."),
    ] = False,
    distances: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Distances that another framework has exported (class, class, distance), instead "
            "of MODEL and IMAGES.",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV", help="With --distances: image, labels; semicolons between labels."
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="With --distances: image, predicted labels."),
    ] = None,
) -> None:
    """Rank pairs of classes by how likely a DNN confuses them, and by its bias (DeepInspect)."""
    from pipelines.deepinspect.exported_job import inspect_exported
    from pipelines.deepinspect.job import Options, inspect_model
    from pipelines.runs.errors import InputError

    with job("Nothing was written; start again with --overwrite.") as told:
        options = Options(
            scaling=scaling,
            trust=trust_model,
            classes=classes,
            task=task,
            labelled=not no_labels,
            thresholds=tuple(threshold or ()) or Options.thresholds,
            layers=tuple(layers or ()),
            normalise=normalise,
            top_percent=top,
            batch_size=batch_size,
        )
        if distances is not None:
            if model is not None:
                raise InputError(
                    "--distances: expected no MODEL beside it, received both: give one of them."
                )
            _check_exported(options)
            manifest = inspect_exported(
                distances,
                out,
                options,
                labels=labels,
                predictions=predictions,
                progress=told,
                command=sys.argv[1:],
                overwrite=overwrite,
            )
        else:
            if model is None or images is None:
                raise InputError(
                    "expected MODEL and IMAGES, or --distances with what another framework has "
                    "exported; received neither."
                )
            if labels is not None or predictions is not None:
                raise InputError(
                    "--labels and --predictions belong to --distances. Labels of images are read "
                    "from labels.csv beside them, or from class folders."
                )
            manifest = inspect_model(
                model,
                images,
                out,
                options,
                progress=told,
                command=sys.argv[1:],
                overwrite=overwrite,
            )
        _print(manifest, out)


def _check_exported(options: Options) -> None:
    """Refuse what would change nothing: exported distances are taken as they are."""
    from pipelines.runs.errors import InputError

    usual = type(options)()
    given = {
        "--scaling": options.scaling != usual.scaling,
        "--classes": options.classes != usual.classes,
        "--task": options.task != usual.task,
        "--threshold": options.thresholds != usual.thresholds,
        "--layers": options.layers != usual.layers,
        "--normalise": options.normalise != usual.normalise,
        "--no-labels": options.labelled != usual.labelled,
    }
    if names := [name for name, is_given in given.items() if is_given]:
        raise InputError(
            f"{', '.join(names)}: of no use with --distances, which are taken as they are. Leave "
            "out one or the other."
        )


def _print(manifest: Manifest, out: Path) -> None:
    from pipelines.deepinspect.results import (
        BIAS_FILE,
        CONFUSION_FILE,
        EVALUATION_FILE,
        read_evaluation,
        read_top_pairs,
    )
    from pipelines.runs.wording import count_of

    found = manifest.result
    print(
        f"{count_of(found['pairs'], 'pair')} of {found['classes']:,} classes; likely confused are "
        f"{found['confusion']['one_sd']:,} (NAPVD below {found['confusion']['cut']:g}, mean - 1 "
        "sd):"
    )
    for row in read_top_pairs(out, "confusion")[:SHOWN]:
        images = f"  {count_of(int(row['images']), 'image')} confused" if row.get("images") else ""
        print(_row(row, "napvd", "below_one_sd") + images)
    if "bias" in found:
        print(
            f"Bias: likely biased are {found['bias']['one_sd']:,} (average bias above "
            f"{found['bias']['cut']:g}, mean + 1 sd):"
        )
        for row in read_top_pairs(out, "bias")[:SHOWN]:
            side = f"  {row['third_1']} sides with {row['nearer_1']}" if row["third_1"] else ""
            print(_row(row, "average_bias", "above_one_sd") + side)
    told = read_evaluation(out)
    for kind in ("confusion", "bias"):
        if told and told[kind]:
            each = told[kind]
            print(
                f"By the labels, of {kind}: {each['errors']:,} of {each['pairs']:,} pairs are true "
                f"errors; AUCEC {each['aucec']:.3f} (random 0.5, optimum "
                f"{each['aucec_optimum']:.3f}), {each['aucec_gain_over_random']:.0%} over random."
            )
    if manifest.images.rejected:
        print(f"Files that could not be used: {manifest.images.rejected:,}.")
    for note in manifest.notes:
        print(f"Note: {note}")
    files = [CONFUSION_FILE, *[BIAS_FILE] * ("bias" in found), *[EVALUATION_FILE] * bool(told)]
    print(f"All pairs are in {', '.join(str(out / name) for name in files)}.")
    _print_next(out)


def _row(row: dict[str, str], score: str, flag: str) -> str:
    mark = "*" if row[flag] == "1" else " "
    return f" {mark}{row['rank']:>4}  {row['class_a']} - {row['class_b']}: {row[score]}"


def _print_next(out: Path) -> None:
    """Say how to go on with the first pair that has a list."""
    from pipelines.data.image_lists import PAIR_FOLDER, PAIRS_TABLE
    from pipelines.runs.files import read_csv

    table = out / PAIR_FOLDER / PAIRS_TABLE
    if not table.is_file():
        return
    lists = read_csv(table)
    first = min(lists, key=lambda row: (not row["rank"], int(row["rank"] or 0)))
    print(
        f"The confused images of {len(lists):,} pairs are listed in {table.parent}; {table.name} "
        "says which list is which pair's."
    )
    listed = shlex.quote(str(table.parent / first["list"]))
    print(
        f"Next: python SAFE_Tool.py cluster {listed} --out RUN   (the root "
        f"causes of {first['class_a']} - {first['class_b']})"
    )
