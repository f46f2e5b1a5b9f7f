"""Statistical tests: whether a difference of two models, or of two methods, is more than chance.

For two models on the same images: McNemar's exact test, and an exact sign-flip test if images come
in groups. For repeated retraining: Vargha and Delaney's A12 with its words (HUDD, section V-B4) and
the Mann-Whitney test.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SMALL, MEDIUM, LARGE = 0.56, 0.64, 0.71
"""Smallest A12 that Vargha and Delaney call small, medium and large."""

Effect = Literal["none", "small", "medium", "large"]


def mcnemar(repaired: int, broken: int) -> float:
    """Compute the p-value of McNemar's exact test.

    Under the null hypothesis, an image on which two models differ is equally likely repaired or
    broken.
    The p-value is that of a two-sided binomial test with probability 1/2.

    Parameters
    ----------
    repaired, broken : int
        Number of images correct only for the second model, and only for the first.
    """
    from scipy.stats import binomtest

    if repaired + broken == 0:
        return 1.0
    return float(binomtest(repaired, repaired + broken, 0.5).pvalue)


def sign_flip(changes: NDArray[np.int64]) -> float:
    """Compute the p-value of the exact sign-flip test of groups of matched pairs.

    Frames of one track are repaired or broken together, but McNemar's test treats them as
    independent images. Here a group is the unit (Obuchowski: *On the comparison of correlated
    proportions for clustered data*, Statistics in Medicine, 1998). Under the null hypothesis, the
    two models could be exchanged in any group: the change of a whole group has either sign with
    probability 1/2 (Fisher: *The Design of Experiments*, 1935, section 21). The p-value is the
    share of all choices of signs for which the sum of changes is at least as far from zero as the
    observed sum.

    The p-value is exact, not sampled: the distribution of the sum is built by adding one group
    after the other (Pagano and Tritchler, Journal of the American Statistical Association, 1983).
    If every group is one image, the test is McNemar's exact test. As there, fewer than six groups
    with a change never give a p-value below 0.05.

    Time grows at most with the square of the sum of all changes.

    Parameters
    ----------
    changes : array of int64, shape (groups,)
        For each group, the number of repaired images minus that of broken ones.
    """
    from scipy.stats import binom

    sizes, counts = np.unique(np.abs(changes[changes != 0]), return_counts=True)
    total, repaired = int(np.abs(changes).sum()), int(changes[changes > 0].sum())
    chances = np.ones(1)  # probability of each sum of the changes that have a positive sign
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        better = np.zeros(size * count + 1)
        better[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chances = np.convolve(chances, better)
    far = np.abs(2 * np.arange(total + 1) - total) >= abs(2 * repaired - total)
    return min(1.0, float(chances[far].sum()))


def a12(first: Sequence[float], second: Sequence[float]) -> float:
    """Compute Vargha and Delaney's A12: the probability that a value of `first` is the larger one.

    Ties count half.  1 means that values of `first` are always larger, 0.5 that there is no
    difference.
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    larger = (one[:, None] > other[None]).mean()
    return float(larger + 0.5 * (one[:, None] == other[None]).mean())


def effect(value: float) -> Effect:
    """Return Vargha and Delaney's word for the size of an A12, in either direction."""
    size = max(value, 1 - value)
    if size >= LARGE:
        return "large"
    if size >= MEDIUM:
        return "medium"
    return "small" if size >= SMALL else "none"


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> float:
    """Compute the two-sided p-value of the Mann-Whitney test; exact if there are no ties.

    The unit is a repeat of training, not an image: see `comparison`.

    Parameters
    ----------
    first, second : sequence of float
        Accuracies of two methods, one for each repeat.
    """
    from scipy.stats import mannwhitneyu

    values = {*first, *second}
    if len(values) == 1:
        return 1.0
    method = "exact" if len(values) == len(first) + len(second) else "asymptotic"
    return float(mannwhitneyu(first, second, alternative="two-sided", method=method).pvalue)
