"""HUDD, step 4 (section IV-C): distances of new images to the clusters, by their heatmaps."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters.clusters import (
    HEATMAP_FOLDER,
    HEATMAPS_FILE,
    LAYER_NAME,
    check_same_clusters,
)
from pipelines.clusters.manifest import HeatmapChoices, HeatmapsParameters
from pipelines.clusters.results import read_known_clusters
from pipelines.data.arrays import Floats
from pipelines.data.image_lists import ListedImages, check_listed
from pipelines.data.images import ImageFile, no_usable_image
from pipelines.dnn.manifest import ModelWeights
from pipelines.dnn.model import LOADING, Network, fix_size, load_network, predict
from pipelines.hudd.distances import find_value_range, measure_cluster_distances, open_heatmaps
from pipelines.hudd.heatmaps import write_heatmaps
from pipelines.hudd.job import WORST
from pipelines.runs.archives import Entry, check_lengths, read_archive
from pipelines.runs.errors import InputError
from pipelines.runs.folder import NEW_HEATMAPS, Progress
from pipelines.runs.guard import name_damaged_file
from pipelines.runs.manifest import Manifest, read_part
from pipelines.unsafe_set.contrast import contrast
from pipelines.unsafe_set.cut import Candidates
from pipelines.unsafe_set.job import Placement

WIDTH = 64
"""Number of entries of a randomly projected heatmap; projection changes distances by about 10 %."""
SAME = 0.1
"""Share of the median distance to the nearest failing image; two images at a smaller distance are
the same."""
ROWS = 256


@dataclass(frozen=True)
class _Explained:
    """How a run explained its images; `sha256` is the digest of the model file."""

    parameters: HeatmapsParameters
    chosen: HeatmapChoices
    sha256: str


@dataclass(frozen=True)
class _Clusters:
    """The data on a run's clusters with which new images are compared; see `hudd.job`.

    Attributes
    ----------
    layer : str
        The chosen layer.
    labels : array of int32, shape (n,)
        Clusters of the failing images.
    reaches : array of float32, shape (k,)
        Reach of each cluster.
    heatmaps : array of float32, shape (n, d)
        Raw heatmaps of the failing images.
    axes : array of float32, shape (d, WIDTH)
        Axes of the random projection.
    """

    layer: str
    labels: NDArray[np.int32]
    reaches: Floats
    heatmaps: Floats
    axes: Floats


def measure(
    run: Path, manifest: Manifest, listed: ListedImages, progress: Progress, *, trust: bool = False
) -> Placement:
    """Measure how far new images are from the clusters of a run of `heatmaps`.

    Distances are measured between raw heatmaps of the chosen layer, for the output that the run
    explains; they are not normalised (section IV-C). Contrast and near-duplicates are computed from
    a random projection of the heatmaps. Time grows with the number of new images times the number
    of failing images. Heatmaps are written to a temporary file.

    Parameters
    ----------
    run : Path
        The run folder.
    listed : ListedImages
        New images.
    trust : bool
        Whether code in the model file may run. The option of the run is ignored, because somebody
        else may have made the run.

    Raises
    ------
    InputError
        When the run or its model cannot be used, there is no usable image, or the run explains an
        output that is only known for labelled images.
    """
    known = _read_manifest(manifest)
    if known.chosen.explained == WORST:
        raise InputError(
            f"{run} explains the worst output of each failing image, which is not known for new "
            "images without labels. Find the clusters again with --explain OUTPUT."
        )
    clusters = _read_clusters(run, known.parameters.seed)
    folder = listed.folder
    images, rejected = check_listed(listed, progress)
    network = _load(known, folder, images, progress, trust=trust)
    predicted = predict(network, folder, images, progress)
    rejected += predicted.rejected
    images = predicted.images
    if not images:
        raise no_usable_image(folder, rejected)
    points, distances = _propagate(run, known, network, clusters, folder, images, progress)
    failing = _project(clusters.heatmaps, clusters.axes)
    candidates = Candidates(
        paths=tuple(image.path for image in images),
        digests=tuple(image.digest for image in images),
        points=points,
        distances=distances,
        reaches=clusters.reaches,
        scores=contrast(points, failing, seed=known.parameters.seed),
        sizes=np.bincount(clusters.labels),
    )
    same = SAME * float(np.median(distances.min(axis=1)))
    return Placement(candidates, len(rejected), same, known.parameters.seed)


def _read_manifest(manifest: Manifest) -> _Explained:
    return _Explained(
        read_part(manifest, HeatmapsParameters),
        read_part(manifest, HeatmapChoices),
        read_part(manifest, ModelWeights).sha256,
    )


ARRAYS = {
    "layer": Entry("U", 0),
    "labels": Entry("i", 1),
    "reaches": Entry("f", 1),
    "paths": Entry("U", 1, optional=True),
}
"""What `heatmaps.npz` holds."""


def _read_clusters(run: Path, seed: int) -> _Clusters:
    clusters = read_known_clusters(run)[0]  # before the long computation of heatmaps
    with name_damaged_file(run / HEATMAPS_FILE):
        archive = read_archive(run / HEATMAPS_FILE, ARRAYS)
        layer, labels, reaches = str(archive["layer"]), archive["labels"], archive["reaches"]
        check_same_clusters(archive, clusters)
        check_lengths(archive, ("reaches", int(labels.max(initial=-1)) + 1))
    with name_damaged_file(run / HEATMAP_FOLDER / LAYER_NAME):
        heatmaps = open_heatmaps(run / HEATMAP_FOLDER / LAYER_NAME)
        if len(heatmaps) != len(labels):
            raise ValueError(f"expected heatmaps of {len(labels)} images")
        find_value_range(heatmaps)  # raises ValueError for an entry that is not finite
    return _Clusters(layer, labels, reaches, heatmaps, _axes(heatmaps.shape[1], seed))


def _load(
    known: _Explained,
    folder: Path,
    images: Sequence[ImageFile],
    progress: Progress,
    *,
    trust: bool,
) -> Network:
    """Load the model file of the run, with the run's input size."""
    progress(LOADING, 0, 1)
    network = load_network(
        Path(known.parameters.model), known.chosen.scaling, trust=trust, digest=known.sha256
    )
    network = fix_size(network, folder, images, known.chosen.input_size)
    progress(LOADING, 1, 1)
    return network


def _propagate(
    run: Path,
    known: _Explained,
    network: Network,
    clusters: _Clusters,
    folder: Path,
    images: Sequence[ImageFile],
    progress: Progress,
) -> tuple[Floats, Floats]:
    """Compute heatmaps of new images in the same way as the run, in a temporary file.

    Returns
    -------
    points : array of float32, shape (n, WIDTH)
        Random projections of the heatmaps.
    distances : array of float32, shape (n, k)
        Distances to the nearest image of each cluster.
    """
    explained = known.chosen.explained
    targets = {image.path: explained for image in images} if isinstance(explained, int) else {}
    points: list[Floats] = []
    spill = run / NEW_HEATMAPS
    shutil.rmtree(spill, ignore_errors=True)  # left over if a job was killed
    spill.mkdir()
    try:
        heatmap_files = write_heatmaps(
            network,
            (clusters.layer,),
            known.parameters.rule,
            folder,
            images,
            targets,
            spill,
            progress,
            batch_size=known.parameters.batch_size,
            on_batch=lambda _, rows: points.append(rows @ clusters.axes),
        )
        heatmaps = open_heatmaps(heatmap_files[clusters.layer].file)
        distances = measure_cluster_distances(heatmaps, clusters.heatmaps, clusters.labels)
    finally:
        shutil.rmtree(spill, ignore_errors=True)
    return np.concatenate(points), distances


def _axes(entries: int, seed: int) -> Floats:
    """Draw the axes of a random projection that keeps distances on average."""
    rng = np.random.default_rng(seed)
    axes = rng.standard_normal((entries, WIDTH), dtype=np.float32)
    axes /= np.float32(np.sqrt(WIDTH))
    return axes


def _project(heatmaps: Floats, axes: Floats) -> Floats:
    parts = [heatmaps[start : start + ROWS] @ axes for start in range(0, len(heatmaps), ROWS)]
    return np.concatenate(parts)
