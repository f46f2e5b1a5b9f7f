"""Agreement of two runs on the same images, such as SAFE's clusters beside HUDD's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters.clusters import RootCauseClusters


@dataclass(frozen=True)
class Agreement:
    """The images that two runs have in common, counted by the clusters of both.

    Attributes
    ----------
    images : int
        Number of images in both runs. Files with the same bytes are the same image.
    rows, columns : tuple of int
        Cluster ids of the first and of the second run, -1 for noise.
    table : array of int64, shape (len(rows), len(columns))
        Number of images in a cluster of the first run and in one of the second.
    index : float or None
        Adjusted Rand index: 1 for equal clusters, about 0 for agreement by chance. None if fewer
        than two images are in both runs.
    """

    images: int
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    table: NDArray[np.int64]
    index: float | None


def compare(one: RootCauseClusters, other: RootCauseClusters) -> Agreement:
    """Compare the clusters of two runs on the images that are in both.

    Images join on the digest of their bytes, since the two runs may be of different folders. Files
    with equal bytes count once, and noise counts as a cluster. Time and memory grow linearly with
    the number of images.
    """
    places = {digest: place for place, digest in enumerate(other.digests)}
    pairs = {
        digest: (int(label), int(other.labels[places[digest]]))
        for digest, label in zip(one.digests, one.labels.tolist(), strict=True)
        if digest in places
    }
    both = list(pairs.values())
    rows = tuple(sorted({row for row, _ in both}))
    columns = tuple(sorted({column for _, column in both}))
    table = np.zeros((len(rows), len(columns)), dtype=np.int64)
    np.add.at(
        table,
        (
            [rows.index(row) for row, _ in both],
            [columns.index(column) for _, column in both],
        ),
        1,
    )
    return Agreement(len(both), rows, columns, table, adjusted_rand_index(table))


def adjusted_rand_index(table: NDArray[np.int64]) -> float | None:
    """Compute the adjusted Rand index (Hubert and Arabie, 1985) from a table of overlaps.

    Implemented here because the page needs it, and scikit-learn would slow down the page's start.
    """

    def pairs(counts: NDArray[np.int64]) -> float:
        return float((counts * (counts - 1)).sum()) / 2

    images = int(table.sum())
    if images < 2:
        return None
    both, rows, columns = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    expected = rows * columns / (images * (images - 1) / 2)
    most = (rows + columns) / 2
    return 1.0 if most == expected else (both - expected) / (most - expected)
