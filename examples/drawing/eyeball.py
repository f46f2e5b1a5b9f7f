"""Draw the eyeball: the white of the eye, the iris, the moist lid margin and reflections."""

import math

import numpy as np
from PIL import Image

from examples.drawing.scene import (
    FARTHEST_GAZE,
    Array,
    Lids,
    Scene,
    blend,
    bump,
    colour_of,
    draw_noise,
    ramp,
    smoothstep,
)

_IRIS_RAMP = (
    (0.030, 0.014, 0.008),  # dark brown
    (0.105, 0.045, 0.018),  # brown
    (0.190, 0.115, 0.045),  # hazel
    (0.160, 0.190, 0.110),  # green
    (0.140, 0.250, 0.380),  # blue
    (0.340, 0.480, 0.600),  # pale blue
)
"""Linear RGB colours."""


def put_eyeball(picture: Array, scene: Scene, lids: Lids) -> None:
    """Draw the eyeball where the lids are open, into `picture`."""
    margin = 2.0
    columns = np.flatnonzero(lids.upper[0] > lids.lower[0] - margin)
    if columns.size == 0:
        return
    across = slice(int(columns[0]), int(columns[-1]) + 1)
    lids = Lids(*(curve[:, across] for curve in vars(lids).values()))
    rows = np.flatnonzero(
        (scene.y[:, 0] < lids.upper.max() + margin) & (scene.y[:, 0] > lids.lower.min() - margin)
    )
    if rows.size == 0:
        return
    down = slice(int(rows[0]), int(rows[-1]) + 1)
    x, y = scene.x[:, across], scene.y[down]

    # Distances to the margins, corrected for the slope of the curves.
    step = 1 / scene.scale
    below_upper = (lids.upper - y) / np.sqrt(1 + np.square(np.gradient(lids.upper[0], step)))
    above_lower = (y - lids.lower) / np.sqrt(1 + np.square(np.gradient(lids.lower[0], step)))
    soft = 0.6 / scene.scale
    opening = smoothstep(-soft, soft, np.minimum(below_upper, above_lower))

    ball = _draw_sclera(scene, lids, x, y, (down, across))
    _put_iris(ball, scene, x, y)
    shade = 1 - 0.62 * np.exp(-np.clip(below_upper, 0, None) / 5.5)
    shade *= 1 - 0.30 * np.exp(-np.clip(above_lower, 0, None) / 2.5)
    ball *= shade
    _put_wet_margin(ball, scene, above_lower)
    _put_reflections(ball, scene, x, y, below_upper)

    part = picture[:, down, across]
    blend(part, opening, ball)
    # The roots of the lashes darken the upper margin.
    inside = np.clip(1.15 - lids.across**2, 0, 1)
    rim = 0.75 * inside * bump(below_upper, 1.3)
    part *= 1 - rim


def _draw_sclera(scene: Scene, lids: Lids, x: Array, y: Array, where: tuple[slice, slice]) -> Array:
    """Draw the white of the eye, its veins and the flesh in its inner corner."""
    eye = scene.eye
    radius = 47.0
    depth = np.sqrt(np.clip(1 - (x * x + y * y) / radius**2, 0.04, 1))
    lamp_x, lamp_y, lamp_z = scene.lamp
    facing = (x * (lamp_x / radius) + y * (lamp_y / radius)) + depth * lamp_z
    light = eye.light * (eye.ambient + np.clip(0.25 + 0.75 * facing, 0, None))
    light *= 0.3 + 0.7 * depth

    corner = smoothstep(0.35, 1.0, np.abs(lids.across))
    ridges = draw_noise(scene, 14, 22)[where]
    veins = (0.16 + 0.6 * corner) * np.exp(-np.square(ridges * 6))
    # The caruncle is the pink flesh in the inner corner.
    flesh = smoothstep(-0.80, -0.93, lids.across + 0.004 * y)
    red = np.clip(0.7 * veins + 0.25 * corner, 0, 1)
    ball = np.empty((3, *light.shape), dtype=np.float32)
    for channel, (white, vein, pink) in enumerate(
        ((0.68, 0.55, 0.48), (0.64, 0.30, 0.20), (0.61, 0.26, 0.18))
    ):
        tissue = white + (vein - white) * red
        ball[channel] = light * (tissue + (pink - tissue) * flesh)
    return ball


def _put_iris(ball: Array, scene: Scene, x: Array, y: Array) -> None:
    """Draw iris and pupil, foreshortened as the eyeball turns away from the camera."""
    eye = scene.eye
    iris_x, iris_y = scene.iris
    angle = math.radians(eye.gaze_angle)
    cosine, sine = math.cos(angle), math.sin(angle)
    squeeze = math.cos(FARTHEST_GAZE * eye.gaze_distance) * eye.iris_size
    along = ((x - iris_x) * cosine + (y - iris_y) * sine) / squeeze
    beside = ((y - iris_y) * cosine - (x - iris_x) * sine) / eye.iris_size
    radius = np.sqrt(along * along + beside * beside)
    pixel = 1 / (scene.scale * eye.iris_size)

    # Fibres are noise that is fine around the pupil and coarse away from it.
    coarse = scene.rng.standard_normal((5, 90), dtype=np.float32)
    fibres = np.asarray(Image.fromarray(coarse).resize((256, 32), Image.Resampling.BICUBIC))
    turn = ((np.arctan2(beside, along) + np.pi) * (255 / (2 * np.pi))).astype(np.intp)
    ring = np.clip(radius * 31, 0, 31).astype(np.intp)
    texture = np.clip(1 + 0.30 * fibres[ring, turn], 0.3, 1.9)

    pupil = eye.pupil_size
    texture *= 1 + 0.45 * bump(radius - pupil - 0.14, 0.13)  # collarette
    texture *= 1 - 0.72 * smoothstep(0.78, 1.0, radius)  # limbal ring
    texture *= 1 - 0.35 * bump(radius - pupil, 0.07)
    # The cornea gathers the lamp's light on the far side of the iris.
    lamp_x, lamp_y, lamp_z = scene.lamp
    gathered = -((x - iris_x) * lamp_x + (y - iris_y) * lamp_y) / eye.iris_size
    light = eye.light * (eye.ambient + np.clip(lamp_z + 0.75 * gathered, 0.15, None))

    hole = smoothstep(pupil + pixel, pupil - pixel, radius)
    soft = max(0.05, pixel)
    inside = smoothstep(1 + soft, 1 - soft, radius)
    radiance = texture * light * (1 - hole)
    colour = ramp(_IRIS_RAMP, eye.iris_paleness)
    for channel in range(3):
        layer = ball[channel]
        layer += inside * (radiance * colour[channel] + 0.004 - layer)


def _put_wet_margin(ball: Array, scene: Scene, above_lower: Array) -> None:
    """Draw the moist edge of the lower lid, on which the eyeball rests."""
    eye = scene.eye
    edge = 0.75 * smoothstep(2.4, 1.2, above_lower)
    flesh = colour_of(0.50, 0.27, 0.22) * (eye.light * (eye.ambient + 0.8))
    blend(ball, edge, flesh)
    ball += 0.22 * eye.light * bump(above_lower - 2.3, 0.6)


def _put_reflections(ball: Array, scene: Scene, x: Array, y: Array, below_upper: Array) -> None:
    """Draw the reflections of the lamp and of the surroundings in the cornea."""
    eye = scene.eye
    iris_x, iris_y = scene.iris
    local_x, local_y = (x - iris_x) / eye.iris_size, (y - iris_y) / eye.iris_size
    lamp_x, lamp_y, _ = scene.lamp
    # The lamp is a window rather than a point: this norm makes it square with round corners.
    from_lamp_x, from_lamp_y = local_x - 0.55 * lamp_x, local_y - 0.55 * lamp_y
    window = np.sqrt(np.sqrt(np.square(from_lamp_x**2) + np.square(from_lamp_y**2)))
    soft = max(0.05, 1 / (scene.scale * eye.iris_size))
    glint = 2.2 * eye.light * smoothstep(0.17 + soft, 0.17 - soft, window)

    # The horizon of the surroundings, bent by the cornea; the sky above it is bright.
    rotation = math.radians(eye.sky_rotation)
    horizon = 0.25 * np.sin(3.0 * local_x + rotation) + 0.2 * math.cos(rotation) * local_x
    sky = smoothstep(-0.05, 0.35, local_y - horizon)
    cornea = smoothstep(1.05, 0.75, np.sqrt(local_x * local_x + local_y * local_y))
    sky *= cornea * (0.16 * eye.sky_exposure * eye.light * (eye.ambient + 0.3))
    visible = smoothstep(0.5, 4.0, below_upper)
    ball += glint * visible + sky * visible * colour_of(0.85, 0.95, 1.1)
