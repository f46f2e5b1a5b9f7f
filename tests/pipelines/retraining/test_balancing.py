"""Bootstrap resampling, beside what section IV-D of HUDD says."""

from collections import Counter

import numpy as np
import pytest

from pipelines.retraining.balancing import balance, enlarge


@pytest.mark.parametrize("seed", range(5))
def test_every_cluster_gets_as_many_as_the_largest(seed):
    rng = np.random.default_rng(seed)
    clusters = rng.integers(0, 6, 40).astype(np.int32)
    places = balance(clusters, np.random.default_rng(seed))
    sizes = Counter(clusters.tolist())
    largest = max(sizes.values())
    assert Counter(clusters[places].tolist()) == dict.fromkeys(sizes, largest)
    assert set(places.tolist()) == set(range(40))
    assert places.tolist() == balance(clusters, np.random.default_rng(seed)).tolist()


def test_duplicates_are_drawn_at_random_and_not_in_turn():
    clusters = np.array([0] * 50 + [1, 1], dtype=np.int32)
    duplicates = {
        tuple(Counter(balance(clusters, np.random.default_rng(seed)).tolist()).values())
        for seed in range(5)
    }
    assert len(duplicates) == 5


def test_no_image_is_lost_or_made_up_at_the_edges():
    rng = np.random.default_rng(0)
    assert balance(np.array([], dtype=np.int32), rng).tolist() == []
    assert balance(np.array([3], dtype=np.int32), rng).tolist() == [0]
    assert enlarge(0, 10, rng).tolist() == []
    assert enlarge(4, 3, rng).tolist() == [0, 1, 2, 3]
    places = enlarge(4, 30, rng)
    assert len(places) == 30
    assert Counter(places.tolist()).keys() == {0, 1, 2, 3}
