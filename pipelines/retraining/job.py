"""Retraining as a job: from a model and a run's unsafe set to a retrained model and its test.

SAFE, steps 5 and 6; HUDD, steps 5 to 7.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from pipelines.clusters.manifest import HeatmapChoices
from pipelines.data.image_lists import CHECKING
from pipelines.data.images import Rejected, no_usable_image
from pipelines.data.labels import read_classes
from pipelines.data.thumbnails import DRAWING
from pipelines.dnn.evaluation import Outcome, Task, find_task, read_task
from pipelines.dnn.job import UNLABELLED, EvaluationOptions
from pipelines.dnn.model import LOADING, Network, check_network, fix_size, load_network
from pipelines.dnn.scaling_notes import note_better_scaling, note_double_scaling
from pipelines.retraining.comparison_job import COMPARING, fingerprint_of, run_comparison
from pipelines.retraining.examples import LabelledSet, Pictures
from pipelines.retraining.files import (
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
from pipelines.retraining.inputs import InputPaths, check_inputs
from pipelines.retraining.manifest import RetrainParameters
from pipelines.retraining.recipe import read_recipe
from pipelines.retraining.report import write_run_report
from pipelines.retraining.results import HISTORY_FILE, PROGRESS_FOLDER, RETRAINING_FILE
from pipelines.retraining.sets import (
    ClusteredRun,
    LabelledSets,
    gather_sets,
    read_clustered,
)
from pipelines.retraining.targets import check_numbers, join_truth, name_classes
from pipelines.retraining.training import STAGE, Options, TrainingOutcome, Watch, check_options
from pipelines.retraining.trial import (
    Subject,
    TrialSplit,
    find_positions,
    make_subject,
    run_trial,
    split_images,
)
from pipelines.runs.errors import InputError
from pipelines.runs.files import as_text
from pipelines.runs.folder import REJECTED_FILE, Progress, Run
from pipelines.runs.job import Job, Start, run_job
from pipelines.runs.manifest import ImageCounts, Manifest, find_part, read_part
from pipelines.runs.wording import count_of

JOB = "retrain"
DECODING = "decoding images"
BEFORE, AFTER = "testing before", "testing after"
BEFORE_TRAINING = (CHECKING, LOADING, DECODING, BEFORE)
"""Stages in which a stop by the user ends the job at once."""


def retrain(
    model: Path,
    training: Path,
    unsafe: Path,
    test: Path,
    out: Path,
    evaluation: EvaluationOptions,
    options: Options,
    *,
    validation: Path | None = None,
    repeats: int = 0,
    stop: Callable[[], bool] = lambda: False,
    **start: Unpack[Start],
) -> Manifest:
    """Retrain a model with the labelled unsafe set of a run, and measure the changes.

    The model file is never changed.  A killed job continues when it is started again.

    Parameters
    ----------
    training, test : Path
        Folders of labelled images.
    unsafe : Path
        A run of `cluster` or `heatmaps` with a selected unsafe set.
    evaluation, options : EvaluationOptions, Options
        Options for loading and testing the model, and for training it.
    validation : Path, optional
        A folder of labelled images that find the best epoch, instead of held-out images.
    repeats : int
        Number of trainings with each method of choosing images, to compare methods; 0 for none.
    stop : callable
        Called between batches; returns True to end training with the best epoch so far.
    start : Start

    Returns
    -------
    Manifest
        `result` has the accuracies before and after; `retraining.json` has all results.

    Raises
    ------
    InputError
        When a file, folder, label or option cannot be used.
    KeyboardInterrupt
        When the user stops the job before there are results, or during the comparison.
    """
    _check(evaluation, options, repeats)
    clustered = read_clustered(unsafe)
    paths = InputPaths(model, training, unsafe, test, validation)
    classes = read_classes(evaluation.classes) if evaluation.classes else None
    job = _make_job(_Request(paths, clustered, evaluation, options, repeats, stop, classes))
    start["progress"] = _end_before_training(stop, start["progress"])
    try:
        return run_job(job, out, **start)
    except KeyboardInterrupt:
        if (out / RETRAINING_FILE).is_file():  # stopped during the comparison: the model is written
            write_run_report(out)
        raise


@dataclass(frozen=True)
class _Request:
    """The inputs and options of a retraining; see `retrain`."""

    paths: InputPaths
    clustered: ClusteredRun
    evaluation: EvaluationOptions
    options: Options
    repeats: int
    stop: Callable[[], bool]
    classes: tuple[str, ...] | None


def _make_job(request: _Request) -> Job:
    paths, evaluation = request.paths, request.evaluation
    check_network(paths.model, _choose_scaling(request), trust=evaluation.trust)
    improvement = check_inputs(paths, evaluation.groups, compared=request.repeats > 0)
    labelled = [paths.training, paths.test, *((paths.validation,) if paths.validation else ())]
    return Job(
        name=JOB,
        folder=paths.training,
        sources=(paths.model, *labelled, improvement),
        parameters=_parameters(request),
        outputs={JOB: OUTPUTS},
        work=lambda run: _retrain(run, request),
        report=write_run_report,
    )


def _end_before_training(stop: Callable[[], bool], progress: Progress) -> Progress:
    """Return a `progress` that also ends the job if the user stops it before training."""

    def listen(stage: str, done: int, total: int) -> None:
        if stop() and stage in BEFORE_TRAINING:
            raise KeyboardInterrupt
        progress(stage, done, total)

    return listen


def _choose_scaling(request: _Request) -> str | None:
    """Return the scaling of the options, else that of the heatmaps of the run."""
    explained = find_part(request.clustered.manifest, HeatmapChoices)
    return request.evaluation.scaling or (explained.scaling if explained else None)


def _parameters(request: _Request) -> RetrainParameters:
    """Return the options in the form of `run.json`."""
    paths, evaluation, options = request.paths, request.evaluation, request.options
    return RetrainParameters(
        model=as_text(paths.model.resolve()),
        training=as_text(paths.training.resolve()),
        unsafe=as_text(paths.unsafe.resolve()),
        test=as_text(paths.test.resolve()),
        validation=as_text(paths.validation.resolve()) if paths.validation else None,
        scaling=_choose_scaling(request),
        trust_model=evaluation.trust,
        classes=as_text(evaluation.classes.resolve()) if evaluation.classes else None,
        task=evaluation.task,
        error_threshold=evaluation.error_threshold,
        key_points=evaluation.key_points,
        groups=evaluation.groups,
        repeats=request.repeats,
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        schedule=options.schedule,
        validation_share=options.validation_share,
        patience=options.patience,
        augment=options.augment,
        seed=options.seed,
    )


def _retrain(run: Run, request: _Request) -> None:
    clustered, evaluation, options = request.clustered, request.evaluation, request.options
    repeats, stop = request.repeats, request.stop
    # This folder survives a kill: the next job with the same inputs continues from it.
    progress_folder = run.folder / PROGRESS_FOLDER
    progress_folder.mkdir(exist_ok=True)
    manifest = run.manifest
    with run.stage(CHECKING):
        sets = gather_sets(run, request.paths, compared=repeats > 0, groups=evaluation.groups)
    network = _load(run, request, sets)
    subject, rejected = _prepare(run, sets, network, request)
    before = _test_before(run, subject, evaluation)
    weights = network.model.get_weights()
    split = split_images(subject, find_positions(subject, "unsafe"), options, options.seed)
    note_classes(manifest, subject, split)
    trained = _train(run, subject, split, options, progress_folder, stop)
    with run.stage(AFTER):
        run.progress(AFTER, 0, 1)
        after = subject.test_now()
    retraining = measure_retraining(
        manifest, sets, subject, split, trained, clustered, before, after
    )
    describe_findings(manifest, network, retraining, trained, before)
    note_clusters(manifest, clustered, subject, before, network)
    count = len(subject.pictures.examples) + len(subject.test.examples)
    manifest.images = ImageCounts(found=count + len(rejected), used=count, rejected=len(rejected))
    compared = repeats > 0 and not stop()
    if repeats and not compared:
        manifest.notes.append("Training was stopped: methods of choosing images are not compared.")
    run.begin_results()
    write_results(
        run.folder, subject, split, trained, clustered.clusters, before, after, retraining,
        sets.groups, rejected,
    )  # fmt: skip
    with run.stage(DRAWING):
        draw_changes(run, subject, clustered.clusters, before, after)
    if compared:
        with run.stage(COMPARING):
            comparison = run_comparison(
                run, subject, options, repeats, weights, progress_folder, stop
            )
        retraining = retraining.model_copy(update={"comparison": comparison})
        write_comparison(run.folder, retraining, comparison)
    shutil.rmtree(progress_folder)


def _train(
    run: Run,
    subject: Subject,
    split: TrialSplit,
    options: Options,
    progress_folder: Path,
    stop: Callable[[], bool],
) -> TrainingOutcome:
    """Train the model, continuing from the state in the folder `progress_folder`.

    Raises
    ------
    KeyboardInterrupt
        When the user stops training before the first epoch ends; an earlier retraining is kept.
    """
    with run.stage(STAGE):
        trained = run_trial(
            subject,
            split,
            options,
            options.seed,
            Watch(
                lambda done, total: run.progress(STAGE, done, total),
                lambda history, best: write_history(progress_folder / HISTORY_FILE, history, best),
                stop,
                progress_folder,
                fingerprint_of(run.manifest, subject),
            ),
        )
    if trained.ended == "stopped" and not trained.best:
        raise KeyboardInterrupt
    return trained


def _load(run: Run, request: _Request, sets: LabelledSets) -> Network:
    """Load the model, with the input size of the run of the unsafe set."""
    with run.stage(LOADING):
        run.progress(LOADING, 0, 1)
        scaling = read_part(run.manifest, RetrainParameters).scaling
        network = load_network(request.paths.model, scaling, trust=request.evaluation.trust)
        images = [example.image for example in sets.training.examples]
        explained = find_part(request.clustered.manifest, HeatmapChoices)
        size = explained.input_size if explained else None
        network = fix_size(network, sets.training.folder, images, size)
        run.progress(LOADING, 1, 1)
    return network


def _note_scaling(
    run: Run,
    network: Network,
    test: LabelledSet,
    evaluation: EvaluationOptions,
    task: Task,
    names: tuple[str, ...],
) -> None:
    """Add a note if pixels seem to be scaled otherwise than when the model was trained."""
    note_double_scaling(run.manifest, network)
    note_better_scaling(
        run.manifest,
        network,
        test.folder,
        [example.image for example in test.examples],
        test.truth,
        task=task,
        classes=names or None,
        error_threshold=evaluation.error_threshold,
        key_points=evaluation.key_points,
    )


def _test_before(run: Run, subject: Subject, evaluation: EvaluationOptions) -> Outcome:
    """Test the model before retraining.

    Raises
    ------
    InputError
        When the order of the classes looks wrong: the model would learn wrong labels.
    """
    with run.stage(BEFORE):
        run.progress(BEFORE, 0, 1)
        before = subject.test_now()
        if before.note and not evaluation.classes and before.task == "classes":
            raise InputError(before.note)
    return before


def _check(evaluation: EvaluationOptions, options: Options, repeats: int) -> None:
    """Raise InputError if an option cannot be used."""
    check_options(options)
    if repeats < 0:
        raise InputError(f"repeats: expected 0 or more, received {repeats}")
    read_task(evaluation.task)


def _prepare(
    run: Run, sets: LabelledSets, network: Network, request: _Request
) -> tuple[Subject, list[Rejected]]:
    """Check the labels against the model, and decode all images once.

    Returns
    -------
    subject : Subject
    rejected : list of Rejected
        All files of all sets that cannot be used.

    Raises
    ------
    InputError
        When labels and model do not match, or a set has no usable image.
    """
    evaluation, options = request.evaluation, request.options
    everything = [*sets.list_trainable(), sets.test]
    truth = join_truth(everything)
    task = read_task(evaluation.task) or find_task(truth, network.activation, network.outputs)
    names: tuple[str, ...] = ()
    if task == "numbers":
        check_numbers(everything, network.outputs)
    else:
        names = name_classes(everything, network, request.classes, task)
    _note_scaling(run, network, sets.test, evaluation, task, names)
    recipe = read_recipe(network, task, options.learning_rate)
    run.manifest.notes += recipe.notes
    with run.stage(DECODING):
        examples = [example for part in sets.list_trainable() for example in part.examples]

        def step(done: int, total: int) -> None:
            run.progress(DECODING, done, total)

        pictures = Pictures(network, examples, step)
        test = Pictures(network, sets.test.examples, step)
    rejected = [file for part in everything for file in part.rejected]
    rejected += pictures.rejected + test.rejected
    if not test.examples:
        raise no_usable_image(sets.test.folder, rejected)
    if not any(example.role == "training" for example in pictures.examples):
        raise no_usable_image(sets.training.folder, rejected)
    if not any(example.role == "unsafe" for example in pictures.examples):
        raise no_usable_image(sets.unsafe.folder, rejected)
    unlabelled = [file for file in sets.unsafe.rejected if file.reason == UNLABELLED]
    if unlabelled:
        run.manifest.notes.append(
            f"{count_of(len(unlabelled), 'image')} of the unsafe set without a label: left out, "
            f"see {REJECTED_FILE}."
        )
    subject = make_subject(network, recipe, task, names, truth, evaluation, pictures, test)
    return subject, rejected
