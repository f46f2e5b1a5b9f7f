"""Distances between heatmaps (HUDD, section IV-A, Equations 1 to 4; section IV-C).

Heatmaps of a convolutional layer fill gigabytes: they go to a file as they come, and are read back
a block of columns at a time.  The squares of distances are sums over columns, so each block adds a
matrix product and is forgotten.

Equation 2 maps the entries of a layer from min to max onto 0 to 1. What is subtracted cancels out
in a difference, so a distance of normalised heatmaps is that of the raw ones over max - min: the
range is all that it takes, and no normalised heatmap is ever written.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray

NARROWEST = 4096
"""Columns of a block at least: 16 KB in a row, so that a disk reads more than it seeks."""
BLOCK = 4_000_000
"""Entries of a block, where that makes it wider: what stays in a cache is computed faster."""
TILE = 32_000_000
"""Distances to new images that are held at a time."""
TOGETHER = 8192
"""New images that are taken at a time at most: a block holds `NARROWEST` entries of each."""
ROWS = 256
"""Rows of a matrix of distances that are finished at a time."""
CLOSE = 0.01
"""Share of the sum of two squared norms below which a squared distance is computed again."""
ZERO = 1e-13
"""Share of it below which a distance is 0: float32, as heatmaps are, tells no such images apart."""

Heatmaps = NDArray[np.float32]
Distances = NDArray[np.float32]
Positions = NDArray[np.intp]
Limits = tuple[float, float]


class HeatmapWriter:
    """Writes the heatmaps of a layer into a file as they come; memory grows with a batch alone.

    Parameters
    ----------
    file : binary file
        Empty and open for writing, as `files.atomic_write` gives it; becomes a file of type .npy.
    n : int
        Heatmaps that will come.
    d : int
        Entries of a heatmap.
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
        batch : array of float32, shape (b, d) or (b, ...) of d entries each

        Raises
        ------
        ValueError
            When there are too many, they have another size, or an entry is not finite; nothing of
            the batch is written then.
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
        """Return the least and the greatest entry: min and max of Equation 1.

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
        When it is no such file, or a part of one.
    """
    heatmaps: Heatmaps = np.load(path, mmap_mode="r", allow_pickle=False)
    _check(heatmaps)
    return heatmaps


def value_range(heatmaps: Heatmaps) -> Limits:
    """Return the least and the greatest entry of all heatmaps of a layer (Equation 1).

    Reads every entry once, a few rows at a time.

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
    found = []
    rows = max(1, BLOCK // d)
    for start in range(0, n, rows):
        part = slice(start, min(start + rows, n))
        inside = _read(heatmaps, part, slice(0, d)) if _on_disk(heatmaps) else heatmaps[part]
        found.append(_limits(inside))
    return min(low for low, _ in found), max(high for _, high in found)


def heatmap_distances(heatmaps: Heatmaps, limits: Limits | None = None) -> Distances:
    """Compute the distances between all heatmaps of a layer (Equations 1 to 4).

    Squares of differences are expanded, which makes them matrix products in float32. Every column
    is centred first, so that little is lost when the squares are subtracted from one another. What
    is still lost matters where two heatmaps are much nearer to each other than to the middle:
    images that have such a neighbour are computed again in float64. Distances are right to 1 part
    in 10,000, and those of equal heatmaps are 0.

    Time grows with n^2 d. Memory: 4 n^2 bytes for the result and 4 n x 4096 for a block; images
    that are computed again, r of them, take 8 r^2 and 8 r x 4096 more. The heatmaps are read once,
    twice where they are computed again, and are never in memory as a whole.

    Parameters
    ----------
    heatmaps : array or memory map of float32, shape (n, d)
        Raw; a memory map that `open_heatmaps` returned is read without being mapped into memory.
    limits : pair of float, optional
        Least and greatest entry, when they are known: spares one more reading.

    Returns
    -------
    array of float32, shape (n, n)
        Of the normalised heatmaps; symmetric, 0 on the diagonal. All 0 when all entries are equal:
        Equation 2 is not defined then, and such a layer tells no images apart.

    Raises
    ------
    ValueError
        When there is no entry, or one is not finite.
    """
    _check(heatmaps)
    lowest, highest = value_range(heatmaps) if limits is None else limits
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


def distances_between(new: Heatmaps, known: Heatmaps) -> Distances:
    """Compute the distances from new heatmaps to known ones (section IV-C: raw, not normalised).

    Computed as in `heatmap_distances`.  Time grows with m n d, memory with m n; see
    `nearest_of_clusters` where that is too much.

    Parameters
    ----------
    new, known : arrays or memory maps of float32, shapes (m, d) and (n, d)
        Their entries may be as large as 10^15 and as small as 10^-15; squares fit float32 then.

    Returns
    -------
    array of float32, shape (m, n)

    Raises
    ------
    ValueError
        When heatmaps are of two sizes, or there is no entry.
    """
    everything = np.arange(len(known))
    result = np.empty((len(new), len(known)), dtype=np.float32)
    for rows, squared in _tiles(new, known, everything):
        np.sqrt(squared, out=result[rows])
    return result


def nearest_of_clusters(new: Heatmaps, known: Heatmaps, clusters: NDArray[np.int32]) -> Distances:
    """Compute each new heatmap's distance to the nearest one of each cluster (single linkage).

    What `allocation.cluster_distances` computes of arrays, for heatmaps that do not fit in memory
    (HUDD, section IV-C: raw, not normalised).  Time grows with m n d.  Memory: m k for the result,
    a few times `TILE` and a block; neither m n nor m d nor n d.  The new heatmaps are read once,
    the known ones once for every `TILE` / n new ones, `TOGETHER` at most: give many at a time.

    Parameters
    ----------
    new, known : arrays or memory maps of float32, shapes (m, d) and (n, d)
        See `distances_between`.
    clusters : array of int32, shape (n,)
        0 to k - 1; every one occurs.

    Returns
    -------
    array of float32, shape (m, k)

    Raises
    ------
    ValueError
        When heatmaps are of two sizes, there is no entry, or a known one has no cluster.
    """
    if len(clusters) != len(known):
        raise ValueError(f"clusters: expected one for each of {len(known)}, got {len(clusters)}")
    order = np.argsort(clusters, kind="stable")
    starts = np.flatnonzero(np.diff(clusters[order], prepend=-1))
    result = np.empty((len(new), len(starts)), dtype=np.float32)
    for rows, squared in _tiles(new, known, order):
        np.sqrt(np.minimum.reduceat(squared, starts, axis=1), out=result[rows])
    return result


def _tiles(new: Heatmaps, known: Heatmaps, order: Positions) -> Iterator[tuple[slice, Distances]]:
    """Yield slices of the new heatmaps, and their squared distances to the known ones in order."""
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
    """Compute squared distances between some rows, and their squared distances to the middle.

    Both are in units of `unit` squared, and computed in `dtype`, float32 or float64.
    """
    from scipy.linalg import blas

    n = len(range(*rows.indices(len(heatmaps)))) if isinstance(rows, slice) else len(rows)
    add = blas.ssyrk if dtype == np.float32 else blas.dsyrk
    gram = np.zeros((n, n), dtype=dtype, order="F")
    for columns in _blocks(heatmaps.shape[1], n):
        part = _read(heatmaps, rows, columns).astype(dtype, copy=False)
        # Entries are near the middle of their column: subtracted first, they lose nothing.
        part -= part.mean(axis=0)
        part /= unit
        # Adds to what is there, in one half of the matrix, without an n x n array beside it.
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
    """Compute squared distances (m, n), and which rows hold some that are too small for float32."""
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
    """Turn a.b into |a|^2 + |b|^2 - 2 a.b in place; what rounding alone can make is 0."""
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
    """Tell whether an array is a whole file of float32 rows, mapped for reading."""
    return (
        isinstance(heatmaps, np.memmap)
        and isinstance(heatmaps.base, mmap.mmap)  # a part of a map does not know where it starts
        and heatmaps.mode == "r"
        and heatmaps.filename is not None
        and heatmaps.dtype == np.dtype("<f4")
        and heatmaps.flags.c_contiguous
    )


def _read(heatmaps: Heatmaps, rows: slice | Positions, columns: slice) -> Heatmaps:
    """Copy some columns of some rows.

    Of a memory map they are read from its file: pages of a map that are looked at count as memory
    of the process, and every page would be.
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
                raise ValueError(f"{heatmaps.filename}: the file was cut short")
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
