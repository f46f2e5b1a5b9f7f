"""How often images like those of a cluster fail, beside all others (ISO 21448, clause 7).

A cluster of failing images alone cannot tell a cause from what is common: where a third of all
images is dark, so is a third of the failing ones. What tells is the share that fails of all images
that look like the cluster's, failing and passing, and whether it is higher than elsewhere.

Passing images are a sample. Given how many images of either kind a cluster holds, the number of
failing ones is binomial with the share q of failing ones in failing images and sample; Wilson's
interval of q turns into one of the failure rate r = q / (q + w (1 - q)), where w passing images of
the test set stand behind each of the sample (the odds of a case-control study). Where all passing
images are in the sample, r is q and the interval is Wilson's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipelines.clusters.clusters import NOISE, Cells
from pipelines.data.intervals import effective_share, wilson_interval

LEVEL = 0.05
"""Of the tests of all clusters together: more often than this, no chance finding is called one."""

ClusterKind = Literal["situation", "too few to tell", "as common", "one subject"]
SITUATION: ClusterKind = "situation"
TOO_FEW: ClusterKind = "too few to tell"
AS_COMMON: ClusterKind = "as common"
ONE_SUBJECT: ClusterKind = "one subject"
CLUSTER_KINDS = (SITUATION, TOO_FEW, AS_COMMON, ONE_SUBJECT)
"""What a cluster is: a situation that fails more often than the rest; one of so few images that no
test could tell, if every one of them failed; one that is as common among passing images; images of
one group alone."""

Labels = NDArray[np.int32]


@dataclass(frozen=True)
class FailureRate:
    """How often images like those of one cluster fail.

    Attributes
    ----------
    failing, passing : int
        Images of either kind that the cluster holds, found without them; passing ones of the
        sample.
    groups : int
        Groups that these images are of.
    rate, low, high : float
        Share that fails, of all images of the test set like these, with its 95 % interval.
    elsewhere : float
        Share that fails of all images that the cluster does not hold.
    excess : float
        Failing images above those that there would be if these failed as often as the others.
    p : float
        Of the one-sided test that they fail more often, corrected for the number of clusters.
    testable : bool
        Whether the test could tell at all: whether it would, had all of these images failed.
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
        """Whether they fail more often than the others, beyond chance."""
        return self.p <= LEVEL and self.rate > self.elsewhere


def correct_by_holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number (Holm, 1979): they may then be compared with one level."""
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

    The test is Fisher's, one-sided, of failing and passing images inside and outside the cluster,
    passing ones by their weight (scaled to the size of the sample). Where images come in groups,
    all numbers of images count as their independent share (`effective_share`), rounded for the
    test. Of a cluster that is too small no outcome could be told from chance; it is not tested, and
    p-values are corrected (Holm) for the number of those that are (Tarone, Biometrics 1990).

    Time grows with the number of images times that of clusters.

    Parameters
    ----------
    failing : array of int32, shape (n,)
        Cluster of each failing image; -1 is none.
    passing : array of int32, shape (m,)
        Cluster of each passing image of the sample, at least one; -1 is none.
    weights : array of float64, shape (m,)
        Passing images of the test set that each of the sample stands for.
    failing_groups, passing_groups : arrays of int64, shapes (n,) and (m,)
        Images with the same number are of one group, be they failing or passing.
    clusters : sequence of int
        To be told of; by default those that a failing image is in. One that holds no image at all
        has no rate (nan), and is not testable.

    Returns
    -------
    dict
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
        table, others = _contingency(bad, good, np.ones_like(passing)), float(weights[~good].sum())
        rates[cluster] = _rate(table, weight, others, independent[0], groups[inside])
    corrected = dict(zip(p_values, correct_by_holm([*p_values.values()]), strict=True))
    return {
        cluster: replace(rate, p=corrected.get(cluster, 1.0), testable=cluster in corrected)
        for cluster, rate in rates.items()
    }


def _contingency(
    bad: NDArray[np.bool_], good: NDArray[np.bool_], weights: NDArray[Any]
) -> NDArray[Any]:
    """Count failing and passing images inside a cluster, then outside; passing ones by weight."""
    inside = [bad.sum(), weights[good].sum()]
    return np.array([inside, [(~bad).sum(), weights[~good].sum()]])


def _most_failing(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the table that would be, had as many of the images inside failed as can be.

    Its margins are those of `counts`: of all tables that Fisher's test compares, this one speaks
    most clearly.
    """
    inside, failing = counts[0].sum(), counts[:, 0].sum()
    most = min(inside, failing)
    others = failing - most
    return np.array([[most, inside - most], [others, counts.sum() - inside - others]])


def _fisher(table: ArrayLike) -> float:
    """Compute the one-sided p-value of Fisher's exact test: the first cell is not larger."""
    from scipy.stats import fisher_exact

    return float(fisher_exact(table, alternative="greater").pvalue)


def _rate(
    table: NDArray[np.int64],
    weight: float,
    other_passing: float,
    independent: float,
    groups: NDArray[np.int64],
) -> FailureRate:
    """Return the rate of one cluster, its p-value left open.

    Parameters
    ----------
    table : array of int64, shape (2, 2)
        Failing and passing images inside, then outside.
    weight : float
        Passing images of the test set behind each of those inside.
    other_passing : float
        Passing images of the test set outside.
    independent : float
        Share of the images inside that count as independent.
    groups : array of int64
        Of the images inside.
    """
    (bad, good), (other_bad, _) = table.tolist()
    if not bad + good:
        return FailureRate(0, 0, 0, nan, nan, nan, nan, 0.0, 1.0, False)
    low, high = wilson_interval(bad * independent, (bad + good) * independent)
    outside = other_bad + other_passing
    elsewhere = other_bad / outside if outside else 0.0
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
    """Turn a share in failing images and sample into one in the test set."""
    return share / (share + weight * (1 - share))


def classify_clusters(
    rates: Mapping[int, FailureRate], subjects: Mapping[int, int]
) -> dict[int, ClusterKind]:
    """Tell causes from what is common, and from one subject.

    Parameters
    ----------
    rates : mapping
        By cluster.
    subjects : mapping of int to int
        Groups that a cluster's failing images are of, by cluster; empty where each image is a
        group of its own.
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
    """Return the clusters as they are shown: situations first, by falling excess of failures."""
    return sorted(rates, key=lambda c: (CLUSTER_KINDS.index(kinds[c]), -rates[c].excess, c))


def format_rate_cells(rates: Mapping[int, FailureRate], kinds: Mapping[int, ClusterKind]) -> Cells:
    """Return what `clusters.csv` says of failure rates, by cluster."""
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
                else {}  # found without a third of the images, there was no such cluster
            ),
        }
        for cluster, rate in rates.items()
    }
