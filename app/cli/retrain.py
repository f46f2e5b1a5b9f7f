"""The command that retrains the DNN under analysis, and measures what that changed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from app.cli.options import (
    ClassesOption,
    GroupsOption,
    KeyPointsOption,
    ModelFile,
    ScalingOption,
    TaskOption,
    ThresholdOption,
    TrustOption,
    job,
    number_option,
)
from app.numbers import COUNT, INNER_PART, POSITIVE, SEED

if TYPE_CHECKING:
    from pipelines.retraining.results import Retraining

NOT_REPAIRED = 5


def retrain(
    model: ModelFile,
    training: Annotated[
        Path,
        typer.Option(help="Folder of the labelled training images: class folders, or labels.csv."),
    ],
    unsafe: Annotated[
        Path,
        typer.Option(
            metavar="RUN",
            help="Run folder whose unsafe set was selected. Labels are those in its "
            "unsafe_set.csv, else those of the improvement folder.",
        ),
    ],
    test: Annotated[
        Path,
        typer.Option(help="Folder of labelled test images: before and after are measured on it."),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write: new, or empty.")],
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace the retraining that --out holds; one that was killed goes on.",
        ),
    ] = False,
    epochs: Annotated[int, number_option(COUNT, help="Passes over what is trained with.")] = 10,
    batch_size: Annotated[int, number_option(COUNT, help="Images a step.")] = 32,
    learning_rate: Annotated[
        float | None,
        number_option(POSITIVE, help="At the start. (default: the model file's, else 0.0001)"),
    ] = None,
    schedule: Annotated[
        str,
        typer.Option(
            help="cosine: the learning rate falls to zero over the epochs; constant: it stays."
        ),
    ] = "cosine",
    validation_share: Annotated[
        float,
        number_option(
            INNER_PART, help="Of training and unsafe set, held out to find the best epoch."
        ),
    ] = 0.1,
    validation: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Labelled images for that instead; none is held out."),
    ] = None,
    patience: Annotated[
        int | None,
        number_option(
            COUNT,
            help="End after so many epochs without a better one. (default: train all epochs, as "
            "most is gained while the learning rate falls)",
        ),
    ] = None,
    augment: Annotated[
        bool, typer.Option("--augment", help="Vary brightness and contrast of what is trained.")
    ] = False,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="Retrain with as many images chosen by random and by least confidence, too, and "
            "compare; takes labels for all of the improvement folder.",
        ),
    ] = False,
    repeats: Annotated[
        int, number_option(COUNT, help="Of --compare: how often each is retrained.")
    ] = 10,
    seed: Annotated[int, number_option(SEED, help="Of all that is random in training.")] = 0,
    scaling: ScalingOption = None,
    classes: ClassesOption = None,
    task: TaskOption = None,
    error_threshold: ThresholdOption = None,
    key_points: KeyPointsOption = False,
    groups: GroupsOption = None,
    trust_model: TrustOption = False,
) -> None:
    """Retrain the DNN with its training set and the labelled unsafe set; measure what changed.

    Ctrl-C ends training with the best epoch so far, a second time the job.
    """
    import threading

    from pipelines.dnn.job import Asked
    from pipelines.retraining.job import retrain as retrain_model
    from pipelines.retraining.results import MODEL_FILE, read_retraining
    from pipelines.retraining.training import Options

    stopped = threading.Event()
    options = Options(
        epochs, batch_size, learning_rate, cast(Any, schedule), validation_share, patience, augment,
        seed,
    )  # fmt: skip
    with job(
        "Epochs and repeats that are done are kept: the same command with --overwrite goes on.",
        first=stopped.set,
    ) as told:
        manifest = retrain_model(
            model,
            training,
            unsafe,
            test,
            out,
            Asked(scaling, trust_model, classes, task, error_threshold, key_points, groups),
            options,
            validation=validation,
            repeats=repeats if compare else 0,
            progress=told,
            command=sys.argv[1:],
            overwrite=overwrite,
            stop=stopped.is_set,
        )
        found = read_retraining(out)
    _print_retraining(found)
    if manifest.images.rejected:
        print(
            f"Files that could not be used: {manifest.images.rejected:,}, see "
            f"{out / 'rejected.txt'}"
        )
    for note in manifest.notes:
        print(f"Note: {note}")
    print(f"The retrained model is {out / MODEL_FILE}; look at {out / 'report.html'}.")


def _print_retraining(found: Retraining) -> None:
    from pipelines.retraining.picture import title
    from pipelines.retraining.report import sum_up, tell_comparison

    print(sum_up(found.change).replace("\N{NO-BREAK SPACE}", " "))
    if found.repairs:
        states = [each.state for each in found.repairs if each.cluster >= 0]
        print(
            f"{len(states)} root cause clusters: {states.count('repaired')} repaired, "
            f"{states.count('not repaired')} not repaired; of the others it is unclear."
        )
    left = [each for each in found.repairs if each.state == "not repaired" and each.cluster >= 0]
    for each in left[:NOT_REPAIRED]:
        print(f"Not repaired: {title(each)}, {each.after.right} of {each.failing} right now.")
    if found.comparison:
        print(tell_comparison(found.comparison))
