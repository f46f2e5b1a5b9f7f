"""HUDD, steps 1 and 2, as a job: from a model and its failing images to root cause clusters."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters.clusters import (
    HEATMAP_FOLDER,
    HEATMAPS_FILE,
    LAYER_COLUMNS,
    LAYER_NAME,
    LAYERS_FILE,
    PICTURES_TABLE,
    RootCauseClusters,
)
from pipelines.clusters.explanation_tables import NO_TABLES, TableFiles
from pipelines.clusters.manifest import HEATMAPS, ChosenLayer, HeatmapChoices, HeatmapsParameters
from pipelines.clusters.report.report import write_report
from pipelines.clusters.write import (
    OUTPUTS,
    check_start,
    count_images,
    describe_table_files,
    finish,
)
from pipelines.data.image_lists import CHECKING, ListedImages, check_listed, list_images
from pipelines.data.images import ImageFile, check_openable
from pipelines.data.pair_lists import describe_source
from pipelines.dnn.job import FAILURES_FILE, RESULT_FILE, TARGET, read_tested
from pipelines.dnn.lrp_plan import INPUT
from pipelines.dnn.manifest import DnnTestChoices, ModelWeights, input_size, note_resized
from pipelines.dnn.model import LOADING, Network, check_network, fix_size, load_network, predict
from pipelines.dnn.model import STAGE as PREDICTING
from pipelines.dnn.scaling_notes import note_double_scaling
from pipelines.hudd.clustering import (
    LayerChoice,
    LayerClusters,
    cluster_layers,
    compute_silhouettes,
    map_places,
    measure_centre_distances,
)
from pipelines.hudd.distances import measure_distances, open_heatmaps
from pipelines.hudd.heatmaps import STAGE as PROPAGATING
from pipelines.hudd.heatmaps import LayerHeatmaps, choose_layers, write_heatmaps
from pipelines.runs.errors import InputError
from pipelines.runs.files import as_text, atomic_write, read_csv, write_csv
from pipelines.runs.folder import Run
from pipelines.runs.guard import name_damaged_file
from pipelines.runs.job import Job, Start, run_job
from pipelines.runs.manifest import Manifest, read_part, write_part
from pipelines.runs.wording import count_of

SPILL = ".heatmaps"
CLUSTERING = "clustering heatmaps"
PREDICTED, WORST = "the predicted one", "the worst one"
"""Which output is explained: that of the largest value, or the most wrong one in the test.

`run.json` stores these words.
"""
FEW = 10
"""With fewer failing images, a note says that clusters are not reliable."""


@dataclass(frozen=True)
class Options:
    """The options of the user.

    Attributes
    ----------
    scaling : str, optional
        See `dnn.model.load_network`; None for the scaling of the test that listed the images.
    trust : bool
        Whether code in the model file may run.
    layers : tuple of str
        Layers to cluster by; empty for all internal layers.
    rule : str
        See `dnn.relevance.build_relevance`.
    explain : str, optional
        A class, or the position of an output, that is explained for all images. If None, the
        predicted class is explained; for numbers, the output with the largest error in the test.
    seed : int
        Seed of the random groups with which hints and parameters are compared.
    batch_size : int
        Number of images whose relevance is propagated at once.
    table_files : TableFiles
        Tables of parameters and unsafe values of the images.
    """

    scaling: str | None = None
    trust: bool = False
    layers: tuple[str, ...] = ()
    rule: str = "z+"
    explain: str | None = None
    seed: int = 0
    batch_size: int = 16
    table_files: TableFiles = NO_TABLES


def find_clusters_by_heatmaps(
    model: Path, source: Path, out: Path, options: Options, **start: Unpack[Start]
) -> Manifest:
    """Find root cause clusters of failing images by their heatmaps; write the run folder `out`.

    Parameters
    ----------
    source : Path
        A folder of failing images, or `failures.txt` of a test. For a test, the outputs that it
        names are explained (for numbers, the output with the largest error).
    start : Start

    Returns
    -------
    Manifest
        The manifest in `run.json`.

    Raises
    ------
    InputError
        When the model, an option, `out` or the images cannot be used.
    """
    if options.batch_size < 1:
        raise InputError(f"batch size: expected a positive number, received {options.batch_size}")
    listed = list_images(source)
    overwrite = start.get("overwrite", False)
    check_start(listed.folder, listed.paths, out, options.table_files, overwrite)
    tested = _read_test(source)
    scaling = options.scaling or (tested.chosen.scaling if tested else None)
    digest = tested.sha256 if tested else None
    check_network(model, scaling, trust=options.trust, digest=digest)
    check_openable(listed.folder, listed.paths, listed.rejected)
    job = Job(
        name=HEATMAPS,
        folder=listed.folder,
        sources=(listed.folder, source, model, *options.table_files.paths),
        parameters=HeatmapsParameters(
            model=as_text(model.resolve()),
            images=as_text(source.resolve()),
            scaling=scaling,
            trust_model=options.trust,
            layers=list(options.layers),
            rule=options.rule,
            explain=options.explain,
            seed=options.seed,
            batch_size=options.batch_size,
            **describe_table_files(options.table_files),
        ),
        outputs=OUTPUTS,
        work=lambda run: _find_clusters(run, _Subject(model, scaling, tested), listed, options),
        notes=(*describe_source(source), *listed.notes),
        report=write_report,
    )
    return run_job(job, out, **start)


@dataclass(frozen=True)
class _Listing:
    """The results of the test that listed the images.

    Attributes
    ----------
    targets : dict of str to int
        Position of the output to explain, by path.
    """

    sha256: str
    chosen: DnnTestChoices
    targets: dict[str, int]


@dataclass(frozen=True)
class _Subject:
    """The model file, and the test that listed the images, if any."""

    model: Path
    scaling: str | None
    tested: _Listing | None


def _find_clusters(run: Run, subject: _Subject, listed: ListedImages, options: Options) -> None:
    folder, manifest = listed.folder, run.manifest
    spill = run.folder / SPILL
    shutil.rmtree(spill, ignore_errors=True)  # left over if a job was killed
    spill.mkdir()
    try:
        with run.stage(CHECKING):
            images, rejected = check_listed(listed, run.progress)
            count_images(run, folder, images, rejected)
        with run.stage(LOADING):
            network, layers, targets = _load(run, subject, folder, images, options)
        with run.stage(PREDICTING):  # first, because it rejects images before the long stages
            predicted = predict(network, folder, images, run.progress)
            rejected += predicted.rejected
            images = predicted.images
            count_images(run, folder, images, rejected)
        manifest.notes += note_resized(network, predicted.resized)
        with run.stage(PROPAGATING):
            heatmaps = write_heatmaps(
                network,
                tuple(dict.fromkeys((*layers, INPUT))),
                options.rule,
                folder,
                images,
                targets,
                spill,
                run.progress,
                batch_size=options.batch_size,
            )
        with run.stage(CLUSTERING):
            choice = _cluster(run, layers, heatmaps)
        _describe(manifest, choice.chosen, len(images))
        clusters = _measure(images, choice)
        finish(
            run,
            folder,
            clusters,
            options.table_files,
            {cluster: cluster for cluster in range(choice.chosen.clusters)},
            rejected,
            seed=options.seed,
            write_more=lambda: _write_heatmaps(run.folder, heatmaps, clusters, choice),
        )
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def _measure(images: list[ImageFile], choice: LayerChoice) -> RootCauseClusters:
    """Return the clusters of the chosen layer with silhouettes, distances and the map."""
    chosen, distances = choice.chosen, choice.distances
    return RootCauseClusters(
        paths=tuple(image.path for image in images),
        digests=tuple(image.digest for image in images),
        labels=chosen.labels,
        core=np.ones(len(images), dtype=np.bool_),
        silhouettes=compute_silhouettes(distances, chosen.labels),
        centre_distances=measure_centre_distances(distances, chosen.labels),
        places=map_places(distances),
    )


def _read_test(source: Path) -> _Listing | None:
    """Return the test that listed the images, if any."""
    if source.name != FAILURES_FILE or not source.is_file():
        return None
    try:
        tested = read_tested(source.parent)
    except InputError:
        return None  # the user's own list, not one of a test
    with name_damaged_file(source.parent / RESULT_FILE):
        rows = read_csv(source.parent / RESULT_FILE)
        targets = {row["path"]: int(row[TARGET]) for row in rows}
    sha256 = read_part(tested, ModelWeights).sha256
    return _Listing(sha256, read_part(tested, DnnTestChoices), targets)


def _load(
    run: Run, subject: _Subject, folder: Path, images: list[ImageFile], options: Options
) -> tuple[Network, tuple[str, ...], dict[str, int]]:
    """Load the model, the same file that was tested; choose layers and outputs to explain."""
    run.progress(LOADING, 0, 1)
    tested, manifest = subject.tested, run.manifest
    digest, targets = (tested.sha256, tested.targets) if tested else (None, {})
    network = load_network(subject.model, subject.scaling, trust=options.trust, digest=digest)
    note_double_scaling(manifest, network)
    layers = choose_layers(network, options.layers)
    source = as_text(subject.model.resolve())
    write_part(manifest, ModelWeights(source=source, sha256=network.digest))
    chosen = HeatmapChoices(scaling=network.scaling, explained=_explained(tested))
    write_part(manifest, chosen)
    network = fix_size(network, folder, images, tested.chosen.input_size if tested else None)
    chosen = chosen.model_copy(update={"input_size": input_size(network)})
    write_part(manifest, chosen)
    if options.explain is not None:
        target = _find_position(options.explain, tested, network.outputs)
        write_part(manifest, chosen.model_copy(update={"explained": target}))
        targets = dict.fromkeys((image.path for image in images), target)
    run.progress(LOADING, 1, 1)
    return network, layers, targets


def _explained(tested: _Listing | None) -> str:
    """Return the words of `run.json` for the explained output when the user chose none."""
    return PREDICTED if tested is None or tested.chosen.task == "classes" else WORST


def _find_position(explain: str, tested: _Listing | None, outputs: int) -> int:
    """Return the position of the output that the user chose to explain for all images."""
    names = tested.chosen.names if tested else []
    if explain in names and len(names) == outputs:
        return names.index(explain)
    if explain.isdecimal() and int(explain) < outputs:
        return int(explain)
    known = f" or one of {', '.join(names)}" if len(names) == outputs else ""
    raise InputError(
        f"--explain: expected the position of an output, 0 to {outputs - 1}{known}, received "
        f"{explain!r}."
    )


def _cluster(run: Run, layers: Sequence[str], heatmaps: dict[str, LayerHeatmaps]) -> LayerChoice:
    def distances() -> Iterator[tuple[str, NDArray[np.float32]]]:
        for place, layer in enumerate(layers):
            run.progress(CLUSTERING, place, len(layers))
            layer_heatmaps = heatmaps[layer]
            yield (
                layer,
                measure_distances(open_heatmaps(layer_heatmaps.file), layer_heatmaps.limits),
            )

    choice = cluster_layers(distances())
    run.progress(CLUSTERING, len(layers), len(layers))
    return choice


def _describe(manifest: Manifest, chosen: LayerClusters, images: int) -> None:
    write_part(manifest, ChosenLayer(layer=chosen.layer, wicd=float(f"{chosen.wicd:.6g}")))
    if images < FEW:
        manifest.notes.append(
            f"Only {count_of(images, 'image')}: clusters of so few images are not reliable."
        )


def _write_heatmaps(
    out: Path,
    heatmaps: dict[str, LayerHeatmaps],
    clusters: RootCauseClusters,
    choice: LayerChoice,
) -> None:
    """Write the table of layers, and the data for later comparisons with new images."""
    chosen = choice.chosen
    rows = [
        (
            layer_clusters.layer,
            " x ".join(map(str, heatmaps[layer_clusters.layer].shape)),
            layer_clusters.clusters,
            float(f"{layer_clusters.wicd:.6g}"),
            round(layer_clusters.seconds, 3),
            int(layer_clusters.layer == chosen.layer),
        )
        for layer_clusters in choice.layers
    ]
    write_csv(out / LAYERS_FILE, LAYER_COLUMNS, rows)
    folder = out / HEATMAP_FOLDER
    folder.mkdir(exist_ok=True)
    low, high = heatmaps[chosen.layer].limits
    with atomic_write(out / HEATMAPS_FILE) as file:
        np.savez(
            file,
            layer=np.array(chosen.layer),
            paths=np.array(clusters.paths, dtype=np.str_),
            labels=clusters.labels,
            # Reaches of raw heatmaps, with which new images are compared (section IV-C).
            reaches=_reaches(choice.distances * np.float32(high - low), clusters.labels),
        )
    if chosen.layer == INPUT:
        shutil.copyfile(heatmaps[INPUT].file, folder / LAYER_NAME)
    else:
        heatmaps[chosen.layer].file.replace(folder / LAYER_NAME)
    shown = [name for name, written in heatmaps.items() if written.pictures]
    for number, name in enumerate(shown):
        pictures = heatmaps[name].pictures
        assert pictures is not None
        pictures.replace(folder / f"{number:03d}.npy")
    write_csv(
        folder / PICTURES_TABLE,
        ("file", "layer"),
        [(f"{n:03d}.npy", name) for n, name in enumerate(shown)],
    )


def _reaches(distances: NDArray[np.float32], labels: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return the reach of each cluster, as in `allocation.compute_reaches`; every image is core."""
    result = np.zeros(int(labels.max()) + 1, dtype=np.float32)
    for cluster in range(len(result)):
        inside = np.flatnonzero(labels == cluster)
        if len(inside) > 1:
            among = distances[np.ix_(inside, inside)].copy()
            np.fill_diagonal(among, np.inf)
            result[cluster] = among.min(axis=1).max()
    return result
