"""Random sets of images, drawn group by group."""

import itertools
from collections import Counter

import numpy as np
import pytest

from pipelines.data.group_resampling import draw_orders, draw_with_replacement, number_group_names

GROUPS = np.array([7, 2, 7, 7, 4, 2, 9])


def runs_of(row):
    """Return the groups of an order, one entry a run of the same group."""
    return [group for group, _ in itertools.groupby(GROUPS[row].tolist())]


def test_orders_hold_every_image_once_and_groups_side_by_side():
    orders = draw_orders(np.random.default_rng(0), GROUPS, 400)
    assert (np.sort(orders, axis=1) == np.arange(len(GROUPS))).all()
    counts = Counter(tuple(runs_of(row)) for row in orders)
    # Every order of the four groups comes about as often as any other: 400 / 24 = 17.
    assert set(counts) == set(itertools.permutations([7, 2, 4, 9]))
    assert max(counts.values()) < 40


def test_orders_of_single_images_are_permutations():
    orders = draw_orders(np.random.default_rng(1), np.arange(3), 600)
    counts = Counter(map(tuple, orders.tolist()))
    assert set(counts) == set(itertools.permutations(range(3)))
    assert min(counts.values()) > 60


@pytest.mark.parametrize("size", [1, 4, 20])
def test_sets_with_replacement_are_whole_groups_one_after_the_other(size):
    whole = {group: np.flatnonzero(group == GROUPS).tolist() for group in set(GROUPS.tolist())}
    group_counts = Counter()
    for row in draw_with_replacement(np.random.default_rng(2), GROUPS, size, 500):
        rest = row.tolist()
        group_counts[int(GROUPS[rest[0]])] += 1
        while rest:
            own = whole[int(GROUPS[rest[0]])]
            part, rest = rest[: len(own)], rest[len(own) :]
            assert part == own[: len(part)]  # only the last one may be cut
    # Each group is drawn as often as any other, however large it is: 500 / 4.
    assert min(group_counts.values()) > 90


def test_images_without_a_group_are_groups_of_their_own():
    assert number_group_names(["b", "", "a", "b", ""]).tolist() == [0, 1, 2, 0, 3]
