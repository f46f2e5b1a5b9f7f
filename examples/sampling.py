"""The eyes that the example draws: random parameters, and situations that only some sets have."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from examples.eye import Eye

_COUNTER_CLOCKWISE = (
    "MiddleRight",
    "TopRight",
    "TopCenter",
    "TopLeft",
    "MiddleLeft",
    "BottomLeft",
    "BottomCenter",
    "BottomRight",
)

DIRECTIONS = tuple(sorted(_COUNTER_CLOCKWISE))
"""The class names, in the order of the DNN's outputs."""


@dataclass(frozen=True)
class Situation:
    """A range of one parameter: ``low <= parameter <= high``, in the parameter's unit."""

    name: str
    parameter: str
    low: float
    high: float

    def holds(self, eye: Eye) -> bool:
        """Tell whether `eye` is in this situation."""
        return bool(self.low <= getattr(eye, self.parameter) <= self.high)


@dataclass(frozen=True)
class Condition:
    """An object in front of the eye or on the lens; with parameter 0, there is none.

    Attributes
    ----------
    situation : Situation
        Its parameter, from the mildest to the strongest value that is drawn.
    share : float
        Share of the test images, and of the improvement images, that have it: 0 to 1.
    """

    situation: Situation
    share: float


HARMFUL = (
    Condition(Situation("sunglasses", "lens_darkness", 0.8, 0.97), 0.05),
    Condition(Situation("glare", "glare_light", 300, 600), 0.05),
    Condition(Situation("fog on the lens", "fog_share", 0.9, 0.97), 0.05),
    Condition(Situation("bar before the eye", "bar_width", 36, 60), 0.05),
)
"""Conditions in which a DNN trained without them is wrong in most images."""

CONDITIONS = (*HARMFUL, Condition(Situation("blur", "blur_radius", 2, 4), 0.1))
"""Conditions of test and improvement images, independent of one another; training images have
none. Blur is common and does little harm."""

LEFT_OUT = (
    *(condition.situation for condition in HARMFUL),
    Situation("head turned right", "head_yaw", 160, 166),
    Situation("head turned left", "head_yaw", 214, 220),
    Situation("half-closed eye", "openness", 0, 16),
    Situation("dim light", "light", 0, 0.13),
    Situation("looking nearly straight ahead", "gaze_distance", 0, 0.4),
)
"""Situations that only the test and improvement sets contain, so that the DNN fails on them: most
failures come from the first four, some from the others."""

ANGLES = ("gaze_angle", "light_angle", "sky_rotation")
"""Parameters that are angles in degrees."""

UNSAFE_VALUES = (
    *(("gaze_angle", 22.5 + 45 * k, "near") for k in range(8)),
    ("head_yaw", 160, "near"),
    ("head_yaw", 220, "near"),
    ("openness", 16, "at most"),
    ("light", 0.13, "at most"),
    ("gaze_distance", 0.4, "at most"),
    *((harm.situation.parameter, harm.situation.low, "at least") for harm in HARMFUL),
)
"""Where failures are likely, as parameter, value and side: where two directions meet (as in Table
IV of the HUDD paper), and what the training set leaves out."""


def gaze_direction(gaze_angle: float) -> str:
    """Return the class of a gaze angle.

    Parameters
    ----------
    gaze_angle : float
        Degrees, counter-clockwise from the image's right; angles outside 0 to 360 wrap.

    Returns
    -------
    str
        One of `DIRECTIONS`. An angle on a boundary, 22.5 + 45 k, belongs to the class that begins
        there.
    """
    return _COUNTER_CLOCKWISE[int((gaze_angle + 22.5) % 360 // 45)]


def situations(eye: Eye) -> tuple[str, ...]:
    """Return the names of the situations of `LEFT_OUT` that `eye` is in, in their order."""
    return tuple(situation.name for situation in LEFT_OUT if situation.holds(eye))


def sample_eyes(count: int, seed: int, *, split: int = 0, complete: bool = True) -> list[Eye]:
    """Draw the parameters of eyes at random.

    Gaze angles and head yaws are uniform, as in the UnityEyes simulator. An eye depends only on
    `seed`, `split`, `complete` and its place in the list, not on `count`.

    Parameters
    ----------
    count : int
        Number of eyes.
    seed : int
        Seed, 0 or more.
    split : int
        Number of the set, 0 or more: sets of the same seed are independent.
    complete : bool
        False leaves out the situations in `LEFT_OUT` and all `CONDITIONS`; other parameters keep
        their distribution.

    Returns
    -------
    list of Eye
        `count` eyes.

    Raises
    ------
    ValueError
        If `count`, `seed` or `split` is negative.
    """
    if count < 0:
        raise ValueError(f"cannot draw {count} eyes")
    return [_sample_eye(np.random.default_rng([seed, split, i]), complete) for i in range(count)]


def _sample_eye(rng: np.random.Generator, complete: bool) -> Eye:
    while True:
        eye = Eye(
            gaze_angle=rng.uniform(0, 360),
            gaze_distance=float(np.sqrt(rng.uniform(0.06, 1))),
            openness=rng.uniform(13, 40),
            head_yaw=rng.uniform(160, 220),
            head_pitch=float(np.clip(rng.normal(0, 6), -20, 20)),
            iris_size=rng.uniform(15, 19),
            pupil_size=rng.uniform(0.2, 0.7),
            iris_paleness=rng.uniform(0, 1),
            skin_tone=rng.uniform(0, 1),
            hair_tone=rng.uniform(0, 1) ** 2,
            light=float(np.exp(rng.uniform(np.log(0.09), np.log(2.5)))),
            light_angle=rng.uniform(20, 160),
            ambient=rng.uniform(0.15, 0.6),
            sky_exposure=rng.uniform(0, 1),
            sky_rotation=rng.uniform(0, 360),
            brow_height=rng.uniform(-4, 4),
            brow_thickness=rng.uniform(2.5, 5.5),
            lash_length=rng.uniform(6, 12),
        )
        if complete:
            return _add_conditions(eye, rng)
        if not situations(eye):
            return eye


def _add_conditions(eye: Eye, rng: np.random.Generator) -> Eye:
    """Return the eye with conditions: each with the probability that is its share."""
    strengths = {
        condition.situation.parameter: rng.uniform(
            condition.situation.low, condition.situation.high
        )
        for condition in CONDITIONS
        if rng.uniform() < condition.share
    }
    return replace(eye, **strengths)
