"""The search for eps and min_samples, against a naive version of the papers."""

import random

import numpy as np
import pytest
from kneed import KneeLocator
from sklearn.cluster import DBSCAN
from sklearn.metrics import silhouette_score

from pipelines.safe import clustering, dbscan
from pipelines.safe.dbscan import NOISE
from tests.pipelines.safe.data_sets import (
    POINT_SETS,
    distances_naively,
    row_by_row,
    silhouettes_naively,
)

# --- naive versions -------------------------------------------------------------------------------


def tidy_naively(labels):
    """Drop clusters of under 3; number by falling size, then by the first image."""
    groups = {}
    for place, label in enumerate(labels):
        if label != NOISE:
            groups.setdefault(int(label), []).append(place)
    clusters = [members for members in groups.values() if len(members) >= 3]
    clusters.sort(key=lambda members: (-len(members), members[0]))
    tidy_labels = [NOISE] * len(labels)
    for number, members in enumerate(clusters):
        for place in members:
            tidy_labels[place] = number
    return tidy_labels


# --- DBSCAN ---------------------------------------------------------------------------------------


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
            tidy_labels = clustering.tidy(labels)
            assert tidy_labels.tolist() == tidy_naively(labels)
            assert tidy_labels.dtype == np.int32
            assert np.array_equal(labels, before)


# --- candidates -----------------------------------------------------------------------------------


def test_candidate_eps_are_positive_rising_and_clear_of_every_k_distance(points):
    for k in (2, 3, 4, 5):
        k_distances = dbscan.find_nearest(points, k).distances[:, -1]
        values = clustering.propose_eps(k_distances)
        assert values
        assert values == sorted(set(values))
        for value in values:
            assert isinstance(value, float)
            assert value > 0
            for k_distance in k_distances.tolist():
                assert abs(value - k_distance) > 5e-7 * value, "rounding could move an image"


def test_candidate_eps_hold_the_elbow_and_every_quantile(points):
    for k in (2, 3, 5):
        curve = np.sort(dbscan.find_nearest(points, k).distances[:, -1])
        if not curve[-1] > 0:
            continue
        elbow = KneeLocator(
            range(len(curve)), curve.tolist(), curve="convex", direction="increasing"
        ).elbow_y
        quantiles = [] if elbow is None else [elbow]
        # Linear interpolation, as everybody defines quantiles.
        for share in np.linspace(0.05, 0.98, 28):
            place = share * (len(curve) - 1)
            low = int(place)
            high = min(low + 1, len(curve) - 1)
            quantiles.append(float(curve[low]) + (place - low) * (float(curve[high] - curve[low])))
        values = clustering.propose_eps(curve)
        counts = {sum(d <= value for d in curve) for value in values}
        for value in quantiles:
            if value > 0:
                inside = {sum(d <= value * (1 + side) for d in curve) for side in (-1e-5, 0, 1e-5)}
                assert inside & counts, value


def test_k_distances_that_differ_by_rounding_alone_have_no_candidate_between_them():
    low = np.float32(1.4142135)
    high = np.nextafter(low, np.float32(2))
    k_distances = np.array([1, 1, 1] + [low, high] * 10 + [2, 2, 3], dtype=np.float32)
    for value in clustering.propose_eps(k_distances):
        assert np.float32(value) not in (low, high)


def test_k_distances_of_zero_have_a_positive_candidate():
    (value,) = clustering.propose_eps(np.zeros(20, dtype=np.float32))
    assert 0 < value < 1e-5


def test_equal_k_distances_have_one_candidate_just_above_them():
    (value,) = clustering.propose_eps(np.full(20, 0.7, dtype=np.float32))
    assert 0.7 < value < 0.7001


# --- the search -----------------------------------------------------------------------------------


def score_naively(points, candidate, noise_is_a_cluster, scores):
    """Return labels and the documented score of a candidate, from scikit-learn's DBSCAN."""
    outcome = DBSCAN(eps=candidate.eps, min_samples=candidate.min_samples).fit(points)
    labels = tidy_naively(outcome.labels_)
    if tuple(labels) not in scores:
        if max(labels) < 0:
            scores[tuple(labels)] = -1.0
        elif max(labels) < 1 and not (noise_is_a_cluster and min(labels) < 0):
            scores[tuple(labels)] = 0.0
        elif noise_is_a_cluster:
            scores[tuple(labels)] = float(silhouette_score(points, labels))
        else:
            values = silhouettes_naively(distances_naively(points), labels)
            scores[tuple(labels)] = sum(values) / len(labels)
    return labels, scores[tuple(labels)]


@pytest.mark.parametrize("noise_is_a_cluster", [False, True])
@pytest.mark.parametrize("name", ["blobs", "uniform", "bridges", "high_dimensional"])
def test_every_candidate_is_dbscan_with_the_documented_score_and_the_best_is_chosen(
    name, noise_is_a_cluster
):
    points = POINT_SETS[name]
    outcome = clustering.search(points, noise_is_a_cluster=noise_is_a_cluster)
    scores = {}
    assert {candidate.min_samples for candidate in outcome.candidates} == {2, 3, 4, 5}
    for candidate in outcome.candidates:
        labels, score = score_naively(points, candidate, noise_is_a_cluster, scores)
        assert candidate.score == pytest.approx(score, abs=1e-5)
        assert candidate.clusters == max(labels) + 1
        assert candidate.noise == pytest.approx(labels.count(NOISE) / len(labels))
        if candidate == outcome.chosen:
            assert outcome.labels.tolist() == labels

    best = outcome.candidates[0]
    for candidate in outcome.candidates[1:]:
        better = candidate.score > best.score
        if candidate.score == best.score:
            better = candidate.noise < best.noise
            if candidate.noise == best.noise:
                better = candidate.eps > best.eps
        best = candidate if better else best
    assert outcome.chosen == best


def test_every_min_samples_is_tried_at_its_own_candidate_eps():
    points = POINT_SETS["blobs"]
    settings = {}
    for candidate in clustering.search(points).candidates:
        settings.setdefault(candidate.min_samples, []).append(candidate.eps)
    neighbours = dbscan.find_nearest(points, 5)
    assert settings == {
        k: clustering.propose_eps(neighbours.distances[:, k - 1]) for k in (2, 3, 4, 5)
    }


def is_same_partition(labels, truth):
    """Tell whether two labellings part the images alike, noise being noise in both."""
    pairs = set(zip(labels.tolist(), truth.tolist(), strict=True))
    return len(pairs) == len(set(labels.tolist())) == len(set(truth.tolist())) and all(
        (label == NOISE) == (true == NOISE) for label, true in pairs
    )


@pytest.mark.parametrize("noise_is_a_cluster", [False, True])
def test_blobs_far_apart_are_found_and_outliers_are_noise(far_blobs, noise_is_a_cluster):
    points, truth = far_blobs
    outcome = clustering.search(points, noise_is_a_cluster=noise_is_a_cluster)
    assert outcome.chosen.clusters == 3
    assert is_same_partition(outcome.labels, truth)
    assert np.bincount(outcome.labels[outcome.labels != NOISE]).tolist() == [30, 20, 12]
    assert outcome.note == ""


def test_the_figures_of_a_result_fit_its_labels(points):
    outcome = clustering.search(points)
    naive = distances_naively(points)
    assert outcome.labels.dtype == np.int32
    assert outcome.core.dtype == np.bool_
    assert outcome.chosen in outcome.candidates
    assert outcome.chosen.clusters == outcome.labels.max() + 1
    assert outcome.chosen.noise == pytest.approx(outcome.labels.tolist().count(NOISE) / len(points))
    if outcome.chosen.clusters > 1:
        expected = sum(silhouettes_naively(naive, outcome.labels)) / len(points)
        assert outcome.chosen.score == pytest.approx(expected, abs=1e-5)
    for i, row in enumerate(naive):
        core = sum(value <= outcome.chosen.eps for value in row) >= outcome.chosen.min_samples
        assert outcome.core[i] == (core and outcome.labels[i] != NOISE)
    for cluster in range(outcome.chosen.clusters):
        assert outcome.core[outcome.labels == cluster].any()


def test_core_images_of_clusters_that_are_too_small_do_not_count():
    places = [[0, 0], [0, 1], [50, 0], [50, 1], [51, 0], [51, 1]]
    points = np.array(places, dtype=np.float32)
    outcome = clustering.search(points, eps=1.5, min_samples=2)
    assert outcome.labels.tolist() == [NOISE, NOISE, 0, 0, 0, 0]
    assert outcome.core.tolist() == [False, False, True, True, True, True]


def test_a_search_that_keeps_no_matrix_finds_the_same(points, far_blobs, monkeypatch):
    with_matrix = [clustering.search(point_set) for point_set in (points, far_blobs[0])]
    row_by_row(monkeypatch, block=16)
    without_matrix = [clustering.search(point_set) for point_set in (points, far_blobs[0])]
    for first, second in zip(with_matrix, without_matrix, strict=True):
        assert len(first.candidates) == len(second.candidates)
        for candidate, same in zip(first.candidates, second.candidates, strict=True):
            assert (candidate.eps, candidate.min_samples) == (same.eps, same.min_samples)
            assert (candidate.clusters, candidate.noise) == (same.clusters, same.noise)
            assert candidate.score == pytest.approx(same.score, abs=1e-5)
        assert first.chosen.score == pytest.approx(second.chosen.score, abs=1e-5)
        assert second.labels.max() + 1 == second.chosen.clusters
    assert np.array_equal(with_matrix[1].labels, without_matrix[1].labels)


def test_the_order_of_images_does_not_change_the_clusters(far_blobs):
    points, _ = far_blobs
    order = list(range(len(points)))
    random.Random(0).shuffle(order)
    outcome, other_order = clustering.search(points), clustering.search(points[order])
    assert np.array_equal(other_order.labels, outcome.labels[order])


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
    points = POINT_SETS["blobs"]
    outcome = clustering.search(points, eps=0.8)
    assert [(candidate.eps, candidate.min_samples) for candidate in outcome.candidates] == [
        (0.8, 2),
        (0.8, 3),
        (0.8, 4),
        (0.8, 5),
    ]
    fit = DBSCAN(eps=0.8, min_samples=outcome.chosen.min_samples).fit(points)
    assert outcome.labels.tolist() == tidy_naively(fit.labels_)


@pytest.mark.parametrize("min_samples", [1, 7])
def test_the_user_fixes_min_samples(far_blobs, min_samples):
    points, truth = far_blobs
    outcome = clustering.search(points, min_samples=min_samples)
    assert {candidate.min_samples for candidate in outcome.candidates} == {min_samples}
    if min_samples == 7:
        assert is_same_partition(outcome.labels, truth)


def test_the_user_fixes_both():
    points = POINT_SETS["uniform"]
    outcome = clustering.search(points, eps=1.1, min_samples=4)
    assert len(outcome.candidates) == 1
    labels, score = score_naively(points, outcome.chosen, False, {})
    assert outcome.labels.tolist() == labels
    assert outcome.chosen.score == pytest.approx(score, abs=1e-5)
    assert max(labels) > 0


def test_the_step_rises_to_its_total():
    for options in ({}, {"min_samples": 3}, {"eps": 0.8}):
        steps = []
        clustering.search(
            POINT_SETS["blobs"],
            step=lambda done, total, steps=steps: steps.append((done, total)),
            **options,
        )
        counts = [count for count, _ in steps]
        (total,) = {total for _, total in steps}
        assert counts == sorted(set(counts))
        assert counts[0] >= 1
        assert counts[-1] == total
