"""Clustering against scikit-learn, scipy and naive versions of the papers."""

import functools
import itertools
import math
import random

import numpy as np
import pytest
from kneed import KneeLocator
from scipy.sparse.csgraph import minimum_spanning_tree
from sklearn.cluster import DBSCAN
from sklearn.metrics import silhouette_samples, silhouette_score

from pipelines.safe import clustering, dbscan, silhouette
from pipelines.safe.dbscan import NOISE, Distances, Neighbours

# --- data sets --------------------------------------------------------------------------------


def blobs():
    rng = np.random.default_rng(1)
    parts = [rng.normal(centre, 0.6, (18, 2)) for centre in ((0, 0), (4, 0), (0, 5))]
    parts.append(rng.uniform(-4, 9, (8, 2)))
    return rng.permutation(np.concatenate(parts))


def uniform():
    return np.random.default_rng(2).uniform(0, 5, (60, 3))


def grid():
    """Return integer places, so that many distances tie."""
    return np.random.default_rng(3).integers(0, 9, (55, 2))


def duplicates():
    rng = np.random.default_rng(4)
    return rng.permutation(np.repeat(rng.integers(0, 12, (20, 2)), rng.integers(1, 6, 20), axis=0))


def bridges():
    """Return dense groups on a line with lone images between them, which border on two groups."""
    rng = np.random.default_rng(5)
    line, start = [], 0.0
    for _ in range(6):
        line += [start, start + 0.31, start + 0.6, start + 0.92, start + 1.93]
        start += 2.95
    return rng.permutation(np.array(line))[:, None]


def high_dimensional():
    rng = np.random.default_rng(6)
    centres = rng.normal(size=(4, 30)) * 3
    return centres[rng.integers(0, 4, 50)] + rng.normal(size=(50, 30))


DATA = {
    make.__name__: make().astype(np.float32)
    for make in (blobs, uniform, grid, duplicates, bridges, high_dimensional)
}


@pytest.fixture(params=DATA)
def points(request):
    return DATA[request.param]


@pytest.fixture
def far_blobs():
    """Return three far blobs of 20, 30 and 12 images and five outliers, and the truth."""
    rng = np.random.default_rng(7)
    truth = np.repeat([0, 1, 2, NOISE], [20, 30, 12, 5])
    centres = np.array([[0, 0, 0], [20, 0, 0], [0, 20, 0]])
    places = np.where(truth[:, None] == NOISE, 0, centres[truth]) + rng.normal(size=(67, 3)) * 0.5
    places[truth == NOISE] = [[60, 60, 0], [-70, 5, 9], [9, -80, 0], [5, 5, 90], [-50, -60, -70]]
    order = rng.permutation(67)
    return places[order].astype(np.float32), truth[order]


def row_by_row(monkeypatch, block):
    """Let no matrix of distances be kept, and rows be computed in small blocks."""
    monkeypatch.setattr(clustering, "Distances", functools.partial(Distances, limit=0))
    monkeypatch.setattr(silhouette, "BLOCK", block)


# --- naive versions ---------------------------------------------------------------------------


def distances_naively(points):
    return _distances_naively(tuple(map(tuple, points.tolist())))


@functools.cache
def _distances_naively(rows):
    return [[math.dist(one, other) for other in rows] for one in rows]


def eps_off_the_ties(points, count=12):
    """Return values of eps in the middle of wide gaps between the distances that occur."""
    found = sorted({value for row in distances_naively(points) for value in row})
    gaps = [(low + high) / 2 for low, high in itertools.pairwise(found) if high - low > 1e-4]
    chosen = [gaps[round(share * (len(gaps) - 1))] for share in np.linspace(0, 0.7, count) ** 2]
    return [*dict.fromkeys(chosen), found[-1] + 1]


def dbscan_naively(distances, eps, min_samples):
    """DBSCAN and ExpandCluster as in Ester et al. (1996), figure on page 229."""
    unclassified, noise = -2, -1
    labels = [unclassified] * len(distances)

    def region_query(point):
        return [other for other, distance in enumerate(distances[point]) if distance <= eps]

    def expand_cluster(point, cluster):
        seeds = region_query(point)
        if len(seeds) < min_samples:
            labels[point] = noise
            return False
        for seed in seeds:
            if labels[seed] in (unclassified, noise):
                labels[seed] = cluster
        seeds.remove(point)
        while seeds:
            current = seeds.pop(0)
            result = region_query(current)
            if len(result) >= min_samples:
                for other in result:
                    if labels[other] in (unclassified, noise):
                        if labels[other] == unclassified:
                            seeds.append(other)
                        labels[other] = cluster
        return True

    cluster = 0
    for point in range(len(distances)):
        if labels[point] == unclassified and expand_cluster(point, cluster):
            cluster += 1
    return labels


def silhouettes_naively(distances, labels):
    """Silhouettes as Rousseeuw (1987) defines them, noise left out of everything."""
    groups = {}
    for place, label in enumerate(labels):
        if label != NOISE:
            groups.setdefault(int(label), []).append(place)
    values = []
    for place, label in enumerate(labels):
        if label == NOISE or len(groups) < 2 or len(groups[label]) == 1:
            values.append(0.0)
            continue
        own = [distances[place][other] for other in groups[label] if other != place]
        a = sum(own) / len(own)
        b = min(
            sum(distances[place][other] for other in members) / len(members)
            for number, members in groups.items()
            if number != label
        )
        values.append((b - a) / max(a, b) if max(a, b) else 0.0)
    return values


def tidy_naively(labels):
    """Drop clusters of under 3; number by falling size, then by the first image."""
    groups = {}
    for place, label in enumerate(labels):
        if label != NOISE:
            groups.setdefault(int(label), []).append(place)
    kept = [members for members in groups.values() if len(members) >= 3]
    kept.sort(key=lambda members: (-len(members), members[0]))
    tidied = [NOISE] * len(labels)
    for number, members in enumerate(kept):
        for place in members:
            tidied[place] = number
    return tidied


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


# --- distances --------------------------------------------------------------------------------


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
    found = dbscan.nearest(points, 5)
    naive = distances_naively(points)
    assert found.distances.shape == found.indices.shape == (len(points), 5)
    for i, row in enumerate(naive):
        assert found.distances[i] == pytest.approx(sorted(row)[:5], rel=1e-5, abs=1e-6)
        assert [row[j] for j in found.indices[i]] == pytest.approx(
            found.distances[i], rel=1e-5, abs=1e-6
        )
        assert len(set(found.indices[i])) == 5


@pytest.mark.parametrize("name", ["blobs", "uniform", "high_dimensional"])
def test_an_image_is_its_own_nearest(name):
    found = dbscan.nearest(DATA[name], 3)
    assert found.indices[:, 0].tolist() == list(range(len(DATA[name])))


def test_there_are_never_more_nearest_images_than_images(points):
    assert dbscan.nearest(points[:4], 9).indices.shape == (4, 4)


# --- the spanning tree ------------------------------------------------------------------------


@pytest.mark.parametrize("min_samples", [1, 2, 4, 6])
@pytest.mark.parametrize("limit", [0, 20_000])
def test_the_tree_is_a_minimum_spanning_tree_of_mutual_reachability(points, min_samples, limit):
    core = dbscan.nearest(points, min_samples).distances[:, -1]
    tree = dbscan.spanning_tree(Distances(points, limit=limit), core)
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
    points = DATA[name]  # without duplicates: scipy takes a length of 0 for no edge
    core = dbscan.nearest(points, min_samples).distances[:, -1]
    tree = dbscan.spanning_tree(Distances(points), core)
    weights = mutual_reachability_naively(distances_naively(points), min_samples)
    assert tree.lengths.sum() == pytest.approx(minimum_spanning_tree(weights).sum(), rel=1e-5)


def test_the_tree_of_one_image_has_no_edge():
    tree = dbscan.spanning_tree(Distances(np.zeros((1, 3), "f4")), np.zeros(1, "f4"))
    assert tree.ends.shape == (2, 0)
    assert tree.lengths.shape == (0,)


# --- DBSCAN -----------------------------------------------------------------------------------


@pytest.mark.parametrize("min_samples", [1, 2, 3, 4, 5, 6])
def test_cutting_the_tree_gives_exactly_the_labels_of_dbscan(points, min_samples):
    neighbours = dbscan.nearest(points, 6)
    core_distances = neighbours.distances[:, min_samples - 1]
    tree = dbscan.spanning_tree(Distances(points), core_distances)
    naive_distances = distances_naively(points)
    for eps in eps_off_the_ties(points):
        received = dbscan.cut(tree, neighbours, eps, min_samples)
        expected = DBSCAN(eps=eps, min_samples=min_samples).fit(points)
        assert received.dtype == np.int32
        assert received.tolist() == expected.labels_.tolist()
        assert received.tolist() == dbscan_naively(naive_distances, eps, min_samples)
        core = dbscan.is_core(neighbours, eps, min_samples)
        assert np.flatnonzero(core).tolist() == expected.core_sample_indices_.tolist()
        assert core.tolist() == [
            sum(distance <= eps for distance in row) >= min_samples for row in naive_distances
        ]


def test_the_data_sets_are_no_easy_ones():
    """Guard the test above: it sees several clusters, noise, border images and contested ones."""
    contested = several = 0
    for points in DATA.values():
        naive = distances_naively(points)
        for eps in eps_off_the_ties(points):
            found = DBSCAN(eps=eps, min_samples=4).fit(points)
            several += found.labels_.max() > 0 and (found.labels_ == NOISE).any()
            core = set(found.core_sample_indices_.tolist())
            for i in set(range(len(points))) - core:
                touched = {found.labels_[j] for j in core if naive[i][j] <= eps}
                contested += len(touched) > 1
    assert several >= 20
    assert contested >= 5


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4, 5, 6, 7, 8), (8, 7, 6, 5, 4, 3, 2, 1, 0)])
def test_an_image_between_two_clusters_belongs_to_the_one_with_the_lower_number(order):
    line = np.array([0, 0.31, 0.6, 0.92, 1.93, 2.95, 3.26, 3.55, 3.87], dtype=np.float32)
    points = line[list(order), None]
    neighbours = dbscan.nearest(points, 4)
    tree = dbscan.spanning_tree(Distances(points), neighbours.distances[:, 3])
    labels = dbscan.cut(tree, neighbours, 1.05, 4)
    assert labels.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]
    core = dbscan.is_core(neighbours, 1.05, 4)
    assert core.tolist() == [True, True, True, True, False, True, True, True, True]


def test_more_neighbours_than_images_make_no_image_core():
    points = np.zeros((4, 2), dtype=np.float32)
    neighbours = dbscan.nearest(points, 5)
    tree = dbscan.spanning_tree(Distances(points), neighbours.distances[:, -1])
    assert dbscan.cut(tree, neighbours, 1.0, 5).tolist() == [NOISE] * 4
    assert not dbscan.is_core(neighbours, 1.0, 5).any()


def test_being_core_at_eps_includes_the_distance_eps_itself():
    neighbours = Neighbours(np.array([[0, 2.5]], dtype=np.float32), np.array([[0, 1]]))
    assert dbscan.is_core(neighbours, 2.5, 2).tolist() == [True]
    assert dbscan.is_core(neighbours, 2.4999, 2).tolist() == [False]


def test_small_clusters_are_noise_and_the_largest_comes_first():
    labels = [0, 1, 2, 2, 1, 3, 3, 3, -1, 2, 1, 3, 4, 4, 5, 5, 5, 5]
    expected = [-1, 2, 3, 3, 2, 0, 0, 0, -1, 3, 2, 0, -1, -1, 1, 1, 1, 1]
    assert clustering.tidy(np.array(labels, dtype=np.int32)).tolist() == expected


def test_tidying_random_labels_naively():
    rng = np.random.default_rng(0)
    for n, highest in [(1, 1), (5, 2), (30, 4), (30, 12), (60, 9), (9, 0)]:
        for _ in range(10):
            labels = rng.integers(-1, highest + 1, n).astype(np.int32)
            before = labels.copy()
            tidied = clustering.tidy(labels)
            assert tidied.tolist() == tidy_naively(labels)
            assert tidied.dtype == np.int32
            assert np.array_equal(labels, before)


# --- silhouettes ------------------------------------------------------------------------------


def random_labellings(n, rng):
    labellings = [rng.integers(-1, k, n) for k in (2, 3, 5, 9)]
    single = np.where(np.arange(n) % 4 == 0, NOISE, 0)
    single[[1, 2]] = 1, 2  # two clusters of one image
    labellings += [
        single,
        rng.integers(0, 4, n),  # no noise
        np.zeros(n),  # one cluster
        np.where(rng.random(n) < 0.5, NOISE, 0),  # one cluster and noise
        np.full(n, NOISE),  # no cluster
        np.arange(n),  # every image a cluster
    ]
    return [np.unique(one, return_inverse=True)[1] - (NOISE in one) for one in labellings]


@pytest.mark.parametrize("limit", [0, 20_000])
@pytest.mark.parametrize("block", [7, 1024])
def test_silhouettes_of_several_labellings_at_once_naively(points, limit, block, monkeypatch):
    monkeypatch.setattr(silhouette, "BLOCK", block)
    labellings = [
        labels.astype(np.int32)
        for labels in random_labellings(len(points), np.random.default_rng(9))
    ]
    received = silhouette.silhouettes(Distances(points, limit=limit), labellings)
    naive = distances_naively(points)
    assert len(received) == len(labellings)
    for values, labels in zip(received, labellings, strict=True):
        assert values.dtype == np.float32
        assert values.shape == labels.shape
        assert values == pytest.approx(silhouettes_naively(naive, labels), abs=2e-5)
        assert not values[labels == NOISE].any()
        alone = silhouette.silhouettes(Distances(points), [labels])[0]
        assert values == pytest.approx(alone, abs=1e-5)


def test_silhouettes_are_scikit_learns_where_there_is_no_noise(points):
    rng = np.random.default_rng(10)
    for k in (2, 3, 8):
        labels = np.concatenate([np.arange(k), rng.integers(0, k, len(points) - k)]).astype("i4")
        (received,) = silhouette.silhouettes(Distances(points), [labels])
        assert received == pytest.approx(silhouette_samples(points, labels), abs=2e-5)


def test_silhouettes_with_noise_are_scikit_learns_of_the_other_images(points):
    rng = np.random.default_rng(11)
    labels = np.concatenate([np.arange(4), rng.integers(-1, 4, len(points) - 4)]).astype("i4")
    inside = labels != NOISE
    (received,) = silhouette.silhouettes(Distances(points), [labels])
    expected = silhouette_samples(points[inside], labels[inside])
    assert received[inside] == pytest.approx(expected, abs=2e-5)


def test_no_labelling_has_no_silhouettes():
    assert silhouette.silhouettes(Distances(DATA["blobs"]), []) == []


# --- candidates -------------------------------------------------------------------------------


def test_candidate_eps_are_positive_rising_and_clear_of_every_k_distance(points):
    for k in (2, 3, 4, 5):
        k_distances = dbscan.nearest(points, k).distances[:, -1]
        values = clustering.candidate_eps(k_distances)
        assert values
        assert values == sorted(set(values))
        for value in values:
            assert isinstance(value, float)
            assert value > 0
            for k_distance in k_distances.tolist():
                assert abs(value - k_distance) > 5e-7 * value, "rounding could move an image"


def test_candidate_eps_hold_the_elbow_and_every_quantile(points):
    for k in (2, 3, 5):
        curve = np.sort(dbscan.nearest(points, k).distances[:, -1])
        if not curve[-1] > 0:
            continue
        elbow = KneeLocator(
            range(len(curve)), curve.tolist(), curve="convex", direction="increasing"
        ).elbow_y
        wanted = [] if elbow is None else [elbow]
        # Linear interpolation, as everybody defines quantiles.
        for share in np.linspace(0.05, 0.98, 28):
            place = share * (len(curve) - 1)
            low = int(place)
            high = min(low + 1, len(curve) - 1)
            wanted.append(float(curve[low]) + (place - low) * (float(curve[high] - curve[low])))
        values = clustering.candidate_eps(curve)
        allowed = {sum(d <= value for d in curve) for value in values}
        for value in wanted:
            if value > 0:
                inside = {sum(d <= value * (1 + side) for d in curve) for side in (-1e-5, 0, 1e-5)}
                assert inside & allowed, value


def test_k_distances_that_differ_by_rounding_alone_have_no_candidate_between_them():
    low = np.float32(1.4142135)
    high = np.nextafter(low, np.float32(2))
    k_distances = np.array([1, 1, 1] + [low, high] * 10 + [2, 2, 3], dtype=np.float32)
    for value in clustering.candidate_eps(k_distances):
        assert np.float32(value) not in (low, high)


def test_k_distances_of_zero_have_a_positive_candidate():
    (value,) = clustering.candidate_eps(np.zeros(20, dtype=np.float32))
    assert 0 < value < 1e-5


def test_equal_k_distances_have_one_candidate_just_above_them():
    (value,) = clustering.candidate_eps(np.full(20, 0.7, dtype=np.float32))
    assert 0.7 < value < 0.7001


# --- the search -------------------------------------------------------------------------------


def score_naively(points, candidate, noise_is_a_cluster, known):
    """Return labels and the documented score of a candidate, from scikit-learn's DBSCAN."""
    found = DBSCAN(eps=candidate.eps, min_samples=candidate.min_samples).fit(points)
    labels = tidy_naively(found.labels_)
    if tuple(labels) not in known:
        if max(labels) < 0:
            known[tuple(labels)] = -1.0
        elif max(labels) < 1 and not (noise_is_a_cluster and min(labels) < 0):
            known[tuple(labels)] = 0.0
        elif noise_is_a_cluster:
            known[tuple(labels)] = float(silhouette_score(points, labels))
        else:
            values = silhouettes_naively(distances_naively(points), labels)
            known[tuple(labels)] = sum(values) / len(labels)
    return labels, known[tuple(labels)]


@pytest.mark.parametrize("noise_is_a_cluster", [False, True])
@pytest.mark.parametrize("name", ["blobs", "uniform", "bridges", "high_dimensional"])
def test_every_candidate_is_dbscan_with_the_documented_score_and_the_best_is_chosen(
    name, noise_is_a_cluster
):
    points = DATA[name]
    found = clustering.search(points, noise_is_a_cluster=noise_is_a_cluster)
    known = {}
    assert {candidate.min_samples for candidate in found.candidates} == {2, 3, 4, 5}
    for candidate in found.candidates:
        labels, score = score_naively(points, candidate, noise_is_a_cluster, known)
        assert candidate.score == pytest.approx(score, abs=1e-5)
        assert candidate.clusters == max(labels) + 1
        assert candidate.noise == pytest.approx(labels.count(NOISE) / len(labels))
        if candidate == found.chosen:
            assert found.labels.tolist() == labels

    best = found.candidates[0]
    for candidate in found.candidates[1:]:
        better = candidate.score > best.score
        if candidate.score == best.score:
            better = candidate.noise < best.noise
            if candidate.noise == best.noise:
                better = candidate.eps > best.eps
        best = candidate if better else best
    assert found.chosen == best


def test_every_min_samples_is_tried_at_its_own_candidate_eps():
    points = DATA["blobs"]
    tried = {}
    for candidate in clustering.search(points).candidates:
        tried.setdefault(candidate.min_samples, []).append(candidate.eps)
    neighbours = dbscan.nearest(points, 5)
    assert tried == {
        k: clustering.candidate_eps(neighbours.distances[:, k - 1]) for k in (2, 3, 4, 5)
    }


def same_parts(labels, truth):
    """Tell whether two labellings part the images alike, noise being noise in both."""
    pairs = set(zip(labels.tolist(), truth.tolist(), strict=True))
    return len(pairs) == len(set(labels.tolist())) == len(set(truth.tolist())) and all(
        (label == NOISE) == (true == NOISE) for label, true in pairs
    )


@pytest.mark.parametrize("noise_is_a_cluster", [False, True])
def test_blobs_far_apart_are_found_and_outliers_are_noise(far_blobs, noise_is_a_cluster):
    points, truth = far_blobs
    found = clustering.search(points, noise_is_a_cluster=noise_is_a_cluster)
    assert found.chosen.clusters == 3
    assert same_parts(found.labels, truth)
    assert np.bincount(found.labels[found.labels != NOISE]).tolist() == [30, 20, 12]
    assert found.note == ""


def test_the_figures_of_a_result_fit_its_labels(points):
    found = clustering.search(points)
    naive = distances_naively(points)
    assert found.labels.dtype == np.int32
    assert found.core.dtype == np.bool_
    assert found.chosen in found.candidates
    assert found.chosen.clusters == found.labels.max() + 1
    assert found.chosen.noise == pytest.approx(found.labels.tolist().count(NOISE) / len(points))
    if found.chosen.clusters > 1:
        expected = sum(silhouettes_naively(naive, found.labels)) / len(points)
        assert found.chosen.score == pytest.approx(expected, abs=1e-5)
    for i, row in enumerate(naive):
        core = sum(value <= found.chosen.eps for value in row) >= found.chosen.min_samples
        assert found.core[i] == (core and found.labels[i] != NOISE)
    for cluster in range(found.chosen.clusters):
        assert found.core[found.labels == cluster].any()


def test_core_images_of_clusters_that_are_too_small_do_not_count():
    places = [[0, 0], [0, 1], [50, 0], [50, 1], [51, 0], [51, 1]]
    points = np.array(places, dtype=np.float32)
    found = clustering.search(points, eps=1.5, min_samples=2)
    assert found.labels.tolist() == [NOISE, NOISE, 0, 0, 0, 0]
    assert found.core.tolist() == [False, False, True, True, True, True]


def test_a_search_that_keeps_no_matrix_finds_the_same(points, far_blobs, monkeypatch):
    kept = [clustering.search(data) for data in (points, far_blobs[0])]
    row_by_row(monkeypatch, block=16)
    again = [clustering.search(data) for data in (points, far_blobs[0])]
    for one, other in zip(kept, again, strict=True):
        assert len(one.candidates) == len(other.candidates)
        for candidate, same in zip(one.candidates, other.candidates, strict=True):
            assert (candidate.eps, candidate.min_samples) == (same.eps, same.min_samples)
            assert (candidate.clusters, candidate.noise) == (same.clusters, same.noise)
            assert candidate.score == pytest.approx(same.score, abs=1e-5)
        assert one.chosen.score == pytest.approx(other.chosen.score, abs=1e-5)
        assert other.labels.max() + 1 == other.chosen.clusters
    assert np.array_equal(kept[1].labels, again[1].labels)


def test_the_order_of_images_does_not_change_the_clusters(far_blobs):
    points, _ = far_blobs
    order = list(range(len(points)))
    random.Random(0).shuffle(order)
    found, shuffled = clustering.search(points), clustering.search(points[order])
    assert np.array_equal(shuffled.labels, found.labels[order])


def test_a_search_gives_the_same_again(points):
    first, again = clustering.search(points), clustering.search(points.copy())
    assert first.candidates == again.candidates
    assert first.chosen == again.chosen
    assert np.array_equal(first.labels, again.labels)
    assert np.array_equal(first.core, again.core)


def test_points_are_left_as_they_are(points):
    before = points.copy()
    clustering.search(points)
    assert np.array_equal(points, before)


def test_the_user_fixes_eps():
    points = DATA["blobs"]
    found = clustering.search(points, eps=0.8)
    assert [(one.eps, one.min_samples) for one in found.candidates] == [
        (0.8, 2),
        (0.8, 3),
        (0.8, 4),
        (0.8, 5),
    ]
    fit = DBSCAN(eps=0.8, min_samples=found.chosen.min_samples).fit(points)
    assert found.labels.tolist() == tidy_naively(fit.labels_)


@pytest.mark.parametrize("min_samples", [1, 7])
def test_the_user_fixes_min_samples(far_blobs, min_samples):
    points, truth = far_blobs
    found = clustering.search(points, min_samples=min_samples)
    assert {one.min_samples for one in found.candidates} == {min_samples}
    if min_samples == 7:
        assert same_parts(found.labels, truth)


def test_the_user_fixes_both():
    points = DATA["uniform"]
    found = clustering.search(points, eps=1.1, min_samples=4)
    assert len(found.candidates) == 1
    labels, score = score_naively(points, found.chosen, False, {})
    assert found.labels.tolist() == labels
    assert found.chosen.score == pytest.approx(score, abs=1e-5)
    assert max(labels) > 0


def test_the_step_rises_to_its_total():
    for options in ({}, {"min_samples": 3}, {"eps": 0.8}):
        told = []
        clustering.search(
            DATA["blobs"], step=lambda done, total, told=told: told.append((done, total)), **options
        )
        done = [one for one, _ in told]
        (total,) = {total for _, total in told}
        assert done == sorted(set(done))
        assert done[0] >= 1
        assert done[-1] == total


# --- what is hardly a data set ----------------------------------------------------------------


def assert_one_cluster(found, n):
    assert found.labels.tolist() == [0] * n
    assert found.chosen.clusters == 1
    assert found.chosen.noise == 0
    assert found.chosen.score == 0
    assert found.core.all()


@pytest.mark.parametrize("n", [1, 2, 9])
def test_under_ten_images_are_one_cluster(n):
    points = np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32) * 100
    found = clustering.search(points)
    assert_one_cluster(found, n)
    assert found.note == (
        f"{n} images are too few to tell clusters from noise: they are shown as one cluster."
    )


def test_ten_images_are_searched(far_blobs):
    assert clustering.search(far_blobs[0][:10]).candidates


@pytest.mark.parametrize("n", [1, 2, 9])
def test_a_fixed_eps_clusters_few_images_too(n):
    points = np.arange(n, dtype=np.float32)[:, None]
    found = clustering.search(points, eps=1.5, min_samples=2)
    assert found.labels.tolist() == ([0] * n if n >= 3 else [NOISE] * n)
    assert found.chosen.score == (0 if n >= 3 else -1)


@pytest.mark.parametrize("n", [10, 40])
def test_images_that_are_all_equal_are_one_cluster(n):
    points = np.full((n, 4), 3.5, dtype=np.float32)
    found = clustering.search(points)
    assert_one_cluster(found, n)
    assert found.note == "All images look the same to the network: they are one cluster."


def test_images_that_are_almost_equal_are_one_cluster_when_the_caller_says_so():
    points = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32) * 1e-4
    alike = 2 * float(np.linalg.norm(points, axis=1).max())
    found = clustering.search(points, alike=alike)
    assert_one_cluster(found, 40)
    assert "look the same" in found.note
    assert clustering.search(points, alike=alike / 100).candidates


def test_equal_images_with_a_fixed_eps_are_one_cluster():
    points = np.full((12, 4), 3.5, dtype=np.float32)
    found = clustering.search(points, eps=0.1)
    assert_one_cluster(found, 12)


@pytest.mark.parametrize("copies, min_samples", [(5, None), (3, 2), (6, 4)])
def test_groups_of_equal_images_are_clusters(copies, min_samples):
    groups = np.array([[0, 0], [10, 0], [0, 10], [30, 30]], dtype=np.float32)
    points = np.repeat(groups, copies, axis=0)
    found = clustering.search(points, min_samples=min_samples)
    assert found.labels.tolist() == np.repeat([0, 1, 2, 3], copies).tolist()
    assert found.chosen.score == pytest.approx(1, abs=1e-4)
    assert found.core.all()


@pytest.mark.parametrize("shape", ["line", "simplex", "ring"])
def test_one_dense_group_is_one_cluster_with_a_note(shape):
    turn = np.arange(30) * math.tau / 30
    shapes = {
        "line": np.arange(30)[:, None],
        "simplex": np.eye(30),
        "ring": np.stack([np.cos(turn), np.sin(turn)], axis=1),  # rounding moves its equal steps
    }
    points = shapes[shape].astype(np.float32)
    found = clustering.search(points)
    assert found.labels.tolist() == [0] * 30
    assert found.chosen.clusters == 1
    assert found.note == (
        "The images form one dense group, and no setting splits it. A smaller --eps looks for "
        "finer differences."
    )


def test_images_all_far_apart_are_noise_with_a_note():
    found = clustering.search(DATA["uniform"], eps=1e-3)
    assert found.labels.tolist() == [NOISE] * 60
    assert found.chosen.clusters == 0
    assert found.chosen.noise == 1
    assert found.chosen.score == -1
    assert not found.core.any()
    assert found.note == (
        "The --eps or --min-samples that was given finds no cluster among 60 images."
    )


def test_more_min_samples_than_images_is_all_noise():
    found = clustering.search(DATA["blobs"][:12], min_samples=13)
    assert found.labels.tolist() == [NOISE] * 12
    assert found.note.endswith("finds no cluster among 12 images.")


# --- errors -----------------------------------------------------------------------------------


def test_no_image_is_an_error():
    with pytest.raises(ValueError, match="points: expected at least one image, received none"):
        clustering.search(np.empty((0, 5), dtype=np.float32))


@pytest.mark.parametrize("eps", [0, -1.0, math.nan])
def test_an_eps_that_is_not_positive_is_an_error(eps):
    with pytest.raises(ValueError, match="eps: expected a positive number"):
        clustering.search(DATA["blobs"], eps=eps)


@pytest.mark.parametrize("min_samples", [0, -2])
def test_a_min_samples_below_one_is_an_error(min_samples):
    with pytest.raises(ValueError, match="min_samples: expected at least 1"):
        clustering.search(DATA["blobs"], min_samples=min_samples)


# --- clusters that hold too much ------------------------------------------------------------------


def crowd_and_few(parts=4, each=40, gap=3.0):
    """Draw `parts` blobs near one another, and one far away that makes them look like one."""
    rng = np.random.default_rng(0)
    centres = [[gap * part, 0, 0] for part in range(parts)] + [[0, 500, 0]]
    of = np.repeat(np.arange(parts + 1), [each] * parts + [30])
    return (np.array(centres)[of] + rng.normal(size=(len(of), 3)) * 0.5).astype(np.float32), of


def test_a_cluster_of_too_many_images_falls_into_its_parts():
    points, of = crowd_and_few()
    whole = clustering.search(points)
    assert (whole.labels == 0).mean() > 0.25
    assert len(whole.settings) < 5
    parts = clustering.search(points, largest_share=0.25)
    assert len(parts.settings) == 5
    for label in range(5):
        counts = np.bincount(of[parts.labels == label])
        assert counts.max() > 0.95 * counts.sum()
    assert (parts.labels >= 0).mean() > 0.95


def test_each_part_has_the_setting_that_found_it():
    points, _ = crowd_and_few()
    result = clustering.search(points, largest_share=0.25)
    far = result.labels[-1]
    assert result.settings[far] == result.chosen
    for label, setting in enumerate(result.settings):
        inside = points[result.labels == label]
        distances = np.linalg.norm(inside[:, None] - inside[None], axis=2)
        core = (distances <= setting.eps).sum(axis=1) >= setting.min_samples
        assert np.array_equal(result.core[result.labels == label], core)


def test_a_large_cluster_without_parts_stays_whole():
    rng = np.random.default_rng(0)
    line = np.linspace(0, 60, 120)[:, None] * [1, 0, 0]
    far = [[0, 5000, 0]] * np.ones((30, 1)) + rng.normal(size=(30, 3))
    points = np.concatenate([line, far]).astype(np.float32)
    labels = clustering.search(points, largest_share=0.25).labels
    assert len(set(labels[:120])) == 1


def test_a_cluster_that_a_person_sees_at_once_is_never_searched_again():
    points, _ = crowd_and_few(each=12, gap=2.0)
    assert len(clustering.search(points, largest_share=0.25).settings) == 2


def test_a_fixed_eps_is_left_to_the_user():
    points, _ = crowd_and_few()
    result = clustering.search(points, eps=20.0, largest_share=0.25)
    assert len(result.settings) == 2


def test_for_the_paper_one_cluster_beside_noise_is_two_to_judge():
    rng = np.random.default_rng(0)
    tight = rng.normal(size=(60, 20)) * 0.1
    scattered = rng.normal(size=(30, 20)) * 5
    points = np.concatenate([tight, scattered]).astype(np.float32)
    found = clustering.search(points, noise_is_a_cluster=True)
    assert found.chosen.clusters == 1
    assert set(found.labels[:60]) == {0}
    assert NOISE in found.labels
    assert found.chosen.score == pytest.approx(silhouette_score(points, found.labels), abs=1e-5)
