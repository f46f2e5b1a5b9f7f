"""Equation 2 in plain loops, and how classes are ordered and placed."""

import math

import numpy as np
import pytest

from pipelines.deepinspect.confusion import (
    known_classes,
    napvd,
    order_by_similarity,
    place_classes,
)


def draw(seed=0, neurons=30, k=6):
    rng = np.random.default_rng(seed)
    matrix = rng.random((neurons, k)) * (rng.random((neurons, k)) < 0.5)
    return matrix.astype(np.float32)


def naive(matrix, normalise):
    neurons, k = matrix.shape
    result = np.zeros((k, k))
    for a in range(k):
        for b in range(k):
            total, active = 0.0, 0
            for n in range(neurons):
                total += (float(matrix[n, a]) - float(matrix[n, b])) ** 2
                active += bool(matrix[n, a] > 0 or matrix[n, b] > 0)
            result[a, b] = math.sqrt(total)
            if normalise and active:
                result[a, b] /= math.sqrt(active)
    return result


@pytest.mark.parametrize("normalise", [False, True])
def test_napvd_is_the_distance_of_the_columns(normalise):
    matrix = draw()
    matrix[3] = 0  # never fires
    distances = napvd(matrix, normalise=normalise)
    np.testing.assert_allclose(distances, naive(matrix, normalise), atol=1e-12)
    np.testing.assert_array_equal(distances, distances.T)


def test_equal_classes_and_silent_classes_have_a_distance_of_0():
    matrix = draw()
    matrix[:, 1] = matrix[:, 4]
    assert napvd(matrix)[1, 4] == 0
    silent = np.zeros((5, 3), np.float32)
    assert not napvd(silent, normalise=True).any()


def test_classes_without_images_have_no_distances():
    matrix = draw()
    whole = napvd(matrix)
    matrix[:, [0, 3]] = np.nan
    distances = napvd(matrix)
    rest = [1, 2, 4, 5]
    np.testing.assert_allclose(distances[np.ix_(rest, rest)], whole[np.ix_(rest, rest)])
    assert np.isnan(distances[0, [1, 2, 3, 4, 5]]).all()
    assert known_classes(distances).tolist() == rest


def test_similar_classes_stand_side_by_side():
    rng = np.random.default_rng(1)
    groups = rng.permutation(np.repeat([0, 1, 2], 4))
    points = groups[:, None] * 10 + rng.normal(size=(12, 1))
    distances = np.abs(points - points.T)
    groups_in_order = groups[order_by_similarity(distances)]
    assert (np.diff(groups_in_order) != 0).sum() == 2
    distances[5] = distances[:, 5] = np.nan
    distances[5, 5] = 0
    assert order_by_similarity(distances)[-1] == 5


def test_places_keep_distances_that_a_plane_can_hold():
    rng = np.random.default_rng(2)
    points = rng.normal(size=(7, 2))
    distances = np.sqrt(((points[:, None] - points) ** 2).sum(axis=2))
    places = place_classes(distances)
    on_map = np.sqrt(((places[:, None] - places) ** 2).sum(axis=2))
    np.testing.assert_allclose(on_map, distances, atol=1e-9)
    np.testing.assert_array_equal(places, place_classes(distances.copy()))
    distances[2] = distances[:, 2] = np.nan
    assert np.isnan(place_classes(distances)[2]).all()
    assert not np.isnan(np.delete(place_classes(distances), 2, axis=0)).any()


def test_two_classes_are_placed_on_a_line():
    places = place_classes(np.array([[0, 3.0], [3, 0]]))
    assert abs(places[0, 0] - places[1, 0]) == pytest.approx(3)
    assert places[:, 1] == pytest.approx([0, 0], abs=1e-6)
