"""How good the reported pairs are, where labels are known (DeepInspect, sections IV-B and IV-C)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Doubles
from pipelines.deepinspect.ranking import Ranking

BLOCK = 4096
"""Images that are counted at once."""
MOST_POINTS = 200
"""Points of a cost-effectiveness curve that are kept."""
DIGITS = 4
EXACT = 12
"""Decimals of a sum of shares that rounding errors leave alone."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Cut:
    """What is found when some of the pairs are reported.

    Attributes
    ----------
    tp, fp : int
        Reported pairs that are true errors, and the others.
    precision, recall : float or None
        None where nothing is reported.
    random_precision, random_recall : float
        Of as many pairs taken at random, on average.
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
        All pairs with a ground truth, and those of them that are true errors.
    one_sd, top_percent : Cut
    aucec, optimum : float
        Area under the cost-effectiveness curve, and that of a perfect ranking; 0.5 is random.
    gain : float
        Of `aucec` over random, as a share of that.
    spearman : float or None
        Between score and ground truth; None where either is constant.
    curve : list of (float, float)
        Share of the pairs that is looked at, and of the true errors that is found.
    """

    pairs: int
    errors: int
    one_sd: Cut
    top_percent: Cut
    aucec: float
    optimum: float
    gain: float
    spearman: float | None
    curve: list[tuple[float, float]]

    def as_document(self) -> dict[str, Any]:
        """Return what `evaluation.json` says of it, in figures with meaningful digits."""
        return {
            "pairs": self.pairs,
            "errors": self.errors,
            "one_sd": _rounded(asdict(self.one_sd)),
            "top_percent": _rounded(asdict(self.top_percent)),
            **_rounded(
                {
                    "aucec": self.aucec,
                    "aucec_optimum": self.optimum,
                    "aucec_gain_over_random": self.gain,
                    "spearman": self.spearman,
                }
            ),
            "curve": [[round(x, DIGITS), round(y, DIGITS)] for x, y in self.curve],
        }


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: round(value, DIGITS) if isinstance(value, float) else value
        for name, value in values.items()
    }


def type1_confusion(truth: Bools, predicted: Bools) -> Doubles:
    """Compute how often one of two classes is taken for the other (section IV-B, Type 1).

    type1conf(a, b) = mean(P(a|b), P(b|a)).

    Parameters
    ----------
    truth, predicted : array of bool, shape (n, k)
        One class an image.

    Returns
    -------
    array of float64, shape (k, k)
        Symmetric, 0 on the diagonal.  Of a class without images P is not known: the other
        direction counts alone; NaN where neither is known.
    """
    taken = _products(truth, predicted)
    with np.errstate(invalid="ignore"):
        return _both_ways(taken / truth.sum(axis=0)[:, None])


def type2_confusion(truth: Bools, predicted: Bools) -> Doubles:
    """Compute how often two classes are predicted where only one of them is (Type 2).

    type2conf(a, b) = mean(P((a, b)|a), P((a, b)|b)), over the images that show a and not b, and b
    and not a.

    Parameters
    ----------
    truth, predicted : array of bool, shape (n, k)
        Any number of classes an image.

    Returns
    -------
    array of float64, shape (k, k)
        As `type1_confusion`: where no image shows one of the two alone, P is not known.
    """
    both = _products(truth & predicted, ~truth & predicted)
    alone = _products(truth, ~truth)
    with np.errstate(invalid="ignore"):
        return _both_ways(both / alone)


def _products(left: Bools, right: Bools) -> Doubles:
    """Count the images that are in both columns, of all pairs; memory grows with k squared."""
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
    """Compute how differently a DNN errs on two classes, over all third ones (section IV-B.2).

    avg_cd(a, b) is the mean over c of |error(a, c) - error(b, c)|.  Time grows with the cube of
    the number of classes, memory with its square.

    Parameters
    ----------
    errors : array of float64, shape (k, k)
        Type 1 or Type 2 confusions; errors that are not known count as none.

    Returns
    -------
    array of float64, shape (k, k)
        NaN on the diagonal, and of classes that have no known error at all.

    Raises
    ------
    ValueError
        When there are fewer than three classes.
    """
    from scipy.spatial.distance import cdist

    known = ~np.isnan(errors)
    np.fill_diagonal(known, False)
    places = np.flatnonzero(known.any(axis=1))
    count = len(places)
    if count < 3:
        raise ValueError(f"disparity needs 3 classes, received {count}")
    rows = np.nan_to_num(errors[np.ix_(places, places)])
    np.fill_diagonal(rows, 0)
    # What the sum over all c has too much: |e(a, a) - e(b, a)| and |e(a, b) - e(b, b)|.
    # Rounded, for equal ones to stay equal: ranks are taken of them.
    sums = np.round(cdist(rows, rows, "cityblock") - 2 * rows, EXACT) + 0.0
    result = np.full(errors.shape, np.nan)
    result[np.ix_(places, places)] = sums / (count - 2)
    np.fill_diagonal(result, np.nan)
    return result


def true_errors(truth: Doubles) -> Bools:
    """Tell which pairs are errors indeed: more than one standard deviation above the mean."""
    known = truth[~np.isnan(truth)]
    with np.errstate(invalid="ignore"):
        found: Bools = truth > known.mean() + known.std()
    return found


def evaluate_ranking(scores: Doubles, truth: Doubles, ranking: Ranking) -> Evaluation | None:
    """Compare the pairs that are reported with those that are errors indeed (section IV-C.2).

    Pairs without a score are looked at last.  Pairs of the same score are in no order: the curve
    is a straight line across them, which is what any order gives on average.

    Parameters
    ----------
    scores, truth : array of float64, shape (pairs,)
        NaN where nothing is known.  Pairs without a truth are left out.
    ranking : Ranking
        Of the scores.

    Returns
    -------
    Evaluation or None
        None when no pair is an error.
    """
    known = ~np.isnan(truth)
    pairs = int(known.sum())
    wrong = true_errors(truth) & known if pairs else known
    errors = int(wrong.sum())
    if not errors:
        return None
    order = ranking.order[known[ranking.order]]
    sorted_scores = scores[order]
    same = (sorted_scores[1:] == sorted_scores[:-1]) | (
        np.isnan(sorted_scores[1:]) & np.isnan(sorted_scores[:-1])
    )
    ends = np.flatnonzero(np.append(~same, True)) + 1
    found = np.cumsum(wrong[order])[ends - 1]
    x = np.concatenate([[0], ends]) / pairs
    y = np.concatenate([[0], found]) / errors
    aucec = float(np.trapezoid(y, x))
    kept = np.unique(np.linspace(0, len(x) - 1, MOST_POINTS).round().astype(int))
    return Evaluation(
        pairs=pairs,
        errors=errors,
        one_sd=_cut(ranking.one_sd, wrong, known),
        top_percent=_cut(ranking.top, wrong, known),
        aucec=aucec,
        optimum=1 - errors / pairs / 2,
        gain=(aucec - 0.5) / 0.5,
        spearman=spearman(scores, truth),
        curve=list(zip(x[kept].tolist(), y[kept].tolist(), strict=True)),
    )


def _cut(reported: Bools, wrong: Bools, known: Bools) -> Cut:
    reported = reported & known
    count, tp = int(reported.sum()), int((reported & wrong).sum())
    errors, pairs = int(wrong.sum()), int(known.sum())
    precision = tp / count if count else None
    return Cut(tp, count - tp, precision, tp / errors, errors / pairs, count / pairs)


def spearman(scores: Doubles, truth: Doubles) -> float | None:
    """Compute Spearman's correlation where both are known; None where either is constant."""
    from scipy.stats import spearmanr

    both = ~np.isnan(scores) & ~np.isnan(truth)
    one, other = scores[both], truth[both]
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(spearmanr(one, other).statistic)
