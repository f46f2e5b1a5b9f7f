"""Reduction in variance and differences of shares, against plain loops over the formulas."""

import math
from collections import Counter

import numpy as np
import pytest

from pipelines.clusters.variance_reduction import (
    compute_direction,
    compute_figures,
    compute_reductions,
    prepare_parameter,
    select_with_values,
)
from pipelines.data.parameters import Parameter

CATEGORIES = ("fog", "rain", "snow", "sun")


def naive_variance(values):
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1)


def naive_circular_variance(degrees):
    x = sum(math.cos(math.radians(angle)) for angle in degrees) / len(degrees)
    y = sum(math.sin(math.radians(angle)) for angle in degrees) / len(degrees)
    return 1 - math.sqrt(x * x + y * y)


def naive_figure(kind, own, everything):
    if kind == "category":
        shares, overall = (Counter(values) for values in (own, everything))
        return max(
            shares[code] / len(own) - overall[code] / len(everything) for code in {*everything}
        )
    variance = naive_circular_variance if kind == "angle" else naive_variance
    return 1 - variance(own) / variance(everything)


def random_parameter(rng, kind, count=80, missing=0.1):
    match kind:
        case "number":
            values = rng.normal(1e6, 3, count)
        case "angle":
            values = rng.uniform(-360, 720, count)
        case _:
            values = rng.integers(0, 4, count).astype(float)
    values[rng.random(count) < missing] = np.nan
    return Parameter("x", kind, values, CATEGORIES if kind == "category" else ())


@pytest.mark.parametrize("kind", ["number", "angle", "category"])
@pytest.mark.parametrize("seed", range(5))
def test_beginnings_of_groups_naively(kind, seed):
    rng = np.random.default_rng(seed)
    parameter = random_parameter(rng, kind)
    images_with_value = np.flatnonzero(~np.isnan(parameter.values))
    groups = np.stack([rng.permutation(images_with_value)[:40] for _ in range(6)])
    sizes = [3, 7, 8, 30]
    figures = compute_figures(prepare_parameter(parameter), groups, sizes)
    everything = parameter.values[images_with_value].tolist()
    for row, group in enumerate(groups):
        for column, size in enumerate(sizes):
            own = parameter.values[group[:size]].tolist()
            naive = naive_figure(kind, own, everything)
            assert figures[row, column] == pytest.approx(naive, abs=2e-9)


@pytest.mark.parametrize("kind", ["number", "angle", "category"])
def test_counting_in_parts_gives_the_same(kind, monkeypatch):
    rng = np.random.default_rng(0)
    parameter = prepare_parameter(random_parameter(rng, kind, missing=0))
    groups = np.stack([rng.permutation(80) for _ in range(9)])
    whole = compute_figures(parameter, groups, [5, 50])
    monkeypatch.setattr("pipelines.clusters.variance_reduction.COUNTS", 10)
    np.testing.assert_array_equal(compute_figures(parameter, groups, [5, 50]), whole)


@pytest.mark.parametrize("kind", ["number", "angle"])
def test_reductions_naively(kind):
    rng = np.random.default_rng(1)
    parameter = random_parameter(rng, kind)
    labels = rng.integers(-1, 4, 80).astype(np.int32)
    everything = [value for value in parameter.values.tolist() if not math.isnan(value)]
    rates = compute_reductions(parameter, labels)
    assert set(rates) == {0, 1, 2, 3}
    for group, (reduction, average) in rates.items():
        own = [v for v in parameter.values[labels == group].tolist() if not math.isnan(v)]
        assert reduction == pytest.approx(naive_figure(kind, own, everything), abs=2e-9)
        if kind == "number":
            assert average == pytest.approx(sum(own) / len(own))
        else:
            turns = [math.radians(value) for value in own]
            naive = math.atan2(sum(map(math.sin, turns)), sum(map(math.cos, turns)))
            assert average == pytest.approx(math.degrees(naive) % 360)


def test_a_random_group_of_numbers_is_not_reduced_on_average():
    rng = np.random.default_rng(0)
    parameter = prepare_parameter(Parameter("x", "number", rng.normal(size=200)))
    groups = np.stack([rng.permutation(200)[:4] for _ in range(20_000)])
    assert abs(compute_figures(parameter, groups, [4]).mean()) < 0.02  # 3 standard errors are 0.017


def test_a_large_mean_does_not_cancel():
    rng = np.random.default_rng(0)
    values = 1e9 + np.concatenate([rng.normal(0, 1, 50), rng.normal(0, 1e-3, 10)])
    inside = np.arange(50, 60)
    reduction = compute_figures(
        prepare_parameter(Parameter("x", "number", values)), inside[None], [10]
    )[0, 0]
    everything = (values - 1e9).tolist()
    assert reduction == pytest.approx(naive_figure("number", everything[50:], everything), abs=2e-9)


def test_groups_without_variance_are_equal():
    values = np.array([0.1] * 50 + [0.7] * 50 + [3.3])
    parameter = prepare_parameter(Parameter("x", "number", values))
    assert compute_figures(parameter, np.arange(50)[None], [3, 10, 50]).tolist() == [[1, 1, 1]]
    assert compute_figures(parameter, np.arange(50, 100)[None], [3, 10, 50]).tolist() == [[1, 1, 1]]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("number", [2, 2, np.nan, 2]),
        ("number", [np.nan] * 4),
        ("number", [0, 0, 0, 5e-324]),
        ("angle", [0, 360, 720, 0]),
        ("angle", [90] * 4),
        ("category", [1, 1, np.nan, 1]),
    ],
)
def test_what_is_constant_has_no_reduction(kind, values):
    categories = CATEGORIES if kind == "category" else ()
    assert (
        prepare_parameter(Parameter("x", kind, np.array(values, dtype=float), categories)) is None
    )


@pytest.mark.parametrize(
    ("count", "size", "enough"), [(2, 2, False), (3, 3, True), (3, 6, True), (3, 7, False)]
)
def test_too_few_values(count, size, enough):
    values = np.array([*range(count), *[np.nan] * (size - count), 100, 101], dtype=float)
    parameter = Parameter("x", "number", values)
    inside = select_with_values(prepare_parameter(parameter).defined, np.arange(size))
    assert (inside is not None) == enough
    labels = np.array([0] * size + [-1] * 2, dtype=np.int32)
    assert (0 in compute_reductions(parameter, labels)) == enough


def test_directions_across_zero():
    middle, length = compute_direction(np.array([350.0, 10.0, 350.0, 10.0]))
    assert (middle + 180) % 360 - 180 == pytest.approx(0)
    assert length == pytest.approx(math.cos(math.radians(10)))
