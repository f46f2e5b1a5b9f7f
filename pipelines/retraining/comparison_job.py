"""The comparison as a stage of retraining; trials of an earlier job are not repeated."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Floats, Positions
from pipelines.retraining.checkpoint import Weights
from pipelines.retraining.comparison import (
    OURS,
    compare_methods,
    compute_confidence,
    list_methods,
    summarise,
)
from pipelines.retraining.results import Comparison
from pipelines.retraining.training import Options, Watch
from pipelines.retraining.trial import Subject, find_positions, run_trial, split_images
from pipelines.runs import folder as run_folder
from pipelines.runs.errors import InputError
from pipelines.runs.files import write_text
from pipelines.runs.manifest import Document, Manifest, read_document
from pipelines.runs.wording import count_of

COMPARING = "comparing"
REPEATS_FILE = "repeats.json"


class FinishedTrials(Document):
    """`repeats.json`: method, repeat and accuracy of each trial that a job finished.

    Attributes
    ----------
    fingerprint : str
        Of the comparison; see `fingerprint_of`.
    """

    fingerprint: str
    repeats: list[tuple[str, int, float]]


def run_comparison(
    run: run_folder.Run,
    subject: Subject,
    options: Options,
    repeats: int,
    weights: Weights,
    progress_folder: Path,
    stop: Callable[[], bool],
) -> Comparison:
    """Retrain with each method of choosing images, and compare the accuracies.

    Parameters
    ----------
    weights : list of array
        Weights of the model before retraining, from which each training starts.
    progress_folder : Path
        Folder with the finished trials, from which an interrupted job continues.

    Raises
    ------
    KeyboardInterrupt
        When the user stops the comparison.
    """
    subject.network.model.set_weights(weights)
    chosen, improvement = find_positions(subject, "unsafe"), find_positions(subject, "improvement")
    wrong, confidences = _judge_improvement(subject, improvement)
    file = progress_folder / REPEATS_FILE
    fingerprint = fingerprint_of(run.manifest, subject, with_improvement=True)
    earlier = _read_repeats(file, fingerprint)
    trials = repeats * len(list_methods(confidences))
    diverged: Counter[str] = Counter()

    def train_with(method: str, places: Positions, seed: int) -> float:
        split = our_split = split_images(subject, chosen, options, seed)
        if method != OURS:
            split = split_images(subject, improvement[places], options, seed, like=our_split)
        subject.network.model.set_weights(weights)

        def report_progress(done: int, total: int) -> None:
            run.progress(COMPARING, len(earlier) * total + done, trials * total)

        trained = run_trial(subject, split, options, seed, Watch(report_progress, stop=stop))
        if trained.ended == "stopped":
            raise KeyboardInterrupt
        diverged[method] += trained.ended == "diverged"
        return subject.test_now().accuracy()

    accuracies = compare_methods(
        len(chosen),
        wrong,
        confidences,
        train_with,
        repeats=repeats,
        seed=options.seed,
        earlier=earlier,
        keep=lambda *trial: _write_repeats(file, fingerprint, earlier),
    )
    _note_divergence(run.manifest, diverged)
    first = split_images(subject, chosen, options, options.seed)
    return summarise(accuracies, len(chosen), first.chosen)


def _judge_improvement(
    subject: Subject, improvement: Positions
) -> tuple[NDArray[np.bool_], Floats | None]:
    """Return on which images of the improvement set the DNN is wrong, and its confidences."""
    examples = [subject.pictures.examples[place] for place in improvement.tolist()]
    outcome = subject.judge(examples, subject.predict(subject.pictures, improvement))
    if outcome.errors is not None:  # a DNN that predicts numbers has no confidences
        return ~outcome.correct, None
    several = outcome.task == "several"
    return ~outcome.correct, compute_confidence(outcome.scores, several=several)


def _note_divergence(manifest: Manifest, diverged: Counter[str]) -> None:
    """Note how often training with each method diverged."""
    manifest.notes += [
        f"Comparison: training with {method} diverged {count_of(times, 'time')}; its best epoch "
        "before that counts."
        for method, times in diverged.items()
        if times
    ]


def _write_repeats(file: Path, fingerprint: str, accuracies: dict[tuple[str, int], float]) -> None:
    """Write the accuracies of the finished trials, from which a later job continues."""
    rows = [(*trial, accuracy) for trial, accuracy in accuracies.items()]
    write_text(file, FinishedTrials(fingerprint=fingerprint, repeats=rows).model_dump_json())


def _read_repeats(file: Path, fingerprint: str) -> dict[tuple[str, int], float]:
    """Return the accuracies of the trials that an earlier job finished, by method and repeat."""
    try:
        finished = read_document(file, FinishedTrials, "")
    except InputError:  # damaged: train from the start
        return {}
    if finished is None or finished.fingerprint != fingerprint:
        return {}
    return {(method, repeat): accuracy for method, repeat, accuracy in finished.repeats}


def fingerprint_of(manifest: Manifest, subject: Subject, *, with_improvement: bool = False) -> str:
    """Return a digest of everything that training depends on.

    Two retrainings with the same fingerprint are equal: one may continue the other.

    Parameters
    ----------
    with_improvement : bool
        Whether to include the improvement set, on which the comparison depends.
    """
    # Training depends on neither of these two.
    parameters = {
        n: value for n, value in manifest.parameters.items() if n not in {"repeats", "groups"}
    }
    examples = [
        (example.name, example.image.digest, *example.label, example.cluster)
        for example in (*subject.pictures.examples, *subject.test.examples)
        if with_improvement or example.role != "improvement"
    ]
    text = json.dumps(
        [parameters, subject.network.digest, subject.names, examples, manifest.versions],
        sort_keys=True,
    )
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
