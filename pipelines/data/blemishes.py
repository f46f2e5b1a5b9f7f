"""What spoils a picture: flat patches, JPEG blocks, streaks, tilt, spots and a colour cast.

Every measure is a standard one or consists of standard steps, which its docstring names. All but
`blockiness` are computed on the picture after it is downscaled to 256 px.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Plane = NDArray[np.float32]

LUMA = (np.float32(0.299), np.float32(0.587), np.float32(0.114))
HIGHLIGHT = 250
SHADOW = 20
"""A pixel is clipped when its brightest channel (0 to 255) is at least `HIGHLIGHT` or at most
`SHADOW`."""
BLACK = 1 / 255
"""Mean luminance below which a picture has no contrast."""
FLAT_STEP = 1.5
"""Largest difference between neighbours, of 255, without texture; rounding and JPEG make 1."""
FLAT_SPREAD = 2.0
"""Largest standard deviation, of 255, of a patch of one colour; a lit wall has a larger one."""
FLAT_MIN_SHARE = 0.001
"""Smallest patch that counts, as a share of the picture."""
FLAT_MAX_SHARE = 0.8
"""A larger patch counts as 0: the whole picture is then flat, as in fog, and `contrast` is low."""
FLAT_LARGEST_COUNT = 3
FLAT_SHARE_OF_OTHERS = 1 / 3
"""The largest patch counts only if it covers at least `FLAT_SHARE_OF_OTHERS` of the area of all
patches but the three largest. Pictures of fog and strong compression have many patches."""
GRID = 8
"""Side of JPEG's blocks, px."""
BLOCKY_CROP = 512
"""Side of the middle part in which blocks are searched, px; it limits the time."""
BLOCKY_STEP = 16
"""A larger difference, of 255, counts as this one: it is an edge of the scene, not of a block."""
BLOCKY_QUIET = 0.1
"""Added to both mean differences, of 255, so that flat pictures have no blocks."""
STREAK_WIDTH = 7
"""Bright runs narrower than this are thin, px."""
STREAK_LIGHT = np.float32(0.08)
"""A streak is brighter than both its sides by at least this luminance."""
STREAK_LENGTHS = (0.05, 0.2)
"""Shortest and longest streak, as shares of the shorter side; texture is shorter, frames longer."""
STREAK_SLENDER = 3.0
"""Smallest ratio of length to width of a line; also its largest width, px."""
STREAK_BINS = np.arange(-42.5, 43, 5)
"""Bins of angles to the vertical, degrees. Three neighbouring bins count as one direction, because
rain does not fall in exactly one."""
TILT_FROM = 15
"""Smallest turn that counts as a tilt, degrees; smaller ones are usual in scenes."""
TILT_WINDOW = 15
"""Width of the range of directions that count as one, degrees."""
FLAT_EDGES = 1e-4
"""Mean difference between neighbours, of 1, up to which a picture has no edges, only rounding."""
SPOT_SIZE = 0.04
"""Standard deviation of the Gaussian that fits a spot, as a share of the shorter side."""
SPOT_DEPTH = np.float32(0.15)
"""Smallest curvature of log luminance of a spot at that scale, in its least curved direction."""
SPOT_APART = 0.08
"""Smallest distance between two spots, as a share of the shorter side."""
SPOT_FLOOR = np.float32(0.02)
"""Added to luminance before its logarithm, so that noise in shadows makes no spots."""
SMALLEST = 32
"""Smallest shorter side of a picture with room for streaks, spots and blocks, px."""
BRIGHTEST = 0.01
"""Share of a picture's pixels, the brightest ones, that are assumed to be white."""


def luminance(red: Plane, green: Plane, blue: Plane) -> Plane:
    """Compute the luma of ITU-R BT.601; its mean is brightness.

    Parameters
    ----------
    red, green, blue : array of float32, shape (height, width)
        0 to 1. The same holds for the planes of all functions below.

    Returns
    -------
    array of float32, shape (height, width)
        0 to 1.
    """
    light: Plane = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    return light


def flat_area(red: Plane, green: Plane, blue: Plane) -> float:
    """Compute the share of the picture that its largest patch of one colour covers.

    A camera never produces such a patch, because walls and skies are shaded and noisy. The
    exception is clipped light, which does not count. Patches are connected components (4
    neighbours) of pixels that hardly differ from their neighbours, as in the segmentation of flat
    zones (Serra and Salembier: *Connected operators and pyramids*, SPIE 1993).

    Returns
    -------
    float
        0 to `FLAT_MAX_SHARE`. 0 when the largest patch is nearly the whole picture or one of very
        many patches; nan when a side is shorter than 2 px.
    """
    from scipy import ndimage

    light = np.float32(255) * luminance(red, green, blue)
    if min(light.shape) < 2:
        return math.nan
    brightest = np.float32(255) * np.maximum(np.maximum(red, green), blue)
    across = np.abs(light[:, 1:] - light[:, :-1]) < FLAT_STEP
    down = np.abs(light[1:] - light[:-1]) < FLAT_STEP
    flat = across[:-1] & across[1:] & down[:, :-1] & down[:, 1:]
    flat &= ((brightest > SHADOW + 0.5) & (brightest < HIGHLIGHT - 0.5))[:-1, :-1]
    labels, patches = ndimage.label(flat)
    if not patches:
        return 0.0
    inside = np.flatnonzero(labels)
    patch, values = labels.ravel()[inside], light[:-1, :-1].ravel()[inside]
    counts = np.maximum(np.bincount(patch), 1)
    means = np.bincount(patch, values) / counts
    spreads = np.bincount(patch, (values - means[patch]) ** 2) / counts
    shares = counts[1:] / flat.size
    largest = float(np.where(spreads[1:] <= FLAT_SPREAD**2, shares, 0).max())
    shares = np.sort(shares[shares >= FLAT_MIN_SHARE])[:-FLAT_LARGEST_COUNT]
    if largest > FLAT_MAX_SHARE:
        return 0.0
    return largest if largest >= FLAT_SHARE_OF_OTHERS * float(shares.sum()) else 0.0


def blockiness(image: Image.Image, size: tuple[int, int] | None = None) -> float:
    """Compute the ratio of luminance steps between JPEG's blocks to those inside the blocks.

    The ratio is B / A of Wang, Sheikh and Bovik (*No-reference perceptual quality assessment of
    JPEG compressed images*, ICIP 2002), the mean of both directions. The picture may have been
    cropped, so the grid is placed where the differences are largest.

    Parameters
    ----------
    image : Image
        The decoded image, not scaled: scaling would move the grid.
    size : tuple of int, optional
        Width and height of the original, when `image` was decoded at a half or a quarter of that
        size. The grid then shrinks with it.

    Returns
    -------
    float
        About 1 without blocks, more with blocks; nan for a picture less than 32 px wide or high,
        and for one decoded at an eighth of its size.
    """
    width, height = image.size
    period = GRID if size is None else round(GRID * width / size[0])
    if min(width, height) < SMALLEST or period not in {GRID, GRID // 2, GRID // 4}:
        return math.nan
    left, top = (max(0, (side - BLOCKY_CROP) // 2) for side in (width, height))
    middle = image.crop((left, top, min(width, left + BLOCKY_CROP), min(height, top + BLOCKY_CROP)))
    light = np.asarray(middle.convert("L")).astype(np.int16)
    ratios = []
    for axis in (0, 1):
        steps = np.minimum(np.abs(np.diff(light, axis=axis)), BLOCKY_STEP).mean(axis=1 - axis)
        whole = len(steps) // period * period
        phases = steps[:whole].reshape(-1, period).mean(axis=0)
        at_grid = float(phases.max())
        elsewhere = (float(phases.sum()) - at_grid) / (period - 1)
        ratios.append((at_grid + BLOCKY_QUIET) / (elsewhere + BLOCKY_QUIET))
    return sum(ratios) / 2


def streaks(light: Plane) -> float:
    """Count the thin bright lines of similar direction, at most 45 degrees from the vertical: rain.

    A white top-hat keeps thin bright structures (Meyer, 1979; Serra: *Image Analysis and
    Mathematical Morphology*, 1982). The length, width and angle of a connected component are those
    of the rectangle with the same second moments, as in Bossu et al. (*Rain or snow detection in
    image sequences through use of a histogram of orientation of streaks*, IJCV 2011).

    Parameters
    ----------
    light : array of float32, shape (height, width)

    Returns
    -------
    float
        0 and up; nan if a side is shorter than 32 px.
    """
    from scipy import ndimage

    if min(light.shape) < SMALLEST:
        return math.nan
    thin = light - ndimage.grey_opening(light, size=(1, STREAK_WIDTH))
    labels, _ = ndimage.label(thin > STREAK_LIGHT, np.ones((3, 3)))
    inside = np.flatnonzero(labels)
    line = labels.ravel()[inside]
    y, x = np.divmod(inside, light.shape[1])
    counts = np.maximum(np.bincount(line), 1)
    x = x - (np.bincount(line, x) / counts)[line]
    y = y - (np.bincount(line, y) / counts)[line]
    xx, yy, xy = (np.bincount(line, product) / counts for product in (x * x, y * y, x * y))
    mean, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    lengths = np.sqrt(12 * (mean + half)) + 1
    widths = np.sqrt(12 * np.maximum(mean - half, 0)) + 1
    shortest, longest = (share * min(light.shape) for share in STREAK_LENGTHS)
    lines = (lengths >= shortest) & (lengths <= longest)
    lines &= (widths <= STREAK_SLENDER) & (lengths >= STREAK_SLENDER * widths)
    leans = np.degrees(np.arctan2(2 * xy, yy - xx)[lines]) / 2
    counted = np.histogram(leans, STREAK_BINS)[0]
    return float((counted[:-2] + counted[1:-1] + counted[2:]).max())


def tilt(light: Plane) -> float:
    """Compute the largest share of edges within 15 degrees that are not vertical or horizontal.

    Two directions at right angles count as one, because turning the camera turns both. In an
    upright photo most edges are vertical or horizontal (Coughlan and Yuille: *Manhattan World*,
    ICCV 1999). When edges run in all directions, the share is a sixth. Edges are weighted by their
    gradient, from central differences.

    Parameters
    ----------
    light : array of float32, shape (height, width)

    Returns
    -------
    float
        0 to 1; nan for flat pictures, and where a side is shorter than 3 px.
    """
    if min(light.shape) < 3:
        return math.nan
    across = (light[1:-1, 2:] - light[1:-1, :-2]).ravel()
    down = (light[2:, 1:-1] - light[:-2, 1:-1]).ravel()
    steps = np.sqrt(across * across + down * down)
    total = float(steps.sum())
    if total < FLAT_EDGES * steps.size:
        return math.nan
    turns = (np.degrees(np.arctan2(down, across)) + np.float32(360)).astype(np.int16) % 90
    shares = np.bincount(turns, steps, 90) / total
    sums = np.concatenate([[0], np.cumsum(shares)])
    first = TILT_FROM - TILT_WINDOW // 2
    last = 90 - TILT_FROM - TILT_WINDOW // 2
    windows = sums[first + TILT_WINDOW : last + TILT_WINDOW + 1] - sums[first : last + 1]
    return float(windows.max())


def dirt(red: Plane, green: Plane, blue: Plane) -> float:
    """Count soft dark spots: dirt or drops on the lens.

    Dirt absorbs a share of the light, so the spots are searched in the logarithm of all three
    channels. A spot is a maximum of the smaller eigenvalue of the Hessian at one scale (Lindeberg:
    *Feature detection with automatic scale selection*, IJCV 1998). Edges and stripes are no spots:
    there this eigenvalue is near 0.

    Returns
    -------
    float
        0 and up; nan if a side is shorter than 32 px.
    """
    from scipy import ndimage

    height, width = (side // 2 * 2 for side in red.shape)
    if min(height, width) < SMALLEST:
        return math.nan
    planes = np.stack([plane[:height, :width] for plane in (red, green, blue)])
    rows = planes[:, ::2] + planes[:, 1::2]
    small = (rows[..., ::2] + rows[..., 1::2]) / 4
    side = min(height, width) // 2
    scale = SPOT_SIZE * side
    smooth = ndimage.gaussian_filter(np.log(small + SPOT_FLOOR), (0, scale, scale), truncate=3)
    step = max(1, round(scale))
    before, here, after = slice(0, -2 * step), slice(step, -step), slice(2 * step, None)
    middle = 2 * smooth[:, here, here]
    xx = smooth[:, here, after] - middle + smooth[:, here, before]
    yy = smooth[:, after, here] - middle + smooth[:, before, here]
    xy = smooth[:, after, after] + smooth[:, before, before]
    xy = (xy - smooth[:, after, before] - smooth[:, before, after]) / 4
    curved = (xx + yy) / 2 - np.sqrt(((xx - yy) / 2) ** 2 + xy * xy)
    weakest = curved.min(axis=0)
    peaks = ndimage.maximum_filter(weakest, max(3, int(SPOT_APART * side) | 1))
    return float(((weakest == peaks) & (weakest > SPOT_DEPTH)).sum())


def cast(red: Plane, green: Plane, blue: Plane) -> float:
    """Compute the colour cast: the smaller of two estimates of how coloured the light is.

    The first estimate assumes that the brightest pixels are white (white patch; Land: *The retinex
    theory of color vision*, 1977); it uses every second pixel of every second row. The second
    assumes that the mean difference between neighbours is grey (grey edge; van de Weijer et al.:
    *Edge-based color constancy*, TIP 2007). One bright coloured object misleads the first, many
    coloured objects the second.

    Returns
    -------
    float
        0 to 1, (max - min) / max of the colour of the light; nan for black pictures and for those
        without edges.
    """
    planes = [plane[::2, ::2].ravel() for plane in (red, green, blue)]
    light = luminance(*planes)
    first = len(light) - max(1, round(BRIGHTEST * len(light)))
    brightest = np.argpartition(light, first)[first:]
    white = [float(plane[brightest].mean()) for plane in planes]
    steps = [
        float(np.abs(np.diff(plane, axis=0)).sum()) + float(np.abs(np.diff(plane, axis=1)).sum())
        for plane in (red, green, blue)
    ]
    if float(light.mean()) < BLACK or max(steps) < FLAT_EDGES * red.size:
        return math.nan
    return 1 - max(min(colour) / max(colour) for colour in (white, steps))
