"""Draw the skin of the face, the nose before it and the background behind it."""

import math

import numpy as np

from examples.drawing.scene import (
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

_SKIN_RAMP = (
    (0.760, 0.500, 0.400),
    (0.640, 0.380, 0.270),
    (0.430, 0.225, 0.135),
    (0.215, 0.098, 0.054),
    (0.092, 0.043, 0.027),
)
"""Linear RGB colours from pale to very dark."""


def draw_skin(scene: Scene, lids: Lids) -> Array:
    """Draw skin over the whole picture, also where the eyeball comes later.

    Returns
    -------
    numpy.ndarray
        Linear RGB, float32, (3, height, width).
    """
    eye, x, y = scene.eye, scene.x, scene.y
    blotches = draw_noise(scene, 10, 8)
    pores = draw_noise(scene, 80, 60)
    fold_fade = bump(lids.across, 1.25)
    crease = fold_fade * bump(y - lids.crease, 1.9)
    under_eye = fold_fade * bump(y - lids.lower + 10.5 - 0.05 * x, 5.5)

    # The height field, in units towards the camera.
    relief = 11 * bump(x, 44) * bump(y - 2, 27)  # the eyeball under the lids
    relief += 19 * smoothstep(12, 50, y - 0.05 * x)  # bone under the eyebrow
    relief += 5 * smoothstep(-22, -60, y)  # cheek
    nose_x = x + 84 * math.cos(scene.turn) - 30 * math.sin(scene.turn)
    relief += 27 * bump(nose_x, 36)
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
    corner = bump(lids.across + 1.15, 0.3) * bump(y - 6, 18)
    hidden = 0.42 * crease + 0.30 * margin * margin + 0.35 * corner
    light = eye.light * (eye.ambient + lit) * (1 - np.clip(hidden, 0, 0.9))

    albedo = ramp(_SKIN_RAMP, eye.skin_tone)
    flush = 0.10 * blotches + 0.45 * margin
    shadowed = 0.22 * under_eye  # thin skin
    picture = np.empty((3, *light.shape), dtype=np.float32)
    for channel, (reddens, darkens) in enumerate(((0.06, 0.9), (-0.22, 1.0), (-0.18, 0.75))):
        tint = (1 + reddens * flush) * (1 - darkens * shadowed)
        picture[channel] = albedo[channel] * light * tint + gloss
    return picture


def put_nose(picture: Array, scene: Scene) -> None:
    """Draw the bridge of the nose, which hides parts of the face when the head turns right."""
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
    texture = 1 + 0.03 * draw_noise(scene, 80, 60)[:, :columns]
    light = eye.light * texture * (eye.ambient + 0.22 + 0.78 * facing)
    skin = ramp(_SKIN_RAMP, eye.skin_tone) * light
    cast = 0.45 * np.exp(-np.clip(beyond, 0, None) / 6) * max(0.0, math.sin(scene.turn))
    part *= 1 - cast
    soft = 0.8 / scene.scale
    blend(part, smoothstep(soft, -soft, beyond), skin)


def put_background(picture: Array, scene: Scene) -> None:
    """Draw the background: it is visible beside the temple when the head turns right."""
    eye, x, y = scene.eye, scene.x, scene.y
    contour = 105 * math.cos(scene.turn) - 34 * math.sin(scene.turn) + 0.004 * np.square(y - 6)
    first = int(np.searchsorted(x[0], contour.min() - 24))
    if first == x.shape[1]:
        return
    part, beyond = picture[..., first:], x[:, first:] - contour
    # The skin darkens where it turns away from the camera.
    part *= 1 - 0.5 * np.exp(np.clip(beyond, None, 0) / 7)
    wall = colour_of(0.16, 0.18, 0.22) * (eye.light * (eye.ambient + 0.2))
    soft = 1.2 / scene.scale
    blend(part, smoothstep(-soft, soft, beyond), wall)
