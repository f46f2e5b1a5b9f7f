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
from dataclasses import asdict, astuple, dataclass
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
    clustered = _check(unsafe, out, (training, test, validation), asked, options, repeats)
    scaling = asked.scaling or clustered.chosen.get("scaling")
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
    with runs.open_run(out, manifest, progress, overwrite=overwrite) as run:
        # Nothing in it is lost when the job is: the next one with the same input goes on from it.
        kept = out / PROGRESS_FOLDER
        kept.mkdir(exist_ok=True)
        with run.stage(CHECKING):
            given = _gather(run, training, unsafe, test, validation, compared=repeats > 0)
        with run.stage(LOADING):
            run.progress(LOADING, 0, 1)
            network = load_network(model, scaling, trust=asked.trust)
            images = [example.image for example in given.training.examples]
            network = fix_size(network, given.training.folder, images)
            run.progress(LOADING, 1, 1)
        subject, rejected = _prepare(run, given, network, asked, options)
        fingerprint = _fingerprint(manifest, network, subject)
        with run.stage(BEFORE):
            run.progress(BEFORE, 0, 1)
            before = subject.test_now()
            weights = network.model.get_weights()
        chosen = _places(subject, "unsafe")
        parts = divide(subject, chosen, options, options.seed)
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
        with run.stage(AFTER):
            run.progress(AFTER, 0, 1)
            after = subject.test_now()
        clusters = read_clusters(unsafe)
        found = _measure(manifest, given, subject, parts, trained, clusters, before, after)
        _describe(manifest, network, found, trained, before, options)
        count = len(subject.pictures.examples) + len(subject.test.examples)
        manifest.images = runs.ImageCounts(
            found=count + len(rejected), used=count, rejected=len(rejected)
        )
        run.begin_results()
        _write(out, subject, parts, trained, clusters, before, after, found, rejected)
        if repeats and not stop():
            with run.stage(COMPARING):
                comparison = _compare(
                    run, subject, options, repeats, weights, kept, fingerprint, stop
                )
            found = found.model_copy(update={"comparison": comparison})
            _write_comparison(out, found, comparison)
        with run.stage(DRAWING):
            _draw(run, subject, clusters, before, after)
        shutil.rmtree(kept)
    write_report(out)
    return manifest


def _check(
    unsafe: Path,
    out: Path,
    folders: Sequence[Path | None],
    asked: Asked,
    options: Options,
    repeats: int,
) -> runs.Manifest:
    """Try in vain what would otherwise go wrong later; return the manifest of the clusters."""
    check_options(options)
    if repeats < 0:
        raise InputError(f"repeats: expected 0 or more, received {repeats}")
    if asked.task is not None and asked.task not in get_args(Task):
        raise InputError(f"task: expected {', '.join(get_args(Task))}, received {asked.task!r}")
    for folder in folders:
        if folder is not None and out.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"{out} lies among the images of {folder}. Choose another --out.")
    return _read_run(unsafe)


def _read_run(folder: Path) -> runs.Manifest:
    manifest = runs.read_manifest(folder)
    if manifest.job not in runs.CLUSTERING_JOBS or manifest.ended != "finished":
        raise InputError(
            f"{folder} holds no root cause clusters: its job, {manifest.job}, {manifest.ended}. "
            "Name a run of cluster or heatmaps whose unsafe set was selected."
        )
    return manifest


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


def _gather(
    run: runs.Run,
    training: Path,
    unsafe: Path,
    test: Path,
    validation: Path | None,
    *,
    compared: bool,
) -> _Given:
    def step(done: int, total: int) -> None:
        run.progress(CHECKING, done, total)

    chosen = gather_unsafe(unsafe, step)
    given = _Given(
        gather("training", training, step),
        chosen,
        gather("test", test, step),
        gather("validation", validation, step) if validation else None,
        gather("improvement", chosen.folder, step) if compared else None,
    )
    for part in given.trained():
        check_apart(part, given.test)
    if given.validation:
        check_apart(given.training, given.validation)
        check_apart(given.unsafe, given.validation)
    if given.improvement:
        unlabelled = [f for f in given.improvement.rejected if f.reason == UNLABELLED]
        if unlabelled:
            raise InputError(
                f"--compare: {len(unlabelled):,} images of {chosen.folder} have no label "
                f"({unlabelled[0].path}, ...), and the baselines choose from all of them. Label "
                "all, or retrain without --compare."
            )
    return given


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
    _note_sets(run.manifest, given, pictures, task, asked)
    subject = make_subject(network, recipe, task, names, truth, asked, pictures, test)
    return subject, rejected


def _note_sets(
    manifest: runs.Manifest, given: _Given, pictures: Pictures, task: Task, asked: Asked
) -> None:
    unlabelled = [file for file in given.unsafe.rejected if file.reason == UNLABELLED]
    if unlabelled:
        manifest.notes.append(
            f"{count_of(len(unlabelled), 'image')} of the unsafe set without a label: left out, "
            f"see {runs.REJECTED_FILE}."
        )
    if task != "classes":
        return
    counts = count_classes([each for each in pictures.examples if each.role != "improvement"])
    for name, images in sorted(counts.items()):
        if images == 1:
            manifest.notes.append(
                f"The class {name} has one image to train with: it is not held out, and its "
                "accuracy says little."
            )


def _fingerprint(manifest: runs.Manifest, network: Network, subject: Subject) -> str:
    """Return what makes two retrainings the same, so that one may go on from the other."""
    told = {name: value for name, value in manifest.parameters.items() if name != "repeats"}
    examples = [
        (example.name, example.image.digest, *example.label, example.cluster)
        for example in (*subject.pictures.examples, *subject.test.examples)
        if example.role != "improvement"
    ]
    text = json.dumps([told, network.digest, examples, manifest.versions], sort_keys=True)
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
    clusters: RootCauseClusters,
    before: Outcome,
    after: Outcome,
) -> Retraining:
    examples, asked = subject.pictures.examples, manifest.parameters
    used = {int(place) for place in parts.training}
    unsafe = [examples[place] for place in sorted(used) if examples[place].role == "unsafe"]
    words = read_words(Path(asked["unsafe"]))
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
            clusters,
            {cluster: said["name"] for cluster, said in words.items() if "name" in said},
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
    options: Options,
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
    if trained.ended == "diverged":
        kept = f"epoch {trained.best} is kept" if trained.best else "the model is as it was"
        manifest.notes.append(
            f"Training diverged in epoch {len(trained.history) + 1} (its loss was no number any "
            f"more): {kept}. Give a --learning-rate lower than {found.recipe['learning rate']}."
        )
    elif not trained.best:
        manifest.notes.append("No epoch was finished: the model is as it was.")
    if not found.repairs:
        manifest.notes.append(
            "None of the failing images of the clusters is in the test set, by their bytes: "
            "which clusters are repaired cannot be told. Test on the set that the failing images "
            "come from."
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
    fingerprint: str,
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
    earlier = _read_repeats(file, fingerprint)
    trials = repeats * len(methods_of(sure))
    trained = divide(subject, chosen, options, options.seed).chosen
    totals: dict[int, int] = {}

    def train_with(method: str, places: Positions, seed: int) -> float:
        if seed not in totals:
            totals[seed] = divide(subject, chosen, options, seed).chosen
        if method == OURS:
            parts = divide(subject, chosen, options, seed)
        else:
            parts = divide(subject, improvement[places], options, seed, total=totals[seed])
        model.set_weights(weights)

        def told(done: int, total: int) -> None:
            run.progress(COMPARING, len(earlier) * total + done, trials * total)

        if run_trial(subject, parts, options, seed, progress=told, stop=stop).ended == "stopped":
            raise KeyboardInterrupt
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
    return summarise(accuracies, len(chosen), trained)


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
