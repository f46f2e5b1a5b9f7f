"""Intervals of shares, beside naive twins and on groups whose spread is known."""

from collections import Counter

import numpy as np
import pytest

from pipelines.data.intervals import accuracy_interval, effective_share, wilson_interval


def test_wilson_is_that_of_scipy_to_the_bit():
    from scipy.stats import binomtest

    for images in (1, 7, 58, 2400):
        for successes in {0, 1, images // 3, images - 1, images}:
            expected = binomtest(successes, images).proportion_ci(0.95, method="wilson")
            assert wilson_interval(successes, images) == (expected.low, expected.high)
    assert [round(100 * end) for end in wilson_interval(41, 58)] == [58, 81]


@pytest.mark.parametrize(("right", "images"), [(0, 10), (7.5, 10.25), (372, 2400), (10, 10)])
def test_wilson_is_that_of_his_formula(right, images):
    z, p = 1.959963984540054, right / images
    middle = (p + z**2 / (2 * images)) / (1 + z**2 / images)
    half = z / (1 + z**2 / images) * (p * (1 - p) / images + z**2 / (4 * images**2)) ** 0.5
    assert wilson_interval(right, images) == pytest.approx((middle - half, middle + half), abs=1e-9)


def naive_effective_share(failures, groups):
    sizes, bad = Counter(groups), Counter(g for f, g in zip(failures, groups, strict=True) if f)
    n, count = len(failures), len(sizes)
    p = sum(failures) / n
    between = count / (count - 1) * sum((bad[g] - p * sizes[g]) ** 2 for g in sizes) / n**2
    return 1 / max(1.0, between / (p * (1 - p) / n))


@pytest.mark.parametrize("seed", range(4))
def test_frames_of_groups_count_as_by_the_naive_twin(seed):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 12, 200)
    failures = rng.random(200) < rng.random(12)[groups]
    expected = naive_effective_share(failures.tolist(), groups.tolist())
    assert effective_share(failures, groups) == pytest.approx(expected)


def test_frames_that_always_agree_count_as_one():
    groups = np.repeat(np.arange(10), 30)
    failures = np.repeat(np.arange(10) < 4, 30)
    assert 300 * effective_share(failures, groups) == pytest.approx(9, abs=0.5)
    assert effective_share(np.ones(300, bool), groups) == pytest.approx(1 / 30)
    assert effective_share(failures, np.zeros(300, np.int64)) == pytest.approx(1 / 300)
    assert effective_share(failures, np.arange(300)) == 1.0


def test_intervals_by_groups_are_as_wide_as_resampled_groups_say():
    rng = np.random.default_rng(5)
    groups = np.repeat(np.arange(80), 25)
    failures = rng.random(2000) < np.repeat(rng.beta(1.5, 1.5, 80), 25)
    means = []
    for _ in range(600):
        resample = rng.integers(0, 80, 80)
        means.append(np.mean([failures[groups == g].mean() for g in resample]))
    low, high = np.quantile(means, [0.025, 0.975])
    share = effective_share(failures, groups)
    ours = wilson_interval(failures.sum() * share, 2000 * share)
    assert ours[1] - ours[0] == pytest.approx(high - low, rel=0.15)


@pytest.mark.parametrize("seed", range(3))
def test_an_accuracy_of_groups_counts_independent_images(seed):
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(np.arange(15), 20))
    correct = rng.random(300) < rng.random(15)[groups]
    share = naive_effective_share(correct.tolist(), groups.tolist())
    low, high = accuracy_interval(correct, groups)
    assert (low, high) == pytest.approx(wilson_interval(share * correct.sum(), share * 300))
    single = accuracy_interval(correct)
    assert low < single[0] < single[1] < high
    assert accuracy_interval(correct, rng.permutation(300)) == single


@pytest.mark.parametrize(
    ("tracks", "share", "share_by_images"),
    [(5, 0.86, 0.57), (10, 0.91, 0.57), (20, 0.94, 0.59), (40, 0.94, 0.59)],
)
def test_how_often_the_interval_of_so_many_tracks_holds_the_accuracy(
    tracks, share, share_by_images
):
    """The figures of docs/limits.md: 30 frames a track, whose share is of Beta(4, 1)."""
    rng = np.random.default_rng(0)
    groups, hits = np.repeat(np.arange(tracks), 30), Counter()
    for _ in range(2000):
        correct = rng.random(30 * tracks) < np.repeat(rng.beta(4, 1, tracks), 30)
        for kind, numbers in (("groups", groups), ("images", None)):
            low, high = accuracy_interval(correct, numbers)
            hits[kind] += low <= 0.8 <= high
    assert hits["groups"] / 2000 == pytest.approx(share, abs=0.01)
    assert hits["images"] / 2000 == pytest.approx(share_by_images, abs=0.01)
