"""The parts of `run.json` of a run of coverage, and of perturbed images."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from pipelines.runs.manifest import Number, Part


class CoverageParameters(Part):
    """The options of a run of coverage; see `deepimportance.job.Options`."""

    part: ClassVar[Literal["parameters"]] = "parameters"

    model: str = ""
    training: str = ""
    tests: list[str] = Field(default_factory=list)
    candidates: str | None = None
    layer: str | None = None
    neurons: int | None = None
    clusters: int | None = None
    rule: str = ""
    class_: str | None = Field(default=None, validation_alias="class", serialization_alias="class")
    classes: str | None = None
    scaling: str | None = None
    trust_model: bool = False


class CoverageFigures(Part):
    """The results of a run of coverage for its first test set.

    Attributes
    ----------
    combinations : int or str
        Number of all combinations; a string of digits if it is too large for a JSON number.
    covered : int
        Number of combinations with a test image.
    coverage : float
        Share of covered combinations.
    images, training_images : int
    new_images, new_combinations : int or None
        Number of new images, and of those that add a combination; None without new images.
    """

    part: ClassVar[Literal["result"]] = "result"

    combinations: int | str
    covered: int
    coverage: float
    images: int
    training_images: int
    new_images: int | None = None
    new_combinations: int | None = None


class PerturbParameters(Part):
    """The options of `perturb`; see `perturbation_job.Options`."""

    part: ClassVar[Literal["parameters"]] = "parameters"

    model: str = ""
    how: str = ""
    strength: Number | None = None
    seed: int = 0
    classes: str | None = None
    scaling: str | None = None
    trust_model: bool = False


class PerturbFigures(Part):
    """The results of perturbing images.

    Attributes
    ----------
    images, unchanged : int
        Number of all copies, and of those that equal their originals.
    labels : str
        Source of their labels, in words; empty if there are none.
    """

    part: ClassVar[Literal["result"]] = "result"

    images: int
    unchanged: int
    labels: str
