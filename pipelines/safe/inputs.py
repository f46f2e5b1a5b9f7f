"""Inputs of a search for root cause clusters: failing images, passing images and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters.explanation_tables import TableFiles
from pipelines.clusters.manifest import TestedModel
from pipelines.clusters.passing import (
    FEW,
    FEWEST,
    PassingFiles,
    find_passing,
    read_test_images,
    sample_passing,
)
from pipelines.data.groups import Groups, find_groups
from pipelines.data.image_lists import list_images
from pipelines.data.images import ImageFile, Rejected, check_header, check_images, check_openable
from pipelines.data.pair_lists import describe_source
from pipelines.data.table_rows import PassingImages
from pipelines.dnn.job import RESULT_FILE
from pipelines.runs import folder as run_folder
from pipelines.runs.errors import InputError
from pipelines.runs.wording import count_of
from pipelines.safe.recipe import CONTRAST, Options

CHECKING_PASSING = "checking passing images"


@dataclass(frozen=True)
class Inputs:
    """The inputs of a search.

    Attributes
    ----------
    source : Path
        The folder, list or test run that the user named.
    folder : Path
        Folder of the failing images.
    paths : list of str
        Paths of the failing images, relative to `folder`.
    rejected : list of Rejected
    passing : PassingFiles or None
    groups : Groups
        Groups of failing and passing images.
    table_files : TableFiles
        The user's tables, and the results of the test run.
    test : TestedModel or None
        The test run that named the images; None for a folder or a list.
    notes : list of str
        Notes to the user on these inputs.
    """

    source: Path
    folder: Path
    paths: list[str]
    rejected: list[Rejected]
    passing: PassingFiles | None
    groups: Groups
    table_files: TableFiles
    test: TestedModel | None
    notes: list[str]

    @property
    def passing_images(self) -> PassingImages | None:
        """The passing images, for the reader of tables."""
        return PassingImages(self.passing.folder, self.passing.paths) if self.passing else None


def find_inputs(source: Path | None, options: Options) -> Inputs:
    """Find the images of a search; images are not opened yet.

    Parameters
    ----------
    source : Path, optional
        Folder or list of failing images; None if a test names them.

    Raises
    ------
    InputError
        When there are no images, or when both a source and a test run are set.
    """
    test: TestedModel | None = None
    table_files, passing = options.table_files, None
    notes: list[str] = []
    if options.test_run is not None:
        if source is not None:
            raise InputError(
                f"a test run lists its own failing images: give either {source} or --test-run."
            )
        tested = read_test_images(options.test_run)
        source, folder, test = options.test_run, tested.folder, tested.about
        paths, rejected = list(tested.failing), list[Rejected]()
        passing = PassingFiles(folder, tested.passing)
        if tested.labels:
            table_files = replace(
                table_files, parameters=(*table_files.parameters, options.test_run / RESULT_FILE)
            )
    elif source is None:
        raise InputError("expected a folder of failing images, or --test-run, received neither.")
    else:
        listed = list_images(source)
        folder, paths, rejected = listed.folder, list(listed.paths), list(listed.rejected)
        notes = [*listed.notes]
        if options.passing is not None:
            passing = find_passing(options.passing, folder, paths)
    check_openable(folder, paths, rejected)
    if passing is not None and options.recipe == CONTRAST:
        headers = (check_header(passing.folder, path) for path in passing.paths)
        usable = list(islice((header for header in headers if header is None), FEWEST))
        _check_number(len(usable), passing.folder, options)
    known = list(dict.fromkeys([*paths, *(passing.paths if passing else ())]))
    groups = find_groups(options.groups, known, table_files.parameters, folder)
    notes = [*describe_source(source), *notes, *(passing.notes if passing else ())]
    notes += describe_groups(groups)
    return Inputs(source, folder, paths, rejected, passing, groups, table_files, test, notes)


def describe_groups(groups: Groups) -> list[str]:
    """Return a note on the groups of images; no note if every image is a group of its own."""
    if not groups.how:
        return []
    count = len(set(groups.names.values()))
    return [
        f"{count_of(len(groups.names), 'image')} come in {count_of(count, 'group')} "
        f"({groups.how}): a situation needs images of at least two groups, and rates and "
        "intervals count groups. --groups none treats every image as independent."
    ]


@dataclass(frozen=True)
class CheckedPassing:
    """The passing images that are used.

    Attributes
    ----------
    images : list of ImageFile, length m
    weights : array of float64, shape (m,)
        Number of passing images of the test that each image represents.
    """

    images: list[ImageFile]
    weights: NDArray[np.float64]

    def only(self, paths: set[str]) -> CheckedPassing:
        """Return the images with some paths; their weights do not change."""
        kept = np.array([image.path in paths for image in self.images], dtype=np.bool_)
        images = [image for image in self.images if image.path in paths]
        return CheckedPassing(images, self.weights[kept])


def check_passing(
    run: run_folder.Run, inputs: Inputs, failing: Sequence[ImageFile], options: Options
) -> CheckedPassing | None:
    """Sample and check passing images; None, with a note, if there are too few.

    Raises
    ------
    InputError
        When the recipe needs passing images and there are too few.
    """
    if inputs.passing is None:
        return None
    passing, notes = inputs.passing, run.manifest.notes
    paths, weights = sample_passing(passing.paths, inputs.groups, options.sample, options.seed)
    images, rejected = check_images(
        passing.folder, paths, lambda done, total: run.progress(CHECKING_PASSING, done, total)
    )
    digests = {image.digest for image in failing}
    copies = {image.path for image in images if image.digest in digests}
    if copies:
        have = "has" if len(copies) == 1 else "have"
        notes.append(
            f"{count_of(len(copies), 'image')} of the passing ones {have} the same bytes as a "
            f"failing one: {'it counts' if len(copies) == 1 else 'they count'} as failing."
        )
    images = [image for image in images if image.path not in copies]
    if rejected:
        notes.append(
            f"{count_of(len(rejected), 'passing image')} could not be used "
            f"({rejected[0].path}: {rejected[0].reason})."
        )
    if text := _check_number(len(images), passing.folder, options):
        notes.append(f"{text}: passing images are not used.")
        return None
    if len(images) < FEW:
        notes.append(
            f"{count_of(len(images), 'passing image')}: fewer than {FEW} show only roughly what "
            "varies among passing images, and failure rates have wide intervals."
        )
    by_path = dict(zip(paths, weights.tolist(), strict=True))
    return CheckedPassing(images, np.array([by_path[image.path] for image in images]))


def _check_number(passing: int, folder: Path, options: Options) -> str:
    """Say that passing images are too few for a comparison; empty if they are enough.

    Raises
    ------
    InputError
        When the recipe needs them.
    """
    if passing >= FEWEST:
        return ""
    text = (
        f"{count_of(passing, 'passing image')} of {folder} can be used, and a comparison needs at "
        f"least {FEWEST}"
    )
    if options.recipe == CONTRAST:
        raise InputError(f"{text}. Give more of them by --passing, or choose another --recipe.")
    return text


def check_enough(
    run: run_folder.Run,
    passing: CheckedPassing,
    inputs: Inputs,
    options: Options,
    rejected: Sequence[Rejected],
) -> None:
    """Add a note on passing images that cannot be decoded, and check that enough are left.

    Raises
    ------
    InputError
        When too few are left. The feature store keeps the extracted features for the next run.
    """
    if not rejected:
        return
    run.manifest.notes.append(
        f"{count_of(len(rejected), 'passing image')} could not be decoded "
        f"({rejected[0].path}: {rejected[0].reason})."
    )
    if len(passing.images) < FEWEST and inputs.passing is not None:
        raise InputError(
            f"{inputs.passing.folder}: expected at least {FEWEST} passing images whose pixels can "
            f"be decoded, received {len(passing.images)} ({rejected[0].path}: "
            f"{rejected[0].reason}). Give other passing images by --passing, or none."
        )


def name_groups(groups: Groups, paths: Sequence[str]) -> tuple[str, ...]:
    """Return the group of each image; for an image without a group, its path."""
    return tuple(groups.names.get(path, path) for path in paths)
