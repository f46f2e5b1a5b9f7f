"""How much more a new image looks like the failing ones than like those that pass.

Where there are no passing images, than like the other new ones.

Not in the papers, which take the distance to a cluster alone: where failing images are common, so
are safe ones, if that is where most images are.  What tells is the ratio of the two densities,
p(x | failing) / p(x), which orders images as the probability of failing does (Elkan and Noto:
*Learning classifiers from only positive and unlabeled data*, KDD 2008).  It is estimated by a
classifier that tells failing images from images of the improvement set, all unlabelled.
`benchmarks/selection.py` compares both.
"""

from __future__ import annotations

import numpy as np

from pipelines.data.arrays import Floats

FOLDS = 5
REPEATS = 3
MOST_OTHERS = 4000
"""Images of the improvement set that a classifier learns from, and at most as many failing ones."""
FEWEST = 20
"""Images of either kind below which nothing can be told."""


def contrast(new: Floats, failing: Floats, *, seed: int, passing: Floats | None = None) -> Floats:
    """Score new images: the larger, the more like failing ones than like passing or other new ones.

    With passing images, one machine tells them from the failing ones, and scores every new image.

    Support vector machines with Gaussian kernels, of scikit-learn's default width and both kinds
    weighed alike; every new image is scored by machines that did not learn from it (5-fold cross
    validation, three times, the mean).  Time and memory grow linearly with the number of new
    images.

    Parameters
    ----------
    new : array of float32, shape (n, d)
        Features of the improvement set.
    failing : array of float32, shape (m, d)
        Features of the failing images, in the same space.
    seed : int
        Of the folds, and of the images that a machine learns from where there are very many.
    passing : array of float32, shape (k, d), optional
        Features of passing images; fewer than 20 are left out.

    Returns
    -------
    array of float32, shape (n,)
        Zeros where there are less than 20 of either.
    """
    from sklearn.svm import SVC

    if passing is not None and min(len(passing), len(failing)) >= FEWEST:
        rng = np.random.default_rng(seed)
        parts = [part[rng.permutation(len(part))[:MOST_OTHERS]] for part in (failing, passing)]
        kinds = np.arange(sum(map(len, parts))) < len(parts[0])
        machine = SVC(class_weight="balanced").fit(np.concatenate(parts), kinds)
        return np.asarray(machine.decision_function(new), dtype=np.float32)
    scores = np.zeros(len(new), dtype=np.float64)
    if min(len(new), len(failing)) < FEWEST:
        return scores.astype(np.float32)
    rng = np.random.default_rng(seed)
    for _ in range(REPEATS):
        folds = np.array_split(rng.permutation(len(new)), FOLDS)
        for place, fold in enumerate(folds):
            others = np.concatenate(folds[:place] + folds[place + 1 :])[:MOST_OTHERS]
            known = rng.permutation(len(failing))[:MOST_OTHERS]
            points = np.concatenate([failing[known], new[others]])
            kinds = np.arange(len(points)) < len(known)
            machine = SVC(class_weight="balanced").fit(points, kinds)
            scores[fold] += machine.decision_function(new[fold]) / REPEATS
    return scores.astype(np.float32)
