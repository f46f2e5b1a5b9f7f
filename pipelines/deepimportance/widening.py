"""Rank new images by how much they widen a test set: images with combinations that it lacks.

This is not in the paper, which only measures coverage. Every image exercises exactly one
combination, so one image of each new combination adds as much as possible. Only the order of the
images is a free choice; it favours variety.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.deepimportance.coverage import Rows, count_differing_neurons, find_combinations
from pipelines.deepimportance.quantisation import Regions


@dataclass(frozen=True)
class Widening:
    """New images in the order in which they should be added to the test set.

    Attributes
    ----------
    images : array of int, shape (r,)
        Positions of all images that exercise a combination which the test set does not.
    adds : array of bool, shape (r,)
        Whether an image adds a combination to those of the test set and of all images before it.
    apart : array of int64, shape (r,)
        In how many neurons the combination differs from the most similar one of the test set and of
        all images before it; 0 if it adds none.
    """

    images: NDArray[np.intp]
    adds: NDArray[np.bool_]
    differing_neurons: NDArray[np.int64]


def rank_new_images(
    values: NDArray[np.float32], rows: Rows, covered: Rows, regions: Sequence[Regions]
) -> Widening:
    """Rank new images by what they add to the coverage of a test set.

    The first part of the ranking has one image of each new combination. The next combination is
    always the one that differs in most neurons from everything covered so far; of equal ones, the
    one with more new images. Its image is the one nearest to the centroids, because it is the most
    typical. The second part has the second image of each combination, the third part the third, and
    so on.

    Time grows with the square of the number of new combinations, and with the number of new
    combinations times the number of covered ones.

    Parameters
    ----------
    values : array of float32, shape (n, m)
        Activations of the important neurons for the new images.
    rows : array of uint8, shape (n, m)
        Combinations of the new images.
    covered : array of uint8, shape (c, m)
        Combinations of the test set.
    regions : sequence of Regions, length m
    """
    known = set(map(tuple, covered.tolist()))
    new = np.array([tuple(row) not in known for row in rows.tolist()], dtype=np.bool_)
    images = np.flatnonzero(new)
    if not len(images):
        none = np.empty(0, dtype=np.intp)
        return Widening(none, none.astype(np.bool_), none.astype(np.int64))
    combinations = find_combinations(rows[images])
    order, distances = _most_unlike_first(combinations.rows, combinations.counts, covered)
    spreads = np.array([np.ptp(neuron_regions.centroids) or 1.0 for neuron_regions in regions])
    centres = np.stack(
        [neuron_regions.centroids[rows[images, i]] for i, neuron_regions in enumerate(regions)],
        axis=1,
    )
    deviations = (((values[images] - centres) / spreads) ** 2).sum(axis=1)
    turns = np.empty(len(order), dtype=np.int64)
    turns[order] = np.arange(len(order))
    sequence = np.lexsort((deviations, combinations.of_image))
    before = np.concatenate([[0], np.cumsum(combinations.counts)[:-1]])
    turn_of_image = np.empty(len(images), dtype=np.int64)
    turn_of_image[sequence] = np.arange(len(images)) - before[combinations.of_image[sequence]]
    ranked = np.lexsort((turns[combinations.of_image], turn_of_image))
    adds = turn_of_image[ranked] == 0
    amount = np.zeros(len(ranked), dtype=np.int64)
    amount[adds] = distances
    return Widening(images[ranked], adds, amount)


def _most_unlike_first(
    rows: Rows, counts: NDArray[np.int64], covered: Rows
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Order combinations so that each one differs most from the covered and the earlier ones.

    Returns
    -------
    order : array of int, shape (c,)
    differing : array of int64, shape (c,)
        In how many neurons each combination of `order` differs from the most similar one before.
    """
    distance = count_differing_neurons(rows, covered)
    order = np.empty(len(rows), dtype=np.intp)
    differing = np.empty(len(rows), dtype=np.int64)
    left = np.ones(len(rows), dtype=np.bool_)
    weight = int(counts.max()) + 1
    for step in range(len(rows)):
        best = int(np.where(left, distance * weight + counts, -1).argmax())
        order[step], differing[step] = best, distance[best]
        left[best] = False
        to_best = np.count_nonzero(rows != rows[best], axis=1)
        distance = np.minimum(distance, to_best)
    return order, differing
