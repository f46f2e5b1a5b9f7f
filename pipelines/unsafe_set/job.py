"""The job that selects the unsafe set of a run (SAFE, steps 3 and 4; HUDD, step 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.data.groups import find_groups
from pipelines.data.image_lists import ListedImages, list_images
from pipelines.runs.errors import InputError
from pipelines.runs.files import as_text
from pipelines.runs.folder import Progress, amend_run
from pipelines.runs.manifest import Manifest
from pipelines.runs.wording import count_of
from pipelines.unsafe_set.allocation import SELECTION_FACTOR, estimate_count
from pipelines.unsafe_set.cut import Allocation, Candidates, Ranking
from pipelines.unsafe_set.files import (
    BY_HAND,
    WRITTEN,
    Selection,
    read_engineer_labels,
    read_selection,
    write_candidates,
    write_unsafe_set,
)
from pipelines.unsafe_set.rows import UNSAFE_SET_FILE

SHARE = 0.1
"""Share of the improvement set that is chosen by default."""
STAGE = "selecting images"


@dataclass(frozen=True)
class SelectionOptions:
    """The options for selecting an unsafe set.

    Attributes
    ----------
    count : int, optional
        Number of images to choose; if None, it is estimated.
    test_images, accuracy : int and float, optional
        Size of the test set that the failing images come from, and the DNN's accuracy on it.
    selection_factor : float
        See `allocation.estimate_count`.
    allocation, ranking : str
        See `cut.cut`.
    duplicates : bool
        Whether duplicates of chosen images are chosen, too.
    groups : str, optional
        "auto" (also for None), "none" or a regular expression: see `groups.find_groups`.
    """

    count: int | None = None
    test_images: int | None = None
    accuracy: float | None = None
    selection_factor: float = SELECTION_FACTOR
    allocation: Allocation = "uniform"
    ranking: Ranking = "contrast"
    duplicates: bool = False
    groups: str | None = None


def check_options(options: SelectionOptions) -> None:
    """Raise InputError when an option cannot be used."""
    for name in ("count", "test_images"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise InputError(f"{name}: expected a number of images, 1 or more, received {value}")
    if options.accuracy is not None and not 0 <= options.accuracy <= 1:
        raise InputError(f"accuracy: expected a share, 0 to 1, received {options.accuracy}")
    if not 0 < options.selection_factor <= 1:
        raise InputError(
            "selection factor: expected more than 0, at most 1, received "
            f"{options.selection_factor}"
        )
    if (options.accuracy is None) != (options.test_images is None):
        raise InputError(
            "the estimate takes both the number of test images and the accuracy on them: give both "
            "or neither"
        )
    for name, value, known in (
        ("allocation", options.allocation, ("uniform", "proportional")),
        ("ranking", options.ranking, ("contrast", "distance")),
    ):
        if value not in known:
            raise InputError(f"{name}: expected {' or '.join(known)}, received {value!r}")


@dataclass(frozen=True)
class Placement:
    """The distances of new images to the clusters of a run.

    Attributes
    ----------
    candidates : Candidates
    rejected : int
        Number of files that could not be used.
    same : float
        Images whose points are nearer than this are duplicates.
    seed : int
        The seed of the run.
    """

    candidates: Candidates
    rejected: int
    same: float
    seed: int


Measure = Callable[[Path, Manifest, ListedImages, Progress], Placement]
"""Called with a run folder, its manifest, the new images and a progress listener.

SAFE and HUDD have one each."""


def select_unsafe_set(
    run: Path,
    improvement: Path,
    options: SelectionOptions,
    measure: Measure,
    *,
    progress: Progress,
    overwrite: bool = False,
) -> Selection:
    """Select from `improvement` the images that belong to the clusters of `run`.

    If an earlier unsafe set was selected from the same folder, its labels are kept, and the images
    and clusters that the engineer took out stay out.

    Parameters
    ----------
    run : Path
        A run that finished.
    improvement : Path
        Folder or list of new images; they are only read.
    measure : callable
        `safe.placement.measure` for a run of SAFE, `hudd.placement.measure` for one of HUDD.
    overwrite : bool
        Whether a labelled unsafe set from another folder may be replaced.

    Raises
    ------
    InputError
        When an option, the run or the folder cannot be used.
    """
    check_options(options)
    listed = list_images(improvement)
    folder = listed.folder.resolve()
    with amend_run(run, progress, WRITTEN) as (manifest, report):
        if manifest.ended != "finished":
            raise InputError(
                f"{run} has no clusters to select for: its job {manifest.ended}. Find the clusters "
                "first."
            )
        _read_earlier(run, folder, overwrite)  # fails before the long measurement starts
        groups = find_groups(options.groups, list(listed.paths), None, folder)
        placement = measure(run, manifest, listed, report)
        candidates = placement.candidates
        if groups.how:
            names = tuple(groups.names.get(path, "") for path in candidates.paths)
            candidates = replace(candidates, groups=names)
        # Read once more: an engineer may have filled in labels while the job ran.
        earlier, labels = _read_earlier(run, folder, overwrite)
        report(STAGE, 0, 1)
        placement = replace(placement, candidates=candidates)
        selection = _describe(options, folder, manifest, placement, listed.notes)
        kept = {
            "measured": write_candidates(run, candidates),
            "groups": groups.how,
            "deselected": earlier.deselected if earlier else [],
            "deselected_clusters": earlier.deselected_clusters if earlier else [],
        }
        made = write_unsafe_set(run, selection.model_copy(update=kept), candidates, labels)
        report(STAGE, 1, 1)
    return made.selection


def _describe(
    options: SelectionOptions,
    folder: Path,
    manifest: Manifest,
    placement: Placement,
    notes: Sequence[str],
) -> Selection:
    """Describe the improvement set and the options; no image is chosen yet."""
    candidates = placement.candidates
    count, counted = _count(options, len(candidates.paths))
    notes = [*notes]
    if as_text(folder) == manifest.folder:
        notes.append(
            "The improvement set is the folder of the failing images: use new images instead."
        )
    return Selection(
        folder=as_text(folder),
        images=len(candidates.paths),
        rejected=placement.rejected,
        inside=int(candidates.inside().sum()),
        count=count,
        counted=counted,
        test_images=options.test_images,
        accuracy=options.accuracy,
        allocation=options.allocation,
        ranking=options.ranking,
        same_distance=0.0 if options.duplicates else round(placement.same, 6),
        seed=placement.seed,
        notes=notes,
    )


def _read_earlier(
    run: Path, folder: Path, overwrite: bool
) -> tuple[Selection | None, dict[str, str]]:
    """Return the earlier selection from the same folder, and the engineer's labels.

    Raises
    ------
    InputError
        Without `overwrite`: when the earlier selection cannot be read, or labels of another folder
        would be lost.
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


def _count(options: SelectionOptions, images: int) -> tuple[int, str]:
    """Return the number of images to choose, and how it was determined, in words."""
    if options.count is not None:
        return options.count, BY_HAND
    if options.test_images is not None and options.accuracy is not None:
        count = estimate_count(options.test_images, options.accuracy, options.selection_factor)
        return count, (
            f"estimated: {count_of(options.test_images, 'test image')} x selection factor "
            f"{options.selection_factor:g} x (1 - accuracy {options.accuracy:g})"
        )
    count = max(1, round(SHARE * images))
    return count, (
        f"{SHARE * 100:.0f} % of the improvement set, as neither the size of the test set nor the "
        "accuracy on it was given"
    )
