"""Who lies next to an unsafe value: the paper's definition in plain loops, and its corners."""

import math
from itertools import pairwise

import numpy as np
import pytest

from pipelines.clusters.unsafe_values import UnsafeValue, find_coverage, read_unsafe_values
from pipelines.data.parameters import (
    Parameter,
    Problem,
)
from pipelines.runs.errors import InputError
from tests.pipelines.clusters.test_variance_reduction import naive_figure
from tests.pipelines.data.saved import save


def naive_next_to(value, unsafe, everyone, everything, kind):
    """HUDD, RQ1.3: "the difference is below 25% of the subrange including the average value"."""
    if unsafe.side == "at most":
        return value <= unsafe.value
    if unsafe.side == "at least":
        return value >= unsafe.value
    splits = {
        value.value
        for value in everyone
        if value.side == "near" and value.parameter == unsafe.parameter
    }
    distance = abs(value - unsafe.value)
    if kind == "angle":
        distance = min(distance, 360 - distance)
        below = min((value - split) % 360 for split in splits)
        above = min((split - value) % 360 or 360 for split in splits)
        return distance < 0.25 * (below + above)
    borders = sorted({*splits, min(everything), max(everything)})
    return any(
        distance < 0.25 * (high - low) for low, high in pairwise(borders) if low <= value <= high
    )


def naive_average(values, kind):
    if kind == "number":
        return sum(values) / len(values)
    turns = [math.radians(value) for value in values]
    return math.degrees(math.atan2(sum(map(math.sin, turns)), sum(map(math.cos, turns)))) % 360


@pytest.mark.parametrize("kind", ["number", "angle"])
@pytest.mark.parametrize("seed", range(10))
def test_coverage_naively(kind, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, 8, 120).astype(np.int32)
    centres = rng.uniform(0, 360, 9)
    values = np.where(labels < 4, rng.normal(centres[labels], 20), rng.uniform(0, 360, 120))
    values = values % 360 if kind == "angle" else values
    values[rng.random(120) < 0.1] = np.nan
    sides = ["near", "near", "near", "at most", "at least"]
    unsafe = [UnsafeValue("x", float(rng.uniform(-20, 380)) % 360, side) for side in sides]
    if kind == "number":
        unsafe[0] = UnsafeValue("x", 500.0)
    unsafe += [UnsafeValue("y", 0.0, "near")]
    parameters = [Parameter("y", "number", rng.normal(size=120)), Parameter("x", kind, values)]
    coverage = find_coverage(unsafe, parameters, labels)
    assert [value.unsafe for value in coverage] == unsafe
    everything = [value for value in values.tolist() if not math.isnan(value)]
    for value in coverage[:-1]:
        images = sum(naive_next_to(v, value.unsafe, unsafe, everything, kind) for v in everything)
        clusters = []
        for cluster in range(8):
            own = [v for v in values[labels == cluster].tolist() if not math.isnan(v)]
            average = naive_average(own, kind)
            if naive_figure(kind, own, everything) >= 0.5 and naive_next_to(
                average, value.unsafe, unsafe, everything, kind
            ):
                clusters.append(cluster)
        assert (value.images, value.clusters) == (images, clusters)


def images_next_to(values, *limits, kind="number", side="near"):
    """Return how many values are next to each limit."""
    parameter = Parameter("x", kind, np.array(values, dtype=float))
    unsafe = [UnsafeValue("x", limit, side) for limit in limits]
    labels = np.full(len(values), -1, dtype=np.int32)
    return [value.images for value in find_coverage(unsafe, [parameter], labels)]


def test_a_single_value_splits_the_range_in_two():
    # 0 to 40 and 40 to 100: below 10 and below 15 away.
    assert images_next_to([0, 30, 30.1, 40, 54.9, 55, 100], 40) == [3]


def test_the_range_extends_to_the_unsafe_values():
    # 0 to 10 of the images and 10 to 50: below 2.5 away.
    assert images_next_to([0, 7.5, 10], 50) == [0]
    assert images_next_to([0, 8, 10, 40], 50) == [0]
    assert images_next_to([0, 8, 10, 49], 50) == [1]


def test_a_value_on_the_border_is_in_both_subranges():
    # On 10, it is 5 from 5, in the subranges 5 to 10 and 10 to 100.
    assert images_next_to([0, 10, 100], 5, 10) == [1, 1]
    # On 10, it is 90 from 100.
    assert images_next_to([0, 10, 100], 10, 100) == [1, 1]


def test_equal_unsafe_values_split_once():
    assert images_next_to([0, 30, 31, 40, 100], 40, 40) == [2, 2]


def test_what_equals_the_only_value_is_next_to_it():
    assert images_next_to([7, 7, 7], 7) == [3]
    assert images_next_to([7, 7, 7], 8) == [0]


def test_a_single_angle_has_the_whole_circle():
    assert images_next_to([271, 270, 350, 0, 89, 90, 180], 0, kind="angle") == [4]
    assert images_next_to([271, 270, 350, 0, 89, 90, 180], 360, kind="angle") == [4]


def test_angles_wrap():
    # Eight subranges of 45 degrees: below 11.25 away.
    limits = [22.5 + 45 * number for number in range(8)]
    values = [337.5, 348.7, 348.8, 0, 11.2, 11.3, 382.5, -22.5, 45]
    counts = images_next_to(values, *limits, kind="angle")
    assert counts == [2, 0, 0, 0, 0, 0, 0, 3]


def test_limits_are_compared_directly():
    values = [-20, -16, -15.9, np.nan]
    assert images_next_to(values, -16, side="at most") == [2]
    assert images_next_to(values, -16, side="at least") == [2]
    # They do not split the range for the others.
    parameter = Parameter("x", "number", np.array([0.0, 30, 100]))
    labels = np.full(3, -1, dtype=np.int32)
    unsafe = [UnsafeValue("x", 0), UnsafeValue("x", 31, "at most")]
    assert [value.images for value in find_coverage(unsafe, [parameter], labels)] == [1, 2]


def test_an_average_equals_a_limit_in_spite_of_rounding():
    assert np.full(6, 0.7).mean() > 0.7 or np.full(3, 0.1).mean() > 0.1
    for value, size in ((0.7, 6), (0.1, 3)):
        values = np.concatenate([np.full(size, value), np.linspace(5, 50, 20)])
        labels = np.repeat([0, -1], [size, 20]).astype(np.int32)
        unsafe = [UnsafeValue("x", value, "at most"), UnsafeValue("x", value, "at least")]
        coverage = find_coverage(unsafe, [Parameter("x", "number", values)], labels)
        assert [value.clusters for value in coverage] == [[0], [0]]


def test_a_cluster_that_varies_much_covers_nothing():
    values = np.array([38.0, 39, 41, 42, 0, 80, 10, 70, *np.linspace(0, 100, 30)])
    labels = np.repeat([0, 1, -1], [4, 4, 30]).astype(np.int32)
    (coverage,) = find_coverage([UnsafeValue("x", 40)], [Parameter("x", "number", values)], labels)
    assert coverage.clusters == [0]


def test_clusters_of_two_images_cover_nothing():
    values = np.array([40.0, 40, *np.linspace(0, 100, 30)])
    labels = np.repeat([0, -1], [2, 30]).astype(np.int32)
    (coverage,) = find_coverage([UnsafeValue("x", 40)], [Parameter("x", "number", values)], labels)
    assert coverage.clusters == []


def test_no_unsafe_values():
    assert find_coverage([], [], np.zeros(3, dtype=np.int32)) == []


@pytest.mark.parametrize("kind", ["number", "angle"])
@pytest.mark.parametrize("side", ["near", "at most", "at least"])
def test_a_parameter_without_values_has_nothing_next_to_it(kind, side):
    parameter = Parameter("x", kind, np.full(3, np.nan))
    (coverage,) = find_coverage(
        [UnsafeValue("x", 40, side)], [parameter], np.zeros(3, dtype=np.int32)
    )
    assert (coverage.images, coverage.clusters) == (0, [])


def test_values_of_other_parameters_are_refused():
    category = Parameter("x", "category", np.zeros(3), ("a",))
    for name in "xy":
        with pytest.raises(ValueError, match="no number or angle"):
            find_coverage([UnsafeValue(name, 1)], [category], np.zeros(3, dtype=np.int32))


HEAD_YAWS = (
    Parameter("gaze", "angle", np.zeros(2)),
    Parameter("yaw", "number", np.zeros(2)),
    Parameter("sky", "category", np.zeros(2), ("blue",)),
)


def test_unsafe_values(tmp_path):
    text = "Parameter,Value,side\nyaw,160,\nyaw,2.5e1,At Most\ngaze,-22.5,near\ngaze,360,at least\n"
    values, problems = read_unsafe_values(save(tmp_path, text), HEAD_YAWS)
    assert values == (
        UnsafeValue("yaw", 160, "near"),
        UnsafeValue("yaw", 25, "at most"),
        UnsafeValue("gaze", 337.5, "near"),
        UnsafeValue("gaze", 0, "at least"),
    )
    assert problems == ()


def test_unsafe_values_without_a_side(tmp_path):
    values, problems = read_unsafe_values(
        save(tmp_path, "value;parameter\n22,5;yaw\n1.5;yaw\n"), HEAD_YAWS
    )
    assert values == (UnsafeValue("yaw", 22.5), UnsafeValue("yaw", 1.5))
    assert [problem.row for problem in problems] == [0]


@pytest.mark.parametrize(
    ("row", "column", "what"),
    [
        ("roll,1,near", "parameter", "expected gaze, yaw, received 'roll': row left out"),
        (",1,near", "parameter", "expected gaze, yaw, received ''"),
        ("sky,1,near", "parameter", "expected a number or an angle, received the category 'sky'"),
        ("yaw,one,near", "value", "expected a number, received 'one': row left out"),
        ("yaw,,near", "value", "expected a number, received an empty cell"),
        ("yaw,inf,near", "value", "expected a number, received 'inf'"),
        ("yaw,1,below", "side", "expected near, at most, at least, received 'below'"),
        ("yaw,160,", "", "received that of row 2 again: row left out"),
        ("yaw,1,near,2", "", "expected 3 cells, received 4: row left out"),
        ('yaw,one,"ne\nar"', "value", "expected a number"),
    ],
)
def test_an_unsafe_value_that_cannot_be_used_is_told(tmp_path, row, column, what):
    file = save(tmp_path, f"parameter,value,side\nyaw,160,near\n\n{row}\nyaw,170,near\n")
    values, problems = read_unsafe_values(file, HEAD_YAWS)
    assert values == (UnsafeValue("yaw", 160), UnsafeValue("yaw", 170))
    assert [(problem.row, problem.column) for problem in problems] == [(4, column)]
    assert what in problems[0].what


def test_columns_of_unsafe_values_that_mean_nothing_are_told(tmp_path):
    file = save(tmp_path, "parameter,value,Comment\nyaw,1,x\n")
    _, problems = read_unsafe_values(file, HEAD_YAWS)
    what = "expected parameter, value, side, received this column: left out"
    assert problems == (Problem("parameters.csv", 1, "Comment", what),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("yaw,160\nyaw,170\n", "expected the columns parameter, value .* received yaw, 160"),
        ("parameter,value\nsky,1\nroll,1\n", "expected unsafe values .*row 3: .*'roll'.*gaze, yaw"),
        ("parameter\nyaw\n", "expected two columns or more"),
        ("parameter,value\n", "expected rows below the titles"),
    ],
)
def test_a_table_of_unsafe_values_that_cannot_be_used_at_all(tmp_path, text, message):
    file = save(tmp_path, text)
    with pytest.raises(InputError, match=message) as refusal:
        read_unsafe_values(file, HEAD_YAWS)
    assert str(file) in str(refusal.value)
