"""DeepInspect: from a model and images, or from exported distances, to ranked pairs of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.data.image_lists import (
    CHECKING,
    ListedImages,
    check_listed,
    list_images,
    write_pair_lists,
)
from pipelines.data.images import Rejected, none_usable
from pipelines.data.labels import read_classes
from pipelines.deepinspect.activation import (
    THRESHOLD,
    Bools,
    Probabilities,
    activation_probabilities,
    check_thresholds,
)
from pipelines.deepinspect.confusion import known_classes, napvd
from pipelines.deepinspect.evaluation import evaluate_ranking, spearman
from pipelines.deepinspect.findings import Findings, Truths, find_pairs, find_truths
from pipelines.deepinspect.imports import as_matrix, join_labels, read_distances, read_labels
from pipelines.deepinspect.predictions import (
    Images,
    Seen,
    choose_layers,
    choose_task,
    gather,
    name_classes,
    read_labels_of,
    stream_predictions,
)
from pipelines.deepinspect.ranking import TOP_PERCENT, pairs_of, rank_pairs
from pipelines.deepinspect.results import (
    DIGITS,
    JOB,
    OUTPUTS,
    write_activation,
    write_classes,
    write_evaluation,
    write_pairs_tables,
    write_predictions,
)
from pipelines.deepinspect.thumbnails import STAGE as DRAWING
from pipelines.deepinspect.thumbnails import choose_lists, draw_images, prediction_rows
from pipelines.dnn.activations import STAGE as MEASURING
from pipelines.dnn.evaluation import Task, doubt_order
from pipelines.dnn.model import BATCH, Network, fix_size, load_network
from pipelines.runs.errors import InputError
from pipelines.runs.files import as_text, write_pairs
from pipelines.runs.folder import REJECTED_FILE, Progress, Run
from pipelines.runs.job import Job, run_job
from pipelines.runs.manifest import ImageCounts, Manifest
from pipelines.runs.wording import count_of

LOADING = "loading the model"
DISTANCES = "measuring distances"
COMPARING = "comparing classes"
EVALUATING = "evaluating"
WRITING = "writing tables"
TASKS = ("classes", "several")
NAMED = 10


@dataclass(frozen=True)
class Options:
    """What the user may decide.

    Attributes
    ----------
    scaling, trust, classes
        As `dnn.job.Asked`.
    task : str, optional
        "classes" (one an image) or "several"; otherwise it follows from labels and model.
    labelled : bool
        Whether labels are looked for: in `labels.csv`, else class folders.
    thresholds : tuple of float
        Above which a scaled activation counts; the first decides the ranking.
    layers : tuple of str
        Whose neurons are looked at; empty takes all.
    normalise : bool
        See `confusion.napvd`.
    top_percent : float
        Of the pairs that are reported where precision matters.
    batch_size : int
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
    model: Path,
    source: Path,
    out: Path,
    options: Options,
    *,
    progress: Progress,
    command: Sequence[str] = (),
    overwrite: bool = False,
) -> Manifest:
    """Rank a classifier's pairs of classes by confusion and bias, and write the run folder `out`.

    Parameters
    ----------
    source : Path
        A folder of images, or a list of them; labels are not needed.
    out : Path
        A new or empty folder, or an earlier inspection when `overwrite` is True.

    Returns
    -------
    Manifest
        `result` counts classes, pairs and what is reported.

    Raises
    ------
    InputError
        When the model, the labels or an option cannot be used, fewer than two classes are ever
        predicted, or no image is left.
    """
    thresholds = check_thresholds(options.thresholds)
    _check_options(options)
    listed = list_images(source)
    given = read_classes(options.classes) if options.classes else None
    job = Job(
        name=JOB,
        folder=listed.folder,
        sources=(listed.folder, source, model),
        parameters={
            "model": as_text(model.resolve()),
            "images": as_text(source.resolve()),
            "scaling": options.scaling,
            "trust_model": options.trust,
            "classes": list(given) if given else None,
            "task": options.task,
            "labels": options.labelled,
            "thresholds": list(thresholds),
            "layers": list(options.layers),
            "normalise": options.normalise,
            "top_percent": options.top_percent,
            "batch_size": options.batch_size,
        },
        outputs={JOB: OUTPUTS},
        work=lambda run: _inspect(run, model, listed, given, thresholds, options),
    )
    return run_job(job, out, progress=progress, command=command, overwrite=overwrite)


@dataclass(frozen=True)
class _Measurements:
    """What the classifier makes of the images.

    Attributes
    ----------
    task : str
        "classes" or "several".
    names : tuple of str
        Of the classes.
    probabilities : Probabilities
        Of the activation of neurons, by class.
    images : Images
    rejected : list of Rejected
    """

    task: str
    names: tuple[str, ...]
    probabilities: Probabilities
    images: Images
    rejected: list[Rejected]


def _inspect(
    run: Run,
    model: Path,
    listed: ListedImages,
    given: tuple[str, ...] | None,
    thresholds: tuple[float, ...],
    options: Options,
) -> None:
    manifest = run.manifest
    measured = _measure(run, model, listed, given, thresholds, options)
    images, names = measured.images, measured.names
    with run.stage(DISTANCES):
        first, *others = _distances(run, names, measured.probabilities, options.normalise)
    found = _compare(run, names, first, options)
    truths = None
    if images.truth is not None:
        several = measured.task == "several"
        truths = _evaluate(run, found, images.truth, images.predicted, several, images.labelled)
    _describe_findings(manifest, found, truths)
    _compare_thresholds(manifest, thresholds, found, truths, others, options.top_percent)
    run.begin_results()
    labelled = None if images.truth is None else images.truth.sum(axis=0)
    _write(run, found, truths, measured.probabilities, measured.probabilities.images, labelled)
    out = run.folder
    write_pairs(out / REJECTED_FILE, [(file.path, file.reason) for file in measured.rejected])
    lists = choose_lists(found, truths, images.files) if truths is not None else []
    write_pair_lists(out, listed.folder, lists)
    with run.stage(DRAWING):
        drawn = draw_images(out, listed.folder, images, truths, lists, run.progress)
    write_predictions(out, prediction_rows(images, names, drawn))


def _measure(
    run: Run,
    model: Path,
    listed: ListedImages,
    given: tuple[str, ...] | None,
    thresholds: tuple[float, ...],
    options: Options,
) -> _Measurements:
    """Predict all images; count how often each neuron is active, by class."""
    folder = listed.folder
    with run.stage(CHECKING):
        files, rejected = check_listed(listed, run.progress)
        truth = read_labels_of(folder, listed.source, files) if options.labelled else None
    with run.stage(LOADING):
        run.progress(LOADING, 0, 1)
        network = load_network(model, options.scaling, trust=options.trust)
        network = fix_size(network, folder, files)
        task = choose_task(options.task, truth, network)
        names = name_classes(truth, network, given, task)
        neurons = choose_layers(network, options.layers)
        run.progress(LOADING, 1, 1)
    seen = Seen()
    with run.stage(MEASURING):
        batches = stream_predictions(
            network, neurons, folder, files, task, seen, run.progress, options.batch_size
        )
        probabilities = activation_probabilities(batches, neurons, len(names), thresholds)
    rejected += seen.rejected
    if not seen.images:
        raise none_usable(folder, rejected)
    images = gather(seen, truth, names, task)
    run.manifest.images = ImageCounts(
        found=len(images.files) + len(rejected), used=len(images.files), rejected=len(rejected)
    )
    _describe_model(run.manifest, network, task, probabilities, images, given is not None)
    return _Measurements(task, names, probabilities, images, rejected)


def inspect_exported(
    distances: Path,
    out: Path,
    options: Options,
    *,
    labels: Path | None = None,
    predictions: Path | None = None,
    progress: Progress,
    command: Sequence[str] = (),
    overwrite: bool = False,
) -> Manifest:
    """Rank pairs of classes whose distances another framework has exported; write `out`.

    Parameters
    ----------
    distances : Path
        A table of class, class and distance.
    labels, predictions : Path, optional
        Tables of image and labels, both or neither.

    Raises
    ------
    InputError
        When a table or an option cannot be used.
    """
    _check_options(options)
    if (labels is None) != (predictions is None):
        raise InputError(
            "labels and predictions belong together: expected --labels and --predictions, "
            f"received {'--predictions' if labels is None else '--labels'} alone."
        )
    files = {"distances": distances, "labels": labels, "predictions": predictions}
    job = Job(
        name=JOB,
        folder=distances.resolve().parent,
        sources=tuple(file for file in files.values() if file is not None),
        parameters={name: file and as_text(file.resolve()) for name, file in files.items()}
        | {"top_percent": options.top_percent},
        outputs={JOB: OUTPUTS},
        work=lambda run: _inspect_tables(run, distances, labels, predictions, options),
    )
    return run_job(job, out, progress=progress, command=command, overwrite=overwrite)


def _inspect_tables(
    run: Run, distances: Path, labels: Path | None, predictions: Path | None, options: Options
) -> None:
    manifest = run.manifest
    names, between = read_distances(distances)
    found = _compare(run, names, between, options)
    truths, counts = None, (None, None)
    if labels is not None and predictions is not None:
        true = read_labels(labels, "--labels", names)
        said = read_labels(predictions, "--predictions", names)
        joined = join_labels(true, said)
        if unlike := len(true.keys() ^ said.keys()):
            manifest.notes.append(
                f"{count_of(unlike, 'image')} in one of the tables of labels and predictions "
                "alone: left out."
            )
        shown = as_matrix([true[image] for image in joined], names)
        seen = as_matrix([said[image] for image in joined], names)
        several = bool((shown.sum(axis=1) > 1).any() or (seen.sum(axis=1) > 1).any())
        truths = _evaluate(run, found, shown, seen, several)
        counts = (seen.sum(axis=0), shown.sum(axis=0))
        manifest.images = ImageCounts(found=len(joined) + unlike, used=len(joined), rejected=unlike)
        manifest.chosen["task"] = "several" if several else "classes"
    _describe_findings(manifest, found, truths)
    run.begin_results()
    _write(run, found, truths, None, *counts)


def _check_options(options: Options) -> None:
    if not 0 < options.top_percent <= 100:
        raise InputError(f"top: expected more than 0 % up to 100 %, received {options.top_percent}")
    if options.task is not None and options.task not in TASKS:
        raise InputError(
            f"task: expected {' or '.join(TASKS)}, received {options.task!r}. Pairs of classes "
            "are compared: a model that predicts numbers has none."
        )
    if options.batch_size < 1:
        raise InputError(f"batch size: expected a positive number, received {options.batch_size}")


def _distances(
    run: Run, names: Sequence[str], measured: Probabilities, normalise: bool
) -> list[NDArray[np.float64]]:
    """Compute the distances of classes for each threshold."""
    _check_predicted(names, measured.images)
    found = []
    for done, matrix in enumerate(measured.matrices.values()):
        run.progress(DISTANCES, done, len(measured.matrices))
        found.append(napvd(matrix, normalise=normalise))
    run.progress(DISTANCES, len(found), len(found))
    return found


def _compare(
    run: Run, names: tuple[str, ...], distances: NDArray[np.float64], options: Options
) -> Findings:
    with run.stage(COMPARING):
        run.progress(COMPARING, 0, 1)
        _check_classes(names, distances, run.manifest)
        found = find_pairs(names, distances, options.top_percent)
        run.progress(COMPARING, 1, 1)
    return found


def _evaluate(
    run: Run,
    found: Findings,
    truth: Bools,
    predicted: Bools,
    several: bool,
    labelled: Bools | None = None,
) -> Truths:
    with run.stage(EVALUATING):
        run.progress(EVALUATING, 0, 1)
        truths = find_truths(found, truth, predicted, several=several, labelled=labelled)
        run.progress(EVALUATING, 1, 1)
    return truths


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def _check_predicted(names: Sequence[str], images: NDArray[np.int64]) -> None:
    """Raise InputError when no two classes are predicted, given the images of each."""
    seen = [name for name, count in zip(names, images.tolist(), strict=True) if count]
    if len(seen) < 2:
        raise InputError(
            f"no two of {count_of(len(names), 'class', 'classes')} are ever predicted for these "
            f"images: expected several, received {f'{seen[0]!r} alone' if seen else 'none'}. Is "
            "--scaling right?"
        )


def _check_classes(
    names: Sequence[str], distances: NDArray[np.float64], manifest: Manifest
) -> None:
    """Say which classes are not known."""
    known = set(known_classes(distances).tolist())
    missing = [name for place, name in enumerate(names) if place not in known]
    if missing:
        manifest.notes.append(
            f"Never predicted: {_some(missing)} ({len(missing)} of {len(names)} classes). Nothing "
            "is known of their neurons: their pairs have no distance, and are ranked last."
        )
    if len(known) == 2:
        manifest.notes.append(
            "Bias is not defined between two classes: it takes a third one (Equation 3)."
        )


def _describe_model(
    manifest: Manifest,
    network: Network,
    task: Task,
    measured: Probabilities,
    images: Images,
    named: bool,
) -> None:
    manifest.weights = {"source": as_text(network.file), "sha256": network.digest}
    manifest.chosen = {
        "scaling": network.scaling,
        "input_size": network.size,
        "task": task,
        "layers": measured.neurons,
    }
    first = next(iter(measured.matrices.values()))
    silent = int((np.nan_to_num(first) == 0).all(axis=1).sum())
    manifest.result |= {"neurons": len(first), "silent_neurons": silent}
    if silent:
        manifest.notes.append(
            f"{silent:,} of {len(first):,} neurons are never active above the threshold "
            f"{next(iter(measured.matrices)):g}: they tell nothing of any pair."
        )
    if task == "several":
        none = int((~images.predicted.any(axis=1)).sum())
        if none:
            manifest.notes.append(f"No class is predicted for {count_of(none, 'image')}.")
    if images.truth is None:
        manifest.notes.append("No labels are known: pairs are ranked, and not evaluated.")
        return
    unlabelled = len(images.files) - int(images.labelled.sum())
    if unlabelled:
        manifest.notes.append(
            f"{count_of(unlabelled, 'image')} without a label: used for the ranking alone."
        )
    if task == "classes" and not named:
        labels = images.truth[images.labelled].argmax(axis=1).astype(np.int32)
        best = images.predicted[images.labelled].argmax(axis=1).astype(np.int32)
        if doubt := doubt_order(labels, best, images.truth.shape[1]):
            manifest.notes.append(doubt)


def _describe_findings(manifest: Manifest, found: Findings, truths: Truths | None) -> None:
    manifest.result |= {
        "classes": len(found.names),
        "predicted_classes": len(known_classes(found.distances)),
        "pairs": len(found.scores["confusion"]),
    }
    for kind, ranking in found.rankings.items():
        manifest.result[kind] = {
            "one_sd": int(ranking.one_sd.sum()),
            "top_percent": int(ranking.top.sum()),
            "cut": float(f"{ranking.cut:.{DIGITS}g}"),  # distances may have any unit
        }
    if truths is None:
        return
    manifest.result["confused_images"] = len({i for each in truths.images.values() for i in each})
    for kind, each in truths.evaluations.items():
        if each is None:
            manifest.notes.append(
                f"No pair stands out in the labels' {kind}: there is nothing to evaluate it by."
            )


def _compare_thresholds(
    manifest: Manifest,
    thresholds: Sequence[float],
    found: Findings,
    truths: Truths | None,
    others: Sequence[NDArray[np.float64]],
    top_percent: float,
) -> None:
    """Say how far the ranking depends on the threshold, where several are asked for."""
    if not others:
        return
    pairs = pairs_of(len(found.names))
    first = found.scores["confusion"]
    told = []
    for threshold, distances in zip(thresholds, [found.distances, *others], strict=True):
        scores = distances[pairs]
        ranking = rank_pairs(scores, lowest_first=True, top_percent=top_percent)
        alike = spearman(first, scores)
        row: dict[str, object] = {
            "threshold": threshold,
            "one_sd": int(ranking.one_sd.sum()),
            "spearman_with_first": None if alike is None else round(alike, 4),
        }
        if truths is not None:
            judged = evaluate_ranking(scores, truths.values["confusion"], ranking)
            row["aucec_gain_over_random"] = None if judged is None else round(judged.gain, 4)
        told.append(row)
    manifest.result["thresholds"] = told


def _write(
    run: Run,
    found: Findings,
    truths: Truths | None,
    measured: Probabilities | None,
    predicted: NDArray[np.int64] | None,
    labelled: NDArray[np.int64] | None,
) -> None:
    """Write all but what is said of single images."""
    with run.stage(WRITING):
        run.progress(WRITING, 0, 1)
        write_classes(run.folder, found, predicted, labelled)
        write_pairs_tables(run.folder, found, truths)
        write_activation(run.folder, found, measured)
        if truths is not None:
            write_evaluation(run.folder, truths)
        run.progress(WRITING, 1, 1)
