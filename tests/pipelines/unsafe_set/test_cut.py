"""Cutting the unsafe set."""

import numpy as np

from pipelines.unsafe_set.cut import Candidates, cut

HOW = {"allocation": "uniform", "ranking": "distance", "same_distance": 0.0}


def candidates_of(
    distances, reaches, sizes=None, points=None, scores=None, digests=None, groups=()
):
    distances = np.array(distances, np.float32)
    n, k = distances.shape
    return Candidates(
        paths=tuple(f"{number:02d}.png" for number in range(n)),
        digests=tuple(digests or (f"{number:064x}" for number in range(n))),
        points=np.array(points if points is not None else np.eye(n), np.float32),
        distances=distances,
        reaches=np.array(reaches, np.float32),
        scores=np.array(scores if scores is not None else np.zeros(n), np.float32),
        sizes=np.array(sizes or [10] * k),
        groups=tuple(groups),
    )


def test_what_is_outside_is_never_chosen_before_what_is_inside():
    rng = np.random.default_rng(0)
    distances = rng.uniform(0, 1, (60, 3))
    candidates = candidates_of(distances, [0.2, 0.3, 0.1])
    inside = candidates.inside()
    assert inside.tolist() == [bool(a <= 0.2 or b <= 0.3 or c <= 0.1) for a, b, c in distances]
    for count in (5, int(inside.sum()), int(inside.sum()) + 7, 60, 100):
        selection = cut(candidates, count, **HOW)
        assert len(selection.images) == min(count, 60)
        assert len(set(selection.images.tolist())) == len(selection.images)
        assert np.array_equal(selection.outside, ~inside[selection.images])
        assert not (np.diff(selection.outside.astype(int)) < 0).any()


def test_what_a_cluster_cannot_fill_goes_to_the_others():
    distances = [[0.1, 9]] * 8 + [[9, 0.1]]
    selection = cut(candidates_of(distances, [1, 1]), 6, **HOW)
    assert np.bincount(selection.clusters).tolist() == [5, 1]
    assert not selection.outside.any()


def test_images_are_shared_out_evenly_or_by_size():
    distances = [[0.1, 9]] * 20 + [[9, 0.1]] * 20
    candidates = candidates_of(distances, [1, 1], sizes=[30, 10])
    assert np.bincount(cut(candidates, 8, **HOW).clusters).tolist() == [4, 4]
    by_size = cut(candidates, 8, **HOW | {"allocation": "proportional"})
    assert np.bincount(by_size.clusters).tolist() == [6, 2]


def test_contrast_decides_who_comes_first_and_the_distance_where_to():
    candidates = candidates_of([[0.1], [0.2], [0.3], [5]], [1], scores=[0, 2, 1, 9])
    assert cut(candidates, 2, **HOW).images.tolist() == [0, 1]
    first = cut(candidates, 3, **HOW | {"ranking": "contrast"}).images
    assert first.tolist() == [1, 2, 0]  # the last is outside, whatever its score


def test_images_that_are_the_same_count_once():
    points = [[0.0], [0.01], [1.0], [1.005], [2.0]]
    digests = ["a", "b", "c", "d", "a"]  # the last is a copy of the first
    candidates = candidates_of(
        [[0.1], [0.2], [0.3], [0.4], [0.5]], [1], points=points, digests=digests
    )
    selection = cut(candidates, 5, **HOW | {"same_distance": 0.02})
    assert (selection.images.tolist(), selection.same) == ([0, 2, 4], {1: 0, 3: 2})
    nearer = candidates_of([[0.1], [0.2]], [1], points=[[0.0], [0.0]], digests=["a", "a"])
    assert cut(nearer, 2, **HOW | {"same_distance": 0.02}).same == {1: 0}
    assert len(cut(candidates, 5, **HOW).images) == 5


def test_the_first_image_of_each_group_comes_before_the_second_of_any():
    distances = [[0.1], [0.2], [0.3], [0.4], [0.5], [0.6]]
    candidates = candidates_of(distances, [1], groups=["a", "a", "a", "", "", "b"])
    assert cut(candidates, 4, **HOW).images.tolist() == [0, 3, 4, 5]
    assert cut(candidates, 6, **HOW).images.tolist() == [0, 3, 4, 5, 1, 2]
    beyond = candidates_of(distances, [0.35], groups=["a", "", "", "a", "a", "c"])
    selection = cut(beyond, 5, **HOW)  # outside, too, those that had a turn inside come later
    assert selection.images.tolist() == [0, 1, 2, 5, 3]
    assert selection.outside.tolist() == [False] * 3 + [True] * 2


def test_groups_do_not_change_how_many_images_a_cluster_gets():
    rng = np.random.default_rng(0)
    distances = rng.uniform(0, 1, (80, 3))
    groups = [f"track {number}" for number in rng.integers(0, 6, 80)]
    for allocation in ("uniform", "proportional"):
        how = HOW | {"allocation": allocation}
        alone, with_groups = (
            cut(
                candidates_of(distances, [1] * 3, sizes=[30, 9, 4], groups=groups_or_none),
                25,
                **how,
            )
            for groups_or_none in ((), groups)
        )
        assert np.bincount(with_groups.clusters).tolist() == np.bincount(alone.clusters).tolist()
        assert with_groups.images.tolist() != alone.images.tolist()
