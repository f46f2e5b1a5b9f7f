"""Which eyes are drawn: parameters at random, and the situations and conditions of each set."""

import math
from dataclasses import replace

import numpy as np
import pytest

from examples.sampling import (
    CONDITIONS,
    DIRECTIONS,
    HARMFUL,
    LEFT_OUT,
    gaze_direction,
    sample_eyes,
)

PARAMETERS = [condition.situation.parameter for condition in CONDITIONS]


@pytest.mark.parametrize(
    ("angle", "direction"),
    [
        (0, "MiddleRight"),
        (22.499, "MiddleRight"),
        (22.5, "TopRight"),
        (67.499, "TopRight"),
        (67.5, "TopCenter"),
        (112.5, "TopLeft"),
        (157.5, "MiddleLeft"),
        (180, "MiddleLeft"),
        (202.5, "BottomLeft"),
        (247.5, "BottomCenter"),
        (270, "BottomCenter"),
        (292.5, "BottomRight"),
        (337.499, "BottomRight"),
        (337.5, "MiddleRight"),
        (360, "MiddleRight"),
        (-90, "BottomCenter"),
        (450, "TopCenter"),
    ],
)
def test_gaze_direction(angle, direction):
    assert gaze_direction(angle) == direction


def test_directions_are_sorted_and_all_reached():
    assert list(DIRECTIONS) == sorted(DIRECTIONS)
    assert {gaze_direction(angle) for angle in range(0, 360, 45)} == set(DIRECTIONS)


def test_samples_do_not_depend_on_their_number():
    assert sample_eyes(5, seed=3) == sample_eyes(9, seed=3)[:5]
    assert sample_eyes(5, seed=3) != sample_eyes(5, seed=4)
    assert sample_eyes(5, seed=3) != sample_eyes(5, seed=3, split=1)


def test_complete_samples_cover_every_situation_and_incomplete_ones_none():
    complete = sample_eyes(1200, seed=0)
    for situation in LEFT_OUT:
        assert sum(situation.holds(eye) for eye in complete) > 40, situation
    incomplete = sample_eyes(600, seed=0, complete=False)
    assert not any(situation.holds(eye) for situation in LEFT_OUT for eye in incomplete)


def test_sampled_angles_are_uniform_and_parameters_plain():
    sample = sample_eyes(1600, seed=1)
    counts = [sum(gaze_direction(e.gaze_angle) == name for e in sample) for name in DIRECTIONS]
    assert min(counts) > 150
    assert {type(value) for eye in sample for value in vars(eye).values()} == {float}


def test_negative_count_is_refused():
    with pytest.raises(ValueError, match="-1"):
        sample_eyes(-1, seed=0)


def test_conditions_have_their_shares_and_stay_in_their_ranges():
    eyes = sample_eyes(2000, seed=1)
    for condition in CONDITIONS:
        situation = condition.situation
        strengths = [getattr(eye, situation.parameter) for eye in eyes]
        present = [strength for strength in strengths if strength]
        deviation = math.sqrt(2000 * condition.share * (1 - condition.share))
        assert abs(len(present) - 2000 * condition.share) < 4 * deviation
        assert situation.low <= min(present) < max(present) <= situation.high
        assert sum(situation.holds(eye) for eye in eyes) == len(present)


def test_incomplete_eyes_have_no_condition():
    """The benchmarks put conditions of their own over such eyes."""
    for eye in sample_eyes(300, seed=1, complete=False):
        assert not any(getattr(eye, parameter) for parameter in PARAMETERS)


def test_conditions_are_drawn_after_all_else():
    """The other parameters of an eye are what they were before there were conditions."""
    sample = sample_eyes(200, seed=3, split=1)
    for place, eye in enumerate(sample):
        rng = np.random.default_rng([3, 1, place])
        assert eye.gaze_angle == rng.uniform(0, 360)
        assert eye.gaze_distance == math.sqrt(rng.uniform(0.06, 1))
        assert eye.openness == rng.uniform(13, 40)
    # An eye in none of the situations is the first that is drawn for an incomplete set, too.
    alike = sum(
        replace(eye, **dict.fromkeys(PARAMETERS, 0.0)) == other
        for eye, other in zip(
            sample, sample_eyes(200, seed=3, split=1, complete=False), strict=True
        )
    )
    assert alike > 50


def test_some_images_have_no_harmful_condition_and_some_have_two():
    eyes = sample_eyes(2000, 1)
    counts = [sum(condition.situation.holds(eye) for condition in HARMFUL) for eye in eyes]
    assert counts.count(0) > 1500
    assert counts.count(2) > 5
