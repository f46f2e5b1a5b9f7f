"""Importance-Driven Coverage, beside Equations 5 and 6 with every combination listed."""

from itertools import product
from time import process_time

import numpy as np
import pytest

from pipelines.deepimportance.coverage import (
    compute_coverage,
    compute_expected_growth,
    count_combinations,
    count_differing_neurons,
    count_growth,
    find_combinations,
    find_contributors,
    list_uncovered,
)
from pipelines.deepimportance.quantisation import find_regions, quantise


@pytest.mark.parametrize("seed", range(4))
def test_coverage_is_that_of_equation_6(seed):
    rng = np.random.default_rng(seed)
    training = rng.gamma(1, 1, (60, 3)).astype(np.float32)
    regions = [quantise(training[:, i]) for i in range(3)]
    clusters = [len(neuron_regions.centroids) for neuron_regions in regions]
    test = rng.gamma(1, 1.3, (25, 3)).astype(np.float32)
    all_combinations = list(
        product(*(neuron_regions.centroids.tolist() for neuron_regions in regions))
    )
    nearest = set()
    for image in test.tolist():
        distances = [
            sum((a - b) ** 2 for a, b in zip(image, centres, strict=True))
            for centres in all_combinations
        ]
        nearest.add(all_combinations[distances.index(min(distances))])
    combinations = find_combinations(find_regions(test, regions))
    assert count_combinations(clusters) == len(all_combinations)
    assert compute_coverage(len(combinations.rows), clusters) == len(nearest) / len(
        all_combinations
    )
    centroids = {
        tuple(regions[i].centroids[r] for i, r in enumerate(row)) for row in combinations.rows
    }
    assert centroids == nearest


def rows_of(seed, images=30, clusters=(2, 3, 4)):
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(0, k, images) for k in clusters], axis=1).astype(np.uint8)


def test_growth_and_contributors():
    rows = rows_of(1)
    combinations = find_combinations(rows)
    earlier, expected = set(), []
    for row in rows.tolist():
        earlier.add(tuple(row))
        expected.append(len(earlier))
    assert count_growth(combinations).tolist() == expected
    alone = [i for i, row in enumerate(rows.tolist()) if rows.tolist().count(row) == 1]
    assert find_contributors(combinations).tolist() == alone


def test_expected_growth_is_the_mean_over_random_orders():
    rows = rows_of(2)
    combinations = find_combinations(rows)
    rng = np.random.default_rng(0)
    orders = [count_growth(find_combinations(rng.permutation(rows))) for _ in range(3000)]
    expected = compute_expected_growth(combinations.counts, range(1, 31))
    assert expected == pytest.approx(np.mean(orders, axis=0), abs=0.2)
    assert expected[0] == pytest.approx(1)
    assert expected[-1] == pytest.approx(len(combinations.rows))


def test_huge_numbers_of_combinations_are_counted_and_not_listed():
    assert count_combinations([4] * 60) == 4**60
    rows = np.random.default_rng(3).integers(0, 4, (500, 60)).astype(np.uint8)
    combinations = find_combinations(rows)
    assert 0 < compute_coverage(len(combinations.rows), [4] * 60) < 1e-30
    assert len(list_uncovered(combinations.rows, combinations, [4] * 60, 50)) == 50


def test_differing_neurons_are_counted():
    rows, others = rows_of(4), rows_of(5)
    expected = [
        min(sum(a != b for a, b in zip(row, other, strict=True)) for other in others.tolist())
        for row in rows.tolist()
    ]
    assert count_differing_neurons(rows, others).tolist() == expected
    assert count_differing_neurons(rows, others, block=7).tolist() == expected
    assert count_differing_neurons(rows, others[:0]).tolist() == [3] * len(rows)


def test_uncovered_combinations_come_by_training_images_then_by_similarity():
    clusters = (2, 3, 4)
    training, test = find_combinations(rows_of(6)), find_combinations(rows_of(7, images=3))
    gaps = list_uncovered(test.rows, training, clusters, 1000)
    test_rows = set(map(tuple, test.rows.tolist()))
    everything = set(product(*map(range, clusters)))
    assert {row for row, _, _ in gaps} == everything - test_rows
    assert len(gaps) == len(everything - test_rows)
    counts = dict(zip(map(tuple, training.rows.tolist()), training.counts.tolist(), strict=True))
    for row, count, distance in gaps:
        assert count == counts.get(row, 0)
        assert distance == min(sum(a != b for a, b in zip(row, c, strict=True)) for c in test_rows)
    keys = [(-count, distance if not count else 0) for _, count, distance in gaps]
    assert keys == sorted(keys)
    assert list_uncovered(test.rows, training, clusters, 5) == gaps[:5]


def test_listing_ends_early_when_almost_all_is_covered():
    everything = np.array(list(product(range(4), repeat=6)), dtype=np.uint8)
    test_rows = everything[20:]
    start = process_time()
    gaps = list_uncovered(test_rows, find_combinations(test_rows), [4] * 6, 200)
    assert {row for row, _, _ in gaps} == set(map(tuple, everything[:20].tolist()))
    assert list_uncovered(everything, find_combinations(test_rows), [4] * 6, 200) == []
    assert process_time() - start < 3  # far more if the search went on when there are no others
