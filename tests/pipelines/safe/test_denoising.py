"""Denoising on the neighbourhood graph."""

import math

import numpy as np
import pytest

from pipelines.safe.denoising import denoise


def naive(points, k, steps):
    """Move images by plain loops, straight from the docstring."""
    n = len(points)
    distance = [[math.dist(a, b) for b in points] for a in points]
    nearest = [sorted(range(n), key=lambda j, i=i: distance[i][j])[: k + 1] for i in range(n)]
    scale = [distance[i][nearest[i][-1]] for i in range(n)]
    weight = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if i == j:
                weight[i, j] = 1
            elif j in nearest[i] or i in nearest[j]:
                weight[i, j] = math.exp(-(distance[i][j] ** 2) / (scale[i] * scale[j]))
    for _ in range(steps):
        points = [
            [sum(weight[i, j] * points[j][c] for j in range(n)) / weight[i].sum() for c in range(2)]
            for i in range(n)
        ]
    return np.array(points)


@pytest.mark.parametrize(("k", "steps"), [(1, 1), (3, 1), (5, 4)])
def test_images_move_as_the_formula_says(k, steps):
    points = np.random.default_rng(k).normal(size=(25, 2)).astype(np.float32)
    denoised_points = denoise(points, k, steps)
    assert denoised_points.dtype == np.float32
    assert denoised_points == pytest.approx(naive(points.tolist(), k, steps), abs=1e-5)


def test_clusters_contract_and_stay_apart():
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [10, 0], [0, 10]], dtype=np.float32)
    of = np.repeat([0, 1, 2], 40)
    points = (centres[of] + rng.normal(size=(120, 2))).astype(np.float32)
    denoised_points = denoise(points)
    for cluster in range(3):
        inside = denoised_points[of == cluster]
        assert inside.std(axis=0).max() < 0.8 * points[of == cluster].std(axis=0).max()
        assert np.abs(inside.mean(axis=0) - points[of == cluster].mean(axis=0)).max() < 0.3


def test_an_outlier_stays_where_it_is():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(size=(50, 2)), [[40.0, 0.0]]]).astype(np.float32)
    assert np.linalg.norm(denoise(points)[-1] - points[-1]) < 1


def test_copies_and_single_images_move_nowhere():
    copies = np.ones((8, 3), dtype=np.float32)
    assert denoise(copies) == pytest.approx(copies)
    point = np.array([[1.0, 2.0]], dtype=np.float32)
    assert denoise(point) == pytest.approx(point)


def test_many_copies_among_other_images_give_numbers():
    rng = np.random.default_rng(0)
    points = np.concatenate([np.zeros((10, 2)), rng.normal(size=(20, 2))]).astype(np.float32)
    assert np.isfinite(denoise(points)).all()


def test_the_given_points_are_left_as_they_are():
    points = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    before = points.copy()
    denoise(points)
    assert np.array_equal(points, before)
