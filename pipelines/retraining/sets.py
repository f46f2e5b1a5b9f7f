"""The sets of labelled images of a retraining, and the checks that keep them apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.clusters.clusters import IMAGES_FILE, NOISE, NOISE_NAME, RootCauseClusters
from pipelines.clusters.results import read_results
from pipelines.data.groups import Groups, find_groups_beside
from pipelines.data.image_lists import CHECKING
from pipelines.dnn.job import UNLABELLED
from pipelines.retraining.examples import (
    LabelledSet,
    check_apart,
    gather_set,
    gather_unsafe_set,
)
from pipelines.retraining.inputs import InputPaths, check_all_labelled
from pipelines.retraining.targets import align_numbers
from pipelines.runs import folder as run_folder
from pipelines.runs.errors import InputError
from pipelines.runs.manifest import Manifest, read_run_manifest
from pipelines.runs.wording import count_of


@dataclass(frozen=True)
class ClusteredRun:
    """The run whose unsafe set is used, in its state at the start of the job.

    Attributes
    ----------
    manifest : Manifest
    clusters : RootCauseClusters
    names : dict of int to str
        The engineer's names of clusters.
    """

    manifest: Manifest
    clusters: RootCauseClusters
    names: dict[int, str]


def read_clustered(folder: Path) -> ClusteredRun:
    """Read the run of an unsafe set.

    Raises
    ------
    InputError
        When the run has no root cause clusters, or is damaged.
    """
    manifest = read_run_manifest(folder)
    if manifest.job not in run_folder.CLUSTERING_JOBS or manifest.ended != "finished":
        raise InputError(
            f"{folder} holds no root cause clusters: its job, {manifest.job}, {manifest.ended}. "
            "Name a run of cluster or heatmaps with a selected unsafe set."
        )
    results = read_results(folder)  # now, because the report reads it at the end and must not fail
    if results.clusters is None:
        raise InputError(f"{folder} has no {IMAGES_FILE} any more: find its clusters again.")
    names = {
        row.cluster: row.name
        for row in results.rows
        if row.name and (row.cluster, row.name) != (NOISE, NOISE_NAME)
    }
    return ClusteredRun(manifest, results.clusters, names)


@dataclass(frozen=True)
class LabelledSets:
    """The sets of labelled images that the user names, and the groups of the test images."""

    training: LabelledSet
    unsafe: LabelledSet
    test: LabelledSet
    validation: LabelledSet | None
    improvement: LabelledSet | None
    groups: Groups

    def list_trainable(self) -> list[LabelledSet]:
        """Return the sets for training or holding out, the training set first."""
        more = (self.validation, self.improvement)
        return [self.training, self.unsafe, *(part for part in more if part)]


def gather_sets(
    run: run_folder.Run, paths: InputPaths, *, compared: bool, groups: str | None = None
) -> LabelledSets:
    """Find the labelled images of all sets, and check that separate sets share no image.

    Parameters
    ----------
    compared : bool
        Whether the whole improvement set is needed, from which the baselines choose.
    groups : str, optional
        How test images are grouped; see `groups.find_groups_beside`.

    Raises
    ------
    InputError
        When a set has no labels or no image, the test or the validation set shares images with
        the training or the unsafe set, or `groups` matches no path.
    """

    def step(done: int, total: int) -> None:
        run.progress(CHECKING, done, total)

    training = gather_set("training", paths.training, step)
    known = {label for example in training.examples for label in example.label}
    unsafe = gather_unsafe_set(paths.unsafe, known, step)
    test = gather_set("test", paths.test, step)
    validation = gather_set("validation", paths.validation, step) if paths.validation else None
    improvement = gather_set("improvement", unsafe.folder, step) if compared else None
    if improvement:
        check_all_labelled(
            unsafe.folder,
            [file.path for file in improvement.rejected if file.reason == UNLABELLED],
        )
    for images in (training, test, validation):
        run.manifest.notes += images.notes if images else ()
    sets = LabelledSets(
        training,
        align_numbers(training, unsafe),
        align_numbers(training, test),
        align_numbers(training, validation) if validation else None,
        align_numbers(training, improvement) if improvement else None,
        find_groups_beside(groups, [example.image.path for example in test.examples], test.folder),
    )
    for part in sets.list_trainable():
        check_apart(part, test)
        if validation and part.examples[0].role != "validation":
            check_apart(part, validation)
    return _drop_repeated_images(run.manifest, sets)


def _drop_repeated_images(manifest: Manifest, sets: LabelledSets) -> LabelledSets:
    """Drop images of the training set that are also in the unsafe set.

    Otherwise an image could be used for training and be held out at the same time.
    """
    twice = {example.image.digest for example in sets.unsafe.examples}
    kept = [example for example in sets.training.examples if example.image.digest not in twice]
    if len(kept) == len(sets.training.examples):
        return sets
    if not kept:
        raise InputError(
            f"all images of the training set {sets.training.folder} are in the unsafe set: "
            "expected the images that the model was trained with. Name their folder."
        )
    manifest.notes.append(
        f"{count_of(len(sets.training.examples) - len(kept), 'image')} of the training set also "
        "in the unsafe set (the same bytes): used as images of the unsafe set only."
    )
    return replace(sets, training=replace(sets.training, examples=kept))
