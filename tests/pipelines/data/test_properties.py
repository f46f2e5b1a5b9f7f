"""Measures of a picture, each against its formula in plain loops."""

import cmath
import math
import statistics

import numpy as np
import pytest
from PIL import Image, ImageFilter

from pipelines.data.properties import PROPERTIES, Property, measure

KEYS = [quality.key for quality in PROPERTIES]
EDGES = ("sharpness", "noise", "orientation", "coherence", "centre_x", "centre_y")


def measure_array(pixels):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels.astype(np.uint8))
    return dict(zip(KEYS, measure(image), strict=True))


def random_pixels(seed, height=13, width=17):
    """Blobs, slopes and noise, with clipped parts, so that every measure has something to find."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    slope = rng.normal(0, 8, 3) * y[..., None] + rng.normal(0, 8, 3) * x[..., None]
    return np.clip(slope + rng.normal(110, 30, (height, width, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(params=range(4))
def pixels(request):
    return random_pixels(request.param)


def lumas(pixels):
    return [
        [(0.299 * float(r) + 0.587 * float(g) + 0.114 * float(b)) / 255 for r, g, b in row]
        for row in pixels
    ]


def flat(rows):
    return [value for row in rows for value in row]


def test_brightness_and_contrast_naively(pixels):
    values = flat(lumas(pixels))
    result = measure_array(pixels)
    assert result["brightness"] == pytest.approx(statistics.fmean(values), rel=1e-5)
    naive = statistics.pstdev(values) / statistics.fmean(values)
    assert result["contrast"] == pytest.approx(naive, rel=1e-4)


def naive_blur(rows):
    """Crete et al., equations 1 to 8, along rows; edges are mirrored."""
    total = loss = 0.0
    for row in rows:
        reflection = row[::-1] + row + row[::-1]
        averages = [
            sum(reflection[len(row) + place - 4 : len(row) + place + 5]) / 9
            for place in range(len(row))
        ]
        for i in range(1, len(row)):
            variation = abs(row[i] - row[i - 1])
            total += variation
            loss += max(0, variation - abs(averages[i] - averages[i - 1]))
    return (total - loss) / total


def test_sharpness_naively(pixels):
    light = lumas(pixels)
    height, width = len(light), len(light[0])
    weights = (1, 2, 1)
    smooth = [
        [
            sum(
                weights[i] * weights[j] * light[y + i][x + j] / 16
                for i in range(3)
                for j in range(3)
            )
            for x in range(width - 2)
        ]
        for y in range(height - 2)
    ]
    columns = [list(column) for column in zip(*smooth, strict=True)]
    naive = 1 - max(naive_blur(smooth), naive_blur(columns))
    assert measure_array(pixels)["sharpness"] == pytest.approx(naive, rel=1e-3)


def test_noise_naively(pixels):
    light = lumas(pixels)
    height, width = len(light), len(light[0])
    mask = ((1, -2, 1), (-2, 4, -2), (1, -2, 1))
    total = 0.0
    for y in range(height - 2):
        for x in range(width - 2):
            total += abs(sum(mask[i][j] * light[y + i][x + j] for i in range(3) for j in range(3)))
    naive = 255 * math.sqrt(math.pi / 2) * total / (6 * (width - 2) * (height - 2))
    assert measure_array(pixels)["noise"] == pytest.approx(naive, rel=1e-4)


def test_colourfulness_naively(pixels):
    colours = [tuple(float(value) / 255 for value in colour) for colour in flat(pixels.tolist())]
    across = [r - g for r, g, b in colours]
    along = [(r + g) / 2 - b for r, g, b in colours]
    spread = math.sqrt(statistics.pvariance(across) + statistics.pvariance(along))
    mean = math.sqrt(statistics.fmean(across) ** 2 + statistics.fmean(along) ** 2)
    light = statistics.fmean(0.299 * r + 0.587 * g + 0.114 * b for r, g, b in colours)
    expected = (spread + 0.3 * mean) / light
    assert measure_array(pixels)["colourfulness"] == pytest.approx(expected, rel=1e-4)


def test_hue_naively(pixels):
    total, chroma = 0j, 0.0
    for r, g, b in flat(pixels.tolist()):
        colour = sum(
            value / 255 * cmath.exp(2j * math.pi * place / 3)
            for place, value in enumerate((r, g, b))
        )
        total += colour
        chroma += abs(colour)
    result = measure_array(pixels)
    assert result["hue_strength"] == pytest.approx(abs(total) / chroma, rel=1e-4)
    assert result["hue"] == pytest.approx(math.degrees(cmath.phase(total)) % 360, abs=0.01)


def test_clipped_shares_naively():
    pixels = np.random.default_rng(0).choice([0, 10, 20, 21, 249, 250, 255], (9, 11, 3))
    brightest = [max(colour) for colour in flat(pixels.tolist())]
    result = measure_array(pixels)
    assert result["highlights"] == pytest.approx(sum(b >= 250 for b in brightest) / 99)
    assert result["shadows"] == pytest.approx(sum(b <= 20 for b in brightest) / 99)


def test_edges_naively(pixels):
    light = lumas(pixels)
    height, width = len(light), len(light[0])
    energy, phasors, middle_x, middle_y = 0.0, 0j, 0.0, 0.0
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            across = (light[y][x + 1] - light[y][x - 1]) / 2
            up = (light[y - 1][x] - light[y + 1][x]) / 2
            along_edge = complex(-up, across)
            energy += abs(along_edge) ** 2
            phasors += along_edge**2
            middle_x += abs(along_edge) ** 2 * (x + 0.5) / width
            middle_y += abs(along_edge) ** 2 * (y + 0.5) / height
    result = measure_array(pixels)
    assert result["coherence"] == pytest.approx(abs(phasors) / energy, rel=1e-3)
    assert result["centre_x"] == pytest.approx(middle_x / energy, rel=1e-4)
    assert result["centre_y"] == pytest.approx(middle_y / energy, rel=1e-4)
    if result["coherence"] >= 0.05:
        naive = math.degrees(cmath.phase(phasors)) / 2 % 180
        assert result["orientation"] == pytest.approx(naive, abs=0.05)


@pytest.mark.parametrize("degrees", [0, 30, 45, 90, 135, 170])
def test_edges_at_an_angle_are_told_counter_clockwise(degrees):
    y, x = np.mgrid[:64, :64]
    angle = math.radians(degrees)
    across = x * math.sin(angle) + y * math.cos(angle)  # rows are counted downwards
    wave = 128 + 60 * np.sin(across / 3)
    properties = measure_array(np.repeat(wave[..., None], 3, axis=2))
    assert abs((properties["orientation"] - degrees + 90) % 180 - 90) < 2
    assert properties["coherence"] > 0.9


@pytest.mark.parametrize(
    ("colour", "hue"), [((255, 0, 0), 0), ((0, 255, 0), 120), ((0, 0, 99), 240), ((9, 9, 0), 60)]
)
def test_hue_of_plain_colours(colour, hue):
    properties = measure_array(np.full((5, 5, 3), colour))
    assert properties["hue"] == pytest.approx(hue, abs=0.01)
    assert properties["hue_strength"] == pytest.approx(1)


def test_what_a_picture_does_not_have_is_nan():
    grey = measure_array(np.full((40, 40, 3), 77))
    without_value = {key for key, value in grey.items() if math.isnan(value)}
    assert without_value == {"hue", "hue_strength", "cast", "tilt", *set(EDGES) - {"noise"}}
    assert math.isnan(measure_array(np.zeros((40, 40, 3)))["contrast"])
    for shape in ((1, 1, 3), (2, 9, 3), (9, 2, 3)):
        small = measure_array(np.random.default_rng(0).integers(0, 256, shape))
        assert all(math.isnan(small[key]) for key in EDGES)
        assert not math.isnan(small["brightness"])


def test_noise_of_known_strength_is_found():
    rng = np.random.default_rng(0)
    grey = np.repeat(rng.normal(128, 12, (200, 200, 1)), 3, axis=2)
    assert measure_array(grey)["noise"] == pytest.approx(12, rel=0.03)


def test_sharpness_tells_blur_and_neither_light_nor_contrast_nor_noise():
    coarse = Image.fromarray(random_pixels(0, 40, 50))
    sharp = coarse.resize((200, 160), Image.Resampling.NEAREST)
    soft = sharp.filter(ImageFilter.GaussianBlur(4))
    values = np.asarray(sharp).astype(float)
    reference = measure_array(sharp)["sharpness"]
    assert measure_array(soft)["sharpness"] < reference / 2
    assert measure_array(values * 0.4)["sharpness"] == pytest.approx(reference, rel=0.05)
    assert measure_array(values * 0.4 + 150)["sharpness"] == pytest.approx(reference, rel=0.05)
    noisy = np.clip(values + np.random.default_rng(0).normal(0, 20, values.shape), 0, 255)
    assert measure_array(noisy)["sharpness"] > 0.9 * reference


def test_large_pictures_are_downscaled_but_keep_their_size():
    small = Image.fromarray(random_pixels(1, 192, 256))
    large = small.resize((1024, 768), Image.Resampling.BICUBIC)
    of_small, of_large = measure_array(small), measure_array(large)
    assert (of_large["width"], of_large["height"]) == (1024, 768)
    assert of_large["aspect"] == pytest.approx(4 / 3)
    assert of_large["brightness"] == pytest.approx(of_small["brightness"], abs=0.01)
    assert of_large["centre_x"] == pytest.approx(of_small["centre_x"], abs=0.02)
    assert measure_array(Image.new("RGB", (5000, 1), "red"))["hue"] == pytest.approx(0)


def test_only_rgb_is_measured():
    with pytest.raises(ValueError, match="RGB"):
        measure(Image.new("L", (9, 9)))


def test_properties_can_be_spoken_of():
    assert len(set(KEYS)) == len(KEYS)
    for quality in PROPERTIES:
        assert isinstance(quality, Property)
        assert quality.low or quality.high or quality.key == "orientation"
        assert quality.noticeable > 0
        assert quality.show(0.5)
