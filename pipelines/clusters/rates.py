"""Failure rates: how often images like those of a cluster fail (ISO 21448, clause 7).

Failing images alone do not show whether a shared property is a cause or simply common: if a third
of all images is dark, a third of the failing images is dark, too. The failure rate shows it. It is
the share of failing images among all images that look like those of the cluster, compared with the
same share elsewhere.

The passing images are a sample; each represents w passing images of the test set. For a given
number of images in a cluster, the number of failing ones is binomial. Its parameter q is the share
of failing images among failing and sampled passing images. Wilson's interval of q is converted to
that of the failure rate r = q / (q + w (1 - q)), as with the odds of a case-control study. If the
sample has all passing images, r is q and the interval is Wilson's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipelines.clusters.clusters import NOISE, Cells
from pipelines.data.intervals import effective_share, wilson_interval

LEVEL = 0.05
"""Significance level of the tests of all clusters together: the probability that any cluster is
called a situation by chance alone."""

ClusterKind = Literal["situation", "too few to tell", "as common", "one subject"]
SITUATION: ClusterKind = "situation"
TOO_FEW: ClusterKind = "too few to tell"
AS_COMMON: ClusterKind = "as common"
ONE_SUBJECT: ClusterKind = "one subject"
CLUSTER_KINDS = (SITUATION, TOO_FEW, AS_COMMON, ONE_SUBJECT)
"""Kinds of clusters, in the order in which they are shown: a situation that fails more often than
the rest; a cluster so small that the test would not be significant even if all of its images
failed; a cluster that is as common among passing images; a cluster whose images are all of one
group."""

Labels = NDArray[np.int32]


@dataclass(frozen=True)
class FailureRate:
    """How often images like those of one cluster fail.

    Attributes
    ----------
    failing, passing : int
        Failing images, and passing images of the sample, that belong to the cluster when it is
        computed without them.
    groups : int
        Number of groups that these images belong to.
    rate, low, high : float
        Share of failing images among the test set's images like these, 0 to 1, with 95 % interval.
    elsewhere : float
        Share of failing images among the images outside the cluster, 0 to 1.
    excess : float
        Number of failing images beyond those expected if images like these failed as often as the
        others.
    p : float
        p-value of the one-sided test that they fail more often, corrected for the number of
        clusters.
    testable : bool
        Whether the test can be significant at all: whether it would be if all these images failed.
    """

    failing: int
    passing: int
    groups: int
    rate: float
    low: float
    high: float
    elsewhere: float
    excess: float
    p: float
    testable: bool

    @property
    def is_higher(self) -> bool:
        """Whether images like these fail more often than the others, beyond chance."""
        return self.p <= LEVEL and self.rate > self.elsewhere


def correct_by_holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number (Holm, 1979), so that one level applies to all of them."""
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    stepped = np.maximum.accumulate(factors * np.asarray(p_values, dtype=np.float64)[order])
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in corrected]


def estimate_rates(
    failing: Labels,
    passing: Labels,
    weights: NDArray[np.float64],
    failing_groups: NDArray[np.int64],
    passing_groups: NDArray[np.int64],
    clusters: Sequence[int] = (),
) -> dict[int, FailureRate]:
    """Estimate how often images like those of each cluster fail.

    The test is Fisher's one-sided test of failing and passing images inside and outside the
    cluster. Passing images count by their weight, scaled to the size of the sample. If images come
    in groups, their numbers are multiplied by their independent share (`effective_share`) and
    rounded.

    A cluster is not tested if it is so small that no outcome could be significant. p-values are
    corrected (Holm) for the number of tested clusters (Tarone, Biometrics 1990).

    Time grows with the number of images times the number of clusters.

    Parameters
    ----------
    failing : array of int32, shape (n,)
        Cluster of each failing image; -1 if it is in none.
    passing : array of int32, shape (m,)
        Cluster of each passing image of the sample; -1 if it is in none. m is at least 1.
    weights : array of float64, shape (m,)
        Number of passing images of the test set that each image of the sample stands for.
    failing_groups, passing_groups : arrays of int64, shapes (n,) and (m,)
        Group of each image: failing and passing images with the same number are of one group.
    clusters : sequence of int
        The clusters to estimate; by default those that hold a failing image. A cluster that holds
        no image has no rate (nan) and is not testable.

    Returns
    -------
    dict of int to FailureRate
        By cluster.
    """
    failed = np.arange(len(failing) + len(passing)) < len(failing)
    labels = np.concatenate([failing, passing])
    groups = np.concatenate([failing_groups, passing_groups])
    clusters = clusters or [int(cluster) for cluster in np.unique(failing) if cluster != NOISE]
    shares = weights * (len(weights) / weights.sum())
    rates, p_values = {}, {}
    for cluster in clusters:
        inside, bad, good = labels == cluster, failing == cluster, passing == cluster
        independent = [effective_share(failed[side], groups[side]) for side in (inside, ~inside)]
        counts = np.rint(_contingency(bad, good, shares) * np.array(independent)[:, None])
        if _fisher(_most_failing(counts)) <= LEVEL / len(clusters):
            p_values[cluster] = _fisher(counts)
        weight = float(weights[good].mean()) if good.any() else float(weights.mean())
        held = (int(bad.sum()), int(good.sum()))
        others = (int((~bad).sum()), float(weights[~good].sum()))
        rates[cluster] = _rate(held, weight, others, independent[0], groups[inside])
    corrected = dict(zip(p_values, correct_by_holm([*p_values.values()]), strict=True))
    return {
        cluster: replace(rate, p=corrected.get(cluster, 1.0), testable=cluster in corrected)
        for cluster, rate in rates.items()
    }


def _contingency(
    bad: NDArray[np.bool_], good: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Count failing and passing images inside a cluster, then outside; passing ones by weight.

    Returns
    -------
    array of float64, shape (2, 2)
        Rows: inside, outside. Columns: failing, passing.
    """
    inside = [bad.sum(), weights[good].sum()]
    return np.array([inside, [(~bad).sum(), weights[~good].sum()]])


def _most_failing(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the table with as many failing images inside as its margins allow.

    It has the margins of `counts`, and the lowest p-value of all tables with these margins.
    """
    inside, failing = counts[0].sum(), counts[:, 0].sum()
    most = min(inside, failing)
    others = failing - most
    return np.array([[most, inside - most], [others, counts.sum() - inside - others]])


def _fisher(table: ArrayLike) -> float:
    """Compute the one-sided p-value of Fisher's exact test, of a first cell at least as large."""
    from scipy.stats import fisher_exact

    return float(fisher_exact(table, alternative="greater").pvalue)


def _rate(
    inside: tuple[int, int],
    weight: float,
    outside: tuple[int, float],
    independent: float,
    groups: NDArray[np.int64],
) -> FailureRate:
    """Return the rate of one cluster; its p-value and `testable` are set later.

    Parameters
    ----------
    inside : (int, int)
        Number of failing images, and of passing images of the sample, in the cluster.
    weight : float
        Number of passing images of the test set that each passing image inside stands for.
    outside : (int, float)
        Number of failing and passing images of the test set outside the cluster.
    independent : float
        Share of the images inside that count as independent.
    groups : array of int64
        Group of each image inside.
    """
    (bad, good), (other_bad, other_good) = inside, outside
    if not bad + good:
        return FailureRate(0, 0, 0, nan, nan, nan, nan, 0.0, 1.0, False)
    low, high = wilson_interval(bad * independent, (bad + good) * independent)
    others = other_bad + other_good
    elsewhere = other_bad / others if others else 0.0
    return FailureRate(
        failing=bad,
        passing=good,
        groups=len(np.unique(groups)),
        rate=bad / (bad + weight * good),
        low=_weighted(low, weight),
        high=_weighted(high, weight),
        elsewhere=elsewhere,
        excess=bad - elsewhere * (bad + weight * good),
        p=1.0,
        testable=False,
    )


def _weighted(share: float, weight: float) -> float:
    """Convert a share of failing images, among failing and sampled ones, to the test set."""
    return share / (share + weight * (1 - share))


def classify_clusters(
    rates: Mapping[int, FailureRate], subjects: Mapping[int, int]
) -> dict[int, ClusterKind]:
    """Classify clusters: situations, too few images to tell, as common, one subject.

    Parameters
    ----------
    rates : mapping of int to FailureRate
        By cluster.
    subjects : mapping of int to int
        Number of groups of a cluster's failing images, by cluster; empty if every image is a
        group of its own.

    Returns
    -------
    dict of int to str
        One of `CLUSTER_KINDS`, by cluster.
    """
    return {
        cluster: ONE_SUBJECT
        if subjects.get(cluster, 2) < 2
        else SITUATION
        if rate.is_higher
        else AS_COMMON
        if rate.testable
        else TOO_FEW
        for cluster, rate in rates.items()
    }


def order_clusters(rates: Mapping[int, FailureRate], kinds: Mapping[int, ClusterKind]) -> list[int]:
    """Sort clusters by kind, and those of one kind by excess failures, most first."""
    return sorted(rates, key=lambda c: (CLUSTER_KINDS.index(kinds[c]), -rates[c].excess, c))


def format_rate_cells(rates: Mapping[int, FailureRate], kinds: Mapping[int, ClusterKind]) -> Cells:
    """Return the cells of `clusters.csv` on failure rates, by cluster."""
    return {
        cluster: {
            "kind": kinds[cluster],
            "failing_images": rate.failing,
            "passing_images": rate.passing,
            **(
                {
                    "failure_rate": round(rate.rate, 4),
                    "rate_low": round(rate.low, 4),
                    "rate_high": round(rate.high, 4),
                    "rate_elsewhere": round(rate.elsewhere, 4),
                    "excess_failures": round(rate.excess, 1),
                    "p_value": float(f"{rate.p:.3g}"),
                }
                if rate.failing + rate.passing
                else {}  # no such cluster was computed while a third of the images was left out
            ),
        }
        for cluster, rate in rates.items()
    }
