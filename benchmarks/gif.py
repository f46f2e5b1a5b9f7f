"""Time, size and quality of our GIFs against `imageio.mimsave` as it comes.

Run from the repository's root: ``python -m benchmarks.gif [--frames 100] [--size 256]``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

import imageio
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence
from sklearn.datasets import load_sample_image

from pipelines.data.gif import write_gif

Frames = NDArray[np.uint8]


class Row(NamedTuple):
    """One writer on one kind of content.

    Attributes
    ----------
    seconds : float
        Median over the repeats.
    size : int
        Bytes of the file.
    psnr : float
        dB, of the decoded frames against the true ones, mean over the frames.
    faster : float
        Seconds of imageio over `seconds`.
    loss : float
        dB, PSNR of imageio less `psnr`.
    """

    content: str
    writer: str
    seconds: float
    size: int
    psnr: float
    faster: float
    loss: float


def draw_different_frames(frames: int, size: int) -> Frames:
    """Make pictures that have nothing in common: gradients, waves, discs and noise.

    Returns
    -------
    array of uint8, shape (frames, size, size, 3)
    """
    random = np.random.default_rng(0)
    y, x = np.mgrid[0:size, 0:size] / size
    result = np.empty((frames, size, size, 3), np.uint8)
    for image in result:
        base, right, down = random.uniform(0, 255, (3, 3))
        pixels = base + (right - base) * x[..., None] + (down - base) * y[..., None]
        waves = np.sin(random.uniform(5, 60) * x + random.uniform(5, 60) * y)
        pixels += waves[..., None] * random.uniform(0, 50, 3)
        disc = np.hypot(x - random.uniform(), y - random.uniform()) < random.uniform(0.1, 0.3)
        pixels[disc] = 0.4 * pixels[disc] + 0.6 * random.uniform(0, 255, 3)
        pixels += random.normal(0, random.uniform(0, 12), (size, size, 1))
        image[:] = np.clip(pixels + random.normal(0, random.uniform(0, 6), pixels.shape), 0, 255)
    return result


def smooth(frames: int, size: int) -> Frames:
    """Blend three colours, other ones in every frame, with hardly any noise.

    Returns
    -------
    array of uint8, shape (frames, size, size, 3)
    """
    random = np.random.default_rng(0)
    y, x = np.mgrid[0:size, 0:size, 0:1][:2] / size
    result = np.empty((frames, size, size, 3), np.uint8)
    for image in result:
        base, right, down = random.uniform(0, 255, (3, 3))
        pixels = base + (right - base) * x + (down - base) * y
        image[:] = np.clip(pixels + random.normal(0, 2, pixels.shape), 0, 255)
    return result


def draw_similar_frames(frames: int, size: int) -> Frames:
    """Photograph one scene again and again: other crops, other light, sensor noise.

    Returns
    -------
    array of uint8, shape (frames, size, size, 3)
    """
    random = np.random.default_rng(0)
    scene = Image.fromarray(load_sample_image("china.jpg"))
    result = np.empty((frames, size, size, 3), np.uint8)
    for image in result:
        left, top = random.integers(0, 40, 2)
        side = random.integers(300, 360)
        crop = scene.crop((100 + left, top, 100 + left + side, top + side)).resize((size, size))
        pixels = np.asarray(crop) * random.uniform(0.85, 1.15)
        image[:] = np.clip(pixels + random.normal(0, 3, pixels.shape), 0, 255)
    return result


CONTENTS: dict[str, Callable[[int, int], Frames]] = {
    "varied": draw_different_frames,
    "smooth": smooth,
    "similar": draw_similar_frames,
}


def by_imageio(path: Path, frames: Frames) -> None:
    """Write with imageio's defaults."""
    imageio.mimsave(path, list(frames))


def by_us(path: Path, frames: Frames) -> None:
    """Write with the tool's own function."""
    write_gif(path, (Image.fromarray(image) for image in frames))


def compute_psnr(path: Path, frames: Frames) -> float:
    """Return the mean PSNR in dB of a GIF's frames; ValueError when their number is wrong."""
    with Image.open(path) as gif:
        pictures = [
            np.asarray(image.convert("RGB"), float) for image in ImageSequence.Iterator(gif)
        ]
    errors = [np.mean((a - b) ** 2) for a, b in zip(pictures, frames, strict=True)]
    return mean(float(10 * np.log10(255**2 / max(error, 1e-9))) for error in errors)


def measure(frames: int = 100, size: int = 256, repeats: int = 3) -> list[Row]:
    """Write `frames` pictures of `size` x `size` px with each writer, in turns.

    Returns
    -------
    list of Row
        imageio's, then ours, for each kind of content.
    """
    writers = {"imageio.mimsave": by_imageio, "write_gif": by_us}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "cluster.gif")
        for content, make in CONTENTS.items():
            pictures = make(frames, size)
            seconds: dict[str, list[float]] = {name: [] for name in writers}
            results = {}
            for _ in range(repeats):
                for name, write in writers.items():
                    start = time.perf_counter()
                    write(path, pictures)
                    seconds[name].append(time.perf_counter() - start)
                    results[name] = (path.stat().st_size, compute_psnr(path, pictures))
            reference = median(seconds["imageio.mimsave"]), results["imageio.mimsave"][1]
            for name, (length, quality) in results.items():
                duration = median(seconds[name])
                faster, loss = reference[0] / duration, reference[1] - quality
                rows.append(Row(content, name, duration, length, quality, faster, loss))
    return rows


def print_table(frames: int = 100, size: int = 256, repeats: int = 3) -> None:
    """Print what `measure` gives."""
    print(f"{frames} frames of {size} x {size} px")
    print("content  writer           seconds      MB  PSNR dB  times faster  loss dB")
    for row in measure(frames, size, repeats):
        print(
            f"{row.content:8} {row.writer:15} {row.seconds:8.2f} {row.size / 1e6:7.2f} "
            f"{row.psnr:8.2f} {row.faster:13.1f} {row.loss:8.2f}"
        )


def main() -> None:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--size", type=int, default=256, help="side of a frame in px")
    parser.add_argument("--repeats", type=int, default=3)
    print_table(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
