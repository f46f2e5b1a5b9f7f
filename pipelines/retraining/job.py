"""From a model, its training set and a run's unsafe set to a better model, and the proof.

SAFE, steps 5 and 6; HUDD, steps 5 to 7.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Unpack, get_args

from pipelines.data.images import Rejected, no_usable_image
from pipelines.data.labels import read_classes
from pipelines.dnn.evaluation import Outcome, Task, find_task
from pipelines.dnn.job import UNLABELLED, EvaluationOptions
from pipelines.dnn.model import Network, fix_size, load_network
from pipelines.retraining.comparison_job import COMPARING, compare_ways, fingerprint_of
from pipelines.retraining.examples import Pictures, check_numbers, join_truth, name_classes
from pipelines.retraining.files import (
    DRAWING,
    OUTPUTS,
    draw_changes,
    write_comparison,
    write_history,
    write_results,
)
from pipelines.retraining.findings import (
    describe_findings,
    measure_retraining,
    note_classes,
    note_clusters,
)
from pipelines.retraining.recipe import read_recipe
from pipelines.retraining.report import write_run_report
from pipelines.retraining.results import HISTORY_FILE, PROGRESS_FOLDER, RETRAINING_FILE
from pipelines.retraining.sets import (
    CHECKING,
    Clustered,
    Given,
    Places,
    gather_sets,
    read_clustered,
)
from pipelines.retraining.training import STAGE, Options, check_options
from pipelines.retraining.trial import (
    Subject,
    divide,
    make_subject,
    places_of,
    run_trial,
)
from pipelines.runs.errors import InputError
from pipelines.runs.files import as_text
from pipelines.runs.folder import REJECTED_FILE, Progress, Run
from pipelines.runs.job import Job, Start, run_job
from pipelines.runs.manifest import ImageCounts, Manifest
from pipelines.runs.wording import count_of

JOB = "retrain"
LOADING = "loading the model"
DECODING = "decoding images"
BEFORE, AFTER = "testing before", "testing after"
BEFORE_TRAINING = (CHECKING, LOADING, DECODING, BEFORE)
"""Stages in which a user who wants an end gets one at once."""


def retrain(
    model: Path,
    training: Path,
    unsafe: Path,
    test: Path,
    out: Path,
    asked: EvaluationOptions,
    options: Options,
    *,
    validation: Path | None = None,
    repeats: int = 0,
    stop: Callable[[], bool] = lambda: False,
    **start: Unpack[Start],
) -> Manifest:
    """Retrain a model with the labelled unsafe set of a run, and measure what that changed.

    The model file is never written to.  A job that was killed goes on from its last epoch, and its
    last repeat, when the same is asked for again.

    Parameters
    ----------
    training, test : Path
        Folders of labelled images.
    unsafe : Path
        A run of `cluster` or `heatmaps` whose unsafe set was selected.
    asked : EvaluationOptions
        On the model and its labels.
    validation : Path, optional
        A folder of labelled images that finds the best epoch, instead of a share held out.
    repeats : int
        How often each way of choosing images is retrained with, to compare them; 0 for not at all.
    stop : callable
        EvaluationOptions between batches whether training is to end with the best epoch so far.

    Returns
    -------
    Manifest
        `result` has accuracies before and after; all of it is in `retraining.json`.

    Raises
    ------
    InputError
        When a file, folder, label or option cannot be used.
    """
    _check(asked, options, repeats)
    clustered = read_clustered(unsafe)
    places = Places(model, training, unsafe, test, validation)
    job = _make_job(places, clustered, asked, options, repeats, stop)
    start["progress"] = _end_before_training(stop, start["progress"])
    try:
        return run_job(job, out, **start)
    except KeyboardInterrupt:
        if (out / RETRAINING_FILE).is_file():  # the comparison was stopped, what counts is there
            write_run_report(out)
        raise


def _make_job(
    places: Places,
    clustered: Clustered,
    asked: EvaluationOptions,
    options: Options,
    repeats: int,
    stop: Callable[[], bool],
) -> Job:
    labelled = [places.training, places.test, *((places.validation,) if places.validation else ())]
    return Job(
        name=JOB,
        folder=places.training,
        sources=(places.model, *labelled),
        parameters=_parameters(places, clustered, asked, options, repeats),
        outputs={JOB: OUTPUTS},
        work=lambda run: _retrain(run, places, clustered, asked, options, repeats, stop),
        report=write_run_report,
    )


def _end_before_training(stop: Callable[[], bool], progress: Progress) -> Progress:
    """Return a `progress` that ends the job where the user wants that before there are results."""

    def listen(stage: str, done: int, total: int) -> None:
        if stop() and stage in BEFORE_TRAINING:
            raise KeyboardInterrupt
        progress(stage, done, total)

    return listen


def _parameters(
    places: Places, clustered: Clustered, asked: EvaluationOptions, options: Options, repeats: int
) -> dict[str, object]:
    """Return the options as `run.json` keeps them."""
    validation = places.validation
    return {
        "model": as_text(places.model.resolve()),
        "training": as_text(places.training.resolve()),
        "unsafe": as_text(places.unsafe.resolve()),
        "test": as_text(places.test.resolve()),
        "validation": validation and as_text(validation.resolve()),
        "scaling": asked.scaling or clustered.manifest.chosen.get("scaling"),
        "trust_model": asked.trust,
        "classes": asked.classes and as_text(asked.classes.resolve()),
        "task": asked.task,
        "error_threshold": asked.error_threshold,
        "key_points": asked.key_points,
        "groups": asked.groups,
        "repeats": repeats,
    } | asdict(options)


def _retrain(
    run: Run,
    places: Places,
    clustered: Clustered,
    asked: EvaluationOptions,
    options: Options,
    repeats: int,
    stop: Callable[[], bool],
) -> None:
    # Nothing in it is lost when the job is: the next one with the same input goes on from it.
    kept = run.folder / PROGRESS_FOLDER
    kept.mkdir(exist_ok=True)
    manifest = run.manifest
    with run.stage(CHECKING):
        given = gather_sets(run, places, compared=repeats > 0, groups=asked.groups)
    network = _load(run, places, given, clustered, asked)
    subject, rejected = _prepare(run, given, network, asked, options)
    fingerprint = fingerprint_of(manifest, subject)
    before = _test_before(run, subject, asked)
    weights = network.model.get_weights()
    parts = divide(subject, places_of(subject, "unsafe"), options, options.seed)
    note_classes(manifest, subject, parts)
    with run.stage(STAGE):
        trained = run_trial(
            subject,
            parts,
            options,
            options.seed,
            progress=lambda done, total: run.progress(STAGE, done, total),
            heard=lambda history, best: write_history(kept / HISTORY_FILE, history, best),
            stop=stop,
            checkpoint=kept,
            fingerprint=fingerprint,
        )
    if trained.ended == "stopped" and not trained.best:
        raise KeyboardInterrupt  # an earlier retraining is worth more than this
    with run.stage(AFTER):
        run.progress(AFTER, 0, 1)
        after = subject.test_now()
    change = measure_retraining(manifest, given, subject, parts, trained, clustered, before, after)
    describe_findings(manifest, network, change, trained, before)
    note_clusters(manifest, clustered, subject, before, network)
    count = len(subject.pictures.examples) + len(subject.test.examples)
    manifest.images = ImageCounts(found=count + len(rejected), used=count, rejected=len(rejected))
    compared = repeats > 0 and not stop()
    if repeats and not compared:
        manifest.notes.append("As it was stopped, ways to choose images are not compared.")
    run.begin_results()
    write_results(
        run.folder, subject, parts, trained, clustered.clusters, before, after, change,
        given.groups, rejected,
    )  # fmt: skip
    with run.stage(DRAWING):
        draw_changes(run, subject, clustered.clusters, before, after)
    if compared:
        with run.stage(COMPARING):
            comparison = compare_ways(run, subject, options, repeats, weights, kept, stop)
        change = change.model_copy(update={"comparison": comparison})
        write_comparison(run.folder, change, comparison)
    shutil.rmtree(kept)


def _load(
    run: Run, places: Places, given: Given, clustered: Clustered, asked: EvaluationOptions
) -> Network:
    """Load the model, for images of the size that the run of the unsafe set took."""
    with run.stage(LOADING):
        run.progress(LOADING, 0, 1)
        scaling = run.manifest.parameters["scaling"]
        network = load_network(places.model, scaling, trust=asked.trust)
        images = [example.image for example in given.training.examples]
        size = clustered.manifest.chosen.get("input_size")
        network = fix_size(network, given.training.folder, images, size)
        run.progress(LOADING, 1, 1)
    return network


def _test_before(run: Run, subject: Subject, asked: EvaluationOptions) -> Outcome:
    """Test the model as it is; raise InputError where it would learn the wrong labels."""
    with run.stage(BEFORE):
        run.progress(BEFORE, 0, 1)
        before = subject.test_now()
        if before.note and not asked.classes and before.task == "classes":
            raise InputError(before.note)
    return before


def _check(asked: EvaluationOptions, options: Options, repeats: int) -> None:
    """Raise InputError where an option cannot be used."""
    check_options(options)
    if repeats < 0:
        raise InputError(f"repeats: expected 0 or more, received {repeats}")
    if asked.task is not None and asked.task not in get_args(Task):
        raise InputError(f"task: expected {', '.join(get_args(Task))}, received {asked.task!r}")


def _prepare(
    run: Run, given: Given, network: Network, asked: EvaluationOptions, options: Options
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
        raise no_usable_image(given.test.folder, rejected)
    if not any(example.role == "training" for example in pictures.examples):
        raise no_usable_image(given.training.folder, rejected)
    if not any(example.role == "unsafe" for example in pictures.examples):
        raise no_usable_image(given.unsafe.folder, rejected)
    unlabelled = [file for file in given.unsafe.rejected if file.reason == UNLABELLED]
    if unlabelled:
        run.manifest.notes.append(
            f"{count_of(len(unlabelled), 'image')} of the unsafe set without a label: left out, "
            f"see {REJECTED_FILE}."
        )
    subject = make_subject(network, recipe, task, names, truth, asked, pictures, test)
    return subject, rejected
