"""DBSCAN from one spanning tree, against scikit-learn, scipy and naive versions."""

import numpy as np
import pytest
from scipy.sparse.csgraph import minimum_spanning_tree
from sklearn.cluster import DBSCAN

from pipelines.safe import dbscan
from pipelines.safe.dbscan import NOISE, Distances, Neighbours
from tests.pipelines.safe.data_sets import (
    POINT_SETS,
    dbscan_naively,
    distances_naively,
    eps_off_the_ties,
)

# --- naive versions -------------------------------------------------------------------------------


def mutual_reachability_naively(distances, min_samples):
    n = len(distances)
    core = [sorted(row)[min_samples - 1] for row in distances]
    return [
        [0.0 if i == j else max(distances[i][j], core[i], core[j]) for j in range(n)]
        for i in range(n)
    ]


def kruskal_naively(weights):
    """Return the lengths of a minimum spanning tree, rising."""
    n = len(weights)
    part = list(range(n))
    lengths = []
    for length, i, j in sorted((weights[a][b], a, b) for a in range(n) for b in range(a)):
        if part[i] != part[j]:
            lengths.append(length)
            old, new = part[i], part[j]
            part = [new if number == old else number for number in part]
    return lengths


# --- distances ------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0, 20_000])
def test_rows_of_distances_are_euclidean(points, limit):
    distances = Distances(points, limit=limit)
    naive = distances_naively(points)
    assert len(distances) == len(points)
    assert (distances.matrix is None) == (limit == 0)
    for index in (0, 7, len(points) - 1):
        row = distances.rows(index)
        assert row.dtype == np.float32
        assert row == pytest.approx(naive[index], rel=1e-5, abs=1e-6)
    block = distances.rows(slice(5, 17))
    assert block.shape == (12, len(points))
    assert block == pytest.approx(np.array(naive[5:17]), rel=1e-5, abs=1e-6)
    assert distances.rows(slice(len(points) - 3, len(points) + 50)).shape == (3, len(points))


@pytest.mark.parametrize("limit", [0, 20_000])
def test_near_duplicates_far_from_the_origin_keep_their_small_distances(limit):
    points = np.array([[1000.0, 0], [1000.0, 0.001], [1000.0, 0.01]], dtype=np.float32)
    distances = Distances(points, limit=limit)
    for rows in (distances.rows(0), distances.rows(slice(0, 2))[0]):
        assert rows == pytest.approx([0, 0.001, 0.01], rel=1e-3, abs=1e-4)


def test_the_nearest_images_rise_in_distance(points):
    neighbours = dbscan.find_nearest(points, 5)
    naive = distances_naively(points)
    assert neighbours.distances.shape == neighbours.indices.shape == (len(points), 5)
    for i, row in enumerate(naive):
        assert neighbours.distances[i] == pytest.approx(sorted(row)[:5], rel=1e-5, abs=1e-6)
        assert [row[j] for j in neighbours.indices[i]] == pytest.approx(
            neighbours.distances[i], rel=1e-5, abs=1e-6
        )
        assert len(set(neighbours.indices[i])) == 5


@pytest.mark.parametrize("name", ["blobs", "uniform", "high_dimensional"])
def test_an_image_is_its_own_nearest(name):
    neighbours = dbscan.find_nearest(POINT_SETS[name], 3)
    assert neighbours.indices[:, 0].tolist() == list(range(len(POINT_SETS[name])))


def test_there_are_never_more_nearest_images_than_images(points):
    assert dbscan.find_nearest(points[:4], 9).indices.shape == (4, 4)


# --- the spanning tree ----------------------------------------------------------------------------


@pytest.mark.parametrize("min_samples", [1, 2, 4, 6])
@pytest.mark.parametrize("limit", [0, 20_000])
def test_the_tree_is_a_minimum_spanning_tree_of_mutual_reachability(points, min_samples, limit):
    core = dbscan.find_nearest(points, min_samples).distances[:, -1]
    tree = dbscan.grow_spanning_tree(Distances(points, limit=limit), core)
    weights = mutual_reachability_naively(distances_naively(points), min_samples)
    assert tree.ends.shape == (2, len(points) - 1)
    part = list(range(len(points)))
    for (i, j), length in zip(tree.ends.T.tolist(), tree.lengths, strict=True):
        assert part[i] != part[j], "a tree has no circle"
        part = [part[i] if number == part[j] else number for number in part]
        assert length == pytest.approx(weights[i][j], rel=1e-5, abs=1e-6)
    assert len(set(part)) == 1
    assert np.sort(tree.lengths) == pytest.approx(kruskal_naively(weights), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", ["blobs", "uniform", "bridges", "high_dimensional"])
@pytest.mark.parametrize("min_samples", [1, 3, 5])
def test_the_tree_weighs_as_much_as_scipys(name, min_samples):
    points = POINT_SETS[name]  # without duplicates: scipy takes a length of 0 for no edge
    core = dbscan.find_nearest(points, min_samples).distances[:, -1]
    tree = dbscan.grow_spanning_tree(Distances(points), core)
    weights = mutual_reachability_naively(distances_naively(points), min_samples)
    assert tree.lengths.sum() == pytest.approx(minimum_spanning_tree(weights).sum(), rel=1e-5)


def test_the_tree_of_one_image_has_no_edge():
    tree = dbscan.grow_spanning_tree(Distances(np.zeros((1, 3), "f4")), np.zeros(1, "f4"))
    assert tree.ends.shape == (2, 0)
    assert tree.lengths.shape == (0,)


# --- DBSCAN ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("min_samples", [1, 2, 3, 4, 5, 6])
def test_cutting_the_tree_gives_exactly_the_labels_of_dbscan(points, min_samples):
    neighbours = dbscan.find_nearest(points, 6)
    core_distances = neighbours.distances[:, min_samples - 1]
    tree = dbscan.grow_spanning_tree(Distances(points), core_distances)
    naive_distances = distances_naively(points)
    for eps in eps_off_the_ties(points):
        cut_labels = dbscan.cut(tree, neighbours, eps, min_samples)
        expected = DBSCAN(eps=eps, min_samples=min_samples).fit(points)
        assert cut_labels.dtype == np.int32
        assert cut_labels.tolist() == expected.labels_.tolist()
        assert cut_labels.tolist() == dbscan_naively(naive_distances, eps, min_samples)
        core = dbscan.is_core(neighbours, eps, min_samples)
        assert np.flatnonzero(core).tolist() == expected.core_sample_indices_.tolist()
        assert core.tolist() == [
            sum(distance <= eps for distance in row) >= min_samples for row in naive_distances
        ]


def test_the_data_sets_are_no_easy_ones():
    """Guard the test above: it sees several clusters, noise, border images and contested ones."""
    border_images = several = 0
    for points in POINT_SETS.values():
        naive = distances_naively(points)
        for eps in eps_off_the_ties(points):
            reference = DBSCAN(eps=eps, min_samples=4).fit(points)
            several += reference.labels_.max() > 0 and (reference.labels_ == NOISE).any()
            core = set(reference.core_sample_indices_.tolist())
            for i in set(range(len(points))) - core:
                clusters = {reference.labels_[j] for j in core if naive[i][j] <= eps}
                border_images += len(clusters) > 1
    assert several >= 20
    assert border_images >= 5


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4, 5, 6, 7, 8), (8, 7, 6, 5, 4, 3, 2, 1, 0)])
def test_an_image_between_two_clusters_belongs_to_the_one_with_the_lower_number(order):
    line = np.array([0, 0.31, 0.6, 0.92, 1.93, 2.95, 3.26, 3.55, 3.87], dtype=np.float32)
    points = line[list(order), None]
    neighbours = dbscan.find_nearest(points, 4)
    tree = dbscan.grow_spanning_tree(Distances(points), neighbours.distances[:, 3])
    labels = dbscan.cut(tree, neighbours, 1.05, 4)
    assert labels.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]
    core = dbscan.is_core(neighbours, 1.05, 4)
    assert core.tolist() == [True, True, True, True, False, True, True, True, True]


def test_more_neighbours_than_images_make_no_image_core():
    points = np.zeros((4, 2), dtype=np.float32)
    neighbours = dbscan.find_nearest(points, 5)
    tree = dbscan.grow_spanning_tree(Distances(points), neighbours.distances[:, -1])
    assert dbscan.cut(tree, neighbours, 1.0, 5).tolist() == [NOISE] * 4
    assert not dbscan.is_core(neighbours, 1.0, 5).any()


def test_being_core_at_eps_includes_the_distance_eps_itself():
    neighbours = Neighbours(np.array([[0, 2.5]], dtype=np.float32), np.array([[0, 1]]))
    assert dbscan.is_core(neighbours, 2.5, 2).tolist() == [True]
    assert dbscan.is_core(neighbours, 2.4999, 2).tolist() == [False]
