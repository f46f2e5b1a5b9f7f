"""Eleven causes of failure, drawn on any photograph from mild to strong.

Sizes are shares of the picture's shorter side, so that a cause looks the same on photographs of any
resolution.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Random = np.random.Generator
Pixels = NDArray[np.float64]


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _pixels(image: Image.Image) -> Pixels:
    return np.asarray(image, dtype=np.float64)


def _side(image: Image.Image) -> int:
    return min(image.size)


def blur(image: Image.Image, rng: Random) -> Image.Image:
    """Put the picture out of focus."""
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0.01, 0.025) * _side(image)))


def low_light(image: Image.Image, rng: Random) -> Image.Image:
    """Take most of the light away; the remaining light is noisy."""
    dark = _pixels(image) * rng.uniform(0.12, 0.35)
    return _image(dark + rng.normal(0, 2, dark.shape))


def noise(image: Image.Image, rng: Random) -> Image.Image:
    """Add sensor noise."""
    pixels = _pixels(image)
    return _image(pixels + rng.normal(0, rng.uniform(18, 45), pixels.shape))


def fog(image: Image.Image, rng: Random) -> Image.Image:
    """Blend with a light grey."""
    grey = Image.new("RGB", image.size, (205, 208, 212))
    return Image.blend(image, grey, rng.uniform(0.5, 0.8))


def rain(image: Image.Image, rng: Random) -> Image.Image:
    """Draw thin bright streaks that lean one way."""
    wet, side = image.copy(), _side(image)
    draw = ImageDraw.Draw(wet)
    lean = rng.uniform(-0.3, 0.3)
    for _ in range(rng.integers(150, 350)):
        x, y = rng.uniform(-0.1, 1.1) * image.width, rng.uniform(-0.1, 1) * image.height
        length = rng.uniform(0.06, 0.14) * side
        draw.line((x, y, x + lean * length, y + length), fill=(215, 220, 228), width=1)
    return Image.blend(image, wet, rng.uniform(0.5, 0.85))


def jpeg(image: Image.Image, rng: Random) -> Image.Image:
    """Compress until the blocks show."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(rng.integers(4, 14)))
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def occlusion(image: Image.Image, rng: Random) -> Image.Image:
    """Put a large flat object in front of the scene."""
    picture = image.copy()
    width, height = (rng.uniform(0.3, 0.55) * side for side in image.size)
    x, y = rng.uniform(0, image.width - width), rng.uniform(0, image.height - height)
    colour = tuple(int(value) for value in rng.integers(20, 180, 3))
    ImageDraw.Draw(picture).rectangle((x, y, x + width, y + height), fill=colour)
    return picture


def over_exposure(image: Image.Image, rng: Random) -> Image.Image:
    """Expose with more light than the sensor can measure."""
    return _image(_pixels(image) * rng.uniform(1.5, 2.6) + 10)


def rotation(image: Image.Image, rng: Random) -> Image.Image:
    """Rotate the camera; the picture is cropped so that no corner is empty."""
    angle = rng.uniform(20, 50) * rng.choice([-1, 1])
    picture = image.rotate(angle, Image.Resampling.BICUBIC)
    sine, cosine = abs(np.sin(np.deg2rad(angle))), abs(np.cos(np.deg2rad(angle)))
    scale = min(
        image.width / (image.width * cosine + image.height * sine),
        image.height / (image.width * sine + image.height * cosine),
    )
    width, height = image.width * scale, image.height * scale
    left, top = (image.width - width) / 2, (image.height - height) / 2
    box = (left, top, left + width, top + height)
    return picture.resize(image.size, Image.Resampling.BICUBIC, box=box)


def colour_cast(image: Image.Image, rng: Random) -> Image.Image:
    """Balance white for another light: too warm or too cold."""
    strength = rng.uniform(0.25, 0.55)
    casts = ((1, 1 - strength / 2, 1 - strength), (1 - strength, 1 - strength / 3, 1))
    return _image(_pixels(image) * np.array(casts[rng.integers(len(casts))]))


def lens_dirt(image: Image.Image, rng: Random) -> Image.Image:
    """Put soft dark spots on the lens."""
    y, x = np.mgrid[: image.height, : image.width]
    clear = np.ones((image.height, image.width))
    for _ in range(rng.integers(8, 16)):
        middle = rng.uniform(0, image.width), rng.uniform(0, image.height)
        radius = rng.uniform(0.03, 0.09) * _side(image)
        distance = np.hypot(x - middle[0], y - middle[1]) / radius
        clear *= 1 - rng.uniform(0.6, 0.9) * np.exp(-(distance**4))
    return _image(_pixels(image) * clear[..., None])


@dataclass(frozen=True)
class Cause:
    """One injected cause.

    Attributes
    ----------
    name : str
    share : float
        Of all failing images; the shares sum up to 1.
    spoil : callable
        Draws it on a photograph.
    """

    name: str
    share: float
    spoil: Callable[[Image.Image, Random], Image.Image]


CAUSES = (
    Cause("blur", 0.17, blur),
    Cause("low light", 0.15, low_light),
    Cause("noise", 0.13, noise),
    Cause("fog", 0.11, fog),
    Cause("rain", 0.10, rain),
    Cause("JPEG", 0.09, jpeg),
    Cause("occlusion", 0.08, occlusion),
    Cause("over-exposure", 0.06, over_exposure),
    Cause("rotation", 0.05, rotation),
    Cause("colour cast", 0.03, colour_cast),
    Cause("lens dirt", 0.03, lens_dirt),
)
