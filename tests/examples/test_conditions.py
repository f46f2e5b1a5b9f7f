"""Conditions put over a picture: pixel by pixel as defined, and no change without a condition."""

import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from examples.conditions import add_fog, add_glare, blur, put_bar, put_on_sunglasses
from examples.eye import Eye
from examples.eye_drawing import draw_eye
from examples.sampling import CONDITIONS

PLAIN = Eye(gaze_angle=30, gaze_distance=0.7)
SITUATIONS = [condition.situation for condition in CONDITIONS]
STRONGEST = {situation.parameter: situation.high for situation in SITUATIONS}


@pytest.fixture
def image():
    rng = np.random.default_rng(4)
    return Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))


def pixels(image):
    return np.asarray(image).astype(int)


def test_fog_is_a_share_of_light_grey(image):
    expected = [
        [[0.7 * c + 0.3 * f for c, f in zip(p, (200, 205, 210), strict=True)] for p in row]
        for row in pixels(image)
    ]
    assert np.abs(pixels(add_fog(image, 0.3)) - expected).max() <= 1


def test_glare_adds_a_bell_of_light_that_clips(image):
    picture = pixels(add_glare(image, 300, (5.5, 4.25), 0.3))
    for row in range(12):
        for column in range(16):
            distance = math.hypot(column - 5.5, row - 4.25) / 16
            light = 300 * math.exp(-((distance / 0.3) ** 2))
            for channel in range(3):
                expected = min(255, pixels(image)[row, column, channel] + light)
                assert abs(picture[row, column, channel] - expected) < 1


def test_blur_spreads_a_point_as_far_as_its_radius():
    point = np.zeros((81, 81, 3), np.uint8)
    point[40, 40] = 255
    for radius in (1, 2):
        # One image alone would round the tails away.
        spread = pixels(blur(Image.fromarray(point), radius))[40, :, 0]
        away = np.arange(81) - 40
        assert np.sqrt((spread * away**2).sum() / spread.sum()) == pytest.approx(radius, rel=0.2)


@pytest.mark.parametrize("width", [160, 320])
def test_a_lens_keeps_its_share_of_the_light_and_spares_what_is_beside_it(width):
    height = 3 * width // 4
    rng = np.random.default_rng(6)
    image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    lens = (0.1 * width, 0.25 * height, 0.9 * width, 0.8 * height)
    before, after = pixels(image), pixels(put_on_sunglasses(image, 0.8, lens))
    inside = np.s_[int(0.4 * height) : int(0.6 * height), int(0.2 * width) : int(0.8 * width)]
    assert np.abs(after[inside] - (0.2 * before[inside] + 0.8 * np.array((22, 22, 26)))).max() <= 1
    assert (after[: int(0.2 * height)] == before[: int(0.2 * height)]).all()
    assert (after[:, int(0.95 * width) :] == before[:, int(0.95 * width) :]).all()
    assert (pixels(put_on_sunglasses(image, 0, lens)) == before).all()


def test_a_bar_covers_what_lies_between_its_edges_and_nothing_else():
    image = Image.fromarray(np.full((120, 160, 3), 7, np.uint8))
    picture = pixels(put_bar(image, 40, 60, 10, (200, 100, 50)))
    for row in range(120):
        left_edge = 60 + 10 * (1 - 2 * row / 120)
        for column in range(160):
            if left_edge + 1 < column < left_edge + 39:
                assert picture[row, column].tolist() == [200, 100, 50]
            elif column < left_edge - 1 or column > left_edge + 41:
                assert picture[row, column].tolist() == [7, 7, 7]


def test_a_picture_without_conditions_can_be_drawn_on():
    picture = draw_eye(PLAIN)
    picture[0, 0] = 0
    assert picture.flags.writeable
    assert draw_eye(replace(PLAIN, fog_share=0.5)).flags.writeable


@pytest.mark.parametrize("parameter", STRONGEST)
def test_a_condition_changes_the_picture_more_the_stronger_it_is(parameter):
    plain = draw_eye(PLAIN).astype(int)
    changes = [
        np.abs(draw_eye(replace(PLAIN, **{parameter: share * STRONGEST[parameter]})) - plain).mean()
        for share in (0.25, 0.5, 1)
    ]
    assert 0.2 < changes[0] < changes[1] < changes[2]


@pytest.mark.parametrize("parameter", STRONGEST)
def test_a_condition_is_of_the_same_size_in_pictures_of_any_size(parameter):
    eye = replace(PLAIN, **{parameter: STRONGEST[parameter]})
    shrunk = Image.fromarray(draw_eye(eye, (320, 240))).reduce(2)
    assert np.abs(pixels(shrunk) - draw_eye(eye)).mean() < 8


def test_what_a_bar_leaves_free_is_the_picture_without_it():
    differences = (draw_eye(replace(PLAIN, bar_width=40)) != draw_eye(PLAIN)).any(axis=2)
    assert 30 <= differences.sum(axis=1).max() <= 42
    assert not differences[:, :20].any()
    assert not differences[:, -20:].any()
