"""Damaged files: what becomes of one flipped bit, by kind of file; and what checking costs.

Run from the repository's root: ``python -m benchmarks.hostile [--flips 600] [--cost]``.

Every case is a file with one random bit flipped, read as a job reads it, in a process of its own
that may not take longer than ``--seconds``. It prints, for each kind: how many were refused with a
reason, accepted with the very content of the undamaged file, accepted with another one, ended in a
traceback (or a crash), and hung. A traceback, a hang, or another content where checksums tell it
(PNG, deflated TIFF) makes the exit code 1.

To add a kind, give `KINDS` an entry: how a file is written, how it is read, and whether every
change can be told.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from pipelines.data.damage import check_damage
from pipelines.data.formats import open_image
from pipelines.data.images import Rejected, check_image
from pipelines.data.pixels import use_image
from pipelines.runs.errors import InputError

OUTCOMES = ("refused", "unchanged", "changed", "traceback", "hang")
FAULTS = ("has no attribute", "NoneType", "Traceback", "positional argument", "unhashable")
"""Words of Python's own errors: a reason with them is none that a person understands."""


class Kind(NamedTuple):
    """A kind of file that people hand to the tool.

    Attributes
    ----------
    write : callable
        Writes an undamaged file to a path.
    read : callable
        Reads it as a job does and returns its content; raises `InputError` to refuse it.
    told : bool
        Whether no change of the content may go unnoticed.
    """

    write: Callable[[Path], None]
    read: Callable[[Path], bytes]
    told: bool


def draw(width: int, height: int) -> Image.Image:
    """Draw two ramps with noise, as compressible as a photograph."""
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(0).normal(0, 6, (height, width, 3))
    ramps = np.stack([x * 255 / width, y * 255 / height, (x + y) % 256], axis=-1)
    return Image.fromarray(np.clip(ramps + noise, 0, 255).astype(np.uint8))


def read_picture(path: Path) -> bytes:
    """Check and decode a picture as every job does; raise InputError with the reason."""
    checked = check_image(path.parent, path.name)
    if isinstance(checked, Rejected):
        raise InputError(checked.reason)
    content = use_image(
        path.parent, path.name, 224, lambda image: f"{image.size}".encode() + image.tobytes()
    )
    if isinstance(content, Rejected):
        raise InputError(content.reason)
    return content


def picture(name: str, *, told: bool = False, flat: bool = False, **options: Any) -> Kind:
    """Return the kind of pictures that Pillow writes with some options."""

    def write(path: Path) -> None:
        image = Image.new("RGB", (320, 240), (90, 120, 150)) if flat else draw(64, 48)
        image.save(path, name, **options)

    return Kind(write, read_picture, told)


KINDS = {
    "PNG": picture("PNG", told=True),
    "PNG, flat": picture("PNG", told=True, flat=True),
    "JPEG": picture("JPEG"),
    "JPEG, progressive": picture("JPEG", progressive=True),
    "BMP": picture("BMP"),
    "TIFF": picture("TIFF"),
    "TIFF, LZW": picture("TIFF", compression="tiff_lzw"),
    "TIFF, deflate": picture("TIFF", compression="tiff_adobe_deflate"),
    "WebP": picture("WEBP"),
    "WebP, lossless": picture("WEBP", lossless=True),
    "PPM": picture("PPM"),
    "GIF": picture("GIF"),
    "AVIF": picture("AVIF"),
}


def flip_bit(content: bytes, random: np.random.Generator) -> bytes:
    """Flip one bit anywhere in a file."""
    flipped = bytearray(content)
    place = int(random.integers(len(content) * 8))
    flipped[place // 8] ^= 1 << place % 8
    return bytes(flipped)


def read_case(kind: Kind, path: Path, digest: str) -> str:
    """Read a file and return what became of it; one of `OUTCOMES`."""
    try:
        content = kind.read(path)
    except InputError as error:
        reason = str(error)
        clear = reason.strip() and "\n" not in reason and not any(word in reason for word in FAULTS)
        return "refused" if clear else f"traceback: {reason}"
    except BaseException as error:
        return f"traceback: {error!r}"
    return "unchanged" if hashlib.sha256(content).hexdigest() == digest else "changed"


def serve(name: str, digest: str, parent: Connection) -> None:
    """Answer, in a process of its own, what becomes of each file that the parent names."""
    while path := parent.recv():
        parent.send(read_case(KINDS[name], Path(path), digest))


class Reader:
    """A process that reads files of one kind; it is started anew when it hangs or dies."""

    def __init__(self, name: str, digest: str, seconds: float) -> None:
        self._start = lambda end: multiprocessing.Process(target=serve, args=(name, digest, end))
        self._seconds = seconds
        self._process: multiprocessing.Process | None = None

    def read(self, path: Path) -> str:
        """Return what becomes of a file."""
        if self._process is None:
            self._end, end = multiprocessing.Pipe()
            self._process = self._start(end)
            self._process.start()
            end.close()
        self._end.send(str(path))
        try:
            if self._end.poll(self._seconds):
                return str(self._end.recv())
            outcome = "hang"
        except EOFError:
            outcome = "traceback: the process died"
        self._process.kill()
        self._process = None
        return outcome

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._end.send("")
            self._process.join()


def try_flips(name: str, flips: int, seconds: float) -> Counter[str]:
    """Read files of a kind with one flipped bit each; count what becomes of them."""
    kind, random = KINDS[name], np.random.default_rng(0)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "case")
        kind.write(path)
        content = path.read_bytes()
        digest = hashlib.sha256(kind.read(path)).hexdigest()
        reader = Reader(name, digest, seconds)
        for _ in range(flips):
            path.write_bytes(flip_bit(content, random))
            outcome = reader.read(path)
            if outcome.startswith("traceback"):
                print(f"{name}: {outcome}", file=sys.stderr)
            counts[outcome.partition(":")[0]] += 1
        reader.close()
    return counts


def print_flips(names: list[str], flips: int, seconds: float) -> bool:
    """Print a row a kind; return whether nothing was wrong that could be told."""
    good = True
    print("kind               tried", *(f"{outcome:>9}" for outcome in OUTCOMES))
    for name in names:
        counts = try_flips(name, flips, seconds)
        good &= not counts["traceback"] + counts["hang"]
        good &= not (KINDS[name].told and counts["changed"])
        print(f"{name:18} {flips:5}", *(f"{counts[outcome]:9}" for outcome in OUTCOMES))
    return good


def cost_rows() -> Iterator[tuple[str, str, float, float, float]]:
    """Yield format, size, and ms of reading the header, checking damage, and the whole check."""
    kinds = {"PNG": {}, "JPEG": {"quality": 92}, "TIFF": {"compression": "tiff_adobe_deflate"}}
    for width, height in ((640, 480), (4000, 3000)):
        for name, options in kinds.items():
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "a")
                draw(width, height).save(path, name, **options)
                yield name, f"{width} x {height}", *_milliseconds(path)


def _milliseconds(path: Path) -> tuple[float, float, float]:
    spent: list[tuple[float, float, float]] = []
    for _ in range(9):
        with path.open("rb") as file:
            begun = time.perf_counter()
            image = open_image(file)
            opened = time.perf_counter()
            check_damage(image, file)
            checked = time.perf_counter()
        check_image(path.parent, path.name)
        whole = time.perf_counter() - checked
        spent.append((opened - begun, checked - opened, whole))
    header, damage, whole = (1000 * median(column) for column in zip(*spent, strict=True))
    return header, damage, whole


def main() -> None:
    """Read the options and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=600, help="files of each kind")
    parser.add_argument("--only", choices=KINDS, help="one kind alone")
    parser.add_argument("--seconds", type=float, default=20, help="what takes longer hangs")
    parser.add_argument("--cost", action="store_true", help="print what the checks cost instead")
    options = parser.parse_args()
    if options.cost:
        print("format  size         header ms  damage ms  check ms (both, and SHA-256)")
        for name, size, header, damage, whole in cost_rows():
            print(f"{name:7} {size:12} {header:9.2f} {damage:10.2f} {whole:9.2f}")
        return
    names = [options.only] if options.only else list(KINDS)
    sys.exit(not print_flips(names, options.flips, options.seconds))


if __name__ == "__main__":
    main()
