"""The sets of labelled images that a retraining is given, apart from one another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.clusters.clusters import IMAGES_FILE, NOISE, NOISE_NAME, RootCauseClusters
from pipelines.clusters.results import read_results
from pipelines.data.groups import Groups, find_groups_beside
from pipelines.dnn.job import UNLABELLED
from pipelines.retraining.examples import (
    Labelled,
    align_numbers,
    check_apart,
    gather,
    gather_unsafe,
)
from pipelines.runs import folder as run_folder
from pipelines.runs.errors import InputError
from pipelines.runs.job import check_apart as check_apart_from_run
from pipelines.runs.manifest import Manifest, read_run_manifest
from pipelines.runs.wording import count_of

CHECKING = "checking images"


@dataclass(frozen=True)
class Places:
    """What the user names."""

    model: Path
    training: Path
    unsafe: Path
    test: Path
    validation: Path | None


@dataclass(frozen=True)
class Clustered:
    """The run whose unsafe set is used, as it was when the job started."""

    manifest: Manifest
    clusters: RootCauseClusters
    names: dict[int, str]


def read_clustered(folder: Path) -> Clustered:
    """Read the run of an unsafe set; raise InputError where it has no root cause clusters."""
    manifest = read_run_manifest(folder)
    if manifest.job not in run_folder.CLUSTERING_JOBS or manifest.ended != "finished":
        raise InputError(
            f"{folder} holds no root cause clusters: its job, {manifest.job}, {manifest.ended}. "
            "Name a run of cluster or heatmaps whose unsafe set was selected."
        )
    results = read_results(folder)  # its report is written at the end, and must not fail then
    if results.clusters is None:
        raise InputError(f"{folder} has no {IMAGES_FILE} any more: find its clusters again.")
    names = {
        row.cluster: row.name
        for row in results.rows
        if row.name and (row.cluster, row.name) != (NOISE, NOISE_NAME)
    }
    return Clustered(manifest, results.clusters, names)


@dataclass(frozen=True)
class Given:
    """The sets of labelled images that the user names, and the groups of the test images."""

    training: Labelled
    unsafe: Labelled
    test: Labelled
    validation: Labelled | None
    improvement: Labelled | None
    groups: Groups

    def trained(self) -> list[Labelled]:
        """Return those that may be trained with, or held out; the training set first."""
        more = (self.validation, self.improvement)
        return [self.training, self.unsafe, *(part for part in more if part)]


def gather_sets(
    run: run_folder.Run, places: Places, *, compared: bool, groups: str | None = None
) -> Given:
    """Find the labelled images of all sets, and check that none of them is in two that exclude it.

    Parameters
    ----------
    compared : bool
        Whether all of the improvement set is needed, for the baselines to choose from.
    groups : str, optional
        Of the test images, see `groups.find_groups_beside`.

    Raises
    ------
    InputError
        When a set has no labels or no image, the test or the validation set shares images with
        what is trained with, or `groups` names none.
    """

    def step(done: int, total: int) -> None:
        run.progress(CHECKING, done, total)

    training = gather("training", places.training, step)
    known = {label for each in training.examples for label in each.label}
    unsafe = gather_unsafe(places.unsafe, known, step)
    check_apart_from_run(unsafe.folder, run.folder)
    test = gather("test", places.test, step)
    validation = gather("validation", places.validation, step) if places.validation else None
    improvement = gather("improvement", unsafe.folder, step) if compared else None
    if improvement:
        unlabelled = [file for file in improvement.rejected if file.reason == UNLABELLED]
        if unlabelled:
            raise InputError(
                f"--compare: {len(unlabelled):,} images of {unsafe.folder} have no label "
                f"({unlabelled[0].path}, ...), and the baselines choose from all of them. Label "
                "all, or retrain without --compare."
            )
    given = Given(
        training,
        align_numbers(training, unsafe),
        align_numbers(training, test),
        align_numbers(training, validation) if validation else None,
        align_numbers(training, improvement) if improvement else None,
        find_groups_beside(groups, [each.image.path for each in test.examples], test.folder),
    )
    for part in given.trained():
        check_apart(part, test)
        if validation and part.examples[0].role != "validation":
            check_apart(part, validation)
    return _leave_twice(run.manifest, given)


def _leave_twice(manifest: Manifest, given: Given) -> Given:
    """Leave out of the training set what is in the unsafe set: it would be held out and trained."""
    twice = {each.image.digest for each in given.unsafe.examples}
    kept = [each for each in given.training.examples if each.image.digest not in twice]
    if len(kept) == len(given.training.examples):
        return given
    if not kept:
        raise InputError(
            f"all images of the training set {given.training.folder} are in the unsafe set: name "
            "the folder that the model was trained with."
        )
    manifest.notes.append(
        f"{count_of(len(given.training.examples) - len(kept), 'image')} of the training set also "
        "in the unsafe set (the same bytes): they count as the latter."
    )
    return replace(given, training=replace(given.training, examples=kept))
