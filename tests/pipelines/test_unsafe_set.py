"""Equation 7 and Figure 10 of HUDD against plain loops."""

import math

import numpy as np
import pytest

from pipelines.unsafe_set import allocate, cluster_distances, estimate_count, fill, reaches


def naive_figure_10(distances, quotas):
    """Fill clusters as Figure 10's text says: rank by rank, over all images that are left."""
    n, k = len(distances), len(quotas)
    ranked = {}
    for image in range(n):
        undefined = set()
        for rank in range(k):
            cluster = min(
                (c for c in range(k) if c not in undefined), key=lambda c: (distances[image][c], c)
            )
            ranked[rank, image] = cluster, distances[image][cluster]
            undefined.add(cluster)
    unsafe = {cluster: [] for cluster in range(k)}
    processed = set()
    for rank in range(k):
        left = [image for image in range(n) if image not in processed]
        for image in sorted(left, key=lambda image: (ranked[rank, image][1], image)):
            cluster = ranked[rank, image][0]
            if len(unsafe[cluster]) < quotas[cluster]:
                unsafe[cluster].append(image)
                processed.add(image)
    return unsafe


def by_cluster(choice, count):
    found = {cluster: [] for cluster in range(count)}
    for image, cluster in zip(choice.images.tolist(), choice.clusters.tolist(), strict=True):
        found[cluster].append(image)
    return found


@pytest.mark.parametrize("seed", range(20))
def test_figure_10_naively(seed):
    rng = np.random.default_rng(seed)
    n, k = rng.integers(1, 40), rng.integers(1, 7)
    distances = rng.integers(0, 12, (n, k)).astype(np.float32)  # with ties
    quotas = rng.integers(0, 9, k)
    choice = fill(distances, quotas)
    assert by_cluster(choice, k) == naive_figure_10(distances.tolist(), quotas.tolist())
    assert len(set(choice.images.tolist())) == len(choice.images)  # no image twice


def test_a_spurious_cluster_takes_no_more_than_its_quota():
    distances = np.array([[0.1, 0.5], [0.2, 0.6], [0.3, 0.7], [0.4, 0.8]], np.float32)
    choice = fill(distances, np.array([1, 2]))
    assert by_cluster(choice, 2) == {0: [0], 1: [1, 2]}


def test_the_first_of_each_cluster_comes_before_the_second_of_any():
    distances = np.array([[0, 9], [1, 9], [2, 9], [9, 5], [9, 6]], np.float32)
    choice = fill(distances, np.array([3, 2]))
    assert choice.images.tolist() == [0, 3, 1, 4, 2]
    assert choice.clusters.tolist() == [0, 1, 0, 1, 0]


def test_another_order_changes_who_comes_first_and_not_where_to():
    distances = np.array([[0, 9], [1, 9], [9, 5], [9, 6]], np.float32)
    order = np.array([3, 2, 1, 0], np.float32)
    assert fill(distances, np.array([1, 1]), order=order).images.tolist() == [1, 3]


def test_where_an_image_may_not_go_it_does_not_go():
    distances = np.array([[0, np.inf], [1, np.inf], [np.inf, np.inf]], np.float32)
    assert by_cluster(fill(distances, np.array([1, 5])), 2) == {0: [0], 1: []}


def test_an_image_that_is_the_same_as_a_chosen_one_is_left_out():
    distances = np.array([[0.0], [0.1], [0.2], [0.3]], np.float32)

    def same(image, chosen):
        return chosen[0] if image % 2 and chosen else None

    choice = fill(distances, np.array([3]), same=same)
    assert (choice.images.tolist(), choice.same) == ([0, 2], {1: 0, 3: 0})


@pytest.mark.parametrize("seed", range(10))
def test_shares_are_those_of_equation_7_to_the_nearest_image(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 60, rng.integers(1, 9)).astype(float)
    count = int(rng.integers(1, 200))
    shares = allocate(count, sizes)
    exact = [count * size / sizes.sum() for size in sizes]
    assert shares.sum() == count
    assert all(math.floor(e) <= s <= math.ceil(e) for e, s in zip(exact, shares, strict=True))
    up = [e - math.floor(e) for e, s in zip(exact, shares, strict=True) if s > math.floor(e)]
    down = [e - math.floor(e) for e, s in zip(exact, shares, strict=True) if s == math.floor(e)]
    assert not up or not down or min(up) >= max(down)


def test_shares_that_are_even_differ_by_one_at_most():
    assert allocate(8, np.ones(3)).tolist() == [3, 3, 2]
    assert allocate(0, np.zeros(3)).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("images", "accuracy", "factor", "count"),
    [(2400, 0.845, 0.3, 112), (1000, 1.0, 0.3, 1), (1000, 0.0, 0.3, 300), (10, 0.5, 1.0, 5)],
)
def test_the_number_of_images_is_that_of_equation_7(images, accuracy, factor, count):
    assert estimate_count(images, accuracy, factor) == count


def test_distances_to_clusters_naively_whatever_the_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    points = rng.normal(5, 1, (37, 8)).astype(np.float32)
    others = rng.normal(5, 1, (25, 8)).astype(np.float32)
    clusters = np.concatenate([np.arange(4), rng.integers(0, 4, 21)]).astype(np.int32)
    naive = [
        [
            min(math.dist(p, o) for o, c in zip(others, clusters, strict=True) if c == cluster)
            for cluster in range(4)
        ]
        for p in points
    ]
    for block in (1, 100, 8_000_000):
        monkeypatch.setattr("pipelines.unsafe_set.BLOCK", block)
        assert cluster_distances(points, others, clusters) == pytest.approx(
            np.array(naive), abs=1e-5
        )


def test_a_cluster_reaches_as_far_as_its_own_images_do_naively():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(30, 5)).astype(np.float32)
    clusters = np.concatenate([np.arange(3), rng.integers(0, 3, 26), [3]]).astype(np.int32)
    core = rng.random(30) < 0.6
    core[[0, 1, 2, 29]] = True
    found = reaches(points, clusters, core)
    for cluster in range(4):
        inside = [i for i in range(30) if clusters[i] == cluster]
        nearest = [
            min((math.dist(points[i], points[j]) for j in inside if core[j] and j != i), default=0)
            for i in inside
        ]
        assert found[cluster] == pytest.approx(max(nearest), abs=1e-5)
