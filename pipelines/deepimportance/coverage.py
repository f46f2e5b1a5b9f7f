"""DeepImportance, section 3.3: Importance-Driven Coverage (Equations 5 and 6).

A combination is one region of each important neuron.  Every image exercises exactly one: that of
the nearest centroids.  There may be more combinations than could ever be listed, so they are
counted as a product, and only those that were seen are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import prod

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.uint8]


@dataclass(frozen=True)
class Seen:
    """The combinations that a set of images exercises.

    Attributes
    ----------
    rows : array of uint8, shape (c, m)
        The combinations, each once, sorted.
    counts : array of int64, shape (c,)
        Images of each.
    first : array of int, shape (c,)
        The first image of each.
    of_image : array of int, shape (n,)
        Which row each image exercises.
    """

    rows: Rows
    counts: NDArray[np.int64]
    first: NDArray[np.intp]
    of_image: NDArray[np.intp]


def count_combinations(clusters: Sequence[int]) -> int:
    """Count the combinations of regions, the size of INCC (Equation 5)."""
    return prod(clusters)


def find_combinations(regions: Rows) -> Seen:
    """Find the combinations that images exercise; time grows with n log n, memory with n.

    Parameters
    ----------
    regions : array of uint8, shape (n, m)
        Of `quantisation.find_regions`.
    """
    rows, first, of_image, counts = np.unique(
        regions, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    return Seen(rows, counts, first, of_image.reshape(-1))


def coverage(seen: int, clusters: Sequence[int]) -> float:
    """Compute Importance-Driven Coverage (Equation 6): the share of all combinations seen."""
    return seen / count_combinations(clusters)


def growth(seen: Seen) -> NDArray[np.int64]:
    """Count the combinations seen after each image, in the images' order; shape (n,)."""
    new = np.zeros(len(seen.of_image), dtype=np.int64)
    new[seen.first] = 1
    return np.cumsum(new)


def expected_growth(counts: NDArray[np.int64], sizes: Sequence[int]) -> list[float]:
    """Compute how many combinations a random part of the images sees, by its size.

    The order of a folder says little: its classes come one after the other.  A combination that c
    of n images have is missed by s of them with probability C(n - c, s) / C(n, s).

    Parameters
    ----------
    counts : array of int64, shape (c,)
    sizes : sequence of int
    """
    from scipy.special import gammaln

    n = int(counts.sum())
    kinds, times = np.unique(counts, return_counts=True)
    found = []
    for size in sizes:
        can = kinds <= n - size  # what has more images than are left out is always seen
        kept = n - kinds[can]
        missed = gammaln(kept + 1) - gammaln(kept - size + 1) - gammaln(n + 1)
        missed += gammaln(n - size + 1)
        found.append(float(times.sum() - (times[can] * np.exp(missed)).sum()))
    return found


def contributors(seen: Seen) -> NDArray[np.intp]:
    """Return the images that exercise a combination that no other image of the set does."""
    return np.sort(seen.first[seen.counts == 1])


def apart(rows: Rows, others: Rows, block: int = 1 << 24) -> NDArray[np.int64]:
    """Count in how many neurons combinations differ from the nearest of others.

    Time grows with the product of both numbers; memory is bounded by `block` comparisons.

    Returns
    -------
    array of int64, shape (len(rows),)
        The number of neurons where there are no others.
    """
    width = rows.shape[1]
    found = np.full(len(rows), width, dtype=np.int64)
    if not len(others):
        return found
    step = max(1, block // max(1, others.size))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        same = np.zeros((len(part), len(others)), dtype=np.int16)
        for column in range(width):
            same += part[:, column, None] == others[None, :, column]
        found[start : start + step] = width - same.max(axis=1)
    return found


def uncovered(
    seen: Rows, training: Seen, clusters: Sequence[int], most: int
) -> list[tuple[tuple[int, ...], int, int]]:
    """List combinations that a test set does not exercise, at most `most`, most telling first.

    First those that training images exercise, which therefore do occur: the ones with most such
    images first.  Then those that differ from a covered one in one neuron, in two, and so on.

    Parameters
    ----------
    seen : array of uint8, shape (c, m)
        Those that it does.

    Returns
    -------
    list of (combination, training images, neurons in which the nearest covered one differs)
    """
    covered = set(map(tuple, seen.tolist()))
    places = [
        place for place, row in enumerate(training.rows.tolist()) if tuple(row) not in covered
    ]
    places.sort(key=lambda place: (-int(training.counts[place]), place))
    rows = training.rows[places[:most]]
    found = [
        (tuple(row), int(training.counts[place]), distance)
        for row, place, distance in zip(
            rows.tolist(), places, apart(rows, seen).tolist(), strict=False
        )
    ]
    listed = {row for row, _, _ in found} | covered
    start = sorted(covered) or [(0,) * len(clusters)]
    total = count_combinations(clusters)
    for distance in range(1, len(clusters) + 1):
        for row in start:
            for neurons in combinations(range(len(clusters)), distance):
                other = [[r for r in range(clusters[i]) if r != row[i]] for i in neurons]
                for regions in product(*other):
                    if len(found) >= most or len(listed) == total:
                        return found
                    near = list(row)
                    for neuron, region in zip(neurons, regions, strict=True):
                        near[neuron] = region
                    if (key := tuple(near)) not in listed:
                        listed.add(key)
                        found.append((key, 0, distance))
    return found
