"""Root cause clusters, the result of both SAFE and HUDD, and the files that hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.thumbnails import thumbnail_name
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv, read_pairs, replace_cells, write_csv, write_pairs
from pipelines.runs.folder import lock_folder

LABELS_FILE = "labels.txt"
CLUSTERS_FILE = "clusters.csv"
IMAGES_FILE = "images.csv"
REDUCTION_FILE = "reduction.npz"
LAYERS_FILE = "layers.csv"
LAYER_COLUMNS = ("layer", "shape", "clusters", "wicd", "seconds", "chosen")
HEATMAPS_FILE = "heatmaps.npz"
HEATMAP_FOLDER = "heatmaps"
LAYER_NAME = "layer.npy"
PICTURES_TABLE = "pictures.csv"
NOISE = -1
NOISE_NAME = "noise"
INSPECTED_PER_CLUSTER = 5

WORDS = ("name", "note", "verdict", "severity", "likelihood")
"""Columns of `clusters.csv` that an engineer fills in; they start empty."""
VERDICTS = ("plausible cause", "several causes", "unclear")
CLUSTER_COLUMNS = (
    "cluster",
    *WORDS,
    "family",
    "size",
    "share",
    "cores",
    "silhouette",
    "hint",
    "parameters",
    "central_image",
    "kind",
    "parts",
    "groups",
    "failing_images",
    "passing_images",
    "failure_rate",
    "rate_low",
    "rate_high",
    "rate_elsewhere",
    "excess_failures",
    "p_value",
)
"""New columns are added at the end: programs find columns by name, people by position."""
Cells = Mapping[int, Mapping[str, object]]
"""Cells of `clusters.csv`, by cluster id and column."""
IMAGE_COLUMNS = (
    "path",
    "cluster",
    "core",
    "silhouette",
    "distance_to_centre",
    "x",
    "y",
    "sha256",
    "thumbnail",
    "part",
    "group",
)


@dataclass(frozen=True)
class RootCauseClusters:
    """The root cause clusters of a set of failing images: one entry per image, sorted by path.

    Attributes
    ----------
    paths : tuple of str
        Relative to the folder of images; all files of a run join on them.
    digests : tuple of str
        SHA-256 of the files.
    labels : array of int32, shape (n,)
        Cluster ids from 0; -1 is noise. Cluster 0 is the largest; with passing images, it is the
        one with most excess failures.
    core : array of bool, shape (n,)
        Whether an image is a core image of its cluster.
    silhouettes : array of float32, shape (n,)
        -1 to 1; 0 for noise.
    centre_distances : array of float32, shape (n,)
        Distance to the mean of the image's cluster (for noise, to the mean of all noise).
    places : array of float32, shape (n, 2)
        Position of the image on the map: its first two principal components.
    parts : array of int32, shape (n,), optional
        Appearance within the cluster, from 0; -1 for noise. None if clusters have no parts.
    groups : tuple of str, optional
        Group (track, drive, person) of each image; None if every image is a group of its own.
    """

    paths: tuple[str, ...]
    digests: tuple[str, ...]
    labels: NDArray[np.int32]
    core: NDArray[np.bool_]
    silhouettes: NDArray[np.float32]
    centre_distances: NDArray[np.float32]
    places: NDArray[np.float32]
    parts: NDArray[np.int32] | None = None
    groups: tuple[str, ...] | None = None


def check_same_clusters(arrays: Mapping[str, NDArray[Any]], clusters: RootCauseClusters) -> None:
    """Raise ValueError unless the arrays of a run have the images and clusters of its tables.

    Parameters
    ----------
    arrays : mapping of str to array
        `labels`, int of shape (n,), and `paths` of the images; runs of earlier versions have no
        paths.
    """
    labels = arrays["labels"].tolist()
    same = sorted(labels) == sorted(clusters.labels.tolist())
    if same and "paths" in arrays:  # the user may have sorted the table in a spreadsheet
        known = dict(zip(clusters.paths, clusters.labels.tolist(), strict=True))
        same = dict(zip(arrays["paths"].tolist(), labels, strict=True)) == known
    if not same:
        raise ValueError(f"its images and clusters are not those of {IMAGES_FILE}")


def measure_centre_distances(
    points: NDArray[np.float32], labels: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Measure each image's distance to the mean of its cluster; noise counts as one cluster.

    Time grows linearly with the number of images.

    Parameters
    ----------
    points : array of float32, shape (n, d)
    labels : array of int32, shape (n,)

    Returns
    -------
    array of float32, shape (n,)
    """
    result = np.empty(len(points), dtype=np.float32)
    for cluster in np.unique(labels):
        members = labels == cluster
        centre = points[members].mean(axis=0, dtype=np.float64)
        result[members] = np.linalg.norm(points[members] - centre, axis=1)
    return result


def map_places(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the first two principal components of the points as places on a map.

    Parameters
    ----------
    points : array of float32, shape (n, d)
        Principal components; if d is 1, the second coordinate is 0.

    Returns
    -------
    array of float32, shape (n, 2)
    """
    places = np.zeros((len(points), 2), dtype=np.float32)
    places[:, : points.shape[1]] = points[:, :2]
    return places


def list_clusters(clusters: RootCauseClusters) -> list[int]:
    """List the cluster ids: 0, 1, ..., and -1 for noise at the end, if any."""
    ids = [int(cluster) for cluster in np.unique(clusters.labels)]
    return [cluster for cluster in ids if cluster != NOISE] + [NOISE] * (NOISE in ids)


def list_members(clusters: RootCauseClusters, cluster: int) -> list[int]:
    """List the positions of a cluster's images, the most central first, ties by path."""
    inside = np.flatnonzero(clusters.labels == cluster)
    order = inside[np.argsort(clusters.centre_distances[inside], kind="stable")]
    return [int(position) for position in order]


def compute_inspection_share(labels: NDArray[np.int32]) -> float:
    """Compute the share of images to inspect: five per cluster (SAFE, section 4, RQ1).

    Images of noise are not inspected.

    Parameters
    ----------
    labels : array of int32, shape (n,)
    """
    sizes = np.unique(labels[labels != NOISE], return_counts=True)[1]
    return float(np.minimum(sizes, INSPECTED_PER_CLUSTER).sum() / len(labels))


def write_clusters(folder: Path, clusters: RootCauseClusters, cells: Cells | None = None) -> None:
    """Write `labels.txt`, `images.csv` and `clusters.csv` into a run folder.

    Parameters
    ----------
    cells : mapping, optional
        Further cells of `clusters.csv`: the engineer's `WORDS`, family, hint, parameters, failure
        rates.
    """
    labels = [int(label) for label in clusters.labels]
    write_pairs(folder / LABELS_FILE, zip(clusters.paths, labels, strict=True))
    columns = zip(
        clusters.paths,
        labels,
        clusters.core,
        clusters.silhouettes,
        clusters.centre_distances,
        clusters.places,
        clusters.digests,
        [""] * len(labels) if clusters.parts is None else clusters.parts.tolist(),
        clusters.groups or [""] * len(labels),
        strict=True,
    )
    write_csv(
        folder / IMAGES_FILE,
        IMAGE_COLUMNS,
        (
            (
                path,
                label,
                int(core),
                *(round(float(value), 4) for value in (silhouette, distance, *place)),
                digest,
                thumbnail_name(digest),
                part,
                group,
            )
            for path, label, core, silhouette, distance, place, digest, part, group in columns
        ),
    )
    rows = []
    for cluster in list_clusters(clusters):
        row: dict[str, object] = dict.fromkeys(CLUSTER_COLUMNS, "")
        rows.append(row | _figures(clusters, cluster) | dict((cells or {}).get(cluster, {})))
    write_csv(folder / CLUSTERS_FILE, CLUSTER_COLUMNS, (list(row.values()) for row in rows))


def _figures(clusters: RootCauseClusters, cluster: int) -> dict[str, object]:
    inside = list_members(clusters, cluster)
    undefined = cluster == NOISE or clusters.labels.max() < 1
    return {
        "cluster": cluster,
        "name": NOISE_NAME if cluster == NOISE else "",
        "size": len(inside),
        "share": round(len(inside) / len(clusters.paths), 4),
        "cores": int(clusters.core[inside].sum()),
        "silhouette": "" if undefined else round(float(clusters.silhouettes[inside].mean()), 4),
        "central_image": clusters.paths[inside[0]],
        "parts": _parts(clusters, inside) if cluster != NOISE else "",
        "groups": "" if clusters.groups is None else len({clusters.groups[i] for i in inside}),
    }


def _parts(clusters: RootCauseClusters, inside: list[int]) -> int | str:
    return "" if clusters.parts is None else int(clusters.parts[inside].max()) + 1


def save_words(folder: Path, cluster: int, words: Mapping[str, str]) -> None:
    """Save an engineer's words on a cluster in `clusters.csv`.

    Parameters
    ----------
    words : mapping of str to str
        New words by column of `WORDS`; other columns do not change.

    Raises
    ------
    InputError
        When a column is none of `WORDS`, a verdict is none of `VERDICTS`, a job is writing into the
        run folder, or the run has no such cluster.
    OSError
        When the folder is not writable.
    """
    for name in words:
        if name not in WORDS:
            raise InputError(f"words: expected the columns {', '.join(WORDS)}, received {name!r}.")
    if words.get("verdict") and words["verdict"] not in VERDICTS:
        raise InputError(f"verdict: expected {', '.join(VERDICTS)}, received {words['verdict']!r}.")
    with lock_folder(folder, (CLUSTERS_FILE,)):
        try:
            replace_cells(folder / CLUSTERS_FILE, "cluster", {str(cluster): words})
        except (LookupError, ValueError) as error:
            raise InputError(
                f"{folder / CLUSTERS_FILE} has no cluster {cluster}; was the run replaced? "
                "Open it again."
            ) from error


def read_words(folder: Path) -> dict[int, dict[str, str]]:
    """Read an engineer's words from `clusters.csv`, by cluster and column, without empty cells."""
    words_by_cluster: dict[int, dict[str, str]] = {}
    for row in read_csv(folder / CLUSTERS_FILE):
        cluster = int(row["cluster"])
        words = {name: row[name] for name in WORDS if row.get(name)}
        if cluster == NOISE and words.get("name") == NOISE_NAME:
            del words["name"]
        if words:
            words_by_cluster[cluster] = words
    return words_by_cluster


def read_labels(folder: Path) -> dict[str, int]:
    """Read `labels.txt` of a run folder: cluster id by relative path."""
    return {path: int(label) for path, label in read_pairs(folder / LABELS_FILE).items()}


def read_clusters(folder: Path) -> RootCauseClusters:
    """Read the root cause clusters of a run folder back from `images.csv`."""
    rows = read_csv(folder / IMAGES_FILE)

    def column(name: str) -> NDArray[np.float64]:
        return np.array([float(row[name]) for row in rows])

    def has(name: str) -> bool:  # runs of older versions and of `heatmaps` have none
        return bool(rows) and all(row.get(name) for row in rows)

    return RootCauseClusters(
        paths=tuple(row["path"] for row in rows),
        digests=tuple(row["sha256"] for row in rows),
        labels=np.array([int(row["cluster"]) for row in rows], dtype=np.int32),
        core=np.array([int(row["core"]) for row in rows], dtype=np.bool_),
        silhouettes=column("silhouette").astype(np.float32),
        centre_distances=column("distance_to_centre").astype(np.float32),
        places=np.stack([column("x"), column("y")], axis=1).astype(np.float32),
        parts=np.array([int(row["part"]) for row in rows], dtype=np.int32) if has("part") else None,
        groups=tuple(row["group"] for row in rows) if has("group") else None,
    )
