"""Measures of a picture that vision engineers know: brightness, sharpness, noise, ...

Each is a standard measure, which its docstring names. Luminance is luma (ITU-R BT.601, the Y of a
JPEG file), scaled to 0 to 1, computed from the stored pixel values.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.data.blemishes import (
    BLACK,
    HIGHLIGHT,
    SHADOW,
    Plane,
    blockiness,
    cast,
    dirt,
    flat_area,
    luminance,
    streaks,
    tilt,
)

LONGEST_SIDE = 256
GREY = 0.01
"""Mean chroma, of 1, up to which a picture has no hue: rounding and JPEG cause as much."""
ROUND = 0.05
"""Smallest coherence, and strength of hue, of a direction that is more than chance."""
BLUR_LENGTH = 9
"""Width of the additional blur of Crete et al., px."""


@dataclass(frozen=True)
class Property:
    """One measure, and its wording.

    Attributes
    ----------
    key : str
    low, high : str
        What a picture with a smaller or larger value is called, "... than the rest"; empty if such
        a difference is not reported.
    figure : str
        Name of the value.
    show : callable
        Formats a value, with its unit.
    noticeable : float
        Smallest difference that is reported, in the value's unit: people neither see smaller ones
        nor care about them.
    period : float
        Period of a circular value, in its unit; 0 for others.
    """

    key: str
    low: str
    high: str
    figure: str
    show: Callable[[float], str]
    noticeable: float
    period: float = 0.0


_DECIMAL, _COUNT, _PIXELS = "{:.2f}".format, "{:.0f}".format, "{:.0f} px".format
_DEGREES, _OF_255 = "{:.0f}°".format, "{:.1f} of 255".format


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def _hue(value: float) -> str:
    names = ("red", "yellow", "green", "cyan", "blue", "magenta")
    return f"{names[round(value / 60) % 6]} ({value:.0f}°)"


PROPERTIES = (
    Property("brightness", "darker", "brighter", "mean brightness", _DECIMAL, 0.04),
    Property("contrast", "lower in contrast", "higher in contrast", "contrast", _DECIMAL, 0.04),
    # Noise and texture look sharp even with a dull lens: only blur is reported.
    Property("sharpness", "blurrier", "", "sharpness", _DECIMAL, 0.04),
    # For a clean picture, the estimate measures fine texture, which is no finding.
    Property("noise", "", "noisier", "noise", _OF_255, 1.0),
    Property("colourfulness", "paler", "more colourful", "colourfulness", _DECIMAL, 0.05),
    Property("hue", "of another colour", "of another colour", "dominant hue", _hue, 20, 360),
    Property("hue_strength", "more mixed in hue", "more of one hue", "unity of hue", _DECIMAL, 0.1),
    Property(
        "highlights", "less overexposed", "more overexposed", "clipped highlights", _percent, 0.01
    ),
    Property(
        "shadows", "less underexposed", "more underexposed", "clipped shadows", _percent, 0.01
    ),
    # The angle of edges, such as 89°, helps nobody: `tilt` reports when a picture is turned.
    Property("orientation", "", "", "edges at", _DEGREES, 20, 180),
    Property("coherence", "less aligned", "more aligned", "alignment of edges", _DECIMAL, 0.1),
    Property("centre_x", "further left", "further right", "middle of detail at x", _percent, 0.05),
    Property("centre_y", "further up", "further down", "middle of detail at y", _percent, 0.05),
    Property("width", "narrower", "wider", "width", _PIXELS, 1),
    Property("height", "less tall", "taller", "height", _PIXELS, 1),
    Property("aspect", "more upright", "more elongated", "width to height", _DECIMAL, 0.02),
    # Only damage is reported: that other pictures have none is no finding.
    Property("flat_area", "", "more covered by a flat patch", "largest flat patch", _percent, 0.03),
    Property("blockiness", "", "blockier", "steps at 8-px blocks over others", _DECIMAL, 0.2),
    Property("streaks", "", "more streaked", "thin bright streaks", _COUNT, 5),
    Property("tilt", "", "more tilted", "edges along one tilted direction", _percent, 0.06),
    Property("dirt", "", "more spotted", "soft dark spots", _COUNT, 3),
    Property("cast", "", "more tinted by a colour cast", "cast", _percent, 0.04),
)


def measure(image: Image.Image, size: tuple[int, int] | None = None) -> NDArray[np.float64]:
    """Measure a picture.

    It is first downscaled to at most 256 px on its longer side, except for measures of size. Apart
    from the downscaling, time does not grow with the number of pixels.

    Parameters
    ----------
    image : Image
        RGB.
    size : tuple of int, optional
        Width and height of the original, if `image` was reduced.

    Returns
    -------
    array of float64, shape (p,)
        One value per entry of `PROPERTIES`; nan if undefined: the hue of a grey picture, contrast
        and colourfulness of a black one, the direction of edges in all directions, and measures of
        edges for a flat picture or one less than 3 px wide or high.

    Raises
    ------
    ValueError
        When the picture is not RGB.
    """
    if image.mode != "RGB":
        raise ValueError(f"an RGB picture is measured, not {image.mode}")
    pixels = np.asarray(_downscale(image))
    red, green, blue = (np.ascontiguousarray(pixels[..., channel]) for channel in range(3))
    width, height = size or image.size
    brightest = np.maximum(np.maximum(red, green), blue)
    planes = [plane.astype(np.float32) / np.float32(255) for plane in (red, green, blue)]
    light = luminance(*planes)
    hue, hue_strength = dominant_hue(*planes)
    orientation, coherence, centre_x, centre_y = edges(light)
    values = {
        "brightness": float(light.mean()),
        "contrast": contrast(light),
        "sharpness": sharpness(light),
        "noise": 255 * noise(light),
        "colourfulness": colourfulness(*planes),
        "hue": hue,
        "hue_strength": hue_strength,
        "highlights": float((brightest >= HIGHLIGHT).mean()),
        "shadows": float((brightest <= SHADOW).mean()),
        "orientation": orientation,
        "coherence": coherence,
        "centre_x": centre_x,
        "centre_y": centre_y,
        "width": width,
        "height": height,
        "aspect": width / height,
        "flat_area": flat_area(*planes),
        "blockiness": blockiness(image, size),
        "streaks": streaks(light),
        "tilt": tilt(light),
        "dirt": dirt(*planes),
        "cast": cast(*planes),
    }
    return np.array([values[property_.key] for property_ in PROPERTIES], dtype=np.float64)


def _downscale(image: Image.Image) -> Image.Image:
    scale = LONGEST_SIDE / max(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(side * scale)) for side in image.size)
    # With the gap, Pillow first averages whole blocks of very large pictures: much faster.
    return image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)


def contrast(light: Plane) -> float:
    """Compute RMS contrast (Peli: *Contrast in complex images*, 1990) over mean luminance.

    The standard deviation alone decreases with the light: every dark picture would have low
    contrast.

    Parameters
    ----------
    light : array of float32, shape (height, width)
        0 to 1.

    Returns
    -------
    float
        0 and up; nan for black pictures.
    """
    mean = float(light.mean())
    return float(light.std()) / mean if mean >= BLACK else math.nan


def sharpness(light: Plane) -> float:
    """Compute 1 - blur of Crete et al. (*The blur effect*, SPIE 2007).

    Blur is measured by the share of the variation between neighbours that remains under an
    additional blur. Unlike the variance of the Laplacian it does not depend on brightness and
    contrast. The picture is smoothed over 3 x 3 px first (binomial), because in noisy pictures this
    variation is mostly noise.

    Parameters
    ----------
    light : array of float32, shape (height, width)
        0 to 1.

    Returns
    -------
    float
        0 to 1, the smaller value of the two directions; nan for flat pictures.
    """
    from scipy import ndimage

    if min(light.shape) < 3:
        return math.nan
    smooth = light[:-2] + 2 * light[1:-1] + light[2:]
    smooth = (smooth[:, :-2] + 2 * smooth[:, 1:-1] + smooth[:, 2:]) / 16
    kept = []
    for axis in (0, 1):
        blurred = ndimage.uniform_filter1d(smooth, BLUR_LENGTH, axis=axis, mode="reflect")
        variation = np.abs(np.diff(smooth, axis=axis))
        lost = np.maximum(0, variation - np.abs(np.diff(blurred, axis=axis)))
        total = float(variation.sum())
        if total > 1e-4 * variation.size:  # less is rounding
            kept.append(float(lost.sum()) / total)
    return min(kept, default=math.nan)


def noise(light: Plane) -> float:
    """Estimate the standard deviation of noise (Immerkaer: *Fast noise variance estimation*, 1996).

    Fine texture also counts as noise.

    Parameters
    ----------
    light : array of float32, shape (height, width)

    Returns
    -------
    float
        In the unit of `light`; nan if a side is shorter than 3 px.
    """
    if min(light.shape) < 3:
        return math.nan
    rows = light[:-2] - 2 * light[1:-1] + light[2:]
    mask = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    return math.sqrt(math.pi / 2) / 6 * float(np.abs(mask).mean())


def colourfulness(red: Plane, green: Plane, blue: Plane) -> float:
    """Compute the colourfulness of Hasler and Suesstrunk (SPIE 2003) over mean luminance.

    Their measure alone decreases with the light: every dark picture would be pale.

    Returns
    -------
    float
        0 for grey, and up; nan for black pictures.
    """
    mean = float(luminance(red, green, blue).mean())
    if mean < BLACK:
        return math.nan
    across = red - green
    along = (red + green) / 2 - blue
    spread = math.hypot(float(across.std()), float(along.std()))
    return (spread + 0.3 * math.hypot(float(across.mean()), float(along.mean()))) / mean


def dominant_hue(red: Plane, green: Plane, blue: Plane) -> tuple[float, float]:
    """Compute the mean hue, weighted by chroma (Hanbury: *Circular statistics applied to colour
    images*, CVWW 2003).

    Returns
    -------
    hue : float
        Degrees, 0 to 360: 0 is red, 120 green, 240 blue; nan if there is almost no colour or no hue
        prevails.
    strength : float
        Mean resultant length, 0 (all hues equally) to 1 (one hue); nan if there is no colour.
    """  # noqa: D205
    x = red - (green + blue) / 2
    y = np.float32(math.sqrt(3) / 2) * (green - blue)
    chroma = float(np.sqrt(x * x + y * y).mean())
    if chroma < GREY:
        return math.nan, math.nan
    mean_x, mean_y = float(x.mean()), float(y.mean())
    strength = min(1.0, math.hypot(mean_x, mean_y) / chroma)
    if strength < ROUND:
        return math.nan, strength
    return math.degrees(math.atan2(mean_y, mean_x)) % 360, strength


def edges(light: Plane) -> tuple[float, float, float, float]:
    """Compute the direction and the middle of edges from the structure tensor of the whole picture.

    Orientation and coherence are those of Bigün and Granlund (*Optimal orientation detection of
    linear symmetry*, ICCV 1987), from central differences. The centroid is that of the gradient
    energy, the trace of the tensor.

    Parameters
    ----------
    light : array of float32, shape (height, width)

    Returns
    -------
    orientation : float
        Degrees, 0 to 180, counter-clockwise: 0 for horizontal edges, 90 for vertical ones; nan if
        no orientation prevails.
    coherence : float
        0 (all orientations equally) to 1 (parallel edges).
    x, y : float
        Middle of the detail, as shares of width and height from the upper left corner.

    All are nan for flat pictures.
    """
    if min(light.shape) < 3:
        return math.nan, math.nan, math.nan, math.nan
    across = (light[1:-1, 2:] - light[1:-1, :-2]) / 2
    down = (light[2:, 1:-1] - light[:-2, 1:-1]) / 2
    xx, yy = across * across, down * down
    energy = xx + yy
    total = float(energy.sum())
    if total < 1e-8 * energy.size:  # less is rounding
        return math.nan, math.nan, math.nan, math.nan
    difference = float(xx.sum()) - float(yy.sum())
    mixed = 2 * float((across * down).sum())
    coherence = min(1.0, math.hypot(difference, mixed) / total)
    # Edges are perpendicular to the gradient, and rows are counted downwards.
    gradient = math.degrees(math.atan2(mixed, difference)) / 2
    orientation = (90 - gradient) % 180 if coherence >= ROUND else math.nan
    height, width = light.shape
    x = float(energy.sum(axis=0) @ (np.arange(1, width - 1) + 0.5)) / total / width
    y = float(energy.sum(axis=1) @ (np.arange(1, height - 1) + 0.5)) / total / height
    return orientation, coherence, x, y
