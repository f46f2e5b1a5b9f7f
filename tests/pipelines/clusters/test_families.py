"""Families of clusters: average linkage against plain loops, and where it stops."""

import numpy as np
import pytest

from pipelines.clusters.families import FARTHEST, INSPECTED, find_families, label_families


def naive_families(conditions, labels, largest_share, farthest):
    """Join the two nearest families, by the mean distance of their clusters' means, and again."""
    clusters = sorted(set(labels.tolist()) - {-1})
    means = {c: conditions[labels == c].mean(axis=0) for c in clusters}
    middle = conditions.mean(axis=0)
    limit = farthest * np.sqrt(np.mean([((x - middle) ** 2).sum() for x in conditions]))
    families = [[c] for c in clusters]

    def share():
        sizes = [sum(int((labels == c).sum()) for c in family) for family in families]
        return sum(min(5, size) for size in sizes) / len(labels)

    def distance(a, b):
        return np.mean([np.linalg.norm(means[c] - means[d]) for c in a for d in b])

    while share() > largest_share and len(families) > 1:
        pairs = [(a, b) for i, a in enumerate(families) for b in families[i + 1 :]]
        nearest = min(pairs, key=lambda pair: distance(*pair))
        if distance(*nearest) > limit:
            break
        families = [f for f in families if f not in nearest] + [nearest[0] + nearest[1]]
    return {frozenset(family) for family in families}


def as_sets(families):
    return {
        frozenset(c for c, f in families.items() if f == family) for family in families.values()
    }


@pytest.mark.parametrize("farthest", [0.1, 0.3, FARTHEST, 2.0])
@pytest.mark.parametrize("seed", range(4))
def test_families_naively(seed, farthest):
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, 12, 150).astype(np.int32)
    conditions = rng.normal(0, 1, (12, 6))[labels % 12] + rng.normal(0, 0.3, (150, 6))
    families = find_families(conditions.astype(np.float32), labels, farthest=farthest)
    assert as_sets(families) == naive_families(conditions, labels, INSPECTED, farthest)


def test_one_cause_that_looks_eight_ways_is_one_family():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(24), 10).astype(np.int32)
    causes = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]])[labels // 8]
    conditions = (causes + rng.normal(0, 0.5, causes.shape)).astype(np.float32)
    families = find_families(conditions, labels, inspected=0.07)
    assert as_sets(families) == {frozenset(range(start, start + 8)) for start in (0, 8, 16)}


def test_clusters_that_are_few_enough_to_inspect_stay_apart():
    labels = np.repeat([0, 1], 100).astype(np.int32)
    conditions = np.zeros((200, 3), np.float32)
    assert find_families(conditions, labels) == {0: 0, 1: 1}


def test_family_0_has_the_most_images():
    labels = np.repeat([0, 1, 2, 3], [30, 20, 20, 5]).astype(np.int32)
    conditions = np.array([[0.0], [9.0], [9.1], [0.2]], np.float32)[labels]
    families = find_families(conditions, labels, inspected=0.15)
    assert families == {0: 1, 1: 0, 2: 0, 3: 1}
    assert np.bincount(label_families(families, labels)).tolist() == [40, 35]


@pytest.mark.parametrize(
    ("labels", "families"), [([-1, -1, -1], {}), ([0, 0, 0, -1], {0: 0}), ([0, 0, 0], {0: 0})]
)
def test_few_clusters(labels, families):
    labels = np.array(labels, np.int32)
    families_of_clusters = find_families(np.ones((len(labels), 2), np.float32), labels)
    assert families_of_clusters == families
    assert label_families(families_of_clusters, labels).tolist() == labels.tolist()


def test_noise_is_in_no_family():
    labels = np.array([0, -1, 1, 1, 0, -1], np.int32)
    assert label_families({0: 1, 1: 0}, labels).tolist() == [1, -1, 0, 0, 1, -1]
