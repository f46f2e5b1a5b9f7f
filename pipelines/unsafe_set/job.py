"""SAFE, steps 3 and 4, and HUDD, step 4: from a folder of new images to the unsafe set of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.data.groups import find_groups
from pipelines.data.images import find_files, resolve_folder
from pipelines.runs.errors import InputError
from pipelines.runs.files import as_text
from pipelines.runs.folder import Progress, amend_run
from pipelines.runs.manifest import Manifest
from pipelines.runs.wording import count_of
from pipelines.unsafe_set.allocation import SELECTION_FACTOR, estimate_count
from pipelines.unsafe_set.cut import Allocation, Candidates, Ranking
from pipelines.unsafe_set.files import (
    BY_HAND,
    UNSAFE_SET_FILE,
    Selection,
    read_engineer_labels,
    read_selection,
    write_candidates,
    write_unsafe_set,
)

SHARE = 0.1
"""Of the improvement set, where nothing else tells how many images to choose."""
STAGE = "selecting images"


@dataclass(frozen=True)
class SelectionOptions:
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
    groups : str, optional
        "auto" (also where None), "none" or a regular expression: see `groups.find_groups`.
    """

    count: int | None = None
    test_images: int | None = None
    accuracy: float | None = None
    selection_factor: float = SELECTION_FACTOR
    allocation: Allocation = "uniform"
    ranking: Ranking = "contrast"
    duplicates: bool = False
    groups: str | None = None


def check_options(wanted: SelectionOptions) -> None:
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


@dataclass(frozen=True)
class Placement:
    """Where new images stand to the clusters of a run.

    Attributes
    ----------
    candidates : Candidates
    rejected : int
        Files that could not be used.
    same : float
        Distance of points below which two images count as the same.
    seed : int
        The run's own.
    """

    candidates: Candidates
    rejected: int
    same: float
    seed: int


Measure = Callable[[Path, Manifest, Path, Progress], Placement]
"""Of a run folder, its manifest and a folder of new images: each system has its own."""


def select_unsafe_set(
    run: Path,
    improvement: Path,
    wanted: SelectionOptions,
    measure: Measure,
    *,
    progress: Progress,
    overwrite: bool = False,
) -> Selection:
    """Select from `improvement` the images that belong to the clusters of `run`.

    When the same folder is selected from again, labels stay with their images, and what was taken
    out stays out.

    Parameters
    ----------
    run : Path
        A run that finished.
    improvement : Path
        Folder of new images; never written to.
    measure : callable
        `safe.placement.measure` or `hudd.placement.measure`, as the run's job was.
    overwrite : bool
        Whether an unsafe set of another folder may go with its labels.

    Raises
    ------
    InputError
        When an option, the run or the folder cannot be used.
    """
    check_options(wanted)
    folder = resolve_folder(improvement)
    with amend_run(run, progress) as (manifest, told):
        if manifest.ended != "finished":
            raise InputError(
                f"{run} has no clusters to select for: its job {manifest.ended}. Find the clusters "
                "first."
            )
        _read_earlier(run, folder, overwrite)  # first: measuring takes long, and this may fail
        groups = find_groups(wanted.groups, find_files(folder)[0], None, folder)
        found = measure(run, manifest, folder, told)
        candidates = found.candidates
        if groups.how:
            names = tuple(groups.names.get(path, "") for path in candidates.paths)
            candidates = replace(candidates, groups=names)
        # What was filled in meanwhile counts, too.
        earlier, labels = _read_earlier(run, folder, overwrite)
        told(STAGE, 0, 1)
        selection = _describe(wanted, folder, manifest, replace(found, candidates=candidates))
        kept = {
            "measured": write_candidates(run, candidates),
            "groups": groups.how,
            "deselected": earlier.deselected if earlier else [],
            "deselected_clusters": earlier.deselected_clusters if earlier else [],
        }
        made = write_unsafe_set(run, selection.model_copy(update=kept), candidates, labels)
        told(STAGE, 1, 1)
    return made.selection


def _describe(
    wanted: SelectionOptions, folder: Path, manifest: Manifest, found: Placement
) -> Selection:
    """Say what is chosen from, and how; nothing is chosen yet."""
    candidates = found.candidates
    count, counted = _count(wanted, len(candidates.paths))
    notes = []
    if as_text(folder) == manifest.folder:
        notes.append(
            "The improvement set is the folder of the failing images: new images would tell more."
        )
    return Selection(
        folder=as_text(folder),
        images=len(candidates.paths),
        rejected=found.rejected,
        inside=int(candidates.inside().sum()),
        count=count,
        counted=counted,
        test_images=wanted.test_images,
        accuracy=wanted.accuracy,
        allocation=wanted.allocation,
        ranking=wanted.ranking,
        same_distance=0.0 if wanted.duplicates else round(found.same, 6),
        seed=found.seed,
        notes=notes,
    )


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
        earlier, labels = read_selection(run), read_engineer_labels(run)
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


def _count(wanted: SelectionOptions, images: int) -> tuple[int, str]:
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
