"""A score of new images: how much more they resemble failing images than passing ones.

Without passing images, the failing images are compared with the other new images.

The papers rank new images only by their distance to a cluster. But if most images lie near the
failing ones, most of those are safe. The ratio of the densities, p(x | failing) / p(x), orders
images by their probability of failing (Elkan and Noto: *Learning classifiers from only positive and
unlabeled data*, KDD 2008). A classifier estimates it: it separates the failing images from the
unlabelled images of the improvement set.
`benchmarks/selection.py` compares both rankings.
"""

from __future__ import annotations

import numpy as np

from pipelines.data.arrays import Floats

FOLDS = 5
REPEATS = 3
MAX_IMAGES = 4000
"""Largest number of images of either kind for the training of a classifier."""
MIN_IMAGES = 20
"""With fewer images of either kind, no classifier is trained."""


def contrast(new: Floats, failing: Floats, *, seed: int, passing: Floats | None = None) -> Floats:
    """Score new images; a larger score means more like failing images.

    The scores are decision values of support vector machines with Gaussian kernels of
    scikit-learn's default width and balanced classes. With passing images, one machine separates
    them from the failing images, and scores all new images. Without them, machines separate the
    failing images from new images; the score of a new image is the mean of three machines that
    were not trained with it (5-fold cross-validation, repeated three times). Time and memory grow
    linearly with the number of new images.

    Parameters
    ----------
    new : array of float32, shape (n, d)
        Features of the improvement set.
    failing : array of float32, shape (m, d)
        Features of the failing images, in the same space.
    seed : int
        Seed of the folds, and of the choice of training images if there are more than 4000.
    passing : array of float32, shape (k, d), optional
        Features of passing images; they are ignored when there are fewer than 20.

    Returns
    -------
    array of float32, shape (n,)
        Zeros when there are fewer than 20 new or 20 failing images.
    """
    from sklearn.svm import SVC

    if passing is not None and min(len(passing), len(failing)) >= MIN_IMAGES:
        rng = np.random.default_rng(seed)
        parts = [part[rng.permutation(len(part))[:MAX_IMAGES]] for part in (failing, passing)]
        kinds = np.arange(sum(map(len, parts))) < len(parts[0])
        machine = SVC(class_weight="balanced").fit(np.concatenate(parts), kinds)
        return np.asarray(machine.decision_function(new), dtype=np.float32)
    scores = np.zeros(len(new), dtype=np.float64)
    if min(len(new), len(failing)) < MIN_IMAGES:
        return scores.astype(np.float32)
    rng = np.random.default_rng(seed)
    for _ in range(REPEATS):
        folds = np.array_split(rng.permutation(len(new)), FOLDS)
        for place, fold in enumerate(folds):
            others = np.concatenate(folds[:place] + folds[place + 1 :])[:MAX_IMAGES]
            known = rng.permutation(len(failing))[:MAX_IMAGES]
            points = np.concatenate([failing[known], new[others]])
            kinds = np.arange(len(points)) < len(known)
            machine = SVC(class_weight="balanced").fit(points, kinds)
            scores[fold] += machine.decision_function(new[fold]) / REPEATS
    return scores.astype(np.float32)
