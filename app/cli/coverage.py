"""Commands on how well a test set exercises a DNN, and test sets to check that with."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.options import (
    MOST_PROBLEMS,
    ModelFile,
    Overwrite,
    RunFolder,
    ScalingOption,
    TrustOption,
    job,
    number_option,
)
from app.numbers import COUNT, PART, REGIONS, SEED

Classes = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Names of the classes, one a line, in the order of the model's outputs. (default: "
        "sorted)",
    ),
]


def coverage(
    model: ModelFile,
    training: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the training images; read only.")
    ],
    test: Annotated[
        list[Path],
        typer.Option(metavar="DIR", help="Folder of a test set; repeat for several. Read only."),
    ],
    out: RunFolder,
    overwrite: Overwrite = False,
    layer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Layer whose neurons are looked at: Dense, Conv2D and their kin. (default: the "
            "last but one of those)",
        ),
    ] = None,
    neurons: Annotated[int, number_option(COUNT, help="Important neurons, the paper's m.")] = 6,
    class_: Annotated[
        str | None,
        typer.Option("--class", metavar="NAME", help="Look at the images of one class alone."),
    ] = None,
    candidates: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of new images, ranked by what they add to the first test."
        ),
    ] = None,
    clusters: Annotated[
        int,
        number_option(REGIONS, help="Most regions of a neuron's activations that are tried."),
    ] = 4,
    rule: Annotated[
        str, typer.Option(help="Of relevance: epsilon (the paper's Equation 1), z+ or alpha-beta.")
    ] = "epsilon",
    scaling: ScalingOption = None,
    classes: Classes = None,
    trust_model: TrustOption = False,
) -> None:
    """Measure how well test sets exercise the neurons that decide (DeepImportance)."""
    from pipelines.deepimportance.job import Options, measure_coverage

    options = Options(
        layer=layer,
        neurons=neurons,
        clusters=clusters,
        rule=rule,
        class_=class_,
        classes=classes,
        candidates=candidates,
        scaling=scaling,
        trust=trust_model,
    )
    with job("Nothing was written; start again with --overwrite.") as told:
        manifest = measure_coverage(
            model,
            training,
            test,
            out,
            options,
            progress=told,
            command=sys.argv[1:],
            overwrite=overwrite,
        )
    _print_coverage(out, manifest.notes, manifest.images.rejected)


def perturb(
    model: ModelFile,
    images: Annotated[
        Path, typer.Argument(help="Folder of images, or failures.txt of a test; read only.")
    ],
    out: Annotated[Path, typer.Option(help="New or empty folder for the perturbed images.")],
    how: Annotated[
        str,
        typer.Option(
            help="gaussian: noise on the 2 % most relevant pixels; gaussian-random: on as many "
            "random ones; fgsm, bim: adversarial, through the model's gradient."
        ),
    ] = "gaussian",
    strength: Annotated[
        float | None,
        number_option(
            PART,
            help="A share of the range of pixels: standard deviation of noise, else the largest "
            "change of a pixel. (default: 0.3 of noise, else 0.1)",
        ),
    ] = None,
    seed: Annotated[int, number_option(SEED, help="Of the noise.")] = 0,
    scaling: ScalingOption = None,
    classes: Classes = None,
    trust_model: TrustOption = False,
) -> None:
    """Make a noisy or adversarial copy of a test set, to check criteria of coverage with."""
    from pipelines.deepimportance.perturbation_job import ATTACKS, Asked, perturb_images

    asked = Asked(how, strength, seed, scaling, trust_model, classes)
    with job("What was written so far stays there.") as told:
        found = perturb_images(model, images, out, asked, told)
    print(f"{found.images:,} images are in {out}, at the size of the model's input.")
    if found.labels:
        print(f"Their labels are those of the originals ({found.labels}).")
    if found.unchanged:
        why = "--strength is too small to change a pixel"
        if how in ATTACKS:
            why = f"the model's gradient is 0 for them, or {why}"
        print(f"Note: {found.unchanged:,} are as before: {why}.")
    for file in found.rejected[:MOST_PROBLEMS]:
        print(f"Not used: {file.path}: {file.reason}")
    if len(found.rejected) > MOST_PROBLEMS:
        print(f"and {len(found.rejected) - MOST_PROBLEMS:,} more.")


def export_widening(run: Path, folder: Path, link: bool, count: int | None) -> None:
    """Export the new images that widen a test set, as `export` does for a run of coverage."""
    from pipelines.deepimportance.results import EXPORTED
    from pipelines.deepimportance.results import export_widening as export
    from pipelines.runs.wording import count_of

    with job("What was copied so far stays there.") as told:
        wanted, missing = export(run, folder, told, links=link, count=count)
    for file in missing[:MOST_PROBLEMS]:
        print(f"Not exported: {file.path}: {file.reason}")
    if len(missing) > MOST_PROBLEMS:
        print(f"and {len(missing) - MOST_PROBLEMS:,} more.")
    print(
        f"{count_of(wanted - len(missing), 'image')} {'linked' if link else 'copied'} to "
        f"{folder / EXPORTED}, with "
        "label_studio.json and coco.json beside them."
    )


def _print_coverage(out: Path, notes: list[str], rejected: int) -> None:
    from pipelines.deepimportance.results import COMBINATIONS_FILE, CRITERIA_FILE, read_coverage

    told = read_coverage(out)
    names = [test["name"] for test in told["tests"]]
    counted = " x ".join(str(len(each["centroids"])) for each in told["neurons"])
    print(
        f"The {len(told['neurons'])} neurons of {told['layer']} that decide have {counted} "
        f"regions, {_large(told['combinations'])} combinations."
    )
    for test in told["tests"]:
        print(
            f"{test['name']}: {test['covered']:,} of them are covered by {test['images']:,} images "
            f"({test['coverage']:.1%}), {test['alone']:,} images alone with theirs; training "
            f"images have {test['trained_uncovered']:,} more."
        )
    columns = [
        (name, [_share(row["tests"][i]) for row in told["criteria"]])
        for i, name in enumerate(names)
    ]
    print("criterion", *(f"{name:>7}" for name in names), sep="  ")
    for place, row in enumerate(told["criteria"]):
        cells = (f"{shares[place]:>{max(7, len(name))}}" for name, shares in columns)
        print(f"{row['criterion']:<9}", *cells, sep="  ")
    if told["widening"]:
        new = told["widening"]
        print(
            f"{new['adds']:,} of {new['images']:,} new images add a combination each to "
            f"{names[0]}: with them, coverage is {new['coverage']:.1%}. See widening.csv; "
            f"export {out} DIR copies them."
        )
    if rejected:
        print(f"Files that could not be used: {rejected:,}, see {out / 'rejected.txt'}")
    for note in notes:
        print(f"Note: {note}")
    print(f"Look at {out / COMBINATIONS_FILE} and {out / CRITERIA_FILE}, or at the page.")


def _large(number: str) -> str:
    return f"{int(number):,}" if len(number) < 13 else f"{Decimal(number):.2g}"


def _share(cell: dict[str, Any]) -> str:
    return "n/a" if cell["value"] is None else f"{cell['value']:.1%}"
