"""SAFE, steps 3 and 4: from a folder of new images to the unsafe set of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters import NOISE
from pipelines.contrast import contrast
from pipelines.errors import InputError
from pipelines.images import as_text, check_folder, check_images, find_files, none_usable
from pipelines.reporting.wording import count_of
from pipelines.results import named
from pipelines.runs import Manifest, Progress, amend_run
from pipelines.safe import features, reduction
from pipelines.safe.job import CHECKING, CONDITIONS, LOADING, REDUCTION_FILE
from pipelines.safe.reduction import Reduction
from pipelines.safe.weights import DENSES, load_weights
from pipelines.selection import Allocation, Candidates, Ranking
from pipelines.selection_files import (
    BY_HAND,
    UNSAFE_SET_FILE,
    Selection,
    read_given_labels,
    read_selection,
    write_candidates,
    write_unsafe_set,
)
from pipelines.unsafe_set import SELECTION_FACTOR, cluster_distances, estimate_count, reaches

SHARE = 0.1
"""Of the improvement set, where nothing else tells how many images to choose."""
SAME = 0.07
"""Of the length of the mean features: the distance below which two images count as the same."""
STAGE = "selecting images"


@dataclass(frozen=True)
class Wanted:
    """What the user may decide.

    Attributes
    ----------
    count : int, optional
        Images to choose; otherwise they are estimated.
    test_images, accuracy : int and float, optional
        Of the test set on which the failing images were found.
    selection_factor : float
    allocation, ranking : str
    duplicates : bool
        Whether images that are the same as others are chosen, too.
    """

    count: int | None = None
    test_images: int | None = None
    accuracy: float | None = None
    selection_factor: float = SELECTION_FACTOR
    allocation: Allocation = "uniform"
    ranking: Ranking = "contrast"
    duplicates: bool = False


def check_wanted(wanted: Wanted) -> None:
    """Raise InputError when an option cannot be used."""
    for name in ("count", "test_images"):
        value = getattr(wanted, name)
        if value is not None and value < 1:
            raise InputError(f"{name}: expected a number of images, 1 or more, received {value}")
    if wanted.accuracy is not None and not 0 <= wanted.accuracy <= 1:
        raise InputError(f"accuracy: expected a share, 0 to 1, received {wanted.accuracy}")
    if not 0 < wanted.selection_factor <= 1:
        raise InputError(
            f"selection factor: expected more than 0, at most 1, received {wanted.selection_factor}"
        )
    if (wanted.accuracy is None) != (wanted.test_images is None):
        raise InputError(
            "the estimate takes both the number of test images and the accuracy on them: give both "
            "or neither"
        )
    for name, value, known in (
        ("allocation", wanted.allocation, ("uniform", "proportional")),
        ("ranking", wanted.ranking, ("contrast", "distance")),
    ):
        if value not in known:
            raise InputError(f"{name}: expected {' or '.join(known)}, received {value!r}")


def select_unsafe_set(
    run: Path, improvement: Path, wanted: Wanted, *, progress: Progress, overwrite: bool = False
) -> Selection:
    """Select from `improvement` the images that belong to the clusters of `run`.

    Features, scaling and principal components are the run's own.  When the same folder is selected
    from again, labels stay with their images, and what was taken out stays out.  Time grows
    linearly with the number of new images times that of core images; memory with the number of new
    images times that of clusters.

    Parameters
    ----------
    run : Path
        A run of `cluster` that finished.
    improvement : Path
        Folder of new images; never written to.
    overwrite : bool
        Whether an unsafe set of another folder may go with its labels.

    Raises
    ------
    InputError
        When an option, the run or the folder cannot be used.
    """
    check_wanted(wanted)
    folder = check_folder(improvement)
    with amend_run(run, progress) as (manifest, told):
        known = _read_run(run, manifest)
        earlier, labels = _read_earlier(run, folder, overwrite)
        candidates, rejected = _measure(manifest, known, folder, told)
        told(STAGE, 0, 1)
        count, counted = _count(wanted, len(candidates.paths))
        length = float(np.linalg.norm(known.reduction.mean))
        selection = Selection(
            folder=as_text(folder),
            images=len(candidates.paths),
            rejected=rejected,
            inside=int(candidates.inside().sum()),
            count=count,
            counted=counted,
            test_images=wanted.test_images,
            accuracy=wanted.accuracy,
            allocation=wanted.allocation,
            ranking=wanted.ranking,
            same_distance=0.0 if wanted.duplicates else round(SAME * length, 6),
            seed=int(manifest.parameters.get("seed", 0)),
            deselected=earlier.deselected if earlier else [],
            deselected_clusters=earlier.deselected_clusters if earlier else [],
            measured=write_candidates(run, candidates),
        )
        if as_text(folder) == manifest.folder:
            selection.notes.append(
                "The improvement set is the folder of the failing images: new images would tell "
                "more."
            )
        made = write_unsafe_set(run, selection, candidates, labels)
        told(STAGE, 1, 1)
    return made.selection


@dataclass(frozen=True)
class _Known:
    """What a run keeps for placing new images: see `safe.job`."""

    reduction: Reduction
    points: NDArray[np.float32]
    labels: NDArray[np.int32]
    core: NDArray[np.bool_]


def _read_run(run: Path, manifest: Manifest) -> _Known:
    if manifest.ended != "finished":
        raise InputError(
            f"{run} has no clusters to select for: its job {manifest.ended}. Find the clusters "
            "first."
        )
    with named(run / REDUCTION_FILE), np.load(run / REDUCTION_FILE, allow_pickle=False) as kept:
        known = _Known(
            Reduction(
                tuple(kept["widths"].tolist()),
                bool(kept["unit_length"]),
                kept["mean"],
                kept["components"],
                1.0,
            ),
            kept["points"],
            kept["labels"],
            kept["core"],
        )
    if known.labels.max(initial=NOISE) == NOISE:
        raise InputError(f"{run} has no cluster to select for: all of its images are noise.")
    return known


def _read_earlier(
    run: Path, folder: Path, overwrite: bool
) -> tuple[Selection | None, dict[str, str]]:
    """Return what was selected from the same folder before, and the labels that were filled in.

    Raises
    ------
    InputError
        When it cannot be read, or labels of another folder would be lost, without `overwrite`.
    """
    try:
        earlier, labels = read_selection(run), read_given_labels(run)
    except InputError:
        if overwrite:
            return None, {}
        raise
    if earlier is None or earlier.folder == as_text(folder):
        return earlier, labels
    if labels and not overwrite:
        raise InputError(
            f"{run} holds an unsafe set of {earlier.folder} with {count_of(len(labels), 'label')}, "
            f"which would be lost. Keep a copy of {UNSAFE_SET_FILE}, and give --overwrite."
        )
    return None, {}


def _measure(
    manifest: Manifest, known: _Known, folder: Path, progress: Progress
) -> tuple[Candidates, int]:
    """Return the candidates, and how many files could not be used."""
    paths, rejected = find_files(folder)
    images, unusable = check_images(
        folder, paths, lambda done, total: progress(CHECKING, done, total)
    )
    rejected += unusable
    if not images:
        raise none_usable(folder, rejected)
    layers = tuple(manifest.weights["layers"])
    progress(LOADING, 0, 1)
    file = manifest.parameters.get("weights")
    weights = load_weights(
        Path(file) if file else None, top=any(layer in DENSES for layer in layers)
    )
    if weights.digest != manifest.weights["sha256"]:
        raise InputError(
            f"the run was made with other weights ({manifest.weights['source']}, SHA-256 "
            f"{manifest.weights['sha256'][:12]}...) than are to be had now ({weights.source}, "
            f"{weights.digest[:12]}...): distances would mean nothing. Put those back, or find the "
            "clusters again."
        )
    progress(LOADING, 1, 1)
    found = features.extract_through_store(
        folder,
        images,
        weights,
        (CONDITIONS, *layers),
        features.choose_precision(str(manifest.chosen["precision"])),
        int(manifest.parameters.get("batch_size", 8)),
        progress,
    )
    if not found.images:
        raise none_usable(folder, rejected + found.rejected)
    vectors = found.vectors[:, features.WIDTHS[CONDITIONS] :]
    points = reduction.apply(known.reduction, vectors)
    clustered = known.labels != NOISE
    cores = clustered & known.core
    candidates = Candidates(
        paths=tuple(image.path for image in found.images),
        digests=tuple(image.digest for image in found.images),
        points=points,
        distances=cluster_distances(points, known.points[cores], known.labels[cores]),
        reaches=reaches(known.points[clustered], known.labels[clustered], known.core[clustered]),
        scores=contrast(points, known.points, seed=int(manifest.parameters.get("seed", 0))),
        sizes=np.bincount(known.labels[clustered]),
    )
    return candidates, len(rejected) + len(found.rejected)


def _count(wanted: Wanted, images: int) -> tuple[int, str]:
    """Return how many images to choose, and where the number comes from."""
    if wanted.count is not None:
        return wanted.count, BY_HAND
    if wanted.test_images is not None and wanted.accuracy is not None:
        count = estimate_count(wanted.test_images, wanted.accuracy, wanted.selection_factor)
        return count, (
            f"estimated: {wanted.test_images:,} test images x selection factor "
            f"{wanted.selection_factor:g} x (1 - accuracy {wanted.accuracy:g})"
        )
    count = max(1, round(SHARE * images))
    return count, (
        f"{SHARE * 100:.0f} % of the improvement set, as neither the size of the test set nor the "
        "accuracy on it was given"
    )
