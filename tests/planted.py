"""A run folder whose clusters are planted: the same labels and pictures on every machine.

What the page does with a run is tested on it; the DNN of the example, trained anew on each
machine, is no ground for that.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.clusters.clusters import RootCauseClusters, map_places, measure_centre_distances
from pipelines.clusters.explanation_tables import TableFiles
from pipelines.clusters.passing import PassingSample
from pipelines.clusters.rates import classify_clusters, estimate_rates
from pipelines.clusters.report.report import write_report
from pipelines.clusters.write import finish
from pipelines.data.images import check_image
from pipelines.runs.folder import open_run
from pipelines.runs.manifest import Manifest

SIZES = (30, 24, 20, 16, 14, 12, 10, 9, 8, 7, 6, 5)
"""Images of clusters 0 to 11."""
NOISE = 60
"""Images in no cluster: more than the page shows at once."""
FAMILIES = {0: 1, 1: 0, 2: 0, 3: 2, 4: 2, **{cluster: cluster - 2 for cluster in range(5, 12)}}
"""The largest has two clusters, and not cluster 0."""
DARK = (0, 3, 4)
"""Clusters of dark pictures; nothing sets those of the others apart."""
TABLES = ("parameters.csv", "labels.csv", "unsafe_values.csv")
UNSAFE_VALUES = 13
USUAL = 2
"""Cluster whose yaw is that of passing images."""
PASSING = (2, 30, 4, 1)
"""Passing images in clusters 0 to 3, of 150; the other clusters hold none."""


def write_planted_run(folder: Path, passing: bool = False) -> Path:
    """Draw images and their tables into `folder / "images"`, and write the run `folder / "run"`.

    With passing images, clusters have failure rates, and each has two appearances.
    """
    images, out = folder / "images", folder / "run"
    images.mkdir(parents=True)
    labels = np.repeat([*range(len(SIZES)), -1], [*SIZES, NOISE]).astype(np.int32)
    rng = np.random.default_rng(0)
    labels = labels[rng.permutation(len(labels))]
    paths = tuple(f"eye {number:03d}.png" for number in range(len(labels)))
    for path, cluster in zip(paths, labels, strict=True):
        level = 40 if cluster in DARK else 150
        pixels = np.clip(level + rng.normal(0, 12, (96, 128, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(images / path)
    _write_tables(images, paths, labels, rng)
    points = rng.normal(size=(len(labels), 4)).astype(np.float32)
    angles = 2 * np.pi * labels / len(SIZES)
    points[:, :2] += 9 * np.stack([np.cos(angles), np.sin(angles)], axis=1) * (labels >= 0)[:, None]
    clusters = RootCauseClusters(
        paths=paths,
        digests=tuple(check_image(images, path).digest for path in paths),
        labels=labels,
        core=(labels >= 0) & (rng.random(len(labels)) < 0.8),
        silhouettes=np.where(labels >= 0, rng.uniform(0.2, 0.6, len(labels)), 0).astype(np.float32),
        centre_distances=measure_centre_distances(points, labels),
        places=map_places(points),
    )
    manifest = Manifest(job="cluster", command=[], folder=str(images), parameters={"seed": 0})
    table_files = TableFiles(
        tuple(images / name for name in TABLES[:2]), ("gaze_angle",), images / TABLES[2]
    )
    families, sample = FAMILIES, None
    if passing:
        families = {cluster: cluster for cluster in range(len(SIZES))}
        halves = np.where(labels < 0, -1, np.arange(len(labels)) % 2).astype(np.int32)
        clusters = replace(clusters, parts=halves)
        sample = plant_passing(folder / "passing", labels, rng)
        table_files = replace(
            table_files, parameters=(*table_files.parameters, folder / "passing" / TABLES[0])
        )
    with open_run(out, manifest, lambda *step: None) as run:
        finish(
            run, images, clusters, table_files, families, [],
            seed=0, write_more=lambda: None, passing=sample,
        )  # fmt: skip
    write_report(out)
    return out


def plant_passing(folder: Path, labels, rng) -> PassingSample:
    """Draw bright passing images, heads turned as in cluster 2; some are in the first clusters."""
    folder.mkdir()
    clusters = np.full(150, -1, dtype=np.int32)
    clusters[: sum(PASSING)] = np.repeat(np.arange(len(PASSING)), PASSING)
    paths = tuple(f"passing {number:03d}.png" for number in range(len(clusters)))
    for path in paths:
        pixels = np.clip(150 + rng.normal(0, 12, (48, 64, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / path)
    yaws = zip(paths, rng.normal(10 * USUAL, 0.5, len(clusters)), strict=True)
    lines = ["path,yaw", *(f"{path},{yaw:.2f}" for path, yaw in yaws)]
    (folder / TABLES[0]).write_text("\n".join(lines) + "\n")
    numbers = np.arange(len(labels) + len(clusters))
    rates = estimate_rates(
        labels, clusters, np.ones(len(clusters)), numbers[: len(labels)], numbers[len(labels) :]
    )
    return PassingSample(
        folder=folder,
        paths=paths,
        digests=tuple(check_image(folder, path).digest for path in paths),
        weights=np.ones(len(clusters)),
        groups=("",) * len(clusters),
        clusters=clusters,
        rates=rates,
        kinds=classify_clusters(rates, {}),
    )


def _write_tables(images, paths, labels, rng):
    """Write what is known of the images: clusters share the yaw, and little else."""
    parameters, directions = ["path,yaw,gaze_angle"], ["path,label,prediction"]
    for path, cluster in zip(paths, labels, strict=True):
        yaw = 10 * cluster + rng.normal(0, 0.5) if cluster >= 0 else rng.uniform(0, 120)
        parameters.append(f"{path},{yaw:.2f},{rng.uniform(0, 360):.1f}")
        directions.append(f"{path},left,{'right' if cluster % 2 else 'up'}")
    unsafe = ["parameter,value,side"] + [f"yaw,{10 * at},near" for at in range(UNSAFE_VALUES)]
    for name, lines in zip(TABLES, (parameters, directions, unsafe), strict=True):
        (images / name).write_text("\n".join(lines) + "\n")
