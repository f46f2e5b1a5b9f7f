"""Whether a difference is more than chance: of two models on the same images, and of repeats.

McNemar's exact test for the images that one model gets right and the other wrong; Vargha and
Delaney's A12 with its words (HUDD, section V-B4) and the Mann-Whitney test for repeated retraining.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

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
    """Compute the two-sided p-value of the Mann-Whitney test; exact where there are no ties."""
    from scipy.stats import mannwhitneyu

    values = {*first, *second}
    if len(values) == 1:
        return 1.0
    method = "exact" if len(values) == len(first) + len(second) else "asymptotic"
    return float(mannwhitneyu(first, second, alternative="two-sided", method=method).pvalue)
