"""The job that tests a DNN on labelled images, and lists its failing images (`hudd-tool`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from pipelines.data.groups import Groups, describe_groups, find_groups_beside, number_groups
from pipelines.data.image_lists import (
    CHECKING,
    ListedImages,
    check_listed,
    list_images,
    write_image_list,
)
from pipelines.data.images import (
    ImageFile,
    Rejected,
    check_header,
    check_openable,
    find_files,
    no_usable_image,
)
from pipelines.data.intervals import accuracy_interval
from pipelines.data.labels import Truth, no_labelled_image, read_classes, read_truth
from pipelines.dnn.confusion_matrix import draw_confusions
from pipelines.dnn.evaluation import Outcome, confusion_matrix, judge, read_task
from pipelines.dnn.manifest import (
    DnnTestChoices,
    DnnTestFigures,
    DnnTestParameters,
    describe_model,
    input_size,
    note_resized,
)
from pipelines.dnn.model import LOADING, Network, check_network, fix_size, load_network, predict
from pipelines.dnn.model import STAGE as PREDICTING
from pipelines.dnn.scaling_notes import note_better_scaling, note_double_scaling
from pipelines.runs.errors import InputError
from pipelines.runs.files import Outputs, as_text, atomic_write, write_csv, write_pairs
from pipelines.runs.folder import REJECTED_FILE, Run
from pipelines.runs.job import Job, Start, run_job
from pipelines.runs.manifest import ImageCounts, Manifest, read_manifest, read_part, write_part

RESULT_FILE = "testResult.csv"
FAILURES_FILE = "failures.txt"
CONFUSION_FILE = "confusion.csv"
PICTURE_FILE = "confusion.png"
JOB = "test"
OUTPUTS = Outputs(
    (RESULT_FILE, CONFUSION_FILE, PICTURE_FILE, FAILURES_FILE, REJECTED_FILE),
)
TARGET = "explained output"
"""Column with the position of the output that heatmaps explain; see `evaluation.Outcome`."""
UNLABELLED = "it has no label"
SHARE_DIGITS, NUMBER_DIGITS = 4, 6


@dataclass(frozen=True)
class EvaluationOptions:
    """The options for loading and testing a DNN.

    Attributes
    ----------
    scaling : str, optional
        See `model.load_network`.
    trust : bool
        Whether code in the model file may run.
    classes : Path, optional
        A file with the names of the classes, one per line, in the order of the outputs.
    task : str, optional
        See `evaluation.Task`; if None, it follows from the labels and the model.
    error_threshold : float, optional
        For numbers: an image with a larger error counts as failing.
    key_points : bool
        Whether numbers are the x and y of key points.
    groups : str, optional
        How the groups of the test images are found; see `groups.find_groups`.
    """

    scaling: str | None = None
    trust: bool = False
    classes: Path | None = None
    task: str | None = None
    error_threshold: float | None = None
    key_points: bool = False
    groups: str | None = None


def test_model(
    model: Path, source: Path, out: Path, options: EvaluationOptions, **start: Unpack[Start]
) -> Manifest:
    """Test a model on labelled images, and write its predictions and failing images to `out`.

    Parameters
    ----------
    source : Path
        A folder of images with class folders or `labels.csv`, or a list such as `failures.txt`.
    start : Start

    Returns
    -------
    Manifest
        `result` has the accuracy, its 95 % interval, and the numbers of images and failures.

    Raises
    ------
    InputError
        When the model, the labels or an option cannot be used, or no image is left.
    """
    read_task(options.task)  # fails before the images are listed
    listed = list_images(source)
    classes = read_classes(options.classes) if options.classes else None
    _check_inputs(model, listed, options)
    job = Job(
        name=JOB,
        folder=listed.folder,
        sources=(listed.folder, source, model),
        parameters=DnnTestParameters(
            model=as_text(model.resolve()),
            images=as_text(source.resolve()),
            scaling=options.scaling,
            trust_model=options.trust,
            classes=list(classes) if classes else None,
            task=options.task,
            error_threshold=options.error_threshold,
            key_points=options.key_points,
            groups=options.groups,
        ),
        outputs={JOB: OUTPUTS},
        work=lambda run: _test(run, model, listed, classes, options),
        notes=listed.notes,
    )
    return run_job(job, out, **start)


def _check_inputs(model: Path, listed: ListedImages, options: EvaluationOptions) -> None:
    """Raise InputError if model, images, labels or groups cannot be used; reads no pixels."""
    folder, paths = listed.folder, listed.paths
    check_network(model, options.scaling, trust=options.trust)
    check_openable(folder, paths, listed.rejected)
    truth = read_truth(folder, find_files(folder)[0] if listed.part_of_folder else paths)
    labelled = [path for path in paths if path in truth.values]
    if not labelled:
        raise no_labelled_image(folder, paths, truth)
    find_groups_beside(options.groups, labelled, folder)


@dataclass(frozen=True)
class _Labelled:
    """The images that can be tested, their labels and their groups."""

    images: list[ImageFile]
    rejected: list[Rejected]
    truth: Truth
    groups: Groups


def _test(
    run: Run,
    model: Path,
    listed: ListedImages,
    classes: tuple[str, ...] | None,
    options: EvaluationOptions,
) -> None:
    folder = listed.folder
    with run.stage(CHECKING):
        labelled = _read_labelled(run, listed, options)
    with run.stage(LOADING):
        run.progress(LOADING, 0, 1)
        network = load_network(model, options.scaling, trust=options.trust)
        network = fix_size(network, folder, labelled.images)
        run.progress(LOADING, 1, 1)
    with run.stage(PREDICTING):
        predicted = predict(network, folder, labelled.images, run.progress)
    rejected = labelled.rejected + predicted.rejected
    if not predicted.images:
        raise no_usable_image(folder, rejected)
    tested = [image.path for image in predicted.images]
    outcome = judge(
        labelled.truth,
        tested,
        predicted.outputs,
        network.activation,
        task=read_task(options.task),
        classes=classes,
        error_threshold=options.error_threshold,
        key_points=options.key_points,
    )
    run.manifest.images = ImageCounts(
        found=len(tested) + len(rejected), used=len(tested), rejected=len(rejected)
    )
    _describe(run.manifest, network, outcome, predicted.resized)
    _describe_accuracy(run.manifest, outcome, labelled.groups, tested)
    note_double_scaling(run.manifest, network)
    note_better_scaling(
        run.manifest,
        network,
        folder,
        predicted.images,
        labelled.truth,
        task=outcome.task,
        classes=classes,
        error_threshold=options.error_threshold,
        key_points=options.key_points,
    )
    run.begin_results()
    _write(run.folder, folder, tested, outcome, rejected)


def _read_labelled(run: Run, listed: ListedImages, options: EvaluationOptions) -> _Labelled:
    """Check the images and read their labels; raise InputError when no image has a label."""
    folder = listed.folder
    images, rejected = check_listed(listed, run.progress)
    candidates = [image.path for image in images]
    if listed.part_of_folder:  # a list may lack images of some classes, the folder has all classes
        candidates = [path for path in find_files(folder)[0] if not check_header(folder, path)]
    truth = read_truth(folder, candidates)
    run.manifest.notes += truth.notes
    unlabelled = [image.path for image in images if image.path not in truth.values]
    rejected += [Rejected(path, UNLABELLED) for path in unlabelled]
    images = [image for image in images if image.path in truth.values]
    if not images:
        raise no_labelled_image(folder, unlabelled, truth)
    groups = find_groups_beside(options.groups, [image.path for image in images], folder)
    return _Labelled(images, rejected, truth, groups)


def read_test(folder: Path) -> tuple[int, float]:
    """Return the number of test images and the accuracy on them, from the run folder of a test.

    Raises
    ------
    InputError
        When the folder holds no finished test.
    """
    figures = read_part(read_tested(folder), DnnTestFigures)
    return figures.images, figures.accuracy


def read_tested(folder: Path) -> Manifest:
    """Read the manifest of a finished test; raise InputError when the folder holds none."""
    try:
        manifest = read_manifest(folder)
    except InputError as error:
        raise InputError(
            f"{folder} holds no test: {error}. Name the folder that a test of the model wrote."
        ) from error
    if manifest.job != "test" or manifest.ended != "finished":
        raise InputError(
            f"{folder} holds no finished test: its job, {manifest.job}, {manifest.ended}. Name the "
            "folder of a test that finished."
        )
    return manifest


def _describe(manifest: Manifest, network: Network, outcome: Outcome, resized: int) -> None:
    write_part(manifest, describe_model(network))
    write_part(
        manifest,
        DnnTestChoices(
            scaling=network.scaling,
            input_size=input_size(network),
            task=outcome.task,
            names=list(outcome.names),
        ),
    )
    manifest.notes += note_resized(network, resized)
    if outcome.note:
        manifest.notes.append(outcome.note)


def _describe_accuracy(
    manifest: Manifest, outcome: Outcome, groups: Groups, paths: Sequence[str]
) -> None:
    images, right = len(paths), int(outcome.correct.sum())
    numbers = number_groups(groups, paths) if groups.how else None
    low, high = accuracy_interval(outcome.correct, numbers)
    figures = DnnTestFigures(
        images=images,
        failures=images - right,
        accuracy=right / images,
        accuracy_low=low,
        accuracy_high=high,
    )
    if outcome.errors is not None:
        figures = figures.model_copy(update={"mean_error": float(outcome.errors.mean())})
    if numbers is not None:
        figures = figures.model_copy(update={"groups": len({*numbers.tolist()})})
        manifest.notes.append(
            f"{describe_groups(groups, paths)}: the interval of the accuracy counts as many images "
            "as are independent. --groups none treats every image as independent."
        )
    write_part(manifest, figures)


def _write(
    out: Path, folder: Path, paths: Sequence[str], outcome: Outcome, rejected: list[Rejected]
) -> None:
    numbers = outcome.errors is not None
    digits = NUMBER_DIGITS if numbers else SHARE_DIGITS
    columns = [f"{'error' if numbers else 'score'} {name}" for name in outcome.names]
    means = outcome.errors.tolist() if outcome.errors is not None else []
    rows = []
    for place, path in enumerate(paths):
        scores = [round(score, digits) for score in outcome.scores[place].tolist()]
        mean = [round(means[place], digits)] if numbers else []
        classes = (outcome.expected[place], outcome.predicted[place])
        correct, target = int(outcome.correct[place]), int(outcome.targets[place])
        rows.append((path, *classes, correct, target, *mean, *scores))
    header = ("path", "expected", "predicted", "correct", TARGET, *["error"] * numbers, *columns)
    write_csv(out / RESULT_FILE, header, rows)
    if outcome.task == "classes":
        matrix = confusion_matrix(outcome)
        counts = [(name, *row) for name, row in zip(outcome.names, matrix.tolist(), strict=True)]
        write_csv(out / CONFUSION_FILE, ("expected", *outcome.names), counts)
        with atomic_write(out / PICTURE_FILE) as file:
            draw_confusions(matrix, outcome.names).save(file, "PNG")
    failed = [path for path, right in zip(paths, outcome.correct, strict=True) if not right]
    write_image_list(out / FAILURES_FILE, folder, sorted(failed))
    write_pairs(out / REJECTED_FILE, [(file.path, file.reason) for file in rejected])
