"""A run folder, and a browser that asks the server for it."""

import json
import shutil

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.server.access import Access
from app.server.routes import ServedRuns
from pipelines.clusters.clusters import (
    RootCauseClusters,
    map_places,
    measure_centre_distances,
    write_clusters,
)
from pipelines.clusters.explanation import (
    write_explanation,
    write_properties,
)
from pipelines.clusters.pictures import draw_clusters
from pipelines.data.images import check_image
from pipelines.data.parameters import write_parameters
from pipelines.runs import folder as run_folder
from pipelines.runs.files import write_pairs
from pipelines.runs.manifest import read_manifest
from tests.app.server.small_run import (
    LABELS,
    NAMES,
    PARAMETERS,
    PROPERTY_VALUES,
    explanation,
    manifest,
    quiet,
)


@pytest.fixture(scope="session")
def small_run(tmp_path_factory, draw):
    """Write a run of ten images: clusters 0 and 1, noise, and a file that was rejected."""
    world = tmp_path_factory.mktemp("small")
    images, folder = world / "images", world / "the run"
    for seed, name in enumerate(NAMES):
        draw(images / name, seed)
    points = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    labels = np.array(LABELS, dtype=np.int32)
    paths = tuple(sorted(NAMES))
    clusters = RootCauseClusters(
        paths=paths,
        digests=tuple(check_image(images, path).digest for path in paths),
        labels=labels,
        core=labels == 0,
        silhouettes=np.linspace(-1, 1, 10).astype(np.float32),
        centre_distances=measure_centre_distances(points, labels),
        places=map_places(points),
    )
    figures = {"clusters": 2, "noise": 2, "noise_share": 0.2, "inspection_share": 0.8}
    about = manifest(folder=str(images), notes=["a note"], result=figures)
    with run_folder.open_run(folder, about, quiet) as job:
        write_clusters(folder, clusters)
        write_pairs(folder / "rejected.txt", [("notes.txt", "not an image\tnor a table")])
        draw_clusters(images, clusters, folder, job.progress)
    return folder


@pytest.fixture
def run(small_run, tmp_path):
    """Copy the run of ten images, for a test to damage."""
    return shutil.copytree(small_run, tmp_path / small_run.name)


@pytest.fixture
def explained_run(run):
    """Explain the run the way a job does."""
    write_explanation(run, explanation())
    write_properties(run, sorted(NAMES), PROPERTY_VALUES)
    write_parameters(run / "parameters.csv", sorted(NAMES), PARAMETERS)
    return run


@pytest.fixture
def served():
    return ServedRuns(Access())


@pytest.fixture
def client(served):
    return TestClient(Starlette(routes=served.routes()), base_url="http://localhost:7860")


@pytest.fixture
def address(served, run):
    return f"/run/{served.key(run)}"


@pytest.fixture
def save(run, client, address):
    """Return a function that sends words as the page does."""

    def send(**words):
        started_at = read_manifest(run).started_at
        return client.post(f"{address}/words", content=json.dumps({"started": started_at} | words))

    return send
