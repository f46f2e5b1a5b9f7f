"""The options of the command that retrains the DNN under analysis."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from app.commands.common import (
    MODEL,
    NEW_FOLDER,
    OVERWRITE,
    EvaluatedOptions,
)
from app.commands.option import Option
from app.numbers import COUNT, INNER_PART, POSITIVE, SEED

SCHEDULES = ("cosine", "constant")


@dataclass(frozen=True, kw_only=True)
class RetrainOptions(EvaluatedOptions):
    """Of `retrain`."""

    model: Annotated[
        Path,
        replace(
            MODEL, label="Keras model to retrain", needed="the model file that is to be retrained"
        ),
    ]
    training: Annotated[
        Path,
        Option(
            "Folder of the labelled training images: class folders, or labels.csv.",
            label="Folder of its training images, labelled",
            needed="the folder of its training images",
        ),
    ]
    unsafe: Annotated[
        Path,
        Option(
            "Run folder whose unsafe set was selected. Labels are those in its unsafe_set.csv, "
            "else those of the improvement folder.",
            metavar="RUN",
        ),
    ]
    test: Annotated[
        Path,
        Option(
            "Folder of labelled test images: before and after are measured on it.",
            label="Folder of test images, labelled",
            needed="the folder of test images",
        ),
    ]
    out: Annotated[Path, NEW_FOLDER]
    overwrite: Annotated[
        bool,
        replace(
            OVERWRITE, help="Replace the retraining that --out holds; one that was killed goes on."
        ),
    ] = False
    epochs: Annotated[
        int, Option("Passes over what is trained with.", numbers=COUNT, label="Epochs")
    ] = 10
    batch_size: Annotated[int, Option("Images a step.", numbers=COUNT, label="Batch size")] = 32
    learning_rate: Annotated[
        float | None,
        Option(
            "At the start. (default: the model file's, else 0.0001)",
            numbers=POSITIVE,
            label="Learning rate",
            info="Empty: the model file's, else 0.0001.",
        ),
    ] = None
    schedule: Annotated[
        str,
        Option(
            "cosine: the learning rate falls to zero over the epochs; constant: it stays.",
            label="Learning rate over the epochs",
            info="cosine: falls to zero.",
            choices=SCHEDULES,
        ),
    ] = "cosine"
    validation_share: Annotated[
        float,
        Option(
            "Of training and unsafe set, held out to find the best epoch.",
            numbers=INNER_PART,
            label="Validation share",
            info="Of training and unsafe set, held out to find the best epoch.",
        ),
    ] = 0.1
    validation: Annotated[
        Path | None,
        Option(
            "Labelled images for that instead; none is held out.",
            metavar="DIR",
            label="Or a folder for that",
            info="Of labelled images.",
        ),
    ] = None
    patience: Annotated[
        int | None,
        Option(
            "End after so many epochs without a better one. (default: train all epochs, as most is "
            "gained while the learning rate falls)",
            numbers=COUNT,
            label="Patience",
            info="Epochs without a better one; empty: train all.",
        ),
    ] = None
    augment: Annotated[
        bool,
        Option(
            "Vary brightness and contrast of what is trained.",
            label="Augment",
            info="Vary brightness and contrast of what is trained with.",
        ),
    ] = False
    compare: Annotated[
        bool,
        Option(
            "Retrain with as many images chosen by random and by least confidence, too, and "
            "compare; takes labels for all of the improvement folder.",
            label="Compare",
        ),
    ] = False
    repeats: Annotated[
        int,
        Option("Of --compare: how often each is retrained.", numbers=COUNT, label="Repeats"),
    ] = 10
    seed: Annotated[
        int, Option("Of all that is random in training.", numbers=SEED, label="Seed")
    ] = 0
