"""Photographs of many classes, composed from two packages that anyone can install.

Animals, plants and fruit of `tuxpaint-stamps-default`, cut out of photographs, are placed on
landscapes of `mate-backgrounds` (both Debian): about 160 classes with a few pictures each.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

STAMPS = Path("/usr/share/tuxpaint/stamps")
BACKGROUNDS = Path("/usr/share/backgrounds/mate/nature")
KINDS = ("animals", "plants", "food/fruit", "food/vegetables")
SMALLEST = 120
"""Smallest shorter side of a stamp that is used as a photograph, px."""
SIZE = (320, 240)


def find_stamps() -> list[Path]:
    """Return the cut-out photographs; an empty list if the package is not installed."""
    files = [file for kind in KINDS for file in sorted((STAMPS / kind).rglob("*.png"))]
    return [file for file in files if min(Image.open(file).size) >= SMALLEST]


def find_backgrounds() -> list[Path]:
    """Return the landscapes; an empty list if the package is not installed."""
    return sorted(BACKGROUNDS.glob("*.jpg"))


def compose(stamp: Path, background: Path, rng: np.random.Generator) -> Image.Image:
    """Put a cut-out at a random place on a part of a landscape.

    Returns
    -------
    Image
        RGB, 320 x 240 px.
    """
    with Image.open(background) as scene:
        scene.draft("RGB", (2 * SIZE[0], 2 * SIZE[1]))
        whole = scene.convert("RGB")
    share = rng.uniform(0.4, 0.9)
    width = share * min(whole.width, whole.height * SIZE[0] / SIZE[1])
    height = width * SIZE[1] / SIZE[0]
    left, top = rng.uniform(0, whole.width - width), rng.uniform(0, whole.height - height)
    picture = whole.resize(SIZE, Image.Resampling.BICUBIC, (left, top, left + width, top + height))
    if rng.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    with Image.open(stamp) as file:
        figure = file.convert("RGBA")
    scale = rng.uniform(0.5, 0.9) * min(SIZE[0] / figure.width, SIZE[1] / figure.height)
    size = (round(figure.width * scale), round(figure.height * scale))
    figure = figure.resize(size, Image.Resampling.BICUBIC)
    if rng.random() < 0.5:
        figure = figure.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    x, y = (int(rng.integers(0, whole - part + 1)) for whole, part in zip(SIZE, size, strict=True))
    picture.paste(figure, (x, y), figure)
    light = rng.uniform(0.8, 1.15)
    return picture.point(lambda value: min(255, round(value * light)))
