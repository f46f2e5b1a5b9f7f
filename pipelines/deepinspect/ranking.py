"""Ranking of pairs of classes, most error-prone first (DeepInspect, section IV-C)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TOP_PERCENT = 1.0
"""Share of the pairs that is reported as the top, in percent."""


@dataclass(frozen=True)
class Ranking:
    """Pairs of classes in the order in which an engineer should inspect them.

    Attributes
    ----------
    order : array of int, shape (pairs,)
        Positions of pairs, most error-prone first, those without a score last.
    one_sd : array of bool, shape (pairs,)
        Whether a pair's score is more than one standard deviation beyond the mean.
    top : array of bool, shape (pairs,)
        Whether the pair is among the top percent.
    cut : float
        The score at one standard deviation beyond the mean; NaN if no pair has a score.
    """

    order: NDArray[np.intp]
    one_sd: NDArray[np.bool_]
    top: NDArray[np.bool_]
    cut: float


def rank_pairs(
    scores: NDArray[np.float64], *, lowest_first: bool, top_percent: float = TOP_PERCENT
) -> Ranking:
    """Rank pairs by NAPVD (the lowest is the most error-prone) or by average bias (the highest).

    Parameters
    ----------
    scores : array of float64, shape (pairs,)
        NaN for pairs without a score, which are never reported.
    lowest_first : bool
        Whether the lowest score is the most error-prone.
    top_percent : float
        Share of all pairs; rounded down, as in the published code, but at least one pair.
    """
    sign = 1.0 if lowest_first else -1.0
    order = np.argsort(sign * scores, kind="stable")  # NaN goes last
    known = scores[~np.isnan(scores)]
    top = np.zeros(len(scores), dtype=np.bool_)
    if not len(known):
        return Ranking(order, top, top.copy(), float("nan"))
    cut = float(known.mean() - sign * known.std())
    with np.errstate(invalid="ignore"):
        one_sd = sign * scores < sign * cut
    top[order[: min(len(known), max(1, int(len(scores) * top_percent / 100)))]] = True
    return Ranking(order, one_sd, top, cut)


def pairs_of(classes: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first and the second class of each pair, in the order of all arrays of pairs.

    Returns
    -------
    first, second : arrays of int, shape (classes * (classes - 1) / 2,)
    """
    first, second = np.triu_indices(classes, 1)
    return first, second
