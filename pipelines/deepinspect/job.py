"""DeepInspect as a job: from a model and images to pairs of classes ranked by confusion and bias.

The steps follow sections III and IV of the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from pipelines.data.image_lists import CHECKING, ListedImages, check_listed, list_images
from pipelines.data.images import Rejected, check_openable, find_files, no_usable_image
from pipelines.data.labels import WHERE, read_classes
from pipelines.data.pair_lists import write_pair_lists
from pipelines.data.thumbnails import DRAWING
from pipelines.deepinspect.activation import (
    THRESHOLD,
    Probabilities,
    activation_probabilities,
    check_thresholds,
)
from pipelines.deepinspect.confusion import napvd
from pipelines.deepinspect.inspection import (
    compare,
    compare_thresholds,
    describe_findings,
    evaluate,
    write_tables,
)
from pipelines.deepinspect.manifest import InspectionChoices, InspectParameters
from pipelines.deepinspect.predictions import (
    InspectedImages,
    PredictionBatches,
    choose_layers,
    choose_task,
    join_predictions,
    list_labelled,
    name_classes,
    read_labels_of,
    stream_predictions,
)
from pipelines.deepinspect.ranking import TOP_PERCENT
from pipelines.deepinspect.results import JOB, OUTPUTS, write_predictions
from pipelines.deepinspect.thumbnails import choose_lists, draw_images, prediction_rows
from pipelines.dnn.activations import STAGE as MEASURING
from pipelines.dnn.evaluation import Task, doubt_order
from pipelines.dnn.manifest import describe_model, input_size
from pipelines.dnn.model import BATCH, LOADING, Network, check_network, fix_size, load_network
from pipelines.dnn.scaling_notes import note_better_scaling, note_double_scaling
from pipelines.runs.errors import InputError
from pipelines.runs.files import as_text, write_pairs
from pipelines.runs.folder import REJECTED_FILE, Run
from pipelines.runs.job import Job, Start, run_job
from pipelines.runs.manifest import ImageCounts, Manifest, write_part
from pipelines.runs.wording import count_of

DISTANCES = "measuring distances"
TASKS = ("classes", "several")


@dataclass(frozen=True)
class Options:
    """The options of the user.

    Attributes
    ----------
    scaling, trust, classes
        See `dnn.job.EvaluationOptions`.
    task : str, optional
        "classes" (one class for each image) or "several"; None infers it from labels and model.
    labelled : bool
        Whether to read labels, from `labels.csv` or otherwise from class folders.
    thresholds : tuple of float
        A neuron is active when its scaled activation is above the threshold.  The first threshold
        decides the ranking.
    layers : tuple of str
        Layers whose neurons are measured; empty for all.
    normalise : bool
        See `confusion.napvd`.
    top_percent : float
        Share of the pairs that is reported as the top, in percent.
    batch_size : int
        Number of images that the model predicts at once.
    """

    scaling: str | None = None
    trust: bool = False
    classes: Path | None = None
    task: str | None = None
    labelled: bool = True
    thresholds: tuple[float, ...] = (THRESHOLD,)
    layers: tuple[str, ...] = ()
    normalise: bool = False
    top_percent: float = TOP_PERCENT
    batch_size: int = BATCH


def inspect_model(
    model: Path, source: Path, out: Path, options: Options, **start: Unpack[Start]
) -> Manifest:
    """Rank a classifier's pairs of classes by confusion and bias, and write the run folder `out`.

    Parameters
    ----------
    source : Path
        A folder of images, or a list of them; labels are not needed.
    start : Start

    Returns
    -------
    Manifest
        `result` counts classes, pairs and reported pairs.

    Raises
    ------
    InputError
        When the model, the labels or an option cannot be used, fewer than two classes are ever
        predicted, or no image is left.
    """
    options = replace(options, thresholds=check_thresholds(options.thresholds))
    check_options(options)
    listed = list_images(source)
    class_names = read_classes(options.classes) if options.classes else None
    check_network(model, options.scaling, trust=options.trust)
    check_openable(listed.folder, listed.paths, listed.rejected)
    if options.labelled:
        whole = find_files(listed.folder)[0] if listed.part_of_folder else listed.paths
        read_labels_of(listed.folder, whole)
    job = Job(
        name=JOB,
        folder=listed.folder,
        sources=(listed.folder, source, model),
        parameters=InspectParameters(
            model=as_text(model.resolve()),
            images=as_text(source.resolve()),
            scaling=options.scaling,
            trust_model=options.trust,
            classes=list(class_names) if class_names else None,
            task=options.task,
            labels=options.labelled,
            thresholds=list(options.thresholds),
            layers=list(options.layers),
            normalise=options.normalise,
            top_percent=options.top_percent,
            batch_size=options.batch_size,
        ),
        outputs={JOB: OUTPUTS},
        work=lambda run: _inspect(run, model, listed, class_names, options),
        notes=listed.notes,
    )
    return run_job(job, out, **start)


@dataclass(frozen=True)
class _Measurements:
    """The classifier's predictions for the images, and the activity of its neurons.

    Attributes
    ----------
    task : str
        "classes" or "several".
    names : tuple of str
        Names of the classes.
    probabilities : Probabilities
        How often each neuron is active for each class.
    images : Images
    rejected : list of Rejected
    """

    task: str
    names: tuple[str, ...]
    probabilities: Probabilities
    images: InspectedImages
    rejected: list[Rejected]


def _inspect(
    run: Run,
    model: Path,
    listed: ListedImages,
    class_names: tuple[str, ...] | None,
    options: Options,
) -> None:
    manifest = run.manifest
    measured = _measure(run, model, listed, class_names, options)
    images, names = measured.images, measured.names
    with run.stage(DISTANCES):
        first, *others = _distances(run, names, measured.probabilities, options.normalise)
    findings = compare(run, names, first, options.top_percent)
    truths = None
    if images.truth is not None:
        several = measured.task == "several"
        truths = evaluate(run, findings, images.truth, images.predicted, several, images.labelled)
    describe_findings(manifest, findings, truths)
    compare_thresholds(manifest, options.thresholds, findings, truths, others, options.top_percent)
    run.begin_results()
    labelled = None if images.truth is None else images.truth.sum(axis=0)
    write_tables(
        run, findings, truths, measured.probabilities, measured.probabilities.images, labelled
    )
    out = run.folder
    write_pairs(out / REJECTED_FILE, [(file.path, file.reason) for file in measured.rejected])
    lists = choose_lists(findings, truths, images.files) if truths is not None else []
    write_pair_lists(out, listed.folder, lists)
    with run.stage(DRAWING):
        drawn = draw_images(out, listed.folder, images, truths, lists, run.progress)
    write_predictions(out, prediction_rows(images, names, drawn))


def _measure(
    run: Run,
    model: Path,
    listed: ListedImages,
    class_names: tuple[str, ...] | None,
    options: Options,
) -> _Measurements:
    """Predict all images, and count how often each neuron is active for each class."""
    folder = listed.folder
    with run.stage(CHECKING):
        files, rejected = check_listed(listed, run.progress)
        truth = None
        if options.labelled:
            truth = read_labels_of(listed.folder, list_labelled(listed, files))
        run.manifest.notes += truth.notes if truth else ()
    with run.stage(LOADING):
        run.progress(LOADING, 0, 1)
        network = load_network(model, options.scaling, trust=options.trust)
        network = fix_size(network, folder, files)
        task = choose_task(options.task, truth, network)
        names = name_classes(truth, network, class_names, task)
        neurons = choose_layers(network, options.layers)
        note_double_scaling(run.manifest, network)
        note_better_scaling(
            run.manifest, network, folder, files, truth, task=task, classes=class_names
        )
        run.progress(LOADING, 1, 1)
    predictions = PredictionBatches()
    with run.stage(MEASURING):
        batches = stream_predictions(
            network, neurons, folder, files, task, predictions, run.progress, options.batch_size
        )
        probabilities = activation_probabilities(batches, neurons, len(names), options.thresholds)
    rejected += predictions.rejected
    if not predictions.images:
        raise no_usable_image(folder, rejected)
    images = join_predictions(predictions, truth, names, task)
    run.manifest.images = ImageCounts(
        found=len(images.files) + len(rejected), used=len(images.files), rejected=len(rejected)
    )
    _describe_model(run.manifest, network, task, probabilities, images, class_names is not None)
    return _Measurements(task, names, probabilities, images, rejected)


def check_options(options: Options) -> None:
    """Raise InputError if an option cannot be used."""
    if not 0 < options.top_percent <= 100:
        raise InputError(
            f"top: expected more than 0 % and at most 100 %, received {options.top_percent}"
        )
    if options.task is not None and options.task not in TASKS:
        raise InputError(
            f"task: expected {' or '.join(TASKS)}, received {options.task!r}. DeepInspect compares "
            "classes: a model that predicts numbers has none."
        )
    if options.batch_size < 1:
        raise InputError(f"batch size: expected a positive number, received {options.batch_size}")


def _distances(
    run: Run, names: Sequence[str], measured: Probabilities, normalise: bool
) -> list[NDArray[np.float64]]:
    """Compute the distances of classes (NAPVD) for each threshold."""
    _check_predicted(names, measured.images)
    distances = []
    for done, matrix in enumerate(measured.matrices.values()):
        run.progress(DISTANCES, done, len(measured.matrices))
        distances.append(napvd(matrix, normalise=normalise))
    run.progress(DISTANCES, len(distances), len(distances))
    return distances


def _check_predicted(names: Sequence[str], images: NDArray[np.int64]) -> None:
    """Raise InputError unless at least two classes are predicted.

    Parameters
    ----------
    images : array of int64, shape (k,)
        Number of images for which each class is predicted.
    """
    predicted = [name for name, count in zip(names, images.tolist(), strict=True) if count]
    if len(predicted) < 2:
        raise InputError(
            f"no two of {count_of(len(names), 'class', 'classes')} are ever predicted for these "
            f"images: expected several, received "
            f"{f'{predicted[0]!r} alone' if predicted else 'none'}. Is --scaling right?"
        )


def _describe_model(
    manifest: Manifest,
    network: Network,
    task: Task,
    measured: Probabilities,
    images: InspectedImages,
    named: bool,
) -> None:
    write_part(manifest, describe_model(network))
    write_part(
        manifest,
        InspectionChoices(
            scaling=network.scaling,
            input_size=input_size(network),
            task="several" if task == "several" else "classes",
            layers=measured.neurons,
        ),
    )
    first = next(iter(measured.matrices.values()))
    silent = int((np.nan_to_num(first) == 0).all(axis=1).sum())
    manifest.result |= {"neurons": len(first), "silent_neurons": silent}
    if silent:
        manifest.notes.append(
            f"{silent:,} of {count_of(len(first), 'neuron')} never active above the threshold "
            f"{next(iter(measured.matrices)):g}: that adds nothing to any distance."
        )
    if task == "several":
        none = int((~images.predicted.any(axis=1)).sum())
        if none:
            manifest.notes.append(f"No class is predicted for {count_of(none, 'image')}.")
    if images.truth is None:
        manifest.notes.append(f"No labels are known: pairs are ranked, but not evaluated. {WHERE}")
        return
    unlabelled = len(images.files) - int(images.labelled.sum())
    if unlabelled:
        manifest.notes.append(
            f"{count_of(unlabelled, 'image')} without a label: used for the ranking only."
        )
    if task == "classes" and not named:
        labels = images.truth[images.labelled].argmax(axis=1).astype(np.int32)
        best = images.predicted[images.labelled].argmax(axis=1).astype(np.int32)
        if doubt := doubt_order(labels, best, images.truth.shape[1]):
            manifest.notes.append(doubt)
