"""Which new images widen a test set: those that exercise combinations which it does not.

Not in the paper, which measures coverage alone.  Every image exercises one combination, so that
choosing one image of each new combination adds the most (greedy is exact); what is left to decide
is their order, and that goes for variety.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.deepimportance.coverage import Rows, apart, find_combinations
from pipelines.deepimportance.quantisation import Regions


@dataclass(frozen=True)
class Widening:
    """New images in the order in which they should be taken.

    Attributes
    ----------
    images : array of int, shape (r,)
        Positions of all those that exercise a combination which the test set does not.
    adds : array of bool, shape (r,)
        Whether an image adds a combination to the test set and all images before it.
    apart : array of int64, shape (r,)
        In how many neurons the combination differs from the nearest one of the test set and of all
        images before it: 0 where it adds none.
    """

    images: NDArray[np.intp]
    adds: NDArray[np.bool_]
    apart: NDArray[np.int64]


def rank(
    values: NDArray[np.float32], rows: Rows, covered: Rows, regions: Sequence[Regions]
) -> Widening:
    """Rank new images by what they add to the coverage of a test set.

    One image of each new combination comes first, that which differs in most neurons from all that
    is covered by then; of equal ones, that with more new images.  Of a combination's images the
    one nearest to the centroids comes first, as the most typical; the others follow, second ones
    before third ones.  Time grows with the square of the number of new combinations, and with
    their product with the covered ones.

    Parameters
    ----------
    values : array of float32, shape (n, m)
        Activations of the important neurons.
    rows : array of uint8, shape (n, m)
        Their regions.
    covered : array of uint8, shape (c, m)
        Combinations of the test set.
    """
    known = set(map(tuple, covered.tolist()))
    new = np.array([tuple(row) not in known for row in rows.tolist()], dtype=np.bool_)
    images = np.flatnonzero(new)
    if not len(images):
        none = np.empty(0, dtype=np.intp)
        return Widening(none, none.astype(np.bool_), none.astype(np.int64))
    seen = find_combinations(rows[images])
    order, distances = _most_unlike_first(seen.rows, seen.counts, covered)
    spreads = np.array([np.ptp(each.centroids) or 1.0 for each in regions])
    centres = np.stack([each.centroids[rows[images, i]] for i, each in enumerate(regions)], axis=1)
    off = (((values[images] - centres) / spreads) ** 2).sum(axis=1)
    turn = np.empty(len(order), dtype=np.int64)
    turn[order] = np.arange(len(order))
    sequence = np.lexsort((off, seen.of_image))
    before = np.concatenate([[0], np.cumsum(seen.counts)[:-1]])
    nth = np.empty(len(images), dtype=np.int64)
    nth[sequence] = np.arange(len(images)) - before[seen.of_image[sequence]]
    ranked = np.lexsort((turn[seen.of_image], nth))
    adds = nth[ranked] == 0
    amount = np.zeros(len(ranked), dtype=np.int64)
    amount[adds] = distances
    return Widening(images[ranked], adds, amount)


def _most_unlike_first(
    rows: Rows, counts: NDArray[np.int64], covered: Rows
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Order combinations so that each is as unlike the covered and the earlier ones as can be."""
    distance = apart(rows, covered)
    order = np.empty(len(rows), dtype=np.intp)
    found = np.empty(len(rows), dtype=np.int64)
    left = np.ones(len(rows), dtype=np.bool_)
    weight = int(counts.max()) + 1
    for step in range(len(rows)):
        best = int(np.where(left, distance * weight + counts, -1).argmax())
        order[step], found[step] = best, distance[best]
        left[best] = False
        differing = np.count_nonzero(rows != rows[best], axis=1)
        distance = np.minimum(distance, differing)
    return order, found
