"""The small world of spots, from a DNN that knows bright ones to the unsafe set of dark ones."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.hudd.job import Options, find_clusters_by_heatmaps
from pipelines.hudd.selecting import measure
from pipelines.selecting import Wanted, select_unsafe_set
from pipelines.testing_job import Asked, test_model
from tests.pipelines.retraining.spots import draw_spots, train_dnn


def quiet(stage, done, total):
    """Listen to nothing."""


@dataclass(frozen=True)
class World:
    """Where everything is."""

    model: Path
    train: Path
    test: Path
    improvement: Path
    run: Path


@pytest.fixture(scope="session")
def spots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spots")
    train = draw_spots(folder / "train", 1, 80, 0.0)
    test = draw_spots(folder / "test", 2, 80, 0.5)
    improvement = draw_spots(folder / "improvement", 3, 60, 0.5)
    model = train_dnn(train, folder / "dnn.keras")
    test_model(model, test, folder / "tested", Asked(), progress=quiet)
    failures = folder / "tested" / "failures.txt"
    find_clusters_by_heatmaps(model, failures, folder / "run", Options(), progress=quiet)
    select_unsafe_set(folder / "run", improvement, Wanted(count=24), measure, progress=quiet)
    return World(model, train, test, improvement, folder / "run")


@pytest.fixture
def world(spots, tmp_path):
    """The world with a run that a test may change."""
    run = shutil.copytree(spots.run, tmp_path / "run")
    return World(spots.model, spots.train, spots.test, spots.improvement, run)
