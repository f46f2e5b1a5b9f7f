"""Pictures whose checksums are right, and that have no pixels: decoding them is what fails."""

import struct
import zlib


def undecodable_png(pixels: bytes = b"no pixels") -> bytes:
    """Return a PNG of 40 x 30 whose compressed pixels are any bytes."""
    header = struct.pack(">IIBBBBB", 40, 30, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)
        for kind, content in chunks
    )
