"""Choose the unsafe set from candidates whose distances and scores are known.

The distances are computed once and stored. So the set can be chosen again at once when an engineer
changes the number of images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Floats, Positions
from pipelines.data.groups import Groups, number_groups
from pipelines.unsafe_set.allocation import Choice, Same, allocate, fill

Allocation = Literal["uniform", "proportional"]
Ranking = Literal["contrast", "distance"]


@dataclass(frozen=True)
class Candidates:
    """The images of an improvement set, with their distances to the clusters of a run.

    Attributes
    ----------
    paths, digests : tuple of str, length n
        See `images.ImageFile`.
    points : array of float32, shape (n, d)
        Coordinates in the space in which distances are measured.
    distances : array of float32, shape (n, k)
        To the nearest core image of each cluster.
    reaches : array of float32, shape (k,)
        An image within this distance belongs to the cluster; see `allocation.compute_reaches`.
    scores : array of float32, shape (n,)
        Images with larger scores are more worth a label; see `contrast`.
    sizes : array of int64, shape (k,)
        Number of images of each cluster.
    groups : tuple of str, length n
        Name of each image's group, "" for an image that is a group of its own; an empty tuple when
        there are no groups.
    """

    paths: tuple[str, ...]
    digests: tuple[str, ...]
    points: Floats
    distances: Floats
    reaches: Floats
    scores: Floats
    sizes: NDArray[np.int64]
    groups: tuple[str, ...] = ()

    def inside(self) -> NDArray[np.bool_]:
        """Tell which images belong to a cluster."""
        return np.asarray((self.distances <= self.reaches).any(axis=1), dtype=np.bool_)

    def group_numbers(self) -> NDArray[np.int64]:
        """Return the number of each image's group: int64, shape (n,)."""
        groups = dict(zip(self.paths, self.groups, strict=True)) if self.groups else {}
        names = {path: group for path, group in groups.items() if group}
        return number_groups(Groups(names, ""), self.paths)


@dataclass(frozen=True)
class UnsafeSet:
    """The images chosen from the candidates, best first.

    Attributes
    ----------
    images : array of intp, shape (m,)
        Positions in the candidates.
    clusters : array of int32, shape (m,)
        The cluster that each image is chosen for.
    outside : array of bool, shape (m,)
        Whether an image is outside of all clusters; these images come last.
    same : dict of int to int
        For each image that was left out as a duplicate, the chosen image that it duplicates.
    """

    images: Positions
    clusters: NDArray[np.int32]
    outside: NDArray[np.bool_]
    same: dict[int, int]


def cut(
    candidates: Candidates,
    count: int,
    *,
    allocation: Allocation,
    ranking: Ranking,
    same_distance: float,
) -> UnsafeSet:
    """Choose the unsafe set from the candidates (SAFE, section 2, step 4; HUDD, section IV-C).

    Images that belong to a cluster come first, as `allocation.fill` chooses them. If a cluster has
    too few images for its quota, the other clusters get the rest. Images outside of all clusters
    are chosen only if the images inside are fewer than `count`.

    Parameters
    ----------
    count : int
        Number of images to choose, at least 1; if there are fewer candidates, all are chosen.
    allocation : {"uniform", "proportional"}
        Whether all clusters get equal quotas, or quotas in proportion to their sizes.
    ranking : {"contrast", "distance"}
        Whether images with large scores come first, or images near the cluster.
    same_distance : float
        Images of a cluster that are nearer than this count as duplicates; 0 keeps duplicates.
    """
    weights = np.ones(len(candidates.sizes))
    if allocation == "proportional":
        weights = candidates.sizes.astype(np.float64)
    order = -candidates.scores if ranking == "contrast" else None
    same = _build_same(candidates, same_distance)
    within = np.where(
        candidates.distances <= candidates.reaches, candidates.distances, np.float32(np.inf)
    )
    groups = candidates.group_numbers()
    inner = _fill_up(within, weights, count, order, same, groups)
    missing = count - len(inner.images)
    if missing <= 0:
        outer = Choice(np.empty(0, np.intp), np.empty(0, np.int32), {})
    else:
        beyond = candidates.distances.copy()
        beyond[candidates.inside()] = np.inf
        outer = _fill_up(beyond, weights, missing, None, same, groups, inner)
    return UnsafeSet(
        images=np.concatenate([inner.images, outer.images]),
        clusters=np.concatenate([inner.clusters, outer.clusters]),
        outside=np.arange(len(inner.images) + len(outer.images)) >= len(inner.images),
        same=inner.same | outer.same,
    )


def _fill_up(
    distances: Floats,
    weights: NDArray[np.float64],
    count: int,
    order: Floats | None,
    same: Same | None,
    groups: NDArray[np.int64],
    before: Choice | None = None,
) -> Choice:
    """Fill quotas that sum up to `count`; quotas that a cluster cannot fill go to the others."""
    quotas = allocate(count, weights)
    open_to_more = np.ones(len(weights), dtype=np.bool_)
    while True:
        choice = fill(distances, quotas, order=order, same=same, groups=groups, before=before)
        filled = np.bincount(choice.clusters, minlength=len(weights))
        open_to_more &= filled >= quotas
        missing = count - int(filled.sum())
        if not missing or not open_to_more.any():
            return choice
        quotas = filled + allocate(missing, np.where(open_to_more, weights, 0.0))


def _build_same(candidates: Candidates, same_distance: float) -> Same | None:
    """Return the function that finds duplicates; None when duplicates are kept."""
    if not same_distance:
        return None
    digests, points = candidates.digests, candidates.points
    limit = np.float32(same_distance) ** 2

    def same(image: int, chosen: list[int]) -> int | None:
        if not chosen:
            return None
        squares = np.square(points[chosen] - points[image]).sum(axis=1)
        nearest = int(squares.argmin())
        if squares[nearest] < limit or digests[chosen[nearest]] == digests[image]:
            return chosen[nearest]
        return None

    return same
