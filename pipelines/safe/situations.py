"""Situations: clusters whose images lie in one direction from the passing images.

At the scale that keeps clusters pure, DBSCAN splits one cause by appearance, and merges weak causes
near a strong one. Directions correct both errors. A cluster whose parts have different directions
is several causes. Clusters with the same direction are one cause, even if their images show
different things. One rule then decides which failing and passing images belong to a situation: by
the direction of the situation, and by how far its images deviate from it.

This step is not in SAFE; `benchmarks/photographs.py` compares the results with and without it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Floats
from pipelines.safe.clustering import (
    MIN_SAMPLES,
    SMALLEST_CLUSTER,
    Candidate,
    Clustering,
    number_clusters,
    replace_cluster,
    tidy,
    try_all,
)
from pipelines.safe.dbscan import NOISE, Labels
from pipelines.safe.denoising import denoise

APART = 0.4
"""Two parts are two causes if the cosine distance of their shifts is at least this."""
AGREEING = 0.6
"""Parts are kept if the median cosine of images with the direction of their part's other images is
at least this. It is 0.3 to 0.55 for random parts of a cloud, 0.65 to 0.95 for causes."""
TOGETHER = 0.42
"""Clusters are one situation if the mean cosine distance of their shifts is at most this."""
AGAIN = 0.36
"""The same limit after images were placed, when the directions of situations are more certain."""
SMALLEST = 6
"""Smallest number of images of a cluster that can be split into two."""
MOST_NOISE = 0.2
"""Largest share of a cluster that may become noise when it is split."""
AWAY = 0.75
"""An image has no cause if its distance from the passing images' mean is below this share of their
root mean square length."""
STRAYING = 1.5
"""Number of interquartile ranges beyond the quartile (Tukey's fence) by which an image may deviate
from its situation."""
FARTHEST_FROM_ALL = -2.0


def compute_shifts(rays: Floats, labels: Labels) -> Floats:
    """Compute the shift of each cluster: its mean, relative to the passing images' mean.

    Parameters
    ----------
    rays : array of float32, shape (n, c)
        The result of `contrast.project`.
    labels : array of int32, shape (n,)
        0 to k - 1, where every id occurs; -1 is noise.

    Returns
    -------
    array of float32, shape (k, c)
    """
    clusters = range(int(labels.max(initial=NOISE)) + 1)
    means = [rays[labels == cluster].mean(axis=0, dtype=np.float64) for cluster in clusters]
    return np.array(means, dtype=np.float32).reshape(len(means), rays.shape[1])


def to_unit_length(vectors: Floats) -> Floats:
    """Scale vectors to Euclidean length 1; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    units: Floats = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return units


def take_apart(clustering: Clustering, directions: Floats, rays: Floats) -> Clustering:
    """Cluster each cluster again by itself, and split it if its parts have different directions.

    The images of a cluster are denoised among themselves, so that a frequent cause near the cluster
    no longer attracts them. The parts replace the cluster if the shifts of two parts are at least
    `APART`, the images of the parts agree on their directions (`AGREEING`), and at most a fifth of
    the cluster becomes noise. Each part is then clustered again.

    Time grows with the square of the largest cluster.

    Parameters
    ----------
    directions, rays : arrays of float32, shape (n, c)
        The results of `contrast.compute_directions` and `contrast.project`.
    """
    labels, core = clustering.labels.copy(), clustering.core.copy()
    settings: dict[int, Candidate] = dict(enumerate(clustering.settings))
    waiting = list(settings)
    while waiting:
        cluster = waiting.pop()
        inside = np.flatnonzero(labels == cluster)
        if len(inside) < SMALLEST:
            continue
        parts = try_all(
            denoise(directions[inside]), None, MIN_SAMPLES, False, most_noise=MOST_NOISE
        )
        if parts.chosen.clusters < 2 or parts.chosen.noise > MOST_NOISE:
            continue
        ways = to_unit_length(compute_shifts(rays[inside], parts.labels))
        if 1 - (ways @ ways.T).min() < APART or _agreement(rays[inside], parts.labels) < AGREEING:
            continue
        waiting += replace_cluster(cluster, inside, parts, labels, core, settings)
    tidied, by_id = number_clusters(labels, settings)
    return replace(clustering, labels=tidied, core=core, settings=by_id)


def _with_others(rays: Floats) -> Floats:
    """Compute, for each image of a cluster, the mean direction of the cluster's other images."""
    units = to_unit_length(rays)
    return to_unit_length(units.sum(axis=0) - units)


def _agreement(rays: Floats, labels: Labels) -> float:
    """Compute the median cosine of images with the direction of their cluster's other images."""
    cosines = [
        (_with_others(rays[labels == cluster]) * to_unit_length(rays[labels == cluster])).sum(
            axis=1
        )
        for cluster in range(int(labels.max()) + 1)
    ]
    return float(np.median(np.concatenate(cosines)))


def join(rays: Floats, labels: Labels, together: float = TOGETHER) -> Labels:
    """Join clusters that have the same direction into one situation.

    The method is average linkage of the clusters' shifts by cosine distance, cut at `together`.
    Time and memory grow with the square of the number of clusters, and linearly with the number of
    images.

    Parameters
    ----------
    rays, labels : as in `compute_shifts`

    Returns
    -------
    array of int32, shape (n,)
        Situation of each image, the largest first; -1 is noise.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    ways = to_unit_length(compute_shifts(rays, labels))
    if len(ways) < 2:
        return labels
    upper = np.triu_indices(len(ways), 1)
    joined = linkage(np.maximum(1 - ways @ ways.T, 0)[upper], "average")
    numbers = (fcluster(joined, together, "distance") - 1).astype(np.int32)
    return tidy(np.where(labels == NOISE, NOISE, numbers[labels]).astype(np.int32))


@dataclass(frozen=True)
class Reach:
    """The reach of each situation: the limits within which it holds an image.

    Attributes
    ----------
    ways : array of float32, shape (k, c)
        Direction of each situation, of length 1.
    least_cosines : array of float32, shape (k,)
        Smallest cosine of an image's ray with the direction of the situation.
    least_lengths : array of float32, shape (k,)
        Smallest length of the ray along that direction.
    """

    ways: Floats
    least_cosines: Floats
    least_lengths: Floats


def measure_reach(rays: Floats, labels: Labels, passing_length: float) -> Reach:
    """Measure how far the images of each situation deviate from its direction.

    The direction of a situation is the mean of its images' directions. For the limits, each image
    is compared with the direction of the other images, like a new image. A situation holds an image
    if two conditions are true. The image's cosine and its length along the direction are at least
    the lower quartile minus 1.5 interquartile ranges (Tukey's fence). The length is at least `AWAY`
    of that of passing images. Time grows linearly with the number of images.

    Parameters
    ----------
    rays, labels : as in `compute_shifts`
    passing_length : float
        Root mean square length of passing images' rays.
    """
    units = to_unit_length(rays)
    ways, least_cosines, least_lengths = [], [], []
    for situation in range(int(labels.max(initial=NOISE)) + 1):
        inside = labels == situation
        others = _with_others(rays[inside])
        ways.append(to_unit_length(units[inside].sum(axis=0)))
        least_cosines.append(_fence((others * units[inside]).sum(axis=1)))
        length = _fence((others * rays[inside]).sum(axis=1))
        least_lengths.append(max(length, AWAY * passing_length))
    return Reach(
        np.array(ways, dtype=np.float32).reshape(len(ways), rays.shape[1]),
        np.array(least_cosines, dtype=np.float32),
        np.array(least_lengths, dtype=np.float32),
    )


def _fence(values: NDArray[np.float32]) -> float:
    lower, upper = np.quantile(values, [0.25, 0.75])
    return float(lower - STRAYING * (upper - lower))


def place(rays: Floats, reach: Reach) -> Labels:
    """Place each image in the situation that holds it; of several, in that of the largest cosine.

    Time grows with the number of images times the number of situations.

    Parameters
    ----------
    rays : array of float32, shape (n, c)
        Rays of any images.

    Returns
    -------
    array of int32, shape (n,)
        Situation of each image; -1 if no situation holds it.
    """
    if not len(reach.ways):
        return np.full(len(rays), NOISE, dtype=np.int32)
    cosines = to_unit_length(rays) @ reach.ways.T
    lengths = rays @ reach.ways.T
    held = (cosines >= reach.least_cosines) & (lengths >= reach.least_lengths)
    cosines = np.where(held, cosines, FARTHEST_FROM_ALL)
    return np.where(held.any(axis=1), cosines.argmax(axis=1), NOISE).astype(np.int32)


@dataclass(frozen=True)
class Situations:
    """The situations of one set of failing images.

    Attributes
    ----------
    labels : array of int32, shape (n,)
        Situation of each image, the largest first; -1 is noise.
    parts : array of int32, shape (n,)
        Appearance within the situation, the largest first; -1 is noise.
    core : array of bool, shape (n,)
        Core images of the clusters that became situations.
    reach : Reach
        Limits of each situation.
    """

    labels: Labels
    parts: Labels
    core: NDArray[np.bool_]
    reach: Reach


def find_situations(
    clustering: Clustering,
    directions: Floats,
    rays: Floats,
    passing_length: float,
    looks: NDArray[np.intp] | None = None,
    frames: Floats | None = None,
    *,
    apart: bool = True,
) -> Situations:
    """Find situations: split clusters with several directions, and join those of one direction.

    Afterwards every image is placed by the reach of the situations: an image of noise joins the
    situation that holds it, and an image that its situation does not hold becomes noise. So failing
    and passing images are counted by the same rule. If looks were clustered, each of their frames
    is placed by this rule.

    Time grows with the square of the largest cluster.

    Parameters
    ----------
    clustering : Clustering
        Clusters of the denoised directions.
    directions, rays : arrays of float32, shape (n, c)
        The results of `contrast.compute_directions` and `contrast.project`, for looks if looks were
        clustered.
    passing_length : float
        Root mean square length of passing images' rays.
    looks : array of intp, shape (f,), optional
        Look of each frame.
    frames : array of float32, shape (f, c), optional
        Rays of the frames.
    apart : bool
        Whether clusters may be split; False if the user fixed eps.

    Returns
    -------
    Situations
        Situations of the images, or of the frames if looks were clustered.
    """
    first = take_apart(clustering, directions, rays) if apart else clustering
    joined, clusters, core = join(rays, first.labels), first.labels, first.core
    if looks is not None and frames is not None:
        joined = _add_single_subjects(joined[looks], looks)
        clusters, core, rays = clusters[looks], core[looks] | (clusters[looks] == NOISE), frames
    whole, placed = _place_and_join(rays, joined, passing_length)
    labels = tidy(placed)
    parts = _appearances(rays, labels, clusters)
    numbers = [int(placed[labels == situation][0]) for situation in range(labels.max() + 1)]
    reach = Reach(whole.ways[numbers], whole.least_cosines[numbers], whole.least_lengths[numbers])
    core = core & (labels != NOISE)
    for situation in range(labels.max() + 1):
        if not core[labels == situation].any():  # its reach holds none of its core images
            core = core | (labels == situation)
    return Situations(labels, parts, core, reach)


def _place_and_join(rays: Floats, labels: Labels, passing_length: float) -> tuple[Reach, Labels]:
    """Place images in the situations that hold them, and join situations of the same direction.

    Placing changes the images of a situation, and so its direction and its distance to others. So
    both steps are repeated until no situations are joined.
    """
    while True:
        reach = measure_reach(rays, labels, passing_length)
        placed = place(rays, reach)
        joined = join(rays, tidy(placed), AGAIN)
        if joined.max(initial=NOISE) == tidy(placed).max(initial=NOISE):
            return reach, placed
        labels = joined


def _add_single_subjects(labels: Labels, looks: NDArray[np.intp]) -> Labels:
    """Make a cluster of each look in the noise that has at least `SMALLEST_CLUSTER` frames."""
    sizes = np.bincount(looks)
    alone = (labels == NOISE) & (sizes[looks] >= SMALLEST_CLUSTER)
    first = int(labels.max(initial=NOISE)) + 1
    numbers = np.unique(looks[alone], return_inverse=True)[1]
    result = labels.copy()
    result[alone] = first + numbers
    return result


def _appearances(rays: Floats, labels: Labels, clusters: Labels) -> Labels:
    """Assign numbers to the clusters of each situation; other images join the nearest one."""
    parts = np.full_like(labels, NOISE)
    for situation in range(int(labels.max(initial=NOISE)) + 1):
        inside = np.flatnonzero(labels == situation)
        sizes = np.unique(clusters[inside], return_counts=True)
        known = [
            c for c, size in zip(*sizes, strict=True) if c != NOISE and size >= SMALLEST_CLUSTER
        ]
        if not known:
            parts[inside] = 0
            continue
        ways = np.stack([rays[inside[clusters[inside] == c]].mean(axis=0) for c in known])
        nearest = (to_unit_length(rays[inside]) @ to_unit_length(ways).T).argmax(axis=1)
        number = {int(cluster): place for place, cluster in enumerate(known)}
        own = [number.get(int(c), int(n)) for c, n in zip(clusters[inside], nearest, strict=True)]
        parts[inside] = _renumber(np.array(own, dtype=np.int32))
    return parts


def _renumber(parts: Labels) -> Labels:
    """Renumber parts by size, the largest 0; equal sizes by their first image."""
    numbers, first, sizes = np.unique(parts, return_index=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    result = np.empty_like(parts)
    for place, number in enumerate(numbers[order]):
        result[parts == number] = place
    return result
