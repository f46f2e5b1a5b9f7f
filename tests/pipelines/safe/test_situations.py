"""Situations by direction, on rays that are drawn."""

import math

import numpy as np
import pytest

from pipelines.safe import clustering
from pipelines.safe.denoising import denoise
from pipelines.safe.situations import (
    AGAIN,
    compute_shifts,
    find_situations,
    join,
    measure_reach,
    place,
    take_apart,
)

NOISE = -1


def rays_along(rng, ways, images, lengths=(4.0, 9.0), spread=0.4):
    """Draw images along ways, nearer or farther, each a little beside it."""
    rays, truth = [], []
    for number, (direction, count) in enumerate(zip(ways, images, strict=True)):
        way = np.asarray(direction, dtype=np.float64) / np.linalg.norm(direction)
        for _ in range(count):
            rays.append(way * rng.uniform(*lengths) + rng.normal(0, spread, len(way)))
            truth.append(number)
    return np.array(rays, dtype=np.float32), np.array(truth, dtype=np.int32)


def to_directions(rays, damping=0.5):
    return rays / np.sqrt(np.square(rays).sum(axis=1, keepdims=True) + damping**2)


def test_shifts_are_means():
    rng = np.random.default_rng(0)
    rays = rng.normal(size=(20, 3)).astype(np.float32)
    labels = np.array([0, 1, NOISE, 1] * 5, dtype=np.int32)
    for cluster, shift in enumerate(compute_shifts(rays, labels)):
        own = [ray for ray, label in zip(rays, labels, strict=True) if label == cluster]
        np.testing.assert_allclose(shift, sum(own) / len(own), rtol=1e-4, atol=1e-6)


def naive_join(rays, labels, together):
    """Join clusters by average linkage of cosine distances, pair by pair."""
    means = {int(c): rays[labels == c].mean(axis=0) for c in np.unique(labels) if c != NOISE}

    def apart(a, b):
        dot = sum(float(x) * float(y) for x, y in zip(means[a], means[b], strict=True))
        return 1 - dot / (math.hypot(*means[a]) * math.hypot(*means[b]))

    groups = [[c] for c in means]
    while len(groups) > 1:
        pairs = [
            (sum(apart(a, b) for a in first for b in second) / (len(first) * len(second)), i, j)
            for i, first in enumerate(groups)
            for j, second in enumerate(groups)
            if i < j
        ]
        distance, i, j = min(pairs)
        if distance > together:
            break
        groups[i] += groups.pop(j)
    return {frozenset(np.flatnonzero(np.isin(labels, group)).tolist()) for group in groups}


@pytest.mark.parametrize("seed", range(5))
def test_clusters_that_point_the_same_way_are_joined_as_by_the_naive_twin(seed):
    rng = np.random.default_rng(seed)
    rays = rng.normal(size=(60, 3)).astype(np.float32)
    labels = rng.integers(-1, 8, 60).astype(np.int32)
    rays += 2 * rng.normal(size=(9, 3)).astype(np.float32)[labels]
    labels = clustering.tidy(labels)
    situations = join(rays, labels, 0.4)
    assert {
        frozenset(np.flatnonzero(situations == s).tolist()) for s in range(situations.max() + 1)
    } == (naive_join(rays, labels, 0.4))
    assert ((situations == NOISE) == (labels == NOISE)).all()


def test_one_cause_at_two_distances_is_one_situation_and_two_causes_in_one_cluster_are_two():
    rng = np.random.default_rng(1)
    ways = [(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0)]
    rays, truth = rays_along(rng, ways, (30, 30, 14))
    # What DBSCAN might say: the first cause torn by its strength, the other two lumped together.
    strong = np.linalg.norm(rays, axis=1) > 6.5
    labels = np.where(truth == 0, np.where(strong, 1, 2), 0).astype(np.int32)
    directions = to_directions(rays).astype(np.float32)
    clusters = clustering.Clustering(
        labels, labels >= 0, (clustering.Candidate(1, 2, 3, 0, 0),) * 3,
        clustering.Candidate(1, 2, 3, 0, 0), (), "",
    )  # fmt: skip
    apart = take_apart(clusters, directions, rays)
    second, third = (set(apart.labels[truth == cause].tolist()) - {NOISE} for cause in (1, 2))
    assert second
    assert third
    assert not second & third
    situations = find_situations(clusters, directions, rays, 1.0)
    in_situation = situations.labels != NOISE
    assert in_situation.mean() > 0.9
    for situation in range(3):
        assert len(set(truth[situations.labels == situation].tolist())) == 1
    assert len({int(s) for s in situations.labels[in_situation]}) == 3
    labels_of_cause = situations.labels[truth == 0]
    assert set(
        situations.parts[
            (situations.labels == labels_of_cause[labels_of_cause != NOISE][0])
        ].tolist()
    ) == {0, 1}


def test_a_mild_cause_beside_a_strong_one_is_found():
    rng = np.random.default_rng(2)
    rays, truth = rays_along(rng, [(1, 0, 0), (0, 1, 0)], (60, 12), (30.0, 60.0))
    rays[truth == 1] *= 0.1
    directions = to_directions(rays).astype(np.float32)
    clusters = clustering.search(denoise(directions), largest_share=0.25)
    situations = find_situations(clusters, directions, rays, 1.0)
    mild = situations.labels[truth == 1]
    assert (mild == mild[0]).mean() > 0.8
    assert mild[0] not in set(situations.labels[truth == 0].tolist()) - {NOISE}


def naive_reach(rays, labels, passing_length):
    """Measure each image against the mean direction of the others of its situation."""
    reach = {}
    for situation in sorted(set(labels.tolist()) - {NOISE}):
        own = [np.asarray(r, np.float64) for r in rays[labels == situation]]
        units = [ray / math.hypot(*ray) for ray in own]
        cosines, lengths = [], []
        for place_, ray in enumerate(own):
            rest = sum(unit for other, unit in enumerate(units) if other != place_)
            way = rest / math.hypot(*rest)
            cosines.append(float(way @ units[place_]))
            lengths.append(float(way @ ray))
        way = sum(units) / math.hypot(*sum(units))
        fences = []
        for values in (cosines, lengths):
            low, high = np.quantile(values, [0.25, 0.75])
            fences.append(low - 1.5 * (high - low))
        reach[situation] = (way, fences[0], max(fences[1], 0.75 * passing_length))
    return reach


@pytest.mark.parametrize("seed", range(3))
def test_images_are_placed_as_by_the_naive_twin(seed):
    rng = np.random.default_rng(seed)
    rays, labels = rays_along(rng, rng.normal(size=(4, 5)), (9, 7, 5, 12), spread=1.0)
    labels[::9] = NOISE
    others = rng.normal(0, 3, (80, 5)).astype(np.float32)
    labels_of_others = place(others, measure_reach(rays, labels, 2.0))
    reach = naive_reach(rays, labels, 2.0)
    for ray, label in zip(others.astype(np.float64), labels_of_others, strict=True):
        best, expected = -2.0, NOISE
        for situation, (way, least_cosine, least_length) in reach.items():
            cosine, length = float(way @ ray) / math.hypot(*ray), float(way @ ray)
            if cosine >= least_cosine and length >= least_length and cosine > best:
                best, expected = cosine, situation
        assert label == expected


def test_images_near_the_middle_are_in_no_situation():
    rng = np.random.default_rng(4)
    rays, labels = rays_along(rng, [(1, 0, 0), (0, 1, 0)], (20, 20))
    reach = measure_reach(rays, labels, 2.0)
    middle = rng.normal(0, 0.2, (50, 3)).astype(np.float32)
    assert (place(middle, reach) == NOISE).all()


def test_without_a_cluster_nothing_is_placed():
    rays = np.ones((4, 3), np.float32)
    labels = np.full(4, NOISE, np.int32)
    assert (place(rays, measure_reach(rays, labels, 1.0)) == NOISE).all()
    assert (join(rays, labels) == NOISE).all()


def test_situations_as_placed_point_different_ways():
    joins = 0
    for seed in range(40):
        rng = np.random.default_rng([seed, 2])
        ways = rng.normal(size=(3, 6))
        beside = ways[np.repeat(range(3), 3)] + 0.7 * rng.normal(size=(9, 6))
        rays, labels = rays_along(rng, beside, [7] * 9, spread=1.2)
        stray = rng.random(len(labels)) < 0.2
        labels = np.where(stray, rng.integers(-1, 9, len(labels)), labels).astype(np.int32)
        labels = clustering.tidy(labels)
        setting = clustering.Candidate(1, 2, labels.max() + 1, 0, 0)
        clusters = clustering.Clustering(
            labels, labels >= 0, (setting,) * (labels.max() + 1), setting, (), ""
        )
        directions = to_directions(rays).astype(np.float32)
        situations = find_situations(clusters, directions, rays, 1.0, apart=False).labels
        assert join(rays, situations, AGAIN).max() == situations.max()
        # Joined once and then placed, some would point the same way.
        once = clustering.tidy(place(rays, measure_reach(rays, join(rays, labels), 1.0)))
        joins += join(rays, once, AGAIN).max() < once.max()
    assert joins
