"""`evaluation.json`: how well the rankings by confusion and by bias match the labels."""

from __future__ import annotations

import json
from pathlib import Path

from pipelines.deepinspect.entries import EvaluationDocument
from pipelines.deepinspect.findings import Truths
from pipelines.deepinspect.results import AGAIN, EVALUATION_FILE
from pipelines.runs.files import write_text
from pipelines.runs.manifest import read_needed_document


def write_evaluation(run: Path, truths: Truths) -> None:
    """Write `evaluation.json`."""
    evaluations = truths.evaluations
    confusion, bias = evaluations.get("confusion"), evaluations.get("bias")
    document = EvaluationDocument(
        truth="type2" if truths.several else "type1",
        confusion=confusion.as_entry() if confusion else None,
        bias=bias.as_entry() if bias else None,
    )
    write_text(run / EVALUATION_FILE, json.dumps(document.model_dump(), indent=1) + "\n")


def read_evaluation(run: Path) -> EvaluationDocument | None:
    """Read `evaluation.json`; None for an inspection without labels.

    Raises
    ------
    InputError
        When the file is damaged.
    """
    if not (run / EVALUATION_FILE).exists():
        return None
    return read_needed_document(run, EVALUATION_FILE, EvaluationDocument, AGAIN)
