"""The space of contrast, beside a naive twin in plain loops."""

import math

import numpy as np
import pytest

from pipelines.safe import contrast


def features(rng, images, widths, low=0.0):
    return (low + rng.gamma(2.0, 1.0, (images, sum(widths)))).astype(np.float32)


def naive_rays(failing, passing, widths, components):
    """Scale, whiten and project, a number and an axis at a time."""
    m, d = len(passing), sum(widths)
    logs = [[math.log(1 + float(x)) for x in row] for row in passing]
    mean = [sum(row[j] for row in logs) / m for j in range(d)]
    spread = [math.sqrt(sum((row[j] - mean[j]) ** 2 for row in logs) / m) for j in range(d)]
    layer_of = [layer for layer, width in enumerate(widths) for _ in range(width)]
    usual = [
        sum(s for s, own in zip(spread, layer_of, strict=True) if own == layer) / width
        for layer, width in enumerate(widths)
    ]

    def scale(row):
        return [
            (math.log(1 + float(x)) - mean[j])
            / ((spread[j] + usual[layer_of[j]]) * math.sqrt(widths[layer_of[j]]))
            for j, x in enumerate(row)
        ]

    common, rays = [scale(row) for row in passing], [scale(row) for row in failing]
    covariance = [
        [sum(row[i] * row[j] for row in common) / (m - 1) for j in range(d)] for i in range(d)
    ]
    values, axes = np.linalg.eigh(np.array(covariance))
    ridge = 0.003 * max(1.0, 300 / m) * max(values)

    def whiten(row):
        return [
            sum(x * axes[j, k] for j, x in enumerate(row)) / math.sqrt(max(values[k], 0) + ridge)
            for k in range(d)
        ]

    white = np.array([whiten(row) for row in rays])
    # Directions that hold most of the failing images' squared length: no mean is taken off.
    powers, ways = np.linalg.eigh(white.T @ white)
    directions = ways[:, np.argsort(-powers)[:components]]
    return white @ directions, np.array([whiten(row) for row in common]) @ directions


@pytest.mark.parametrize(("images", "passing"), [(12, 40), (30, 15), (6, 50)])
def test_rays_are_those_of_the_naive_twin(images, passing):
    rng, widths = np.random.default_rng(images), (3, 5)
    failing, others = features(rng, images, widths, 1.0), features(rng, passing, widths)
    space = contrast.fit(failing, others, widths, components=4)
    expected, expected_passing = naive_rays(failing, others, widths, 4)
    rays, passing_rays = contrast.project(space, failing), contrast.project(space, others)
    signs = np.sign((rays * expected).sum(axis=0))  # an axis may point either way
    np.testing.assert_allclose(rays * signs, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(passing_rays * signs, expected_passing, rtol=1e-3, atol=1e-4)
    length = math.sqrt(np.square(expected_passing).sum(axis=1).mean())
    assert space.length == pytest.approx(length, rel=1e-3)


def test_copies_of_an_image_span_one_direction():
    rng, widths = np.random.default_rng(5), (4, 6)
    failing, others = features(rng, 1, widths, 2.0).repeat(5, axis=0), features(rng, 50, widths)
    space = contrast.fit(failing, others, widths, components=4)
    rays = contrast.project(space, failing)
    assert np.linalg.norm(rays, axis=1) == pytest.approx(np.abs(rays[:, 0]), rel=1e-5)
    assert space.explained == pytest.approx(1)


def test_directions_have_the_damped_length_of_their_rays():
    rng, widths = np.random.default_rng(1), (4,)
    failing, others = features(rng, 9, widths, 2.0), features(rng, 50, widths)
    space = contrast.fit(failing, others, widths, components=3)
    rays = contrast.project(space, failing)
    for ray, direction in zip(rays, contrast.compute_directions(space, rays), strict=True):
        length = math.sqrt(sum(float(x) ** 2 for x in ray) + (0.5 * space.length) ** 2)
        np.testing.assert_allclose(direction, ray / length, rtol=1e-5)


def test_what_varies_among_passing_images_shrinks_and_what_only_failing_ones_do_stays():
    rng = np.random.default_rng(2)
    passing = rng.gamma(2.0, 1.0, (400, 6)).astype(np.float32)
    passing[:, 1:] = 1 + 0.05 * rng.random((400, 5))
    failing = passing[:60].copy()
    failing[:30, 2] += 0.4  # the cause, small beside what the first feature does in all images
    space = contrast.fit(failing, passing[60:], (6,), components=6)
    rays = contrast.project(space, failing)
    cause = rays[:30].mean(axis=0) - rays[30:].mean(axis=0)
    others = rays[30:].std(axis=0)
    assert np.linalg.norm(cause) > 3 * np.linalg.norm(others)


def test_a_feature_that_passing_images_never_have_is_not_blown_up():
    rng = np.random.default_rng(3)
    passing = rng.gamma(2.0, 1.0, (100, 5)).astype(np.float32)
    passing[:, 4] = 0
    failing = passing[:20].copy()
    failing[0, 4] = 1.0
    space = contrast.fit(failing, passing, (5,), components=5)
    assert np.isfinite(contrast.project(space, failing)).all()
    assert np.linalg.norm(contrast.project(space, failing)[0]) < 100 * space.length


def test_same_passing_images_give_a_finite_space():
    same = np.ones((20, 4), np.float32)
    space = contrast.fit(same * 3, same, (4,), components=2)
    assert np.isfinite(contrast.compute_directions(space, contrast.project(space, same * 3))).all()


@pytest.mark.parametrize(("failing", "passing", "components"), [(0, 9, 1), (9, 1, 1), (9, 9, 0)])
def test_what_cannot_be_fitted_is_refused(failing, passing, components):
    rows = np.ones((10, 3), np.float32)
    with pytest.raises(ValueError, match="expected at least one failing image, two passing images"):
        contrast.fit(rows[:failing], rows[:passing], (3,), components=components)


def test_passing_images_amid_failing_ones_are_not_plain_as_by_the_naive_twin():
    from scipy.stats import binom

    rng, widths = np.random.default_rng(6), (4, 4)
    failing, passing = features(rng, 25, widths, 3.0), features(rng, 60, widths)
    passing[:6] += 3.0  # of the cause, but recognised
    plain = contrast.find_plain(failing, passing, widths)
    logs = np.log1p(passing.astype(float))
    spread = logs.std(axis=0)
    usual = np.concatenate([np.full(4, spread[:4].mean()), np.full(4, spread[4:].mean())])
    unit_vectors = [
        (np.log1p(row.astype(float)) - logs.mean(axis=0)) / (spread + usual) / 2
        for row in (*failing, *passing)
    ]
    for place in range(60):
        own = 25 + place
        distances = sorted(
            (float(np.square(unit_vectors[own] - other).sum()), number < 25)
            for number, other in enumerate(unit_vectors)
            if number != own
        )
        around = sum(is_failing for _, is_failing in distances[:10])
        assert plain[place] == (binom.sf(around - 1, 10, 25 / 84) > 0.05)
    assert not plain[:6].any()
    assert plain[6:].mean() > 0.9
