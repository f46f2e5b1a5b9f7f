"""The entries of `evaluation.json`: how well rankings of pairs of classes match the labels."""

from __future__ import annotations

from typing import Literal

from pipelines.runs.manifest import Document


class DetectionEntry(Document):
    """True errors among the reported pairs; see `evaluation.Detection`."""

    tp: int
    fp: int
    precision: float | None
    recall: float
    random_precision: float
    random_recall: float


class RankingEntry(Document):
    """The quality of a ranking; see `evaluation.Evaluation`."""

    pairs: int
    errors: int
    one_sd: DetectionEntry
    top_percent: DetectionEntry
    aucec: float
    aucec_optimum: float
    aucec_gain_over_random: float
    spearman: float | None
    curve: list[tuple[float, float]]


class EvaluationDocument(Document):
    """`evaluation.json`: a ranking is None if no pair is a true error.

    Attributes
    ----------
    truth : str
        Type of the confusions that are true errors: "type2" if images have several labels.
    """

    truth: Literal["type1", "type2"]
    confusion: RankingEntry | None
    bias: RankingEntry | None
