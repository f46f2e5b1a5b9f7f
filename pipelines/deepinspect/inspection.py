"""The steps after the distances of classes are known, from a model or from an export.

DeepInspect, section IV: rank pairs of classes, compare them with labels, write tables.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Bools
from pipelines.deepinspect.activation import Probabilities
from pipelines.deepinspect.confusion import known_classes
from pipelines.deepinspect.evaluation import evaluate_ranking, spearman
from pipelines.deepinspect.evaluation_file import write_evaluation
from pipelines.deepinspect.findings import Findings, Truths, find_pairs, find_truths
from pipelines.deepinspect.manifest import InspectionFigures, PairCounts
from pipelines.deepinspect.ranking import Ranking, pairs_of, rank_pairs
from pipelines.deepinspect.results import (
    DIGITS,
    write_activation,
    write_classes,
    write_pairs_tables,
)
from pipelines.runs.folder import Run
from pipelines.runs.manifest import Manifest, write_part

COMPARING = "comparing classes"
EVALUATING = "evaluating"
WRITING = "writing tables"
NAMED = 10


def compare(
    run: Run, names: tuple[str, ...], distances: NDArray[np.float64], top_percent: float
) -> Findings:
    """Rank all pairs of classes by distance and by bias; note classes that are never predicted."""
    with run.stage(COMPARING):
        run.progress(COMPARING, 0, 1)
        _check_classes(names, distances, run.manifest)
        findings = find_pairs(names, distances, top_percent)
        run.progress(COMPARING, 1, 1)
    return findings


def evaluate(
    run: Run,
    findings: Findings,
    truth: Bools,
    predicted: Bools,
    several: bool,
    labelled: Bools | None = None,
) -> Truths:
    """Find the pairs that labels show to be confused or biased, and evaluate the ranking."""
    with run.stage(EVALUATING):
        run.progress(EVALUATING, 0, 1)
        truths = find_truths(findings, truth, predicted, several=several, labelled=labelled)
        run.progress(EVALUATING, 1, 1)
    return truths


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def _check_classes(
    names: Sequence[str], distances: NDArray[np.float64], manifest: Manifest
) -> None:
    """Note which classes are never predicted, and where bias is not defined."""
    known = set(known_classes(distances).tolist())
    missing = [name for place, name in enumerate(names) if place not in known]
    if missing:
        manifest.notes.append(
            f"Never predicted: {_some(missing)} ({len(missing)} of {len(names)} classes). Which "
            "neurons they activate is not known: their pairs have no distance and are ranked last."
        )
    if len(known) == 2:
        manifest.notes.append(
            "Bias is not defined between two classes: it needs a third class (Equation 3)."
        )


def describe_findings(manifest: Manifest, findings: Findings, truths: Truths | None) -> None:
    """Write the counts of reported pairs into the manifest; note what cannot be evaluated."""
    figures = InspectionFigures(
        classes=len(findings.names),
        predicted_classes=len(known_classes(findings.distances)),
        pairs=len(findings.scores["confusion"]),
        confusion=_count_pairs(findings.rankings["confusion"]),
    )
    if "bias" in findings.rankings:
        bias = _count_pairs(findings.rankings["bias"])
        figures = figures.model_copy(update={"bias": bias})
    if truths is not None:
        confused = {image for pair in truths.images.values() for image in pair}
        figures = figures.model_copy(update={"confused_images": len(confused)})
    write_part(manifest, figures)
    if truths is None:
        return
    for kind, evaluation in truths.evaluations.items():
        if evaluation is None:
            manifest.notes.append(
                f"No pair stands out in the labels' {kind}: its ranking cannot be evaluated."
            )


def _count_pairs(ranking: Ranking) -> PairCounts:
    return PairCounts(
        one_sd=int(ranking.one_sd.sum()),
        top_percent=int(ranking.top.sum()),
        cut=float(f"{ranking.cut:.{DIGITS}g}"),  # distances may have any unit
    )


def compare_thresholds(
    manifest: Manifest,
    thresholds: Sequence[float],
    findings: Findings,
    truths: Truths | None,
    others: Sequence[NDArray[np.float64]],
    top_percent: float,
) -> None:
    """Write into the manifest how much the ranking depends on the threshold.

    Parameters
    ----------
    thresholds : sequence of float
        The first is that of `findings`.
    others : sequence of arrays of float64, shape (k, k)
        Distances for the other thresholds; without these, nothing is written.
    """
    if not others:
        return
    pairs = pairs_of(len(findings.names))
    first = findings.scores["confusion"]
    rows = []
    for threshold, distances in zip(thresholds, [findings.distances, *others], strict=True):
        scores = distances[pairs]
        ranking = rank_pairs(scores, lowest_first=True, top_percent=top_percent)
        alike = spearman(first, scores)
        row: dict[str, object] = {
            "threshold": threshold,
            "one_sd": int(ranking.one_sd.sum()),
            "spearman_with_first": None if alike is None else round(alike, 4),
        }
        if truths is not None:
            judged = evaluate_ranking(scores, truths.values["confusion"], ranking)
            row["aucec_gain_over_random"] = None if judged is None else round(judged.gain, 4)
        rows.append(row)
    manifest.result["thresholds"] = rows


def write_tables(
    run: Run,
    findings: Findings,
    truths: Truths | None,
    measured: Probabilities | None,
    predicted: NDArray[np.int64] | None,
    labelled: NDArray[np.int64] | None,
) -> None:
    """Write all tables of an inspection except those about single images."""
    with run.stage(WRITING):
        run.progress(WRITING, 0, 1)
        write_classes(run.folder, findings, predicted, labelled)
        write_pairs_tables(run.folder, findings, truths)
        write_activation(run.folder, findings, measured)
        if truths is not None:
            write_evaluation(run.folder, truths)
        run.progress(WRITING, 1, 1)
