"""The parts of `run.json` of a retraining."""

from __future__ import annotations

from typing import ClassVar, Literal

from pipelines.runs.manifest import Number, Part


class RetrainParameters(Part):
    """The options of a retraining; see `dnn.job.EvaluationOptions` and `training.Options`.

    Attributes
    ----------
    model, training, unsafe, test, validation, classes : str
        Paths of files and folders.
    scaling : str or None
        The option, otherwise the scaling of the run of the unsafe set.
    repeats : int
        Number of repeats of the comparison with other ways to choose images; 0 for none.
    """

    part: ClassVar[Literal["parameters"]] = "parameters"

    model: str
    training: str
    unsafe: str
    test: str
    validation: str | None = None
    scaling: str | None = None
    trust_model: bool = False
    classes: str | None = None
    task: str | None = None
    error_threshold: Number | None = None
    key_points: bool = False
    groups: str | None = None
    repeats: int = 0
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: Number | None = None
    schedule: str | None = None
    validation_share: Number | None = None
    patience: int | None = None
    augment: bool = False
    seed: int = 0
