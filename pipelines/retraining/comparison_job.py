"""The comparison as a job: trial by trial, and what an earlier job has done is not done again."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from pipelines.retraining.balancing import Positions
from pipelines.retraining.comparison import OURS, compare, confidence, methods_of, summarise
from pipelines.retraining.results import Comparison
from pipelines.retraining.training import Options
from pipelines.retraining.trial import Subject, divide, places_of, run_trial
from pipelines.runs import folder as run_folder
from pipelines.runs.files import write_text
from pipelines.runs.manifest import Manifest

COMPARING = "comparing"
REPEATS_FILE = "repeats.json"


def compare_ways(
    run: run_folder.Run,
    subject: Subject,
    options: Options,
    repeats: int,
    weights: list[NDArray[Any]],
    kept: Path,
    stop: Callable[[], bool],
) -> Comparison:
    """Retrain with each way of choosing images; what an earlier job has done is not done again."""
    model = subject.network.model
    model.set_weights(weights)
    chosen, improvement = places_of(subject, "unsafe"), places_of(subject, "improvement")
    examples = [subject.pictures.examples[place] for place in improvement.tolist()]
    outcome = subject.judge(examples, subject.predict(subject.pictures, improvement))
    sure = None
    if outcome.errors is None:
        sure = confidence(outcome.scores, several=outcome.task == "several")
    file = kept / REPEATS_FILE
    fingerprint = fingerprint_of(run.manifest, subject, every=True)
    earlier = _read_repeats(file, fingerprint)
    trials = repeats * len(methods_of(sure))
    diverged: Counter[str] = Counter()

    def train_with(method: str, places: Positions, seed: int) -> float:
        parts = ours = divide(subject, chosen, options, seed)
        if method != OURS:
            parts = divide(subject, improvement[places], options, seed, like=ours)
        model.set_weights(weights)

        def told(done: int, total: int) -> None:
            run.progress(COMPARING, len(earlier) * total + done, trials * total)

        ended = run_trial(subject, parts, options, seed, progress=told, stop=stop).ended
        if ended == "stopped":
            raise KeyboardInterrupt
        diverged[method] += ended == "diverged"
        return subject.test_now().accuracy()

    def keep(method: str, repeat: int, accuracy: float) -> None:
        rows = [[*key, value] for key, value in earlier.items()]
        write_text(file, json.dumps({"fingerprint": fingerprint, "repeats": rows}))

    accuracies = compare(
        len(chosen),
        ~outcome.correct,
        sure,
        train_with,
        repeats=repeats,
        seed=options.seed,
        earlier=earlier,
        keep=keep,
    )
    run.manifest.notes += [
        f"Compared: {method} diverged {times} times, and counts with its best epoch by then."
        for method, times in diverged.items()
        if times
    ]
    first = divide(subject, chosen, options, options.seed)
    return summarise(accuracies, len(chosen), first.chosen)


def _read_repeats(file: Path, fingerprint: str) -> dict[tuple[str, int], float]:
    """Return the accuracies of the repeats that an earlier job has done, by method and repeat."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        if told["fingerprint"] != fingerprint:
            return {}
        return {(str(method), int(repeat)): float(a) for method, repeat, a in told["repeats"]}
    except (OSError, LookupError, TypeError, ValueError):
        return {}


def fingerprint_of(manifest: Manifest, subject: Subject, *, every: bool = False) -> str:
    """Return what makes two retrainings the same, so that one may go on from the other.

    Parameters
    ----------
    every : bool
        Whether the improvement set counts, too, as it does for the comparison.
    """
    # Neither changes what is trained.
    told = {n: value for n, value in manifest.parameters.items() if n not in {"repeats", "groups"}}
    examples = [
        (example.name, example.image.digest, *example.label, example.cluster)
        for example in (*subject.pictures.examples, *subject.test.examples)
        if every or example.role != "improvement"
    ]
    text = json.dumps(
        [told, subject.network.digest, subject.names, examples, manifest.versions], sort_keys=True
    )
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
