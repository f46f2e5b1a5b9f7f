"""A run that nothing is known of yet, the same explained, and one of an older version."""

import shutil

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from pipelines.clusters.clusters import (
    CLUSTER_COLUMNS,
    RootCauseClusters,
    map_places,
    measure_centre_distances,
    write_clusters,
)
from pipelines.clusters.pictures import draw_clusters
from pipelines.data.images import check_image
from pipelines.runs.files import read_csv, write_csv
from pipelines.runs.folder import open_run
from pipelines.runs.manifest import Manifest
from tests.ui.explanation.explained import FAMILIES, OLDER, SIZES, explain, labels_of, write_tables


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    """Write a run the way that a job does, of images that nothing is known of yet."""
    folder = tmp_path_factory.mktemp("explained")
    images, run = folder / "images", folder / "plain"
    images.mkdir()
    labels, rng = labels_of(), np.random.default_rng(0)
    for number, cluster in enumerate(labels):
        level = 60 + 30 * FAMILIES.get(int(cluster), rng.integers(4))
        pixels = np.clip(level + rng.normal(0, 9, (24, 32, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(images / f"eye {number:02d}.png")
    write_tables(images)
    paths = tuple(f"eye {number:02d}.png" for number in range(len(labels)))
    points = rng.normal(size=(len(labels), 4)).astype(np.float32)
    points[:, 0] += 5 * labels
    clusters = RootCauseClusters(
        paths=paths,
        digests=tuple(check_image(images, path).digest for path in paths),
        labels=labels,
        core=labels >= 0,
        silhouettes=np.full(len(labels), 0.5, np.float32),
        centre_distances=measure_centre_distances(points, labels),
        places=map_places(points),
    )
    manifest = Manifest(
        job="cluster",
        command=[],
        folder=str(images),
        parameters={"seed": 0},
        result={
            "clusters": len(SIZES),
            "noise": 0,
            "noise_share": 0.0,
            "inspection_share": 30 / len(labels),
        },
    )
    with open_run(run, manifest, lambda *step: None) as job:
        write_clusters(run, clusters, {c: {"family": f} for c, f in FAMILIES.items()})
        draw_clusters(images, clusters, run, job.progress)
    return run


@pytest.fixture(scope="session")
def explained_run(plain):
    """Explain the run by the command line, with all tables."""
    run = plain.with_name("explained")
    shutil.copytree(plain, run)
    explain(run, plain.with_name("images"))
    return run


@pytest.fixture
def browsing(explained_run, server, visit):
    page = visit(f"{server.url}?run={explained_run}")
    expect(page.locator(".tile").first).to_be_visible()
    return page


@pytest.fixture
def older(plain, tmp_path):
    """Return a run as earlier versions wrote it, with a hint of two."""
    run = tmp_path / "older"
    shutil.copytree(plain, run)
    assert set(OLDER) < set(CLUSTER_COLUMNS)
    rows = read_csv(run / "clusters.csv")
    rows[0]["hint"] = "darker than the rest; blurrier than the rest"
    write_csv(run / "clusters.csv", OLDER, [[row[name] for name in OLDER] for row in rows])
    return run
