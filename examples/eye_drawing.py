"""Draw one human eye and its surroundings from known parameters.

The lids are curves in space, turned with the head and projected onto the picture. The skin is a
height field, lit by one lamp and by ambient light. The eyeball is a sphere that carries the iris.
Hairs are strokes on top. Colours are linear light until the last step.

Lengths are in *units*: 1 unit is 1/160 of the picture's width, that is one pixel of a standard
160 x 120 picture. The origin is the middle of the eyeball, x points to the image's right, y points
up and z points to the camera. The eye is the one on the image's right half of a face: the nose is
at the image's left.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from examples.conditions import put_conditions
from examples.drawing.eyeball import put_eyeball
from examples.drawing.hair import put_hair
from examples.drawing.scene import Array, Scene, make_scene, read_lids, trace_lids
from examples.drawing.skin import draw_skin, put_background, put_nose
from examples.eye import Eye


def draw_eye(
    eye: Eye, size: tuple[int, int] = (160, 120), seed: int | Sequence[int] = 0
) -> npt.NDArray[np.uint8]:
    """Draw an eye.

    Parameters
    ----------
    eye : Eye
        The parameters of the picture.
    size : tuple of int
        Width and height in pixels. The picture always shows 160 units across.
    seed : int or sequence of int
        Seed of everything that has no parameter: skin texture, veins, fibres, single hairs, and
        the places of glasses, glare and bar.

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
    scene = make_scene(eye, width, height, np.random.default_rng(seed))
    margins = trace_lids(scene)
    lids = read_lids(scene, margins)
    picture = draw_skin(scene, lids)
    put_eyeball(picture, scene, lids)
    put_hair(picture, scene, margins)
    put_nose(picture, scene)
    put_background(picture, scene)
    # A generator of its own: how many numbers the scene draws depends on the picture's size.
    rng = scene.rng.spawn(1)[0]
    return put_conditions(_develop(picture, scene), eye, rng)


def _develop(picture: Array, scene: Scene) -> npt.NDArray[np.uint8]:
    """Turn linear light into an 8-bit picture; bright light saturates gradually, as on film."""
    grain = 1.3 * scene.rng.standard_normal(picture.shape[1:], dtype=np.float32)
    developed = np.empty((*grain.shape, 3), dtype=np.uint8)
    for channel, layer in enumerate(picture):
        exposed = 1 - np.exp(np.maximum(layer, 0) * -1.6)
        developed[..., channel] = np.clip(np.sqrt(exposed) * 255 + grain, 0, 255)
    return developed
