"""Equation 7 and Figure 10 of HUDD against plain loops."""

import math

import numpy as np
import pytest

from pipelines.unsafe_set.allocation import (
    allocate,
    cluster_distances,
    compute_reaches,
    estimate_count,
    fill,
)


def naive_figure_10(distances, quotas):
    """Fill clusters as Figure 10's text says: rank by rank, over all images that are left."""
    n, k = len(distances), len(quotas)
    ranks = {}
    for image in range(n):
        earlier = set()
        for rank in range(k):
            cluster = min(
                (c for c in range(k) if c not in earlier), key=lambda c: (distances[image][c], c)
            )
            ranks[rank, image] = cluster, distances[image][cluster]
            earlier.add(cluster)
    unsafe = {cluster: [] for cluster in range(k)}
    assigned_images = set()
    for rank in range(k):
        waiting = [image for image in range(n) if image not in assigned_images]
        for image in sorted(waiting, key=lambda image: (ranks[rank, image][1], image)):
            cluster = ranks[rank, image][0]
            if len(unsafe[cluster]) < quotas[cluster]:
                unsafe[cluster].append(image)
                assigned_images.add(image)
    return unsafe


def naive_turns(distances, quotas, groups, order, same):
    """Fill clusters as `fill` says, with groups: look for the next image again after each one."""
    n, k = len(distances), len(quotas)
    ranks = [sorted(range(k), key=lambda c: (distances[image][c], c)) for image in range(n)]
    unsafe = {cluster: [] for cluster in range(k)}
    twins = {}
    for rank in range(k):
        for cluster in range(k):
            waiting = [
                image
                for image in range(n)
                if ranks[image][rank] == cluster
                and distances[image][cluster] < math.inf
                and image not in twins
                and not any(image in images for images in unsafe.values())
            ]
            while waiting and len(unsafe[cluster]) < quotas[cluster]:
                keys = {
                    image: (
                        sum(groups[other] == groups[image] for other in unsafe[cluster]),
                        distances[image][cluster] if order is None else order[image],
                        image,
                    )
                    for image in waiting
                }
                image = min(waiting, key=keys.get)
                waiting.remove(image)
                twin = same(image, unsafe[cluster])
                if twin is None:
                    unsafe[cluster].append(image)
                else:
                    twins[image] = twin
    return unsafe, twins


def find_alike(image, selection):
    """Say that images whose numbers differ by a multiple of 13 are the same."""
    return next((other for other in selection if (other - image) % 13 == 0), None)


@pytest.mark.parametrize("seed", range(40))
def test_groups_take_turns_naively(seed):
    rng = np.random.default_rng(seed)
    n, k = rng.integers(1, 50), rng.integers(1, 5)
    distances = rng.integers(0, 12, (n, k)).astype(np.float32)
    distances[rng.random((n, k)) < 0.2] = np.inf
    quotas = rng.integers(0, 12, k)
    groups = rng.integers(0, rng.integers(1, 9), n)
    order = rng.integers(0, 9, n).astype(np.float32) if seed % 2 else None
    same = find_alike if seed % 4 < 2 else lambda image, selection: None
    choice = fill(distances, quotas, order=order, same=same, groups=groups)
    order_or_none = None if order is None else order.tolist()
    expected = naive_turns(
        distances.tolist(), quotas.tolist(), groups.tolist(), order_or_none, same
    )
    assert (by_cluster(choice, k), choice.same) == expected


@pytest.mark.parametrize("seed", range(20))
def test_no_group_is_two_images_ahead_of_one_that_waits(seed):
    rng = np.random.default_rng(seed)
    n, k = 80, 3
    distances = rng.random((n, k)).astype(np.float32)
    distances[distances > 0.8] = np.inf
    groups = rng.integers(0, 12, n)
    choice = fill(distances, rng.integers(1, 20, k), groups=groups, same=find_alike)
    out = {*choice.images.tolist(), *choice.same}
    nearest = np.argmin(distances, axis=1)
    for cluster, images in by_cluster(choice, k).items():
        counts = [int(np.sum(groups[images] == group)) for group in range(12)]
        waiting = {
            int(groups[image])
            for image in range(n)
            if image not in out and nearest[image] == cluster and distances[image].min() < np.inf
        }
        assert all(counts[group] >= max(counts) - 1 for group in waiting)


@pytest.mark.parametrize("seed", range(10))
def test_groups_of_one_image_change_nothing(seed):
    rng = np.random.default_rng(seed)
    distances = rng.integers(0, 12, (60, 4)).astype(np.float32)
    quotas = rng.integers(0, 12, 4)
    alone = fill(distances, quotas, same=find_alike, groups=rng.permutation(60) + 7)
    usual = fill(distances, quotas, same=find_alike)
    assert alone.images.tolist() == usual.images.tolist()
    assert alone.clusters.tolist() == usual.clusters.tolist()
    assert list(alone.same.items()) == list(usual.same.items())
    assert by_cluster(fill(distances, quotas), 4) == naive_figure_10(
        distances.tolist(), quotas.tolist()
    )


def test_groups_that_had_their_turns_wait():
    distances = np.array([[0.0], [0.1], [0.2], [0.3]], np.float32)
    groups = np.array([0, 0, 0, 1])
    before = fill(distances[:1], np.array([1]))
    remaining_distances = np.where(np.arange(4)[:, None] > 0, distances, np.float32(np.inf))
    assert fill(
        remaining_distances, np.array([2]), groups=groups, before=before
    ).images.tolist() == [3, 1]
    assert fill(remaining_distances, np.array([2]), groups=groups).images.tolist() == [1, 3]


def by_cluster(choice, count):
    images = {cluster: [] for cluster in range(count)}
    for image, cluster in zip(choice.images.tolist(), choice.clusters.tolist(), strict=True):
        images[cluster].append(image)
    return images


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

    def same(image, selection):
        return selection[0] if image % 2 and selection else None

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
        monkeypatch.setattr("pipelines.unsafe_set.allocation.BLOCK", block)
        assert cluster_distances(points, others, clusters) == pytest.approx(
            np.array(naive), abs=1e-5
        )


def test_a_cluster_reaches_as_far_as_its_own_images_do_naively():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(30, 5)).astype(np.float32)
    clusters = np.concatenate([np.arange(3), rng.integers(0, 3, 26), [3]]).astype(np.int32)
    core = rng.random(30) < 0.6
    core[[0, 1, 2, 29]] = True
    reaches = compute_reaches(points, clusters, core)
    for cluster in range(4):
        inside = [i for i in range(30) if clusters[i] == cluster]
        nearest = [
            min((math.dist(points[i], points[j]) for j in inside if core[j] and j != i), default=0)
            for i in inside
        ]
        assert reaches[cluster] == pytest.approx(max(nearest), abs=1e-5)
