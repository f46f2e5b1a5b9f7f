"""Before and after, counted naively."""

import itertools
from collections import Counter

import numpy as np
import pytest

from pipelines.clusters.clusters import RootCauseClusters
from pipelines.data.intervals import accuracy_interval
from pipelines.retraining.before_after import (
    measure_accuracy,
    measure_change,
    measure_classes,
    measure_repairs,
)


def wilson(right, images):
    """Wilson's interval, as its formula is printed."""
    z = 1.959963984540054
    share = right / images
    middle = (share + z * z / (2 * images)) / (1 + z * z / images)
    half = z / (1 + z * z / images) * np.sqrt(share * (1 - share) / images + (z / images / 2) ** 2)
    return middle - half, middle + half


@pytest.mark.parametrize("seed", range(3))
def test_a_change_is_counted_image_by_image(seed):
    rng = np.random.default_rng(seed)
    before, after = rng.random((2, 50)) < 0.6
    change = measure_change(before, after)
    pairs = Counter(zip(before.tolist(), after.tolist(), strict=True))
    assert change.repaired == pairs[False, True]
    assert change.broken == pairs[True, False]
    assert change.before.right == int(sum(before))
    low, high = wilson(int(after.sum()), 50)
    assert (change.after.low, change.after.high) == pytest.approx((low, high), abs=1e-4)


def test_classes_are_compared_separately():
    labels = ["b", "a", "b", "a"]
    before = np.array([True, False, False, False])
    after = np.array([False, True, True, False])
    a, b = measure_classes(labels, before, after)
    assert (a.name, a.repaired, a.broken, a.before.images) == ("a", 1, 0, 2)
    assert (b.name, b.repaired, b.broken) == ("b", 1, 1)


def naive_signs(changes):
    ways = list(itertools.product((1, -1), repeat=len(changes)))
    sums = [abs(sum(s * c for s, c in zip(way, changes, strict=True))) for way in ways]
    return sum(total >= abs(sum(changes)) for total in sums) / len(ways)


@pytest.mark.parametrize("seed", range(4))
def test_a_change_of_groups_is_counted_group_by_group(seed):
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(np.arange(9) * 11, 8))
    likely = rng.random((2, 100))
    before, after = (rng.random(72) < likely[turn][groups] for turn in (0, 1))
    change = measure_change(before, after, groups=groups)
    alone = measure_change(before, after)
    changes, changed_groups = Counter(), set()
    for group, was, now in zip(groups.tolist(), before.tolist(), after.tolist(), strict=True):
        changes[group] += now - was
        changed_groups |= {group} if was != now else set()
    assert change.p == pytest.approx(naive_signs(list(changes.values())), rel=1e-3)
    assert (change.groups, change.groups_changed) == (9, len(changed_groups))
    assert (alone.groups, alone.groups_changed) == (None, None)
    assert (change.repaired, change.broken) == (alone.repaired, alone.broken)
    assert (change.before.right, change.after.share) == (alone.before.right, alone.after.share)
    low, high = accuracy_interval(after, groups)
    assert (change.after.low, change.after.high) == (round(low, 4), round(high, 4))
    assert change.after.low <= alone.after.low <= alone.after.high <= change.after.high


@pytest.mark.parametrize("seed", range(4))
def test_groups_of_one_image_change_no_figure(seed):
    rng = np.random.default_rng(seed)
    before, after = rng.random((2, 60)) < [[0.5], [0.7]]
    labels = [str(n) for n in rng.integers(0, 3, 60)]
    groups = rng.permutation(60)
    group_fields = {"groups", "groups_changed"}
    for alone, by_groups in zip(
        [measure_change(before, after), *measure_classes(labels, before, after)],
        [
            measure_change(before, after, groups=groups),
            *measure_classes(labels, before, after, groups),
        ],
        strict=True,
    ):
        assert alone.model_dump(exclude=group_fields) == by_groups.model_dump(exclude=group_fields)
        assert by_groups.groups == by_groups.before.images
        assert by_groups.groups_changed == by_groups.repaired + by_groups.broken


def clusters_of(labels, digests):
    n = len(labels)
    return RootCauseClusters(
        paths=tuple(f"{i}.png" for i in range(n)),
        digests=tuple(digests),
        labels=np.array(labels, dtype=np.int32),
        core=np.ones(n, np.bool_),
        silhouettes=np.zeros(n, np.float32),
        centre_distances=np.zeros(n, np.float32),
        places=np.zeros((n, 2), np.float32),
    )


def test_repairs_match_images_by_bytes_not_by_names():
    clusters = clusters_of([1, 0, 0, -1, 1], ["d1", "d2", "d3", "d4", "elsewhere"])
    digests = ["ok", "d4", "d3", "d2", "d1"]
    before = np.array([True, False, False, False, False])
    after = np.array([False, True, True, False, False])
    repairs = measure_repairs(clusters, {0: "dim light"}, Counter({0: 7}), digests, before, after)
    assert [(r.cluster, r.failing, r.after.right) for r in repairs] == [
        (0, 2, 1),
        (1, 1, 0),
        (-1, 1, 1),
    ]
    assert (repairs[0].name, repairs[0].labelled, repairs[1].labelled) == ("dim light", 7, 0)


def test_an_image_that_the_model_gets_right_is_no_failing_image():
    clusters = clusters_of([0, 0], ["a", "b"])
    repairs = measure_repairs(
        clusters, {}, Counter(), ["a", "b"], np.array([True, False]), np.array([True, True])
    )
    assert [(r.failing, r.after.right) for r in repairs] == [(1, 1)]


@pytest.mark.parametrize(
    ("right", "images", "state"),
    [(10, 10, "repaired"), (0, 10, "not repaired"), (5, 10, "unclear"), (3, 3, "unclear")],
)
def test_a_cluster_is_repaired_where_its_interval_says_so(right, images, state):
    digests = [str(i) for i in range(images)]
    after = np.arange(images) < right
    (repair,) = measure_repairs(
        clusters_of([0] * images, digests), {}, Counter(), digests, np.zeros(images, bool), after
    )
    assert repair.state == state
    low, high = wilson(right, images)
    assert (low > 0.5, high < 0.5) == (state == "repaired", state == "not repaired")


def test_a_cluster_of_one_track_is_unclear_however_many_frames_it_has():
    digests = [str(i) for i in range(20)]
    arguments = clusters_of([0] * 20, digests), {}, Counter(), digests, np.zeros(20, bool)
    after = np.ones(20, bool)
    (alone,) = measure_repairs(*arguments, after)
    (one_track,) = measure_repairs(*arguments, after, np.zeros(20, np.int64))
    (many_tracks,) = measure_repairs(*arguments, after, np.arange(20) // 2)
    assert [r.state for r in (alone, one_track, many_tracks)] == ["repaired", "unclear", "repaired"]
    assert [r.groups for r in (alone, one_track, many_tracks)] == [None, 1, 10]
    assert (one_track.after.low, one_track.after.high) == pytest.approx(wilson(1, 1), abs=1e-4)


def test_no_image_has_an_accuracy_of_0():
    assert measure_accuracy(np.array([], dtype=np.bool_)).share == 0
