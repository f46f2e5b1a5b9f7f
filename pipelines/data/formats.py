"""The formats of images that are read, and the reason when a file is not (SAFE, section 2).

Messages and pages take the names of the formats from `FORMATS`.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import IO

from PIL import Image, TiffImagePlugin, UnidentifiedImageError

FORMATS = {
    "JPEG": "JPEG",
    "PNG": "PNG",
    "BMP": "BMP",
    "WEBP": "WebP",
    "TIFF": "TIFF",
    "GIF": "GIF",
    "PPM": "PPM (with PGM and PBM)",
    "AVIF": "AVIF",
}
"""Pillow's name of each format that is read, and the name that users know."""
*_FIRST, _LAST = FORMATS.values()
FORMAT_NAMES = f"{', '.join(_FIRST)} and {_LAST}"
MAX_PIXELS = 50_000_000
"""Largest number of pixels of an image that is decoded at full size."""
MAX_REDUCED_PIXELS = 150_000_000
"""Largest number of pixels of a JPEG file, which can be decoded at 1/2, 1/4 or 1/8 of each side."""

_FTYP = rb"....ftyp"
_CONVERT = "convert it to PNG or JPEG"
_FRAMES = "save its frames as images"
_NOT_READ = (
    ("HEIC", _FTYP + rb"(hei[cmsx]|hev[cmsx]|(mif1|msf1)(?!.*avi[fs]))", _CONVERT),
    ("Canon raw picture", _FTYP + rb"crx ", _CONVERT),
    ("video", _FTYP + rb"(?!avi[fs]|mif1|msf1)|RIFF....AVI |\x1a\x45\xdf\xa3", _FRAMES),
    ("JPEG 2000", rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51", _CONVERT),
    ("JPEG XL", rb"\x00\x00\x00\x0cJXL |\xff\x0a", _CONVERT),
    ("OpenEXR", rb"\x76\x2f\x31\x01", _CONVERT),
    ("Radiance HDR", rb"#\?RADIANCE", _CONVERT),
    ("DICOM", rb".{128}DICM", _CONVERT),
    ("Photoshop", rb"8BPS", _CONVERT),
    ("PDF", rb"%PDF", _CONVERT),
    ("SVG", rb"\s*(<\?xml[^>]*>\s*)?<svg", _CONVERT),
    ("NumPy array", rb"\x93NUMPY", _CONVERT),
)
"""Common formats of images that are not read: name, first bytes, and advice."""
_BEGINNING = 256
"""Number of first bytes by which a format is recognised."""
_REDUCED_OR_MASK = 0b101
"""Bits of TIFF's NewSubfileType: the page is a preview or a mask of another page."""
_BITS, _KIND, _SUBFILE = 258, 339, 254
_KINDS = {2: "signed", 3: "floating-point"}


class UnusableError(Exception):
    """An image file that cannot be used; the text says why."""


def open_image(file: IO[bytes]) -> Image.Image:
    """Read an image's header; its pixels are decoded later, on access.

    Raises
    ------
    Exception
        UnusableError for files that are empty, too large, of a known format that is not read, or
        with several images; otherwise what Pillow's readers raise. `tell_reason` turns each of them
        into words.
    """
    if not os.fstat(file.fileno()).st_size:
        raise UnusableError("the file is empty")
    beginning = file.read(_BEGINNING)
    for name, pattern, advice in _NOT_READ:
        if re.match(pattern, beginning, re.DOTALL):
            raise UnusableError(f"{name} is not read: {advice}")
    file.seek(0)
    try:
        image = Image.open(file, formats=tuple(FORMATS))
    except UnidentifiedImageError:
        _tell_known(file, beginning)
        raise
    _check_size(image)
    if not _has_more_pictures(image):
        return image
    raise UnusableError(
        f"{FORMATS.get(image.format or '', image.format)} file of several pictures (an animation,"
        " or pages): save the image that is meant as a separate file"
    )


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    most = MAX_REDUCED_PIXELS if is_jpeg(image) else MAX_PIXELS
    if width * height > most:
        raise UnusableError(
            f"{width} x {height} pixels, more than {most // 1_000_000} million: scale it down"
        )


def is_jpeg(image: Image.Image) -> bool:
    """Tell whether the JPEG decoder reads an image. MPO is a JPEG file with further images."""
    return image.format in {"JPEG", "MPO"}


def _has_more_pictures(image: Image.Image) -> bool:
    """Tell whether a file holds several images, so that it is unclear which one is meant.

    The images after the first of a JPEG file (MPO) do not count, nor do previews and masks in a
    TIFF file.
    """
    if is_jpeg(image):
        return False
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return bool(getattr(image, "is_animated", False))
    page = 0
    try:
        while True:
            page += 1
            image.seek(page)
            if not image.tag_v2.get(_SUBFILE, 0) & _REDUCED_OR_MASK:
                return True
    except EOFError:
        image.seek(0)
        return False


def _tell_known(file: IO[bytes], beginning: bytes) -> None:
    """Raise UnusableError for a file that starts like a known format but cannot be read."""
    for name, known in FORMATS.items():
        accept = Image.OPEN[name][1] if name in Image.OPEN else None
        answer = accept(beginning[:16]) if accept else False
        if isinstance(answer, str):
            raise UnusableError(f"{known} is not read by this machine's Pillow: {_CONVERT}")
        if answer and name == "TIFF":
            _tell_tiff(file)
        if answer and name not in {"BMP", "PPM"}:  # two letters that a text may begin with
            raise UnusableError(f"damaged: the header of this {known} file cannot be read")


def _tell_tiff(file: IO[bytes]) -> None:
    """Raise UnusableError when a TIFF file's header is whole and its kind of pixels is not read.

    Pillow says only that such a file is no image.
    """
    tags = None
    with suppress(Exception):
        file.seek(0)
        header = file.read(8)
        tags = TiffImagePlugin.ImageFileDirectory_v2(
            header + file.read(8) if header[2:3] == b"+" else header
        )
        file.seek(tags.next)
        tags.load(file)
    if tags is None or _BITS not in tags:
        return
    bits, kinds = tags[_BITS], tags.get(_KIND, (1,))
    kind = _KINDS.get(kinds[0], "")
    raise UnusableError(
        f"TIFF with {len(bits)} x {bits[0]}-bit {kind + ' ' if kind else ''}pixels is not read: "
        "save it with 8 or 16 bits, in grey or RGB"
    )


def describe_error(error: Exception) -> str:
    """Return what an error says, on one line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())


def tell_reason(error: Exception) -> str:
    """Say on one line why a file cannot be used, for any exception that reading it raised."""
    detail = describe_error(error)
    match error:
        case UnusableError():
            return detail
        case UnidentifiedImageError():
            return f"not an image ({FORMAT_NAMES} are read)"
        case Image.DecompressionBombError():
            return f"more than {MAX_PIXELS // 1_000_000} million pixels: scale it down"
        case MemoryError():
            return "too large for this machine's memory"
        case OSError() if error.errno:
            return f"cannot be read: {detail}"
        case EOFError() | OSError() if "truncated" in detail.lower() or isinstance(error, EOFError):
            return f"truncated: {detail}"
    return f"damaged: {detail}"
