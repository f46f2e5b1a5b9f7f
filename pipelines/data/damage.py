"""Find damage of an image file that decoding alone does not notice (SAFE, section 2).

Decoders stop when they have all pixels. They ignore checksums and what comes after the pixels.
This module checks what the formats allow to check; `docs/limits.md` lists the damage that remains
unnoticed.
"""

from __future__ import annotations

import zlib
from typing import IO

from PIL import Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

from pipelines.data.formats import UnusableError, is_jpeg

_BLOCK = 1 << 20
_DEFLATE = {8, 32946}
_COMPRESSION = 259
_PARTS = ((273, 279), (324, 325))
"""Tags with the positions and the lengths in bytes of a TIFF file's strips or tiles."""
_END_OF_IMAGE = b"\xff\xd9"


def check_damage(image: Image.Image, file: IO[bytes]) -> None:
    """Check a file by the checks that its format has; memory does not grow with the file.

    PNG: the checksums (CRC-32) of all chunks. TIFF: the checksums (Adler-32) of deflated strips or
    tiles. JPEG: the end marker, which is missing if the file was cut or not written to its end.

    Time of these checks, of the whole time of `check_image`, in ms (`python -m benchmarks.hostile
    --cost`): PNG 0.2 of 0.6 (640 x 480) and 6 of 20 (4000 x 3000); JPEG 0.1 of 0.2 and 3 of 5;
    deflated TIFF, which has to be inflated, 3 of 4 and 129 of 147.

    Parameters
    ----------
    image : Image
        Fresh from `open_image`. It cannot be used afterwards.
    file : binary file
        The file that `image` reads. Its position afterwards is not defined.

    Raises
    ------
    Exception
        UnusableError, or what Pillow's reader raises; `tell_reason` turns each of them into words.
    """
    if isinstance(image, PngImagePlugin.PngImageFile):
        _check_chunks(image, file)
    elif isinstance(image, TiffImagePlugin.TiffImageFile):
        _check_strips(image, file)
    elif is_jpeg(image):
        _check_end(file)


def _check_chunks(image: PngImagePlugin.PngImageFile, file: IO[bytes]) -> None:
    """Check the chunks from the first one of pixels on; Pillow has checked those before.

    Its own check holds each chunk twice, and some programs write all pixels as one.
    """
    file.seek(image.tile[0].offset - 8)
    while (header := file.read(8))[4:] != b"IEND":
        checksum, length = zlib.crc32(header[4:]), int.from_bytes(header[:4])
        while length and (block := file.read(min(length, _BLOCK))):
            checksum = zlib.crc32(block, checksum)
            length -= len(block)
        end = file.read(4)
        if length or len(end) < 4:
            raise UnusableError("truncated: the PNG file ends before its last chunk")
        if int.from_bytes(end) != checksum:
            raise UnusableError(f"damaged: bad checksum of a PNG file's chunk {header[4:]!r}")


def _check_strips(image: TiffImagePlugin.TiffImageFile, file: IO[bytes]) -> None:
    tags = image.tag_v2
    if tags.get(_COMPRESSION) not in _DEFLATE:
        return
    for offsets, lengths in _PARTS:
        begins, sizes = tags.get(offsets, ()), tags.get(lengths, ())
        if len(begins) != len(sizes):
            raise UnusableError("damaged: its table of strips or tiles is not whole")
        for offset, length in zip(begins, sizes, strict=True):
            file.seek(offset)
            _check_deflated(file, length)


def _check_deflated(file: IO[bytes], length: int) -> None:
    stream = zlib.decompressobj()
    try:
        while length > 0 and not stream.eof and (block := file.read(min(length, _BLOCK))):
            length -= len(block)
            while block and not stream.eof:
                stream.decompress(block, _BLOCK)
                block = stream.unconsumed_tail
        while not stream.eof and stream.decompress(b"", _BLOCK):  # the rest of the output
            pass
    except zlib.error as error:
        raise UnusableError(f"damaged: {error}") from error
    if not stream.eof:
        raise UnusableError("truncated: a strip of its pixels does not end")


def _check_end(file: IO[bytes]) -> None:
    """Raise UnusableError for a JPEG file without an end marker after its pixels.

    The bytes of the marker cannot occur inside the pixels.
    """
    file.seek(0)
    JpegImagePlugin.JpegImageFile(file)  # skips the header: previews in it have end markers, too
    last = b""
    while block := file.read(_BLOCK):
        if _END_OF_IMAGE in last + block:
            return
        last = block[-1:]
    raise UnusableError("truncated: the end of the JPEG file is missing")
