"""Damaged pictures: one flipped bit in files of each format, and what checking for damage costs."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.hostile_reader import Kind
from pipelines.data.damage import check_damage
from pipelines.data.formats import open_image
from pipelines.data.images import Rejected, check_image
from pipelines.data.pixels import use_image
from pipelines.runs.errors import InputError

PICTURES: dict[str, dict[str, Any]] = {
    "PNG": {"format": "PNG"},
    "PNG, flat": {"format": "PNG", "flat": True},
    "JPEG": {"format": "JPEG"},
    "JPEG, progressive": {"format": "JPEG", "progressive": True},
    "BMP": {"format": "BMP"},
    "TIFF": {"format": "TIFF"},
    "TIFF, LZW": {"format": "TIFF", "compression": "tiff_lzw"},
    "TIFF, deflate": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
    "WebP": {"format": "WEBP"},
    "WebP, lossless": {"format": "WEBP", "lossless": True},
    "PPM": {"format": "PPM"},
    "GIF": {"format": "GIF"},
    "AVIF": {"format": "AVIF"},
}
"""Options with which Pillow writes each kind; a flat one compresses to few bytes."""


def draw(width: int, height: int) -> Image.Image:
    """Draw two ramps with noise, as compressible as a photograph."""
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(0).normal(0, 6, (height, width, 3))
    ramps = np.stack([x * 255 / width, y * 255 / height, (x + y) % 256], axis=-1)
    return Image.fromarray(np.clip(ramps + noise, 0, 255).astype(np.uint8))


def write_picture(path: Path, name: str) -> Path:
    """Write an undamaged picture of a kind."""
    options = {"flat": False} | PICTURES[name]
    flat = options.pop("flat")
    image = Image.new("RGB", (320, 240), (90, 120, 150)) if flat else draw(64, 48)
    image.save(path, **options)
    return path


def read_picture(path: Path) -> bytes:
    """Check and decode a picture as every job does; raise InputError with the reason."""
    checked = check_image(path.parent, path.name)
    if isinstance(checked, Rejected):
        raise InputError(f"{path.name}: {checked.reason}")
    content = use_image(
        path.parent, path.name, 224, lambda image: f"{image.size}".encode() + image.tobytes()
    )
    if isinstance(content, Rejected):
        raise InputError(f"{path.name}: {content.reason}")
    return content


def flip_bit(content: bytes, random: np.random.Generator) -> tuple[str, bytes]:
    """Flip one bit anywhere in a file."""
    flipped = bytearray(content)
    place = int(random.integers(len(content) * 8))
    flipped[place // 8] ^= 1 << place % 8
    return f"bit {place}", bytes(flipped)


KINDS = {
    name: (partial(write_picture, name=name), Kind(read_picture, flip_bit, name.startswith("PNG")))
    for name in PICTURES
}
"""How a picture of each kind is written, and read. PNG has checksums of all it holds."""


def cost_rows() -> Iterator[tuple[str, str, float, float, float]]:
    """Yield format, size, and ms of reading the header, checking damage, and the whole check."""
    kinds = {"PNG": {}, "JPEG": {"quality": 92}, "TIFF": {"compression": "tiff_adobe_deflate"}}
    for width, height in ((640, 480), (4000, 3000)):
        for name, options in kinds.items():
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "a")
                draw(width, height).save(path, name, **options)
                yield name, f"{width} x {height}", *_milliseconds(path)


def _milliseconds(path: Path) -> tuple[float, float, float]:
    spent: list[tuple[float, float, float]] = []
    for _ in range(9):
        with path.open("rb") as file:
            begun = time.perf_counter()
            image = open_image(file)
            opened = time.perf_counter()
            check_damage(image, file)
            checked = time.perf_counter()
        check_image(path.parent, path.name)
        whole = time.perf_counter() - checked
        spent.append((opened - begun, checked - opened, whole))
    header, damage, whole = (1000 * median(column) for column in zip(*spent, strict=True))
    return header, damage, whole
