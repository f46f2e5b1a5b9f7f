"""Clustering of heatmaps against Equations 5 and 6 in plain loops, and against scikit-learn."""

import math

import numpy as np
import pytest
from kneed import KneeLocator
from scipy.cluster.hierarchy import is_valid_linkage
from sklearn.cluster import AgglomerativeClustering
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, homogeneity_score

from pipelines.clusters import clusters as clusters_files
from pipelines.hudd import clustering
from pipelines.hudd.clustering import (
    choose_layer,
    cluster_layer,
    cluster_layers,
    compute_silhouettes,
    cut_dendrogram,
    map_places,
    measure_centre_distances,
    ward,
)
from pipelines.hudd.wicd import (
    MOST,
    choose_number,
    compute_wicd_curve,
    differentiate,
    limit_clusters,
)
from pipelines.safe.dbscan import Distances
from pipelines.safe.silhouette import compute_silhouettes as safe_silhouettes


def distances_of(points):
    rows = np.asarray(points, dtype=np.float64).tolist()
    return np.array([[math.dist(a, b) for b in rows] for a in rows], dtype=np.float32)


def draw(n, d=6, groups=5, seed=0, noise=0.3):
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(n) % groups)
    return (rng.normal(size=(groups, d))[truth] + noise * rng.normal(size=(n, d))), truth


def wicd_naively(distances, labels):
    """Equations 5 and 6."""
    clusters = sorted(set(labels))
    total = 0.0
    for cluster in clusters:
        members = [image for image, label in enumerate(labels) if label == cluster]
        pairs = [(a, b) for a in members for b in members if a < b]
        icd = sum(distances[a][b] for a, b in pairs) / len(pairs) if pairs else 0.0
        total += icd * (len(members) / len(labels))
    return total / len(clusters)


# --- dendrogram -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_ward_of_distances_is_ward_of_the_points(seed):
    points, _ = draw(60, seed=seed, noise=1)
    merges = ward(distances_of(points))
    assert is_valid_linkage(merges)
    for clusters in (1, 2, 3, 5, 8, 20, 59, 60):
        expected = AgglomerativeClustering(clusters, linkage="ward").fit_predict(points)
        labels = cut_dendrogram(merges, clusters)
        assert len(np.unique(labels)) == clusters
        assert adjusted_rand_score(expected, labels) == 1


def test_heights_are_roots_of_what_a_merge_adds():
    points, _ = draw(30, noise=1)
    merges = ward(distances_of(points))

    def spread(labels):
        clusters = [points[labels == label] for label in np.unique(labels)]
        return sum(((cluster - cluster.mean(axis=0)) ** 2).sum() for cluster in clusters)

    for step in range(29):
        increase = spread(cut_dendrogram(merges, 29 - step)) - spread(
            cut_dendrogram(merges, 30 - step)
        )
        assert merges[step, 2] == pytest.approx(math.sqrt(2 * increase), rel=1e-5)


def test_clusters_are_numbered_by_size_and_then_by_first_image():
    points = np.array([[0], [9], [9.1], [20], [20.1], [20.2], [0.1], [40]])
    labels = cut_dendrogram(ward(distances_of(points)), 4)
    assert labels.dtype == np.int32
    assert labels.tolist() == [1, 2, 2, 0, 0, 0, 1, 3]


# --- WICD -------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", ["random", "groups", "duplicates", "grid"])
@pytest.mark.parametrize("n", [4, 5, 40])
def test_one_sweep_gives_wicd_of_every_number_of_clusters(make, n):
    rng = np.random.default_rng(n)
    points = {
        "random": rng.normal(size=(n, 5)),
        "groups": draw(n, noise=1e-3)[0],
        "duplicates": rng.integers(0, 2, (n, 3)),
        "grid": rng.integers(0, 5, (n, 2)),
    }[make]
    distances = distances_of(points)
    merges = ward(distances)
    curve = compute_wicd_curve(distances, merges, n)
    assert curve.shape == (n - 1,) and curve[-1] == pytest.approx(0, abs=1e-12)
    rows = distances.tolist()
    for clusters, wicd in enumerate(curve, 2):
        expected = wicd_naively(rows, cut_dendrogram(merges, clusters).tolist())
        assert wicd == pytest.approx(expected, rel=1e-6, abs=1e-12)
    np.testing.assert_allclose(compute_wicd_curve(distances, merges, 3), curve[:2])


def test_a_cluster_of_one_image_has_an_icd_of_0():
    distances = distances_of([[0], [1], [10]])
    # Two clusters, {0, 1} and {2}: (1 x 2/3 + 0 x 1/3) / 2.
    assert compute_wicd_curve(distances, ward(distances), 2) == pytest.approx([1 / 3])


# --- the number of clusters -------------------------------------------------------------------


def test_the_derivative_of_a_polynomial_of_degree_4_is_exact():
    x = np.arange(2, 30, dtype=np.float64)
    factors = np.array([0.25, -3, 2, 1, 7])
    slopes = differentiate(np.polyval(factors, x))
    expected = np.polyval(np.polyder(factors), x)
    np.testing.assert_allclose(slopes[2:-2], expected[2:-2], rtol=1e-9)
    assert slopes[0] == pytest.approx(np.polyval(factors, 3) - np.polyval(factors, 2))
    assert slopes[-1] == pytest.approx(np.polyval(factors, 29) - np.polyval(factors, 28))


@pytest.mark.parametrize("length", range(2, 12))
def test_the_derivative_equals_its_formula(length):
    f = np.random.default_rng(length).normal(size=length)
    expected = []
    for k in range(length):
        if 2 <= k < length - 2:
            expected.append((f[k - 2] - 8 * f[k - 1] + 8 * f[k + 1] - f[k + 2]) / 12)
        elif k < length / 2:
            expected.append(f[k + 1] - f[k])
        else:
            expected.append(f[k] - f[k - 1])
    np.testing.assert_allclose(differentiate(f), expected)


@pytest.mark.parametrize("knee", [5, 8, 13, 30])
def test_a_known_knee_is_found(knee):
    """The derivative of this curve rises in one straight line, and is 0 from the knee on."""
    numbers = np.arange(2, 101, dtype=np.float64)
    curve = np.where(numbers < knee, (knee - numbers) ** 2, 0)
    assert abs(choose_number(curve) - knee) <= 1


def test_a_wicd_without_groups_has_its_knee_at_10_or_11():
    assert choose_number(1 / np.arange(2, MOST + 1)) in (10, 11)


def test_the_knee_is_sought_from_the_steepest_fall_on():
    curve = np.array([10, 9.9, 9.8, 9.7, 6, 3, 1, 0.9, 0.85, 0.82, 0.8, 0.79, 0.78, 0.77, 0.76])
    assert choose_number(curve) in (8, 9)
    equal_falls = np.array([10, 9, 8, 7, *(7 / np.arange(7.0, 40))])
    assert choose_number(equal_falls) in (5, 6, 7)


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([], 2),
        ([1.0], 2),
        ([1.0, 0.5], 2),
        ([3.0, 3.0, 3.0, 3.0, 3.0, 3.0], 2),  # a derivative that is 0 throughout
        ([9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0], 2),  # one that is constant
        ([10.0, 9.9, 9.6, 9.0, 8.0, 6.0, 3.0], 8),  # one that falls: the steepest fall is last
    ],
)
def test_a_curve_without_knee_has_a_defined_answer(curve, expected):
    assert choose_number(np.array(curve)) == expected


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([1.0, 0.5, 0.4], 3),  # rises at once to where it stays
        (np.cumsum([-100, -99, -97, -93, -85, -70, -50, -20, 0]), 2),  # sags below the line
    ],
)
def test_without_a_knee_the_point_highest_above_the_line_is_taken(curve, expected):
    slopes = differentiate(np.array(curve, dtype=np.float64))
    numbers = np.arange(2, len(curve) + 2)
    locator = KneeLocator(numbers, slopes, curve="concave", direction="increasing")
    assert locator.knee in (None, 2)
    assert choose_number(np.array(curve, dtype=np.float64)) == expected


@pytest.mark.parametrize("seed", range(30))
def test_every_curve_has_an_answer(seed):
    rng = np.random.default_rng(seed)
    curve = rng.normal(size=rng.integers(1, 40))
    assert 2 <= choose_number(curve) <= len(curve) + 1


def test_the_most_clusters_that_are_considered():
    assert [limit_clusters(n) for n in (1, 4, 5, 6, 199, 200, 5000)] == [2, 2, 2, 3, 99, 100, 100]
    assert limit_clusters(5000, 30) == 30 and limit_clusters(20, 30) == 10
    with pytest.raises(ValueError, match="most: expected at least 2"):
        limit_clusters(5000, 1)


# --- layers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [3, 5, 8, 12])
@pytest.mark.parametrize("seed", range(3))
def test_well_separated_groups_are_found(groups, seed):
    points, truth = draw(20 * groups, d=20, groups=groups, seed=seed, noise=0.05)
    layer_clusters = cluster_layer("layer", distances_of(points))
    # The central difference still sees the fall before the last group: one is cut in two.
    assert groups <= layer_clusters.clusters <= groups + 1
    assert homogeneity_score(truth, layer_clusters.labels) == pytest.approx(1)


def test_the_clusters_of_a_layer_have_consistent_attributes():
    points, _ = draw(80)
    distances = distances_of(points)
    layer_clusters = cluster_layer("conv", distances)
    assert layer_clusters.layer == "conv" and layer_clusters.varies and layer_clusters.seconds > 0
    assert layer_clusters.curve.shape == (39,) and layer_clusters.labels.dtype == np.int32
    assert (
        layer_clusters.clusters
        == layer_clusters.labels.max() + 1
        == choose_number(layer_clusters.curve)
    )
    assert layer_clusters.wicd == pytest.approx(
        wicd_naively(distances.tolist(), layer_clusters.labels.tolist())
    )
    sizes = np.bincount(layer_clusters.labels)
    assert (np.diff(sizes) <= 0).all()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_too_few_images_are_one_cluster(n):
    distances = distances_of(np.arange(n)[:, None] ** 2)
    layer_clusters = cluster_layer("layer", distances)
    assert (
        layer_clusters.clusters == 1
        and layer_clusters.labels.tolist() == [0] * n
        and not len(layer_clusters.curve)
    )
    assert layer_clusters.wicd == pytest.approx(wicd_naively(distances.tolist(), [0] * n))
    assert layer_clusters.varies == (n > 1)


@pytest.mark.parametrize("n", range(4, 13))
def test_a_few_images_can_be_clustered(n):
    points, truth = draw(n, groups=2, noise=0.01)
    layer_clusters = cluster_layer("layer", distances_of(points))
    assert 2 <= layer_clusters.clusters <= n // 2
    assert homogeneity_score(truth, layer_clusters.labels) == pytest.approx(1)


def test_equal_heatmaps_are_one_cluster():
    layer_clusters = cluster_layer("layer", np.zeros((30, 30), np.float32))
    assert layer_clusters.clusters == 1 and layer_clusters.wicd == 0 and not layer_clusters.varies
    assert not layer_clusters.labels.any()


def test_duplicates_stay_together():
    points = np.repeat(np.random.default_rng(1).normal(size=(6, 3)), 10, axis=0)
    layer_clusters = cluster_layer("layer", distances_of(points))
    for start in range(0, 60, 10):
        assert len(set(layer_clusters.labels[start : start + 10].tolist())) == 1


def test_the_layer_with_the_least_wicd_is_chosen():
    names = []

    def layers():
        for name, noise in (("loose", 1.0), ("tight", 0.05), ("middle", 0.3)):
            names.append(name)
            yield name, distances_of(draw(60, noise=noise)[0])

    choice = cluster_layers(layers())
    assert [layer.layer for layer in choice.layers] == names
    assert choice.chosen.layer == "tight"
    assert choice.chosen.wicd == min(layer.wicd for layer in choice.layers)
    np.testing.assert_array_equal(choice.distances, distances_of(draw(60, noise=0.05)[0]))


def test_the_first_of_equal_layers_is_chosen_but_no_constant_one():
    distances = distances_of(draw(40)[0])
    constant = np.zeros_like(distances)
    layers = [("constant", constant), ("first", distances), ("second", distances.copy())]
    choice = cluster_layers(layers)
    assert choice.chosen.layer == "first" and choice.distances is distances
    assert choose_layer(choice.layers) == 1
    alone = cluster_layers(layers[:1])
    assert alone.chosen.layer == "constant" and alone.distances is constant


def test_what_cannot_be_clustered_is_refused():
    with pytest.raises(ValueError, match="layers: expected at least one"):
        cluster_layers([])
    for wrong in (np.zeros((0, 0), np.float32), np.zeros((3, 4), np.float32)):
        with pytest.raises(ValueError, match="expected a square"):
            cluster_layer("layer", wrong)
    unknown = np.zeros((5, 5), np.float32)
    unknown[1, 2] = unknown[2, 1] = np.nan
    with pytest.raises(ValueError, match="finite"):
        cluster_layer("layer", unknown)


def test_the_same_distances_give_the_same_clusters_and_map():
    distances = distances_of(draw(250)[0])
    first, second = cluster_layer("layer", distances), cluster_layer("layer", distances.copy())
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(map_places(distances), map_places(distances.copy()))


# --- from distances alone ---------------------------------------------------------------------


def test_distances_to_the_centre_are_those_of_the_points():
    points, labels = draw(70)
    labels[3] = 9  # alone in its cluster
    to_centre = measure_centre_distances(distances_of(points), labels.astype(np.int32))
    expected = clusters_files.measure_centre_distances(points.astype(np.float32), labels)
    np.testing.assert_allclose(to_centre, expected, atol=1e-5)
    assert to_centre[3] == 0


def test_silhouettes_are_those_of_the_points():
    points, labels = draw(70)
    labels[3] = 5
    points, labels = points.astype(np.float32), labels.astype(np.int32)
    values = compute_silhouettes(distances_of(points), labels)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, safe_silhouettes(Distances(points), [labels])[0], atol=1e-5)
    assert not compute_silhouettes(distances_of(points), np.zeros(70, np.int32)).any()
    assert not compute_silhouettes(distances_of(points), np.arange(70, dtype=np.int32)).any()
    assert compute_silhouettes(np.zeros((1, 1), np.float32), np.zeros(1, np.int32)).tolist() == [0]


@pytest.mark.parametrize("n", [30, clustering.DENSE, clustering.DENSE + 40])
@pytest.mark.parametrize("scale", [1e-25, 1, 1e25])
def test_the_map_is_made_of_the_first_two_principal_components(n, scale):
    points = np.random.default_rng(n).normal(size=(n, 6)) * [9, 5, 1, 1, 1, 1]
    places = map_places((distances_of(points) * scale).astype(np.float32)) / scale
    assert places.dtype == np.float32
    expected = PCA(2, svd_solver="full").fit_transform(points)
    for axis in range(2):
        if places[:, axis] @ expected[:, axis] < 0:
            expected[:, axis] *= -1
        assert places[np.abs(places[:, axis]).argmax(), axis] > 0
    np.testing.assert_allclose(places, expected, atol=2e-3)


@pytest.mark.parametrize("n", [1, 2, 3, 40, clustering.DENSE + 40])
def test_a_direction_in_which_nothing_varies_is_0(n):
    line = np.random.default_rng(n).normal(size=(n, 1)) * [3, 4]
    places = map_places(distances_of(line))
    assert places.shape == (n, 2) and not places[:, 1].any()
    np.testing.assert_allclose(
        np.abs(places[:, 0] - places[0, 0]), 5 / 4 * np.abs(line[:, 1] - line[0, 1]), atol=1e-3
    )
    assert not map_places(np.zeros((n, n), np.float32)).any()


def test_images_that_are_all_equally_far_apart_have_places():
    n = clustering.DENSE + 40
    places = map_places(1 - np.eye(n, dtype=np.float32))
    assert np.isfinite(places).all()
    np.testing.assert_array_equal(places, map_places(1 - np.eye(n, dtype=np.float32)))
