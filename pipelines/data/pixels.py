"""Decode image files to pixels (SAFE, section 2: data acquisition).

As in `images`, a file that cannot be decoded comes back as `Rejected`, with a reason.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from pipelines.data.formats import MAX_PIXELS, UnusableError, is_jpeg, open_image, tell_reason
from pipelines.data.images import ImageFile, Rejected, check_image
from pipelines.data.prefetch import PIXELS_IN_FLIGHT

Result = TypeVar("Result")
CHANGED = "changed while the job ran: run it again"
_ROWS = 256


def use_image(
    folder: Path, path: str, side: int, use: Callable[[Image.Image], Result]
) -> Result | Rejected:
    """Decode a file to 8-bit RGB, upright, and do something with it.

    The picture counts among `PIXELS_IN_FLIGHT` until `use` has returned. Six threads with RGBA
    files of 50 million pixels have a peak of 1.2 GB, one of 0.5 GB: the allocator keeps some of
    what each thread has freed.

    Parameters
    ----------
    side : int
        JPEG files much larger than `side` x `side` px are decoded at a half, a quarter or an eighth
        of their size, which is several times faster; both sides stay at least `side` px long, or
        half of the file's own where that has more than `MAX_PIXELS`.
    use : callable
        Takes the picture (its size is the file's own, or a fraction as said above) and returns
        what is small beside it; it must not decode another one.  Grey, palette, CMYK and 16-bit
        pictures have become RGB; transparent parts have become white.

    Returns
    -------
    what `use` returns, or Rejected
    """
    with ExitStack() as held:
        image = _decode(Path(folder, path), side, held)
        return Rejected(path, image) if isinstance(image, str) else use(image)


def _decode(file: Path, side: int, held: ExitStack) -> Image.Image | str:
    try:
        with file.open("rb") as opened, open_image(opened) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                image.draft("RGB", (min(side, width // 2), min(side, height // 2)))
            else:
                image.draft("RGB", (side, side))
            # Of a progressive JPEG file, the decoder keeps all coefficients, whatever is drawn.
            whole = is_jpeg(image) and "progressive" in image.info
            pixels = width * height if whole else image.width * image.height
            held.enter_context(PIXELS_IN_FLIGHT.hold(pixels))
            return _to_rgb(_upright(image))
    except Exception as error:  # on a damaged file, Pillow's readers may raise any exception
        return tell_reason(error)


def upright_size(folder: Path, path: str) -> tuple[int, int] | Rejected:
    """Read an image's width and height from its header, in px, after turning it upright."""
    try:
        with Path(folder, path).open("rb") as file, open_image(file) as image:
            width, height = image.size
            turned = image.getexif().get(ExifTags.Base.Orientation) in {5, 6, 7, 8}
            return (height, width) if turned else (width, height)
    except Exception as error:  # see `_decode`
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

    def scale(picture: Image.Image) -> NDArray[np.uint8]:
        picture = picture.convert("L") if grey else picture
        pixels = np.asarray(picture.resize(size, Image.Resampling.BILINEAR))
        return pixels[..., None] if grey else pixels

    pixels = use_image(folder, image.path, max(size), scale)
    if isinstance(pixels, Rejected):
        return pixels
    if check_image(folder, image.path) != image:
        return Rejected(image.path, CHANGED)
    return pixels


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    try:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return ImageOps.exif_transpose(image) if turned else image
    except Exception:  # a damaged tag is not a reason to lose the image
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise UnusableError("32-bit floating-point pixels: save it with 8 or 16 bits")
    if image.mode == "I" and image.format == "PPM":  # Pillow's mode of its 16 bits
        image = Image.fromarray(np.asarray(image).astype(np.uint16))
    if image.mode == "I":
        raise UnusableError("32-bit pixels: save it with 8 or 16 bits")
    if image.mode.startswith("I;16"):
        grey = np.asarray(image) // 257
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        return _on_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    """Lay a picture on white, some rows at a time: as a whole it takes three more of its size."""
    result = Image.new("RGB", image.size)
    for top in range(0, image.height, _ROWS):
        rows = image.crop((0, top, image.width, min(top + _ROWS, image.height))).convert("RGBA")
        white = Image.new("RGBA", rows.size, "white")
        result.paste(Image.alpha_composite(white, rows).convert("RGB"), (0, top))
    return result
