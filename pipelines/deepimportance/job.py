"""DeepImportance as a job: from a model, training images and test sets to their coverage.

The steps follow section 3 of the paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from pipelines.data.image_lists import CHECKING
from pipelines.data.images import Rejected
from pipelines.data.labels import (
    read_classes,
)
from pipelines.data.thumbnails import DRAWING
from pipelines.deepimportance.document import write_coverage
from pipelines.deepimportance.importance import check_number, choose_important
from pipelines.deepimportance.labels import (
    OutputMeaning,
    check_labels,
    interpret_outputs,
    measure_accuracy,
    note_order,
    predicted_classes,
)
from pipelines.deepimportance.manifest import CoverageParameters
from pipelines.deepimportance.measurement import (
    ImageActivations,
    TrainingMeasurements,
    cover_surprises,
    measure_images,
    measure_training,
)
from pipelines.deepimportance.quantisation import MOST, Regions, check_clusters, quantise
from pipelines.deepimportance.results import OUTPUTS, CoverageResult
from pipelines.deepimportance.sets import (
    ImageSet,
    ImageSets,
    check_sets,
    find_sets,
    keep_class,
)
from pipelines.dnn.activations import neuron_layers
from pipelines.dnn.manifest import describe_model
from pipelines.dnn.model import LOADING, Network, check_network, fix_size, load_network
from pipelines.dnn.scaling_notes import note_better_scaling, note_double_scaling
from pipelines.runs.errors import InputError
from pipelines.runs.files import as_text, write_pairs
from pipelines.runs.folder import REJECTED_FILE, Run
from pipelines.runs.job import Job, Start, run_job
from pipelines.runs.manifest import ImageCounts, Manifest, write_part
from pipelines.runs.wording import count_of

JOB = "coverage"
TRAINING = "measuring training images"
QUANTISING = "finding regions of activations"
TESTING = "measuring test images"
SURPRISE = "measuring surprise"
CANDIDATES = "measuring new images"
RULES = ("epsilon", "z+", "alpha-beta")
"""Rules of relevance propagation; the first is Equation 1."""
NEURONS = 6
"""Number of important neurons, the paper's m."""


@dataclass(frozen=True)
class Options:
    """The options of the user.

    Attributes
    ----------
    layer : str, optional
        The layer whose neurons are measured; if None, the second to last layer with neurons.
    neurons : int
        Number of important neurons, the paper's m.
    clusters : int
        Largest number of regions of a neuron that is tried.
    rule : str
        Rule of relevance propagation; see `dnn.relevance.build_relevance`.
    class_ : str, optional
        Restricts the measurement to images of this class.
    classes : Path, optional
        A file with the names of the classes, one on each line, in the order of the outputs.
    candidates : Path, optional
        A folder of new images that may widen the first test set.
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
    """Measure how well test sets exercise the important neurons, and write the run folder `out`.

    Time grows linearly with the number of images, except for surprise, which compares all test
    images with all training images of their class.  Memory grows with the number of images times
    the neurons of the measured layer.

    Parameters
    ----------
    training : Path
        The folder of training images; labels are needed for `Options.class_` only.
    tests : sequence of Path
        Folders of test images, one for each test set.
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
    check_network(model, options.scaling, trust=options.trust)
    sets = find_sets(training, tests, options.candidates, options.class_)
    class_names = read_classes(options.classes) if options.classes else None
    folders = [one.folder for one in sets.all]
    job = Job(
        name=JOB,
        folder=sets.tests[0].source,
        sources=(model, *folders, *(one.source for one in sets.all)),
        parameters=_parameters(model, sets, options),
        outputs={JOB: OUTPUTS},
        work=lambda run: _measure(run, model, sets, class_names, options),
        notes=tuple(note for one in sets.all for note in one.notes),
    )
    return run_job(job, out, **start)


def _parameters(model: Path, sets: ImageSets, options: Options) -> CoverageParameters:
    """Return the options in the form of `run.json`."""
    return CoverageParameters(
        model=as_text(model.resolve()),
        training=as_text(sets.training.source.resolve()),
        tests=[as_text(test.source.resolve()) for test in sets.tests],
        candidates=as_text(sets.new.source.resolve()) if sets.new else None,
        layer=options.layer,
        neurons=options.neurons,
        clusters=options.clusters,
        rule=options.rule,
        class_=options.class_,
        classes=as_text(options.classes.resolve()) if options.classes else None,
        scaling=options.scaling,
        trust_model=options.trust,
    )


@dataclass(frozen=True)
class _Subject:
    """The DNN under analysis, its layers with neurons, the measured layer, and its outputs."""

    network: Network
    layers: tuple[str, ...]
    layer: str
    meaning: OutputMeaning


def _measure(
    run: Run, model: Path, sets: ImageSets, class_names: tuple[str, ...] | None, options: Options
) -> None:
    with run.stage(CHECKING):
        sets = check_sets(run, sets)
    with run.stage(LOADING):
        subject, sets = _load(run, model, sets, class_names, options)
    network, layer, meaning = subject.network, subject.layer, subject.meaning
    with run.stage(TRAINING):
        training = measure_training(
            network,
            subject.layers,
            layer,
            sets.training.folder,
            sets.training.images,
            run.progress,
            stage=TRAINING,
            rule=options.rule,
            targets=_targets(sets.training, meaning, options),
        )
    note_order(run, network, meaning, sets.training, training.measured, class_names)
    with run.stage(QUANTISING):
        important = choose_important(training.cumulative, options.neurons, layer)
        regions = _quantise(run, training, important, options)
    tests = _measure_tests(run, subject, sets, training)
    new = _measure_new(run, subject, sets.new, options) if sets.new else None
    result = CoverageResult(
        layer=layer,
        neurons=important,
        relevance=training.cumulative,
        regions=tuple(regions),
        training=training.measured,
        tests=tests,
        names=tuple(test.name for test in sets.tests),
        accuracies=tuple(
            measure_accuracy(network, meaning, test, images)
            for test, images in zip(sets.tests, tests, strict=True)
        ),
        new=new,
    )
    measured = [training.measured, *tests, *([new] if new else [])]
    rejected = [
        Rejected(f"{one.name}/{file.path}", file.reason)
        for one, images in zip(sets.all, measured, strict=True)
        for file in (*one.rejected, *images.rejected)
    ]
    used = sum(len(images.images) for images in measured)
    run.manifest.images = ImageCounts(found=used + len(rejected), used=used, rejected=len(rejected))
    _describe(run.manifest, network, result)
    with run.stage(DRAWING):
        run.begin_results()
        write_pairs(run.folder / REJECTED_FILE, [(file.path, file.reason) for file in rejected])
        figures = write_coverage(run.folder, result, run.progress, DRAWING)
        write_part(run.manifest, figures)


def _load(
    run: Run, model: Path, sets: ImageSets, class_names: tuple[str, ...] | None, options: Options
) -> tuple[_Subject, ImageSets]:
    """Load the model, and keep the images of the chosen class, if any."""
    run.progress(LOADING, 0, 1)
    network = load_network(model, options.scaling, trust=options.trust)
    network = fix_size(network, sets.training.folder, sets.training.images)
    layers = neuron_layers(network.model)
    layer = _choose_layer(layers, options)
    check_number(options.neurons, layers[layer], layer)
    meaning = interpret_outputs(run, network, sets.training, class_names, options.class_)
    for test in sets.tests:
        check_labels(test, meaning)
    note_double_scaling(run.manifest, network)
    training = sets.training
    note_better_scaling(
        run.manifest,
        network,
        training.folder,
        training.images,
        training.truth,
        task=meaning.task,
        classes=class_names,
    )
    if options.class_ is not None:
        sets = replace(
            sets,
            training=keep_class(sets.training, options.class_),
            tests=tuple(keep_class(test, options.class_) for test in sets.tests),
        )
    check_clusters(options.clusters, len(sets.training.images))
    run.progress(LOADING, 1, 1)
    return _Subject(network, tuple(layers), layer, meaning), sets


def _measure_tests(
    run: Run, subject: _Subject, sets: ImageSets, training: TrainingMeasurements
) -> tuple[ImageActivations, ...]:
    """Measure the test sets, and how surprising their images are given the training images."""
    network, meaning = subject.network, subject.meaning
    with run.stage(TESTING):
        tests = tuple(
            measure_images(
                network,
                subject.layer,
                test.folder,
                test.images,
                run.progress,
                stage=f"{TESTING} of {test.name}" if len(sets.tests) > 1 else TESTING,
                ranges=training.ranges,
            )
            for test in sets.tests
        )
    with run.stage(SURPRISE):
        classes = predicted_classes(network, meaning, training.measured)
        for done, test in enumerate(tests):
            run.progress(SURPRISE, done, len(tests))
            surprise = cover_surprises(
                test,
                predicted_classes(network, meaning, test),
                training.measured,
                classes,
                meaning.task == "classes",
            )
            test.covered.update(surprise)
        run.progress(SURPRISE, len(tests), len(tests))
    return tests


def _measure_new(run: Run, subject: _Subject, new: ImageSet, options: Options) -> ImageActivations:
    """Measure new images; with `Options.class_`, keep those that are predicted as it."""
    network, meaning = subject.network, subject.meaning
    with run.stage(CANDIDATES):
        images = measure_images(
            network, subject.layer, new.folder, new.images, run.progress, stage=CANDIDATES
        )
        return _of_class(images, predicted_classes(network, meaning, images), meaning, options)


def _choose_layer(layers: Mapping[str, int], options: Options) -> str:
    """Return the layer of the options, or the second to last (section 5.2: the penultimate)."""
    if not layers:
        raise InputError(
            "the model has no layer with neurons: expected at least one dense layer or convolution."
        )
    if options.layer is None:
        return list(layers)[-2:][0]
    if options.layer not in layers:
        raise InputError(
            f"--layer: {options.layer!r} is no layer with neurons. Choose among "
            f"{', '.join(f'{name} ({count})' for name, count in layers.items())}."
        )
    return options.layer


def _targets(training: ImageSet, meaning: OutputMeaning, options: Options) -> dict[str, int]:
    if options.class_ is None or meaning.names is None:
        return {}
    place = meaning.names.index(options.class_)
    return {image.path: place for image in training.images}


def _quantise(
    run: Run, training: TrainingMeasurements, important: NDArray[np.intp], options: Options
) -> list[Regions]:
    regions: list[Regions] = []
    for neuron in important.tolist():
        run.progress(QUANTISING, len(regions), len(important))
        quantised = quantise(training.measured.values[:, neuron], options.clusters)
        if quantised.silhouette is None:
            run.manifest.notes.append(
                f"Neuron {neuron} gives {quantised.centroids[0]:.4g} for all training images: it "
                "has only one region, which every test set covers."
            )
        regions.append(quantised)
    run.progress(QUANTISING, len(important), len(important))
    return regions


def _of_class(
    new: ImageActivations, predicted: NDArray[np.int32], meaning: OutputMeaning, options: Options
) -> ImageActivations:
    """Keep the new images that are predicted to be of the chosen class, if any."""
    if options.class_ is None or meaning.names is None:
        return new
    kept = np.flatnonzero(predicted == meaning.names.index(options.class_))
    if not len(kept):
        raise InputError(
            f"--candidates: expected images that the DNN predicts to be {options.class_!r}, "
            f"received none in {new.folder}. Give a folder with such images, or leave out --class."
        )
    images = [new.images[place] for place in kept.tolist()]
    return replace(new, images=images, outputs=new.outputs[kept], values=new.values[kept])


def _describe(manifest: Manifest, network: Network, result: CoverageResult) -> None:
    write_part(manifest, describe_model(network))
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
                f"{shared:,} of {count_of(len(images.images), 'image')} of {name} also among the "
                "training images: a test set should consist of other images."
            )
