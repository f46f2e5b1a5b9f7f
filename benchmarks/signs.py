"""Traffic signs of eight kinds with injected root causes: one cause has eight appearances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from benchmarks.scenarios import Spoilt, fog, glare, noise

SIDE = 128
OVERSAMPLING = 3
RED, BLUE, YELLOW = (196, 28, 36), (22, 84, 166), (236, 188, 28)
WHITE, BLACK = (238, 238, 234), (24, 24, 26)

Random = np.random.Generator
Point = tuple[float, float]


@dataclass(frozen=True)
class Kind:
    """One kind of sign: outline, border, field, and strokes of its symbol, in a unit circle."""

    name: str
    corners: int
    turn: float
    border: tuple[int, int, int]
    field: tuple[int, int, int]
    ink: tuple[int, int, int]
    strokes: tuple[tuple[Point, ...], ...]


BAR = (((-0.5, 0), (0.5, 0)),)
DIGITS = (((-0.3, 0.35), (-0.3, -0.35)), ((0.1, 0.3), (0.35, -0.3)))
ARROW = (((0, 0.5), (0, -0.5)), ((-0.3, -0.2), (0, -0.5), (0.3, -0.2)))
BEND = (((-0.2, 0.5), (-0.2, -0.1), (0.4, -0.1)),)
MARK = (((0, -0.3), (0, 0.15)), ((0, 0.3), (0, 0.36)))
KINDS = (
    Kind("stop", 8, 22.5, WHITE, RED, WHITE, BAR),
    Kind("yield", 3, 90, RED, WHITE, WHITE, ()),
    Kind("no entry", 40, 0, RED, RED, WHITE, BAR),
    Kind("limit", 40, 0, RED, WHITE, BLACK, DIGITS),
    Kind("ahead", 40, 0, WHITE, BLUE, WHITE, ARROW),
    Kind("turn", 40, 0, WHITE, BLUE, WHITE, BEND),
    Kind("danger", 3, -90, RED, WHITE, BLACK, MARK),
    Kind("priority", 4, 0, WHITE, YELLOW, YELLOW, ()),
)


@dataclass(frozen=True)
class Sign:
    """The parameters of one picture.

    Attributes
    ----------
    size : float
        Radius, share of half the picture.
    tilt : float
        Degrees.
    x, y : float
        Middle, share of half the picture.
    light : float
        1 is daylight.
    ground, horizon : float
        Brightness of the ground, height of the horizon: 0 to 1.
    """

    kind: Kind
    size: float
    tilt: float
    x: float
    y: float
    light: float
    ground: float
    horizon: float


def sample_sign(rng: Random) -> Sign:
    """Draw the parameters of an ordinary picture."""
    return Sign(
        kind=KINDS[rng.integers(len(KINDS))],
        size=rng.uniform(0.55, 0.75),
        tilt=rng.uniform(-6, 6),
        x=rng.uniform(-0.12, 0.12),
        y=rng.uniform(-0.12, 0.12),
        light=rng.uniform(0.75, 1.1),
        ground=rng.uniform(0, 1),
        horizon=rng.uniform(0.45, 0.75),
    )


def draw_sign(sign: Sign, rng: Random) -> Image.Image:
    """Draw a sign on its pole before sky and ground."""
    side = SIDE * OVERSAMPLING
    rows = np.linspace(0, 1, side)[:, None, None]
    sky = np.array([120, 165, 215]) + rows * np.array([90, 60, 25])
    ground = np.array([60, 85, 40]) * (1 - sign.ground) + np.array([130, 125, 115]) * sign.ground
    pixels = np.where(rows < sign.horizon, sky, ground) * np.ones((1, side, 1))
    coarse = rng.normal(0, 14, (12, 12, 1)).repeat(side // 12, 0).repeat(side // 12, 1)
    image = Image.fromarray(np.clip(pixels + coarse, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    half = side / 2
    middle = (half * (1 + sign.x), half * (1 + sign.y))
    radius = sign.size * half
    turn = np.deg2rad(sign.tilt)

    def place(x: float, y: float) -> Point:
        return (
            middle[0] + radius * (x * np.cos(turn) - y * np.sin(turn)),
            middle[1] + radius * (x * np.sin(turn) + y * np.cos(turn)),
        )

    draw.line([place(0, 0), place(0, 4)], fill=(120, 122, 126), width=round(radius / 8))
    for share, colour in ((1.0, sign.kind.border), (0.82, sign.kind.field)):
        angles = np.deg2rad(sign.kind.turn + 360 * np.arange(sign.kind.corners) / sign.kind.corners)
        draw.polygon([place(share * np.cos(a), share * np.sin(a)) for a in angles], fill=colour)
    for stroke in sign.kind.strokes:
        points = [place(*point) for point in stroke]
        draw.line(points, fill=sign.kind.ink, width=round(radius / 5), joint="curve")
    lit = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float64)
    return Image.fromarray(np.clip(lit * sign.light, 0, 255).astype(np.uint8))


def _blur(image: Image.Image, rng: Random) -> Spoilt:
    radius = rng.uniform(1.5, 3.5)
    return image.filter(ImageFilter.GaussianBlur(radius)), radius


def _dim(image: Image.Image, rng: Random) -> Spoilt:
    light = rng.uniform(0.1, 0.25)
    return image.point(lambda value: value * light), light


def _rain(image: Image.Image, rng: Random) -> Spoilt:
    wet = image.copy()
    draw = ImageDraw.Draw(wet)
    for _ in range(rng.integers(60, 110)):
        x, y = rng.uniform(-10, SIDE), rng.uniform(-10, SIDE)
        draw.line((x, y, x + 3, y + rng.uniform(10, 20)), fill=(215, 220, 228))
    share = rng.uniform(0.5, 0.8)
    return Image.blend(image, wet, share), share


def _cover(image: Image.Image, rng: Random) -> Spoilt:
    picture = image.copy()
    draw = ImageDraw.Draw(picture)
    corner = rng.uniform(0.3, 0.5) * SIDE, rng.uniform(0.3, 0.5) * SIDE
    for _ in range(60):
        x, y = corner[0] + abs(rng.normal(0, 30)), corner[1] + abs(rng.normal(0, 30))
        size = rng.uniform(4, 9)
        green = tuple(int(v) for v in rng.uniform(0.5, 1.2) * np.array([40, 90, 35]))
        draw.ellipse((x, y, x + size, y + size * 0.7), fill=green)
    return picture, 1.0


def _keep(image: Image.Image, rng: Random) -> Spoilt:
    return image, 0.0


@dataclass(frozen=True)
class SignScenario:
    """One injected root cause; see `benchmarks.scenarios.Scenario`."""

    name: str
    images: int
    pose: Callable[[Sign, Random], Sign]
    spoil: Callable[[Image.Image, Random], Spoilt]


def _make_pose(**ranges: tuple[float, float]) -> Callable[[Sign, Random], Sign]:
    def pose(sign: Sign, rng: Random) -> Sign:
        return replace(sign, **{name: rng.uniform(*low_high) for name, low_high in ranges.items()})

    return pose


SIGN_SCENARIOS = (
    SignScenario("dim light", 100, _make_pose(), _dim),
    SignScenario("blur", 95, _make_pose(), _blur),
    SignScenario("sensor noise", 90, _make_pose(), noise),
    SignScenario("glare", 80, _make_pose(), glare),
    SignScenario("fog", 80, _make_pose(), fog),
    SignScenario("far away", 75, _make_pose(size=(0.18, 0.28)), _keep),
    SignScenario("covered by leaves", 40, _make_pose(), _cover),
    SignScenario("tilted", 25, _make_pose(tilt=(28, 40)), _keep),
    SignScenario("rain", 15, _make_pose(), _rain),
)
"""Nine causes of 600 images, the last two at 3 to 4 %."""


def draw_failing_signs(folder: Path, seed: int) -> dict[str, str]:
    """Draw the 600 images of all scenarios into a folder; return the scenario by relative path."""
    folder.mkdir(parents=True, exist_ok=True)
    names: Sequence[SignScenario] = [s for s in SIGN_SCENARIOS for _ in range(s.images)]
    truth = {}
    for place, scenario in enumerate(names):
        rng = np.random.default_rng([seed, place, 7])
        sign = scenario.pose(sample_sign(rng), rng)
        path = f"sign_{place:04d}.jpg"
        image, _ = scenario.spoil(draw_sign(sign, rng), rng)
        image.save(folder / path, quality=95)
        truth[path] = scenario.name
    return truth
