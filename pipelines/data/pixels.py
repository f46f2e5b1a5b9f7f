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

from pipelines.data.changes import check_unchanged
from pipelines.data.formats import MAX_PIXELS, UnusableError, is_jpeg, open_image, tell_reason
from pipelines.data.images import ImageFile, Rejected
from pipelines.data.prefetch import DECODING

Result = TypeVar("Result")
RUN_AGAIN = "it changed while the job ran: run it again"
_ROWS = 64
_ONE_BLOCK = 256 << 20
"""Bytes of the largest block that Pillow asks for: any picture of `MAX_PIXELS` is one."""
_BYTES = 9
"""Most bytes a pixel that are held at a time: a picture of 4, its copy in RGB, and some rows."""
_DECODER = {"WEBP": 8, "AVIF": 4, "TIFF": 6}
"""Bytes a pixel that the decoders of some formats hold besides."""


def use_image(
    folder: Path, path: str, side: int, use: Callable[[Image.Image], Result]
) -> Result | Rejected:
    """Decode a file to 8-bit RGB, upright, and do something with it.

    What the picture takes is held of `DECODING` until `use` has returned.

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


def use_unchanged(
    folder: Path,
    image: ImageFile,
    side: int,
    use: Callable[[Image.Image], Result],
    advice: str = RUN_AGAIN,
) -> Result | Rejected:
    """Use a picture as `use_image` does, and reject a file whose digest has changed.

    Parameters
    ----------
    advice : str
        See `changes.check_unchanged`.
    """
    result = use_image(folder, image.path, side, use)
    if isinstance(result, Rejected):
        return result
    return check_unchanged(folder, image, advice) or result  # afterwards: of what was decoded


def _decode(file: Path, side: int, held: ExitStack) -> Image.Image | str:
    try:
        with file.open("rb") as opened, open_image(opened) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                image.draft("RGB", (min(side, width // 2), min(side, height // 2)))
            else:
                image.draft("RGB", (side, side))
            held.enter_context(DECODING.hold(_measure(image, width * height)))
            _allocate_in_one()
            return _to_rgb(_upright(image))
    except Exception as error:  # on a damaged file, Pillow's readers may raise any exception
        return tell_reason(error)


def _measure(image: Image.Image, pixels: int) -> int:
    """Return the bytes that decoding takes at most, of a file that has so many pixels."""
    taken = image.width * image.height * (_BYTES + _DECODER.get(image.format or "", 0))
    if is_jpeg(image) and "progressive" in image.info:
        # The decoder keeps all coefficients, of 2 bytes, however small the picture is drawn.
        taken += pixels * 2 * len(image.getbands())
    return taken


def _allocate_in_one() -> None:
    """Have Pillow ask for the memory of each picture as one block, not as many of 16 MiB.

    What it frees then goes back to the system: glibc keeps some of the blocks below 32 MiB, for
    each thread its own. In `pytest tests/pipelines/data/test_pixels.py -k large`, six threads on
    RGBA files of 50 million pixels peak at 460 MB and one at 440 MB; with blocks of 16 MiB six
    reached 1,040 to 1,440 MB, and 470 MB again with `MALLOC_ARENA_MAX=1`.
    """
    Image.core.set_block_size(_ONE_BLOCK)  # type: ignore[attr-defined]


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

    return use_unchanged(folder, image, max(size), scale)


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    try:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        if not turned:
            return image
        upright = ImageOps.exif_transpose(image)
        image.close()  # frees its pixels
        return upright
    except Exception:  # a damaged tag is not a reason to lose the image
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise UnusableError("32-bit floating-point pixels: save it with 8 or 16 bits")
    if image.mode == "I" and image.format != "PPM":  # of PPM, Pillow's mode of its 16 bits
        raise UnusableError("32-bit pixels: save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        return _by_rows(image, _of_16_bits)
    if image.has_transparency_data:
        return _by_rows(image, _on_white)
    return image if image.mode == "RGB" else image.convert("RGB")


def _by_rows(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Convert a picture to RGB, some rows at a time: at once it takes more than twice its size."""
    result = Image.new("RGB", image.size)
    for top in range(0, image.height, _ROWS):
        rows = image.crop((0, top, image.width, min(top + _ROWS, image.height)))
        result.paste(convert(rows), (0, top))
    return result


def _of_16_bits(image: Image.Image) -> Image.Image:
    grey = np.asarray(image).astype(np.uint16) // 257
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    rows = image.convert("RGBA")
    white = Image.new("RGBA", rows.size, "white")
    return Image.alpha_composite(white, rows).convert("RGB")
