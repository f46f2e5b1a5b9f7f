"""Whether a difference is more than chance: of two models on the same images, and of repeats.

McNemar's exact test for the images that one model gets right and the other wrong, and its like for
images that come in groups; Vargha and Delaney's A12 with its words (HUDD, section V-B4) and the
Mann-Whitney test for repeated retraining.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SMALL, MEDIUM, LARGE = 0.56, 0.64, 0.71
"""A12 from which Vargha and Delaney call a difference small, medium and large."""

Effect = Literal["none", "small", "medium", "large"]


def mcnemar(repaired: int, broken: int) -> float:
    """Compute the p-value of McNemar's exact test.

    Under the null hypothesis an image on which two models differ is as likely repaired as broken:
    the p-value is two-sided, of a binomial distribution with probability 1/2.

    Parameters
    ----------
    repaired, broken : int
        Images that the second model alone, and the first alone, gets right.
    """
    from scipy.stats import binomtest

    if repaired + broken == 0:
        return 1.0
    return float(binomtest(repaired, repaired + broken, 0.5).pvalue)


def sign_flip(changes: NDArray[np.int64]) -> float:
    """Compute the p-value of the exact sign-flip test of groups of matched pairs.

    Frames of one track are repaired, or broken, together: McNemar's test takes them for as many
    independent images. Here a group is the unit (Obuchowski: *On the comparison of correlated
    proportions for clustered data*, Statistics in Medicine, 1998). Under the null hypothesis the
    two models could be exchanged in any group, so that its change has either sign with probability
    1/2 (Fisher: *The Design of Experiments*, 1935, section 21), and as a whole. The p-value is the
    share of all ways to choose the signs whose sum is as far from zero as the one that was seen, or
    farther. It is exact, and not drawn: the distribution of the sum is built size by size (Pagano
    and Tritchler, Journal of the American Statistical Association, 1983). Where every group is one
    image, it is McNemar's exact test. As there, fewer than six groups that changed never give a
    p-value below 0.05.

    Time grows at most with the square of the sum of sizes.

    Parameters
    ----------
    changes : array of int64, shape (groups,)
        Of each group, the images that were repaired less those that were broken.
    """
    from scipy.stats import binom

    sizes, counts = np.unique(np.abs(changes[changes != 0]), return_counts=True)
    total, repaired = int(np.abs(changes).sum()), int(changes[changes > 0].sum())
    chances = np.ones(1)  # of the images in groups that changed for the better, from 0 on
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        better = np.zeros(size * count + 1)
        better[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chances = np.convolve(chances, better)
    far = np.abs(2 * np.arange(total + 1) - total) >= abs(2 * repaired - total)
    return min(1.0, float(chances[far].sum()))


def a12(first: Sequence[float], second: Sequence[float]) -> float:
    """Compute Vargha and Delaney's A12: how likely a value of the first is the larger one.

    Ties count half.  1 means always, 0.5 that there is no difference.
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    larger = (one[:, None] > other[None]).mean()
    return float(larger + 0.5 * (one[:, None] == other[None]).mean())


def effect(value: float) -> Effect:
    """Say in Vargha and Delaney's words how large an A12 is, in either direction."""
    size = max(value, 1 - value)
    if size >= LARGE:
        return "large"
    if size >= MEDIUM:
        return "medium"
    return "small" if size >= SMALL else "none"


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> float:
    """Compute the two-sided p-value of the Mann-Whitney test; exact where there are no ties.

    The unit is a repeat of training, and not an image: see `comparison`.
    """
    from scipy.stats import mannwhitneyu

    values = {*first, *second}
    if len(values) == 1:
        return 1.0
    method = "exact" if len(values) == len(first) + len(second) else "asymptotic"
    return float(mannwhitneyu(first, second, alternative="two-sided", method=method).pvalue)
