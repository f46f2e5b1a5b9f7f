"""A drawn eye follows its parameters, in any size, and is the same byte for byte."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from examples.eye import Eye
from examples.eye_drawing import draw_eye
from examples.sampling import sample_eyes

# A nearly black iris in a light face: dark pixels are iris or pupil.
PLAIN = Eye(
    gaze_angle=0,
    gaze_distance=0.7,
    iris_paleness=0.0,
    skin_tone=0.0,
    hair_tone=1.0,
    lash_length=5.0,
    light=1.5,
)


def dark(picture, below=70):
    """Rows and columns of the dark pixels around the middle of the eyeball."""
    rows, columns = np.nonzero(picture[32:100, 25:135].max(axis=2) < below)
    return rows + 32, columns + 25


def test_a_picture_is_the_same_byte_for_byte():
    eye = sample_eyes(1, seed=5)[0]
    first = draw_eye(eye, seed=[1, 2])
    assert first.shape == (120, 160, 3)
    assert first.dtype == np.uint8
    assert first.tobytes() == draw_eye(eye, seed=[1, 2]).tobytes()
    assert first.tobytes() != draw_eye(eye, seed=[1, 3]).tobytes()


@pytest.mark.parametrize("size", [(16, 16), (80, 60), (320, 240), (100, 140)])
def test_any_size_shows_the_same_eye(size):
    picture = draw_eye(PLAIN, size)
    assert picture.shape == (size[1], size[0], 3)
    assert abs(picture.mean() - draw_eye(PLAIN).mean()) < 20


def test_too_small_a_picture_is_refused():
    with pytest.raises(ValueError, match="16"):
        draw_eye(PLAIN, (15, 100))


@pytest.mark.parametrize("head_yaw", [160, 175, 205, 220])
@pytest.mark.parametrize("head_pitch", [-20, 20])
@pytest.mark.parametrize("openness", [0, 40])
def test_extremes_can_be_drawn(head_yaw, head_pitch, openness):
    eye = replace(PLAIN, head_yaw=head_yaw, head_pitch=head_pitch, openness=openness)
    assert draw_eye(eye).std() > 5


@pytest.mark.parametrize("angle", range(0, 360, 45))
def test_the_iris_moves_in_the_direction_of_the_gaze(angle):
    wide = replace(PLAIN, openness=40, gaze_angle=angle, pupil_size=0.3)
    rows, columns = dark(draw_eye(wide))
    middle_rows, middle_columns = dark(draw_eye(replace(wide, gaze_distance=0)))
    right = columns.mean() - middle_columns.mean()
    up = middle_rows.mean() - rows.mean()
    assert np.hypot(right, up) > 6
    # The lids hide a part of the iris, so its visible middle is not exactly in line.
    error = (np.degrees(np.arctan2(up, right)) - angle + 180) % 360 - 180
    assert abs(error) < 20


def test_a_farther_gaze_moves_the_iris_farther():
    places = [dark(draw_eye(replace(PLAIN, gaze_distance=d)))[1].mean() for d in (0.1, 0.5, 0.9)]
    assert places[0] + 4 < places[1] < places[2] - 4


def test_light_brightens():
    means = [draw_eye(replace(PLAIN, light=light)).mean() for light in (0.05, 0.3, 1, 3)]
    assert all(a + 15 < b for a, b in pairwise(means))


def test_ambient_light_brightens():
    means = [draw_eye(replace(PLAIN, ambient=ambient, light=0.4)).mean() for ambient in (0.1, 0.6)]
    assert means[0] + 10 < means[1]


def test_lids_hide_the_iris():
    open_eye = replace(PLAIN, light=1.0, pupil_size=0.6)
    counts = [len(dark(draw_eye(replace(open_eye, openness=o)), 60)[0]) for o in (4, 12, 20, 30)]
    assert all(a + 30 < b for a, b in pairwise(counts))


def test_a_closed_eye_shows_neither_pupil_size_nor_gaze():
    shut_eye = replace(PLAIN, openness=0)
    other_eye = replace(shut_eye, pupil_size=0.8, iris_paleness=1.0)
    difference = np.abs(draw_eye(shut_eye).astype(int) - draw_eye(other_eye))
    assert (difference > 25).sum() < 30


def test_a_bigger_pupil_has_more_dark_pixels():
    pale = replace(PLAIN, iris_paleness=1.0, gaze_distance=0.0)
    counts = [len(dark(draw_eye(replace(pale, pupil_size=p)), 60)[0]) for p in (0.2, 0.5, 0.8)]
    assert all(a + 40 < b for a, b in pairwise(counts))


def test_a_bigger_iris_has_more_dark_pixels():
    counts = [len(dark(draw_eye(replace(PLAIN, iris_size=size)))[0]) for size in (14, 17, 20)]
    assert all(a + 40 < b for a, b in pairwise(counts))


def test_darker_skin_is_darker():
    means = [draw_eye(replace(PLAIN, skin_tone=tone)).mean() for tone in (0, 0.5, 1)]
    assert means[0] > means[1] + 15 > means[2] + 30


def test_a_pale_iris_is_bluer():
    def blueness(paleness):
        iris = draw_eye(replace(PLAIN, gaze_distance=0.0, iris_paleness=paleness))[56:76, 65:95]
        return iris[..., 2].mean() - iris[..., 0].mean()

    assert blueness(1.0) > blueness(0.2) + 20
