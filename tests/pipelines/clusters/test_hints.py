"""What sets a cluster apart: effect sizes against plain loops, and when nothing is said."""

import math

import numpy as np
import pytest

from pipelines.clusters.hints import LARGE, _deltas, _prepare, find_hints
from pipelines.data.properties import Property

BRIGHTNESS = Property("brightness", "darker", "brighter", "mean brightness", "{:.2f}".format, 0.04)
SHARPNESS = Property("sharpness", "blurrier", "sharper", "sharpness", "{:.2f}".format, 0.04)
NOISE = Property("noise", "", "noisier", "noise", "{:.1f}".format, 0.04)
HUE = Property("hue", "of another colour", "of another colour", "hue", "{:.0f}".format, 20, 360)
EDGES = Property(
    "edges", "otherwise oriented", "otherwise oriented", "at", "{:.0f}".format, 20, 180
)


def naive_delta(own, rest):
    larger = sum(int(a > b) - int(a < b) for a in own for b in rest)
    return larger / (len(own) * len(rest))


def delta_of(property_, values, inside, passing=()):
    every = np.asarray([*values, *passing], dtype=float)
    column = _prepare(every, property_, np.arange(len(every)) >= len(values))
    return _deltas(column, np.asarray(inside)[None])[0]


@pytest.mark.parametrize("seed", range(5))
def test_delta_naively_with_ties_and_missing_values(seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 12, 60).astype(float)
    values[rng.choice(60, 10, replace=False)] = math.nan
    inside = rng.choice(60, 15, replace=False)
    own = [values[i] for i in inside if not math.isnan(values[i])]
    rest = [values[i] for i in range(60) if i not in inside and not math.isnan(values[i])]
    assert delta_of(BRIGHTNESS, values, inside) == pytest.approx(naive_delta(own, rest))


@pytest.mark.parametrize("property_", [HUE, EDGES])
@pytest.mark.parametrize("seed", range(5))
def test_circular_delta_naively(seed, property_):
    rng = np.random.default_rng(seed)
    step = property_.period / 360  # the effect is computed in 360ths of a turn
    values = step * rng.integers(0, 360, 60)
    inside = rng.choice(60, 15, replace=False)
    values[inside] = step * (rng.integers(-40, 40, 15) % 360)
    values[rng.choice(60, 10, replace=False)] = math.nan
    turns = [
        None if math.isnan(value) else 2 * math.pi * value / property_.period for value in values
    ]
    own = [turns[i] for i in inside if turns[i] is not None]
    rest = [turns[i] for i in range(60) if i not in inside and turns[i] is not None]
    middle = math.atan2(sum(map(math.sin, own)), sum(map(math.cos, own)))
    middle = math.radians(round(math.degrees(middle)))

    def distance(turn):
        return round(math.degrees(math.acos(max(-1, min(1, math.cos(turn - middle))))))

    naive = -naive_delta([distance(turn) for turn in own], [distance(turn) for turn in rest])
    assert delta_of(property_, values, inside) == pytest.approx(max(0, naive))


@pytest.mark.parametrize("seed", range(5))
def test_delta_against_passing_images_naively(seed):
    rng = np.random.default_rng(seed)
    values, passing = rng.integers(0, 12, 40).astype(float), rng.integers(2, 14, 70).astype(float)
    values[::6] = passing[::9] = math.nan
    inside = rng.choice(40, 12, replace=False)
    own = [values[i] for i in inside if not math.isnan(values[i])]
    rest = [value for value in passing if not math.isnan(value)]
    expected = naive_delta(own, rest)
    assert delta_of(BRIGHTNESS, values, inside, passing) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_circular_delta_against_passing_images_naively(seed):
    rng = np.random.default_rng(seed)
    values, passing = rng.integers(0, 60, 30).astype(float), rng.integers(0, 360, 50).astype(float)
    inside = np.arange(12)
    middle = math.atan2(
        sum(math.sin(math.radians(v)) for v in values[:12]),
        sum(math.cos(math.radians(v)) for v in values[:12]),
    )
    middle = round(math.degrees(middle))

    def distance(value):
        return abs((value - middle + 180) % 360 - 180)

    naive = -naive_delta([distance(v) for v in values[:12]], [distance(v) for v in passing])
    assert delta_of(HUE, values, inside, passing) == pytest.approx(max(0, naive))


def test_what_passing_images_share_is_not_said_and_what_they_lack_is():
    rng = np.random.default_rng(3)
    values, passing = rng.normal(0.5, 0.05, (120, 2)), rng.normal(0.5, 0.05, (200, 2))
    labels = np.repeat([0, 1], [40, 80]).astype(np.int32)
    values[:40, 0] -= 0.3
    passing[:, 0] -= 0.3  # the cluster is as dark as passing images: the other one is bright
    values[:40, 1] += 0.3
    hints = find_hints(values, labels, seed=0, properties=(BRIGHTNESS, SHARPNESS), passing=passing)
    assert [hint.key for hint in hints[0]] == ["sharpness"]
    own, rest = np.median(values[:40, 1]), np.median(passing[:, 1])
    assert hints[0][0].words == (
        f"much sharper than passing images: sharpness {own:.2f} against {rest:.2f}"
    )
    assert hints[0][0].rest_figure == rest
    assert [hint.key for hint in hints[1]] == ["brightness"]


def test_random_groups_of_passing_images_get_no_hint():
    count = 0
    for draw in range(200):
        rng = np.random.default_rng(draw)
        values, passing = rng.normal(0, 1, (8, 3)), rng.normal(0, 1, (120, 3))
        hints = find_hints(
            values, np.zeros(8, np.int32), seed=draw,
            properties=(BRIGHTNESS, SHARPNESS, NOISE), passing=passing,
        )  # fmt: skip
        count += bool(hints[0])
    assert count <= 20


def groups(rng, count=200, properties=5):
    labels = np.repeat([0, 1, -1], [40, count - 60, 20]).astype(np.int32)
    return rng.normal(0.5, 0.1, (count, properties)), labels


def test_the_strongest_comes_first_in_plain_words_with_figures():
    rng = np.random.default_rng(0)
    values, labels = groups(rng, properties=2)
    values[labels == 0, 0] -= 0.2
    values[labels == 0, 1] += 0.4
    hints = find_hints(values, labels, seed=0, properties=(BRIGHTNESS, SHARPNESS))[0]
    assert [hint.key for hint in hints] == ["sharpness", "brightness"]
    own, rest = (np.median(values[mask, 1]) for mask in (labels == 0, labels != 0))
    assert hints[0].words == f"much sharper than the rest: sharpness {own:.2f} against {rest:.2f}"
    assert (hints[0].cluster_figure, hints[0].rest_figure) == (own, rest)
    spread = 1.4826 * np.median(np.abs(values[labels != 0, 1] - rest))
    assert hints[0].difference == pytest.approx((own - rest) / spread)
    assert hints[1].effect < -LARGE
    assert "darker than the rest: mean brightness 0." in hints[1].words


def test_clear_differences_are_ranked_by_how_far_apart_they_are():
    rng = np.random.default_rng(0)
    values, labels = groups(rng, properties=2)
    values[labels == 0] += [3, 30]
    hints = find_hints(values, labels, seed=0, properties=(BRIGHTNESS, SHARPNESS))[0]
    assert [hint.effect for hint in hints] == [1, 1]
    assert [hint.key for hint in hints] == ["sharpness", "brightness"]


def test_large_is_said_without_much():
    values = np.linspace(0, 1, 200)[:, None]
    labels = np.where(values[:, 0] > 0.75, 0, -1).astype(np.int32)
    hint = find_hints(values, labels, seed=0, properties=(BRIGHTNESS,))[0][0]
    assert hint.words.startswith("brighter than the rest")


def test_the_rest_is_all_other_images_noise_included():
    values = np.array([0.0] * 30 + [1.0] * 30 + [5.0] * 60)[:, None]
    labels = np.repeat([0, 1, -1], [30, 30, 60]).astype(np.int32)
    hints = find_hints(values, labels, seed=0, properties=(BRIGHTNESS,))
    assert set(hints) == {0, 1}
    assert hints[0][0].rest_figure == 5


def test_random_groups_get_no_hint():
    count = 0
    properties = (BRIGHTNESS, SHARPNESS, NOISE, HUE, EDGES)
    for draw in range(200):
        rng = np.random.default_rng(draw)
        values = np.column_stack(
            [rng.normal(0, 1, (60, 3)), rng.uniform(0, 360, 60), rng.uniform(0, 180, 60)]
        )
        labels = np.full(60, -1, dtype=np.int32)
        labels[rng.choice(60, 6, replace=False)] = 0
        count += bool(find_hints(values, labels, seed=draw, properties=properties)[0])
    assert count <= 20  # 5 % of 200 are 10; more than 20 would be one case in a thousand


def test_a_difference_nobody_sees_is_not_said():
    values, labels = groups(np.random.default_rng(0), properties=1)
    values = values * 0.001 + 0.02 * (labels == 0)[:, None]
    assert delta_of(BRIGHTNESS, values[:, 0], np.flatnonzero(labels == 0)) == 1
    assert find_hints(values, labels, seed=0, properties=(BRIGHTNESS,))[0] == []


def test_a_sign_without_a_word_is_not_said():
    values, labels = groups(np.random.default_rng(0), properties=1)
    values[labels == 0] -= 5
    assert find_hints(values, labels, seed=0, properties=(NOISE,))[0] == []
    values[labels == 0] += 10
    assert find_hints(values, labels, seed=0, properties=(NOISE,))[0][0].key == "noise"


def test_missing_values_are_left_out():
    values, labels = groups(np.random.default_rng(0), properties=2)
    values[labels == 0] += 0.5
    values[labels == 0, 1] = np.where(np.arange(40) < 21, math.nan, values[labels == 0, 1])
    values[::7, 0] = math.nan
    hints = find_hints(values, labels, seed=0, properties=(BRIGHTNESS, SHARPNESS))[0]
    assert [hint.key for hint in hints] == ["brightness"]  # most have no sharpness
    assert hints[0].cluster_figure == np.nanmedian(values[labels == 0, 0])


def test_a_property_that_no_image_has():
    values, labels = groups(np.random.default_rng(0), properties=2)
    values[:] = math.nan
    assert find_hints(values, labels, seed=0, properties=(BRIGHTNESS, HUE)) == {0: [], 1: []}


def test_hues_around_the_end_of_the_circle():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, -1], [30, 120]).astype(np.int32)
    hues = np.where(labels == 0, rng.normal(0, 8, 150), rng.normal(180, 50, 150)) % 360
    hint = find_hints(hues[:, None], labels, seed=0, properties=(HUE,))[0][0]
    assert min(hint.cluster_figure, 360 - hint.cluster_figure) < 5
    assert hint.effect > 0.9
    assert hint.words.startswith("of another colour than the rest: hue ")


def test_edges_at_0_and_180_degrees_are_the_same():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, -1], [30, 120]).astype(np.int32)
    angles = np.where(labels == 0, rng.normal(1, 3, 150), rng.normal(179, 3, 150)) % 180
    assert find_hints(angles[:, None], labels, seed=0, properties=(EDGES,))[0] == []


def test_a_cluster_of_one_image():
    values, labels = groups(np.random.default_rng(0))
    labels[0] = 2
    properties = (BRIGHTNESS, SHARPNESS, NOISE, HUE, EDGES)
    assert set(find_hints(values, labels, seed=0, properties=properties)) == {0, 1, 2}


def test_one_cluster_of_everything_has_no_rest():
    values = np.random.default_rng(0).normal(size=(20, 2))
    labels = np.zeros(20, dtype=np.int32)
    assert find_hints(values, labels, seed=0, properties=(BRIGHTNESS, HUE)) == {0: []}


def test_nothing_but_noise():
    labels = np.full(5, -1, dtype=np.int32)
    assert find_hints(np.zeros((5, 1)), labels, seed=0, properties=(BRIGHTNESS,)) == {}
    assert find_hints(np.zeros((0, 1)), labels[:0], seed=0, properties=(BRIGHTNESS,)) == {}


@pytest.mark.parametrize("property_", [BRIGHTNESS, HUE])
def test_a_constant_property_sets_nothing_apart(property_):
    labels = np.repeat([0, -1], [30, 120]).astype(np.int32)
    values = np.full((150, 1), 0.3)
    assert delta_of(property_, values[:, 0], np.arange(30)) == 0
    assert find_hints(values, labels, seed=0, properties=(property_,))[0] == []


def test_the_same_seed_gives_the_same_hints():
    rng = np.random.default_rng(0)
    values, labels = groups(rng, properties=1)
    values[labels == 0] += 0.15
    first, second = (find_hints(values, labels, seed=3, properties=(BRIGHTNESS,)) for _ in "ab")
    assert first == second


def test_values_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="shape"):
        find_hints(np.zeros((3, 2)), np.zeros(3, dtype=np.int32), seed=0, properties=(HUE,))


def test_against_few_passing_images_chance_gives_few_hints():
    count = 0
    for draw in range(100):
        rng = np.random.default_rng(draw)
        values, passing = rng.normal(0, 1, (12, 5)), rng.normal(0, 1, (12, 5))
        properties = tuple(
            Property(f"p{place}", "lower", "higher", "figure", "{:.2f}".format, 0.01)
            for place in range(5)
        )
        hints = find_hints(
            values, np.zeros(12, np.int32), seed=draw, properties=properties, passing=passing
        )
        count += bool(hints[0])
    assert count <= 12


@pytest.mark.parametrize("with_passing", [False, True])
def test_frames_of_a_few_tracks_get_no_hint_for_what_tracks_differ_in(with_passing):
    """Three tracks of eight frames each differ from others as any three tracks do."""
    by_image = by_subject = 0
    properties = (BRIGHTNESS, SHARPNESS, NOISE)
    for draw in range(100):
        rng = np.random.default_rng(draw)
        tracks = rng.normal(0, 1, (40, 3))
        frames = np.repeat(tracks, 8, axis=0) + rng.normal(0, 0.1, (320, 3))
        subjects = np.repeat(np.arange(40), 8)
        labels = np.where(subjects < 3, 0, -1).astype(np.int32)
        passing = None
        if with_passing:
            frames, labels, passing = frames[:160], labels[:160], frames[160:]
        alone, together = (
            find_hints(frames, labels, seed=draw, properties=properties, passing=passing,
                       subjects=numbers)[0]
            for numbers in (None, subjects)
        )  # fmt: skip
        by_image += bool(alone)
        by_subject += bool(together)
    assert by_subject <= 12  # 5 % of 100 are 5; more than 12 would be one case in a thousand
    assert by_image > 25  # what the subjects are for


def test_what_a_clusters_tracks_share_beyond_chance_is_said():
    rng = np.random.default_rng(0)
    tracks = rng.normal(0, 1, 30)
    tracks[:8] = rng.normal(6, 1, 8)
    subjects = np.repeat(np.arange(30), 5)
    values = (tracks[subjects] + rng.normal(0, 0.1, 150))[:, None]
    labels = np.where(subjects < 8, 0, -1).astype(np.int32)
    hints = find_hints(values, labels, seed=0, properties=(BRIGHTNESS,), subjects=subjects)
    assert [hint.key for hint in hints[0]] == ["brightness"]
