"""Formats: what is read, and a reason with a name and an advice for what is not."""

import struct

import numpy as np
import pytest
from PIL import Image

from pipelines.data.formats import FORMAT_NAMES, FORMATS
from pipelines.data.images import ImageFile, Rejected, check_header, check_image
from tests.pipelines.data.decoded import load_image

CONVERT = "is not read: convert it to PNG or JPEG"


def test_the_list_of_formats_is_made_from_the_table():
    assert FORMAT_NAMES.replace(" and AVIF", ", AVIF").split(", ") == list(FORMATS.values())


@pytest.mark.parametrize(
    ("beginning", "reason"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", f"HEIC {CONVERT}"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", f"HEIC {CONVERT}"),
        (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2", "video is not read: save its frames as images"),
        (b"RIFF\0\0\0\0AVI LIST", "video is not read: save its frames as images"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", f"JPEG 2000 {CONVERT}"),
        (b"\xff\x4f\xff\x51\0\0", f"JPEG 2000 {CONVERT}"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", f"JPEG XL {CONVERT}"),
        (b"\xff\x0a\0\0", f"JPEG XL {CONVERT}"),
        (b"%PDF-1.7", f"PDF {CONVERT}"),
        (b"8BPS\0\1", f"Photoshop {CONVERT}"),
        (b'<?xml version="1.0"?>\n<svg>', f"SVG {CONVERT}"),
        (b"\x93NUMPY\1\0", f"NumPy array {CONVERT}"),
        (bytes(128) + b"DICM", f"DICOM {CONVERT}"),
        (b"\0\0\0\x18ftypavif\0\0\0\0", "damaged: the header of this AVIF file cannot be read"),
        (b"\x89PNG\r\n\x1a\n\0", "damaged: the header of this PNG file cannot be read"),
        (b"GIF89a", "damaged: the header of this GIF file cannot be read"),
        (b"II*\0\0\0", "damaged: the header of this TIFF file cannot be read"),
        (b"BMW, a note", f"not an image ({FORMAT_NAMES} are read)"),
    ],
)
def test_what_is_not_read_is_named_with_what_to_do(tmp_path, beginning, reason):
    (tmp_path / "a").write_bytes(beginning + bytes(0 if b"note" in beginning else 40))
    assert check_image(tmp_path, "a") == Rejected("a", reason)
    assert check_header(tmp_path, "a") == Rejected("a", reason)


def test_jpeg_2000_of_pillow_is_named(tmp_path, draw):
    draw(tmp_path / "a.jp2")
    assert check_image(tmp_path, "a.jp2") == Rejected("a.jp2", f"JPEG 2000 {CONVERT}")


def write_rgb_tiff(path, bits, sample_format, value):
    """Write a TIFF file of 2 x 2 RGB pixels, all of one value, a tag after the other."""
    samples = struct.pack("<12" + value[0], *[value[1]] * 12)
    triples = 8 + 2 + 12 * 9 + 4
    tags = [
        (256, 1, 2),
        (257, 1, 2),
        (258, 3, triples),
        (262, 1, 2),
        (273, 1, triples + 12),
        (277, 1, 3),
        (278, 1, 2),
        (279, 1, len(samples)),
        (339, 3, triples + 6),
    ]
    entries = b"".join(struct.pack("<HHLL", tag, 3, count, field) for tag, count, field in tags)
    header = b"II*\0" + struct.pack("<LH", 8, len(tags))
    pixels = struct.pack("<6H", *[bits] * 3, *[sample_format] * 3) + samples
    path.write_bytes(header + entries + bytes(4) + pixels)


@pytest.mark.parametrize(
    ("bits", "sample_format", "value", "kind"),
    [
        (32, 3, ("f", 0.5), "3 x 32-bit floating-point pixels"),
        (64, 3, ("d", 0.5), "3 x 64-bit floating-point pixels"),
        (32, 1, ("I", 9), "3 x 32-bit pixels"),
        (32, 2, ("i", 9), "3 x 32-bit signed pixels"),
    ],
)
def test_rgb_tiff_of_other_numbers_is_named(tmp_path, bits, sample_format, value, kind):
    write_rgb_tiff(tmp_path / "a.tif", bits, sample_format, value)
    assert check_image(tmp_path, "a.tif") == Rejected(
        "a.tif", f"TIFF with {kind} is not read: save it with 8 or 16 bits, in grey or RGB"
    )


def test_rgb_tiff_of_16_bits_is_read(tmp_path):
    write_rgb_tiff(tmp_path / "a.tif", 16, 1, ("H", 128 * 257))
    assert np.asarray(load_image(tmp_path, "a.tif", 224))[0, 0].tolist() == [128, 128, 128]


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"P5\n2 1\n255\n" + bytes([64, 64]), 64),
        (b"P5\n2 1\n65535\n" + struct.pack(">2H", 64 * 257, 64 * 257), 64),
        (b"P6\n2 1\n255\n" + bytes([64] * 6), 64),
        (b"P2\n2 1\n255\n64 64\n", 64),
        (b"P3\n2 1\n255\n64 64 64 64 64 64\n", 64),
        (b"P1\n2 1\n0 0\n", 255),
    ],
)
def test_pgm_ppm_and_pbm(tmp_path, content, value):
    (tmp_path / "a.ppm").write_bytes(content)
    assert np.asarray(load_image(tmp_path, "a.ppm", 224)).tolist() == [[[value] * 3] * 2]


ANIMATION_FORMATS = {"GIF": "GIF", "PNG": "PNG", "WEBP": "WebP", "AVIF": "AVIF", "TIFF": "TIFF"}


@pytest.mark.parametrize("kind", sorted(ANIMATION_FORMATS))
def test_a_file_of_several_pictures_is_told_and_a_still_is_read(tmp_path, kind):
    frames = [Image.new("RGB", (32, 24), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "still", kind, save_all=True)
    frames[0].save(tmp_path / "several", kind, save_all=True, append_images=frames[1:])
    assert isinstance(check_image(tmp_path, "still"), ImageFile)
    reason = (
        f"{ANIMATION_FORMATS[kind]} file of several pictures (an animation, or pages): save the "
        "image that is meant as a separate file"
    )
    assert check_image(tmp_path, "several") == Rejected("several", reason)
    assert load_image(tmp_path, "several", 224) == Rejected("several", reason)


@pytest.mark.parametrize(("subfile", "usable"), [(0, False), (1, True), (2, False), (4, True)])
def test_a_preview_or_a_mask_in_a_tiff_file_is_no_further_picture(tmp_path, subfile, usable):
    second = Image.new("RGB", (8, 6), "blue")
    second.encoderinfo = {"tiffinfo": {254: subfile}}
    first = Image.new("RGB", (32, 24), "red")
    first.save(tmp_path / "a.tif", save_all=True, append_images=[second])
    assert isinstance(check_image(tmp_path, "a.tif"), ImageFile) is usable
    if usable:
        image = load_image(tmp_path, "a.tif", 224)
        assert image.size == (32, 24)
        assert image.getpixel((0, 0)) == (255, 0, 0)


def test_of_a_jpeg_file_with_previews_the_first_picture_is_read(tmp_path):
    frames = [Image.new("RGB", (32, 24), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=frames[1:])
    red, green, blue = load_image(tmp_path, "a.jpg", 224).getpixel((0, 0))
    assert red > 250
    assert max(green, blue) < 5
