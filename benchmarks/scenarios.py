"""Failing sets with injected root causes: eye images whose cause of failure is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from PIL import Image

from examples.conditions import (
    add_fog,
    add_glare,
    blur,
    put_bar,
    put_on_sunglasses,
    to_image,
)
from examples.eye import Eye
from examples.eye_drawing import draw_eye
from examples.sampling import sample_eyes
from pipelines.runs.files import write_csv

Random = np.random.Generator
Spoilt = tuple[Image.Image, float]
"""A picture, and how strongly it was spoilt."""


@dataclass(frozen=True)
class Scenario:
    """One injected root cause.

    Attributes
    ----------
    name : str
    images : int
        Of 600.
    pose : callable
        Changes the parameters of an eye before it is drawn.
    spoil : callable
        Changes the picture after it is drawn.
    strength : str
        What `spoil` does, as a parameter of the picture; 0 in all other pictures.
    """

    name: str
    images: int
    pose: Callable[[Eye, Random], Eye] = lambda eye, rng: eye
    spoil: Callable[[Image.Image, Random], Spoilt] = lambda image, rng: (image, 0.0)
    strength: str = ""


def noise(image: Image.Image, rng: Random) -> Spoilt:
    """Add sensor noise; its standard deviation is the strength."""
    deviation = rng.uniform(18, 45)
    grain = rng.normal(0, deviation, (image.height, image.width, 3))
    return to_image(np.asarray(image) + grain), deviation


def _blur(image: Image.Image, rng: Random) -> Spoilt:
    radius = rng.uniform(1.5, 4)
    return blur(image, radius), radius


def glare(image: Image.Image, rng: Random) -> Spoilt:
    """Add a bright spot that clips; the light in its middle is the strength."""
    middle = rng.uniform(0.25, 0.75) * image.width, rng.uniform(0.2, 0.5) * image.height
    brightest = rng.uniform(150, 400)
    return add_glare(image, brightest, middle, rng.uniform(0.2, 0.35)), brightest


def fog(image: Image.Image, rng: Random) -> Spoilt:
    """Blend with a light grey; its share is the strength."""
    share = rng.uniform(0.55, 0.8)
    return add_fog(image, share), share


def _sunglasses(image: Image.Image, rng: Random) -> Spoilt:
    width, height = image.size
    left, top = rng.uniform(0.02, 0.1) * width, rng.uniform(0.18, 0.25) * height
    lens = (
        *(left, top),
        *(left + rng.uniform(0.82, 0.9) * width, top + rng.uniform(0.58, 0.65) * height),
    )
    darkness = rng.uniform(0.65, 0.95)
    return put_on_sunglasses(image, darkness, lens), darkness


def _bar(image: Image.Image, rng: Random) -> Spoilt:
    left, width = rng.uniform(0.25, 0.5) * image.width, rng.uniform(0.18, 0.28) * image.width
    lean = rng.uniform(-20, 20)
    colour = tuple(int(value) for value in rng.integers(20, 160, 3))
    return put_bar(image, width, left, lean, colour), width


SCENARIOS = (
    Scenario("dim light", 90, lambda eye, rng: replace(eye, light=rng.uniform(0.05, 0.13))),
    Scenario("blur", 90, spoil=_blur, strength="blur_radius"),
    Scenario("sensor noise", 85, spoil=noise, strength="noise_deviation"),
    Scenario("glare", 80, spoil=glare, strength="glare_light"),
    Scenario("half-closed", 80, lambda eye, rng: replace(eye, openness=rng.uniform(2, 12))),
    Scenario("sunglasses", 75, spoil=_sunglasses, strength="lens_darkness"),
    Scenario("turned left", 56, lambda eye, rng: replace(eye, head_yaw=rng.uniform(213, 220))),
    Scenario("occluding bar", 16, spoil=_bar, strength="bar_width"),
    Scenario("turned right", 14, lambda eye, rng: replace(eye, head_yaw=rng.uniform(160, 166))),
    Scenario("fog", 14, spoil=fog, strength="fog_share"),
)
"""Ten causes of 600 images, the last three at 2 to 3 %."""


def draw_failing_set(folder: Path, seed: int, *, injected: bool = True) -> dict[str, str]:
    """Draw the 600 images of all scenarios into a folder, and their `parameters.csv`.

    Each cause occurs from mild to strong; gaze, lids, head, light and colours vary in all images.

    Parameters
    ----------
    injected : bool
        False draws the same eyes without their causes.

    Returns
    -------
    dict
        Scenario by relative path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    injections = [scenario for scenario in SCENARIOS for _ in range(scenario.images)]
    eyes = sample_eyes(len(injections), seed, split=100, complete=False)
    strengths = [scenario.strength for scenario in SCENARIOS if scenario.strength]
    # What `spoil` does is in no parameter of the eye.
    names = [field.name for field in fields(Eye) if field.name not in strengths]
    truth, parameters = {}, []
    for place, (scenario, sample) in enumerate(zip(injections, eyes, strict=True)):
        rng = np.random.default_rng([seed, place])
        ordinary = replace(
            sample,
            light=rng.uniform(0.5, 1.6),
            openness=rng.uniform(24, 36),
            head_yaw=rng.uniform(178, 202),
        )
        eye = scenario.pose(ordinary, rng) if injected else ordinary
        image, strength = Image.fromarray(draw_eye(eye, seed=[seed, place])), 0.0
        if injected:
            image, strength = scenario.spoil(image, rng)
        path = f"eye_{place:04d}.jpg"
        image.save(folder / path, quality=95)
        truth[path] = scenario.name
        row = [strength if name == scenario.strength else 0 for name in strengths]
        parameters.append([path, *(getattr(eye, name) for name in names), *row])
    write_csv(folder / "parameters.csv", ["path", *names, *strengths], parameters)
    return truth
