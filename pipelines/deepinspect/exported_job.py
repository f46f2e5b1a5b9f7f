"""DeepInspect on exports of another framework: distances of classes, labels and predictions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from pipelines.deepinspect.imports import (
    ImageLabels,
    as_matrix,
    join_labels,
    read_distances,
    read_labels,
)
from pipelines.deepinspect.inspection import compare, describe_findings, evaluate, write_tables
from pipelines.deepinspect.job import Options, check_options
from pipelines.deepinspect.manifest import ExportedParameters, InspectionChoices
from pipelines.deepinspect.results import JOB, OUTPUTS
from pipelines.runs.errors import InputError
from pipelines.runs.files import as_text
from pipelines.runs.folder import Run
from pipelines.runs.job import Job, Start, run_job
from pipelines.runs.manifest import ImageCounts, Manifest, write_part
from pipelines.runs.wording import count_of


def inspect_exported(
    distances: Path,
    out: Path,
    options: Options,
    *,
    labels: Path | None = None,
    predictions: Path | None = None,
    **start: Unpack[Start],
) -> Manifest:
    """Rank pairs of classes by distances that another framework exported; write the run `out`.

    Parameters
    ----------
    distances : Path
        A table with the columns class, class and distance.
    labels, predictions : Path, optional
        Tables with the columns image and labels: both or neither.
    start : Start

    Returns
    -------
    Manifest
        See `job.inspect_model`.

    Raises
    ------
    InputError
        When a table or an option cannot be used.
    """
    check_options(options)
    if (labels is None) != (predictions is None):
        raise InputError(
            "labels and predictions belong together: expected --labels and --predictions, "
            f"received {'--predictions' if labels is None else '--labels'} alone."
        )
    names, between = read_distances(distances)
    judged = None
    if labels is not None and predictions is not None:
        judged = _Judged(
            read_labels(labels, "--labels", names), read_labels(predictions, "--predictions", names)
        )
        join_labels(judged.labels, judged.predictions)
    job = Job(
        name=JOB,
        folder=distances.resolve().parent,
        sources=tuple(file for file in (distances, labels, predictions) if file is not None),
        parameters=ExportedParameters(
            distances=as_text(distances.resolve()),
            labels=as_text(labels.resolve()) if labels else None,
            predictions=as_text(predictions.resolve()) if predictions else None,
            top_percent=options.top_percent,
        ),
        outputs={JOB: OUTPUTS},
        work=lambda run: _inspect_tables(run, names, between, judged, options),
    )
    return run_job(job, out, **start)


@dataclass(frozen=True)
class _Judged:
    """The classes that images show, and those that are predicted for them, by image."""

    labels: ImageLabels
    predictions: ImageLabels


def _inspect_tables(
    run: Run,
    names: tuple[str, ...],
    between: NDArray[np.float64],
    judged: _Judged | None,
    options: Options,
) -> None:
    manifest = run.manifest
    findings = compare(run, names, between, options.top_percent)
    truths, counts = None, (None, None)
    if judged is not None:
        true, predicted = judged.labels, judged.predictions
        joined = join_labels(true, predicted)
        if unlike := len(true.keys() ^ predicted.keys()):
            manifest.notes.append(
                f"{count_of(unlike, 'image')} in only one of the tables of labels and "
                "predictions: left out."
            )
        shown = as_matrix([true[image] for image in joined], names)
        seen = as_matrix([predicted[image] for image in joined], names)
        several = bool((shown.sum(axis=1) > 1).any() or (seen.sum(axis=1) > 1).any())
        truths = evaluate(run, findings, shown, seen, several)
        counts = (seen.sum(axis=0), shown.sum(axis=0))
        manifest.images = ImageCounts(found=len(joined) + unlike, used=len(joined), rejected=unlike)
        write_part(manifest, InspectionChoices(task="several" if several else "classes"))
    describe_findings(manifest, findings, truths)
    run.begin_results()
    write_tables(run, findings, truths, None, *counts)
