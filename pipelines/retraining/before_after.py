"""Before and after: the changes by retraining, in total, by class and by root cause cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters.clusters import NOISE, RootCauseClusters
from pipelines.data.arrays import Bools
from pipelines.data.intervals import accuracy_interval
from pipelines.retraining.results import Accuracy, Change, Repair, State
from pipelines.retraining.statistics import mcnemar, sign_flip

DIGITS = 4
HALF = 0.5

GroupNumbers = NDArray[np.int64]
"""The number of each image's group, or None if images are independent."""


def measure_accuracy(correct: Bools, groups: GroupNumbers | None = None) -> Accuracy:
    """Count correct images, with Wilson's 95 % interval for the effective number of images.

    Parameters
    ----------
    correct : array of bool, shape (n,)
        Which images the model classifies correctly.
    groups : array of int64, shape (n,), optional
        If images come in groups, the interval counts as many images as are independent.
    """
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
    before: Bools, after: Bools, name: str = "", groups: GroupNumbers | None = None
) -> Change:
    """Compare two models by their correct images among the same images.

    Parameters
    ----------
    before, after : arrays of bool, shape (n,)
        Which images are correct for the model before, and for the retrained model.
    name : str
        Name of the class; empty for all images.
    groups : array of int64, shape (n,), optional
        If given, the test is `statistics.sign_flip`, otherwise `mcnemar`.
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
        groups=_count_groups(groups),
        groups_changed=_count_groups(groups, before != after),
    )


def _count_groups(groups: GroupNumbers | None, images: Bools | slice = slice(None)) -> int | None:
    """Count the groups of some images; None if images are independent."""
    return None if groups is None else len(np.unique(groups[images]))


def measure_classes(
    labels: Sequence[str], before: Bools, after: Bools, groups: GroupNumbers | None = None
) -> list[Change]:
    """Compare two models class by class, in the order of the names of classes.

    Parameters
    ----------
    labels : sequence of str, length n
        The class that each image shows.
    before, after : arrays of bool, shape (n,)
    groups : array of int64, shape (n,), optional
        See `measure_change`.
    """
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
    before: Bools,
    after: Bools,
    groups: GroupNumbers | None = None,
) -> list[Repair]:
    """Count, for each root cause cluster, how many of its failing images are now correct.

    Failing images are matched to test images by their bytes, as the run may have used copies.

    Parameters
    ----------
    names : dict of int to str
        The engineer's names of clusters.
    labelled : counter of int
        Number of images of the unsafe set used for training, by cluster.
    digests : sequence of str, length n
        Digests of the test images.
    before, after : arrays of bool, shape (n,)
        Which test images are correct for the model before, and for the retrained model.
    groups : array of int64, shape (n,), optional
        See `measure_change`.

    Returns
    -------
    list of Repair
        The largest cluster first, noise last.  Clusters without a failing image in the test set are
        left out.
    """
    cluster_of = dict(zip(clusters.digests, clusters.labels.tolist(), strict=True))
    clusters_of_images = np.array(
        [cluster_of.get(digest, NOISE - 1) for digest in digests], dtype=np.int64
    )
    repairs = []
    for cluster in np.unique(clusters.labels).tolist():
        failing = (clusters_of_images == cluster) & ~before
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
                    state=_judge_repair(accuracy),
                    groups=_count_groups(groups, failing),
                )
            )
    return sorted(
        repairs, key=lambda repair: (repair.cluster == NOISE, -repair.failing, repair.cluster)
    )


def _judge_repair(after: Accuracy) -> State:
    if after.low > HALF:
        return "repaired"
    return "not repaired" if after.high < HALF else "unclear"
