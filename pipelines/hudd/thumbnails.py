"""Read the small heatmaps of a run, which the page lays over the images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters.clusters import (
    HEATMAP_FOLDER,
    LAYER_COLUMNS,
    LAYERS_FILE,
    PICTURES_TABLE,
    list_members,
)
from pipelines.clusters.results import read_known_clusters
from pipelines.runs.errors import InputError
from pipelines.runs.files import check_numbers, read_csv
from pipelines.runs.guard import find_file_inside, name_damaged_file

SHOWN = 24
"""Largest number of images of a cluster whose heatmaps are shown."""


def read_layers(run: Path) -> tuple[list[dict[str, str]], list[str]]:
    """Return the rows of `layers.csv`, and the names of the layers that have pictures.

    Raises
    ------
    InputError
        When a file is damaged.
    """
    with name_damaged_file(run / LAYERS_FILE):
        rows = read_csv(find_file_inside(run, LAYERS_FILE), LAYER_COLUMNS)
        check_numbers(rows, "clusters", "wicd", "seconds")
        if [row["chosen"] for row in rows].count("1") != 1:
            raise ValueError("not one layer is the chosen one")
    with name_damaged_file(run / HEATMAP_FOLDER / PICTURES_TABLE):
        shown = read_csv(find_file_inside(run, f"{HEATMAP_FOLDER}/{PICTURES_TABLE}"))
        return rows, [row["layer"] for row in shown]


def read_pictures(run: Path, layer: str, cluster: int) -> tuple[list[str], NDArray[np.int8]]:
    """Read the heatmaps of the most central images of a cluster, and the mean of all its heatmaps.

    Returns
    -------
    paths : list of str, length m
        At most `SHOWN` images, most central first.
    pictures : array of int8, shape (m + 1, height, width)
        Heatmaps of these images, then the mean of the cluster; see `heatmaps.draw_maps`.

    Raises
    ------
    InputError
        When the run has no such layer or cluster, or a file is damaged.
    """
    _, shown = read_layers(run)
    if layer not in shown:
        raise InputError(f"{run.name} has no heatmaps of {layer!r}. Open it again.")
    name = f"{HEATMAP_FOLDER}/{shown.index(layer):03d}.npy"
    clusters, _ = read_known_clusters(run)
    inner = list_members(clusters, cluster)
    if not inner:
        raise InputError(f"{run.name} has no cluster {cluster}. Open it again.")
    with name_damaged_file(run / name):
        maps = np.lib.format.open_memmap(find_file_inside(run, name), mode="r")
        if maps.dtype != np.int8 or maps.ndim != 3 or len(maps) != len(clusters.paths):
            raise ValueError(f"expected {len(clusters.paths)} pictures of int8")
        own = np.array(maps[inner])
    mean = own.mean(axis=0)
    largest = np.abs(mean).max() or 1.0
    pictures = np.concatenate([own[:SHOWN], np.round(127 * mean / largest).astype(np.int8)[None]])
    return [clusters.paths[image] for image in inner[:SHOWN]], pictures
