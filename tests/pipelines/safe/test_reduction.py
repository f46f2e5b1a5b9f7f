"""Scaling to unit length and principal components."""

import dataclasses
import math

import numpy as np
import pytest

from pipelines.safe import reduction

WIDTHS = (3, 7, 2)


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    values = rng.gamma(1.0, 3.0, (40, sum(WIDTHS))) * rng.uniform(0.1, 9, sum(WIDTHS))
    return values.astype(np.float32)


def scale_naively(features, widths):
    rows = []
    for row in features.tolist():
        values, start = [], 0
        for width in widths:
            layer_values = row[start : start + width]
            length = math.sqrt(sum(value * value for value in layer_values))
            values += [value / length for value in layer_values] if length else layer_values
            start += width
        rows.append(values)
    return np.array(rows)


def covariance_naively(rows):
    """Return the mean and the covariance (over n - 1) in plain Python."""
    rows = [list(map(float, row)) for row in rows]
    n, d = len(rows), len(rows[0])
    mean = [sum(row[j] for row in rows) / n for j in range(d)]
    covariance = [
        [
            sum((row[i] - mean[i]) * (row[j] - mean[j]) for row in rows) / max(n - 1, 1)
            for j in range(d)
        ]
        for i in range(d)
    ]
    return np.array(mean), np.array(covariance)


def axes_naively(rows):
    """Return the mean, the variances falling, and the axes (one a row)."""
    mean, covariance = covariance_naively(rows)
    variances, axes = np.linalg.eigh(covariance)
    return mean, variances[::-1], axes.T[::-1]


# --- unit length ------------------------------------------------------------------------------


def test_each_layers_part_gets_length_one_naively(features):
    unit_vectors = reduction.scale_to_unit_length(features, WIDTHS)
    assert unit_vectors.dtype == np.float32
    assert unit_vectors == pytest.approx(scale_naively(features, WIDTHS), rel=1e-5)
    start = 0
    for width in WIDTHS:
        lengths = np.linalg.norm(unit_vectors[:, start : start + width], axis=1)
        assert lengths == pytest.approx(np.ones(len(features)), rel=1e-6)
        start += width


def test_zeros_stay_zeros_layer_by_layer(features):
    features[4] = 0
    features[7, :3] = 0
    features[9, 3:10] = 0
    unit_vectors = reduction.scale_to_unit_length(features, WIDTHS)
    assert np.isfinite(unit_vectors).all()
    assert not unit_vectors[4].any()
    assert not unit_vectors[7, :3].any()
    assert not unit_vectors[9, 3:10].any()
    assert unit_vectors == pytest.approx(scale_naively(features, WIDTHS), rel=1e-5)


def test_scaling_forgets_how_bright_a_layer_is(features):
    brighter = features * np.repeat([5.0, 0.25, 40.0], WIDTHS).astype(np.float32)
    expected = reduction.scale_to_unit_length(features, WIDTHS)
    assert reduction.scale_to_unit_length(brighter, WIDTHS) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("unit_length", [True, False])
def test_features_that_were_given_are_left_as_they_are(features, unit_length):
    before = features.copy()
    reduction.scale_to_unit_length(features, WIDTHS)
    space = reduction.fit(features, WIDTHS, components=4, unit_length=unit_length, seed=0)
    reduction.apply(space, features)
    assert np.array_equal(features, before)


# --- the exact decomposition ------------------------------------------------------------------


@pytest.mark.parametrize("unit_length", [True, False])
def test_components_are_the_eigenvectors_of_the_covariance(features, unit_length):
    space = reduction.fit(features, WIDTHS, components=5, unit_length=unit_length, seed=0)
    rows = scale_naively(features, WIDTHS) if unit_length else features
    mean, variances, axes = axes_naively(rows)
    assert space.widths == WIDTHS
    assert space.unit_length is unit_length
    assert space.mean.dtype == space.components.dtype == np.float32
    assert space.mean == pytest.approx(mean, rel=1e-4)
    assert space.components.shape == (5, 12)
    for component, expected in zip(space.components, axes, strict=False):
        assert abs(float(component @ expected)) == pytest.approx(1, abs=1e-4)
        assert float(component @ component) == pytest.approx(1, abs=1e-5)
    assert space.explained == pytest.approx(sum(variances[:5]) / sum(variances), rel=1e-5)
    assert 0 < space.explained < 1


@pytest.mark.parametrize("unit_length", [True, False])
def test_new_images_are_projected_with_what_the_run_has_fitted(features, unit_length):
    space = reduction.fit(features[:30], WIDTHS, components=4, unit_length=unit_length, seed=0)
    new = features[30:]
    points = reduction.apply(space, new)
    assert points.dtype == np.float32
    assert points.shape == (10, 4)
    rows = scale_naively(new, WIDTHS) if unit_length else new.astype(float)
    mean, components = space.mean.astype(float), space.components.astype(float)
    for place, row in enumerate(rows):
        for number, axis in enumerate(components):
            naive = sum((x - m) * a for x, m, a in zip(row, mean, axis, strict=True))
            assert points[place, number] == pytest.approx(naive, rel=1e-4, abs=1e-4)
    assert reduction.apply(space, new[3:4])[0] == pytest.approx(points[3], abs=1e-5)


def test_projected_images_keep_the_variances_of_their_axes(features):
    space = reduction.fit(features, WIDTHS, components=6, unit_length=False, seed=0)
    points = reduction.apply(space, features)
    _, variances, _ = axes_naively(features)
    mean, covariance = covariance_naively(points)
    assert mean == pytest.approx(np.zeros(6), abs=1e-3)
    assert np.diag(covariance) == pytest.approx(variances[:6], rel=1e-3)
    off = covariance - np.diag(np.diag(covariance))
    assert np.abs(off).max() < 1e-3 * variances[0]


def test_all_components_keep_all_distances(features):
    space = reduction.fit(features, WIDTHS, components=256, unit_length=True, seed=0)
    points = reduction.apply(space, features)
    rows = scale_naively(features, WIDTHS)
    assert space.explained == pytest.approx(1, abs=1e-5)
    for i in range(10):
        for j in range(10):
            expected = math.dist(rows[i], rows[j])
            assert math.dist(points[i], points[j]) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    "n, components, width", [(40, 3, 3), (40, 12, 12), (40, 256, 12), (5, 256, 5), (2, 2, 2)]
)
def test_there_are_never_more_components_than_images_and_features(features, n, components, width):
    space = reduction.fit(features[:n], WIDTHS, components=components, unit_length=True, seed=0)
    assert space.components.shape == (width, 12)
    assert reduction.apply(space, features).shape == (40, width)
    assert np.isfinite(space.components).all()


def test_one_image_alone_is_reduced_to_the_origin(features):
    space = reduction.fit(features[:1], WIDTHS, components=50, unit_length=True, seed=0)
    assert space.components.shape == (1, 12)
    assert space.explained == 1
    assert reduction.apply(space, features[:1]) == pytest.approx(np.zeros((1, 1)), abs=1e-6)


@pytest.mark.parametrize("n", [12, 1000])
@pytest.mark.parametrize("unit_length", [True, False])
def test_images_that_are_all_equal_fall_on_one_point(features, unit_length, n):
    same = np.repeat(features[:1], n, axis=0)
    space = reduction.fit(same, WIDTHS, components=4, unit_length=unit_length, seed=0)
    points = reduction.apply(space, same)
    assert np.isfinite(space.components).all()
    assert 0 <= space.explained <= 1
    assert np.abs(points).max() < 1e-4 * np.linalg.norm(space.mean)
    assert np.array_equal(points, np.repeat(points[:1], n, axis=0))


def test_images_without_any_feature_are_no_error():
    dark = np.zeros((12, 5), dtype=np.float32)
    space = reduction.fit(dark, (5,), components=3, unit_length=True, seed=0)
    assert space.explained == 1
    assert not reduction.apply(space, dark).any()


# --- the randomised decomposition -------------------------------------------------------------


@pytest.fixture(scope="module")
def many():
    """Return 1,000 images whose 60 features lie near a space of 6 dimensions."""
    rng = np.random.default_rng(3)
    low = rng.normal(size=(1000, 6)) * [30, 20, 15, 10, 7, 5]
    values = low @ rng.normal(size=(6, 60)) + rng.normal(size=60) * 9
    return (values + rng.normal(size=values.shape) * 1e-2).astype(np.float32)


def test_many_images_get_the_same_space_as_the_exact_decomposition(many):
    assert len(many) == reduction.EXACT_BELOW
    space = reduction.fit(many, (60,), components=6, unit_length=False, seed=0)
    rows = many.astype(np.float64)
    mean = rows.mean(axis=0)
    variances, axes = np.linalg.eigh((rows - mean).T @ (rows - mean) / (len(rows) - 1))
    exact = axes.T[::-1][:6]
    assert space.mean == pytest.approx(mean, rel=1e-3, abs=1e-3)
    overlap = np.linalg.svd(space.components.astype(float) @ exact.T, compute_uv=False)
    assert overlap == pytest.approx(np.ones(6), abs=1e-4)
    for component, expected in zip(space.components, exact, strict=True):
        assert abs(float(component @ expected)) == pytest.approx(1, abs=1e-3)
    share = variances[::-1][:6].sum() / variances.sum()
    assert space.explained == pytest.approx(share, rel=1e-4)


def test_fewer_components_than_the_data_has_explain_their_share(many):
    space = reduction.fit(many, (60,), components=2, unit_length=False, seed=0)
    rows = many.astype(np.float64) - many.astype(np.float64).mean(axis=0)
    projections = rows @ space.components.T.astype(np.float64)
    assert space.explained == pytest.approx((projections**2).sum() / (rows**2).sum(), rel=1e-3)
    assert space.explained < 0.95


def test_many_images_are_limited_by_their_features(many):
    space = reduction.fit(many, (60,), components=256, unit_length=False, seed=0)
    assert space.components.shape == (60, 60)


@pytest.mark.parametrize("n", [999, 1000])
def test_the_same_seed_gives_the_same_bits(many, n):
    first, again = (
        reduction.fit(many[:n], (20, 40), components=5, unit_length=True, seed=7) for _ in range(2)
    )
    for field in dataclasses.fields(reduction.Reduction):
        value, other = getattr(first, field.name), getattr(again, field.name)
        assert np.array_equal(value, other), field.name
    assert np.array_equal(reduction.apply(first, many), reduction.apply(again, many))


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("components", [0, -3])
def test_no_component_is_an_error(features, components):
    with pytest.raises(ValueError, match=f"components: expected at least 1, received {components}"):
        reduction.fit(features, WIDTHS, components=components, unit_length=True, seed=0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_an_error(features, value):
    features[3, 5] = value
    with pytest.raises(ValueError):
        reduction.fit(features, WIDTHS, components=2, unit_length=False, seed=0)


def test_a_projection_of_some_layers_is_the_same_from_the_features_of_all(features):
    columns = np.r_[0:3, 10:12]
    space = reduction.fit(features[:, columns], (3, 2), components=4, unit_length=True, seed=0)
    embedding = reduction.embed(space, WIDTHS, columns)
    expected = reduction.apply(space, features[:, columns])
    np.testing.assert_allclose(reduction.apply(embedding, features), expected, atol=1e-5)
    assert embedding.widths == WIDTHS
