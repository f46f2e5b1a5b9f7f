"""How the unsafe set is cut from measured candidates: shared out over clusters, and thinned out.

Distances and scores are computed once; the set is cut from them again in a moment.
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
    """The images of an improvement set, and where they stand to the clusters of a run.

    Attributes
    ----------
    paths, digests : tuple of str, length n
    points : array of float32, shape (n, d)
        In the space in which distances are measured.
    distances : array of float32, shape (n, k)
        To the nearest core image of each cluster.
    reaches : array of float32, shape (k,)
        Within which an image belongs to a cluster.
    scores : array of float32, shape (n,)
        The larger, the sooner it is worth a label.
    sizes : array of int64, shape (k,)
        Of the clusters.
    groups : tuple of str, length n
        Name of each image's group, "" where it is its own; empty where every image is.
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
        """Return a number a group: images of one group share it."""
        groups = dict(zip(self.paths, self.groups, strict=True)) if self.groups else {}
        names = {path: group for path, group in groups.items() if group}
        return number_groups(Groups(names, ""), self.paths)


@dataclass(frozen=True)
class UnsafeSet:
    """A cut of the candidates, best first.

    Attributes
    ----------
    images : array of intp, shape (m,)
    clusters : array of int32, shape (m,)
    outside : array of bool, shape (m,)
        Whether an image belongs to none of the clusters; such come last.
    same : dict of int to int
        Images left out for being the same as one that is chosen, and that one.
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
    """Choose images (SAFE, section 2, step 4; HUDD, section IV-C).

    What belongs to a cluster comes first, by rank-wise filling (`allocation.fill`); what a cluster
    cannot fill goes to those that can.  Groups of images (frames of one track, say) take turns in
    each cluster (`allocation.fill`).  What is outside of all clusters only fills up what is then
    still wanted.

    Parameters
    ----------
    count : int
        At least 1; more than there are takes all.
    """
    weights = np.ones(len(candidates.sizes))
    if allocation == "proportional":
        weights = candidates.sizes.astype(np.float64)
    order = -candidates.scores if ranking == "contrast" else None
    same = _same(candidates, same_distance)
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
    """Fill quotas that sum up to `count`; what a cluster cannot fill goes to those that can."""
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


def _same(candidates: Candidates, same_distance: float) -> Same | None:
    """Return what tells whether an image is the same as one that is chosen for the cluster."""
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
