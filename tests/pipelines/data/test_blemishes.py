"""What spoils a picture, measured on pictures whose blemishes are drawn."""

import io
import math
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipelines.data.blemishes import blockiness, cast, dirt, flat_area, luminance, streaks, tilt
from pipelines.data.properties import PROPERTIES, measure

SIDES = (160, 200)


def draw_texture(seed=0, sides=SIDES, spread=18):
    """Draw a picture with shapes and fine texture, RGB as float 0 to 255."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (sides[1], sides[0]), (120, 125, 130))
    draw = ImageDraw.Draw(image)
    for _ in range(25):
        x, y = rng.integers(0, sides[1]), rng.integers(0, sides[0])
        box = (x, y, x + rng.integers(10, 50), y + rng.integers(10, 50))
        draw.rectangle(box, fill=tuple(int(v) for v in rng.integers(50, 210, 3)))
    return np.asarray(image, float) + rng.normal(0, spread / 3, (*sides, 3))


def as_planes(pixels):
    planes = np.clip(pixels, 0, 255).round().astype(np.float32) / np.float32(255)
    return [np.ascontiguousarray(planes[..., channel]) for channel in range(3)]


def as_light(pixels):
    return luminance(*as_planes(pixels))


def as_image(pixels):
    return Image.fromarray(np.clip(pixels, 0, 255).round().astype(np.uint8))


# --- flat patches -------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_a_flat_patch_is_measured_by_its_share(share):
    pixels = draw_texture()
    side = round(math.sqrt(share * pixels.shape[0] * pixels.shape[1]))
    pixels[20 : 20 + side, 30 : 30 + side] = (90, 120, 60)
    assert flat_area(*as_planes(pixels)) == pytest.approx(share, rel=0.06)


def test_texture_clipped_light_and_clipped_shadow_are_no_patch():
    pixels = draw_texture()
    assert flat_area(*as_planes(pixels)) < 0.01
    pixels[:80, :100] = 255
    pixels[80:, :100] = 3
    assert flat_area(*as_planes(pixels)) < 0.01


def test_a_shaded_wall_is_no_patch():
    pixels = draw_texture()
    pixels[:100] = np.linspace(80, 180, 200)[None, :, None]
    assert flat_area(*as_planes(pixels)) < 0.02


@pytest.mark.parametrize(("share", "covers"), [(0.7, True), (0.9, False), (1.0, False)])
def test_a_picture_that_is_flat_nearly_all_over_has_nothing_that_covers_it(share, covers):
    pixels = draw_texture()
    pixels[: round(share * SIDES[0])] = (200, 205, 210)
    assert (flat_area(*as_planes(pixels)) > 0.5) == covers


def test_a_picture_of_very_many_flat_patches_has_no_large_one():
    tiles = np.random.default_rng(1).integers(40, 200, (20, 25, 1)).repeat(8, 0).repeat(8, 1)
    assert flat_area(*as_planes(np.broadcast_to(tiles, (160, 200, 3)))) == 0


# --- blocks -------------------------------------------------------------------------------------


def naive_blockiness(light, period):
    ratios = []
    for plane in (light, light.T):
        steps = [
            sum(min(abs(int(a) - int(b)), 16) for a, b in zip(row, below, strict=True)) / len(row)
            for row, below in pairwise(plane)
        ]
        whole = len(steps) // period * period
        phases = [
            sum(steps[p] for p in range(phase, whole, period)) / (whole // period)
            for phase in range(period)
        ]
        most = max(phases)
        ratios.append((most + 0.1) / ((sum(phases) - most) / (period - 1) + 0.1))
    return sum(ratios) / 2


def test_blockiness_is_that_of_the_naive_twin():
    image = as_image(draw_texture(3))
    light = np.asarray(image.convert("L")).tolist()
    assert blockiness(image) == pytest.approx(naive_blockiness(np.array(light), 8))


@pytest.mark.parametrize("corner", [(0, 0), (3, 5)])
def test_strong_compression_shows_its_blocks_wherever_the_picture_was_cut(corner):
    image = as_image(draw_texture(4))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=6)
    strong = Image.open(io.BytesIO(file.getvalue())).convert("RGB")
    box = (*corner, *image.size)
    assert blockiness(strong.crop(box)) > blockiness(image.crop(box)) + 0.3


def test_a_picture_decoded_at_a_half_has_blocks_of_four():
    tiles = np.random.default_rng(1).integers(40, 200, (40, 50, 1)).repeat(4, 0).repeat(4, 1)
    image = as_image(np.broadcast_to(tiles, (160, 200, 3)))
    assert blockiness(image, (400, 320)) > 20
    assert math.isnan(blockiness(image, (1600, 1280)))


# --- streaks ------------------------------------------------------------------------------------


def rain(pixels, count, lean, length=18):
    image = as_image(pixels)
    draw = ImageDraw.Draw(image)
    for number in range(count):
        x, y = 8 + 12 * (number % 15), 6 + 26 * (number // 15)
        end = x + length * math.sin(lean), y + length * math.cos(lean)
        draw.line((x, y, *end), fill=(250, 250, 250))
    return np.asarray(image, float)


@pytest.mark.parametrize("lean", [0.0, 0.3, -0.4])
def test_streaks_of_one_lean_are_counted(lean):
    plain = np.full((160, 200, 3), 100.0)
    assert streaks(as_light(rain(plain, 40, lean))) == pytest.approx(40, abs=6)
    assert streaks(as_light(plain)) == 0


def test_frames_and_texture_are_no_streaks():
    assert streaks(as_light(draw_texture())) <= 3
    pixels = np.full((160, 200, 3), 100.0)
    pixels[:, 20:22] = pixels[:, 100:102] = 220  # longer than any drop draws
    assert streaks(as_light(pixels)) == 0


# --- tilt ---------------------------------------------------------------------------------------


def naive_tilt(light):
    shares, total = [0.0] * 90, 0.0
    for y in range(1, light.shape[0] - 1):
        for x in range(1, light.shape[1] - 1):
            across = float(light[y, x + 1] - light[y, x - 1])
            down = float(light[y + 1, x] - light[y - 1, x])
            step = math.hypot(across, down)
            shares[int(math.degrees(math.atan2(down, across)) + 360) % 90] += step
            total += step
    return max(sum(shares[first : first + 15]) for first in range(8, 69)) / total


def test_tilt_is_that_of_the_naive_twin():
    light = as_light(draw_texture(5, (40, 50)))
    assert tilt(light) == pytest.approx(naive_tilt(light.astype(float)), abs=0.01)


@pytest.mark.parametrize("angle", [25, 40, -30])
def test_a_turned_picture_is_tilted(angle):
    image = as_image(draw_texture(6, (300, 300), spread=1))
    upright = as_light(np.asarray(image.crop((90, 90, 210, 210)), float))
    rotation = image.rotate(angle, Image.Resampling.BICUBIC).crop((90, 90, 210, 210))
    assert tilt(as_light(np.asarray(rotation, float))) > tilt(upright) + 0.3


def test_a_flat_picture_has_no_tilt():
    assert math.isnan(tilt(np.full((50, 50), 0.5, np.float32)))


# --- spots --------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [3, 8])
def test_soft_dark_spots_are_counted_whatever_the_light(count):
    pixels = draw_texture(7)
    y, x = np.mgrid[:160, :200]
    clear = np.ones((160, 200))
    for number in range(count):
        middle = 25 + 48 * (number % 4), 40 + 70 * (number // 4)
        clear *= 1 - 0.75 * np.exp(-((np.hypot(x - middle[0], y - middle[1]) / 10) ** 4))
    for light in (1.0, 0.5):
        plain = dirt(*as_planes(light * pixels))
        assert plain <= 2
        spots = dirt(*as_planes(light * pixels * clear[..., None]))
        assert spots - plain == pytest.approx(count, abs=1.5)


# --- colour cast --------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.2, 0.4])
def test_a_cast_is_measured_by_what_one_channel_lacks(share):
    rng = np.random.default_rng(8)
    grey = np.repeat(rng.uniform(20, 240, (60, 80, 1)), 3, axis=2)
    assert cast(*as_planes(grey)) < 0.02
    assert cast(*as_planes(grey * (1, 1, 1 - share))) == pytest.approx(share, abs=0.03)


def test_a_bright_coloured_thing_alone_is_no_cast():
    rng = np.random.default_rng(9)
    pixels = np.repeat(rng.uniform(20, 200, (60, 80, 1)), 3, axis=2)
    pixels[:10, :10] = (255, 250, 120)
    assert cast(*as_planes(pixels)) < 0.1


# --- all ----------------------------------------------------------------------------------------


def test_small_and_black_pictures_have_none_of_what_they_are_too_small_for():
    small = np.full((20, 20), 0.5, np.float32)
    assert math.isnan(streaks(small))
    assert math.isnan(dirt(small, small, small))
    assert math.isnan(blockiness(as_image(np.full((20, 20, 3), 99.0))))
    black = np.zeros((60, 60), np.float32)
    assert math.isnan(cast(black, black, black))
    assert math.isnan(flat_area(*[np.zeros((1, 9), np.float32)] * 3))


def test_measure_gives_them_with_the_other_properties():
    pixels = draw_texture(10, (200, 256))
    values = dict(zip((p.key for p in PROPERTIES), measure(as_image(pixels)), strict=True))
    planes = as_planes(pixels)
    assert values["flat_area"] == pytest.approx(flat_area(*planes))
    assert values["cast"] == pytest.approx(cast(*planes))
    assert values["dirt"] == dirt(*planes)
    assert values["tilt"] == pytest.approx(tilt(luminance(*planes)))
    assert values["streaks"] == streaks(luminance(*planes))
    assert values["blockiness"] == pytest.approx(blockiness(as_image(pixels)))
