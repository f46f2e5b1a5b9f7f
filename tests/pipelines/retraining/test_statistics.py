"""The statistics of before and after, beside ones that are written out from their definitions."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from pipelines.retraining.statistics import a12, effect, mann_whitney, mcnemar, sign_flip


def naive_mcnemar(repairs, failures):
    """Add up the probabilities of all outcomes that are no likelier than what was seen."""
    n = repairs + failures
    chances = [math.comb(n, k) / 2**n for k in range(n + 1)]
    return min(1.0, sum(c for c in chances if c <= chances[repairs] * (1 + 1e-9)))


@pytest.mark.parametrize(
    ("repairs", "failures"), [(0, 0), (1, 0), (0, 5), (9, 2), (7, 7), (40, 21), (3, 30)]
)
def test_mcnemar(repairs, failures):
    assert mcnemar(repairs, failures) == pytest.approx(naive_mcnemar(repairs, failures))
    assert mcnemar(repairs, failures) == mcnemar(failures, repairs)


def naive_sign_flip(changes):
    """Go through every way to choose the signs."""
    total = abs(sum(changes))
    ways = list(itertools.product((1, -1), repeat=len(changes)))
    far = [abs(sum(s * c for s, c in zip(way, changes, strict=True))) >= total for way in ways]
    return sum(far) / len(ways)


@pytest.mark.parametrize("seed", range(12))
def test_sign_flip_goes_through_all_signs(seed):
    rng = np.random.default_rng(seed)
    changes = rng.integers(-6, 9, rng.integers(1, 13))
    assert sign_flip(changes) == pytest.approx(naive_sign_flip(changes.tolist()))
    assert sign_flip(-changes) == pytest.approx(sign_flip(changes))
    assert sign_flip(rng.permutation(np.append(changes, [0, 0]))) == sign_flip(changes)


@pytest.mark.parametrize(
    ("repairs", "failures"), [(0, 0), (1, 0), (0, 5), (9, 2), (7, 7), (40, 21), (3, 30), (400, 290)]
)
def test_sign_flip_of_single_images_is_mcnemars(repairs, failures):
    changes = np.repeat([1, -1, 0], [repairs, failures, 20])
    assert sign_flip(changes) == pytest.approx(mcnemar(repairs, failures), rel=1e-9)
    # As many frames in every group: as many groups, and not one image more.
    assert sign_flip(7 * changes) == pytest.approx(mcnemar(repairs, failures), rel=1e-9)


def test_thirty_frames_of_one_sign_are_no_proof():
    assert mcnemar(30, 2) < 1e-6
    # Whatever the signs, the thirty decide.
    assert sign_flip(np.array([30, -1, -1])) == pytest.approx(1)
    assert sign_flip(np.array([30, 1, -1])) == pytest.approx(6 / 8)
    assert sign_flip(np.array([5] * 6)) == pytest.approx(2 / 2**6)
    assert sign_flip(np.array([5] * 5)) > 0.05


def test_random_changes_of_groups_are_rarely_significant_but_frames_often_are():
    rng = np.random.default_rng(3)
    rejections = Counter()
    for _ in range(400):
        frames = rng.integers(1, 31, 25)  # of tracks that are repaired, or broken, as a whole
        changes = frames * rng.choice([-1, 1], 25)
        rejections["frames"] += (
            mcnemar(changes[changes > 0].sum(), -changes[changes < 0].sum()) < 0.05
        )
        rejections["groups"] += sign_flip(changes) < 0.05
    assert 0.02 < rejections["groups"] / 400 <= 0.07
    assert rejections["frames"] / 400 > 0.5


def naive_a12(first, second):
    wins = 0.0
    for a in first:
        for b in second:
            wins += 1.0 if a > b else 0.5 if a == b else 0.0
    return wins / (len(first) * len(second))


@pytest.mark.parametrize("seed", range(5))
def test_a12_counts_pairs(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 6, 7).tolist(), rng.integers(0, 8, 9).tolist()
    assert a12(first, second) == pytest.approx(naive_a12(first, second))
    assert a12(first, second) + a12(second, first) == pytest.approx(1)


def test_a12_at_its_ends():
    assert a12([3, 4], [1, 2]) == 1
    assert a12([1, 2], [3, 4]) == 0
    assert a12([1, 1], [1, 1]) == 0.5


def test_words_of_vargha_and_delaney():
    words = [effect(value) for value in (0.5, 0.559, 0.56, 0.64, 0.71, 1.0, 0.44, 0.29)]
    assert words == ["none", "none", "small", "medium", "large", "large", "small", "large"]


def naive_mann_whitney(first, second):
    """Go through every way in which the values could have been shared out."""
    values = first + second
    middle = len(first) * len(second) / 2

    def u(places):
        rest = [v for place, v in enumerate(values) if place not in places]
        return sum(values[place] > other for place in places for other in rest)

    distance = abs(u(range(len(first))) - middle)
    ways = list(itertools.combinations(range(len(values)), len(first)))
    return sum(abs(u(way) - middle) >= distance for way in ways) / len(ways)


@pytest.mark.parametrize("seed", range(4))
def test_mann_whitney_is_exact_without_ties(seed):
    values = np.random.default_rng(seed).permutation(9).astype(float).tolist()
    first, second = values[:4], values[4:]
    assert mann_whitney(first, second) == pytest.approx(naive_mann_whitney(first, second))


def test_mann_whitney_is_exact_for_ten_repeats():
    first, second = [1 + n / 100 for n in range(10)], [n / 100 for n in range(10)]
    assert mann_whitney(first, second) == pytest.approx(2 / math.comb(20, 10))


def test_equal_values_say_nothing():
    assert mann_whitney([0.5, 0.5], [0.5, 0.5]) == 1
