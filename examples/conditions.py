"""Imaging conditions and things before the eye, put over a finished picture.

Lengths are in pixels. Every function returns a new picture and does not change its input.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from examples.eye import UNITS_ACROSS, Eye

Box = tuple[float, float, float, float]
"""Left, top, right and bottom."""

_FOG = (200, 205, 210)
_LENS, _FRAME = (22, 22, 26), (5, 5, 5)


def blur(image: Image.Image, radius: float) -> Image.Image:
    """Put the picture out of focus.

    Parameters
    ----------
    radius : float
        Standard deviation of the Gaussian.
    """
    return image.filter(ImageFilter.GaussianBlur(radius))


def add_glare(
    image: Image.Image, light: float, middle: tuple[float, float], spread: float
) -> Image.Image:
    """Add a bright spot that clips.

    Parameters
    ----------
    light : float
        Grey levels that are added in the middle of the spot, 0 or more; 255 makes black white.
    middle : tuple of float
        Column and row.
    spread : float
        Distance from the middle at which the light falls to 1/e, as a share of the picture's width.
    """
    y, x = np.mgrid[: image.height, : image.width]
    distance = np.hypot(x - middle[0], y - middle[1]) / image.width
    added = light * np.exp(-((distance / spread) ** 2))
    return to_image(np.asarray(image) + added[..., None])


def add_fog(image: Image.Image, share: float) -> Image.Image:
    """Blend the picture with light grey; `share` (0 to 1) of the result is grey."""
    return Image.blend(image, Image.new("RGB", image.size, _FOG), share)


def put_on_sunglasses(image: Image.Image, darkness: float, lens: Box) -> Image.Image:
    """Put a dark lens with its frame over the eye.

    Parameters
    ----------
    darkness : float
        Share of the light that the lens keeps from the camera, 0 to 1.
    lens : tuple of float
        Box of the lens.
    """
    covered = image.copy()
    draw, factor = ImageDraw.Draw(covered), image.width / UNITS_ACROSS
    left, top = lens[:2]
    rim, temple = (max(1, round(width * factor)) for width in (3, 5))
    draw.rounded_rectangle(lens, image.height // 5, _LENS, _FRAME, rim)
    hinge = (0, top + 8 * factor, left + 4 * factor, top + 14 * factor)
    draw.line(hinge, fill=_FRAME, width=temple)
    return Image.blend(image, covered, darkness)


def put_bar(
    image: Image.Image, width: float, left: float, lean: float, colour: tuple[int, ...]
) -> Image.Image:
    """Put an opaque bar before the eye, from the top of the picture to its bottom.

    Parameters
    ----------
    width : float
        Width of the bar.
    left : float
        Column of its left edge at half the picture's height.
    lean : float
        How far the top of the bar is shifted to the right, and its bottom to the left.
    colour : tuple of int
        RGB, 0 to 255.
    """
    covered = image.copy()
    outline = [
        (left + lean, 0),
        (left + width + lean, 0),
        (left + width - lean, image.height),
        (left - lean, image.height),
    ]
    ImageDraw.Draw(covered).polygon(outline, fill=colour)
    return covered


def to_image(pixels: NDArray[np.floating]) -> Image.Image:
    """Return a picture of values; those outside 0 to 255 are clipped."""
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def put_conditions(
    picture: NDArray[np.uint8], eye: Eye, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Put the conditions of an eye over its picture, in order from the eye to the camera.

    Parameters
    ----------
    picture : array of uint8, shape (height, width, 3)
        RGB.
    eye : Eye
        Its parameters say which conditions there are; without conditions, the pixels do not change.
    rng : numpy.random.Generator
        Source of what has no parameter: the places of things and the bar's colour.

    Returns
    -------
    array of uint8, shape (height, width, 3)
    """
    height, width = picture.shape[:2]
    scale = width / UNITS_ACROSS
    image = Image.fromarray(picture)
    if eye.lens_darkness > 0:
        left, top = rng.uniform(0.02, 0.1) * width, rng.uniform(0.18, 0.25) * height
        right = left + rng.uniform(0.82, 0.9) * width
        bottom = top + rng.uniform(0.58, 0.65) * height
        image = put_on_sunglasses(image, eye.lens_darkness, (left, top, right, bottom))
    if eye.bar_width > 0:
        middle, lean = rng.uniform(0.4, 0.6) * width, rng.uniform(-20, 20) * scale
        colour = tuple(int(value) for value in rng.integers(20, 160, 3))
        across = eye.bar_width * scale
        image = put_bar(image, across, middle - across / 2, lean, colour)
    if eye.blur_radius > 0:
        image = blur(image, eye.blur_radius * scale)
    if eye.fog_share > 0:
        image = add_fog(image, eye.fog_share)
    if eye.glare_light > 0:
        place = rng.uniform(0.3, 0.7) * width, rng.uniform(0.3, 0.6) * height
        image = add_glare(image, eye.glare_light, place, rng.uniform(0.2, 0.35))
    return np.array(image)
