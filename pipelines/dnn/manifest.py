"""The parts of `run.json` on a test of the DNN under analysis, and on the model file of a job."""

from __future__ import annotations

from typing import ClassVar, Literal

from pipelines.dnn.evaluation import Task
from pipelines.dnn.model import Network
from pipelines.runs.files import as_text
from pipelines.runs.manifest import Number, Part
from pipelines.runs.wording import count_of


class ModelWeights(Part):
    """The model file that a job loaded.

    Attributes
    ----------
    source : str
        Path of the file.
    sha256 : str
        SHA-256 of the file's bytes, 64 hexadecimal digits.
    """

    part: ClassVar[Literal["weights"]] = "weights"

    source: str = ""
    sha256: str


def describe_model(network: Network) -> ModelWeights:
    """Return the entries of `run.json` on the model file."""
    return ModelWeights(source=as_text(network.file), sha256=network.digest)


def input_size(network: Network) -> tuple[int, int]:
    """Return width and height of the input in px; call `fix_size` first."""
    width, height = network.size
    assert width is not None and height is not None
    return width, height


def note_resized(network: Network, images: int) -> list[str]:
    """Return the note on images that had to be resized to the model's input, if any."""
    if not images:
        return []
    width, height = network.size
    return [
        f"{count_of(images, 'image')} of another size than the model's input ({width} x {height}): "
        "resized to it."
    ]


class DnnTestParameters(Part):
    """The options of a test; see `dnn.job.EvaluationOptions`."""

    part: ClassVar[Literal["parameters"]] = "parameters"

    model: str = ""
    images: str = ""
    scaling: str | None = None
    trust_model: bool = False
    classes: list[str] | None = None
    task: str | None = None
    error_threshold: Number | None = None
    key_points: bool = False
    groups: str | None = None


class DnnTestChoices(Part):
    """The choices of a test.

    Attributes
    ----------
    scaling : str
        See `dnn.model.load_network`.
    input_size : (int, int) or None
        Width and height of the model's input; None in tests of older versions.
    task : Task
    names : list of str
        Names of the outputs.
    """

    part: ClassVar[Literal["chosen"]] = "chosen"

    scaling: str
    input_size: tuple[int, int] | None = None
    task: Task
    names: list[str]


class DnnTestFigures(Part):
    """The figures of a test.

    Attributes
    ----------
    images, failures : int
        Number of tested images, and of those on which the DNN is wrong.
    accuracy, accuracy_low, accuracy_high : float
        Share of images on which the DNN is right, and its 95 % interval.
    mean_error : float or None
        Mean over all images, for a DNN that predicts numbers.
    groups : int or None
        Number of groups of the images; None when every image is a group of its own.
    """

    part: ClassVar[Literal["result"]] = "result"

    images: int
    failures: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    mean_error: float | None = None
    groups: int | None = None
