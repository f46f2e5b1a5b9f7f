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
            "Keras model file of the classifier (.keras, .h5); none with --distances.",
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
            help="Names of the classes, one a line, in the order of the model's outputs. "
            "(default: the labels, sorted; without labels, positions)",
            info="A file, one a line, in the order of the outputs. Empty: the labels, sorted.",
        ),
    ] = None
    task: Annotated[
        str | None,
        replace(
            TASK,
            help="classes (one an image) or several (labels). (default: as labels and model tell)",
            info="One class an image, or several labels.",
            choices=TASKS,
        ),
    ] = None
    threshold: Annotated[
        tuple[float, ...],
        Option(
            "Activation, scaled to 0 to 1 per image and layer, above which a neuron is active; "
            "repeat to compare several: the first one gives the ranking. (default: 0.5)",
            numbers=ACTIVATION,
            label="Threshold of activation",
            info="0 to 1; several with semicolons between: the first one gives the ranking.",
        ),
    ] = (0.5,)
    layer: Annotated[
        tuple[str, ...],
        Option(
            "Layer whose neurons count; repeat for several. (default: all)",
            metavar="NAME",
            former="--layers",
            label="Layers whose neurons count",
            info="Names with commas between. Empty: all.",
        ),
    ] = ()
    normalise: Annotated[
        bool,
        Option(
            "Divide distances by the root of the number of neurons that either class activates, as "
            "the authors' code does; the paper does not.",
            label="Normalise distances",
            info="By the neurons that either class activates, as the authors' code does.",
        ),
    ] = False
    top: Annotated[
        float,
        Option(
            "Share of the pairs that counts as the top.",
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
            "Take no labels from labels.csv or class folders.",
            label="Take no labels",
            info="Otherwise labels.csv or class folders, where there are any, judge the ranking.",
        ),
    ] = False
    distances: Annotated[
        Path | None,
        Option(
            "Distances that another framework has exported (class, class, distance), instead of "
            "MODEL and IMAGES.",
            metavar="CSV",
            label="Table of distances",
            info="CSV of class, class and distance. It takes the place of model and images.",
        ),
    ] = None
    labels: Annotated[
        Path | None,
        Option(
            "With --distances: image, labels; semicolons between labels.",
            metavar="CSV",
            label="Table of labels",
            info="CSV of image and labels, semicolons between labels.",
        ),
    ] = None
    predictions: Annotated[
        Path | None,
        Option(
            "With --distances: image, predicted labels.",
            metavar="CSV",
            label="Table of predictions",
            info="The same, as predicted.",
        ),
    ] = None
