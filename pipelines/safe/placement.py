"""SAFE, step 4: how far new images are from the root cause clusters, by their features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters.clusters import (
    NOISE,
    REDUCTION_FILE,
    RootCauseClusters,
    check_same_clusters,
)
from pipelines.clusters.manifest import ClusterParameters, FeaturePrecision, FeatureWeights
from pipelines.clusters.results import read_known_clusters
from pipelines.data.arrays import Floats
from pipelines.data.image_lists import ListedImages, check_listed
from pipelines.data.images import no_usable_image
from pipelines.runs.archives import Entry, check_lengths, read_archive
from pipelines.runs.errors import InputError
from pipelines.runs.folder import Progress
from pipelines.runs.guard import name_damaged_file
from pipelines.runs.manifest import Manifest, read_part
from pipelines.safe import features, reduction
from pipelines.safe.contrast import Contrast, compute_directions, project
from pipelines.safe.extraction import LOADING, list_extracted_layers
from pipelines.safe.reduction import Reduction
from pipelines.safe.weights import DENSES, Weights, load_weights
from pipelines.unsafe_set.allocation import cluster_distances, compute_reaches
from pipelines.unsafe_set.contrast import contrast as score_contrast
from pipelines.unsafe_set.cut import Candidates
from pipelines.unsafe_set.job import Placement

SAME = 0.07
"""Share of the length of the mean features; two images at a smaller distance are the same."""


@dataclass(frozen=True)
class _Known:
    """The data of a run with which new images are placed; see `safe.job`.

    Attributes
    ----------
    place : callable
        Function from features of the run's layers to points, between which distances are measured.
    length : float
        Length of the mean features; `SAME` is a share of it.
    passing : array of float32, shape (m, c)
        Points of passing images; m is 0 in runs without passing images.
    """

    place: Callable[[Floats], Floats]
    length: float
    points: Floats
    labels: NDArray[np.int32]
    core: NDArray[np.bool_]
    passing: Floats


ARRAYS = {
    "widths": Entry("i", 1),
    "mean": Entry("f", 1),
    "points": Entry("f", 2),
    "labels": Entry("i", 1),
    "core": Entry("b", 1),
    "paths": Entry("U", 1, optional=True),
    "passing_points": Entry("f", 2, optional=True),
}
"""Entries of `reduction.npz` in every run; below, those of runs with and without passing images."""
OF_CONTRAST = {"scale": Entry("f", 1), "axes": Entry("f", 2), "length": Entry("f", 0)}
OF_APPEARANCE = {"unit_length": Entry("b", 0), "components": Entry("f", 2)}


def _read_run(run: Path, clusters: RootCauseClusters) -> _Known:
    with name_damaged_file(run / REDUCTION_FILE):
        kept = read_archive(run / REDUCTION_FILE, ARRAYS | _optional(OF_CONTRAST | OF_APPEARANCE))
        _check_arrays(kept, clusters)
        widths = tuple(kept["widths"].tolist())
        if "axes" in kept:
            place, length = _read_contrast(widths, kept)
        else:
            space = Reduction(
                widths, bool(kept["unit_length"]), kept["mean"], kept["components"], 1.0
            )
            place = partial(reduction.apply, space)
            length = float(np.linalg.norm(space.mean))
        points = kept["points"]
        passing = kept.get("passing_points", points[:0])
        passing = passing.reshape(len(passing), points.shape[1])  # stored without a width if empty
        known = _Known(place, length, points, kept["labels"], kept["core"], passing)
    if known.labels.max(initial=NOISE) == NOISE:
        raise InputError(f"{run} has no cluster to select for: all of its images are noise.")
    return known


def _optional(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    return {name: replace(entry, optional=True) for name, entry in entries.items()}


def _check_arrays(kept: Mapping[str, NDArray[Any]], clusters: RootCauseClusters) -> None:
    """Raise ValueError unless the arrays fit together and have the clusters of `images.csv`."""
    wanted = OF_CONTRAST if "axes" in kept else OF_APPEARANCE
    if missing := wanted.keys() - kept.keys():
        raise ValueError(f"it holds no {', '.join(sorted(missing))}")
    axes = kept["axes" if "axes" in kept else "components"]
    check_lengths(kept, ("points core", len(kept["labels"])))
    if (kept["widths"] < 1).any() or kept["widths"].sum() != axes.shape[1]:
        raise ValueError("its widths are not those of its axes")
    check_lengths(kept, ("mean scale", axes.shape[1]))
    passing = kept.get("passing_points", axes[:0])
    if len(axes) != kept["points"].shape[1] or (len(passing) and passing.shape[1] != len(axes)):
        raise ValueError("its points are not in the space of its axes")
    check_same_clusters(kept, clusters)
    grouped = kept["labels"] != NOISE
    if {*kept["labels"][grouped].tolist()} != {*kept["labels"][grouped & kept["core"]].tolist()}:
        raise ValueError("a cluster has no core image")


def _read_contrast(
    widths: tuple[int, ...], kept: Mapping[str, NDArray[Any]]
) -> tuple[Callable[[Floats], Floats], float]:
    space = Contrast(widths, kept["mean"], kept["scale"], kept["axes"], float(kept["length"]), 1.0)

    def place(vectors: Floats) -> Floats:
        return compute_directions(space, project(space, vectors))

    return place, 1.0  # directions have about this length


def _load_same_weights(file: str | None, known: FeatureWeights) -> Weights:
    """Load the weights of the run; raise InputError if they are not available any more."""
    weights = load_weights(
        Path(file) if file else None, top=any(layer in DENSES for layer in known.layers)
    )
    if weights.digest != known.sha256:
        raise InputError(
            f"the run was made with other weights ({known.source}, SHA-256 "
            f"{known.sha256[:12]}...) than are to be had now ({weights.source}, "
            f"{weights.digest[:12]}...): distances would mean nothing. Put those back, or find the "
            "clusters again."
        )
    return weights


def measure(run: Path, manifest: Manifest, listed: ListedImages, progress: Progress) -> Placement:
    """Measure how far new images are from the clusters of a run of `cluster`.

    Features, scaling and principal components are those of the run. Time grows with the number of
    new images times the number of core images, memory with the number of new images times the
    number of clusters.

    Raises
    ------
    InputError
        When the run or its weights cannot be used, or there is no usable image.
    """
    # First, because features take long and this check may fail.
    known = _read_run(run, read_known_clusters(run)[0])
    parameters, kept = read_part(manifest, ClusterParameters), read_part(manifest, FeatureWeights)
    precision, layers = read_part(manifest, FeaturePrecision).precision, kept.layers
    folder = listed.folder
    images, rejected = check_listed(listed, progress)
    progress(LOADING, 0, 1)
    weights = _load_same_weights(parameters.weights, kept)
    progress(LOADING, 1, 1)
    extracted = features.extract_through_store(
        folder,
        images,
        weights,
        list_extracted_layers(layers),
        features.choose_precision(precision),
        parameters.batch_size,
        progress,
    )
    if not extracted.images:
        raise no_usable_image(folder, rejected + extracted.rejected)
    vectors = features.select_columns(extracted.vectors, list_extracted_layers(layers), layers)
    points = known.place(vectors)
    clustered = known.labels != NOISE
    cores = clustered & known.core
    candidates = Candidates(
        paths=tuple(image.path for image in extracted.images),
        digests=tuple(image.digest for image in extracted.images),
        points=points,
        distances=cluster_distances(points, known.points[cores], known.labels[cores]),
        reaches=compute_reaches(
            known.points[clustered], known.labels[clustered], known.core[clustered]
        ),
        scores=score_contrast(
            points,
            known.points,
            seed=parameters.seed,
            passing=known.passing,
        ),
        sizes=np.bincount(known.labels[clustered]),
    )
    return Placement(
        candidates,
        len(rejected) + len(extracted.rejected),
        SAME * known.length,
        parameters.seed,
    )
