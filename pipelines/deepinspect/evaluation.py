"""How well the reported pairs match the errors that labels show (DeepInspect, IV-B and IV-C)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pipelines.data.arrays import Bools, Doubles
from pipelines.deepinspect.entries import DetectionEntry, RankingEntry
from pipelines.deepinspect.ranking import Ranking

BLOCK = 4096
"""Number of images that are counted at once."""
MOST_POINTS = 200
"""Largest number of points of a stored cost-effectiveness curve."""
DIGITS = 4
EXACT = 12
"""Decimals of a sum of shares that are free of rounding errors."""


@dataclass(frozen=True)
class Detection:
    """How many true errors are among the reported pairs.

    Attributes
    ----------
    tp, fp : int
        Reported pairs that are true errors, and reported pairs that are not.
    precision : float or None
        None if no pair is reported.
    recall : float
    random_precision, random_recall : float
        Mean precision and recall of as many pairs chosen at random.
    """

    tp: int
    fp: int
    precision: float | None
    recall: float
    random_precision: float
    random_recall: float


@dataclass(frozen=True)
class Evaluation:
    """How good a ranking of pairs is.

    Attributes
    ----------
    pairs, errors : int
        Number of pairs with a ground truth, and number of true errors among them.
    one_sd, top_percent : Detection
        Results if the pairs beyond one standard deviation are reported, and if the top percent is.
    aucec, optimum : float
        Area under the cost-effectiveness curve, and that of a perfect ranking; a random ranking has
        0.5.
    gain : float
        Difference between `aucec` and that of a random ranking, as a share of the latter.
    spearman : float or None
        Rank correlation of score and ground truth; None if one of them is constant.
    curve : list of (float, float)
        Share of the pairs that an engineer inspects, and share of the true errors among them.
    """

    pairs: int
    errors: int
    one_sd: Detection
    top_percent: Detection
    aucec: float
    optimum: float
    gain: float
    spearman: float | None
    curve: list[tuple[float, float]]

    def as_entry(self) -> RankingEntry:
        """Return the entries of `evaluation.json`, rounded to `DIGITS` decimals."""
        return RankingEntry(
            pairs=self.pairs,
            errors=self.errors,
            one_sd=DetectionEntry(**_rounded(asdict(self.one_sd))),
            top_percent=DetectionEntry(**_rounded(asdict(self.top_percent))),
            aucec=round(self.aucec, DIGITS),
            aucec_optimum=round(self.optimum, DIGITS),
            aucec_gain_over_random=round(self.gain, DIGITS),
            spearman=None if self.spearman is None else round(self.spearman, DIGITS),
            curve=[(round(x, DIGITS), round(y, DIGITS)) for x, y in self.curve],
        )


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: round(value, DIGITS) if isinstance(value, float) else value
        for name, value in values.items()
    }


def type1_confusion(truth: Bools, predicted: Bools) -> Doubles:
    """Compute how often the DNN predicts one of two classes for the other (section IV-B, Type 1).

    type1conf(a, b) = mean(P(a|b), P(b|a)).

    Parameters
    ----------
    truth, predicted : array of bool, shape (n, k)
        Exactly one class for each image.

    Returns
    -------
    array of float64, shape (k, k)
        Symmetric, 0 on the diagonal. P(.|a) is not defined for a class a without images: then only
        the other direction counts; NaN if neither is defined.
    """
    confused = _products(truth, predicted)
    with np.errstate(invalid="ignore"):
        return _both_ways(confused / truth.sum(axis=0)[:, None])


def type2_confusion(truth: Bools, predicted: Bools) -> Doubles:
    """Compute how often two classes are predicted for an image that shows only one (IV-B, Type 2).

    type2conf(a, b) = mean(P((a, b)|a), P((a, b)|b)), over the images that show a but not b, and
    those that show b but not a.

    Parameters
    ----------
    truth, predicted : array of bool, shape (n, k)
        Any number of classes for each image.

    Returns
    -------
    array of float64, shape (k, k)
        See `type1_confusion`: P((a, b)|a) is not defined if no image shows a without b.
    """
    both = _products(truth & predicted, ~truth & predicted)
    only_one = _products(truth, ~truth)
    with np.errstate(invalid="ignore"):
        return _both_ways(both / only_one)


def _products(left: Bools, right: Bools) -> Doubles:
    """Count the images that are in both columns, for all pairs of columns.

    Memory grows with k^2.
    """
    result = np.zeros((left.shape[1], right.shape[1]))
    for start in range(0, len(left), BLOCK):
        block = slice(start, start + BLOCK)
        result += left[block].T.astype(np.float32) @ right[block].astype(np.float32)
    return result


def _both_ways(shares: Doubles) -> Doubles:
    other = shares.T
    mean = (shares + other) / 2
    mean = np.where(np.isnan(shares), other, np.where(np.isnan(other), shares, mean))
    np.fill_diagonal(mean, 0)
    return mean


def average_disparity(errors: Doubles) -> Doubles:
    """Compute how differently the DNN confuses two classes with third classes (section IV-B.2).

    avg_cd(a, b) is the mean over c of |error(a, c) - error(b, c)|.  Time grows with the cube of
    the number of classes, memory with its square.

    Parameters
    ----------
    errors : array of float64, shape (k, k)
        Type 1 or Type 2 confusions; errors that are not known (NaN) count as 0.

    Returns
    -------
    array of float64, shape (k, k)
        NaN on the diagonal, and for classes without any known error.

    Raises
    ------
    ValueError
        When fewer than three classes have known errors.
    """
    from scipy.spatial.distance import cdist

    known = ~np.isnan(errors)
    np.fill_diagonal(known, False)
    places = np.flatnonzero(known.any(axis=1))
    count = len(places)
    if count < 3:
        raise ValueError(f"disparity needs 3 classes with known errors, received {count}")
    rows = np.nan_to_num(errors[np.ix_(places, places)])
    np.fill_diagonal(rows, 0)
    # The sum over all c also has the terms of c = a and c = b, each of them e(a, b): they are
    # subtracted. Rounding keeps equal sums equal, so that they share one rank.
    sums = np.round(cdist(rows, rows, "cityblock") - 2 * rows, EXACT) + 0.0
    result = np.full(errors.shape, np.nan)
    result[np.ix_(places, places)] = sums / (count - 2)
    np.fill_diagonal(result, np.nan)
    return result


def true_errors(truth: Doubles) -> Bools:
    """Return which pairs are true errors: more than one standard deviation above the mean.

    Parameters
    ----------
    truth : array of float64
        Confusion or disparity by labels; NaN where it is not known.
    """
    known = truth[~np.isnan(truth)]
    with np.errstate(invalid="ignore"):
        errors: Bools = truth > known.mean() + known.std()
    return errors


def evaluate_ranking(scores: Doubles, truth: Doubles, ranking: Ranking) -> Evaluation | None:
    """Compare the reported pairs with the true errors (section IV-C.2).

    Pairs without a score come last. Pairs with equal scores have no order: the curve is a straight
    line across them, the mean over all their orders.

    Parameters
    ----------
    scores, truth : array of float64, shape (pairs,)
        NaN where a value is not known.  Pairs without a truth are left out.
    ranking : Ranking
        The ranking by `scores`.

    Returns
    -------
    Evaluation or None
        None when no pair is a true error.
    """
    known = ~np.isnan(truth)
    pairs = int(known.sum())
    wrong = true_errors(truth) & known if pairs else known
    errors = int(wrong.sum())
    if not errors:
        return None
    order = ranking.order[known[ranking.order]]
    sorted_scores = scores[order]
    tied = (sorted_scores[1:] == sorted_scores[:-1]) | (
        np.isnan(sorted_scores[1:]) & np.isnan(sorted_scores[:-1])
    )
    ends = np.flatnonzero(np.append(~tied, True)) + 1
    detected = np.cumsum(wrong[order])[ends - 1]
    x = np.concatenate([[0], ends]) / pairs
    y = np.concatenate([[0], detected]) / errors
    aucec = float(np.trapezoid(y, x))
    kept = np.unique(np.linspace(0, len(x) - 1, MOST_POINTS).round().astype(int))
    return Evaluation(
        pairs=pairs,
        errors=errors,
        one_sd=_measure_detection(ranking.one_sd, wrong, known),
        top_percent=_measure_detection(ranking.top, wrong, known),
        aucec=aucec,
        optimum=1 - errors / pairs / 2,
        gain=(aucec - 0.5) / 0.5,
        spearman=spearman(scores, truth),
        curve=list(zip(x[kept].tolist(), y[kept].tolist(), strict=True)),
    )


def _measure_detection(reported: Bools, wrong: Bools, known: Bools) -> Detection:
    reported = reported & known
    count, tp = int(reported.sum()), int((reported & wrong).sum())
    errors, pairs = int(wrong.sum()), int(known.sum())
    precision = tp / count if count else None
    return Detection(tp, count - tp, precision, tp / errors, errors / pairs, count / pairs)


def spearman(scores: Doubles, truth: Doubles) -> float | None:
    """Compute Spearman's rank correlation over the pairs where both values are known.

    Parameters
    ----------
    scores, truth : array of float64, shape (pairs,)

    Returns
    -------
    float or None
        None if one of them is constant, or if fewer than two pairs are known.
    """
    from scipy.stats import spearmanr

    both = ~np.isnan(scores) & ~np.isnan(truth)
    one, other = scores[both], truth[both]
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(spearmanr(one, other).statistic)
