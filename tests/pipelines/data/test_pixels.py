"""Decoding: formats, kinds of pixels, rotation and scaling."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data.formats import FORMATS
from pipelines.data.images import ImageFile, Rejected, check_image
from pipelines.data.pixels import load_pixels
from tests.pipelines.data.decoded import load_image

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_the_format_follows_from_the_content_and_not_from_the_extension(tmp_path, draw, kind):
    draw(tmp_path / "image.txt", seed=3, format=kind)
    expected = hashlib.sha256((tmp_path / "image.txt").read_bytes()).hexdigest()
    assert check_image(tmp_path, "image.txt") == ImageFile("image.txt", expected)
    draw(tmp_path / "original.png", seed=3)
    image = np.asarray(load_image(tmp_path, "image.txt", 224), dtype=int)
    original = np.asarray(Image.open(tmp_path / "original.png"), dtype=int)
    assert np.abs(image - original).mean() < 8


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
    image = np.asarray(load_image(tmp_path, "a.png", 224))
    assert image.shape == (8, 8, 3)
    assert np.abs(image.reshape(-1, 3) - np.array(expected)).max() <= 1


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_16_bit_tiff_of_either_byte_order(tmp_path, order):
    mode = "I;16" if order == "<u2" else "I;16B"
    pixels = np.full((8, 8), 64 * 257, dtype=order)
    Image.frombytes(mode, (8, 8), pixels.tobytes()).save(tmp_path / "a.tif")
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
    image = check_image(tmp_path, "a.png")
    draw(tmp_path / "a.png", seed=2)
    now = check_image(tmp_path, "a.png")
    assert load_pixels(tmp_path, image, (32, 32)) == Rejected(
        "a.png",
        f"another file than before (expected SHA-256 {image.digest[:12]}..., received "
        f"{now.digest[:12]}...): it changed while the job ran: run it again",
    )


MEASURE = """
import re, sys, threading
from pathlib import Path
from PIL import Image
from pipelines.data.pixels import use_image
scaled = []
started = threading.Barrier(int(sys.argv[2]))
def decode():
    started.wait()
    scaled.append(use_image(Path(sys.argv[1]), "a", 224, lambda image: image.resize((4, 4))))
threads = [threading.Thread(target=decode) for _ in range(int(sys.argv[2]))]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert all(isinstance(image, Image.Image) for image in scaled), scaled
print(int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.mark.parametrize(
    ("kind", "mode", "size", "options", "threads", "megabytes"),
    [
        ("PNG", "RGBA", (10_000, 5_000), {"compress_level": 1}, 6, 550),
        ("JPEG", "RGB", (12_000, 9_000), {}, 2, 75),
        ("JPEG", "RGB", (12_000, 9_000), {"progressive": True}, 2, 435),
        ("WEBP", "RGB", (5_000, 4_000), {"method": 0, "lossless": True}, 3, 450),
    ],
)
def test_threads_that_decode_large_pictures_wait_for_each_other(
    tmp_path, kind, mode, size, options, threads, megabytes
):
    """The limits are a fifth above the peaks of all threads: 460, 60, 360 and 375 MB.

    Those of one thread were 440, 55, 360 and 355 MB.
    """
    Image.new(mode, size, 128).save(tmp_path / "a", kind, **options)
    assert isinstance(check_image(tmp_path, "a"), ImageFile)
    command = [sys.executable, "-c", MEASURE, str(tmp_path), str(threads)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) < megabytes


def test_16_bit_pixels_scaled_in_parts_are_those_scaled_as_a_whole(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 2**16, (200, 30), dtype=np.uint16)
    for name in ("a.png", "a.pgm", "a.tif"):
        Image.fromarray(pixels).save(tmp_path / name)
        picture = np.asarray(load_image(tmp_path, name, 224))
        assert np.array_equal(picture, np.repeat((pixels // 257)[..., None], 3, axis=2))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_a_picture_laid_on_white_in_parts_is_the_one_laid_on_it_as_a_whole(tmp_path, mode):
    pixels = np.random.default_rng(0).integers(0, 256, (600, 30, 4), dtype=np.uint8)
    image = Image.fromarray(pixels).convert("RGBA" if mode == "P" else mode)
    if mode == "P":
        image = Image.fromarray(pixels[..., 0], "P")
        image.putpalette(bytes(range(256)) * 3)
        image.info["transparency"] = 7
    image.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as file:
        whole = file.convert("RGBA")
    naive = Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole).convert("RGB")
    assert load_image(tmp_path, "a.png", 224).tobytes() == naive.tobytes()
