"""Check whether failing and passing images differ as a whole, for example by camera or format.

If they do, every failing image differs from the passing ones, independently of its cause, and no
cluster shows a cause. The check is a classifier on the features of the shallowest layer, which
respond to colour and grain. It is tested on the images of a cluster on which it was not trained:
causes differ from cluster to cluster, but a camera is the same in all of them.
"""

from __future__ import annotations

import numpy as np

from pipelines.data.arrays import Floats
from pipelines.safe.dbscan import Labels

ALIKE_EVERYWHERE = 0.95
"""Balanced accuracy from which the two sets count as different as a whole."""
FEWEST = 5
"""Smallest number of images of a cluster, or of noise, on which the classifier is tested."""


def measure_separability(
    failing: Floats, passing: Floats, labels: Labels, *, seed: int
) -> float | None:
    """Measure how well failing images of unseen clusters can be told from passing images.

    For each cluster (and for noise), a logistic regression is trained on the failing images outside
    the cluster and on half of the passing images, and tested on the cluster's images and on the
    other half.

    Time grows with the number of clusters times the number of images.

    Parameters
    ----------
    failing, passing : arrays of float32, shapes (n, d) and (m, d)
        Features of the shallowest layer.
    labels : array of int32, shape (n,)
        Cluster of each failing image; -1 is noise.
    seed : int
        Seed of the halves.

    Returns
    -------
    float or None
        Balanced accuracy, 0 to 1, averaged over clusters weighted by their images. None if there
        are fewer than two clusters or too few passing images.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    counted = zip(*np.unique(labels, return_counts=True), strict=True)
    kinds = [kind for kind, size in counted if size >= FEWEST]
    if len(kinds) < 2 or len(passing) < 2 * FEWEST:
        return None
    half = np.random.default_rng(seed).permutation(len(passing)) < len(passing) // 2
    accuracies, sizes = [], []
    for kind in kinds:
        inside = labels == kind
        points = np.concatenate([failing[~inside], passing[half]])
        failed = np.arange(len(points)) < int((~inside).sum())
        model = make_pipeline(
            StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=200)
        ).fit(np.log1p(points), failed)
        sensitivity = model.predict(np.log1p(failing[inside])).mean()
        specificity = 1 - model.predict(np.log1p(passing[~half])).mean()
        accuracies.append((sensitivity + specificity) / 2)
        sizes.append(int(inside.sum()))
    return float(np.average(accuracies, weights=sizes))


def describe_cameras(accuracy: float | None) -> list[str]:
    """Return a note if failing and passing images differ as a whole, otherwise no note.

    Parameters
    ----------
    accuracy : float or None
        The result of `measure_separability`.
    """
    if accuracy is None or accuracy < ALIKE_EVERYWHERE:
        return []
    return [
        f"Failing and passing images differ as a whole: {100 * accuracy:.0f} % of them can be "
        "distinguished by colour and grain alone, in every cluster. Check that all of them have "
        "the same camera, size and file format. If they do not, the clusters show that difference "
        "instead of causes: use passing images of the same test."
    ]
