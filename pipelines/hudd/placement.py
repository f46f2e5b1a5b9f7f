"""HUDD, step 4 (section IV-C): how far new images are from the clusters, by their heatmaps."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters.clusters import HEATMAP_FOLDER, HEATMAPS_FILE, LAYER_NAME
from pipelines.clusters.results import read_clustering
from pipelines.data.image_lists import CHECKING
from pipelines.data.images import check_images, find_files, none_usable
from pipelines.dnn.model import fix_size, load_network, predict
from pipelines.hudd.distances import nearest_of_clusters, open_heatmaps
from pipelines.hudd.heatmaps import write_heatmaps
from pipelines.hudd.job import LOADING, WORST
from pipelines.runs.errors import InputError
from pipelines.runs.folder import NEW_HEATMAPS, Progress
from pipelines.runs.guard import named
from pipelines.runs.manifest import Manifest
from pipelines.unsafe_set.contrast import contrast
from pipelines.unsafe_set.cut import Candidates
from pipelines.unsafe_set.job import Measured

WIDTH = 64
"""Entries that random projection leaves of a heatmap; distances change by about a tenth."""
SAME = 0.1
"""Of the median distance to the nearest failing image: below, two images count as the same."""
ROWS = 256

Floats = NDArray[np.float32]


def measure(
    run: Path, manifest: Manifest, folder: Path, progress: Progress, *, trust: bool = False
) -> Measured:
    """Measure how far new images are from the clusters of a run of `heatmaps`.

    Raw heatmaps of the layer that was chosen, of the output that the run explains; nothing is
    normalised (section IV-C).  Contrast and near-duplicates are told from a random projection of
    them.  Time grows with the number of new images times that of failing ones; heatmaps go to a
    temporary file.

    Parameters
    ----------
    trust : bool
        Whether code in the model file may run; that the run was made so does not count, since
        whoever made it may be somebody else.

    Raises
    ------
    InputError
        When the run or its model cannot be used, there is no usable image, or failing images were
        explained by what is known of labelled images alone.
    """
    explained = manifest.chosen.get("explained")
    if explained == WORST:
        raise InputError(
            f"{run} explains the worst output of each failing image, and that of new images is not "
            "known before they are labelled. Find the clusters once more, with --explain OUTPUT."
        )
    read_clustering(run)  # selecting from what cannot be read would be in vain
    with named(run / HEATMAPS_FILE), np.load(run / HEATMAPS_FILE, allow_pickle=False) as kept:
        layer, labels, reaches = str(kept["layer"]), kept["labels"], kept["reaches"]
    with named(run / HEATMAP_FOLDER / LAYER_NAME):
        known = open_heatmaps(run / HEATMAP_FOLDER / LAYER_NAME)
    paths, rejected = find_files(folder)
    images, unusable = check_images(
        folder, paths, lambda done, total: progress(CHECKING, done, total)
    )
    rejected += unusable
    if not images:
        raise none_usable(folder, rejected)
    progress(LOADING, 0, 1)
    network = load_network(
        Path(manifest.parameters["model"]),
        str(manifest.chosen["scaling"]),
        trust=trust,
        digest=str(manifest.weights["sha256"]),
    )
    network = fix_size(network, folder, images, manifest.chosen.get("input_size"))
    progress(LOADING, 1, 1)
    predicted = predict(network, folder, images, progress)
    rejected += predicted.rejected
    images = predicted.images
    if not images:
        raise none_usable(folder, rejected)
    targets = {image.path: explained for image in images} if isinstance(explained, int) else {}
    seed = int(manifest.parameters.get("seed", 0))
    axes = _axes(known.shape[1], seed)
    parts: list[Floats] = []
    spill = run / NEW_HEATMAPS
    shutil.rmtree(spill, ignore_errors=True)  # of a job that was killed
    spill.mkdir()
    try:
        written = write_heatmaps(
            network,
            (layer,),
            str(manifest.parameters["rule"]),
            folder,
            images,
            targets,
            spill,
            progress,
            batch_size=int(manifest.parameters["batch_size"]),
            seen=lambda _, rows: parts.append(rows @ axes),
        )
        distances = nearest_of_clusters(open_heatmaps(written[layer].file), known, labels)
    finally:
        shutil.rmtree(spill, ignore_errors=True)
    points = np.concatenate(parts)
    failing = _project(known, axes)
    candidates = Candidates(
        paths=tuple(image.path for image in images),
        digests=tuple(image.digest for image in images),
        points=points,
        distances=distances,
        reaches=reaches,
        scores=contrast(points, failing, seed=seed),
        sizes=np.bincount(labels),
    )
    same = SAME * float(np.median(distances.min(axis=1)))
    return Measured(candidates, len(rejected), same)


def _axes(entries: int, seed: int) -> Floats:
    """Draw the axes of a random projection that keeps distances on average."""
    rng = np.random.default_rng(seed)
    axes = rng.standard_normal((entries, WIDTH), dtype=np.float32)
    axes /= np.float32(np.sqrt(WIDTH))
    return axes


def _project(heatmaps: Floats, axes: Floats) -> Floats:
    parts = [heatmaps[start : start + ROWS] @ axes for start in range(0, len(heatmaps), ROWS)]
    return np.concatenate(parts)
