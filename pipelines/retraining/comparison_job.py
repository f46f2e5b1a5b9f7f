"""The comparison as a stage of retraining: trials that an earlier job finished are not repeated."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from pipelines.retraining.balancing import Positions
from pipelines.retraining.comparison import (
    OURS,
    compare_methods,
    compute_confidence,
    list_methods,
    summarise,
)
from pipelines.retraining.results import Comparison
from pipelines.retraining.training import Options, Weights
from pipelines.retraining.trial import Subject, find_positions, run_trial, split_images
from pipelines.runs import folder as run_folder
from pipelines.runs.files import write_text
from pipelines.runs.manifest import Manifest

COMPARING = "comparing"
REPEATS_FILE = "repeats.json"


def run_comparison(
    run: run_folder.Run,
    subject: Subject,
    options: Options,
    repeats: int,
    weights: Weights,
    kept: Path,
    stop: Callable[[], bool],
) -> Comparison:
    """Retrain with each method of choosing images, and compare the accuracies.

    Parameters
    ----------
    repeats : int
        Number of trainings with each method.
    weights : list of array
        Weights of the model before retraining, from which each training starts.
    kept : Path
        Folder with the finished trials, from which an interrupted job continues.
    stop : callable
        Returns True when the user wants to stop.

    Raises
    ------
    KeyboardInterrupt
        When the user stops the comparison.
    """
    model = subject.network.model
    model.set_weights(weights)
    chosen, improvement = find_positions(subject, "unsafe"), find_positions(subject, "improvement")
    examples = [subject.pictures.examples[place] for place in improvement.tolist()]
    outcome = subject.judge(examples, subject.predict(subject.pictures, improvement))
    confidences = None
    if outcome.errors is None:
        confidences = compute_confidence(outcome.scores, several=outcome.task == "several")
    file = kept / REPEATS_FILE
    fingerprint = fingerprint_of(run.manifest, subject, with_improvement=True)
    earlier = _read_repeats(file, fingerprint)
    trials = repeats * len(list_methods(confidences))
    diverged: Counter[str] = Counter()

    def train_with(method: str, places: Positions, seed: int) -> float:
        split = our_split = split_images(subject, chosen, options, seed)
        if method != OURS:
            split = split_images(subject, improvement[places], options, seed, like=our_split)
        model.set_weights(weights)

        def report_progress(done: int, total: int) -> None:
            run.progress(COMPARING, len(earlier) * total + done, trials * total)

        ended = run_trial(subject, split, options, seed, progress=report_progress, stop=stop).ended
        if ended == "stopped":
            raise KeyboardInterrupt
        diverged[method] += ended == "diverged"
        return subject.test_now().accuracy()

    def keep(method: str, repeat: int, accuracy: float) -> None:
        rows = [[*key, value] for key, value in earlier.items()]
        write_text(file, json.dumps({"fingerprint": fingerprint, "repeats": rows}))

    accuracies = compare_methods(
        len(chosen),
        ~outcome.correct,
        confidences,
        train_with,
        repeats=repeats,
        seed=options.seed,
        earlier=earlier,
        keep=keep,
    )
    run.manifest.notes += [
        f"Comparison: training with {method} diverged {times} times; its best epoch before that "
        "counts."
        for method, times in diverged.items()
        if times
    ]
    first = split_images(subject, chosen, options, options.seed)
    return summarise(accuracies, len(chosen), first.chosen)


def _read_repeats(file: Path, fingerprint: str) -> dict[tuple[str, int], float]:
    """Return the accuracies of the trials that an earlier job finished, by method and repeat."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        if document["fingerprint"] != fingerprint:
            return {}
        return {(str(method), int(repeat)): float(a) for method, repeat, a in document["repeats"]}
    except (OSError, LookupError, TypeError, ValueError):
        return {}


def fingerprint_of(manifest: Manifest, subject: Subject, *, with_improvement: bool = False) -> str:
    """Return a digest of everything that training depends on.

    Two retrainings with the same fingerprint are the same: one may continue the other.

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
