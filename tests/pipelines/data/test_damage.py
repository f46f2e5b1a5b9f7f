"""Damage that a format lets us tell: in no such file are other pixels accepted."""

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from pipelines.data.images import ImageFile, Rejected, check_image
from tests.pipelines.data.decoded import load_image

FLIPS = 600


def flat(path, kind, **options):
    Image.new("RGB", (320, 240), (90, 120, 150)).save(path, kind, **options)
    return path.read_bytes()


def flips(content, begin, end):
    """Yield copies of a file with one random bit between two bytes flipped."""
    random = np.random.default_rng(0)
    for bit in random.integers(begin * 8, end * 8, FLIPS).tolist():
        copy = bytearray(content)
        copy[bit // 8] ^= 1 << bit % 8
        yield bytes(copy)


def test_every_flipped_bit_in_the_pixels_of_a_flat_png_is_told(tmp_path):
    content = flat(tmp_path / "a.png", "PNG")
    assert isinstance(check_image(tmp_path, "a.png"), ImageFile)
    for damage in flips(content, content.index(b"IDAT") - 4, content.index(b"IEND") - 4):
        (tmp_path / "a.png").write_bytes(damage)
        answer = check_image(tmp_path, "a.png")
        assert isinstance(answer, Rejected)
        assert len(answer.reason.splitlines()) == 1


def test_a_png_file_is_told_to_be_whole_or_not_block_by_block(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.data.damage._BLOCK", 7)
    content = flat(tmp_path / "a.png", "PNG")
    assert isinstance(check_image(tmp_path, "a.png"), ImageFile)
    for cut in range(content.index(b"IDAT") + 4, content.index(b"IEND") - 4, 50):
        (tmp_path / "a.png").write_bytes(content[:cut])
        reason = "truncated: the PNG file ends before its last chunk"
        assert check_image(tmp_path, "a.png") == Rejected("a.png", reason)


def test_pixels_in_one_chunk_are_not_read_into_memory_at_a_time(tmp_path):
    pixels = zlib.compress(bytes(5_000 * 6_001), 0)
    with (tmp_path / "a.png").open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        header = struct.pack(">IIBBBBB", 6_000, 5_000, 8, 0, 0, 0, 0)
        for kind, content in ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")):
            file.write(struct.pack(">I4s", len(content), kind) + content)
            file.write(struct.pack(">I", zlib.crc32(kind + content)))
    tracemalloc.start()
    try:
        assert isinstance(check_image(tmp_path, "a.png"), ImageFile)
        assert tracemalloc.get_traced_memory()[1] < len(pixels) / 5
    finally:
        tracemalloc.stop()


def test_no_flipped_bit_anywhere_in_a_flat_png_gives_other_pixels(tmp_path):
    content = flat(tmp_path / "a.png", "PNG")
    right = load_image(tmp_path, "a.png", 224).tobytes()
    for damage in flips(content, 0, len(content)):
        (tmp_path / "a.png").write_bytes(damage)
        if isinstance(check_image(tmp_path, "a.png"), ImageFile):
            assert load_image(tmp_path, "a.png", 224).tobytes() == right


def test_no_flipped_bit_of_deflated_tiff_strips_gives_other_pixels(tmp_path):
    content = flat(tmp_path / "a.tif", "TIFF", compression="tiff_adobe_deflate")
    right = load_image(tmp_path, "a.tif", 224).tobytes()
    with Image.open(tmp_path / "a.tif") as image:
        places = list(zip(image.tag_v2[273], image.tag_v2[279], strict=True))
    begin, end = places[0][0], places[-1][0] + places[-1][1]
    refusals = 0
    for damage in flips(content, begin, end):
        (tmp_path / "a.tif").write_bytes(damage)
        if isinstance(check_image(tmp_path, "a.tif"), Rejected):
            refusals += 1
        else:
            assert load_image(tmp_path, "a.tif", 224).tobytes() == right
    assert refusals > 0.9 * FLIPS


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_jpeg_file_whose_last_part_was_never_written_is_told(tmp_path, draw, options):
    file = draw(tmp_path / "a.jpg", size=(300, 200), **options)
    content = file.read_bytes()
    half = len(content) // 2
    for rest in (b"", bytes(len(content) - half)):  # cut, or zeros up to the length of the file
        file.write_bytes(content[:half] + rest)
        assert check_image(tmp_path, "a.jpg") == Rejected(
            "a.jpg", "truncated: the end of the JPEG file is missing"
        )


@pytest.mark.parametrize("kind", ["JPEG", "MPO"])
def test_what_follows_the_end_of_a_jpeg_file_is_no_damage(tmp_path, draw, kind):
    file = draw(tmp_path / "a.jpg", size=(300, 200), format=kind)
    file.write_bytes(file.read_bytes() + b"a trailer of the camera's")
    assert isinstance(check_image(tmp_path, "a.jpg"), ImageFile)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": None},
        {"compression": "tiff_lzw"},
        {"compression": "tiff_adobe_deflate"},
        {"compression": "tiff_deflate"},
        {"compression": "packbits"},
        {"compression": "jpeg"},
    ],
)
def test_undamaged_tiff_files_of_every_codec_are_used(tmp_path, draw, options):
    draw(tmp_path / "a.tif", size=(300, 200), **options)
    assert isinstance(check_image(tmp_path, "a.tif"), ImageFile)
    assert load_image(tmp_path, "a.tif", 224).size == (300, 200)
