"""DeepImportance, section 3: from a model, its training images and test sets to their coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from pipelines.data.images import Rejected
from pipelines.data.labels import (
    read_classes,
)
from pipelines.deepimportance.document import write_coverage
from pipelines.deepimportance.importance import check_number, most_important
from pipelines.deepimportance.labels import (
    Labels,
    check_labels,
    measure_accuracy,
    note_order,
    predicted_classes,
    read_labels,
)
from pipelines.deepimportance.measurement import (
    Measured,
    Training,
    cover_surprises,
    measure_images,
    measure_training,
)
from pipelines.deepimportance.quantisation import MOST, Regions, check_clusters, quantise
from pipelines.deepimportance.results import OUTPUTS, CoverageResult
from pipelines.deepimportance.sets import (
    CHECKING,
    ImageSet,
    ImageSets,
    check_set,
    find_sets,
    keep_class,
)
from pipelines.dnn.activations import neuron_layers
from pipelines.dnn.model import Network, fix_size, load_network
from pipelines.runs.errors import InputError
from pipelines.runs.files import as_text, write_pairs
from pipelines.runs.folder import REJECTED_FILE, Run
from pipelines.runs.job import Job, Start, run_job
from pipelines.runs.manifest import ImageCounts, Manifest

JOB = "coverage"
LOADING = "loading the model"
TRAINING = "measuring training images"
QUANTISING = "finding regions of activations"
TESTING = "measuring test images"
SURPRISE = "measuring surprise"
CANDIDATES = "measuring new images"
WRITING = "drawing thumbnails"
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


def measure_coverage(
    model: Path,
    training: Path,
    tests: Sequence[Path],
    out: Path,
    options: Options,
    **start: Unpack[Start],
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
    start : Start

    Returns
    -------
    Manifest
        `result` has the coverage of the first test set.

    Raises
    ------
    InputError
        When the model, a folder or an option cannot be used.
    """
    if options.rule not in RULES:
        raise InputError(f"--rule: expected {', '.join(RULES)}, received {options.rule!r}.")
    if not tests:
        raise InputError("--test: give the folder of at least one test set.")
    sets = find_sets(training, tests, options.candidates)
    class_names = read_classes(options.classes) if options.classes else None
    folders = [one.folder for one in sets.all]
    job = Job(
        name=JOB,
        folder=sets.tests[0].source,
        sources=(model, *folders, *(one.source for one in sets.all)),
        parameters=_parameters(model, sets, options),
        outputs={JOB: OUTPUTS},
        work=lambda run: _measure(run, model, sets, class_names, options),
    )
    return run_job(job, out, **start)


def _parameters(model: Path, sets: ImageSets, options: Options) -> dict[str, object]:
    """Return the options as `run.json` keeps them."""
    return {
        "model": as_text(model.resolve()),
        "training": as_text(sets.training.source.resolve()),
        "tests": [as_text(test.source.resolve()) for test in sets.tests],
        "candidates": as_text(sets.new.source.resolve()) if sets.new else None,
        "layer": options.layer,
        "neurons": options.neurons,
        "clusters": options.clusters,
        "rule": options.rule,
        "class": options.class_,
        "classes": options.classes and as_text(options.classes.resolve()),
        "scaling": options.scaling,
        "trust_model": options.trust,
    }


@dataclass(frozen=True)
class _Subject:
    """The DNN whose neurons are looked at, and what its outputs stand for."""

    network: Network
    layers: tuple[str, ...]
    layer: str
    labels: Labels


def _measure(
    run: Run, model: Path, sets: ImageSets, class_names: tuple[str, ...] | None, options: Options
) -> None:
    with run.stage(CHECKING):
        sets = ImageSets(
            check_set(run, sets.training),
            tuple(check_set(run, test) for test in sets.tests),
            check_set(run, sets.new) if sets.new else None,
        )
    with run.stage(LOADING):
        subject, sets = _load(run, model, sets, class_names, options)
    network, layer, labels = subject.network, subject.layer, subject.labels
    with run.stage(TRAINING):
        learnt = measure_training(
            network,
            subject.layers,
            layer,
            sets.training.folder,
            sets.training.images,
            run.progress,
            stage=TRAINING,
            rule=options.rule,
            targets=_targets(sets.training, labels, options),
        )
    note_order(run, network, labels, sets.training, learnt.measured, class_names)
    with run.stage(QUANTISING):
        important = most_important(learnt.cumulative, options.neurons, layer)
        regions = _quantise(run, learnt, important, options)
    tests = _measure_tests(run, subject, sets, learnt)
    new = _measure_new(run, subject, sets.new, options) if sets.new else None
    result = CoverageResult(
        layer=layer,
        neurons=important,
        relevance=learnt.cumulative,
        regions=tuple(regions),
        training=learnt.measured,
        tests=tests,
        names=tuple(test.name for test in sets.tests),
        accuracies=tuple(
            measure_accuracy(network, labels, test, images)
            for test, images in zip(sets.tests, tests, strict=True)
        ),
        new=new,
    )
    measured = [learnt.measured, *tests, *([new] if new else [])]
    rejected = [
        Rejected(f"{one.name}/{file.path}", file.reason)
        for one, images in zip(sets.all, measured, strict=True)
        for file in (*one.rejected, *images.rejected)
    ]
    used = sum(len(images.images) for images in measured)
    run.manifest.images = ImageCounts(found=used + len(rejected), used=used, rejected=len(rejected))
    _describe(run.manifest, network, result)
    with run.stage(WRITING):
        run.begin_results()
        write_pairs(run.folder / REJECTED_FILE, [(file.path, file.reason) for file in rejected])
        run.manifest.result |= write_coverage(run.folder, result, run.progress, WRITING)


def _load(
    run: Run, model: Path, sets: ImageSets, class_names: tuple[str, ...] | None, options: Options
) -> tuple[_Subject, ImageSets]:
    """Load the model, and leave the images of the class that is looked at, if it is one."""
    run.progress(LOADING, 0, 1)
    network = load_network(model, options.scaling, trust=options.trust)
    network = fix_size(network, sets.training.folder, sets.training.images)
    layers = neuron_layers(network.model)
    layer = _choose_layer(layers, options)
    check_number(options.neurons, layers[layer], layer)
    labels = read_labels(run, network, sets.training, class_names, options.class_)
    for test in sets.tests:
        check_labels(test, labels)
    if options.class_ is not None:
        sets = replace(
            sets,
            training=keep_class(sets.training, options.class_),
            tests=tuple(keep_class(test, options.class_) for test in sets.tests),
        )
    check_clusters(options.clusters, len(sets.training.images))
    run.progress(LOADING, 1, 1)
    return _Subject(network, tuple(layers), layer, labels), sets


def _measure_tests(
    run: Run, subject: _Subject, sets: ImageSets, learnt: Training
) -> tuple[Measured, ...]:
    """Measure the test sets, and how much their images surprise beside the training images."""
    network, labels = subject.network, subject.labels
    with run.stage(TESTING):
        tests = tuple(
            measure_images(
                network,
                subject.layer,
                test.folder,
                test.images,
                run.progress,
                stage=f"{TESTING} of {test.name}" if len(sets.tests) > 1 else TESTING,
                ranges=learnt.ranges,
            )
            for test in sets.tests
        )
    with run.stage(SURPRISE):
        classes = predicted_classes(network, labels, learnt.measured)
        for done, test in enumerate(tests):
            run.progress(SURPRISE, done, len(tests))
            surprise = cover_surprises(
                test,
                predicted_classes(network, labels, test),
                learnt.measured,
                classes,
                labels.task == "classes",
            )
            test.covered.update(surprise)
        run.progress(SURPRISE, len(tests), len(tests))
    return tests


def _measure_new(run: Run, subject: _Subject, new: ImageSet, options: Options) -> Measured:
    """Measure new images; of one class, those alone that are taken for it."""
    network, labels = subject.network, subject.labels
    with run.stage(CANDIDATES):
        images = measure_images(
            network, subject.layer, new.folder, new.images, run.progress, stage=CANDIDATES
        )
        return _of_class(images, predicted_classes(network, labels, images), labels, options)


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


def _targets(training: ImageSet, labels: Labels, options: Options) -> dict[str, int]:
    if options.class_ is None or labels.names is None:
        return {}
    place = labels.names.index(options.class_)
    return {image.path: place for image in training.images}


def _quantise(
    run: Run, learnt: Training, important: NDArray[np.intp], options: Options
) -> list[Regions]:
    regions: list[Regions] = []
    for neuron in important.tolist():
        run.progress(QUANTISING, len(regions), len(important))
        quantised = quantise(learnt.measured.values[:, neuron], options.clusters)
        if quantised.silhouette is None:
            run.manifest.notes.append(
                f"Neuron {neuron} gives {quantised.centroids[0]:.4g} for all training images: it "
                "has one region, and tells nothing of a test set."
            )
        regions.append(quantised)
    run.progress(QUANTISING, len(important), len(important))
    return regions


def _of_class(
    new: Measured, predicted: NDArray[np.int32], labels: Labels, options: Options
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


def _describe(manifest: Manifest, network: Network, result: CoverageResult) -> None:
    manifest.weights = {"source": as_text(network.file), "sha256": network.digest}
    manifest.chosen = {
        "scaling": network.scaling,
        "input_size": network.size,
        "layer": result.layer,
        "neurons": result.neurons.tolist(),
        "clusters": [len(regions.centroids) for regions in result.regions],
    }
    known = {image.digest for image in result.training.images}
    for name, images in zip(result.names, result.tests, strict=True):
        if shared := sum(image.digest in known for image in images.images):
            manifest.notes.append(
                f"{shared:,} of the {len(images.images):,} images of {name} are training images, "
                "too: a test set should have others."
            )
