"""Decoding: formats, kinds of pixels, rotation and scaling."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from pipelines.data.images import ImageFile, Rejected, check_image
from pipelines.data.pixels import load_image, load_pixels


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "TIFF"])
def test_the_format_follows_from_the_content_and_not_from_the_extension(tmp_path, draw, kind):
    draw(tmp_path / "image.txt", seed=3, format=kind)
    expected = hashlib.sha256((tmp_path / "image.txt").read_bytes()).hexdigest()
    assert check_image(tmp_path, "image.txt") == ImageFile("image.txt", expected)
    draw(tmp_path / "original.png", seed=3)
    decoded = np.asarray(load_image(tmp_path, "image.txt", 224), dtype=int)
    original = np.asarray(Image.open(tmp_path / "original.png"), dtype=int)
    assert np.abs(decoded - original).mean() < 8


def test_exif_rotation_is_applied(tmp_path):
    pixels = np.zeros((20, 40, 3), dtype=np.uint8)
    pixels[:, :10] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif, quality=95)
    upright = np.asarray(load_image(tmp_path, "a.jpg", 224))
    assert upright.shape == (40, 20, 3)
    assert upright[:8].mean() > 250
    assert upright[12:].mean() < 5


def save_grey(path):
    Image.new("L", (8, 8), 100).save(path)
    return 100, 100, 100


def save_palette(path):
    Image.new("RGB", (8, 8), (10, 200, 30)).quantize(4).save(path)
    return 10, 200, 30


def save_transparent(path):
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(path)
    return 255, 255, 255


def save_half_transparent_grey(path):
    Image.new("LA", (8, 8), (0, 51)).save(path)
    return 204, 204, 204


def save_transparent_palette(path):
    Image.new("P", (8, 8), 0).save(path, transparency=0)
    return 255, 255, 255


def save_16_bit(path):
    Image.fromarray(np.full((8, 8), 128 * 257, dtype=np.uint16)).save(path)
    return 128, 128, 128


def save_black_and_white(path):
    Image.new("1", (8, 8), 1).save(path)
    return 255, 255, 255


@pytest.mark.parametrize(
    "save",
    [
        save_grey,
        save_palette,
        save_transparent,
        save_half_transparent_grey,
        save_transparent_palette,
        save_16_bit,
        save_black_and_white,
    ],
)
def test_every_kind_of_pixels_becomes_rgb(tmp_path, save):
    expected = save(tmp_path / "a.png")
    decoded = np.asarray(load_image(tmp_path, "a.png", 224))
    assert decoded.shape == (8, 8, 3)
    assert np.abs(decoded.reshape(-1, 3) - np.array(expected)).max() <= 1


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_16_bit_tiff_of_either_byte_order(tmp_path, order):
    mode = "I;16" if order == "<u2" else "I;16B"
    data = np.full((8, 8), 64 * 257, dtype=order)
    Image.frombytes(mode, (8, 8), data.tobytes()).save(tmp_path / "a.tif")
    assert np.asarray(load_image(tmp_path, "a.tif", 224)).max() == 64


def test_cmyk(tmp_path):
    Image.new("CMYK", (8, 8), (255, 0, 0, 0)).save(tmp_path / "a.jpg", quality=95)
    red, green, blue = np.asarray(load_image(tmp_path, "a.jpg", 224))[4, 4]
    assert red < 10
    assert min(green, blue) > 245


def test_large_jpeg_files_are_decoded_smaller_but_never_too_small(tmp_path, draw):
    draw(tmp_path / "a.jpg", size=(640, 480))
    assert load_image(tmp_path, "a.jpg", 224).size == (320, 240)
    assert load_image(tmp_path, "a.jpg", 320).size == (640, 480)


def test_pixels_are_the_image_downsampled_to_a_square(tmp_path, draw):
    draw(tmp_path / "a.png", size=(100, 50))
    pixels = load_pixels(tmp_path, check_image(tmp_path, "a.png"), (32, 32))
    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == np.uint8
    expected = Image.open(tmp_path / "a.png").resize((32, 32), Image.Resampling.BILINEAR)
    assert np.array_equal(pixels, np.asarray(expected))


def test_an_image_with_a_damaged_rotation_tag_is_loaded(tmp_path, draw):
    draw(tmp_path / "a.png", exif=b"Exif\x00\x00garbage, no TIFF header")
    assert load_image(tmp_path, "a.png", 224).size == (40, 30)


def test_a_file_that_changed_since_it_was_checked_is_rejected(tmp_path, draw):
    draw(tmp_path / "a.png", seed=1)
    checked = check_image(tmp_path, "a.png")
    draw(tmp_path / "a.png", seed=2)
    assert load_pixels(tmp_path, checked, (32, 32)) == Rejected(
        "a.png", "changed while the job ran: run it again"
    )
