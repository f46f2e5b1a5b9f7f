"""Options of the command that ranks pairs of classes by confusion and bias."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from app.commands.common import (
    BATCH_SIZE,
    CLASSES,
    PLACEHOLDER,
    TASK,
    Overwrite,
    RunFolder,
    Scaling,
    TrustModel,
)
from app.commands.option import Option
from app.numbers import ACTIVATION, PERCENTAGE

TASKS = ("classes", "several")


@dataclass(frozen=True, kw_only=True)
class InspectOptions:
    """Options of `inspect`."""

    out: RunFolder
    model: Annotated[
        Path | None,
        Option(
            "Keras model file of the classifier (.keras, .h5); not with --distances.",
            by_place=True,
            label="Keras model of the classifier",
            placeholder=PLACEHOLDER,
            needed="the model file of the classifier",
        ),
    ] = None
    images: Annotated[
        Path | None,
        Option(
            "Folder of images, or a list of them; read only. Labels are not needed.",
            by_place=True,
            label="Folder of images to inspect it with; labels are not needed",
            needed="a folder of images to inspect it with",
            images=True,
        ),
    ] = None
    overwrite: Overwrite = False
    scaling: Scaling = None
    classes: Annotated[
        Path | None,
        replace(
            CLASSES,
            help="File with the names of the classes, one per line, in the order of the model's "
            "outputs. (default: the labels, sorted; without labels, positions)",
            info="A file with one name per line, in the order of the outputs. Empty: the labels, "
            "sorted.",
        ),
    ] = None
    task: Annotated[
        str | None,
        replace(
            TASK,
            help="classes (one per image) or several (labels per image). (default: decided by "
            "labels and model)",
            info="One class per image, or several labels per image.",
            choices=TASKS,
        ),
    ] = None
    threshold: Annotated[
        tuple[float, ...],
        Option(
            "Activation, scaled to 0 to 1 per image and layer, above which a neuron is active. "
            "Repeat to compare several; the first one gives the ranking. (default: 0.5)",
            numbers=ACTIVATION,
            label="Threshold of activation",
            info="0 to 1; separate several by semicolons; the first one gives the ranking.",
        ),
    ] = (0.5,)
    layer: Annotated[
        tuple[str, ...],
        Option(
            "Layer whose neurons are measured; repeat for several. (default: all)",
            metavar="NAME",
            former="--layers",
            label="Layers whose neurons count",
            info="Names separated by commas. Empty: all.",
        ),
    ] = ()
    normalise: Annotated[
        bool,
        Option(
            "Divide distances by the root of the number of neurons that either class activates, as "
            "the authors' code does; the paper does not.",
            label="Normalise distances",
            info="By the number of neurons that either class activates, as in the authors' code.",
        ),
    ] = False
    top: Annotated[
        float,
        Option(
            "Share of the pairs that is reported as the top.",
            metavar="PERCENT",
            numbers=PERCENTAGE,
            label="Top pairs",
            info="Share of all pairs, in percent.",
        ),
    ] = 1.0
    batch_size: Annotated[int, BATCH_SIZE] = 32
    trust_model: TrustModel = False
    no_labels: Annotated[
        bool,
        Option(
            "Ignore labels.csv and class folders.",
            label="Take no labels",
            info="Otherwise labels.csv or class folders, if any, evaluate the ranking.",
        ),
    ] = False
    distances: Annotated[
        Path | None,
        Option(
            "Table of distances from another framework (class, class, distance), instead of MODEL "
            "and IMAGES.",
            metavar="CSV",
            label="Table of distances",
            info="CSV of class, class and distance. It replaces model and images.",
        ),
    ] = None
    labels: Annotated[
        Path | None,
        Option(
            "With --distances: table with the columns image and labels; semicolons separate "
            "labels.",
            metavar="CSV",
            label="Table of labels",
            info="CSV of image and labels; semicolons separate labels.",
        ),
    ] = None
    predictions: Annotated[
        Path | None,
        Option(
            "With --distances: table with the columns image and predicted labels.",
            metavar="CSV",
            label="Table of predictions",
            info="CSV of image and predicted labels.",
        ),
    ] = None
