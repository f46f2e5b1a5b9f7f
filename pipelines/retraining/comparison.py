"""The papers' question, answered for the user's own DNN: what is our selection worth.

HUDD, section V-B4: the same number of labelled images, chosen by our selection, by B1 (the wrong
ones of a random subset), by B2 (a random subset), and by least confidence, each retrained with
several times; training and all else is the same.  Duplicates bring every set to the size of our
balanced one.

What is compared are accuracies of repeats, on one test set that is the same for all. A12 and the
Mann-Whitney test take repeats to be independent, which their seeds make them, and not images: that
test images come in groups changes nothing here. They tell which way is better on this test set
beyond the chance of training, and say nothing of other test sets.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Floats
from pipelines.retraining.balancing import Positions
from pipelines.retraining.results import Comparison, Method
from pipelines.retraining.statistics import a12, effect, mann_whitney

OURS = "our selection"
WRONG_OF_RANDOM = "B1: wrong ones of a random subset"
RANDOM = "B2: random"
LEAST_CONFIDENT = "least confidence"
NO_LABELS = "the same training without new labels"
BASELINES = (WRONG_OF_RANDOM, RANDOM, LEAST_CONFIDENT, NO_LABELS)
"""The last one spends none: what it gains is what training on gains by itself."""
SEEDS = 1 << 32
"""Of which Keras takes one."""
DIGITS = 5


def choose(
    method: str,
    labels: int,
    wrong: NDArray[np.bool_],
    confidences: Floats,
    rng: np.random.Generator,
) -> Positions:
    """Choose images of the improvement set by a baseline.

    Parameters
    ----------
    method : str
        One of `BASELINES`.
    labels : int
        Images that may be labelled.
    wrong : array of bool, shape (n,)
        Which images the DNN gets wrong: known only of those that are labelled.
    confidences : array of float32, shape (n,)
        Of the DNN in its prediction.

    Returns
    -------
    array of intp, shape (m,)
        Positions; fewer than `labels` for B1, none without new labels.
    """
    if method == NO_LABELS:
        return np.empty(0, dtype=np.intp)
    if method == LEAST_CONFIDENT:
        return np.argsort(confidences, kind="stable")[:labels]
    subset = rng.permutation(len(wrong))[:labels]
    return subset[wrong[subset]] if method == WRONG_OF_RANDOM else subset


def confidence(shares: Floats, several: bool) -> Floats:
    """Return how sure a DNN is of its prediction, 0 to 1.

    Of one class, its share; of several labels, that of the one it is least sure of.
    """
    sure: Floats = np.maximum(shares, 1 - shares).min(axis=1) if several else shares.max(axis=1)
    return sure


def methods_of(confidences: Floats | None) -> list[str]:
    """Name what is compared, our selection first; without confidences there is no least one."""
    return [OURS, *(m for m in BASELINES if confidences is not None or m != LEAST_CONFIDENT)]


def compare(
    labels: int,
    wrong: NDArray[np.bool_],
    confidences: Floats | None,
    train: Callable[[str, Positions, int], float],
    *,
    repeats: int,
    seed: int,
    earlier: dict[tuple[str, int], float],
    keep: Callable[[str, int, float], None],
) -> dict[str, list[float]]:
    """Retrain with each way of choosing images, several times.

    Parameters
    ----------
    labels : int
        Images in our selection.
    wrong : array of bool, shape (n,)
        Which images of the improvement set the DNN gets wrong.
    confidences : array of float32, shape (n,), or None
        None where the DNN tells none: it predicts numbers.
    train : callable
        Of the method, positions of the chosen images (of our selection, or of the improvement set)
        and a seed: returns the accuracy on the test set.
    earlier : dict of (str, int) to float
        Accuracies by method and repeat that are known already.
    keep : callable
        Called with every new one.

    Returns
    -------
    dict of str to list of float
        The accuracies of each method, our selection first.
    """
    methods = methods_of(confidences)
    accuracies: dict[str, list[float]] = {method: [] for method in methods}
    for repeat in range(repeats):
        for place, method in enumerate(methods):
            if (method, repeat) not in earlier:
                # Of each method its own, so that one that is added changes none of the others.
                rng = np.random.default_rng([seed, repeat, place])
                sure = wrong.astype(np.float32) if confidences is None else confidences
                ours = np.arange(labels, dtype=np.intp)
                chosen = ours if method == OURS else choose(method, labels, wrong, sure, rng)
                earlier[method, repeat] = train(method, chosen, (seed + repeat) % SEEDS)
                keep(method, repeat, earlier[method, repeat])
            accuracies[method].append(earlier[method, repeat])
    return accuracies


def summarise(accuracies: dict[str, list[float]], labels: int, trained: int) -> Comparison:
    """Compare our selection with the baselines: spread, effect size, chance."""
    ours = accuracies[OURS]
    methods = []
    for name, values in accuracies.items():
        enough = name != OURS and len(values) > 1
        size = a12(ours, values) if enough else None
        methods.append(
            Method(
                name=name,
                accuracies=[round(value, DIGITS) for value in values],
                mean=round(float(np.mean(values)), DIGITS),
                deviation=round(float(np.std(values, ddof=1)), DIGITS) if len(values) > 1 else 0.0,
                a12=None if size is None else round(size, 3),
                effect="" if size is None else effect(size),
                p=float(f"{mann_whitney(ours, values):.3g}") if enough else None,
            )
        )
    others = [method for method in methods[1:] if method.name != NO_LABELS] or methods[1:]
    best = max(others, key=lambda method: method.mean)
    without = next((method for method in methods if method.name == NO_LABELS), None)
    return Comparison(
        labels=labels,
        trained=trained,
        repeats=len(ours),
        methods=methods,
        best_baseline=best.name,
        difference=round(methods[0].mean - best.mean, DIGITS),
        added=None if without is None else round(methods[0].mean - without.mean, DIGITS),
    )
