"""Partitions of failing images into clusters, by appearance or in contrast with passing images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters.clusters import NOISE
from pipelines.clusters.passing import FEWEST
from pipelines.clusters.rates import estimate_rates
from pipelines.data.arrays import Floats
from pipelines.runs.wording import count_of
from pipelines.safe import contrast, features, reduction
from pipelines.safe.appearance import find_view
from pipelines.safe.clustering import TOO_FEW, Clustering
from pipelines.safe.contrast import Contrast
from pipelines.safe.dbscan import Labels
from pipelines.safe.denoising import denoise
from pipelines.safe.looks import average_rays, find_looks
from pipelines.safe.reduction import Reduction
from pipelines.safe.search import ALIKE, Search, find_clusters
from pipelines.safe.situations import find_situations, place
from pipelines.unsafe_set.allocation import cluster_distances, compute_reaches

TURNS = 2
FOLDS = 3


@dataclass(frozen=True)
class Partition:
    """The clusters of the failing images, and the points from which they were computed.

    Attributes
    ----------
    labels : array of int32, shape (n,)
        -1 is noise.
    core : array of bool, shape (n,)
    parts : array of int32, shape (n,), optional
        Appearances within situations; None if clusters are by appearance.
    points, moved : arrays of float32, shape (n, c)
        Reduced features (for contrast, directions), before and after denoising.
    space : Reduction or Contrast
    passing_points : array of float32, shape (m, c)
        Reduced features of the passing images; m may be 0.
    passing_labels : array of int32, shape (m,)
        The cluster that holds each passing image, -1 for none.
    plain : array of bool, shape (m,)
        Passing images to which the contrast was fitted.
    clusters : Clustering
        The result of DBSCAN.
    hold : callable
        Function from features of images to the cluster that holds each image, -1 for none.
    layers : tuple of str
        Layers whose features were clustered.
    """

    labels: Labels
    core: NDArray[np.bool_]
    parts: Labels | None
    points: Floats
    moved: Floats
    space: Reduction | Contrast
    passing_points: Floats
    passing_labels: Labels
    plain: NDArray[np.bool_]
    clusters: Clustering
    hold: Callable[[Floats], Labels]
    layers: tuple[str, ...]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Limit linear algebra to one thread.

    A search has many small steps. If other programs use the CPU at the same time, several threads
    wait for one another, and take several times as long as one thread.
    """
    import scipy.linalg  # noqa: F401
    import sklearn.neighbors  # noqa: F401  (the limit applies to loaded libraries only)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


def find_partition(vectors: Floats, passing: Floats, search: Search) -> Partition:
    """Partition failing images into clusters, by the recipe (SAFE, section 2: clustering).

    Time grows with (n + m)^2.

    Parameters
    ----------
    vectors : array of float32, shape (n, sum of widths)
        Features of failing images.
    passing : array of float32, shape (m, sum of widths)
        Features of passing images; m may be 0 unless the recipe uses contrast.
    """
    with _one_thread():
        if search.choices.contrast:
            return _find_by_contrast(vectors, passing, search)
        return _find_by_appearance(vectors, passing, search)


def _find_by_contrast(vectors: Floats, passing: Floats, search: Search) -> Partition:
    """Find the situations of failing images in contrast with passing images, in two rounds.

    Passing images with a cause of failure do not show what images without a cause look like, so the
    contrast is not fitted to them. The first round leaves out passing images that are surrounded by
    failing ones, the second round those in a situation that fails more often. All passing images
    are still counted.
    """
    plain = _find_plain(vectors, passing, search)
    partition = _contrast(vectors, passing, plain, search)
    for _ in range(TURNS - 1):
        without_cause = ~_has_a_cause(partition)
        if without_cause.sum() < FEWEST or (without_cause == plain).all():
            break
        plain = without_cause
        partition = _contrast(vectors, passing, plain, search)
    return partition


def _find_plain(vectors: Floats, passing: Floats, search: Search) -> NDArray[np.bool_]:
    plain = contrast.find_plain(vectors, passing, search.widths)
    return plain if plain.sum() >= FEWEST else np.ones_like(plain)


def count_unseen(
    vectors: Floats,
    passing: Floats,
    labels: Labels,
    search: Search,
    groups: NDArray[np.int64],
    passing_groups: NDArray[np.int64],
) -> tuple[Labels, Labels]:
    """Assign images to clusters that were found without them, by cross-validation.

    Axes, clusters and reaches are fitted to the failing images. So clusters hold these images
    better than others, even without a cause, and failure rates would be too high. So each third of
    all images, with whole groups, is left out once. Clusters are computed from the rest, and the
    images of the third are assigned to them. A cluster of the rest is matched with a cluster of all
    images if each has more than half of the other's images.

    Time is that of three searches.

    Parameters
    ----------
    vectors, passing : arrays of float32, shapes (n, d) and (m, d)
        Features of failing and of passing images.
    labels : array of int32, shape (n,)
        Clusters of all failing images.
    groups, passing_groups : arrays of int64, shapes (n,) and (m,)
        Group of each image.

    Returns
    -------
    arrays of int32, shapes (n,) and (m,)
        Cluster to which each image is assigned; -1 for none.
    """
    count = int(max(groups.max(initial=0), passing_groups.max(initial=0))) + 1
    folds = np.random.default_rng(search.seed).permutation(count) % FOLDS
    held = np.full(len(vectors), NOISE, dtype=np.int32)
    passing_held = np.full(len(passing), NOISE, dtype=np.int32)
    for fold in range(FOLDS):
        seen, passing_seen = folds[groups] != fold, folds[passing_groups] != fold
        if seen.all() and passing_seen.all():
            continue
        if seen.sum() < TOO_FEW or passing_seen.sum() < FEWEST:
            continue
        own = search.groups[seen] if search.groups is not None else None
        rest = replace(search, groups=own, step=lambda done, total: None)
        with _one_thread():
            partition = _find_once(vectors[seen], passing[passing_seen], rest)
        names = _match(partition.labels, labels[seen])
        held[~seen] = names[partition.hold(vectors[~seen])]
        passing_held[~passing_seen] = names[partition.hold(passing[~passing_seen])]
    return held, passing_held


def _find_once(vectors: Floats, passing: Floats, search: Search) -> Partition:
    if not search.choices.contrast:
        return _find_by_appearance(vectors, passing, search)
    return _contrast(vectors, passing, _find_plain(vectors, passing, search), search)


def _match(new: Labels, labels: Labels) -> Labels:
    """Match new clusters to the clusters of `labels` with which they share most images.

    Returns
    -------
    array of int32, shape (k + 1,)
        For each new cluster, the cluster that has more than half of its images, if it also has more
        than half of that cluster's images, otherwise -1. The last entry, for index -1, is noise.
    """
    names = np.full(int(new.max(initial=NOISE)) + 2, NOISE, dtype=np.int32)
    for cluster in range(len(names) - 1):
        own = labels[new == cluster]
        kinds, sizes = np.unique(own[own != NOISE], return_counts=True)
        if len(kinds):
            most = int(sizes.argmax())
            theirs = int((labels == kinds[most]).sum())
            if 2 * sizes[most] > len(own) and 2 * sizes[most] > theirs:
                names[cluster] = kinds[most]
    return names


def _contrast(
    vectors: Floats, passing: Floats, plain: NDArray[np.bool_], search: Search
) -> Partition:
    """Find the situations in contrast with the plain passing images, and assign all images."""
    space = contrast.fit(vectors, passing[plain], search.widths, components=search.wanted)
    rays, passing_rays = (contrast.project(space, part) for part in (vectors, passing))
    points = contrast.compute_directions(space, rays)
    free = search.eps is None
    looks = None if search.groups is None else find_looks(rays, search.groups)
    if looks is None or looks.max() + 1 < TOO_FEW:
        moved = denoise(points)
        clusters = find_clusters(moved, search, ALIKE)
        situations = find_situations(clusters, points, rays, space.length, apart=free)
    else:
        means = average_rays(rays, looks)
        ways = contrast.compute_directions(space, means)
        moved = denoise(ways)
        clusters = find_clusters(moved, search, ALIKE)
        situations = find_situations(clusters, ways, means, space.length, looks, rays, apart=free)
        moved = moved[looks]
    return Partition(
        labels=situations.labels,
        core=situations.core,
        parts=situations.parts,
        points=points,
        moved=moved,
        space=space,
        passing_points=contrast.compute_directions(space, passing_rays),
        passing_labels=place(passing_rays, situations.reach),
        plain=plain,
        clusters=clusters,
        hold=lambda features: place(contrast.project(space, features), situations.reach),
        layers=search.wanted_layers,
    )


def _has_a_cause(partition: Partition) -> NDArray[np.bool_]:
    """Find the passing images in a situation with a raised failure rate."""
    failing, passing = partition.labels, partition.passing_labels
    alone = np.arange(len(failing) + len(passing))
    rates = estimate_rates(
        failing, passing, np.ones(len(passing)), alone[: len(failing)], alone[len(failing) :]
    )
    causes = [cluster for cluster, rate in rates.items() if rate.low > rate.elsewhere]
    return np.isin(passing, causes)


def _find_by_appearance(vectors: Floats, passing: Floats, search: Search) -> Partition:
    """Find the clusters of failing images by appearance, as SAFE does."""
    view = find_view(vectors, search)
    space, points, clusters = view.space, view.points, view.clusters
    others = reduction.apply(space, passing) if len(passing) else points[:0]
    return Partition(
        labels=clusters.labels,
        core=clusters.core,
        parts=None,
        points=points,
        moved=view.moved,
        space=space,
        passing_points=others,
        passing_labels=_hold(others, points, clusters),
        plain=np.ones(len(others), dtype=np.bool_),
        clusters=clusters,
        hold=lambda features: _hold(reduction.apply(space, features), points, clusters),
        layers=view.layers,
    )


def _hold(passing: Floats, points: Floats, clusters: Clustering) -> Labels:
    """Return the cluster whose core images are near enough to each passing image, -1 for none."""
    labels = np.full(len(passing), NOISE, dtype=np.int32)
    inside = clusters.labels != NOISE
    core = inside & clusters.core
    if not len(passing) or not core.any():
        return labels
    distances = cluster_distances(passing, points[core], clusters.labels[core])
    held = distances <= compute_reaches(
        points[inside], clusters.labels[inside], clusters.core[inside]
    )
    nearest = np.where(held, distances, np.inf)
    placed = held.any(axis=1)
    labels[placed] = nearest[placed].argmin(axis=1)
    return labels


def describe_choices(partition: Partition, search: Search) -> tuple[dict[str, object], list[str]]:
    """Describe the outcome of the search.

    Returns
    -------
    chosen : dict
        Values for `chosen` of the manifest.
    notes : list of str
        Notes to the user.
    """
    clusters, space = partition.clusters, partition.space
    kept = partition.points.shape[1]
    chosen: dict[str, object] = {
        "components": kept,
        "explained_variance": round(space.explained, 4),
        "eps": clusters.chosen.eps,
        "min_samples": clusters.chosen.min_samples,
        "settings": [
            {"cluster": cluster, "eps": setting.eps, "min_samples": setting.min_samples}
            for cluster, setting in enumerate(clusters.settings)
        ],
        "candidates": [vars(candidate) for candidate in clusters.candidates],
    }
    if partition.layers != search.wanted_layers:
        chosen["layers"] = list(partition.layers)
    if len(partition.passing_labels):
        # Clusters were renumbered by their failures, so settings are listed without cluster ids.
        chosen["settings"] = _different(clusters)
        chosen["passing_fitted"] = int(partition.plain.sum())
    # The contrast recipe splits and joins clusters afterwards, so the note would be wrong.
    notes = [clusters.note] if clusters.note and not search.choices.contrast else []
    if kept < search.wanted:
        n, width = len(partition.points), sum(features.list_widths(partition.layers))
        notes.insert(
            0,
            f"{count_of(kept, 'principal component')} instead of {search.wanted:,}: "
            f"{count_of(n, 'image')} with {count_of(width, 'feature')} allow no more.",
        )
    return chosen, notes


def _different(clusters: Clustering) -> list[dict[str, float]]:
    settings: Sequence[tuple[float, int]] = sorted(
        {(setting.eps, setting.min_samples) for setting in clusters.settings}
    )
    return [{"eps": eps, "min_samples": samples} for eps, samples in settings]
