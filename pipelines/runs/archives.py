"""Read archives of arrays (`.npz`) with limits: the author of a run folder may not be trusted.

An archive may be truncated, edited, or made to fill the memory. So the reader declares every array.
Its header is compared with the size of the archive's entry before memory is allocated, and at most
`LARGEST` bytes are unpacked.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.runs.wording import count_of

LARGEST = 4 << 30
"""Largest number of bytes that are read from one archive."""
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Entry:
    """An array that an archive should hold.

    Attributes
    ----------
    kind : str
        Kind of its entries, as NumPy's `dtype.kind`: "f", "i", "b" or "U".
    dimensions : int
    optional : bool
        Whether archives of earlier versions may lack it.
    unknown : bool
        Whether its numbers may be NaN.
    """

    kind: str
    dimensions: int
    optional: bool = False
    unknown: bool = False


def read_archive(path: Path, entries: Mapping[str, Entry]) -> Arrays:
    """Read arrays of an archive that `numpy.savez` wrote; other arrays in it are ignored.

    Raises
    ------
    OSError, ValueError, zipfile.BadZipFile, zlib.error
        When the archive is damaged, or an array is missing or of another kind; see
        `guard.name_damaged_file`.
    """
    arrays, left = Arrays(), LARGEST
    try:
        with zipfile.ZipFile(path) as archive:
            for name, entry in entries.items():
                if f"{name}.npy" not in archive.namelist():
                    if not entry.optional:
                        raise ValueError(f"it holds no {name}")
                    continue
                member = archive.getinfo(f"{name}.npy")
                left -= member.file_size
                if left < 0:
                    raise ValueError(f"it unpacks to more than {LARGEST >> 30} GiB")
                with archive.open(member) as file:
                    _check_header(file, name, entry, member.file_size)
                with archive.open(member) as file:
                    arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
                _check_numbers(arrays[name], name, entry)
    except (ArithmeticError, MemoryError, RuntimeError, SyntaxError, TypeError) as error:
        # zipfile raises it for encrypted archives or other compression, NumPy for headers.
        raise ValueError(str(error) or type(error).__name__) from error
    return arrays


def _check_header(file: IO[bytes], name: str, entry: Entry, size: int) -> None:
    version = np.lib.format.read_magic(file)
    if version not in HEADERS:
        raise ValueError(f"{name} is of another version")
    shape, _, dtype = HEADERS[version](file)
    if dtype.kind != entry.kind or len(shape) != entry.dimensions:
        raise ValueError(
            f"{name}: expected {count_of(entry.dimensions, 'dimension')} of kind {entry.kind}, "
            f"received {len(shape)} of {dtype.kind}"
        )
    if min(shape, default=0) < 0 or file.tell() + math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"{name} is not as long as its header says")


def _check_numbers(array: NDArray[Any], name: str, entry: Entry) -> None:
    wrong = np.isinf if entry.unknown else lambda values: ~np.isfinite(values)
    if entry.kind == "f" and wrong(array).any():
        raise ValueError(f"{name}: expected finite numbers")


def check_lengths(arrays: Mapping[str, NDArray[Any]], *lengths: tuple[str, int]) -> None:
    """Raise ValueError unless the arrays fit together.

    Parameters
    ----------
    lengths : tuples of (str, int)
        Names of arrays, separated by spaces, with the length that all of them should have.
    """
    for names, length in lengths:
        for name in names.split():
            if name in arrays and len(arrays[name]) != length:
                raise ValueError(
                    f"{name}: expected {count_of(length, 'entry', 'entries')}, received "
                    f"{len(arrays[name])}"
                )
