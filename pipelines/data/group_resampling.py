"""Random sets of images for tests of significance, when images come in groups.

Frames of one track are not independent images: they share what they show. Random sets that are
compared with a cluster are therefore drawn group by group (a cluster permutation test; see Good:
*Permutation, Parametric and Bootstrap Tests of Hypotheses*, 2005).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Positions


def number_group_names(names: Sequence[str]) -> NDArray[np.int64]:
    """Return a number for each group; an image without a group's name is a group of its own.

    Returns
    -------
    array of int64, shape (n,)
        From 0, in the order of first occurrence.
    """
    numbers: dict[str | int, int] = {}
    keys = [name or place for place, name in enumerate(names)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def draw_orders(rng: np.random.Generator, subjects: NDArray[np.int64], draws: int) -> Positions:
    """Draw random orders of images that keep the images of one group side by side.

    The first k images of an order are a random set of whole groups, except that the last group may
    be cut. Time grows with draws x n log n, memory with draws x n.

    Parameters
    ----------
    subjects : array of int64, shape (n,)

    Returns
    -------
    array of intp, shape (draws, n)
        Positions of images.
    """
    _, numbers = np.unique(subjects, return_inverse=True)
    count = int(numbers.max(initial=-1)) + 1
    places = rng.permuted(np.tile(np.arange(count), (draws, 1)), axis=1)
    return np.argsort(places[:, numbers], axis=1, kind="stable")


def draw_with_replacement(
    rng: np.random.Generator, subjects: NDArray[np.int64], size: int, draws: int
) -> Positions:
    """Draw sets of images group by group, with replacement (a cluster bootstrap).

    Time and memory grow with draws x size.

    Parameters
    ----------
    subjects : array of int64, shape (n,)
        n is at least 1. Images with the same number are of one group.

    Returns
    -------
    array of intp, shape (draws, size)
        Positions of images; the last group of a set may be cut.
    """
    order = np.argsort(subjects, kind="stable")
    _, starts, lengths = np.unique(subjects[order], return_index=True, return_counts=True)
    sets = np.empty((draws, size), dtype=np.intp)
    for row in range(draws):
        chosen = rng.integers(len(starts), size=size)  # enough: no group is empty
        ends = np.cumsum(lengths[chosen])
        chosen = chosen[: int(np.searchsorted(ends, size)) + 1]
        parts = [order[starts[group] : starts[group] + lengths[group]] for group in chosen]
        sets[row] = np.concatenate(parts)[:size]
    return sets
