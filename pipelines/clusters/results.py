"""The results of a run, read back from its folder: clusters, their explanation, rejected files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.clusters.clusters import (
    CLUSTERS_FILE,
    IMAGES_FILE,
    NOISE,
    RootCauseClusters,
    list_clusters,
    list_members,
    read_clusters,
)
from pipelines.clusters.explanation import EXPLANATION_FILE, Explanation, read_explanation
from pipelines.clusters.rates import CLUSTER_KINDS, TOO_FEW, FailureRate
from pipelines.runs import folder as run_folder
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv, read_pairs
from pipelines.runs.guard import SAVE_AGAIN, find_file_inside, name_damaged_file
from pipelines.runs.manifest import Manifest, check_replaced, read_run_manifest


@dataclass(frozen=True)
class ClusterRow:
    """One row of `clusters.csv`, of any version of the tool.

    Attributes
    ----------
    name, note, verdict, severity, likelihood : str
        The engineer's words; empty if the file has no such column.
    silhouette : float or None
        Mean silhouette; None for noise, and if there is only one cluster.
    hints, parameters : tuple of str
        The sentences of the cell.
    central_image : str
        Path of the most central image.
    family : int or None
        None if there are no families.
    kind : str
        One of `rates.CLUSTER_KINDS`; empty for noise, and in runs without passing images.
    rate : FailureRate or None
        None if `kind` is empty, or if no such cluster was computed while a third of the images was
        left out.
    parts : int or None
        Number of appearances of a situation; None if clusters have no appearances.
    groups : int or None
        Number of groups of its images; None if every image is a group of its own.
    """

    cluster: int
    name: str
    note: str
    verdict: str
    severity: str
    likelihood: str
    size: int
    share: float
    cores: int
    silhouette: float | None
    hints: tuple[str, ...]
    parameters: tuple[str, ...]
    central_image: str
    family: int | None = None
    kind: str = ""
    rate: FailureRate | None = None
    parts: int | None = None
    groups: int | None = None


@dataclass(frozen=True)
class Results:
    """The results in a run folder.

    Attributes
    ----------
    ended : str
        The state in the manifest, except that "running" becomes "killed": the caller holds the
        run's lock, so no job is running.
    clusters : RootCauseClusters or None
        None if the job ended before it found clusters; `rows` is empty then.
    rows : tuple of ClusterRow
        The largest cluster first, noise last.
    explanation : Explanation or None
        None in runs of older versions.
    rejected : tuple of (str, str)
        Path and reason of each rejected file, sorted.
    """

    folder: Path
    manifest: Manifest
    ended: str
    clusters: RootCauseClusters | None
    rows: tuple[ClusterRow, ...]
    explanation: Explanation | None
    rejected: tuple[tuple[str, str], ...]


def read_results(run: Path) -> Results:
    """Read the results of a run; time and memory grow linearly with the number of images.

    Raises
    ------
    InputError
        When the folder is not a run, or one of its files is damaged.
    """
    manifest = read_run_manifest(run)
    clusters, rows = read_clustering(run, manifest.ended)
    rejected: tuple[tuple[str, str], ...] = ()
    with name_damaged_file(run / run_folder.REJECTED_FILE):
        if (run / run_folder.REJECTED_FILE).exists():
            rejected = tuple(
                sorted(read_pairs(find_file_inside(run, run_folder.REJECTED_FILE)).items())
            )
    return Results(
        folder=run,
        manifest=manifest,
        ended="killed" if manifest.ended == "running" else manifest.ended,
        clusters=clusters,
        rows=rows,
        explanation=_read_explanation(run, rows) if rows else None,
        rejected=rejected,
    )


def read_clustering(
    run: Path, ended: str = "finished"
) -> tuple[RootCauseClusters | None, tuple[ClusterRow, ...]]:
    """Read the clusters of a run, and their rows of `clusters.csv`.

    Columns of later versions of the tool and an engineer's words may be missing; rows, sizes and
    figures may not. Time and memory grow linearly with the number of images.

    Parameters
    ----------
    ended : str
        The state in the manifest.

    Returns
    -------
    RootCauseClusters or None
        None if the job ended before it wrote both files.
    tuple of ClusterRow
        The largest cluster first, noise last.

    Raises
    ------
    InputError
        When a file is damaged, or the two files do not fit together.
    """
    check_replaced(run)
    there = [(run / name).exists() for name in (IMAGES_FILE, CLUSTERS_FILE)]
    if not any(there) or not (all(there) or ended == "finished"):
        return None, ()
    with name_damaged_file(run / IMAGES_FILE):
        find_file_inside(run, IMAGES_FILE)
        clusters = read_clusters(run)
        for figures in (clusters.centre_distances, clusters.silhouettes, clusters.places):
            if not np.isfinite(figures).all():
                raise ValueError("a distance, silhouette or place is no number")
    central = {c: clusters.paths[list_members(clusters, c)[0]] for c in list_clusters(clusters)}
    with name_damaged_file(run / CLUSTERS_FILE, SAVE_AGAIN):
        rows = [_row(row, central) for row in read_csv(find_file_inside(run, CLUSTERS_FILE))]
        rows.sort(key=lambda row: (row.cluster == NOISE, row.cluster))
        sizes = Counter(clusters.labels.tolist())
        if [(row.cluster, row.size) for row in rows] != sorted(
            sizes.items(), key=lambda pair: (pair[0] == NOISE, pair[0])
        ):
            raise ValueError(f"its clusters and their sizes are not those of {IMAGES_FILE}")
        if unknown := {row.central_image for row in rows} - {*clusters.paths}:
            raise ValueError(f"{min(unknown)} is no image of {IMAGES_FILE}")
    return clusters, tuple(rows)


def read_known_clusters(run: Path) -> tuple[RootCauseClusters, tuple[ClusterRow, ...]]:
    """Read the clusters of a run as `read_clustering` does; raise InputError when it has none."""
    clusters, rows = read_clustering(run)
    if clusters is None:
        raise InputError(f"{run} has no clusters: it has no {IMAGES_FILE}. Find them first.")
    return clusters, rows


def collect_families(rows: Sequence[ClusterRow]) -> dict[int, int]:
    """Return the family of each cluster; empty if a cluster has no family."""
    families = {row.cluster: row.family for row in rows if row.cluster != NOISE}
    known = {cluster: family for cluster, family in families.items() if family is not None}
    return known if len(known) == len(families) else {}


def _row(row: Mapping[str, str], central: Mapping[int, str]) -> ClusterRow:
    silhouette = float(row["silhouette"]) if row["silhouette"] else None
    figures = [float(row["share"]), silhouette or 0.0]
    if not np.isfinite(figures).all():
        raise ValueError(f"a figure of cluster {row['cluster']} is no number")
    cluster = _whole(row["cluster"])
    return ClusterRow(
        cluster=cluster,
        name=row.get("name", ""),
        note=row.get("note", ""),
        verdict=row.get("verdict", ""),
        severity=row.get("severity", ""),
        likelihood=row.get("likelihood", ""),
        size=_whole(row["size"]),
        share=figures[0],
        cores=_whole(row["cores"]),
        silhouette=silhouette,
        hints=_split_cell(row.get("hint", "")),
        parameters=_split_cell(row.get("parameters", "")),
        central_image=row.get("central_image") or central.get(cluster, ""),
        family=_whole(row["family"]) if row.get("family") else None,
        kind=row.get("kind", ""),
        rate=_rate(row),
        parts=_whole(row["parts"]) if row.get("parts") else None,
        groups=_whole(row["groups"]) if row.get("groups") else None,
    )


def _rate(row: Mapping[str, str]) -> FailureRate | None:
    if not row.get("kind"):
        return None
    if row["kind"] not in CLUSTER_KINDS:
        raise ValueError(f"{row['kind']!r} is no kind of cluster")
    if not row["failure_rate"]:
        return None
    failing = _whole(row["failing_images"])
    rate = FailureRate(
        failing=failing,
        passing=_whole(row["passing_images"]),
        groups=_whole(row["groups"]) if row.get("groups") else failing,
        rate=float(row["failure_rate"]),
        low=float(row["rate_low"]),
        high=float(row["rate_high"]),
        elsewhere=float(row["rate_elsewhere"]),
        excess=float(row["excess_failures"]),
        p=float(row["p_value"]),
        testable=row["kind"] != TOO_FEW,
    )
    if not np.isfinite([rate.rate, rate.low, rate.high, rate.elsewhere, rate.excess, rate.p]).all():
        raise ValueError(f"a failure rate of cluster {row['cluster']} is no number")
    return rate


def _whole(cell: str) -> int:
    """Return a whole number that arrays can hold."""
    if abs(number := int(cell)) >= 1 << 31:
        raise ValueError(f"{cell[:20]} is too large")
    return number


def _split_cell(cell: str) -> tuple[str, ...]:
    return tuple(part for part in cell.split("; ") if part)


def _read_explanation(run: Path, rows: Sequence[ClusterRow]) -> Explanation | None:
    path = run / EXPLANATION_FILE
    if not os.path.lexists(path):
        return None
    with name_damaged_file(path, "explain the clusters again"):
        find_file_inside(run, EXPLANATION_FILE)
        explanation = read_explanation(run)
        if explanation:
            _check_explanation(explanation, {row.cluster for row in rows} - {NOISE})
    return explanation


def _check_explanation(explanation: Explanation, known: set[int]) -> None:
    """Raise ValueError unless an explanation fits these clusters and is complete."""
    grouped = [cluster for family in explanation.families for cluster in family.clusters]
    covering = [cluster for unsafe in explanation.unsafe_values for cluster in unsafe.clusters]
    if unknown := sorted({*explanation.clusters, *grouped, *covering} - known):
        raise ValueError(f"it speaks of cluster {unknown[0]}, which {CLUSTERS_FILE} lacks")
    if grouped and sorted(grouped) != sorted(known):
        raise ValueError("a cluster is in no family, or in two")
    if not all(family.clusters for family in explanation.families):
        raise ValueError("a family has no cluster")
    if not np.isfinite([unsafe.value for unsafe in explanation.unsafe_values]).all():
        raise ValueError("an unsafe value is no number")
    explained = [*explanation.clusters.values(), *explanation.families]
    places = {place for group in explained for place in group.unsafe_values}
    if not places <= set(range(len(explanation.unsafe_values))):
        raise ValueError("a cluster or family covers an unsafe value that is not listed")
