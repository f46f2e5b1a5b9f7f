"""Equations 3 and 4, with the filter of section IV-C, in plain loops."""

import numpy as np
import pytest

from pipelines.deepinspect.bias import average_bias, filter_threshold


def draw(k=8, seed=0):
    points = np.random.default_rng(seed).normal(size=(k, 3))
    return np.sqrt(((points[:, None] - points) ** 2).sum(axis=2))


def naive_threshold(distances):
    values = [distances[a][b] for a in range(len(distances)) for b in range(a)]
    mean = sum(values) / len(values)
    return mean - (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5


def naive_bias(distances, a, b, c, threshold):
    near, far = distances[c][a], distances[c][b]
    if near > threshold and far > threshold:
        return 0.0
    return abs(near - far) / (near + far) if near + far else 0.0


def naive(distances, threshold):
    k = len(distances)
    result = np.full((k, k), np.nan)
    for a in range(k):
        for b in range(k):
            if a != b:
                total = 0.0
                for c in range(k):
                    if c not in (a, b):
                        total += naive_bias(distances, a, b, c, threshold)
                result[a, b] = total / (k - 2)
    return result


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("k", [3, 4, 9, 20])
def test_bias_is_that_of_the_triple_loop(k, seed):
    distances = draw(k, seed)
    threshold = naive_threshold(distances)
    assert filter_threshold(distances) == pytest.approx(threshold)
    np.testing.assert_allclose(
        average_bias(distances).average, naive(distances, threshold), atol=1e-13
    )
    for limit in (np.inf, 0.0, 1.0):
        average = average_bias(distances, threshold=limit).average
        np.testing.assert_allclose(average, naive(distances, limit), atol=1e-13)


def test_the_third_classes_that_drive_a_pair_are_named():
    distances = draw(9)
    threshold = naive_threshold(distances)
    bias = average_bias(distances)
    for a in range(9):
        for b in range(9):
            if a == b:
                continue
            values = {
                c: naive_bias(distances, a, b, c, threshold) for c in range(9) if c not in (a, b)
            }
            best = sorted((c for c in values if values[c] > 0), key=lambda c: -values[c])[:3]
            assert [c for c in bias.thirds[a, b] if c >= 0] == best
            expected = [values[c] for c in best] + [0] * (3 - len(best))
            np.testing.assert_allclose(bias.biases[a, b], expected, atol=1e-6)


def test_classes_at_no_distance_are_not_biased():
    distances = draw(5)
    distances[:] = 0
    assert np.nan_to_num(average_bias(distances, threshold=np.inf).average).max() == 0


def test_classes_without_distances_are_left_out():
    distances = draw(7)
    rest = [0, 1, 3, 4, 6]
    expected = average_bias(distances[np.ix_(rest, rest)])
    distances[[2, 5]] = np.nan
    distances[:, [2, 5]] = np.nan
    bias = average_bias(distances)
    np.testing.assert_array_equal(bias.average[np.ix_(rest, rest)], expected.average)
    assert np.isnan(bias.average[2]).all()
    thirds = expected.thirds[0, 1]
    assert bias.thirds[0, 1].tolist() == [rest[c] if c >= 0 else -1 for c in thirds]


def test_two_classes_have_no_bias():
    with pytest.raises(ValueError, match="bias needs 3 classes with distances, received 2"):
        average_bias(draw(2))
