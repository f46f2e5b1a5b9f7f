"""The unsafe set of a run: its files, and how it is cut, thinned out and handed to labelling tools.

Distances and scores are computed once and kept; the set is cut from them again in a moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pipelines.errors import InputError
from pipelines.files import atomic_write, read_csv, write_csv, write_text
from pipelines.runs import read_document
from pipelines.unsafe_set import Choice, Floats, Positions, Same, allocate, fill

FILENAMES_FILE = "IS_filenames.txt"
UNSAFE_SET_FILE = "unsafe_set.csv"
SELECTION_FILE = "selection.json"
CANDIDATES_FILE = "selection.npz"
COLUMNS = ("path", "cluster", "rank", "distance", "outside", "label")
DIGITS = 4

Allocation = Literal["uniform", "proportional"]
Ranking = Literal["contrast", "distance"]


class Selection(BaseModel):
    """`selection.json`: what was chosen from, and how.

    Attributes
    ----------
    folder : str
        The improvement set.
    images, rejected : int
        Of it: used, and files that could not be.
    inside : int
        Images within the reach of a cluster; the others belong to none.
    count : int
        Images asked for.
    counted : str
        Where that number comes from, in words.
    allocation : str
        "uniform" (SAFE: evenly over the clusters) or "proportional" (HUDD: by their size).
    ranking : str
        Which images of a cluster come first: "contrast" or "distance".
    same_distance : float
        Images of a cluster that are nearer than this to one another count once; 0 for never.
    chosen, same : int
        Images in the unsafe set, and those left out for being the same as one of them.
    notes : list of str
        What the user should know, in sentences.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = 1
    folder: str
    images: int
    rejected: int
    inside: int
    count: int
    counted: str
    allocation: Allocation
    ranking: Ranking
    same_distance: float
    seed: int
    chosen: int = 0
    same: int = 0
    notes: list[str] = []


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
    """

    paths: tuple[str, ...]
    digests: tuple[str, ...]
    points: Floats
    distances: Floats
    reaches: Floats
    scores: Floats
    sizes: NDArray[np.int64]

    def inside(self) -> NDArray[np.bool_]:
        """Tell which images belong to a cluster."""
        return np.asarray((self.distances <= self.reaches).any(axis=1), dtype=np.bool_)


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

    What belongs to a cluster comes first, by rank-wise filling (`unsafe_set.fill`); what a cluster
    cannot fill goes to those that can.  What is outside of all clusters only fills up what is then
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
    inner = _fill_up(within, weights, count, order, same)
    missing = count - len(inner.images)
    if missing <= 0:
        outer = Choice(np.empty(0, np.intp), np.empty(0, np.int32), {})
    else:
        beyond = candidates.distances.copy()
        beyond[candidates.inside()] = np.inf
        outer = _fill_up(beyond, weights, missing, None, same)
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
) -> Choice:
    """Fill quotas that sum up to `count`; what a cluster cannot fill goes to those that can."""
    quotas = allocate(count, weights)
    open_to_more = np.ones(len(weights), dtype=np.bool_)
    while True:
        choice = fill(distances, quotas, order=order, same=same)
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


def write_candidates(run: Path, candidates: Candidates) -> None:
    """Write `selection.npz`; plain arrays, no pickle."""
    with atomic_write(run / CANDIDATES_FILE) as file:
        np.savez(
            file,
            paths=np.array(candidates.paths, dtype=np.str_),
            digests=np.array(candidates.digests, dtype=np.str_),
            points=candidates.points,
            distances=candidates.distances,
            reaches=candidates.reaches,
            scores=candidates.scores,
            sizes=candidates.sizes,
        )


def read_candidates(run: Path) -> Candidates:
    """Read `selection.npz`; raise InputError where there is none, or a damaged one."""
    path = run / CANDIDATES_FILE
    try:
        with np.load(path, allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in kept.files}
        return Candidates(
            tuple(arrays.pop("paths").tolist()), tuple(arrays.pop("digests").tolist()), **arrays
        )
    except (OSError, LookupError, ValueError, TypeError) as error:
        raise InputError(
            f"{path} cannot be read ({error}): select the unsafe set again."
        ) from error


def read_selection(run: Path) -> Selection | None:
    """Read `selection.json`; None where no unsafe set was selected.

    Raises
    ------
    InputError
        When it cannot be read.
    """
    return read_document(run / SELECTION_FILE, Selection, "Select the unsafe set again.")


def read_given_labels(run: Path) -> dict[str, str]:
    """Read the labels that were filled into `unsafe_set.csv`: by path, empty ones left out."""
    try:
        rows = read_csv(run / UNSAFE_SET_FILE)
        return {row["path"]: row["label"] for row in rows if row["label"].strip()}
    except FileNotFoundError:
        return {}
    except (LookupError, ValueError) as error:
        raise InputError(
            f"{run / UNSAFE_SET_FILE} is not as the tool writes it ({type(error).__name__}: "
            f"{error}); the labels in it would be lost. Save it as CSV (UTF-8, commas) with all "
            "its rows and columns."
        ) from error


def write_selection(
    run: Path,
    selection: Selection,
    candidates: Candidates,
    chosen: UnsafeSet,
    labels: Mapping[str, str],
) -> None:
    """Write `IS_filenames.txt`, `unsafe_set.csv` and `selection.json`, each whole or not at all.

    Parameters
    ----------
    labels : mapping of str to str
        By path, those that were filled in already.
    """
    rows = []
    for rank, (image, cluster, outside) in enumerate(
        zip(chosen.images.tolist(), chosen.clusters.tolist(), chosen.outside, strict=True), 1
    ):
        path = candidates.paths[image]
        distance = round(float(candidates.distances[image, cluster]), DIGITS)
        rows.append((path, cluster, rank, distance, int(outside), labels.get(path, "")))
    write_csv(run / UNSAFE_SET_FILE, COLUMNS, rows)
    write_text(run / FILENAMES_FILE, "".join(f"{row[0]}\n" for row in rows))
    update = {"chosen": len(rows), "same": len(chosen.same)}
    text = selection.model_copy(update=update).model_dump_json(indent=1)
    write_text(run / SELECTION_FILE, text + "\n")
