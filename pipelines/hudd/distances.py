"""Distances between heatmaps (HUDD, section IV-A, Equations 1 to 4; section IV-C).

The heatmaps of a convolutional layer take gigabytes. They are written to a file batch by batch, and
read back in blocks of columns. Squared distances are sums over columns, so the matrix product of
each block is added, and the block can be dropped.

Equation 2 scales the entries of a layer from min...max to 0...1. The minimum cancels in
differences, so the distance of normalised heatmaps is that of raw heatmaps divided by max - min.
Only the range is needed, and normalised heatmaps are never written.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pipelines.data.arrays import Positions

NARROWEST = 4096
"""Smallest number of columns of a block: 16 KB of a row, as seeking is slower than reading."""
BLOCK = 4_000_000
"""Number of entries of a block with few rows; it fits into the processor's cache."""
TILE = 32_000_000
"""Largest number of distances to new images in memory."""
TOGETHER = 8192
"""Largest number of new images at a time: a block has at least `NARROWEST` entries of each."""
ROWS = 256
"""Number of rows of a matrix of distances that are finished at a time."""
CLOSE = 0.01
"""Share of the sum of two squared norms below which a squared distance is computed again."""
ZERO = 1e-13
"""Share of that sum below which a distance is 0: float32 heatmaps do not differ by less."""

Heatmaps = NDArray[np.float32]
Distances = NDArray[np.float32]
Limits = tuple[float, float]


class HeatmapWriter:
    """Writes the heatmaps of a layer to a file, batch by batch; memory grows with a batch only.

    Parameters
    ----------
    file : binary file
        Empty and open for writing, as from `files.atomic_write`; it becomes a file of type .npy.
    n : int
        Number of heatmaps that will be written.
    d : int
        Number of entries of a heatmap.
    """

    def __init__(self, file: BinaryIO, n: int, d: int) -> None:
        self._file, self._n, self._d = file, n, d
        self._written = 0
        self._lowest, self._highest = np.inf, -np.inf
        header = {"descr": "<f4", "fortran_order": False, "shape": (n, d)}
        np.lib.format.write_array_header_1_0(file, header)

    def append(self, batch: Heatmaps) -> None:
        """Write the next heatmaps.

        Parameters
        ----------
        batch : array of float32, shape (b, ...) with d entries for each heatmap

        Raises
        ------
        ValueError
            When there are too many heatmaps, they have the wrong size, or an entry is not finite.
            Nothing of the batch is written then.
        """
        if not len(batch):
            return
        rows = np.ascontiguousarray(batch, dtype="<f4").reshape(len(batch), -1)
        if rows.shape[1] != self._d:
            raise ValueError(f"heatmaps: expected {self._d} entries each, received {rows.shape[1]}")
        if self._written + len(rows) > self._n:
            raise ValueError(f"heatmaps: expected {self._n}, received more")
        lowest, highest = _limits(rows)
        self._lowest = min(self._lowest, lowest)
        self._highest = max(self._highest, highest)
        self._file.write(rows.data)
        self._written += len(rows)

    def finish(self) -> Limits:
        """Return the smallest and the largest entry: min and max of Equation 1.

        Raises
        ------
        ValueError
            When heatmaps are missing.
        """
        if self._written < self._n:
            raise ValueError(f"heatmaps: expected {self._n}, received {self._written}")
        return self._lowest, self._highest


def open_heatmaps(path: Path) -> Heatmaps:
    """Open a file that a `HeatmapWriter` wrote, as a memory map.

    Returns
    -------
    array of float32, shape (n, d)

    Raises
    ------
    ValueError
        When the file is of another kind, or incomplete.
    """
    heatmaps: Heatmaps = np.lib.format.open_memmap(path, mode="r")
    _check(heatmaps)
    return heatmaps


def find_value_range(heatmaps: Heatmaps) -> Limits:
    """Return the smallest and the largest entry of all heatmaps of a layer (Equation 1).

    Every entry is read once, a few rows at a time.

    Parameters
    ----------
    heatmaps : array or memory map of float32, shape (n, d)

    Raises
    ------
    ValueError
        When there is no entry, or one is not finite.
    """
    _check(heatmaps)
    n, d = heatmaps.shape
    limits = []
    rows = max(1, BLOCK // d)
    for start in range(0, n, rows):
        part = slice(start, min(start + rows, n))
        inside = _read(heatmaps, part, slice(0, d)) if _on_disk(heatmaps) else heatmaps[part]
        limits.append(_limits(inside))
    return min(low for low, _ in limits), max(high for _, high in limits)


def measure_distances(heatmaps: Heatmaps, limits: Limits | None = None) -> Distances:
    """Compute the distances between all heatmaps of a layer (Equations 1 to 4).

    Squared differences are expanded into matrix products in float32. Every column is centred first,
    so that the subtraction of squares loses few digits. The loss still matters if two heatmaps are
    much closer to each other than to the mean: images with such a neighbour are computed again in
    float64. Distances are correct to 1 part in 10,000, and those of equal heatmaps are 0.

    Time grows with n^2 d. Memory: 4 n^2 bytes for the result and 4 n x 4096 for a block; r images
    that are computed again take 8 r^2 and 8 r x 4096 more. The heatmaps are read once, or twice if
    they are computed again, and are never in memory as a whole.

    Parameters
    ----------
    heatmaps : array or memory map of float32, shape (n, d)
        Raw heatmaps.  A memory map from `open_heatmaps` is read from its file, not mapped.
    limits : pair of float, optional
        Smallest and largest entry, if known; saves one reading of the heatmaps.

    Returns
    -------
    array of float32, shape (n, n)
        Distances of the normalised heatmaps; symmetric, 0 on the diagonal. All 0 if all entries are
        equal: Equation 2 is then not defined, and such a layer does not distinguish images.

    Raises
    ------
    ValueError
        When there is no entry, or one is not finite.
    """
    _check(heatmaps)
    lowest, highest = find_value_range(heatmaps) if limits is None else limits
    n = len(heatmaps)
    if not highest > lowest:
        return np.zeros((n, n), dtype=np.float32)
    unit = highest - lowest
    squared, norms = _squared_within(heatmaps, slice(0, n), unit, np.float32)
    close = np.zeros(n, dtype=np.bool_)
    for start in range(0, n, ROWS):
        rows = np.arange(start, min(start + ROWS, n))
        near = squared[rows] < CLOSE * (norms[rows, None] + norms)
        near[rows - start, rows] = False
        close[rows] = near.any(axis=1)
    again = np.flatnonzero(close)
    if len(again):
        exact, _ = _squared_within(heatmaps, again, unit, np.float64)
        squared[np.ix_(again, again)] = exact
    result: Distances = np.sqrt(squared, out=squared)
    return result


def measure_distances_between(new: Heatmaps, known: Heatmaps) -> Distances:
    """Compute the distances from new heatmaps to known ones (section IV-C: raw, not normalised).

    The method is that of `measure_distances`. Time grows with m n d, memory with m n; if that is
    too much, use `measure_cluster_distances`.

    Parameters
    ----------
    new, known : arrays or memory maps of float32, shapes (m, d) and (n, d)
        Magnitudes of entries may be from 10^-15 to 10^15: their squares then fit float32.

    Returns
    -------
    array of float32, shape (m, n)

    Raises
    ------
    ValueError
        When the sizes of new and known heatmaps differ, or there is no entry.
    """
    everything = np.arange(len(known))
    result = np.empty((len(new), len(known)), dtype=np.float32)
    for rows, squared in _tiles(new, known, everything):
        np.sqrt(squared, out=result[rows])
    return result


def measure_cluster_distances(
    new: Heatmaps, known: Heatmaps, clusters: NDArray[np.int32]
) -> Distances:
    """Compute the distance of each new heatmap to the nearest one of each cluster (single linkage).

    This is `allocation.cluster_distances` for heatmaps that do not fit in memory (HUDD, section
    IV-C: raw, not normalised).  Time grows with m n d.  Memory: m k for the result, a few times
    `TILE`, and a block. The new heatmaps are read once. The known ones are read once per `TILE` / n
    new ones (at most `TOGETHER`), so pass many new heatmaps per call.

    Parameters
    ----------
    new, known : arrays or memory maps of float32, shapes (m, d) and (n, d)
        See `measure_distances_between`.
    clusters : array of int32, shape (n,)
        Clusters of the known heatmaps, 0 to k - 1; each of these occurs.

    Returns
    -------
    array of float32, shape (m, k)

    Raises
    ------
    ValueError
        When the sizes of new and known heatmaps differ, there is no entry, or `clusters` and
        `known` differ in length.
    """
    if len(clusters) != len(known):
        raise ValueError(
            f"clusters: expected one for each of {len(known)} heatmaps, received {len(clusters)}"
        )
    order = np.argsort(clusters, kind="stable")
    starts = np.flatnonzero(np.diff(clusters[order], prepend=-1))
    result = np.empty((len(new), len(starts)), dtype=np.float32)
    for rows, squared in _tiles(new, known, order):
        np.sqrt(np.minimum.reduceat(squared, starts, axis=1), out=result[rows])
    return result


def _tiles(new: Heatmaps, known: Heatmaps, order: Positions) -> Iterator[tuple[slice, Distances]]:
    """Yield slices of the new heatmaps, with squared distances to the known ones in this order."""
    _check(known)
    if new.ndim != 2 or new.shape[1] != known.shape[1]:
        raise ValueError(f"heatmaps: expected {known.shape[1]} entries each, received {new.shape}")
    count = max(1, min(TOGETHER, TILE // len(known)))
    for start in range(0, len(new), count):
        rows = np.arange(start, min(start + count, len(new)))
        squared, close = _squared_between(new, rows, known, order, np.float32)
        if close.any():
            squared[close], _ = _squared_between(new, rows[close], known, order, np.float64)
        yield slice(start, start + len(rows)), squared


def _squared_within(
    heatmaps: Heatmaps, rows: slice | Positions, unit: float, dtype: DTypeLike
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Compute squared distances between some heatmaps, and their squared distances to the mean.

    Both are in units of `unit` squared, and computed in `dtype`: float32 or float64.
    """
    from scipy.linalg import blas

    n = len(range(*rows.indices(len(heatmaps)))) if isinstance(rows, slice) else len(rows)
    add = blas.ssyrk if dtype == np.float32 else blas.dsyrk
    gram = np.zeros((n, n), dtype=dtype, order="F")
    for columns in _blocks(heatmaps.shape[1], n):
        part = _read(heatmaps, rows, columns).astype(dtype, copy=False)
        # Entries are close to the mean of their column, so subtracting it first loses no digits.
        part -= part.mean(axis=0)
        part /= unit
        # Adds to one half of the matrix in place, without a second n x n array.
        gram = add(1, part.T, beta=1, c=gram, trans=1, lower=1, overwrite_c=1)
    squared = gram.T
    norms = squared.diagonal().copy()
    for start in range(0, n, ROWS):
        stop = min(start + ROWS, n)
        upper = squared[start:stop, start:]
        _finish(upper, norms[start:stop], norms[start:])
        corner = np.triu(upper[:, : stop - start], 1)
        upper[:, : stop - start] = corner + corner.T
        squared[stop:, start:stop] = upper[:, stop - start :].T
    return squared, norms


def _squared_between(
    new: Heatmaps, rows: Positions, known: Heatmaps, order: Positions, dtype: DTypeLike
) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """Compute squared distances, shape (m, n), and which rows have some too small for `dtype`."""
    from scipy.linalg import blas

    m, n = len(rows), len(order)
    add = blas.sgemm if dtype == np.float32 else blas.dgemm
    products = np.zeros((n, m), dtype=dtype, order="F")
    norms, others_norms = np.zeros(m, dtype=dtype), np.zeros(n, dtype=dtype)
    for columns in _blocks(known.shape[1], m + n):
        others = _read(known, order, columns).astype(dtype, copy=False)
        part = _read(new, rows, columns).astype(dtype, copy=False)
        middle = others.mean(axis=0)
        others -= middle
        part -= middle
        norms += np.einsum("ij,ij->i", part, part)
        others_norms += np.einsum("ij,ij->i", others, others)
        products = add(1, others.T, part.T, beta=1, c=products, trans_a=1, overwrite_c=1)
    squared = products.T
    close = np.zeros(m, dtype=np.bool_)
    for start in range(0, m, ROWS):
        block = slice(start, start + ROWS)
        _finish(squared[block], norms[block], others_norms)
        near = squared[block] < CLOSE * (norms[block, None] + others_norms)
        close[block] = near.any(axis=1)
    return squared, close


def _finish(
    products: NDArray[np.floating], norms: NDArray[np.floating], others: NDArray[np.floating]
) -> None:
    """Turn a.b into |a|^2 + |b|^2 - 2 a.b in place; values that may be rounding errors become 0."""
    sums = norms[:, None] + others
    products *= -2
    products += sums
    sums *= ZERO if products.dtype == np.float64 else 0
    products[products <= sums] = 0


def _blocks(d: int, n: int) -> Iterator[slice]:
    """Cut d columns into blocks for n rows."""
    width = max(NARROWEST, BLOCK // n)
    return (slice(start, min(start + width, d)) for start in range(0, d, width))


def _on_disk(heatmaps: Heatmaps) -> bool:
    """Tell whether an array is a whole file of float32 rows that is mapped for reading."""
    return (
        isinstance(heatmaps, np.memmap)
        and isinstance(heatmaps.base, mmap.mmap)  # a slice does not know its offset in the file
        and heatmaps.mode == "r"
        and heatmaps.filename is not None
        and heatmaps.dtype == np.dtype("<f4")
        and heatmaps.flags.c_contiguous
    )


def _read(heatmaps: Heatmaps, rows: slice | Positions, columns: slice) -> Heatmaps:
    """Copy some columns of some rows.

    For a memory map, they are read from its file. Accessed pages of a map count as memory of the
    process, and at the end all pages would be accessed.
    """
    if not (isinstance(heatmaps, np.memmap) and _on_disk(heatmaps)):
        return np.array(heatmaps[rows, columns], dtype=np.float32)
    n, d = heatmaps.shape
    chosen = range(*rows.indices(n)) if isinstance(rows, slice) else rows.tolist()
    result = np.empty((len(chosen), columns.stop - columns.start), dtype=np.float32)
    with Path(str(heatmaps.filename)).open("rb", buffering=0) as file:
        for place, row in enumerate(chosen):
            file.seek(heatmaps.offset + (row * d + columns.start) * result.itemsize)
            if file.readinto(result[place].data) != result[place].nbytes:
                raise ValueError(f"{heatmaps.filename}: expected a whole file, it was cut short")
    return result


def _limits(part: Heatmaps) -> Limits:
    lowest, highest = float(part.min()), float(part.max())
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        raise ValueError("heatmaps: expected finite numbers, received others")
    return lowest, highest


def _check(heatmaps: Heatmaps) -> None:
    if heatmaps.ndim != 2 or heatmaps.dtype != np.float32 or not heatmaps.size:
        raise ValueError(
            "heatmaps: expected rows of float32, "
            f"received {heatmaps.dtype} of shape {heatmaps.shape}"
        )
