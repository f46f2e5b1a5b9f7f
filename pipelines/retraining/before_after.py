"""Before and after: what retraining changed, in all, by class and by root cause cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters import NOISE, RootCauseClusters
from pipelines.retrained import Accuracy, Change, Repair, State
from pipelines.retraining.statistics import mcnemar
from pipelines.testing import accuracy_interval

DIGITS = 4
HALF = 0.5

Booleans = NDArray[np.bool_]


def measure_accuracy(correct: Booleans) -> Accuracy:
    """Count what is right, with Wilson's 95 % interval."""
    images, right = len(correct), int(correct.sum())
    low, high = accuracy_interval(right, images) if images else (0.0, 1.0)
    return Accuracy(
        images=images,
        right=right,
        share=round(right / max(images, 1), DIGITS),
        low=round(low, DIGITS),
        high=round(high, DIGITS),
    )


def measure_change(before: Booleans, after: Booleans, name: str = "") -> Change:
    """Compare what two models get right of the same images.

    Parameters
    ----------
    before, after : arrays of bool, shape (n,)
        Which images each gets right.
    """
    repaired, broken = int((~before & after).sum()), int((before & ~after).sum())
    return Change(
        name=name,
        before=measure_accuracy(before),
        after=measure_accuracy(after),
        repaired=repaired,
        broken=broken,
        p=float(f"{mcnemar(repaired, broken):.4g}"),
    )


def measure_classes(labels: Sequence[str], before: Booleans, after: Booleans) -> list[Change]:
    """Compare two models class by class, in the order of the names."""
    names = np.array(labels, dtype=np.str_)
    return [
        measure_change(before[names == name], after[names == name], str(name))
        for name in np.unique(names)
    ]


def measure_repairs(
    clusters: RootCauseClusters,
    names: dict[int, str],
    labelled: Counter[int],
    digests: Sequence[str],
    before: Booleans,
    after: Booleans,
) -> list[Repair]:
    """Tell, for each root cause cluster, how many of its failing images are right now.

    Failing images are found in the test set by their bytes: the run may be on copies of them.

    Parameters
    ----------
    names : dict of int to str
        What the engineer called the clusters.
    labelled : counter of int
        Images that were trained with, by cluster.
    digests : sequence of str, length n
        Of the test images.
    before, after : arrays of bool, shape (n,)

    Returns
    -------
    list of Repair
        The largest first, noise last; without clusters that have no failing image in the test set.
    """
    of = dict(zip(clusters.digests, clusters.labels.tolist(), strict=True))
    where = np.array([of.get(digest, NOISE - 1) for digest in digests], dtype=np.int64)
    repairs = []
    for cluster in np.unique(clusters.labels).tolist():
        now = after[(where == cluster) & ~before]
        if len(now):
            accuracy = measure_accuracy(now)
            repairs.append(
                Repair(
                    cluster=cluster,
                    name=names.get(cluster, ""),
                    failing=len(now),
                    after=accuracy,
                    labelled=labelled[cluster],
                    state=_state(accuracy),
                )
            )
    return sorted(repairs, key=lambda each: (each.cluster == NOISE, -each.failing, each.cluster))


def _state(after: Accuracy) -> State:
    if after.low > HALF:
        return "repaired"
    return "not repaired" if after.high < HALF else "unclear"
