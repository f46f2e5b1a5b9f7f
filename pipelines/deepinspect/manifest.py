"""The parts of `run.json` of an inspection of a model, or of an export of another framework."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipelines.runs.manifest import Manifest, Number, Part, read_part


class InspectParameters(Part):
    """The options of an inspection of a model; see `deepinspect.job.Options`."""

    part: ClassVar[Literal["parameters"]] = "parameters"

    model: str
    images: str = ""
    scaling: str | None = None
    trust_model: bool = False
    classes: list[str] | None = None
    task: str | None = None
    labels: bool = True
    thresholds: list[Number] = Field(default_factory=list)
    layers: list[str] = Field(default_factory=list)
    normalise: bool = False
    top_percent: Number
    batch_size: int | None = None


class ExportedParameters(Part):
    """The options of an inspection of exported distances; the first three are paths of tables."""

    part: ClassVar[Literal["parameters"]] = "parameters"

    distances: str
    labels: str | None = None
    predictions: str | None = None
    top_percent: Number


class InspectionChoices(Part):
    """The choices of an inspection.

    Attributes
    ----------
    scaling, input_size
        Only for a model; see `dnn.manifest.DnnTestChoices`.
    task : str or None
        "classes" (one per image) or "several"; None if neither labels nor user say it.
    layers : dict of str to int
        Number of neurons of each measured layer.
    """

    part: ClassVar[Literal["chosen"]] = "chosen"

    scaling: str | None = None
    input_size: tuple[int, int] | None = None
    task: Literal["classes", "several"] | None = None
    layers: dict[str, int] = Field(default_factory=dict)


class PairCounts(BaseModel):
    """The number of pairs of classes that a ranking reports.

    Attributes
    ----------
    one_sd : int
        Number of pairs more than one standard deviation beyond the mean.
    top_percent : int
        Number of those in the top percent.
    cut : float
        The score at one standard deviation beyond the mean.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    one_sd: int
    top_percent: int
    cut: float


class InspectionFigures(Part):
    """The figures of an inspection.

    Attributes
    ----------
    classes, predicted_classes : int
        Number of all classes, and of those that are predicted for an image.
    pairs : int
        Number of pairs of classes.
    confusion : PairCounts
    bias : PairCounts or None
        None if there are only two classes.
    confused_images : int or None
        None without labels.
    """

    part: ClassVar[Literal["result"]] = "result"

    classes: int
    predicted_classes: int = 0
    pairs: int
    confusion: PairCounts
    bias: PairCounts | None = None
    confused_images: int | None = None


def read_options(manifest: Manifest) -> InspectParameters | ExportedParameters:
    """Read the options of an inspection; InputError if they cannot be read."""
    if "distances" in manifest.parameters:
        return read_part(manifest, ExportedParameters)
    return read_part(manifest, InspectParameters)
