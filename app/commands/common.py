"""Options that several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from app.commands.option import Option
from app.numbers import COUNT, NUMBER

GUESSED = "as the model tells"
"""The page's choice that lets the tool decide by the model and its labels."""
SCALINGS = ("none", "0-1", "-1-1", "caffe", "torch")
TASKS = ("classes", "several", "numbers")
PLACEHOLDER = "/path/to/model.keras"
HOW = ("copy", "link")

MODEL = Option(
    "Keras model file of the DNN under analysis (.keras, .h5).",
    by_place=True,
    label="Keras model of the DNN under analysis",
    placeholder=PLACEHOLDER,
    needed="the model file of the DNN under analysis",
)
CLASSES = Option(
    "File with the names of the classes, one per line, in the order of the model's outputs. "
    "(default: sorted)",
    metavar="FILE",
    label="Names of the classes",
    info="A file with one name per line, in the order of the outputs. Empty: sorted.",
)
FAILING_IMAGES = Option(
    "Folder of images on which the DNN failed, or a list of them, such as failures.txt of a test "
    "or a pair's list of inspect; read only.",
    by_place=True,
    label="Folder of images on which the DNN failed",
    needed="the folder that holds the images",
    images=True,
)
TASK = Option(
    "What the model predicts: classes (one per image), several (labels per image), or numbers. "
    "(default: decided by labels and model)",
    label="What the model predicts",
    info="One class per image, several labels per image, or numbers.",
    choices=TASKS,
    unset=GUESSED,
)
OVERWRITE = Option("Replace the run that --out holds.")
BATCH_SIZE = Option("Number of images per batch of the DNN.", numbers=COUNT)
NEW_FOLDER = Option("Folder to write; it must be new or empty.")

ModelFile = Annotated[Path, MODEL]
Scaling = Annotated[
    str | None,
    Option(
        "How pixels are scaled for the model: none (0 to 255), 0-1, -1-1, caffe or torch. "
        "(default: none for a model that rescales them itself; otherwise this option is required)",
        label="Scaling of pixels",
        info="none: 0 to 255. caffe, torch: as for networks trained on ImageNet.",
        choices=SCALINGS,
        unset=GUESSED,
    ),
]
TrustModel = Annotated[bool, Option("Run code inside the model file (Lambda layers).")]
Classes = Annotated[Path | None, CLASSES]
Task = Annotated[str | None, TASK]
ErrorThreshold = Annotated[
    float | None,
    Option(
        "For numbers: mean error (for key points: mean distance) above which an image counts as "
        "failing.",
        numbers=NUMBER,
        label="Error threshold",
        info="For numbers: above this error, an image counts as failing.",
    ),
]
KeyPoints = Annotated[
    bool,
    Option(
        "The numbers are the x and y of key points in the image. (default: decided by their names)",
        label="The numbers are key points",
        info="An error is then a distance in the image.",
    ),
]
TestGroups = Annotated[
    str | None,
    Option(
        "How to find the group (track, drive or person) of each test image; intervals and tests "
        "count a group as one. A column of labels.csv or parameters.csv beside the images, or a "
        "regular expression whose first group in the path is the group. auto: the part of the "
        "file name before a frame number. none: every image is a group of its own. (default: "
        "auto)",
        metavar="COLUMN|REGEX|auto|none",
        label="Groups of test images",
        info="How to find the track, drive or person of each image; intervals and tests count it "
        "as one: a column of labels.csv or parameters.csv beside the images, a regular "
        "expression, or none. Empty: by names such as 00012_00003.png.",
    ),
]
RunFolder = Annotated[Path, Option("Run folder to write; it must be new or empty.")]
Overwrite = Annotated[bool, OVERWRITE]
ParameterFiles = Annotated[
    tuple[Path, ...],
    Option(
        "CSV file with parameters of the images; its first column is the relative path. Repeat "
        "for several. The columns label and prediction give confusions. If passing images have "
        "rows, too, clusters are compared with passing images.",
        metavar="CSV",
        label="Parameter tables",
        info="CSV files, one per line; they have one row per failing or passing image, and the "
        "path in the first column. Columns “label” and “prediction” give confusions. Empty: "
        "those of the earlier explanation.",
    ),
]
Angles = Annotated[
    tuple[str, ...],
    Option(
        "Parameter that is an angle in degrees; repeat for several.",
        metavar="NAME",
        label="Angles",
        info="Columns in degrees, separated by commas.",
    ),
]
UnsafeValues = Annotated[
    Path | None,
    Option(
        "CSV file with the columns parameter, value and side (near, at most, at least): values "
        "where failures are likely.",
        metavar="CSV",
        label="Unsafe values",
        info="A CSV file with the columns parameter, value and side.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class EvaluatedOptions:
    """Options of commands that test a DNN on labelled images; they follow the command's own."""

    scaling: Scaling = None
    classes: Classes = None
    task: Task = None
    error_threshold: ErrorThreshold = None
    key_points: KeyPoints = False
    groups: TestGroups = None
    trust_model: TrustModel = False
