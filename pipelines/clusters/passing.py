"""Passing images: images of the same test on which the DNN is right, and a sample of them.

Failing images alone show what they share, but not what makes them fail: much of it is common to all
images. A comparison with passing images separates the two.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters.manifest import TestedModel
from pipelines.clusters.rates import ClusterKind, FailureRate
from pipelines.clusters.shared_parameters import FEWEST_PASSING
from pipelines.data.groups import Groups, number_groups
from pipelines.data.image_lists import list_images
from pipelines.data.properties import PROPERTIES
from pipelines.dnn.job import RESULT_FILE, read_tested
from pipelines.dnn.manifest import DnnTestChoices, DnnTestFigures, ModelWeights
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv, write_csv
from pipelines.runs.guard import name_damaged_file
from pipelines.runs.manifest import Manifest, read_part
from pipelines.runs.wording import count_of

SAMPLE = 2000
FEWEST = FEWEST_PASSING
"""With fewer passing images, none are used."""
FEW = 50
"""With fewer passing images, a note says that they are few."""


@dataclass(frozen=True)
class PassingFiles:
    """The files of passing images.

    Attributes
    ----------
    folder : Path
    paths : tuple of str
        Relative to the folder, sorted; none of them is a failing image.
    notes : tuple of str
        Notes to the user on these files.
    """

    folder: Path
    paths: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TestedImages:
    """The failing and passing images of a test, with labels and predictions.

    Attributes
    ----------
    folder : Path
    failing, passing : tuple of str
        Relative paths, sorted.
    labels, predictions : dict of str to str
        By path, of failing and passing images; empty if the DNN predicts numbers.
    about : TestedModel
        Folder of the test, network and accuracy, for the manifest.
    """

    folder: Path
    failing: tuple[str, ...]
    passing: tuple[str, ...]
    labels: dict[str, str]
    predictions: dict[str, str]
    about: TestedModel


@dataclass(frozen=True)
class PassingSample:
    """A sample of passing images, and the cluster of each.

    Attributes
    ----------
    folder : Path
    paths, digests : tuple of str
        Sorted by path.
    weights : array of float64, shape (m,)
        Number of passing images of the test set that each image represents; they sum to the number
        of all passing images.
    groups : tuple of str
        Group of each image; "" if every image is a group of its own.
    clusters : array of int32, shape (m,)
        Cluster that holds each image; -1 for none.
    rates : dict of int to FailureRate
        By cluster.
    kinds : dict of int to str
        By cluster.
    """

    folder: Path
    paths: tuple[str, ...]
    digests: tuple[str, ...]
    weights: NDArray[np.float64]
    groups: tuple[str, ...]
    clusters: NDArray[np.int32]
    rates: dict[int, FailureRate]
    kinds: dict[int, ClusterKind]


def read_test_images(test: Path) -> TestedImages:
    """Read the failing and the passing images of a folder that `test` wrote.

    Raises
    ------
    InputError
        When the folder holds no finished test, when its files are damaged or of an incompatible
        version of the tool, or when no image failed.
    """
    manifest = read_tested(test)
    file = test / RESULT_FILE
    with name_damaged_file(file, "test the model again"):
        rows = {row["path"]: row for row in read_csv(file)}
        correct = {path: row["correct"] for path, row in rows.items()}
        if not set(correct.values()) <= {"0", "1"}:
            raise ValueError("its column correct holds more than 0 and 1")
        figures = read_part(manifest, DnnTestFigures)
        counts = (len(correct), [*correct.values()].count("0"))
        if counts != (figures.images, figures.failures):
            raise ValueError(
                f"expected {count_of(figures.failures, 'failure')} of "
                f"{count_of(figures.images, 'image')} as in run.json, "
                f"received {counts[1]:,} of {counts[0]:,}"
            )
        numbers = read_part(manifest, DnnTestChoices).task == "numbers"
        labels = {} if numbers else {path: row["expected"] for path, row in rows.items()}
        predictions = {} if numbers else {path: row["predicted"] for path, row in rows.items()}
    failing = tuple(sorted(path for path, right in correct.items() if right == "0"))
    if not failing:
        raise InputError(f"{test}: nothing failed in this test, so there are no causes to find.")
    return TestedImages(
        folder=Path(manifest.folder),
        failing=failing,
        passing=tuple(sorted(path for path, right in correct.items() if right == "1")),
        labels=labels,
        predictions=predictions,
        about=_describe_test(test, manifest),
    )


def _describe_test(test: Path, manifest: Manifest) -> TestedModel:
    weights, figures = read_part(manifest, ModelWeights), read_part(manifest, DnnTestFigures)
    return TestedModel(
        folder=str(test.resolve()),
        network=weights.source,
        network_sha256=weights.sha256,
        accuracy=figures.accuracy,
        accuracy_high=figures.accuracy_high,
        accuracy_low=figures.accuracy_low,
        images=figures.images,
    )


def find_passing(source: Path, failing_folder: Path, failing: Sequence[str]) -> PassingFiles:
    """Find the passing images of a folder or of a list; failing images among them are left out.

    Raises
    ------
    InputError
        When there is no such folder or list.
    """
    listed = list_images(source)
    folder, paths, notes = listed.folder, listed.paths, [*listed.notes]
    # Links are resolved: failing images may be links to images of the test.
    failed = {os.path.realpath(failing_folder / path) for path in failing}
    passing = tuple(path for path in paths if os.path.realpath(folder / path) not in failed)
    if both := len(paths) - len(passing):
        notes.append(
            f"{count_of(both, 'image')} of the passing ones {'is' if both == 1 else 'are'} among "
            f"the failing: {'it counts' if both == 1 else 'they count'} as failing."
        )
    if listed.rejected:
        notes.append(
            f"{count_of(len(listed.rejected), 'file')} of the passing images cannot be used."
        )
    return PassingFiles(folder, passing, tuple(notes))


def sample_passing(
    paths: Sequence[str], groups: Groups, count: int, seed: int
) -> tuple[list[str], NDArray[np.float64]]:
    """Draw a sample of passing images, and compute how many images each of them stands for.

    Images are drawn from all groups in turn, in random order, so that a long track does not fill
    the sample. If every image is a group of its own, this is a simple random sample.

    Parameters
    ----------
    count : int
        Largest number of images of the sample.
    seed : int

    Returns
    -------
    paths : list of str, length m
        Sorted.
    weights : array of float64, shape (m,)
        Number of images of the image's group divided by the number in the sample, scaled so that
        the weights sum up to the number of all passing images.
    """
    if len(paths) <= count:
        return sorted(paths), np.ones(len(paths))
    numbers = number_groups(groups, paths)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(paths))
    turns = np.empty(len(paths), dtype=np.int64)
    seen: dict[int, int] = {}
    for place in order.tolist():
        group = int(numbers[place])
        turns[place] = seen[group] = seen.get(group, -1) + 1
    chosen = order[np.argsort(turns[order], kind="stable")[:count]]
    chosen = np.array(sorted(chosen.tolist(), key=lambda place: paths[place]))
    sizes, drawn = np.bincount(numbers), np.bincount(numbers[chosen], minlength=numbers.max() + 1)
    weights = sizes[numbers[chosen]] / drawn[numbers[chosen]]
    return [paths[place] for place in chosen], weights * (len(paths) / weights.sum())


PASSING_FILE = "passing.csv"


def write_passing(folder: Path, sample: PassingSample, values: NDArray[np.float64]) -> None:
    """Write `passing.csv` into a run folder: the sample, its clusters and its pixel properties.

    Parameters
    ----------
    values : array of float64, shape (m, p)
        As `properties.measure` returns them; nan if a property could not be measured.
    """
    header = (
        "path",
        "cluster",
        "group",
        "weight",
        "sha256",
        *(property_.key for property_ in PROPERTIES),
    )
    rows = zip(
        sample.paths,
        sample.clusters.tolist(),
        sample.groups,
        np.round(sample.weights, 4).tolist(),
        sample.digests,
        values.tolist(),
        strict=True,
    )
    write_csv(
        folder / PASSING_FILE,
        header,
        ((*first, *("" if math.isnan(v) else v for v in own)) for *first, own in rows),
    )


@dataclass(frozen=True)
class PassingProperties:
    """The pixel properties of a run's passing images.

    Attributes
    ----------
    paths : sequence of str, length m
    groups : sequence of str, length m
        "" if an image is a group of its own.
    values : array of float64, shape (m, p)
        A property that an older version did not measure is nan.
    """

    paths: Sequence[str]
    groups: Sequence[str]
    values: NDArray[np.float64]


def read_passing(folder: Path) -> PassingProperties | None:
    """Read the pixel properties of a run's passing images; None if it has none.

    Raises
    ------
    InputError
        When `passing.csv` is damaged.
    """
    if not (folder / PASSING_FILE).exists():
        return None
    with name_damaged_file(folder / PASSING_FILE):
        rows = read_csv(folder / PASSING_FILE)
        paths = [row["path"] for row in rows]
        values = [[float(row.get(one.key) or "nan") for one in PROPERTIES] for row in rows]
        array = np.array(values, dtype=np.float64).reshape(len(rows), len(PROPERTIES))
        if np.isinf(array).any():
            raise ValueError("a pixel property is no finite number")
    return PassingProperties(paths, [row.get("group") or "" for row in rows], array)
