"""Density-based clustering that chooses its own parameters (SAFE, section 2: clustering).

DBSCAN needs two numbers, eps and min_samples. The elbow of the curve of k-distances proposes eps
(Rahmah and Sitanggang, 2016), and the silhouette index chooses among the candidates.

If causes are not clearly separated, the best score may be that of one cluster with nearly all
images and a small one. A cluster of so many images explains nothing, so it is clustered again by
itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Floats
from pipelines.runs.wording import count_of
from pipelines.safe.dbscan import (
    NOISE,
    Distances,
    Labels,
    cut,
    find_nearest,
    grow_spanning_tree,
    is_core,
)
from pipelines.safe.silhouette import compute_silhouettes

Step = Callable[[int, int], None]

SMALLEST_CLUSTER = 3
NO_CLUSTER = -1.0
TOO_FEW = 10
MIN_SAMPLES = (2, 3, 4, 5)
QUANTILES = np.linspace(0.05, 0.98, 28)
MOST_NOISE = 0.1
SEEN_AT_ONCE = 50
"""Number of images that a person can look through at once: half a minute of a GIF."""
SMALLEST_EPS = np.float32(1e-6)
ROUNDING = np.float32(1e-5)


@dataclass(frozen=True)
class Candidate:
    """One setting of DBSCAN that was tried.

    Attributes
    ----------
    eps : float
    min_samples : int
    clusters : int
        Clusters of at least `SMALLEST_CLUSTER` images.
    noise : float
        Share of images that are in no such cluster, 0 to 1.
    score : float
        See `search`; 0 for one cluster, `NO_CLUSTER` for none.
    """

    eps: float
    min_samples: int
    clusters: int
    noise: float
    score: float


@dataclass(frozen=True)
class Clustering:
    """The root cause clusters of one set of images.

    Attributes
    ----------
    labels : array of int32, shape (n,)
        Cluster ids from 0, the largest cluster first; `NOISE` is noise.
    core : array of bool, shape (n,)
        Core images: members with at least min_samples images within eps, themselves included.
    settings : tuple of Candidate
        By cluster id, the setting of DBSCAN that produced the cluster. Its other figures concern
        all images that this setting was applied to.
    chosen : Candidate
        The setting for all images, before large clusters were clustered again.
    candidates : tuple of Candidate
        All settings that were tried on all images.
    note : str
        A note to the user on an unusual result; empty for a usual one.
    """

    labels: Labels
    core: NDArray[np.bool_]
    settings: tuple[Candidate, ...]
    chosen: Candidate
    candidates: tuple[Candidate, ...]
    note: str


def propose_eps(k_distances: Floats) -> list[float]:
    """Propose values of eps from the distances to the k-th neighbour.

    The values are the elbow of the rising curve of distances (Rahmah and Sitanggang, 2016; computed
    by kneed) and quantiles on both sides of it. Each value lies between two k-distances, so that
    rounding cannot move an image across it. Time grows with n log n.

    Parameters
    ----------
    k_distances : array of float32, shape (n,)
    """
    from kneed import KneeLocator

    curve = np.sort(k_distances)
    wanted = list(np.quantile(curve, QUANTILES))
    if curve[0] < curve[-1]:
        knee = KneeLocator(np.arange(len(curve)), curve, curve="convex", direction="increasing")
        wanted += [] if knee.elbow_y is None else [knee.elbow_y]
    steps = np.unique(curve)
    # Differences from rounding alone count as no difference.
    steps = steps[np.append(np.diff(steps) > ROUNDING * steps[1:], True)]
    reached = np.asarray(wanted, dtype=np.float32) * (1 + ROUNDING)
    above = np.searchsorted(steps, reached, side="right")
    low = steps[np.maximum(above - 1, 0)]
    high = steps[np.minimum(above, len(steps) - 1)]
    between = np.where(high > low, (low + high) / 2, low * (1 + ROUNDING))
    return sorted({float(eps) for eps in np.maximum(between, SMALLEST_EPS)})


def tidy(labels: Labels) -> Labels:
    """Turn clusters of fewer than `SMALLEST_CLUSTER` images into noise, and renumber by size.

    The largest cluster becomes 0; clusters of equal size are numbered by their first image.
    """
    ids, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    kept = (ids != NOISE) & (sizes >= SMALLEST_CLUSTER)
    order = np.lexsort((first[kept], -sizes[kept]))
    tidied = np.full_like(labels, NOISE)
    for number, cluster in enumerate(ids[kept][order]):
        tidied[labels == cluster] = number
    return tidied


def search(
    points: Floats,
    *,
    eps: float | None = None,
    min_samples: int | None = None,
    noise_is_a_cluster: bool = False,
    largest_share: float = 1.0,
    alike: float = 0.0,
    step: Step = lambda done, total: None,
) -> Clustering:
    """Find the root cause clusters of images.

    The score of a candidate is the sum of the silhouettes of the images in clusters, divided by the
    number of all images. This equals the silhouette index of the clustered images times their
    share, so a candidate gains nothing by calling images noise. Of equal scores, the candidate with
    less noise is chosen, then the one with the larger eps.

    A cluster of more than `largest_share` of all images, and of more than `SEEN_AT_ONCE` images, is
    clustered again by itself. It is replaced by the best parts with at most `MOST_NOISE` of its
    images as noise, if there are such parts.

    Time grows with n^2; memory grows with n^2 up to `MATRIX_LIMIT` images, and with n above.

    Parameters
    ----------
    points : array of float32, shape (n, d)
    eps, min_samples : optional
        Values that the user fixed; None to search for them.
    noise_is_a_cluster : bool
        Whether to use the paper's silhouette: over all images, with noise as one more cluster.
    largest_share : float
        0 to 1; 1 for no splitting. With a fixed eps, clusters are not split, either.
    alike : float
        Images closer to each other than this distance count as equal.
    step : callable
        Called with ``(done, total)``.

    Raises
    ------
    ValueError
        When there is no image, or eps or min_samples is not positive.
    """
    n = len(points)
    _check_search(n, eps, min_samples)
    if eps is None and (note := _why_not_to_search(points, alike)):
        return _one_cluster(n, note)
    tried = MIN_SAMPLES if min_samples is None else (min_samples,)
    total = len(tried) + 2
    step(1, total)
    best = try_all(points, eps, tried, noise_is_a_cluster, turn=lambda done: step(1 + done, total))
    labels, core = best.labels.copy(), best.core.copy()
    settings = dict.fromkeys(range(best.chosen.clusters), best.chosen)
    if eps is None:
        _split(points, labels, core, settings, tried, noise_is_a_cluster, largest_share * n)
    step(total, total)
    tidied, by_id = number_clusters(labels, settings)
    fixed = eps is not None or min_samples is not None
    return Clustering(
        tidied, core, by_id, best.chosen, best.candidates, _note(len(settings), n, fixed)
    )


def _check_search(n: int, eps: float | None, min_samples: int | None) -> None:
    if not n:
        raise ValueError("points: expected at least one image, received none")
    if eps is not None and not eps > 0:
        raise ValueError(f"eps: expected a positive number, received {eps}")
    if min_samples is not None and min_samples < 1:
        raise ValueError(f"min_samples: expected at least 1, received {min_samples}")


def _why_not_to_search(points: Floats, alike: float) -> str:
    """Explain why all images are one cluster without a search; "" if a search makes sense."""
    if len(points) < TOO_FEW:
        return (
            f"{count_of(len(points), 'image')}: too few to tell clusters from noise, and shown "
            "as one cluster."
        )
    if np.linalg.norm(points - points[0], axis=1).max() <= alike:
        return "All images look the same to the network: they are one cluster."
    return ""


def number_clusters(
    labels: Labels, settings: Mapping[int, Candidate]
) -> tuple[Labels, tuple[Candidate, ...]]:
    """Renumber clusters by size (see `tidy`), and sort their settings in the same order."""
    tidied = tidy(labels)
    by_id = {int(tidied[labels == cluster][0]): setting for cluster, setting in settings.items()}
    return tidied, tuple(by_id[cluster] for cluster in sorted(by_id))


@dataclass(frozen=True)
class BestLabelling:
    """The labelling of the best setting for some images; for its attributes see `Clustering`."""

    labels: Labels
    core: NDArray[np.bool_]
    chosen: Candidate
    candidates: tuple[Candidate, ...]


def try_all(
    points: Floats,
    eps: float | None,
    tried: Sequence[int],
    noise_is_a_cluster: bool,
    turn: Callable[[int], None] = lambda done: None,
    most_noise: float = 1.0,
) -> BestLabelling:
    """Cluster with every candidate setting, and return the labelling with the best score.

    See `search` for the other parameters, the score, and how time and memory grow.

    Parameters
    ----------
    turn : callable
        Called with the number of values of min_samples that are done.
    most_noise : float
        Candidates with a larger share of noise are left out, unless all have more.
    """
    n = len(points)
    distances = Distances(points)
    neighbours = find_nearest(points, max(tried))
    results: list[tuple[Candidate, Labels]] = []
    for done, samples in enumerate(tried, 1):
        core_distances = neighbours.distances[:, min(samples, n) - 1]
        tree = grow_spanning_tree(distances, core_distances)
        values = propose_eps(core_distances) if eps is None else [eps]
        labellings = [tidy(cut(tree, neighbours, value, samples)) for value in values]
        scores = _scores(distances, labellings, noise_is_a_cluster)
        for value, labels, score in zip(values, labellings, scores, strict=True):
            noise = float((labels == NOISE).mean())
            candidate = Candidate(value, samples, int(labels.max()) + 1, noise, score)
            results.append((candidate, labels))
        turn(done)
    allowed = [one for one in results if one[0].noise <= most_noise] or results
    chosen, labels = max(allowed, key=lambda one: (one[0].score, -one[0].noise, one[0].eps))
    core = is_core(neighbours, chosen.eps, chosen.min_samples) & (labels != NOISE)
    return BestLabelling(labels, core, chosen, tuple(candidate for candidate, _ in results))


def _split(
    points: Floats,
    labels: Labels,
    core: NDArray[np.bool_],
    settings: dict[int, Candidate],
    tried: Sequence[int],
    noise_is_a_cluster: bool,
    largest: float,
) -> None:
    """Cluster the clusters of more than `largest` images again, and replace them by their parts.

    The parts are written into `labels`, `core` and `settings`.
    """
    waiting = list(settings)
    while waiting:
        cluster = waiting.pop()
        inside = np.flatnonzero(labels == cluster)
        if len(inside) <= max(largest, SEEN_AT_ONCE):
            continue
        parts = try_all(points[inside], None, tried, noise_is_a_cluster, most_noise=MOST_NOISE)
        if parts.chosen.clusters < 2 or parts.chosen.noise > MOST_NOISE:
            continue
        waiting += replace_cluster(cluster, inside, parts, labels, core, settings)


def replace_cluster(
    cluster: int,
    inside: NDArray[np.intp],
    parts: BestLabelling,
    labels: Labels,
    core: NDArray[np.bool_],
    settings: dict[int, Candidate],
) -> range:
    """Replace a cluster by its parts in `labels`, `core` and `settings`.

    Parameters
    ----------
    inside : array of intp
        Positions of the cluster's images.
    parts : BestLabelling
        Clusters of these images.

    Returns
    -------
    range
        The numbers of the parts.
    """
    del settings[cluster]
    first = max(settings, default=cluster) + 1
    labels[inside] = np.where(parts.labels == NOISE, NOISE, parts.labels + first)
    core[inside] = parts.core
    numbers = range(first, first + parts.chosen.clusters)
    settings |= dict.fromkeys(numbers, parts.chosen)
    return numbers


def _scores(distances: Distances, labellings: Sequence[Labels], noise: bool) -> list[float]:
    if noise:
        labellings = [
            np.where(labels == NOISE, labels.max() + 1, labels) if labels.max() >= 0 else labels
            for labels in labellings
        ]
    # A single cluster has no silhouette; its score is 0, as in Rousseeuw's paper.
    return [
        float(values.sum(dtype=np.float64) / len(values)) if labels.max() >= 0 else NO_CLUSTER
        for values, labels in zip(
            compute_silhouettes(distances, labellings), labellings, strict=True
        )
    ]


def _one_cluster(n: int, note: str) -> Clustering:
    chosen = Candidate(eps=0.0, min_samples=1, clusters=1, noise=0.0, score=0.0)
    return Clustering(
        labels=np.zeros(n, dtype=np.int32),
        core=np.ones(n, dtype=np.bool_),
        settings=(chosen,),
        chosen=chosen,
        candidates=(),
        note=note,
    )


def _note(clusters: int, n: int, fixed: bool) -> str:
    if clusters > 1:
        return ""
    if fixed:
        received = "no cluster" if clusters == 0 else "one cluster"
        return f"The given --eps or --min-samples finds {received} among {count_of(n, 'image')}."
    # A search always finds a cluster, because the largest candidates of eps link nearly all images.
    return (
        "The images form one dense group, and no setting splits it. A smaller --eps looks "
        "for finer differences."
    )
