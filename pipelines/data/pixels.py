"""Decode image files to pixels (SAFE, section 2: data acquisition).

As in `images`, a file that cannot be decoded comes back as `Rejected`, with a reason.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from pipelines.data.images import (
    ImageFile,
    Rejected,
    UnusableError,
    check_image,
    open_image,
    tell_reason,
)


def load_image(folder: Path, path: str, side: int) -> Image.Image | Rejected:
    """Decode a file to 8-bit RGB, upright.

    Parameters
    ----------
    side : int
        JPEG files much larger than `side` x `side` px are decoded at a half, a quarter or an eighth
        of their size, which is several times faster; both sides stay at least `side` px long.

    Returns
    -------
    Image or Rejected
        The image, in the file's own size or the fraction described above. Grey, palette, CMYK and
        16-bit images become RGB; transparent parts become white.
    """
    try:
        with Path(folder, path).open("rb") as file, open_image(file) as image:
            image.draft("RGB", (side, side))
            return _to_rgb(_upright(image))
    except Exception as error:  # on a damaged file, Pillow's readers may raise any exception
        return Rejected(path, tell_reason(error))


def upright_size(folder: Path, path: str) -> tuple[int, int] | Rejected:
    """Read an image's width and height from its header, in px, after turning it upright."""
    try:
        with Path(folder, path).open("rb") as file, open_image(file) as image:
            width, height = image.size
            turned = image.getexif().get(ExifTags.Base.Orientation) in {5, 6, 7, 8}
            return (height, width) if turned else (width, height)
    except Exception as error:  # see `load_image`
        return Rejected(path, tell_reason(error))


def load_pixels(
    folder: Path, image: ImageFile, size: tuple[int, int], *, grey: bool = False
) -> NDArray[np.uint8] | Rejected:
    """Decode a file and scale it to a network's input, as SAFE does (section 2).

    Parameters
    ----------
    size : tuple of int
        Width and height in px.
    grey : bool
        Whether the network takes one channel of luminance instead of RGB.

    Returns
    -------
    array of uint8, shape (height, width, 3 or 1), or Rejected
        The aspect ratio is not kept, as in the paper. A file that has changed since it was checked
        is rejected: its digest would stand for other pixels.
    """
    loaded = load_image(folder, image.path, max(size))
    if isinstance(loaded, Rejected):
        return loaded
    if check_image(folder, image.path) != image:
        return Rejected(image.path, "changed while the job ran: run it again")
    if grey:
        loaded = loaded.convert("L")
    pixels = np.asarray(loaded.resize(size, Image.Resampling.BILINEAR))
    return pixels[..., None] if grey else pixels


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a damaged tag is not a reason to lose the image
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise UnusableError("32-bit floating-point pixels: save it with 8 or 16 bits")
    if image.mode == "I":
        raise UnusableError("32-bit pixels: save it with 8 or 16 bits")
    if image.mode.startswith("I;16"):
        grey = np.asarray(image) // 257
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")
