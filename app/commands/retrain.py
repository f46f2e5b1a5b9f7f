"""Options of the command that retrains the DNN under analysis."""

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
    """Options of `retrain`."""

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
        int, Option("Passes over the training data.", numbers=COUNT, label="Epochs")
    ] = 10
    batch_size: Annotated[
        int, Option("Images in a training step.", numbers=COUNT, label="Batch size")
    ] = 32
    learning_rate: Annotated[
        float | None,
        Option(
            "Learning rate at the start. (default: the model file's, else 0.0001)",
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
            "Share of training and unsafe set, held out to find the best epoch.",
            numbers=INNER_PART,
            label="Validation share",
            info="Of training and unsafe set, held out to find the best epoch.",
        ),
    ] = 0.1
    validation: Annotated[
        Path | None,
        Option(
            "Labelled images to find the best epoch with; none is held out then.",
            metavar="DIR",
            label="Validation folder",
            info="Labelled images in the place of the share.",
        ),
    ] = None
    patience: Annotated[
        int | None,
        Option(
            "End after so many epochs without a better one. (default: train all epochs, because "
            "most is gained while the learning rate falls)",
            numbers=COUNT,
            label="Patience",
            info="Epochs without a better one; empty: train all.",
        ),
    ] = None
    augment: Annotated[
        bool,
        Option(
            "Vary brightness and contrast of the training images.",
            label="Augment",
            info="Vary brightness and contrast of the training images.",
        ),
    ] = False
    compare: Annotated[
        bool,
        Option(
            "Also retrain with as many images chosen at random and by least confidence, and "
            "compare; needs labels for all images of the improvement folder.",
            label="Compare",
        ),
    ] = False
    repeats: Annotated[
        int,
        Option("With --compare: how often each way is retrained.", numbers=COUNT, label="Repeats"),
    ] = 10
    seed: Annotated[
        int, Option("Seed of all that is random in training.", numbers=SEED, label="Seed")
    ] = 0
