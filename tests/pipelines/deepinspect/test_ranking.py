"""Which pairs are reported."""

import numpy as np
import pytest

from pipelines.deepinspect.ranking import pairs_of, rank_pairs


@pytest.mark.parametrize("lowest_first", [True, False])
def test_pairs_beyond_one_deviation_and_the_top_are_reported(lowest_first):
    scores = np.random.default_rng(0).normal(size=300)
    ranking = rank_pairs(scores, lowest_first=lowest_first)
    mean = sum(scores) / 300
    deviation = (sum((score - mean) ** 2 for score in scores) / 300) ** 0.5
    pair_order = sorted(range(300), key=lambda pair: scores[pair], reverse=not lowest_first)
    assert ranking.order.tolist() == pair_order
    for pair, score in enumerate(scores):
        expected = score < mean - deviation if lowest_first else score > mean + deviation
        assert ranking.one_sd[pair] == expected
    assert np.flatnonzero(ranking.top).tolist() == sorted(pair_order[:3])
    assert ranking.cut == pytest.approx(mean - deviation if lowest_first else mean + deviation)


def test_at_least_one_pair_is_at_the_top_and_none_that_is_not_known():
    scores = np.array([np.nan, 3.0, 1.0, 2.0, np.nan])
    ranking = rank_pairs(scores, lowest_first=True, top_percent=1)
    assert ranking.order.tolist() == [2, 3, 1, 0, 4]
    assert ranking.top.tolist() == [False, False, True, False, False]
    assert rank_pairs(scores, lowest_first=False, top_percent=100).top.sum() == 3
    nothing = rank_pairs(np.full(3, np.nan), lowest_first=True)
    assert not nothing.top.any()
    assert not nothing.one_sd.any()


def test_equal_scores_are_ranked_by_position_and_none_stands_out():
    ranking = rank_pairs(np.ones(6), lowest_first=False)
    assert ranking.order.tolist() == list(range(6))
    assert not ranking.one_sd.any()


def test_pairs_are_those_above_the_diagonal():
    first, second = pairs_of(4)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [
        (a, b) for a in range(4) for b in range(a + 1, 4)
    ]
