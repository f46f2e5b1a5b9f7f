"""Draw one human eye and its surroundings from known parameters.

The picture is built the way a renderer would build it, only in two and a half dimensions: the
lids are curves in space that are turned with the head and projected onto the picture, the skin is
a height field lit by one lamp and by ambient light, the eyeball is a sphere that carries the iris,
and hairs are strokes on top. Colours are linear light until the very last step.

Lengths are in *units*: 1 unit is 1/160 of the picture's width, that is one pixel of a standard
160 x 120 picture. The origin is the middle of the eyeball, x points to the image's right, y points
up and z points to the camera. The eye is the one on the image's right half of a face, so the nose
is at the image's left.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from examples.conditions import put_conditions
from examples.eye import FRONTAL_YAW, UNITS_ACROSS, Eye

_HALF_WIDTH = 46.0  # from the middle of the lid opening to a corner
_EYEBALL_RADIUS = 37.0  # the sphere on which the middle of the iris travels
_FARTHEST_GAZE = math.radians(32.0)  # how far the eyeball turns at gaze_distance 1
_HAIR_OVERSAMPLING = 3

# Linear RGB colours along the two ramps that a single parameter walks through.
_IRIS_RAMP = (
    (0.030, 0.014, 0.008),  # dark brown
    (0.105, 0.045, 0.018),  # brown
    (0.190, 0.115, 0.045),  # hazel
    (0.160, 0.190, 0.110),  # green
    (0.140, 0.250, 0.380),  # blue
    (0.340, 0.480, 0.600),  # pale blue
)
_SKIN_RAMP = (
    (0.760, 0.500, 0.400),
    (0.640, 0.380, 0.270),
    (0.430, 0.225, 0.135),
    (0.215, 0.098, 0.054),
    (0.092, 0.043, 0.027),
)
_HAIR_RAMP = ((0.010, 0.007, 0.006), (0.060, 0.030, 0.016), (0.230, 0.135, 0.065))

_Array = npt.NDArray[np.floating[Any]]
_Points = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
_Curves = dict[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class _Scene:
    """What all the parts of one picture share.

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
    x: _Array
    y: _Array
    scale: float
    turn: float
    tilt: float
    lamp: tuple[float, float, float]
    iris: tuple[float, float]


@dataclass(frozen=True)
class _Lids:
    """Heights of the lids' curves, in units; float32, (1, width), one per column of pixels.

    ``across`` is the place between the inner (-1) and the outer corner (1); ``upper`` and
    ``lower`` are the margins of the lids (upper < lower outside of the eye) and ``crease`` is the
    fold above the upper lid.
    """

    across: _Array
    upper: _Array
    lower: _Array
    crease: _Array


def draw_eye(
    eye: Eye, size: tuple[int, int] = (160, 120), seed: int | Sequence[int] = 0
) -> npt.NDArray[np.uint8]:
    """Draw an eye.

    Parameters
    ----------
    eye : Eye
        The parameters of the picture.
    size : tuple of int
        Width and height in pixels. The picture shows 160 units across, whatever the size.
    seed : int or sequence of int
        Seed of everything that has no parameter: skin texture, veins, fibres, single hairs, and
        where glasses, glare and bar are.

    Returns
    -------
    numpy.ndarray
        The picture, uint8, (height, width, 3), RGB. The same arguments give the same bytes.

    Raises
    ------
    ValueError
        If a side of the picture is shorter than 16 pixels.
    """
    width, height = size
    if width < 16 or height < 16:
        raise ValueError(f"an eye needs at least 16 x 16 pixels, not {width} x {height}")
    scene = _make_scene(eye, width, height, np.random.default_rng(seed))
    margins = _lid_curves(scene)
    lids = _lids_per_column(scene, margins)
    picture = _skin(scene, lids)
    _put_eyeball(picture, scene, lids)
    _put_hair(picture, scene, margins)
    _put_nose(picture, scene)
    _put_background(picture, scene)
    # Of their own, as what the scene's has left to draw depends on the size of the picture.
    rng = scene.rng.spawn(1)[0]
    return put_conditions(_develop(picture, scene), eye, rng)


def _make_scene(eye: Eye, width: int, height: int, rng: np.random.Generator) -> _Scene:
    scale = width / UNITS_ACROSS
    # The nearby camera exaggerates perspective, hence the factor.
    turn = math.radians(1.25 * (FRONTAL_YAW - eye.head_yaw))
    tilt = math.radians(eye.head_pitch)
    # The camera follows the face by half: the eyeball stays, the lid opening shifts around it.
    middle_x = 8.0 * math.sin(turn)
    middle_y = 4.0 + 8.0 * math.sin(tilt)
    x = ((np.arange(width) + 0.5 - width / 2) / scale + middle_x).astype(np.float32)
    y = ((height / 2 - np.arange(height) - 0.5) / scale + middle_y).astype(np.float32)
    angle = math.radians(eye.light_angle)
    lamp = (0.72 * math.cos(angle), 0.72 * math.sin(angle), math.sqrt(1 - 0.72**2))
    gaze = math.radians(eye.gaze_angle)
    off = _EYEBALL_RADIUS * math.sin(_FARTHEST_GAZE * eye.gaze_distance)
    iris = (off * math.cos(gaze), off * math.sin(gaze))
    return _Scene(eye, rng, x[None, :], y[:, None], scale, turn, tilt, lamp, iris)


def _smoothstep(low: float, high: float, value: _Array) -> _Array:
    share: _Array = np.clip((value - low) * (1 / (high - low)), 0, 1)
    return share * share * (3 - 2 * share)


def _bump(value: _Array, width: float) -> _Array:
    """Bell curve: 1 where `value` is 0."""
    bell: _Array = np.exp(-np.square(value * (1 / width)))
    return bell


def _ramp(colours: Sequence[tuple[float, float, float]], share: float) -> _Array:
    """Colour, (3, 1, 1), at a share (0 to 1) of the way through `colours`."""
    stops = np.linspace(0, 1, len(colours))
    red, green, blue = (np.interp(share, stops, channel) for channel in zip(*colours, strict=True))
    return _colour(float(red), float(green), float(blue))


def _colour(red: float, green: float, blue: float) -> _Array:
    """Linear RGB colour as an array that multiplies a (height, width) picture: (3, 1, 1)."""
    return np.array((red, green, blue), dtype=np.float32)[:, None, None]


def _blend(picture: _Array, cover: _Array, colour: _Array) -> None:
    """Let `colour` cover `picture`, where `cover` is 1 entirely.

    Channel by channel, because temporary arrays of a whole picture are slow to allocate.
    """
    for layer, over in zip(picture, colour, strict=True):
        layer[:] += cover * (over - layer)


def _smooth_noise(scene: _Scene, columns: int, rows: int) -> _Array:
    """Noise of about unit strength for the whole picture whose grain is one cell of a grid."""
    coarse = scene.rng.standard_normal((rows, columns), dtype=np.float32)
    shape = (scene.x.shape[1], scene.y.shape[0])
    return np.asarray(Image.fromarray(coarse).resize(shape, Image.Resampling.BILINEAR))


def _project(scene: _Scene, u: npt.ArrayLike, v: npt.ArrayLike, z: npt.ArrayLike) -> _Points:
    """Turn points of the frontal face with the head and drop them onto the picture."""
    u, v, z = np.asarray(u), np.asarray(v), np.asarray(z)
    x = u * math.cos(scene.turn) + z * math.sin(scene.turn)
    # What is nearer to the camera after the turn is a little taller.
    nearer = 1 - 0.0045 * u * math.sin(scene.turn)
    return x, v * nearer * math.cos(scene.tilt) + z * math.sin(scene.tilt)


def _lid_curves(scene: _Scene) -> _Curves:
    """Points along the lids, from inside to outside: ``across``, ``x`` and three heights.

    The lids lie on the eyeball, so their middles are nearer to the camera than the corners: a
    turned or raised head bends them. Both follow the iris up and down.
    """
    eye = scene.eye
    t = np.linspace(-1.9, 1.9, 153)
    inside = np.clip(1 - t * t, 0, None)
    outside = np.clip(np.abs(t) - 1, 0, None)
    depth = 10 + 20 * inside - 8 * outside
    follow = 0.5 * scene.iris[1] * eye.openness / (eye.openness + 6)
    corners = 3.0 * t - 3.0 * _bump((t + 1).astype(np.float32), 0.16)
    lower = corners - (8 + 0.17 * eye.openness) * inside * (1 + 0.22 * t) + follow * inside
    # A power below one rounds the opening; it is widest a little to the nose.
    opening = eye.openness * inside**0.78 * (1 - 0.2 * t) - 14 * outside
    upper = lower + opening
    fold = corners + 25 * np.clip(1 - (t / 1.25) ** 2, -1, None)
    crease = upper + 3.6 + np.logaddexp(0, (fold - upper - 3.6) / 2) * 2
    x, upper_y = _project(scene, _HALF_WIDTH * t, upper, depth)
    return {
        "across": t,
        "x": x,
        "upper": upper_y,
        "lower": _project(scene, _HALF_WIDTH * t, lower, depth)[1],
        "crease": _project(scene, _HALF_WIDTH * t, crease, depth + 2)[1],
    }


def _lids_per_column(scene: _Scene, curves: _Curves) -> _Lids:
    def column(name: str) -> _Array:
        heights: _Array = np.interp(scene.x, curves["x"], curves[name]).astype(np.float32)
        return heights

    return _Lids(column("across"), column("upper"), column("lower"), column("crease"))


def _skin(scene: _Scene, lids: _Lids) -> _Array:
    """Draw skin everywhere, also where the eyeball will be; linear RGB, (3, height, width)."""
    eye, x, y = scene.eye, scene.x, scene.y
    blotches = _smooth_noise(scene, 10, 8)
    pores = _smooth_noise(scene, 80, 60)
    fold_fade = _bump(lids.across, 1.25)
    crease = fold_fade * _bump(y - lids.crease, 1.9)
    under_eye = fold_fade * _bump(y - lids.lower + 10.5 - 0.05 * x, 5.5)

    # The height field, in units towards the camera.
    relief = 11 * _bump(x, 44) * _bump(y - 2, 27)  # the eyeball under the lids
    relief += 19 * _smoothstep(12, 50, y - 0.05 * x)  # bone under the eyebrow
    relief += 5 * _smoothstep(-22, -60, y)  # cheek
    nose_x = x + 84 * math.cos(scene.turn) - 30 * math.sin(scene.turn)
    relief += 27 * _bump(nose_x, 36)
    relief -= 2.2 * crease + 1.3 * under_eye
    relief += 0.16 * pores + 0.7 * blotches

    slope_y, slope_x = np.gradient(relief, np.float32(1 / scene.scale))
    slope_x = slope_x - math.tan(0.6 * scene.turn)
    slope_y = -slope_y - math.tan(0.6 * scene.tilt)
    lamp_x, lamp_y, lamp_z = scene.lamp
    facing = (lamp_z - slope_x * lamp_x - slope_y * lamp_y) / np.sqrt(
        1 + slope_x * slope_x + slope_y * slope_y
    )
    # Light travels under the skin, so shade is soft.
    lit = np.clip(0.22 + 0.78 * facing, 0.02, None)
    gloss = 0.05 * eye.light * np.square(np.square(np.square(np.clip(facing, 0, None))))

    # Little light reaches the fold, the lid's margins and the inner corner.
    to_margin = np.minimum(np.abs(y - lids.upper), np.abs(y - lids.lower))
    margin = fold_fade * np.exp(to_margin * -0.2)
    corner = _bump(lids.across + 1.15, 0.3) * _bump(y - 6, 18)
    hidden = 0.42 * crease + 0.30 * margin * margin + 0.35 * corner
    light = eye.light * (eye.ambient + lit) * (1 - np.clip(hidden, 0, 0.9))

    albedo = _ramp(_SKIN_RAMP, eye.skin_tone)
    flush = 0.10 * blotches + 0.45 * margin
    shadowed = 0.22 * under_eye  # thin skin
    picture = np.empty((3, *light.shape), dtype=np.float32)
    for channel, (reddens, darkens) in enumerate(((0.06, 0.9), (-0.22, 1.0), (-0.18, 0.75))):
        tint = (1 + reddens * flush) * (1 - darkens * shadowed)
        picture[channel] = albedo[channel] * light * tint + gloss
    return picture


def _put_eyeball(picture: _Array, scene: _Scene, lids: _Lids) -> None:
    """Blend the eyeball into the opening of the lids."""
    margin = 2.0
    columns = np.flatnonzero(lids.upper[0] > lids.lower[0] - margin)
    if columns.size == 0:
        return
    across = slice(int(columns[0]), int(columns[-1]) + 1)
    lids = _Lids(*(curve[:, across] for curve in vars(lids).values()))
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
    opening = _smoothstep(-soft, soft, np.minimum(below_upper, above_lower))

    ball = _sclera(scene, lids, x, y, (down, across))
    _put_iris(ball, scene, x, y)
    shade = 1 - 0.62 * np.exp(-np.clip(below_upper, 0, None) / 5.5)
    shade *= 1 - 0.30 * np.exp(-np.clip(above_lower, 0, None) / 2.5)
    ball *= shade
    _put_wet_margin(ball, scene, above_lower)
    _put_reflections(ball, scene, x, y, below_upper)

    part = picture[:, down, across]
    _blend(part, opening, ball)
    # The roots of the lashes darken the upper margin.
    inside = np.clip(1.15 - lids.across**2, 0, 1)
    rim = 0.75 * inside * _bump(below_upper, 1.3)
    part *= 1 - rim


def _sclera(scene: _Scene, lids: _Lids, x: _Array, y: _Array, where: tuple[slice, slice]) -> _Array:
    eye = scene.eye
    radius = 47.0
    depth = np.sqrt(np.clip(1 - (x * x + y * y) / radius**2, 0.04, 1))
    lamp_x, lamp_y, lamp_z = scene.lamp
    facing = (x * (lamp_x / radius) + y * (lamp_y / radius)) + depth * lamp_z
    light = eye.light * (eye.ambient + np.clip(0.25 + 0.75 * facing, 0, None))
    light *= 0.3 + 0.7 * depth

    corner = _smoothstep(0.35, 1.0, np.abs(lids.across))
    ridges = _smooth_noise(scene, 14, 22)[where]
    veins = (0.16 + 0.6 * corner) * np.exp(-np.square(ridges * 6))
    # The caruncle: the pink flesh in the inner corner.
    flesh = _smoothstep(-0.80, -0.93, lids.across + 0.004 * y)
    red = np.clip(0.7 * veins + 0.25 * corner, 0, 1)
    ball = np.empty((3, *light.shape), dtype=np.float32)
    for channel, (white, vein, pink) in enumerate(
        ((0.68, 0.55, 0.48), (0.64, 0.30, 0.20), (0.61, 0.26, 0.18))
    ):
        tissue = white + (vein - white) * red
        ball[channel] = light * (tissue + (pink - tissue) * flesh)
    return ball


def _put_iris(ball: _Array, scene: _Scene, x: _Array, y: _Array) -> None:
    """Draw iris and pupil, foreshortened as the eyeball turns away from the camera."""
    eye = scene.eye
    iris_x, iris_y = scene.iris
    angle = math.radians(eye.gaze_angle)
    cosine, sine = math.cos(angle), math.sin(angle)
    squeeze = math.cos(_FARTHEST_GAZE * eye.gaze_distance) * eye.iris_size
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
    texture *= 1 + 0.45 * _bump(radius - pupil - 0.14, 0.13)  # collarette
    texture *= 1 - 0.72 * _smoothstep(0.78, 1.0, radius)  # limbal ring
    texture *= 1 - 0.35 * _bump(radius - pupil, 0.07)
    # The cornea gathers the lamp's light on the far side of the iris.
    lamp_x, lamp_y, lamp_z = scene.lamp
    gathered = -((x - iris_x) * lamp_x + (y - iris_y) * lamp_y) / eye.iris_size
    light = eye.light * (eye.ambient + np.clip(lamp_z + 0.75 * gathered, 0.15, None))

    hole = _smoothstep(pupil + pixel, pupil - pixel, radius)
    soft = max(0.05, pixel)
    inside = _smoothstep(1 + soft, 1 - soft, radius)
    radiance = texture * light * (1 - hole)
    colour = _ramp(_IRIS_RAMP, eye.iris_paleness)
    for channel in range(3):
        layer = ball[channel]
        layer += inside * (radiance * colour[channel] + 0.004 - layer)


def _put_wet_margin(ball: _Array, scene: _Scene, above_lower: _Array) -> None:
    """Draw the moist edge of the lower lid, on which the eyeball rests."""
    eye = scene.eye
    edge = 0.75 * _smoothstep(2.4, 1.2, above_lower)
    flesh = _colour(0.50, 0.27, 0.22) * (eye.light * (eye.ambient + 0.8))
    _blend(ball, edge, flesh)
    ball += 0.22 * eye.light * _bump(above_lower - 2.3, 0.6)


def _put_reflections(
    ball: _Array, scene: _Scene, x: _Array, y: _Array, below_upper: _Array
) -> None:
    """Mirror the lamp and the surroundings in the cornea."""
    eye = scene.eye
    iris_x, iris_y = scene.iris
    local_x, local_y = (x - iris_x) / eye.iris_size, (y - iris_y) / eye.iris_size
    lamp_x, lamp_y, _ = scene.lamp
    # A window rather than a point: the maximum norm makes it square, the offset rounds it.
    from_lamp_x, from_lamp_y = local_x - 0.55 * lamp_x, local_y - 0.55 * lamp_y
    window = np.sqrt(np.sqrt(np.square(from_lamp_x**2) + np.square(from_lamp_y**2)))
    soft = max(0.05, 1 / (scene.scale * eye.iris_size))
    glint = 2.2 * eye.light * _smoothstep(0.17 + soft, 0.17 - soft, window)

    # The horizon of the surroundings, bent by the cornea; the sky above it is bright.
    rotation = math.radians(eye.sky_rotation)
    horizon = 0.25 * np.sin(3.0 * local_x + rotation) + 0.2 * math.cos(rotation) * local_x
    sky = _smoothstep(-0.05, 0.35, local_y - horizon)
    cornea = _smoothstep(1.05, 0.75, np.sqrt(local_x * local_x + local_y * local_y))
    sky *= cornea * (0.16 * eye.sky_exposure * eye.light * (eye.ambient + 0.3))
    visible = _smoothstep(0.5, 4.0, below_upper)
    ball += glint * visible + sky * visible * _colour(0.85, 0.95, 1.1)


def _put_hair(picture: _Array, scene: _Scene, curves: _Curves) -> None:
    """Draw the eyebrow and the lashes as strokes of one colour."""
    height, width = picture.shape[1:]
    canvas = Image.new("L", (width * _HAIR_OVERSAMPLING, height * _HAIR_OVERSAMPLING))
    draw = ImageDraw.Draw(canvas)
    _draw_brow(draw, scene)
    _draw_lashes(draw, scene, curves)
    cover = np.asarray(canvas.reduce(_HAIR_OVERSAMPLING), dtype=np.float32)
    eye = scene.eye
    colour = _ramp(_HAIR_RAMP, eye.hair_tone) * (eye.light * (eye.ambient + 0.5))
    _blend(picture, cover * (0.92 / 255), colour)


def _draw_brow(draw: ImageDraw.ImageDraw, scene: _Scene) -> None:
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
    roots = _project(scene, u, v, depth)
    tips = _project(scene, u + length * np.cos(lean), v + length * np.sin(lean), depth)
    middles = 0.5 * (roots[0] + tips[0]), 0.5 * (roots[1] + tips[1])
    _draw_strokes(draw, scene, roots, middles, tips, 0.55, 0.8)


def _draw_lashes(draw: ImageDraw.ImageDraw, scene: _Scene, curves: _Curves) -> None:
    """Lashes start at the margins; those of a lowered upper lid point down."""
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
    scene: _Scene,
    roots: _Points,
    middles: _Points,
    tips: _Points,
    thickness: float,
    strength: float,
) -> None:
    """Draw hairs that are thick at the root and pointed at the tip; lengths in units."""
    factor = scene.scale * _HAIR_OVERSAMPLING
    left, top = float(scene.x[0, 0]), float(scene.y[0, 0])

    def pixels(points: _Points) -> _Points:
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


def _put_nose(picture: _Array, scene: _Scene) -> None:
    """Let the bridge of the nose hide what is behind it when the head turns right."""
    eye, x, y = scene.eye, scene.x, scene.y
    across = np.square(y - 8)
    ridge = (58 + 0.008 * across - 0.16 * y) * math.sin(scene.turn) - 92 * math.cos(scene.turn)
    columns = int(np.searchsorted(x[0], ridge.max() + 24))
    if columns == 0:
        return
    part, beyond = picture[..., :columns], x[:, :columns] - ridge
    lamp_x, _, lamp_z = scene.lamp
    # The flank rounds off towards its edge.
    slope = np.exp(np.clip(beyond, None, 0) / 14)
    facing = np.clip(lamp_z * (1 - 0.5 * slope) + lamp_x * (0.9 * slope - 0.25), 0, None)
    texture = 1 + 0.03 * _smooth_noise(scene, 80, 60)[:, :columns]
    light = eye.light * texture * (eye.ambient + 0.22 + 0.78 * facing)
    skin = _ramp(_SKIN_RAMP, eye.skin_tone) * light
    cast = 0.45 * np.exp(-np.clip(beyond, 0, None) / 6) * max(0.0, math.sin(scene.turn))
    part *= 1 - cast
    soft = 0.8 / scene.scale
    _blend(part, _smoothstep(soft, -soft, beyond), skin)


def _put_background(picture: _Array, scene: _Scene) -> None:
    """Show what is behind the head where the temple ends, when the head turns right."""
    eye, x, y = scene.eye, scene.x, scene.y
    contour = 105 * math.cos(scene.turn) - 34 * math.sin(scene.turn) + 0.004 * np.square(y - 6)
    first = int(np.searchsorted(x[0], contour.min() - 24))
    if first == x.shape[1]:
        return
    part, beyond = picture[..., first:], x[:, first:] - contour
    # The skin darkens where it turns away from the camera.
    part *= 1 - 0.5 * np.exp(np.clip(beyond, None, 0) / 7)
    wall = _colour(0.16, 0.18, 0.22) * (eye.light * (eye.ambient + 0.2))
    soft = 1.2 / scene.scale
    _blend(part, _smoothstep(-soft, soft, beyond), wall)


def _develop(picture: _Array, scene: _Scene) -> npt.NDArray[np.uint8]:
    """Turn linear light into an 8 bit picture, as a camera with a soft shoulder would."""
    grain = 1.3 * scene.rng.standard_normal(picture.shape[1:], dtype=np.float32)
    developed = np.empty((*grain.shape, 3), dtype=np.uint8)
    for channel, layer in enumerate(picture):
        exposed = 1 - np.exp(np.maximum(layer, 0) * -1.6)
        developed[..., channel] = np.clip(np.sqrt(exposed) * 255 + grain, 0, 255)
    return developed
