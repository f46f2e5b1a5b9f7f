"""The files of a retraining: model, tables, a picture, and thumbnails of changed images."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

from pipelines.clusters.clusters import NOISE, RootCauseClusters
from pipelines.clusters.report.report import REPORT_FILE
from pipelines.data.groups import Groups
from pipelines.data.images import Rejected
from pipelines.data.thumbnails import (
    DRAWING,
    THUMBNAIL_FOLDER,
    THUMBNAIL_NAMES,
    draw_thumbnail,
)
from pipelines.dnn.evaluation import Outcome
from pipelines.retraining.checkpoint import Epoch
from pipelines.retraining.examples import Example
from pipelines.retraining.picture import draw_repairs
from pipelines.retraining.recipe import KerasObject
from pipelines.retraining.results import (
    CHANGES_COLUMNS,
    CHANGES_FILE,
    EPOCH_COLUMNS,
    HISTORY_FILE,
    MODEL_FILE,
    REPAIRS_FILE,
    REPAIRS_PICTURE,
    RETRAINING_FILE,
    Comparison,
    Retraining,
)
from pipelines.retraining.training import TrainingOutcome
from pipelines.retraining.trial import Subject, TrialSplit
from pipelines.runs import folder as run_folder
from pipelines.runs.files import (
    Outputs,
    atomic_write,
    name_temporary,
    replace_file,
    write_csv,
    write_pairs,
    write_text,
)

CLASSES_FILE = "classes.csv"
TRAINED_FILE = "trained_with.csv"
COMPARISON_FILE = "comparison.csv"
OUTPUTS = Outputs(
    (
        MODEL_FILE,
        RETRAINING_FILE,
        CHANGES_FILE,
        REPAIRS_FILE,
        REPAIRS_PICTURE,
        CLASSES_FILE,
        HISTORY_FILE,
        TRAINED_FILE,
        COMPARISON_FILE,
        REPORT_FILE,
        run_folder.REJECTED_FILE,
    ),
    {THUMBNAIL_FOLDER: THUMBNAIL_NAMES},
)
PER_CLUSTER, MOST_BROKEN = 8, 48
"""Number of thumbnails: repaired or unrepaired images of a cluster; broken images in total."""


def write_results(
    out: Path,
    subject: Subject,
    split: TrialSplit,
    trained: TrainingOutcome,
    clusters: RootCauseClusters,
    before: Outcome,
    after: Outcome,
    retraining: Retraining,
    groups: Groups,
    rejected: Sequence[Rejected],
) -> None:
    """Write the model and all tables, before steps that may still fail.

    Parameters
    ----------
    before, after : Outcome
        Tests of the model before and of the retrained model, on the test images in their order.
    groups : Groups
        Groups of the test images.
    """
    write_model(subject.network.model, out / MODEL_FILE)
    write_history(out / HISTORY_FILE, trained.history, trained.best)
    cluster_of = dict(zip(clusters.digests, clusters.labels.tolist(), strict=True))
    rows = [
        (
            example.image.path,
            before.expected[place],
            before.predicted[place],
            after.predicted[place],
            int(before.correct[place]),
            int(after.correct[place]),
            cluster_of.get(example.image.digest, ""),
            example.image.digest,
            groups.names.get(example.image.path, example.image.path) if groups.how else "",
        )
        for place, example in enumerate(subject.test.examples)
    ]
    write_csv(out / CHANGES_FILE, (*CHANGES_COLUMNS, "group"), rows)
    copies = Counter(split.training.tolist())
    held = set(split.validation.tolist())
    trained_rows = [
        (
            example.role,
            example.image.path,
            ";".join(example.label),
            example.cluster if example.role == "unsafe" else "",
            "held out" if place in held else copies[place],
        )
        for place, example in enumerate(subject.pictures.examples)
        if place in held or copies[place]
    ]
    write_csv(out / TRAINED_FILE, ("set", "path", "label", "cluster", "times"), trained_rows)
    _write_changes(out, retraining)
    with atomic_write(out / REPAIRS_PICTURE) as file:
        draw_repairs(retraining).save(file, "PNG")
    write_pairs(out / run_folder.REJECTED_FILE, [(file.path, file.reason) for file in rejected])
    write_text(out / RETRAINING_FILE, retraining.model_dump_json(indent=1) + "\n")


def _write_changes(out: Path, retraining: Retraining) -> None:
    write_csv(
        out / CLASSES_FILE,
        ("class", "images", "right before", "right after", "repaired", "broken", "p", "groups"),
        [
            (
                c.name,
                c.before.images,
                c.before.right,
                c.after.right,
                c.repaired,
                c.broken,
                c.p,
                _cell(c.groups),
            )
            for c in retraining.classes
        ],
    )
    write_csv(
        out / REPAIRS_FILE,
        ("cluster", "name", "failing", "labelled", "right now", "low", "high", "state",
         "groups"),
        [
            (r.cluster, r.name, r.failing, r.labelled, r.after.right, r.after.low, r.after.high,
             r.state, _cell(r.groups))
            for r in retraining.repairs
        ],
    )  # fmt: skip


def _cell(groups: int | None) -> int | str:
    return "" if groups is None else groups


def write_model(model: KerasObject, file: Path) -> None:
    """Write a Keras model file, whole or not at all."""
    # Keras chooses the format by the file's ending, so the temporary name keeps it.
    temporary = name_temporary(file, f".tmp{file.suffix}")
    try:
        model.save(temporary)
        with temporary.open("rb") as saved:
            os.fsync(saved.fileno())
        replace_file(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def draw_changes(
    run: run_folder.Run,
    subject: Subject,
    clusters: RootCauseClusters,
    before: Outcome,
    after: Outcome,
) -> None:
    """Draw thumbnails of images that were repaired, were not repaired, or broke."""
    cluster_of = dict(zip(clusters.digests, clusters.labels.tolist(), strict=True))
    wanted: list[Example] = []
    per_cluster: Counter[tuple[int, bool]] = Counter()
    broken = 0
    for place, example in enumerate(subject.test.examples):
        was, now = bool(before.correct[place]), bool(after.correct[place])
        group = (cluster_of.get(example.image.digest, NOISE), now)
        if was and not now and broken < MOST_BROKEN:
            broken += 1
            wanted.append(example)
        elif not was and example.image.digest in cluster_of and per_cluster[group] < PER_CLUSTER:
            per_cluster[group] += 1
            wanted.append(example)
    (run.folder / THUMBNAIL_FOLDER).mkdir(exist_ok=True)
    for done, example in enumerate(wanted, 1):
        draw_thumbnail(example.folder, example.image, run.folder)
        run.progress(DRAWING, done, len(wanted))


def write_history(file: Path, history: Sequence[Epoch], best: int) -> None:
    """Write `history.csv`: one line for each epoch; the best one is marked."""
    write_csv(file, EPOCH_COLUMNS, [(*astuple(row), int(row.epoch == best)) for row in history])


def write_comparison(out: Path, retraining: Retraining, comparison: Comparison) -> None:
    """Write `comparison.csv`, and write `retraining.json` again with the comparison."""
    write_csv(
        out / COMPARISON_FILE,
        ("method", "mean", "deviation", "a12", "effect", "p", "accuracies"),
        [
            (
                method.name,
                method.mean,
                method.deviation,
                "" if method.a12 is None else method.a12,
                method.effect,
                "" if method.p is None else method.p,
                " ".join(map(str, method.accuracies)),
            )
            for method in comparison.methods
        ],
    )
    write_text(out / RETRAINING_FILE, retraining.model_dump_json(indent=1) + "\n")
