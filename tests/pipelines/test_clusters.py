"""Root cause clusters and their files."""

import numpy as np
import pytest

from pipelines.clusters import (
    RootCauseClusters,
    centre_distances,
    cluster_ids,
    inspection_share,
    map_places,
    members,
    read_clusters,
    read_labels,
    write_clusters,
)
from pipelines.files import read_csv


@pytest.fixture
def points():
    return np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)


@pytest.fixture
def clusters(points):
    labels = np.array([0, 1, 0, -1, 0, 1, 1, 0, -1, 0, 0, 1], dtype=np.int32)
    return RootCauseClusters(
        paths=tuple(f"{'=' * (i == 0)}eye {i:02d}.png" for i in range(12)),
        digests=tuple(f"{i:064x}" for i in range(12)),
        labels=labels,
        core=labels == 0,
        silhouettes=np.linspace(-1, 1, 12).astype(np.float32),
        centre_distances=centre_distances(points, labels),
        places=map_places(points),
    )


def test_distances_to_the_centre_naively(points, clusters):
    for i, label in enumerate(clusters.labels):
        same = [
            point for point, other in zip(points, clusters.labels, strict=True) if other == label
        ]
        centre = [sum(column) / len(same) for column in zip(*same, strict=True)]
        naive = sum((a - b) ** 2 for a, b in zip(points[i], centre, strict=True)) ** 0.5
        assert clusters.centre_distances[i] == pytest.approx(naive, rel=1e-5)


def test_members_stand_from_the_most_central_outwards(clusters):
    inside = members(clusters, 1)
    assert sorted(inside) == [1, 5, 6, 11]
    distances = clusters.centre_distances[inside]
    assert list(distances) == sorted(distances)


def test_clusters_are_listed_noise_last(clusters):
    assert cluster_ids(clusters) == [0, 1, -1]


def test_the_map_of_points_with_one_dimension():
    places = map_places(np.array([[3.0], [4.0]], dtype=np.float32))
    assert places.tolist() == [[3, 0], [4, 0]]


def test_five_images_of_each_cluster_are_inspected_and_no_noise():
    labels = np.array([0] * 8 + [1] * 3 + [-1] * 5, dtype=np.int32)
    assert inspection_share(labels) == pytest.approx((5 + 3) / 16)


def test_every_image_is_in_the_files_once_with_its_label(tmp_path, clusters):
    write_clusters(tmp_path, clusters)
    expected = dict(zip(clusters.paths, clusters.labels.tolist(), strict=True))
    assert read_labels(tmp_path) == expected
    rows = read_csv(tmp_path / "images.csv")
    assert {row["path"]: int(row["cluster"]) for row in rows} == expected
    sizes = {row["cluster"]: int(row["size"]) for row in read_csv(tmp_path / "clusters.csv")}
    assert sizes == {"0": 6, "1": 4, "-1": 2}


def test_the_figures_of_a_cluster(tmp_path, clusters):
    write_clusters(tmp_path, clusters)
    first = read_csv(tmp_path / "clusters.csv")[0]
    assert float(first["share"]) == 0.5
    assert int(first["cores"]) == 6
    silhouettes = [clusters.silhouettes[i] for i in range(12) if clusters.labels[i] == 0]
    assert float(first["silhouette"]) == pytest.approx(sum(silhouettes) / 6, abs=1e-4)
    assert read_csv(tmp_path / "clusters.csv")[-1]["silhouette"] == ""  # noise has none
    assert first["central_image"] == clusters.paths[members(clusters, 0)[0]]


def test_clusters_come_back_from_their_files(tmp_path, clusters):
    write_clusters(tmp_path, clusters)
    back = read_clusters(tmp_path)
    assert back.paths == clusters.paths
    assert back.digests == clusters.digests
    for name in ("labels", "core"):
        assert np.array_equal(getattr(back, name), getattr(clusters, name))
    for name in ("silhouettes", "centre_distances", "places"):
        assert getattr(back, name) == pytest.approx(getattr(clusters, name), abs=1e-4)
        assert getattr(back, name).dtype == np.float32
