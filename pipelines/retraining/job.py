"""From a model, its training set and a run's unsafe set to a better model, and the proof.

SAFE, steps 5 and 6; HUDD, steps 5 to 7.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from pipelines import runs
from pipelines.clusters import NOISE, RootCauseClusters, read_clusters, read_words
from pipelines.errors import InputError
from pipelines.files import atomic_write, write_csv, write_pairs, write_text
from pipelines.images import Rejected, as_text, none_usable
from pipelines.inspection import THUMBNAIL_FOLDER, draw_thumbnail
from pipelines.networks import Network, fix_size, load_network
from pipelines.report import write_report
from pipelines.reporting.wording import count_of
from pipelines.retrained import (
    CHANGES_FILE,
    HISTORY_FILE,
    MODEL_FILE,
    PROGRESS_FOLDER,
    REPAIRS_FILE,
    REPAIRS_PICTURE,
    RETRAINING_FILE,
    Comparison,
    Retraining,
)
from pipelines.retraining.balancing import Positions
from pipelines.retraining.before_after import (
    measure_change,
    measure_classes,
    measure_repairs,
)
from pipelines.retraining.comparison import OURS, compare, confidence, methods_of, summarise
from pipelines.retraining.labelled import (
    Example,
    Labelled,
    Pictures,
    align_numbers,
    check_apart,
    check_numbers,
    count_classes,
    gather,
    gather_unsafe,
    join_truth,
    name_classes,
)
from pipelines.retraining.picture import draw_repairs
from pipelines.retraining.recipe import read_recipe
from pipelines.retraining.training import STAGE, Epoch, Options, Trained, check_options
from pipelines.retraining.trial import Parts, Subject, divide, make_subject, run_trial
from pipelines.testing import Outcome, Task, find_task
from pipelines.testing_job import UNLABELLED, Asked, read_classes

CLASSES_FILE = "classes.csv"
TRAINED_FILE = "trained_with.csv"
COMPARISON_FILE = "comparison.csv"
CHECKING = "checking images"
LOADING = "loading the model"
DECODING = "decoding images"
BEFORE, AFTER = "testing before", "testing after"
COMPARING = "comparing"
DRAWING = "drawing thumbnails"
BEFORE_TRAINING = (CHECKING, LOADING, DECODING, BEFORE)
"""Stages in which a user who wants an end gets one at once."""
WORSE = 0.1
"""By how much less an epoch may get right of what is held out than the model before, unsaid."""
PER_CLUSTER, MOST_BROKEN = 8, 48
"""Thumbnails: of each cluster's failing images, and of those that broke."""
EPOCH_COLUMNS = ("epoch", "loss", "validation loss", "validation accuracy", "learning rate",
                 "seconds", "best")  # fmt: skip
CHANGES_COLUMNS = ("path", "expected", "before", "after", "right before", "right after", "cluster",
                   "sha256")  # fmt: skip
REPEATS_FILE = "repeats.json"

Floats = NDArray[np.float32]


def retrain(
    model: Path,
    training: Path,
    unsafe: Path,
    test: Path,
    out: Path,
    asked: Asked,
    options: Options,
    *,
    validation: Path | None = None,
    repeats: int = 0,
    progress: runs.Progress,
    command: Sequence[str] = (),
    overwrite: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> runs.Manifest:
    """Retrain a model with the labelled unsafe set of a run, and measure what that changed.

    The model file is never written to.  A job that was killed goes on from its last epoch, and its
    last repeat, when the same is asked for again.

    Parameters
    ----------
    training, test : Path
        Folders of labelled images.
    unsafe : Path
        A run of `cluster` or `heatmaps` whose unsafe set was selected.
    out : Path
        A new or empty folder, or an earlier retraining when `overwrite` is True.
    asked : Asked
        On the model and its labels.
    validation : Path, optional
        A folder of labelled images that finds the best epoch, instead of a share held out.
    repeats : int
        How often each way of choosing images is retrained with, to compare them; 0 for not at all.
    stop : callable
        Asked between batches whether training is to end with the best epoch so far.

    Returns
    -------
    Manifest
        `result` has accuracies before and after; all of it is in `retraining.json`.

    Raises
    ------
    InputError
        When a file, folder, label or option cannot be used.
    """
    _check(out, (training, test, validation), asked, options, repeats)
    clustered = _read_run(unsafe)
    scaling = asked.scaling or clustered.manifest.chosen.get("scaling")

    def listen(stage: str, done: int, total: int) -> None:
        if stop() and stage in BEFORE_TRAINING:
            raise KeyboardInterrupt
        progress(stage, done, total)

    manifest = runs.Manifest(
        job="retrain",
        command=[as_text(word) for word in command],
        folder=as_text(training.resolve()),
        parameters={
            "model": as_text(model.resolve()),
            "training": as_text(training.resolve()),
            "unsafe": as_text(unsafe.resolve()),
            "test": as_text(test.resolve()),
            "validation": validation and as_text(validation.resolve()),
            "scaling": scaling,
            "trust_model": asked.trust,
            "classes": asked.classes and as_text(asked.classes.resolve()),
            "task": asked.task,
            "error_threshold": asked.error_threshold,
            "key_points": asked.key_points,
            "repeats": repeats,
        }
        | asdict(options),
    )
    places = _Places(model, training, unsafe, test, validation)
    try:
        with runs.open_run(out, manifest, listen, overwrite=overwrite) as run:
            _retrain(run, places, clustered, asked, options, repeats, stop)
    except KeyboardInterrupt:
        if (out / RETRAINING_FILE).is_file():  # the comparison was stopped, what counts is there
            write_report(out)
        raise
    write_report(out)
    return manifest


def _retrain(
    run: runs.Run,
    places: _Places,
    clustered: _Clustered,
    asked: Asked,
    options: Options,
    repeats: int,
    stop: Callable[[], bool],
) -> None:
    # Nothing in it is lost when the job is: the next one with the same input goes on from it.
    kept = run.folder / PROGRESS_FOLDER
    kept.mkdir(exist_ok=True)
    manifest = run.manifest
    with run.stage(CHECKING):
        given = _gather(run, places, compared=repeats > 0)
    with run.stage(LOADING):
        run.progress(LOADING, 0, 1)
        network = load_network(places.model, manifest.parameters["scaling"], trust=asked.trust)
        images = [example.image for example in given.training.examples]
        size = clustered.manifest.chosen.get("input_size")
        network = fix_size(network, given.training.folder, images, size)
        run.progress(LOADING, 1, 1)
    subject, rejected = _prepare(run, given, network, asked, options)
    fingerprint = _fingerprint(manifest, subject)
    with run.stage(BEFORE):
        run.progress(BEFORE, 0, 1)
        before = subject.test_now()
        if before.note and not asked.classes and before.task == "classes":
            raise InputError(before.note)  # it would learn the wrong labels
        weights = network.model.get_weights()
    parts = divide(subject, _places(subject, "unsafe"), options, options.seed)
    _note_classes(manifest, subject, parts)
    with run.stage(STAGE):
        trained = run_trial(
            subject,
            parts,
            options,
            options.seed,
            progress=lambda done, total: run.progress(STAGE, done, total),
            heard=lambda history, best: _write_history(kept / HISTORY_FILE, history, best),
            stop=stop,
            checkpoint=kept,
            fingerprint=fingerprint,
        )
    if trained.ended == "stopped" and not trained.best:
        raise KeyboardInterrupt  # an earlier retraining is worth more than this
    with run.stage(AFTER):
        run.progress(AFTER, 0, 1)
        after = subject.test_now()
    found = _measure(manifest, given, subject, parts, trained, clustered, before, after)
    _describe(manifest, network, found, trained, before)
    _note_clusters(manifest, clustered, subject, before, network)
    count = len(subject.pictures.examples) + len(subject.test.examples)
    manifest.images = runs.ImageCounts(
        found=count + len(rejected), used=count, rejected=len(rejected)
    )
    compared = repeats > 0 and not stop()
    if repeats and not compared:
        manifest.notes.append("As it was stopped, ways to choose images are not compared.")
    run.begin_results()
    _write(run.folder, subject, parts, trained, clustered.clusters, before, after, found, rejected)
    with run.stage(DRAWING):
        _draw(run, subject, clustered.clusters, before, after)
    if compared:
        with run.stage(COMPARING):
            comparison = _compare(run, subject, options, repeats, weights, kept, stop)
        found = found.model_copy(update={"comparison": comparison})
        _write_comparison(run.folder, found, comparison)
    shutil.rmtree(kept)


def _check(
    out: Path,
    folders: Sequence[Path | None],
    asked: Asked,
    options: Options,
    repeats: int,
) -> None:
    """Try in vain what would otherwise go wrong later."""
    check_options(options)
    if repeats < 0:
        raise InputError(f"repeats: expected 0 or more, received {repeats}")
    if asked.task is not None and asked.task not in get_args(Task):
        raise InputError(f"task: expected {', '.join(get_args(Task))}, received {asked.task!r}")
    for folder in folders:
        if folder is not None:
            _check_outside(out, folder)


def _check_outside(out: Path, folder: Path) -> None:
    if out.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{out} lies among the images of {folder}. Choose another --out.")


@dataclass(frozen=True)
class _Places:
    """What the user names."""

    model: Path
    training: Path
    unsafe: Path
    test: Path
    validation: Path | None


@dataclass(frozen=True)
class _Clustered:
    """The run whose unsafe set is used, as it was when the job started."""

    manifest: runs.Manifest
    clusters: RootCauseClusters
    names: dict[int, str]


def _read_run(folder: Path) -> _Clustered:
    manifest = runs.read_manifest(folder)
    if manifest.job not in runs.CLUSTERING_JOBS or manifest.ended != "finished":
        raise InputError(
            f"{folder} holds no root cause clusters: its job, {manifest.job}, {manifest.ended}. "
            "Name a run of cluster or heatmaps whose unsafe set was selected."
        )
    words = read_words(folder)
    names = {cluster: said["name"] for cluster, said in words.items() if "name" in said}
    return _Clustered(manifest, read_clusters(folder), names)


@dataclass(frozen=True)
class _Given:
    """The sets of labelled images that the user names."""

    training: Labelled
    unsafe: Labelled
    test: Labelled
    validation: Labelled | None
    improvement: Labelled | None

    def trained(self) -> list[Labelled]:
        """Return those that may be trained with, or held out; the training set first."""
        more = (self.validation, self.improvement)
        return [self.training, self.unsafe, *(part for part in more if part)]


def _gather(run: runs.Run, places: _Places, *, compared: bool) -> _Given:
    def step(done: int, total: int) -> None:
        run.progress(CHECKING, done, total)

    training = gather("training", places.training, step)
    known = {label for each in training.examples for label in each.label}
    unsafe = gather_unsafe(places.unsafe, known, step)
    _check_outside(run.folder, unsafe.folder)
    test = gather("test", places.test, step)
    validation = gather("validation", places.validation, step) if places.validation else None
    improvement = gather("improvement", unsafe.folder, step) if compared else None
    if improvement:
        unlabelled = [file for file in improvement.rejected if file.reason == UNLABELLED]
        if unlabelled:
            raise InputError(
                f"--compare: {len(unlabelled):,} images of {unsafe.folder} have no label "
                f"({unlabelled[0].path}, ...), and the baselines choose from all of them. Label "
                "all, or retrain without --compare."
            )
    given = _Given(
        training,
        align_numbers(training, unsafe),
        align_numbers(training, test),
        align_numbers(training, validation) if validation else None,
        align_numbers(training, improvement) if improvement else None,
    )
    for part in given.trained():
        check_apart(part, test)
        if validation and part.examples[0].role != "validation":
            check_apart(part, validation)
    return _leave_twice(run.manifest, given)


def _leave_twice(manifest: runs.Manifest, given: _Given) -> _Given:
    """Leave out of the training set what is in the unsafe set: it would be held out and trained."""
    twice = {each.image.digest for each in given.unsafe.examples}
    kept = [each for each in given.training.examples if each.image.digest not in twice]
    if len(kept) == len(given.training.examples):
        return given
    if not kept:
        raise InputError(
            f"all images of the training set {given.training.folder} are in the unsafe set: name "
            "the folder that the model was trained with."
        )
    manifest.notes.append(
        f"{count_of(len(given.training.examples) - len(kept), 'image')} of the training set also "
        "in the unsafe set (the same bytes): they count as the latter."
    )
    return replace(given, training=replace(given.training, examples=kept))


def _prepare(
    run: runs.Run, given: _Given, network: Network, asked: Asked, options: Options
) -> tuple[Subject, list[Rejected]]:
    """Check the labels against the model, and decode all images once."""
    everything = [*given.trained(), given.test]
    truth = join_truth(everything)
    task: Any = asked.task or find_task(truth, network.activation, network.outputs)
    names: tuple[str, ...] = ()
    if task == "numbers":
        check_numbers(everything, network.outputs)
    else:
        classes = read_classes(asked.classes) if asked.classes else None
        names = name_classes(everything, network, classes, task)
    recipe = read_recipe(network, task, options.learning_rate)
    with run.stage(DECODING):
        examples = [example for part in given.trained() for example in part.examples]

        def step(done: int, total: int) -> None:
            run.progress(DECODING, done, total)

        pictures = Pictures(network, examples, step)
        test = Pictures(network, given.test.examples, step)
    rejected = [file for part in everything for file in part.rejected]
    rejected += pictures.rejected + test.rejected
    if not test.examples:
        raise none_usable(given.test.folder, rejected)
    if not any(each.role == "training" for each in pictures.examples):
        raise none_usable(given.training.folder, rejected)
    if not any(each.role == "unsafe" for each in pictures.examples):
        raise none_usable(given.unsafe.folder, rejected)
    unlabelled = [file for file in given.unsafe.rejected if file.reason == UNLABELLED]
    if unlabelled:
        run.manifest.notes.append(
            f"{count_of(len(unlabelled), 'image')} of the unsafe set without a label: left out, "
            f"see {runs.REJECTED_FILE}."
        )
    subject = make_subject(network, recipe, task, names, truth, asked, pictures, test)
    return subject, rejected


def _note_classes(manifest: runs.Manifest, subject: Subject, parts: Parts) -> None:
    if subject.task != "classes":
        return
    used = [subject.pictures.examples[place] for place in set(parts.training.tolist())]
    for name, images in sorted(count_classes(used).items()):
        if images == 1:
            manifest.notes.append(
                f"The class {name} has one image to train with: its accuracy says little."
            )


def _note_clusters(
    manifest: runs.Manifest,
    clustered: _Clustered,
    subject: Subject,
    before: Outcome,
    network: Network,
) -> None:
    """Say which failing images of the clusters the test set does not tell of."""
    digest = clustered.manifest.weights.get("sha256")
    if clustered.manifest.job == "heatmaps" and digest != network.digest:
        manifest.notes.append("The clusters are those of another model than the one retrained.")
    digests = set(clustered.clusters.digests)
    there = [p for p, each in enumerate(subject.test.examples) if each.image.digest in digests]
    wrong = sum(1 for place in there if not before.correct[place])
    if wrong < len(digests):
        manifest.notes.append(
            f"Of {count_of(len(digests), 'failing image')} in the clusters, {len(there):,} "
            f"{'is' if len(there) == 1 else 'are'} in the test set, by their bytes, and the model "
            f"before got {wrong:,} of those wrong: what became of clusters is told by these alone."
        )


def _fingerprint(manifest: runs.Manifest, subject: Subject, *, every: bool = False) -> str:
    """Return what makes two retrainings the same, so that one may go on from the other.

    Parameters
    ----------
    every : bool
        Whether the improvement set counts, too, as it does for the comparison.
    """
    told = {name: value for name, value in manifest.parameters.items() if name != "repeats"}
    examples = [
        (example.name, example.image.digest, *example.label, example.cluster)
        for example in (*subject.pictures.examples, *subject.test.examples)
        if every or example.role != "improvement"
    ]
    text = json.dumps(
        [told, subject.network.digest, subject.names, examples, manifest.versions], sort_keys=True
    )
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _places(subject: Subject, role: str) -> Positions:
    examples = subject.pictures.examples
    return np.array([p for p, each in enumerate(examples) if each.role == role], dtype=np.intp)


def _write_history(file: Path, history: Sequence[Epoch], best: int) -> None:
    write_csv(file, EPOCH_COLUMNS, [(*astuple(each), int(each.epoch == best)) for each in history])


# --- what it found ------------------------------------------------------------------------------


def _measure(
    manifest: runs.Manifest,
    given: _Given,
    subject: Subject,
    parts: Parts,
    trained: Trained,
    clustered: _Clustered,
    before: Outcome,
    after: Outcome,
) -> Retraining:
    examples, asked = subject.pictures.examples, manifest.parameters
    used = {int(place) for place in parts.training}
    unsafe = [examples[place] for place in sorted(used) if examples[place].role == "unsafe"]
    recipe = subject.recipe
    return Retraining(
        run=asked["unsafe"],
        model=asked["model"],
        training=asked["training"],
        improvement=as_text(given.unsafe.folder.resolve()),
        test=asked["test"],
        training_images=len(used) - len(unsafe),
        unsafe_images=len(unsafe),
        balanced_images=parts.chosen,
        held_out=len(parts.validation),
        recipe={
            "optimizer": f"{recipe.optimizer}, {recipe.sources['optimizer']}",
            "loss": f"{recipe.loss_name}, {recipe.sources['loss']}",
            "learning rate": f"{recipe.learning_rate:g}, {recipe.sources['learning rate']}",
        },
        best=trained.best,
        epochs=len(trained.history),
        ended=trained.ended,
        change=measure_change(before.correct, after.correct),
        classes=(
            measure_classes(before.expected, before.correct, after.correct)
            if subject.task == "classes"
            else []
        ),
        repairs=measure_repairs(
            clustered.clusters,
            clustered.names,
            Counter(example.cluster for example in unsafe),
            [example.image.digest for example in subject.test.examples],
            before.correct,
            after.correct,
        ),
    )


def _describe(
    manifest: runs.Manifest,
    network: Network,
    found: Retraining,
    trained: Trained,
    before: Outcome,
) -> None:
    manifest.weights = {"source": as_text(network.file), "sha256": network.digest}
    manifest.chosen = {
        "scaling": network.scaling,
        "input_size": network.size,
        "task": before.task,
        "names": list(before.names),
        "best_epoch": trained.best,
    } | found.recipe
    change = found.change
    manifest.result = {
        "images": change.before.images,
        "accuracy_before": change.before.share,
        "accuracy": change.after.share,
        "accuracy_low": change.after.low,
        "accuracy_high": change.after.high,
        "repaired": change.repaired,
        "broken": change.broken,
        "p": change.p,
        "ended": trained.ended,
    }
    if before.note:
        manifest.notes.append(before.note)
    if trained.ended == "stopped":
        manifest.notes.append("Training was stopped by the user: the best epoch by then is kept.")
    elif trained.ended == "diverged":
        kept = f"epoch {trained.best} is kept" if trained.best else "the model is as it was"
        manifest.notes.append(
            f"Training diverged in epoch {len(trained.history) + 1}: its loss grew out of bounds; "
            f"{kept}. Give a --learning-rate lower than {found.recipe['learning rate']}."
        )
    best = trained.history[trained.best - 1].validation_accuracy if trained.best else 1.0
    if best < trained.before - WORSE:
        manifest.notes.append(
            f"Of what is held out, the best epoch gets {best:.0%} right, and the model before "
            f"{trained.before:.0%} (which may have seen these images): a lower --learning-rate "
            "may do better."
        )


def _write(
    out: Path,
    subject: Subject,
    parts: Parts,
    trained: Trained,
    clusters: RootCauseClusters,
    before: Outcome,
    after: Outcome,
    found: Retraining,
    rejected: Sequence[Rejected],
) -> None:
    """Write the model and all tables: whatever goes wrong later, they are there."""
    write_model(subject.network.model, out / MODEL_FILE)
    _write_history(out / HISTORY_FILE, trained.history, trained.best)
    of = dict(zip(clusters.digests, clusters.labels.tolist(), strict=True))
    rows = [
        (
            example.image.path,
            before.expected[place],
            before.predicted[place],
            after.predicted[place],
            int(before.correct[place]),
            int(after.correct[place]),
            of.get(example.image.digest, ""),
            example.image.digest,
        )
        for place, example in enumerate(subject.test.examples)
    ]
    write_csv(out / CHANGES_FILE, CHANGES_COLUMNS, rows)
    copies = Counter(parts.training.tolist())
    held = set(parts.validation.tolist())
    with_ = [
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
    write_csv(out / TRAINED_FILE, ("set", "path", "label", "cluster", "times"), with_)
    _write_groups(out, found)
    with atomic_write(out / REPAIRS_PICTURE) as file:
        draw_repairs(found).save(file, "PNG")
    write_pairs(out / runs.REJECTED_FILE, [(file.path, file.reason) for file in rejected])
    write_text(out / RETRAINING_FILE, found.model_dump_json(indent=1) + "\n")


def _write_groups(out: Path, found: Retraining) -> None:
    write_csv(
        out / CLASSES_FILE,
        ("class", "images", "right before", "right after", "repaired", "broken", "p"),
        [
            (c.name, c.before.images, c.before.right, c.after.right, c.repaired, c.broken, c.p)
            for c in found.classes
        ],
    )
    write_csv(
        out / REPAIRS_FILE,
        ("cluster", "name", "failing", "labelled", "right now", "low", "high", "state"),
        [
            (r.cluster, r.name, r.failing, r.labelled, r.after.right, r.after.low, r.after.high,
             r.state)
            for r in found.repairs
        ],
    )  # fmt: skip


def write_model(model: Any, file: Path) -> None:
    """Write a Keras model file, whole or not at all."""
    # Keras goes by the ending.
    temporary = file.with_name(f".{file.stem}.{os.getpid()}.{secrets.token_hex(4)}{file.suffix}")
    try:
        model.save(temporary)
        with temporary.open("rb") as saved:
            os.fsync(saved.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _draw(
    run: runs.Run,
    subject: Subject,
    clusters: RootCauseClusters,
    before: Outcome,
    after: Outcome,
) -> None:
    """Draw thumbnails of what was repaired, what was not, and what broke."""
    of = dict(zip(clusters.digests, clusters.labels.tolist(), strict=True))
    wanted: list[Example] = []
    per_cluster: Counter[tuple[int, bool]] = Counter()
    broken = 0
    for place, example in enumerate(subject.test.examples):
        was, now = bool(before.correct[place]), bool(after.correct[place])
        group = (of.get(example.image.digest, NOISE), now)
        if was and not now and broken < MOST_BROKEN:
            broken += 1
            wanted.append(example)
        elif not was and example.image.digest in of and per_cluster[group] < PER_CLUSTER:
            per_cluster[group] += 1
            wanted.append(example)
    (run.folder / THUMBNAIL_FOLDER).mkdir(exist_ok=True)
    for done, example in enumerate(wanted, 1):
        draw_thumbnail(example.folder, example.image, run.folder)
        run.progress(DRAWING, done, len(wanted))


# --- the comparison -----------------------------------------------------------------------------


def _compare(
    run: runs.Run,
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
    chosen, improvement = _places(subject, "unsafe"), _places(subject, "improvement")
    examples = [subject.pictures.examples[place] for place in improvement.tolist()]
    outcome = subject.judge(examples, subject.predict(subject.pictures, improvement))
    sure = None
    if outcome.errors is None:
        sure = confidence(outcome.scores, several=outcome.task == "several")
    file = kept / REPEATS_FILE
    fingerprint = _fingerprint(run.manifest, subject, every=True)
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


def _write_comparison(out: Path, found: Retraining, comparison: Comparison) -> None:
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
    write_text(out / RETRAINING_FILE, found.model_dump_json(indent=1) + "\n")
