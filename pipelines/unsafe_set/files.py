"""The files of a run's unsafe set, and an engineer's changes to it.

An engineer may change the number of images, and take images or clusters out of the set.
`selection.npz` has the distances and scores, `selection.json` the decisions. The resulting set is
in `unsafe_set.csv` and `IS_filenames.txt`. Engineers fill in labels in `unsafe_set.csv`. No label
is lost: `selection.json` keeps the labels of images that are not in the set at the moment. It is
written last, and has digests of the archive and of the table that belong to it: others are refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pipelines.runs.archives import Entry, check_lengths, read_archive
from pipelines.runs.errors import InputError
from pipelines.runs.files import atomic_write, read_csv, write_csv, write_text
from pipelines.runs.folder import lock_folder
from pipelines.runs.guard import DAMAGES
from pipelines.runs.manifest import read_document
from pipelines.runs.wording import count_of
from pipelines.unsafe_set.cut import Allocation, Candidates, Ranking, UnsafeSet, cut
from pipelines.unsafe_set.rows import COLUMNS, UNSAFE_SET_FILE, digest_rows, read_rows

FILENAMES_FILE = "IS_filenames.txt"
SELECTION_FILE = "selection.json"
CANDIDATES_FILE = "selection.npz"
WRITTEN = (FILENAMES_FILE, UNSAFE_SET_FILE, SELECTION_FILE, CANDIDATES_FILE)
"""All files of an unsafe set."""
ARRAYS = {
    "paths": Entry("U", 1),
    "digests": Entry("U", 1),
    "points": Entry("f", 2),
    "distances": Entry("f", 2),
    "reaches": Entry("f", 1),
    "scores": Entry("f", 1),
    "sizes": Entry("i", 1),
    "groups": Entry("U", 1, optional=True),
}
"""Entries of `selection.npz`; see `cut.Candidates`."""
DIGITS = 4
SELECT_AGAIN = "Select the unsafe set again, with --overwrite."
BY_HAND = "as asked for"

Name = TypeVar("Name", str, int)


class Selection(BaseModel):
    """`selection.json`: the improvement set, and how the unsafe set is chosen from it.

    Attributes
    ----------
    folder : str
        Folder of the improvement set.
    images, rejected : int
        Numbers of images that are used, and of files that cannot be used.
    inside : int
        Number of images that belong to a cluster.
    count : int
        Number of images to choose.
    counted : str
        Source of `count`, in words.
    test_images, accuracy : int and float, optional
        Values from which `count` was estimated; see `allocation.estimate_count`.
    allocation : str
        "uniform" (SAFE: evenly over the clusters) or "proportional" (HUDD: by their size).
    ranking : str
        Which images of a cluster come first: "contrast" or "distance".
    same_distance : float
        Images of a cluster that are nearer than this count as duplicates; 0 keeps duplicates.
    measured : str
        SHA-256 of the `selection.npz` that belongs to this file.
    listed : str
        Digest of the set in `unsafe_set.csv`; see `rows.digest_rows`. Empty in earlier versions.
    deselected, deselected_clusters : list of str and of int
        Images, and clusters with all their images, that the engineer took out.
    set_aside : dict of str to str
        Labels, by path, of images that are not in the unsafe set at the moment.
    chosen, same : int
        Numbers of images in the unsafe set, and of duplicates that were left out.
    groups : str
        How the groups of images (of one track, drive or person) were found, in words; empty when
        every image is a group of its own.
    chosen_groups : int
        Number of groups in the unsafe set.
    notes : list of str
        What the user should know, in sentences.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = 1
    folder: str
    images: int
    rejected: int
    inside: int
    count: int
    counted: str
    test_images: int | None = None
    accuracy: float | None = None
    allocation: Allocation
    ranking: Ranking
    same_distance: float
    seed: int
    measured: str = ""
    listed: str = ""
    deselected: list[str] = []
    deselected_clusters: list[int] = []
    set_aside: dict[str, str] = {}
    chosen: int = 0
    same: int = 0
    notes: list[str] = []
    groups: str = ""
    chosen_groups: int = 0

    def describe_count(self) -> str:
        """Say how the number of chosen images was determined, and why fewer are chosen, if so."""
        if self.chosen == self.count:
            return self.counted
        out = self.deselected or self.deselected_clusters
        why = "images that are taken out are not replaced" if out else "there are no more to choose"
        return f"{self.count:,} were wanted, {self.counted}; {why}"

    def remarks(self) -> list[str]:
        """Return the notes, and further sentences that follow from the numbers."""
        sentences = list(self.notes)
        if self.count > self.images:
            sentences.append(f"Wanted: {count_of(self.count, 'image')}; there are {self.images:,}.")
        if self.groups:
            sentences.append(
                f"{count_of(self.chosen, 'image')} of {count_of(self.chosen_groups, 'group')}, "
                f"found {self.groups}: in each cluster, the first image of every group comes "
                "before the second of any. --groups none treats every image as independent."
            )
        if self.set_aside:
            sentences.append(
                f"{count_of(len(self.set_aside), 'label')} of images that are not in the unsafe "
                f"set now: kept in {SELECTION_FILE} until they are."
            )
        return sentences


@dataclass(frozen=True)
class CurrentSet:
    """The unsafe set as it is now, with the images that the engineer took out of it.

    Attributes
    ----------
    selection : Selection
    candidates : Candidates
    chosen : UnsafeSet
        All chosen images, including those that were taken out.
    out : array of bool, shape (m,)
        Whether each image of `chosen` was taken out.
    labels : mapping of str to str
        The engineer's labels by path.
    """

    selection: Selection
    candidates: Candidates
    chosen: UnsafeSet
    out: NDArray[np.bool_]
    labels: Mapping[str, str]


def read_current_set(run: Path) -> CurrentSet:
    """Read a run's unsafe set, with the images that were taken out of it.

    Raises
    ------
    InputError
        When the run has no unsafe set; when its files cannot be read or do not belong together.
    """
    selection = _read_decisions(run)
    candidates = read_measured(run, selection)
    read_rows(run, selection.listed)
    return _cut(selection, candidates, read_engineer_labels(run))


def _read_decisions(run: Path) -> Selection:
    selection = read_selection(run)
    if selection is None:
        raise InputError(f"{run} has no unsafe set: select one first.")
    return selection


def _cut(selection: Selection, candidates: Candidates, labels: Mapping[str, str]) -> CurrentSet:
    chosen = cut(
        candidates,
        selection.count,
        allocation=selection.allocation,
        ranking=selection.ranking,
        same_distance=selection.same_distance,
    )
    names = set(selection.deselected)
    out = np.isin(chosen.clusters, selection.deselected_clusters)
    out |= np.array([candidates.paths[image] in names for image in chosen.images], dtype=np.bool_)
    return CurrentSet(selection, candidates, chosen, out, labels)


def read_measured(run: Path, selection: Selection) -> Candidates:
    """Read `selection.npz`; raise InputError when it is not the one of a selection."""
    candidates = read_candidates(run)
    if selection.measured != _digest(run / CANDIDATES_FILE):
        raise InputError(
            f"{run / CANDIDATES_FILE} does not belong to {SELECTION_FILE}. {SELECT_AGAIN}"
        )
    return candidates


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def recut(
    run: Path,
    *,
    count: int | None = None,
    images: Mapping[str, bool] | None = None,
    clusters: Mapping[int, bool] | None = None,
) -> CurrentSet:
    """Change a run's unsafe set by an engineer's decisions, and write its files.

    An image that is taken out is not replaced by another. Putting it back restores the set.

    Parameters
    ----------
    count : int, optional
        Number of images to choose, including those that are taken out; None keeps the number.
    images, clusters : mapping of str, and of int, to bool, optional
        Images and clusters to put back (True) or to take out (False).

    Raises
    ------
    InputError
        When the run has no unsafe set or no such image or cluster, the count is below 1, a file
        cannot be read, or a job is writing into the run folder.
    OSError
        When the folder is not writable.
    """
    if count is not None and count < 1:
        raise InputError(f"count: expected a number of images, 1 or more, received {count}")
    _read_decisions(run)  # raises InputError before a lock file is made in a folder without a set
    with lock_folder(run, WRITTEN):
        selection = _read_decisions(run)
        candidates = read_measured(run, selection)
        known = set(candidates.paths)
        for path in images or ():
            if path not in known:
                raise InputError(f"{selection.folder} had no image {path!r} when it was selected.")
        for cluster in clusters or ():
            if not 0 <= cluster < len(candidates.sizes):
                raise InputError(f"{run} has no cluster {cluster}.")
        changed = selection.model_copy(
            update={
                "deselected": _change(selection.deselected, images or {}),
                "deselected_clusters": _change(selection.deselected_clusters, clusters or {}),
            }
            | ({} if count is None else {"count": count, "counted": BY_HAND})
        )
        return write_unsafe_set(run, changed, candidates, read_engineer_labels(run))


def _change(out: Iterable[Name], changes: Mapping[Name, bool]) -> list[Name]:
    taken_out = {name for name, chosen in changes.items() if not chosen}
    taken_in = changes.keys() - taken_out
    return sorted((set(out) | taken_out) - taken_in)


def write_candidates(run: Path, candidates: Candidates) -> str:
    """Write `selection.npz`, plain arrays without pickle; return its SHA-256."""
    groups: dict[str, Any] = {"groups": np.array(candidates.groups, dtype=np.str_)}
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
            **(groups if candidates.groups else {}),
        )
    return _digest(run / CANDIDATES_FILE)


def read_candidates(run: Path) -> Candidates:
    """Read `selection.npz`; raise InputError when it is missing or damaged."""
    path = run / CANDIDATES_FILE
    try:
        arrays = read_archive(path, ARRAYS)
        count, clusters = len(arrays["paths"]), len(arrays["sizes"])
        check_lengths(
            arrays,
            ("paths digests points distances scores groups", count),
            ("reaches sizes", clusters),
        )
        if arrays["distances"].shape != (count, clusters):
            raise ValueError(f"expected distances to {clusters} clusters")
    except DAMAGES as error:
        raise InputError(f"{path} cannot be read ({error}). {SELECT_AGAIN}") from error
    groups = tuple(arrays.pop("groups").tolist()) if "groups" in arrays else ()
    return Candidates(
        tuple(arrays.pop("paths").tolist()),
        tuple(arrays.pop("digests").tolist()),
        **arrays,
        groups=groups,
    )


def read_selection(run: Path) -> Selection | None:
    """Read `selection.json`; return None when no unsafe set was selected.

    Raises
    ------
    InputError
        When the file cannot be read.
    """
    return read_document(run / SELECTION_FILE, Selection, SELECT_AGAIN)


def read_engineer_labels(run: Path) -> dict[str, str]:
    """Read the labels that engineers filled in, by path, including images outside of the set.

    Raises
    ------
    InputError
        When `unsafe_set.csv` or `selection.json` cannot be read; otherwise labels would be lost.
    """
    selection = read_selection(run)
    aside = selection.set_aside if selection else {}
    try:
        rows = read_csv(run / UNSAFE_SET_FILE)
        return aside | {row["path"]: row["label"] for row in rows if row["label"].strip()}
    except FileNotFoundError:
        return dict(aside)
    except DAMAGES as error:
        raise InputError(
            f"{run / UNSAFE_SET_FILE} is not as the tool writes it ({type(error).__name__}: "
            f"{error}); the labels in it would be lost. Save it as CSV (UTF-8, commas) with all "
            "its rows and columns."
        ) from error


def write_unsafe_set(
    run: Path, selection: Selection, candidates: Candidates, labels: Mapping[str, str]
) -> CurrentSet:
    """Choose the unsafe set; write `IS_filenames.txt`, `unsafe_set.csv` and `selection.json`.

    Each file is written whole or not at all.

    Parameters
    ----------
    labels : mapping of str to str
        The engineer's labels by path; those of images outside of the set are kept, too.
    """
    current = _cut(selection, candidates, labels)
    rows: list[tuple[str, int, int, float, int, str, str]] = []
    aside = dict(labels)
    groups = candidates.groups or ("",) * len(candidates.paths)
    kept = np.flatnonzero(~current.out)
    for place in kept.tolist():
        image, cluster = int(current.chosen.images[place]), int(current.chosen.clusters[place])
        path = candidates.paths[image]
        distance = round(float(candidates.distances[image, cluster]), DIGITS)
        outside = int(current.chosen.outside[place])
        label = aside.pop(path, "")
        rows.append((path, cluster, len(rows) + 1, distance, outside, label, groups[image]))
    groups_of_images = candidates.group_numbers()
    decided = selection.model_copy(
        update={
            "listed": digest_rows((row[0], row[1]) for row in rows),
            "set_aside": aside,
            "chosen": len(rows),
            "same": len(current.chosen.same),
            "chosen_groups": len(np.unique(groups_of_images[current.chosen.images[kept]])),
        }
    )
    if labels:  # at any moment one of the two files has the labels, even if the job is killed
        _write_selection(run, decided.model_copy(update={"set_aside": dict(labels)}))
    write_csv(run / UNSAFE_SET_FILE, COLUMNS, rows)
    write_text(run / FILENAMES_FILE, "".join(f"{row[0]}\n" for row in rows))
    _write_selection(run, decided)
    return replace(current, selection=decided)


def _write_selection(run: Path, selection: Selection) -> None:
    write_text(run / SELECTION_FILE, selection.model_dump_json(indent=1) + "\n")
