"""Draw the eyebrow and the lashes."""

import math

import numpy as np
from PIL import Image, ImageDraw

from examples.drawing.scene import Array, Curves, Points, Scene, blend, project, ramp

_OVERSAMPLING = 3  # hairs are thinner than a pixel
_HAIR_RAMP = ((0.010, 0.007, 0.006), (0.060, 0.030, 0.016), (0.230, 0.135, 0.065))
"""Linear RGB colours from black to blond."""


def put_hair(picture: Array, scene: Scene, curves: Curves) -> None:
    """Draw the eyebrow and the lashes as strokes of one colour."""
    height, width = picture.shape[1:]
    canvas = Image.new("L", (width * _OVERSAMPLING, height * _OVERSAMPLING))
    draw = ImageDraw.Draw(canvas)
    _draw_brow(draw, scene)
    _draw_lashes(draw, scene, curves)
    cover = np.asarray(canvas.reduce(_OVERSAMPLING), dtype=np.float32)
    eye = scene.eye
    colour = ramp(_HAIR_RAMP, eye.hair_tone) * (eye.light * (eye.ambient + 0.5))
    blend(picture, cover * (0.92 / 255), colour)


def _draw_brow(draw: ImageDraw.ImageDraw, scene: Scene) -> None:
    eye, rng, count = scene.eye, scene.rng, 160
    along = np.sort(rng.uniform(-1, 1, count))
    offset = np.clip(rng.normal(0, 0.55, count), -1.1, 1.1)
    taper = eye.brow_thickness * np.clip(1.1 - 0.75 * np.clip(along, 0, 1) ** 1.5, 0, None)
    u = 4 + 52 * along
    arch = 42 + eye.brow_height + 6 * (1 - (along - 0.35) ** 2) - 3 * np.clip(along, 0, 1) ** 3
    v = arch + offset * taper
    depth = 36 - 10 * along**2
    # Hairs stand up near the nose and lie flat towards the temple.
    lean = np.radians(np.interp(along, [-1, -0.6, 0.2, 1], [80, 50, 15, -18]) - 25 * offset)
    lean += rng.normal(0, 0.12, count)
    length = rng.uniform(5, 8.5, count)
    roots = project(scene, u, v, depth)
    tips = project(scene, u + length * np.cos(lean), v + length * np.sin(lean), depth)
    middles = 0.5 * (roots[0] + tips[0]), 0.5 * (roots[1] + tips[1])
    _draw_strokes(draw, scene, roots, middles, tips, 0.55, 0.8)


def _draw_lashes(draw: ImageDraw.ImageDraw, scene: Scene, curves: Curves) -> None:
    """Draw the lashes: they start at the lids' margins, and point down on a lowered upper lid."""
    eye, rng = scene.eye, scene.rng
    lowered = np.clip(1 - (eye.openness + 0.5 * scene.iris[1]) / 26, 0, 1)
    for name, count, up, share, strength in (
        ("upper", 50, 0.95 - 1.7 * lowered, 1.0, 1.0),
        ("lower", 28, -0.8, 0.42, 0.6),
    ):
        t = np.linspace(-0.72, 1.0, count) + rng.normal(0, 0.012, count)
        root_x = np.interp(t, curves["across"], curves["x"])
        root_y = np.interp(t, curves["across"], curves[name])
        length = eye.lash_length * share * (0.62 + 0.38 * t) * rng.uniform(0.75, 1.1, count)
        fan = 0.25 + 0.75 * t + rng.normal(0, 0.10, count)
        middle = (
            root_x + length * (0.45 * fan + 0.25 * math.sin(scene.turn)),
            root_y + length * 0.28 * up,
        )
        tip = (
            root_x + length * (0.8 * fan + 0.25 * math.sin(scene.turn)),
            root_y + length * (up + 0.3 * math.sin(scene.tilt)),
        )
        _draw_strokes(draw, scene, (root_x, root_y), middle, tip, 0.6, strength)


def _draw_strokes(
    draw: ImageDraw.ImageDraw,
    scene: Scene,
    roots: Points,
    middles: Points,
    tips: Points,
    thickness: float,
    strength: float,
) -> None:
    """Draw hairs that are thick at the root and pointed at the tip; lengths in units."""
    factor = scene.scale * _OVERSAMPLING
    left, top = float(scene.x[0, 0]), float(scene.y[0, 0])

    def pixels(points: Points) -> Points:
        return (points[0] - left) * factor, (top - points[1]) * factor

    (root_x, root_y), (mid_x, mid_y), (tip_x, tip_y) = map(pixels, (roots, middles, tips))
    length = np.hypot(tip_x - root_x, tip_y - root_y) + 1e-6
    side_x = (root_y - tip_y) / length * (thickness * factor)
    side_y = (tip_x - root_x) / length * (thickness * factor)
    outline = np.stack(
        (
            *(root_x + side_x, root_y + side_y, mid_x + side_x / 2, mid_y + side_y / 2),
            *(tip_x, tip_y),
            *(mid_x - side_x / 2, mid_y - side_y / 2, root_x - side_x, root_y - side_y),
        ),
        axis=1,
    )
    for polygon in outline.tolist():
        draw.polygon(polygon, fill=int(255 * strength))
