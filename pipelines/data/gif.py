"""Write the images of a cluster as one animated GIF, with one frame per image."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.GifImagePlugin import getdata, getheader

from pipelines.data.prefetch import prefetch
from pipelines.runs.files import atomic_write

SIDE = 320
FRAMES_PER_MINUTE = 100
STRIP_HEIGHT = 18
FONT_SIZE = 11
MARGIN = 4
BACKGROUND = (24, 24, 24)
STRIP_COLOUR = (40, 40, 40)
TEXT_COLOUR = (225, 225, 225)
MAX_COLOURS = 256
PALETTE_SAMPLE = 96
FRAMES_AHEAD = 8

Colours = NDArray[np.uint8]


def fit(image: Image.Image, side: int) -> Image.Image:
    """Scale an image, without distortion, until its longer side is `side` px long.

    Returns
    -------
    Image
        RGB; the shorter side is at least 1 px.

    Raises
    ------
    ValueError
        When `side` is below 1.
    """
    size = _fitted_size(image.size, side)
    # BICUBIC rings less than LANCZOS where few pixels become many.
    shrinks = max(size) < max(image.size)
    resample = Image.Resampling.LANCZOS if shrinks else Image.Resampling.BICUBIC
    rgb = image if image.mode == "RGB" else image.convert("RGB")  # which copies, even of RGB
    return rgb.resize(size, resample, reducing_gap=3.0 if shrinks else None)


def _fitted_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    if side < 1:
        raise ValueError(f"expected a side of at least 1 px, received {side}")
    width, height = (max(1, round(length * side / max(size))) for length in size)
    return width, height


def canvas_size(sizes: Iterable[tuple[int, int]], side: int = SIDE) -> tuple[int, int]:
    """Return the smallest canvas that holds images of `sizes` (width, height; px) once fitted.

    Raises
    ------
    ValueError
        When there is no size, or `side` is below 1.
    """
    fitted = [_fitted_size(size, side) for size in sizes]
    if not fitted:
        raise ValueError("expected at least one image size, received none")
    return max(width for width, _ in fitted), max(height for _, height in fitted)


def frame(
    image: Image.Image, caption: str, side: int = SIDE, canvas: tuple[int, int] | None = None
) -> Image.Image:
    """Put a fitted image on a canvas, and its caption on a strip below the canvas.

    Parameters
    ----------
    image : Image
        Of any mode that Pillow converts to RGB.
    caption : str
        The file's relative path. If it is too long for the width, its beginning is cut off: the
        file name at its end distinguishes the images of a folder.
    side : int
        Longer side of the fitted image, in px.
    canvas : tuple of int, optional
        Width and height in px (see `canvas_size`); None stands for `side` x `side`, which holds
        every image. The image is centred.

    Returns
    -------
    Image
        RGB, as wide as the canvas and `STRIP_HEIGHT` px higher.

    Raises
    ------
    ValueError
        When the fitted image is larger than the canvas, or `side` is below 1.
    """
    picture = fit(image, side)
    width, height = canvas or (side, side)
    if picture.width > width or picture.height > height:
        raise ValueError(
            f"expected a canvas of at least {picture.width} x {picture.height} px, "
            f"received {width} x {height}"
        )
    result = Image.new("RGB", (width, height + STRIP_HEIGHT), BACKGROUND)
    result.paste(picture, ((width - picture.width) // 2, (height - picture.height) // 2))
    # The strip is an image of its own, so that no letter reaches into the picture.
    result.paste(_strip(caption, width), (0, height))
    return result


def _strip(caption: str, width: int) -> Image.Image:
    strip = Image.new("RGB", (width, STRIP_HEIGHT), STRIP_COLOUR)
    font = ImageFont.load_default(FONT_SIZE)
    # A line break would start a second line; some text engines refuse half a surrogate pair.
    text = "".join(char if char.isprintable() else "?" for char in caption)
    room = width - 2 * MARGIN
    if font.getlength(text) > room:
        cut = bisect_left(
            range(len(text)), True, key=lambda cut: font.getlength(f"…{text[cut:]}") <= room
        )
        text = f"…{text[cut:]}"
    ImageDraw.Draw(strip).text(
        (MARGIN, STRIP_HEIGHT / 2), text, fill=TEXT_COLOUR, font=font, anchor="lm"
    )
    return strip


def write_gif(
    path: Path, frames: Iterable[Image.Image], frames_per_minute: int = FRAMES_PER_MINUTE
) -> None:
    """Write an animated GIF that loops for ever; the same frames give the same bytes.

    The file grows with the number of frames, memory does not: `frames` may be a generator, and
    threads choose colours at most `FRAMES_AHEAD` frames before they are written.

    Parameters
    ----------
    path : Path
        Replaced as a whole; after an error it is unchanged.
    frames : iterable of Image
        At least one frame, RGB, all of one size. Equal frames stay separate frames.
    frames_per_minute : int
        1 to 3000; the format counts in hundredths of a second, so 100 is 600 ms per frame.

    Raises
    ------
    ValueError
        When there is no frame, a frame is not RGB or has another size than the first, or the rate
        is out of range.
    OSError
        When the file cannot be written.
    """
    if not 1 <= frames_per_minute <= 3000:
        raise ValueError(f"expected 1 to 3000 frames a minute, received {frames_per_minute}")
    duration = 10 * round(6000 / frames_per_minute)
    with atomic_write(path) as file:
        started = False
        for indexed in prefetch(_indexed, _of_one_size(frames), FRAMES_AHEAD):
            if not started:
                file.writelines(getheader(indexed, info={"loop": 0, "background": 0})[0])
                started = True
            # Image.save(append_images=...) would merge equal frames and keep all in memory.
            file.writelines(getdata(indexed, duration=duration, include_color_table=True))
        if not started:
            raise ValueError("expected at least one frame, received none")
        file.write(b";")


def _of_one_size(frames: Iterable[Image.Image]) -> Iterator[Image.Image]:
    size: tuple[int, int] | None = None
    for number, image in enumerate(frames, 1):
        size = size or image.size
        if image.mode != "RGB" or image.size != size:
            raise ValueError(
                f"expected RGB frames of {size[0]}x{size[1]} px, received frame {number} "
                f"in {image.mode} of {image.width}x{image.height} px"
            )
        yield image


def _indexed(image: Image.Image) -> Image.Image:
    """Map an RGB image to at most 256 colours of its own (mode "P").

    One palette for all frames would lose 7 dB when the frames differ much.
    """
    size = (min(image.width, PALETTE_SAMPLE), min(image.height, PALETTE_SAMPLE))
    sample = image.resize(size, Image.Resampling.NEAREST)
    octree = sample.quantize(MAX_COLOURS, Image.Quantize.FASTOCTREE)
    used = np.flatnonzero(octree.histogram())
    colours = np.array(octree.getpalette(), np.uint8).reshape(-1, 3)[used]
    if spare := MAX_COLOURS - len(colours):
        # The octree's finest cell is 16 levels wide: too coarse for pictures with few, smooth hues.
        pixels = np.asarray(sample).reshape(-1, 3)
        colours = np.concatenate([colours, pixels[:: -(-len(pixels) // spare)]])
        colours = _means(pixels, np.asarray(_nearest(sample, colours)).ravel(), colours)
    return _nearest(image, colours)


def _nearest(image: Image.Image, colours: Colours) -> Image.Image:
    # Pillow compares a palette with the lower corner of cells 4 levels wide; taking half a cell
    # off the palette makes that the middle of the cell, which gains up to 1 dB.
    palette = Image.new("P", (1, 1))
    palette.putpalette((np.maximum(colours, 2) - 2).tobytes())
    indexed = image.quantize(palette=palette, dither=Image.Dither.NONE)
    indexed.putpalette(colours.tobytes())
    return indexed


def _means(pixels: Colours, nearest: Colours, colours: Colours) -> Colours:
    """Move each colour to the mean of the pixels nearest to it: one step of k-means."""
    counts = np.bincount(nearest, minlength=len(colours))[:, None]
    sums = [np.bincount(nearest, channel, len(colours)) for channel in pixels.T]
    means = np.rint(np.transpose(sums) / np.maximum(counts, 1)).astype(np.uint8)
    return np.where(counts > 0, means, colours)
