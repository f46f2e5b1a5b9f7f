"""Whether failing and passing images differ as a whole: another camera, another way of saving.

Then everything about failing images is "unlike passing ones", and no cluster is to blame. What
tells is what the shallowest layer sees, of images whose own cluster was left out: causes differ
from one another, a camera is the same in all of them.
"""

from __future__ import annotations

import numpy as np

from pipelines.data.arrays import Floats
from pipelines.safe.dbscan import Labels

ALIKE_EVERYWHERE = 0.95
"""Balanced accuracy from which on the two sets are said to differ as a whole."""
FEWEST = 5
"""Images of a cluster, and of noise, that are told apart by themselves."""


def measure_separability(
    failing: Floats, passing: Floats, labels: Labels, *, seed: int
) -> float | None:
    """Tell failing from passing images of which nothing like them was learned from.

    Of each cluster (and of noise), a logistic regression that has seen the other failing images and
    half of the passing ones tells this cluster's images from the other half.

    Time grows with the number of clusters times that of images.

    Parameters
    ----------
    failing, passing : arrays of float32, shapes (n, d) and (m, d)
        Features of the shallowest layer.
    labels : array of int32, shape (n,)
        Cluster of each failing image; -1 is noise.
    seed : int
        Of the halves.

    Returns
    -------
    float or None
        Balanced accuracy, 0 to 1, mean over clusters weighted by their images; None where there are
        no two clusters to learn from and to tell.
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
        found = model.predict(np.log1p(failing[inside])).mean()
        spared = 1 - model.predict(np.log1p(passing[~half])).mean()
        accuracies.append((found + spared) / 2)
        sizes.append(int(inside.sum()))
    return float(np.average(accuracies, weights=sizes))


def describe_cameras(accuracy: float | None) -> list[str]:
    """Say so where failing and passing images differ as a whole."""
    if accuracy is None or accuracy < ALIKE_EVERYWHERE:
        return []
    return [
        f"Failing and passing images differ as a whole ({100 * accuracy:.0f} % are told apart by "
        "colour and grain alone, whatever their cluster): are they of one camera, size and way of "
        "saving? If not, the clusters show that difference. Take passing images of the same test."
    ]
