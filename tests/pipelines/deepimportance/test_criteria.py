"""The other criteria, beside their papers' formulas in plain loops."""

from math import exp, log, sqrt

import numpy as np
import pytest
from scipy.stats import gaussian_kde

from pipelines.deepimportance import criteria
from pipelines.deepimportance.criteria import Range, extend_range


def activations(seed, n=40, neurons=7):
    values = np.random.default_rng(seed).normal(0.3, 1, (n, neurons))
    return np.maximum(values, 0).astype(np.float32)


def test_neuron_coverage():
    values = activations(0, n=6)
    values[3] = 0.5  # scaled, nothing is left of it
    expected = [False] * 7
    for row in values.tolist():
        low, high = min(row), max(row)
        for j, value in enumerate(row):
            if high > low and (value - low) / (high - low) > 0.75:
                expected[j] = True
    assert criteria.neuron_coverage(values).tolist() == expected
    assert 0 < sum(expected) < 7


def test_multisections():
    training, test, k = activations(1), activations(2, n=60) * 1.3, 10
    training[:, 6] = 0.5
    test[:5, 6] = 0.5
    value_range = extend_range(extend_range(None, training[:10]), training[10:])
    expected = set()
    for row in test.tolist():
        for j, value in enumerate(row):
            low, high = float(training[:, j].min()), float(training[:, j].max())
            if low <= value <= high:
                width = (high - low) / k
                section = 0 if not width else min(int((value - low) / width), k - 1)
                expected.add((j, section))
    bits = criteria.multisection_coverage(test, value_range, k)
    assert bits.shape == (7, k)
    assert set(zip(*map(np.ndarray.tolist, np.nonzero(bits)), strict=True)) == expected
    assert (6, 0) in expected
    whole = criteria.multisection_coverage(training, value_range, k)
    assert whole[:6, 0].all()
    assert whole[:6, -1].all()


def test_boundaries_and_strong_activations():
    training, test = activations(3) + 1, activations(4, n=8) * 1.6
    value_range = extend_range(None, training)
    bits = criteria.boundary_coverage(test, value_range)
    for j in range(7):
        low, high = training[:, j].min(), training[:, j].max()
        assert bits[j, 0] == any(value < low for value in test[:, j].tolist())
        assert bits[j, 1] == any(value > high for value in test[:, j].tolist())
    assert bits.any(axis=0).all()
    assert not criteria.boundary_coverage(training, value_range).any()


@pytest.mark.parametrize("k", [1, 2, 3, 7, 9])
def test_among_equal_neurons_the_first_are_the_top_ones(k):
    values = activations(5, n=4)
    values[0] = [0, 2, 2, 2, 1, 0, 0]
    expected = set()
    for row in values.tolist():
        order = sorted(range(7), key=lambda j: (-row[j], j))
        expected.update(order[:k])
    assert set(np.flatnonzero(criteria.top_coverage(values, k)).tolist()) == expected


def test_surprise_falls_into_buckets():
    surprise = np.array([-1, 0, 1e-9, 0.2, 0.2000001, 0.5, 1.99, 2.0, 2.1, np.inf, np.nan])
    expected = [False] * 10
    for value in surprise.tolist():
        for i in range(10):
            if 2 * i / 10 < value <= 2 * (i + 1) / 10:
                expected[i] = True
    assert criteria.surprise_coverage(surprise, 2.0, 10).tolist() == expected


def draw_classified(seed, n):
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 3, n).astype(np.int32)
    values = rng.normal(0, 1, (n, 4)) + classes[:, None] * np.array([1, 2, 0, -1])
    return values.astype(np.float32), classes


def test_surprise_by_distance(monkeypatch):
    training, classes = draw_classified(6, 50)
    test, predictions = draw_classified(7, 20)
    test[0] = training[0]
    predictions[0] = classes[0]

    def distance(a, b):
        return sqrt(sum((float(x) - float(y)) ** 2 for x, y in zip(a, b, strict=True)))

    expected = []
    for point, kind in zip(test, predictions, strict=True):
        same = [t for t, c in zip(training, classes, strict=True) if c == kind]
        others = [t for t, c in zip(training, classes, strict=True) if c != kind]
        nearest = min(same, key=lambda t: distance(point, t))
        far = min(distance(nearest, t) for t in others)
        expected.append(distance(point, nearest) / far)
    surprise = criteria.distance_surprise(test, predictions, training, classes)
    assert surprise == pytest.approx(expected)
    assert surprise[0] == 0
    monkeypatch.setattr(criteria, "BLOCK", 40)
    again = criteria.distance_surprise(test, predictions, training, classes)
    assert again == pytest.approx(expected)
    unknown = criteria.distance_surprise(test, np.full(20, 9, np.int32), training, classes)
    assert np.isnan(unknown).all()


def test_surprise_by_distance_far_from_0():
    training, classes = draw_classified(6, 50)
    test, predictions = draw_classified(7, 20)
    expected = criteria.distance_surprise(test, predictions, training, classes)
    offset = np.float32(5000)
    surprise = criteria.distance_surprise(test + offset, predictions, training + offset, classes)
    assert surprise == pytest.approx(expected, rel=0.01)


def test_surprise_by_likelihood(monkeypatch):
    training, classes = draw_classified(8, 90)
    test, predictions = draw_classified(9, 15)
    training[:, 2] = 1  # does not vary
    expected = []
    for point, kind in zip(test, predictions, strict=True):
        same = training[classes == kind][:, [0, 1, 3]].astype(np.float64)
        bandwidth = np.cov(same, rowvar=False) * len(same) ** (-2 / 7)
        inverse, norm = np.linalg.inv(bandwidth), sqrt(np.linalg.det(2 * np.pi * bandwidth))
        density = 0.0
        for t in same:
            d = point[[0, 1, 3]] - t
            density += exp(-0.5 * float(d @ inverse @ d)) / norm
        expected.append(-log(density / len(same)))
    surprise = criteria.likelihood_surprise(test, predictions, training, classes)
    assert surprise == pytest.approx(expected, rel=1e-6)
    class_rows = classes == predictions[0]
    kde = gaussian_kde(training[class_rows][:, [0, 1, 3]].T)
    assert surprise[0] == pytest.approx(-kde.logpdf(test[0, [0, 1, 3]])[0], rel=1e-6)
    monkeypatch.setattr(criteria, "BLOCK", 40)
    again = criteria.likelihood_surprise(test, predictions, training, classes)
    assert again == pytest.approx(surprise)


def test_a_direction_without_variance_is_left_out_of_the_density():
    training, classes = draw_classified(10, 90)
    test, predictions = draw_classified(11, 15)
    twice = [np.concatenate([v, v[:, :1] * 2], axis=1) for v in (test, training)]
    surprise = criteria.likelihood_surprise(twice[0], predictions, twice[1], classes)
    assert np.isfinite(surprise).all()
    few = criteria.likelihood_surprise(test, predictions, training[:1], classes[:1])
    assert np.isnan(few).all()


def test_surprise_far_away_is_large_but_finite():
    training, classes = draw_classified(12, 60)
    far = np.full((1, 4), 1e4, dtype=np.float32)
    surprise = criteria.likelihood_surprise(far, classes[:1], training, classes)
    assert 2000 < surprise[0] < np.inf


def test_ranges_grow_with_batches():
    values = activations(13)
    value_range = extend_range(extend_range(None, values[:7]), values[7:])
    assert isinstance(value_range, Range)
    assert value_range.low.tolist() == values.min(axis=0).tolist()
    assert value_range.high.tolist() == values.max(axis=0).tolist()
