"""DeepImportance, section 3.3: Importance-Driven Coverage (Equations 5 and 6).

A combination is one region for each important neuron. Every image exercises exactly one
combination, that of the nearest centroids. There may be far too many combinations to list. So their
total is only counted (as a product), and only those that images exercise are stored.
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
class ExercisedCombinations:
    """The combinations that a set of images exercises.

    Attributes
    ----------
    rows : array of uint8, shape (c, m)
        The combinations, sorted, without duplicates; m important neurons.
    counts : array of int64, shape (c,)
        Number of images that exercise each combination.
    first : array of int, shape (c,)
        Position of the first image that exercises each combination.
    of_image : array of int, shape (n,)
        The row of the combination that each image exercises.
    """

    rows: Rows
    counts: NDArray[np.int64]
    first: NDArray[np.intp]
    of_image: NDArray[np.intp]


def count_combinations(clusters: Sequence[int]) -> int:
    """Count all combinations of regions: the size of INCC (Equation 5).

    Parameters
    ----------
    clusters : sequence of int, length m
        Number of regions of each important neuron.
    """
    return prod(clusters)


def find_combinations(regions: Rows) -> ExercisedCombinations:
    """Find the combinations that images exercise.

    Time grows with n log n, memory with n.

    Parameters
    ----------
    regions : array of uint8, shape (n, m)
        Regions of the important neurons for each image; see `quantisation.find_regions`.
    """
    rows, first, of_image, counts = np.unique(
        regions, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    return ExercisedCombinations(rows, counts, first, of_image.reshape(-1))


def compute_coverage(covered: int, clusters: Sequence[int]) -> float:
    """Compute Importance-Driven Coverage (Equation 6): the share of combinations that are covered.

    Parameters
    ----------
    covered : int
        Number of combinations that the test set exercises.
    clusters : sequence of int, length m
        Number of regions of each important neuron.
    """
    return covered / count_combinations(clusters)


def count_growth(exercised: ExercisedCombinations) -> NDArray[np.int64]:
    """Count the combinations that are covered after each image, in the order of the images.

    Returns
    -------
    array of int64, shape (n,)
    """
    new = np.zeros(len(exercised.of_image), dtype=np.int64)
    new[exercised.first] = 1
    return np.cumsum(new)


def compute_expected_growth(counts: NDArray[np.int64], sizes: Sequence[int]) -> list[float]:
    """Compute how many combinations a random sample of the images covers on average.

    The growth in the order of a folder is not meaningful, because its classes follow one another. A
    random sample of s of n images misses a combination of c images with probability C(n - c, s) /
    C(n, s).

    Parameters
    ----------
    counts : array of int64, shape (c,)
        Number of images of each combination.
    sizes : sequence of int
        Sizes of the samples, 1 to n.

    Returns
    -------
    list of float
        Expected number of combinations for each size.
    """
    from scipy.special import gammaln

    n = int(counts.sum())
    kinds, times = np.unique(counts, return_counts=True)
    expected = []
    for size in sizes:
        missable = kinds <= n - size  # others have more images than the sample leaves out
        kept = n - kinds[missable]
        missed = gammaln(kept + 1) - gammaln(kept - size + 1) - gammaln(n + 1)
        missed += gammaln(n - size + 1)
        expected.append(float(times.sum() - (times[missable] * np.exp(missed)).sum()))
    return expected


def find_contributors(exercised: ExercisedCombinations) -> NDArray[np.intp]:
    """Return the positions of images whose combination no other image of the set exercises."""
    return np.sort(exercised.first[exercised.counts == 1])


def count_differing_neurons(rows: Rows, others: Rows, block: int = 1 << 24) -> NDArray[np.int64]:
    """Count, for each combination, the neurons in which it differs from the most similar other.

    Time grows with the product of both numbers of combinations.

    Parameters
    ----------
    rows, others : arrays of uint8, shapes (c, m) and (d, m)
    block : int
        Largest number of comparisons that are in memory at once.

    Returns
    -------
    array of int64, shape (c,)
        m if `others` is empty.
    """
    width = rows.shape[1]
    differing = np.full(len(rows), width, dtype=np.int64)
    if not len(others):
        return differing
    step = max(1, block // max(1, others.size))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        same = np.zeros((len(part), len(others)), dtype=np.int16)
        for column in range(width):
            same += part[:, column, None] == others[None, :, column]
        differing[start : start + step] = width - same.max(axis=1)
    return differing


def list_uncovered(
    covered_rows: Rows, training: ExercisedCombinations, clusters: Sequence[int], most: int
) -> list[tuple[tuple[int, ...], int, int]]:
    """List combinations that a test set does not exercise, the most useful ones first.

    Combinations that training images exercise come first, because they occur in practice; they are
    sorted by descending number of training images. All others follow, sorted by the number of
    neurons in which they differ from a covered combination: one neuron, two, and so on.

    Parameters
    ----------
    covered_rows : array of uint8, shape (c, m)
        Combinations that the test set exercises.
    training : ExercisedCombinations
        Combinations that the training images exercise.
    clusters : sequence of int, length m
        Number of regions of each important neuron.
    most : int
        Largest number of combinations to list.

    Returns
    -------
    list of (tuple of int, int, int)
        Combination, number of its training images, and number of neurons in which it differs from
        the most similar covered one.
    """
    covered = set(map(tuple, covered_rows.tolist()))
    places = [
        place for place, row in enumerate(training.rows.tolist()) if tuple(row) not in covered
    ]
    places.sort(key=lambda place: (-int(training.counts[place]), place))
    rows = training.rows[places[:most]]
    uncovered = [
        (tuple(row), int(training.counts[place]), distance)
        for row, place, distance in zip(
            rows.tolist(),
            places,
            count_differing_neurons(rows, covered_rows).tolist(),
            strict=False,
        )
    ]
    listed = {row for row, _, _ in uncovered} | covered
    start = sorted(covered) or [(0,) * len(clusters)]
    total = count_combinations(clusters)
    for distance in range(1, len(clusters) + 1):
        for row in start:
            for neurons in combinations(range(len(clusters)), distance):
                other = [[r for r in range(clusters[i]) if r != row[i]] for i in neurons]
                for regions in product(*other):
                    if len(uncovered) >= most or len(listed) == total:
                        return uncovered
                    near = list(row)
                    for neuron, region in zip(neurons, regions, strict=True):
                        near[neuron] = region
                    if (key := tuple(near)) not in listed:
                        listed.add(key)
                        uncovered.append((key, 0, distance))
    return uncovered
