"""DeepImportance, section 3: from a model, its training images and test sets to their coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.data.images import ImageFile, Rejected, check_images, find_images, none_usable
from pipelines.data.labels import (
    LABELS_TABLE,
    Truth,
    order_classes,
    read_classes,
    read_truth,
    split,
)
from pipelines.deepimportance.importance import check_number, most_important
from pipelines.deepimportance.measurement import (
    Measured,
    Training,
    cover_surprises,
    measure_images,
    measure_training,
)
from pipelines.deepimportance.quantisation import MOST, Regions, check_clusters, quantise
from pipelines.deepimportance.results import OUTPUTS, Found, write_coverage
from pipelines.dnn.activations import neuron_layers
from pipelines.dnn.evaluation import Outcome, Task, doubt_order, find_task, judge
from pipelines.dnn.model import Network, fix_size, load_network
from pipelines.runs import folder as run_folder
from pipelines.runs.errors import InputError
from pipelines.runs.files import as_text, write_pairs
from pipelines.runs.manifest import ImageCounts, Manifest

JOB = "coverage"
CHECKING = "checking images"
LOADING = "loading the model"
TRAINING = "measuring training images"
QUANTISING = "finding regions of activations"
TESTING = "measuring test images"
SURPRISE = "measuring surprise"
CANDIDATES = "measuring new images"
WRITING = "drawing thumbnails"
TRAINING_SET, TEST, NEW = "training", "test", "new"
RULES = ("epsilon", "z+", "alpha-beta")
"""Of relevance; the first is Equation 1."""
NEURONS = 6


@dataclass(frozen=True)
class Options:
    """What the user may decide.

    Attributes
    ----------
    layer : str, optional
        Whose neurons are looked at; the last but one that has neurons if None.
    neurons : int
        How many important neurons, the paper's m.
    clusters : int
        The largest number of regions of a neuron that is tried.
    rule : str
        Of relevance; see `dnn.relevance.build_relevance`.
    class_ : str, optional
        The class whose images alone are looked at.
    classes : Path, optional
        A file with the names of the classes, one a line, in the order of the outputs.
    candidates : Path, optional
        A folder of new images to widen the first test set with.
    scaling, trust
        See `dnn.model.load_network`.
    """

    layer: str | None = None
    neurons: int = NEURONS
    clusters: int = MOST
    rule: str = RULES[0]
    class_: str | None = None
    classes: Path | None = None
    candidates: Path | None = None
    scaling: str | None = None
    trust: bool = False


@dataclass(frozen=True)
class _Folder:
    """The images of a folder, and their labels where they have some.

    Attributes
    ----------
    kind : str
        `TRAINING_SET`, `TEST` or `NEW`.
    name : str
        That of the folder; of two that are called so, the second has a number.
    source : Path
        As it was given: the folder, or a list such as `failures.txt`.
    """

    kind: str
    name: str
    source: Path
    folder: Path
    paths: list[str]
    images: list[ImageFile]
    rejected: list[Rejected]
    truth: Truth | None = None


@dataclass(frozen=True)
class _Labels:
    """What the network's outputs stand for, as far as labels tell."""

    task: Task
    names: tuple[str, ...] | None


def measure_coverage(
    model: Path,
    training: Path,
    tests: Sequence[Path],
    out: Path,
    options: Options,
    *,
    progress: run_folder.Progress,
    command: Sequence[str] = (),
    overwrite: bool = False,
) -> Manifest:
    """Measure how well test sets exercise the neurons that decide; write the run folder `out`.

    Time grows linearly with the number of images, but for surprise, which compares all test images
    with all training images of their class.  Memory grows with the images times the neurons of the
    one layer that is looked at.

    Parameters
    ----------
    training : Path
        The folder of training images; labels are optional, but for `Options.class_`.
    tests : sequence of Path
        A folder each.
    out : Path
        A new or empty folder, or an earlier run of the same kind when `overwrite` is True.

    Returns
    -------
    Manifest
        `result` has the coverage of the first test set.

    Raises
    ------
    InputError
        When the model, a folder or an option cannot be used.
    """
    folders = _find(training, tests, options, out)
    given = read_classes(options.classes) if options.classes else None
    manifest = _manifest(model, folders, options, command)
    with run_folder.open_run(out, manifest, progress, {JOB: OUTPUTS}, overwrite=overwrite) as run:
        with run.stage(CHECKING):
            for place, each in enumerate(folders):
                folders[place] = _check_images(run, each)
        with run.stage(LOADING):
            run.progress(LOADING, 0, 1)
            network = load_network(model, options.scaling, trust=options.trust)
            network = fix_size(network, folders[0].folder, folders[0].images)
            layers = neuron_layers(network.model)
            layer = _choose_layer(layers, options)
            check_number(options.neurons, layers[layer], layer)
            labels = _read_labels(run, network, folders[0], given, options)
            if labels.names:
                folders[1:] = [_check_labels(each, labels, options) for each in folders[1:]]
            if options.class_ is not None:
                folders = [_only(each, options.class_) for each in folders]
            check_clusters(options.clusters, len(folders[0].images))
            run.progress(LOADING, 1, 1)
        with run.stage(TRAINING):
            targets = _targets(folders[0], labels, options)
            learnt = measure_training(
                network,
                tuple(layers),
                layer,
                folders[0].folder,
                folders[0].images,
                run.progress,
                stage=TRAINING,
                rule=options.rule,
                targets=targets,
            )
        _note_order(run, network, labels, folders[0], learnt.measured, given)
        with run.stage(QUANTISING):
            important = most_important(learnt.cumulative, options.neurons, layer)
            regions = _quantise(run, learnt, important, options)
        with run.stage(TESTING):
            measured = [
                measure_images(
                    network,
                    layer,
                    each.folder,
                    each.images,
                    run.progress,
                    stage=f"{TESTING} of {each.name}" if len(tests) > 1 else TESTING,
                    ranges=learnt.ranges,
                )
                for each in folders[1:]
                if each.kind == TEST
            ]
        with run.stage(SURPRISE):
            classes = _predicted(network, labels, learnt.measured)
            for done, tested in enumerate(measured):
                run.progress(SURPRISE, done, len(measured))
                surprise = cover_surprises(
                    tested,
                    _predicted(network, labels, tested),
                    learnt.measured,
                    classes,
                    labels.task == "classes",
                )
                tested.covered.update(surprise)
            run.progress(SURPRISE, len(measured), len(measured))
        new = None
        if folders[-1].kind == NEW:
            with run.stage(CANDIDATES):
                new = measure_images(
                    network,
                    layer,
                    folders[-1].folder,
                    folders[-1].images,
                    run.progress,
                    stage=CANDIDATES,
                )
                new = _of_class(new, _predicted(network, labels, new), labels, options)
        found = Found(
            layer=layer,
            neurons=important,
            relevance=learnt.cumulative,
            regions=tuple(regions),
            training=learnt.measured,
            tests=tuple(measured),
            names=tuple(each.name for each in folders if each.kind == TEST),
            accuracies=tuple(
                _accuracy(network, labels, each, images)
                for each, images in zip(folders[1:], measured, strict=False)
            ),
            new=new,
        )
        rejected = [
            Rejected(f"{each.name}/{file.path}", file.reason)
            for each, then in zip(
                folders, [learnt.measured, *measured, *([new] if new else [])], strict=True
            )
            for file in (*each.rejected, *then.rejected)
        ]
        used = sum(len(each.images) for each in (learnt.measured, *measured))
        manifest.images = ImageCounts(
            found=used + len(rejected) + (len(new.images) if new else 0),
            used=used + (len(new.images) if new else 0),
            rejected=len(rejected),
        )
        _describe(manifest, network, found)
        with run.stage(WRITING):
            run.begin_results()
            write_pairs(
                out / run_folder.REJECTED_FILE, [(file.path, file.reason) for file in rejected]
            )
            manifest.result |= write_coverage(out, found, run.progress, WRITING)
    return manifest


def _find(training: Path, tests: Sequence[Path], options: Options, out: Path) -> list[_Folder]:
    """Find the images of all folders: training first, then the test sets, then new ones.

    Raises
    ------
    InputError
        When an option cannot be used, or a folder holds the run or lies in it.
    """
    if options.rule not in RULES:
        raise InputError(f"--rule: expected {', '.join(RULES)}, received {options.rule!r}.")
    if not tests:
        raise InputError("--test: give the folder of at least one test set.")
    sources = [(TRAINING_SET, training), *((TEST, test) for test in tests)]
    if options.candidates:
        sources.append((NEW, options.candidates))
    found: list[_Folder] = []
    for kind, source in sources:
        folder, paths, rejected = find_images(source)
        inside, outside = folder.resolve(), out.resolve()
        if inside.is_relative_to(outside) or outside.is_relative_to(inside):
            raise InputError(
                f"the images and the run need folders apart; of {folder} and {out} one lies inside "
                "the other. Choose another --out."
            )
        name = as_text((folder if source.is_dir() else source.parent).resolve().name)
        names = [each.name for each in found]
        number = next(n for n in range(1, len(names) + 2) if _numbered(name, n) not in names)
        found.append(_Folder(kind, _numbered(name, number), source, folder, paths, [], rejected))
    return found


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name} ({number})"


def _manifest(
    model: Path, folders: Sequence[_Folder], options: Options, command: Sequence[str]
) -> Manifest:
    def named(kind: str) -> list[str]:
        return [as_text(each.source.resolve()) for each in folders if each.kind == kind]

    return Manifest(
        job=JOB,
        command=[as_text(word) for word in command],
        folder=named(TEST)[0],
        parameters={
            "model": as_text(model.resolve()),
            "training": named(TRAINING_SET)[0],
            "tests": named(TEST),
            "candidates": next(iter(named(NEW)), None),
            "layer": options.layer,
            "neurons": options.neurons,
            "clusters": options.clusters,
            "rule": options.rule,
            "class": options.class_,
            "classes": options.classes and as_text(options.classes.resolve()),
            "scaling": options.scaling,
            "trust_model": options.trust,
        },
    )


def _check_images(run: run_folder.Run, each: _Folder) -> _Folder:
    def step(done: int, total: int) -> None:
        run.progress(CHECKING, done, total)

    images, unusable = check_images(each.folder, each.paths, step)
    if not images:
        raise none_usable(each.folder, [*each.rejected, *unusable])
    truth = None
    if each.kind != NEW:  # of those, a table may still be empty, and folders may be anything
        try:
            truth = read_truth(each.folder, [image.path for image in images])
        except InputError:
            if (each.folder / LABELS_TABLE).is_file():
                raise  # else there are none: labels are not needed
    return replace(each, images=images, rejected=[*each.rejected, *unusable], truth=truth)


def _choose_layer(layers: Mapping[str, int], options: Options) -> str:
    """Return the layer that is asked for, or the last but one (section 5.2: the penultimate)."""
    if not layers:
        raise InputError("the model has no layer with neurons: Dense, Conv2D and their kin.")
    if options.layer is None:
        return list(layers)[-2:][0]
    if options.layer not in layers:
        raise InputError(
            f"--layer: {options.layer!r} is no layer with neurons. Choose among "
            f"{', '.join(f'{name} ({count})' for name, count in layers.items())}."
        )
    return options.layer


def _read_labels(
    run: run_folder.Run,
    network: Network,
    training: _Folder,
    given: Sequence[str] | None,
    options: Options,
) -> _Labels:
    """Tell what the outputs stand for.

    Labels are not needed.  Folders that are no classes are therefore no error, unless a class is
    asked for.
    """
    truth = training.truth
    unlabelled: Task = "classes"
    if network.activation == "sigmoid" and network.outputs > 1:
        unlabelled = "several"
    elif network.activation not in {"softmax", "sigmoid"} and given is None:
        unlabelled = "numbers"
    guessed = unlabelled
    names: tuple[str, ...] | None = tuple(given) if given else None
    try:
        if truth is not None:
            guessed = tell_task(truth, network, given)
            if guessed != "numbers":
                names = order_classes(truth, network.outputs, given, guessed == "several")
    except InputError as error:
        if options.class_ is not None or given is not None or truth is None:
            raise
        if truth.source == LABELS_TABLE:
            raise
        guessed = unlabelled  # folders that are no classes tell nothing of the DNN
        run.manifest.notes.append(f"The folders of the images are not taken as classes: {error}")
    if options.class_ is not None:
        if truth is None:
            raise InputError(f"--class: the images of {training.folder} have no labels.")
        if guessed != "classes" or names is None or options.class_ not in names:
            known = ", ".join(names) if names and guessed == "classes" else "none: it tells none"
            raise InputError(
                f"--class: the DNN's classes are {known}; received {options.class_!r}."
            )
    return _Labels(guessed, names)


def tell_task(truth: Truth, network: Network, given: Sequence[str] | None) -> Task:
    """Tell what a network predicts, from its labels: classes, where names of them are given.

    Raises
    ------
    InputError
        When the labels are 0 and 1, the network gives one number, and no names are given.
    """
    ends_plain = network.activation not in {"softmax", "sigmoid"}
    activation = "sigmoid" if given is not None and ends_plain else network.activation
    try:
        return find_task(truth, activation, network.outputs)
    except InputError:
        raise InputError(
            f"the labels ({truth.source}) are 0 and 1, and the network gives one number. If that "
            "is a class before a sigmoid, give --classes, a file of two lines, 0 and 1; if not, "
            "take the labels away: they are not needed."
        ) from None


def _check_labels(each: _Folder, labels: _Labels, options: Options) -> _Folder:
    """Check that a folder has the classes of the training images, where it has labels.

    Raises
    ------
    InputError
    """
    assert labels.names is not None
    if each.truth is None:
        return each
    cells = {cell for row in each.truth.values.values() for cell in row}
    used = {part for cell in cells for part in split(cell)} if labels.task == "several" else cells
    if unknown := sorted(used - set(labels.names)):
        raise InputError(
            f"--test: {each.folder} has images of the class {unknown[0]!r} ({each.truth.source}), "
            f"which the training images do not have: expected {', '.join(labels.names)}. Give a "
            "test set of the same classes."
        )
    return each


def _only(each: _Folder, class_: str) -> _Folder:
    """Leave the images of one class; of new ones, which have no labels, what is predicted tells."""
    if each.kind == NEW:
        return each
    if each.truth is None:
        raise InputError(f"--class: the images of {each.folder} have no labels.")
    truth = each.truth.values
    images = [image for image in each.images if truth.get(image.path) == (class_,)]
    if not images:
        raise InputError(f"--class: {each.folder} has no image of the class {class_!r}.")
    return replace(each, images=images)


def _targets(training: _Folder, labels: _Labels, options: Options) -> dict[str, int]:
    if options.class_ is None or labels.names is None:
        return {}
    place = labels.names.index(options.class_)
    return {image.path: place for image in training.images}


def _quantise(
    run: run_folder.Run, learnt: Training, important: NDArray[np.intp], options: Options
) -> list[Regions]:
    regions: list[Regions] = []
    for neuron in important.tolist():
        run.progress(QUANTISING, len(regions), len(important))
        found = quantise(learnt.measured.values[:, neuron], options.clusters)
        if found.silhouette is None:
            run.manifest.notes.append(
                f"Neuron {neuron} gives {found.centroids[0]:.4g} for all training images: it has "
                "one region, and tells nothing of a test set."
            )
        regions.append(found)
    run.progress(QUANTISING, len(important), len(important))
    return regions


def _predicted(network: Network, labels: _Labels, images: Measured) -> NDArray[np.int32]:
    """Return the position of the class that is predicted of each image; 0 where there is none."""
    outputs = images.outputs
    if labels.task != "classes":
        return np.zeros(len(outputs), dtype=np.int32)
    if network.outputs == 1:
        middle = 0.5 if network.activation == "sigmoid" else 0.0
        return np.asarray(outputs[:, 0] > middle, dtype=np.int32)
    return np.asarray(outputs.argmax(axis=1), dtype=np.int32)


def _of_class(
    new: Measured, predicted: NDArray[np.int32], labels: _Labels, options: Options
) -> Measured:
    """Leave the new images that are taken for the class that is looked at."""
    if options.class_ is None or labels.names is None:
        return new
    kept = np.flatnonzero(predicted == labels.names.index(options.class_))
    if not len(kept):
        raise InputError(
            f"--candidates: the DNN takes no image of {new.folder} for {options.class_!r}."
        )
    images = [new.images[place] for place in kept.tolist()]
    return replace(new, images=images, outputs=new.outputs[kept], values=new.values[kept])


def _judge(network: Network, labels: _Labels, each: _Folder, images: Measured) -> Outcome | None:
    """Compare a classifier with the labels of a folder, where it has some."""
    if each.truth is None or labels.names is None:
        return None
    rows = [i for i, image in enumerate(images.images) if image.path in each.truth.values]
    if not rows:
        return None
    return judge(
        each.truth,
        [images.images[row].path for row in rows],
        images.outputs[rows],
        network.activation,
        task=labels.task,
        classes=labels.names,
    )


def _accuracy(network: Network, labels: _Labels, each: _Folder, images: Measured) -> float | None:
    """Return the share of a test set's labelled images that are right, of a classifier."""
    outcome = _judge(network, labels, each, images)
    return None if outcome is None else outcome.accuracy()


def _note_order(
    run: run_folder.Run,
    network: Network,
    labels: _Labels,
    training: _Folder,
    images: Measured,
    given: Sequence[str] | None,
) -> None:
    """Note it when training images tell that the classes have another order than that of names."""
    outcome = None if given is not None else _judge(network, labels, training, images)
    if outcome is None or outcome.task != "classes":
        return
    places = {name: place for place, name in enumerate(outcome.names)}
    shown, best = (
        np.array([places[name] for name in names], dtype=np.int32)
        for names in (outcome.expected, outcome.predicted)
    )
    if note := doubt_order(shown, best, len(places)):
        run.manifest.notes.append(note)


def _describe(manifest: Manifest, network: Network, found: Found) -> None:
    manifest.weights = {"source": as_text(network.file), "sha256": network.digest}
    manifest.chosen = {
        "scaling": network.scaling,
        "input_size": network.size,
        "layer": found.layer,
        "neurons": found.neurons.tolist(),
        "clusters": [len(each.centroids) for each in found.regions],
    }
    known = {image.digest for image in found.training.images}
    for name, images in zip(found.names, found.tests, strict=True):
        if shared := sum(image.digest in known for image in images.images):
            manifest.notes.append(
                f"{shared:,} of the {len(images.images):,} images of {name} are training images, "
                "too: a test set should have others."
            )
