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
    "Names of the classes, one a line, in the order of the model's outputs. (default: sorted)",
    metavar="FILE",
    label="Names of the classes",
    info="A file, one a line, in the order of the outputs. Empty: sorted.",
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
    "What the model predicts: classes (one an image), several (labels), or numbers. (default: as "
    "labels and model tell)",
    label="What the model predicts",
    info="One class an image, several labels, or numbers.",
    choices=TASKS,
    unset=GUESSED,
)
OVERWRITE = Option("Replace the run that --out holds.")
BATCH_SIZE = Option("Images the DNN sees at once.", numbers=COUNT)
NEW_FOLDER = Option("Folder to write: new, or empty.")

ModelFile = Annotated[Path, MODEL]
Scaling = Annotated[
    str | None,
    Option(
        "How pixels go into the model: none (0 to 255), 0-1, -1-1, caffe or torch. (default: none "
        "for a model that rescales them itself; else this option is needed)",
        label="Scaling of pixels",
        info="none: 0 to 255. caffe, torch: as networks trained on ImageNet.",
        choices=SCALINGS,
        unset=GUESSED,
    ),
]
TrustModel = Annotated[bool, Option("Run code that the model file holds (Lambda layers).")]
Classes = Annotated[Path | None, CLASSES]
Task = Annotated[str | None, TASK]
ErrorThreshold = Annotated[
    float | None,
    Option(
        "For numbers: mean error (for key points: mean distance) above which an image counts as "
        "failed.",
        numbers=NUMBER,
        label="Error threshold",
        info="For numbers: above this error, an image counts as failed.",
    ),
]
KeyPoints = Annotated[
    bool,
    Option(
        "The numbers are places in the picture: x and y of each point. (default: if their names "
        "say so)",
        label="The numbers are key points",
        info="Then an error is a distance in the picture.",
    ),
]
TestGroups = Annotated[
    str | None,
    Option(
        "Which test images are of one track, drive or person, and count as one in intervals and "
        "tests: a column of labels.csv or parameters.csv beside them, or a regular expression "
        "whose first group in the path names it. auto: by the stem that names share before a frame "
        "number. (default: auto)",
        metavar="COLUMN|REGEX|auto|none",
        label="Groups of test images",
        info="Of one track, drive or person, which intervals and tests count as one: a column of "
        "labels.csv or parameters.csv beside them, a regular expression, or none. Empty: by names "
        "such as 00012_00003.png.",
    ),
]
RunFolder = Annotated[Path, Option("Run folder to write: new, or empty.")]
Overwrite = Annotated[bool, OVERWRITE]
ParameterFiles = Annotated[
    tuple[Path, ...],
    Option(
        "CSV file of parameters of the images, first column the relative path; repeat for several. "
        "Columns label and prediction give confusions. Where passing images have rows, too, "
        "clusters are compared with passing images.",
        metavar="CSV",
        label="Parameter tables",
        info="CSV files, one a line: a row an image, failing or passing, its path first. Columns "
        "“label” and “prediction” give confusions. Empty: those of the earlier explanation.",
    ),
]
Angles = Annotated[
    tuple[str, ...],
    Option(
        "Parameter that is an angle in degrees; repeat for several.",
        metavar="NAME",
        label="Angles",
        info="Columns in degrees, with commas between.",
    ),
]
UnsafeValues = Annotated[
    Path | None,
    Option(
        "CSV file of parameter, value and side (near, at most, at least): where failures are "
        "likely.",
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
