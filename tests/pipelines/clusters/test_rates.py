"""Failure rates, beside naive twins and on test sets whose rates are known."""

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from pipelines.clusters.rates import (
    AS_COMMON,
    ONE_SUBJECT,
    SITUATION,
    TOO_FEW,
    classify_clusters,
    correct_by_holm,
    estimate_rates,
    order_clusters,
)
from pipelines.data.intervals import wilson_interval


def alone(failing, passing):
    numbers = np.arange(len(failing) + len(passing))
    return numbers[: len(failing)], numbers[len(failing) :]


def estimate(failing, passing, weights=None, groups=None):
    failing, passing = np.array(failing, np.int32), np.array(passing, np.int32)
    weights = np.ones(len(passing)) if weights is None else np.asarray(weights, float)
    groups = alone(failing, passing) if groups is None else groups
    return estimate_rates(failing, passing, weights, *groups)


def naive_fisher(a, b, c, d):
    """Add up the probabilities of tables at least as one-sided, from binomial coefficients."""
    rows, columns, total = (a + b, c + d), (a + c, b + d), a + b + c + d
    whole = math.comb(total, columns[0])
    return float(
        sum(
            Fraction(math.comb(rows[0], k) * math.comb(rows[1], columns[0] - k), whole)
            for k in range(a, min(rows[0], columns[0]) + 1)
        )
    )


def naive_holm(values):
    p_values = {}
    highest = 0.0
    for rank, (value, place) in enumerate(sorted((v, p) for p, v in enumerate(values))):
        highest = max(highest, value * (len(values) - rank))
        p_values[place] = min(1.0, highest)
    return [p_values[place] for place in range(len(values))]


@pytest.mark.parametrize("seed", range(6))
def test_rates_are_those_of_the_naive_twin(seed):
    rng = np.random.default_rng(seed)
    failing = rng.integers(-1, 4, 120)
    passing = np.where(rng.random(300) < 0.7, -1, rng.integers(0, 4, 300))
    rates = estimate(failing, passing)
    bad, good = Counter(failing.tolist()), Counter(passing.tolist())
    values = {}
    for cluster in range(4):
        k, m = bad[cluster], good[cluster]
        elsewhere = (120 - k) / (420 - k - m)
        rate = rates[cluster]
        assert (rate.failing, rate.passing, rate.groups) == (k, m, k + m)
        assert rate.rate == pytest.approx(k / (k + m))
        assert rate.elsewhere == pytest.approx(elsewhere)
        assert rate.excess == pytest.approx(k - elsewhere * (k + m))
        assert (rate.low, rate.high) == pytest.approx(wilson_interval(k, k + m))
        values[cluster] = naive_fisher(k, m, 120 - k, 300 - m)
    for cluster, p in enumerate(naive_holm(list(values.values()))):
        assert rates[cluster].p == pytest.approx(p)
        assert rates[cluster].testable


def test_holm_is_that_of_the_naive_twin():
    rng = np.random.default_rng(0)
    for count in (1, 2, 7):
        values = rng.random(count) ** 3
        assert correct_by_holm(values) == pytest.approx(naive_holm(values.tolist()))


def test_a_sample_is_weighted_back_to_the_test_set():
    # 40 of 100 such images fail; of the 60 that pass, and of 5,940 others, a tenth is looked at.
    failing = [0] * 40 + [-1] * 300
    whole = estimate(failing, [0] * 60 + [-1] * 5940)[0]
    tenth = estimate(failing, [0] * 6 + [-1] * 594, [10.0] * 600)[0]
    assert whole.rate == tenth.rate == pytest.approx(0.4)
    assert whole.elsewhere == tenth.elsewhere == pytest.approx(300 / 6240)
    assert whole.excess == pytest.approx(tenth.excess)
    assert tenth.low < whole.low < 0.4 < whole.high < tenth.high


def test_the_interval_of_a_sample_holds_the_rate_in_about_95_percent():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(400):
        k, m = rng.binomial(100, 0.4), rng.binomial(60, 0.2)  # a fifth of 60 passing ones
        failing, passing = [0] * k + [-1] * 100, [0] * m + [-1] * 400
        rate = estimate(failing, passing, [5.0] * len(passing))[0]
        hits += rate.low <= 40 / 100 <= rate.high
    assert 0.9 < hits / 400 <= 1


def test_a_cause_is_told_from_what_is_common_and_from_what_is_too_small_to_tell():
    failing = [0] * 30 + [1] * 30 + [2] * 2 + [-1] * 38
    passing = [0] * 5 + [1] * 120 + [-1] * 275
    rates = estimate(failing, passing)
    kinds = classify_clusters(rates, {})
    assert kinds == {0: SITUATION, 1: AS_COMMON, 2: TOO_FEW}
    assert rates[2].p == 1.0
    assert order_clusters(rates, kinds) == [0, 2, 1]
    assert classify_clusters(rates, {0: 1, 1: 3, 2: 3}) == {
        0: ONE_SUBJECT,
        1: AS_COMMON,
        2: TOO_FEW,
    }


def test_what_fails_as_often_is_seldom_called_a_cause():
    rng = np.random.default_rng(2)
    false_alarms = 0
    for _ in range(200):
        failing = rng.choice([0, 1, 2, -1], 100, p=[0.2, 0.1, 0.1, 0.6])
        passing = rng.choice([0, 1, 2, -1], 400, p=[0.2, 0.1, 0.1, 0.6])
        false_alarms += any(rate.is_higher for rate in estimate(failing, passing).values())
    assert false_alarms <= 16


def test_clusters_come_by_excess_of_failures():
    failing = [0] * 20 + [1] * 40 + [2] * 30
    passing = [0] * 1 + [1] * 2 + [2] * 60 + [-1] * 300
    rates = estimate(failing, passing)
    order = order_clusters(rates, classify_clusters(rates, {}))
    assert order == [1, 0, 2]
    assert rates[1].excess > rates[0].excess


def test_groups_widen_intervals_and_take_certainty():
    failing, passing = [0] * 60 + [-1] * 140, [0] * 20 + [-1] * 380
    frames = np.repeat(np.arange(4), 20)  # the cluster's images are of four tracks
    groups = (
        np.concatenate([frames[:60], 100 + np.arange(140)]),
        np.concatenate([frames[60:], 300 + np.arange(380)]),
    )
    single, by_groups = estimate(failing, passing)[0], estimate(failing, passing, groups=groups)[0]
    assert by_groups.low < single.low
    assert by_groups.high > single.high
    assert by_groups.p > single.p
    assert by_groups.groups == 4


def test_a_rate_below_that_of_others_is_no_situation_whatever_the_weights():
    # Thirty passing frames of one long track stand for 9,000.
    failing, passing = [0] * 60 + [-1] * 400, [0] * 30 + [-1] * 1970
    rate = estimate(failing, passing, [300.0] * 30 + [1.0] * 1970)[0]
    assert rate.rate < rate.elsewhere
    assert rate.p > 0.5
    assert not rate.is_higher


def test_a_cluster_that_holds_nothing_has_no_rate():
    rates = estimate_rates(
        np.array([0, 0, -1], np.int32), np.array([-1, 0], np.int32), np.ones(2),
        np.arange(3), 3 + np.arange(2), [0, 1],
    )  # fmt: skip
    assert math.isnan(rates[1].rate)
    assert classify_clusters(rates, {})[1] == TOO_FEW
