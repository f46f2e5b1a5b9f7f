"""Failing sets with injected root causes: eye images whose cause of failure is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from examples.eyes import Eye, draw_eye, sample_eyes

Random = np.random.Generator


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
    """

    name: str
    images: int
    pose: Callable[[Eye, Random], Eye] = lambda eye, rng: eye
    spoil: Callable[[Image.Image, Random], Image.Image] = lambda image, rng: image


def _noise(image: Image.Image, rng: Random) -> Image.Image:
    noise = rng.normal(0, rng.uniform(18, 45), (image.height, image.width, 3))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def _glare(image: Image.Image, rng: Random) -> Image.Image:
    y, x = np.mgrid[: image.height, : image.width]
    middle = rng.uniform(0.25, 0.75) * image.width, rng.uniform(0.2, 0.5) * image.height
    distance = np.hypot(x - middle[0], y - middle[1]) / image.width
    light = rng.uniform(150, 400) * np.exp(-((distance / rng.uniform(0.2, 0.35)) ** 2))
    return Image.fromarray(np.clip(np.asarray(image) + light[..., None], 0, 255).astype(np.uint8))


def _fog(image: Image.Image, rng: Random) -> Image.Image:
    return Image.blend(image, Image.new("RGB", image.size, (200, 205, 210)), rng.uniform(0.55, 0.8))


def _sunglasses(image: Image.Image, rng: Random) -> Image.Image:
    lens = image.copy()
    width, height = image.size
    left, top = rng.uniform(0.02, 0.1) * width, rng.uniform(0.18, 0.25) * height
    box = (left, top, left + rng.uniform(0.82, 0.9) * width, top + rng.uniform(0.58, 0.65) * height)
    draw = ImageDraw.Draw(lens)
    draw.rounded_rectangle(box, radius=height // 5, fill=(22, 22, 26), outline=(5, 5, 5), width=3)
    draw.line((0, top + 8, left + 4, top + 14), fill=(5, 5, 5), width=5)
    return Image.blend(image, lens, rng.uniform(0.65, 0.95))


def _bar(image: Image.Image, rng: Random) -> Image.Image:
    covered = image.copy()
    left, width = rng.uniform(0.25, 0.5) * image.width, rng.uniform(0.18, 0.28) * image.width
    lean = rng.uniform(-20, 20)
    colour = tuple(int(value) for value in rng.integers(20, 160, 3))
    top, bottom = (
        [(left + lean, 0), (left + width + lean, 0)],
        [(left + width - lean, image.height)],
    )
    ImageDraw.Draw(covered).polygon([*top, *bottom, (left - lean, image.height)], fill=colour)
    return covered


SCENARIOS = (
    Scenario("dim light", 90, lambda eye, rng: replace(eye, light=rng.uniform(0.05, 0.13))),
    Scenario(
        "blur",
        90,
        spoil=lambda image, rng: image.filter(ImageFilter.GaussianBlur(rng.uniform(1.5, 4))),
    ),
    Scenario("sensor noise", 85, spoil=_noise),
    Scenario("glare", 80, spoil=_glare),
    Scenario("half-closed", 80, lambda eye, rng: replace(eye, openness=rng.uniform(2, 12))),
    Scenario("sunglasses", 75, spoil=_sunglasses),
    Scenario("turned left", 56, lambda eye, rng: replace(eye, head_yaw=rng.uniform(213, 220))),
    Scenario("occluding bar", 16, spoil=_bar),
    Scenario("turned right", 14, lambda eye, rng: replace(eye, head_yaw=rng.uniform(160, 166))),
    Scenario("fog", 14, spoil=_fog),
)
"""Ten causes of 600 images, the last three at 2 to 3 %."""


def draw_failing_set(folder: Path, seed: int) -> dict[str, str]:
    """Draw the 600 images of all scenarios into a folder.

    Each cause comes from mild to strong; gaze, lids, head, light and colours vary in all.

    Returns
    -------
    dict
        Scenario by relative path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [scenario for scenario in SCENARIOS for _ in range(scenario.images)]
    eyes = sample_eyes(len(names), seed, split=100, complete=False)
    truth = {}
    for place, (scenario, drawn) in enumerate(zip(names, eyes, strict=True)):
        rng = np.random.default_rng([seed, place])
        ordinary = replace(
            drawn,
            light=rng.uniform(0.5, 1.6),
            openness=rng.uniform(24, 36),
            head_yaw=rng.uniform(178, 202),
        )
        pixels = draw_eye(scenario.pose(ordinary, rng), seed=[seed, place])
        path = f"eye_{place:04d}.jpg"
        scenario.spoil(Image.fromarray(pixels), rng).save(folder / path, quality=95)
        truth[path] = scenario.name
    return truth
