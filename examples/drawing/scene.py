"""The scene of one picture: the pixels' places, the head, the lamp and the lids' curves.

The scene holds what all parts of the picture share. The module also has the small functions with
which every part is drawn: ramps of colours, soft edges, smooth noise and the projection.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from examples.eye import FRONTAL_YAW, UNITS_ACROSS, Eye

FARTHEST_GAZE = math.radians(32.0)
"""How far the eyeball turns at `gaze_distance` 1, in radians."""
_HALF_WIDTH = 46.0  # from the middle of the lid opening to a corner
_EYEBALL_RADIUS = 37.0  # the sphere on which the middle of the iris travels

Array = npt.NDArray[np.floating[Any]]
Points = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""Coordinates x and y, in units."""
Curves = dict[str, npt.NDArray[np.float64]]
"""Points along the lids: their place, x and heights by name."""


@dataclass(frozen=True)
class Scene:
    """The data that all parts of one picture share.

    Attributes
    ----------
    eye : Eye
        The parameters.
    rng : numpy.random.Generator
        Source of the textures.
    x, y : numpy.ndarray
        Coordinates of the pixels' middles in units, float32, (1, width) and (height, 1).
    scale : float
        Pixels in a unit.
    turn, tilt : float
        Yaw to the image's right and pitch upwards of the head, in radians.
    lamp : tuple of float
        Unit vector to the lamp.
    iris : tuple of float
        Middle of the iris, in units.
    """

    eye: Eye
    rng: np.random.Generator
    x: Array
    y: Array
    scale: float
    turn: float
    tilt: float
    lamp: tuple[float, float, float]
    iris: tuple[float, float]


@dataclass(frozen=True)
class Lids:
    """The lids in every column of pixels: float32, (1, width).

    Attributes
    ----------
    across : numpy.ndarray
        Place between the inner (-1) and the outer corner (1) of the eye.
    upper, lower : numpy.ndarray
        Heights of the lids' margins, in units; upper < lower outside of the eye.
    crease : numpy.ndarray
        Height of the fold above the upper lid, in units.
    """

    across: Array
    upper: Array
    lower: Array
    crease: Array


def make_scene(eye: Eye, width: int, height: int, rng: np.random.Generator) -> Scene:
    """Compute the scene of an eye for a picture of `width` x `height` pixels."""
    scale = width / UNITS_ACROSS
    # The camera is near and exaggerates perspective, hence the factor.
    turn = math.radians(1.25 * (FRONTAL_YAW - eye.head_yaw))
    tilt = math.radians(eye.head_pitch)
    # The camera follows the face half of the way: the lid opening shifts around the eyeball.
    middle_x = 8.0 * math.sin(turn)
    middle_y = 4.0 + 8.0 * math.sin(tilt)
    x = ((np.arange(width) + 0.5 - width / 2) / scale + middle_x).astype(np.float32)
    y = ((height / 2 - np.arange(height) - 0.5) / scale + middle_y).astype(np.float32)
    angle = math.radians(eye.light_angle)
    lamp = (0.72 * math.cos(angle), 0.72 * math.sin(angle), math.sqrt(1 - 0.72**2))
    gaze = math.radians(eye.gaze_angle)
    off = _EYEBALL_RADIUS * math.sin(FARTHEST_GAZE * eye.gaze_distance)
    iris = (off * math.cos(gaze), off * math.sin(gaze))
    return Scene(eye, rng, x[None, :], y[:, None], scale, turn, tilt, lamp, iris)


def trace_lids(scene: Scene) -> Curves:
    """Return points along the lids, from the inner to the outer corner.

    The lids lie on the eyeball, so their middles are nearer to the camera than the corners: a
    turned or raised head bends them. Both lids follow the iris up and down.

    Returns
    -------
    dict of str to numpy.ndarray
        ``across`` (place between the corners, -1 to 1), ``x``, and the heights ``upper``,
        ``lower`` and ``crease``, in units; all float64, (153,).
    """
    eye = scene.eye
    t = np.linspace(-1.9, 1.9, 153)
    inside = np.clip(1 - t * t, 0, None)
    outside = np.clip(np.abs(t) - 1, 0, None)
    depth = 10 + 20 * inside - 8 * outside
    follow = 0.5 * scene.iris[1] * eye.openness / (eye.openness + 6)
    corners = 3.0 * t - 3.0 * bump((t + 1).astype(np.float32), 0.16)
    lower = corners - (8 + 0.17 * eye.openness) * inside * (1 + 0.22 * t) + follow * inside
    # A power below one rounds the opening; it is widest a little to the nose.
    opening = eye.openness * inside**0.78 * (1 - 0.2 * t) - 14 * outside
    upper = lower + opening
    fold = corners + 25 * np.clip(1 - (t / 1.25) ** 2, -1, None)
    crease = upper + 3.6 + np.logaddexp(0, (fold - upper - 3.6) / 2) * 2
    x, upper_y = project(scene, _HALF_WIDTH * t, upper, depth)
    return {
        "across": t,
        "x": x,
        "upper": upper_y,
        "lower": project(scene, _HALF_WIDTH * t, lower, depth)[1],
        "crease": project(scene, _HALF_WIDTH * t, crease, depth + 2)[1],
    }


def read_lids(scene: Scene, curves: Curves) -> Lids:
    """Return the lids in the columns of the picture: the curves, interpolated."""

    def column(name: str) -> Array:
        heights: Array = np.interp(scene.x, curves["x"], curves[name]).astype(np.float32)
        return heights

    return Lids(column("across"), column("upper"), column("lower"), column("crease"))


def project(scene: Scene, u: npt.ArrayLike, v: npt.ArrayLike, z: npt.ArrayLike) -> Points:
    """Turn points of the frontal face with the head, and project them onto the picture."""
    u, v, z = np.asarray(u), np.asarray(v), np.asarray(z)
    x = u * math.cos(scene.turn) + z * math.sin(scene.turn)
    # Points closer to the camera after the turn are drawn slightly larger.
    nearer = 1 - 0.0045 * u * math.sin(scene.turn)
    return x, v * nearer * math.cos(scene.tilt) + z * math.sin(scene.tilt)


def smoothstep(low: float, high: float, value: Array) -> Array:
    """Rise smoothly from 0 where `value` is `low` to 1 where it is `high`."""
    share: Array = np.clip((value - low) * (1 / (high - low)), 0, 1)
    return share * share * (3 - 2 * share)


def bump(value: Array, width: float) -> Array:
    """Return a bell curve: 1 where `value` is 0, 1/e where it is `width`."""
    bell: Array = np.exp(-np.square(value * (1 / width)))
    return bell


def ramp(colours: Sequence[tuple[float, float, float]], share: float) -> Array:
    """Return the colour, (3, 1, 1), at a share (0 to 1) of the way through `colours`."""
    stops = np.linspace(0, 1, len(colours))
    red, green, blue = (np.interp(share, stops, channel) for channel in zip(*colours, strict=True))
    return colour_of(float(red), float(green), float(blue))


def colour_of(red: float, green: float, blue: float) -> Array:
    """Return a linear RGB colour, (3, 1, 1), to be multiplied by a (height, width) picture."""
    return np.array((red, green, blue), dtype=np.float32)[:, None, None]


def blend(picture: Array, cover: Array, colour: Array) -> None:
    """Cover `picture` with `colour`, in place: not at all where `cover` is 0, fully where it is 1.

    Channel by channel, because temporary arrays of a whole picture are slow to allocate.
    """
    for layer, over in zip(picture, colour, strict=True):
        layer[:] += cover * (over - layer)


def draw_noise(scene: Scene, columns: int, rows: int) -> Array:
    """Return noise for the whole picture: its strength is about 1, its grain a cell of a grid."""
    coarse = scene.rng.standard_normal((rows, columns), dtype=np.float32)
    shape = (scene.x.shape[1], scene.y.shape[0])
    return np.asarray(Image.fromarray(coarse).resize(shape, Image.Resampling.BILINEAR))
