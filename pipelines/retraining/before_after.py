"""Before and after: what retraining changed, in all, by class and by root cause cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters.clusters import NOISE, RootCauseClusters
from pipelines.data.intervals import accuracy_interval
from pipelines.retraining.results import Accuracy, Change, Repair, State
from pipelines.retraining.statistics import mcnemar, sign_flip

DIGITS = 4
HALF = 0.5

Booleans = NDArray[np.bool_]
Numbers = NDArray[np.int64]
"""The group of each image; None in its place where every image is by itself."""


def measure_accuracy(correct: Booleans, groups: Numbers | None = None) -> Accuracy:
    """Count what is right, with Wilson's 95 % interval, of as many images as are independent."""
    images, right = len(correct), int(correct.sum())
    low, high = accuracy_interval(correct, groups) if images else (0.0, 1.0)
    return Accuracy(
        images=images,
        right=right,
        share=round(right / max(images, 1), DIGITS),
        low=round(low, DIGITS),
        high=round(high, DIGITS),
    )


def measure_change(
    before: Booleans, after: Booleans, name: str = "", groups: Numbers | None = None
) -> Change:
    """Compare what two models get right of the same images.

    Parameters
    ----------
    before, after : arrays of bool, shape (n,)
        Which images each gets right.
    groups : array of int64, shape (n,), optional
        Where images come in groups, the test is `statistics.sign_flip`, else `mcnemar`.
    """
    repaired, broken = int((~before & after).sum()), int((before & ~after).sum())
    p = mcnemar(repaired, broken)
    if groups is not None:
        _, places = np.unique(groups, return_inverse=True)
        changes = np.bincount(places, after) - np.bincount(places, before)
        p = sign_flip(np.rint(changes).astype(np.int64))
    return Change(
        name=name,
        before=measure_accuracy(before, groups),
        after=measure_accuracy(after, groups),
        repaired=repaired,
        broken=broken,
        p=float(f"{p:.4g}"),
        groups=_count(groups),
        groups_changed=_count(groups, before != after),
    )


def _count(groups: Numbers | None, images: Booleans | slice = slice(None)) -> int | None:
    """Count the groups that images are of; None where every image is by itself."""
    return None if groups is None else len(np.unique(groups[images]))


def measure_classes(
    labels: Sequence[str], before: Booleans, after: Booleans, groups: Numbers | None = None
) -> list[Change]:
    """Compare two models class by class, in the order of the names."""
    names = np.array(labels, dtype=np.str_)
    changes = []
    for name in np.unique(names):
        inside = names == name
        own = None if groups is None else groups[inside]
        changes.append(measure_change(before[inside], after[inside], str(name), own))
    return changes


def measure_repairs(
    clusters: RootCauseClusters,
    names: dict[int, str],
    labelled: Counter[int],
    digests: Sequence[str],
    before: Booleans,
    after: Booleans,
    groups: Numbers | None = None,
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
    groups : array of int64, shape (n,), optional

    Returns
    -------
    list of Repair
        The largest first, noise last; without clusters that have no failing image in the test set.
    """
    of = dict(zip(clusters.digests, clusters.labels.tolist(), strict=True))
    where = np.array([of.get(digest, NOISE - 1) for digest in digests], dtype=np.int64)
    repairs = []
    for cluster in np.unique(clusters.labels).tolist():
        failing = (where == cluster) & ~before
        now = after[failing]
        if len(now):
            accuracy = measure_accuracy(now, None if groups is None else groups[failing])
            repairs.append(
                Repair(
                    cluster=cluster,
                    name=names.get(cluster, ""),
                    failing=len(now),
                    after=accuracy,
                    labelled=labelled[cluster],
                    state=_state(accuracy),
                    groups=_count(groups, failing),
                )
            )
    return sorted(repairs, key=lambda each: (each.cluster == NOISE, -each.failing, each.cluster))


def _state(after: Accuracy) -> State:
    if after.low > HALF:
        return "repaired"
    return "not repaired" if after.high < HALF else "unclear"
