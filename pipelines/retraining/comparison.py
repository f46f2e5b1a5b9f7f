"""Compare the unsafe set with other ways to choose the same number of images for labelling.

HUDD, section V-B4: the same number of labelled images is chosen by our selection, by B1 (the images
of a random subset on which the DNN is wrong), by B2 (a random subset) and by least confidence. The
DNN is retrained several times with each; everything else is equal. Duplicates bring every set to
the size of our balanced set.

The accuracies of repeats on one test set are compared. A12 and the Mann-Whitney test assume that
repeats are independent, which their seeds ensure. They assume nothing about images, so groups of
test images have no effect here. Both tests say which method is better on this test set beyond the
randomness of training, and nothing about other test sets.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Floats, Positions
from pipelines.retraining.results import Comparison, Method
from pipelines.retraining.statistics import a12, effect, mann_whitney

OURS = "our selection"
WRONG_OF_RANDOM = "B1: wrong ones of a random subset"
RANDOM = "B2: random"
LEAST_CONFIDENT = "least confidence"
NO_LABELS = "the same training without new labels"
BASELINES = (WRONG_OF_RANDOM, RANDOM, LEAST_CONFIDENT, NO_LABELS)
"""The last one uses no labels: its gain is the gain of further training alone."""
SEEDS = 1 << 32
"""Seeds must be below this number in Keras."""
DIGITS = 5


def choose_images(
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
        Number of images that may be labelled.
    wrong : array of bool, shape (n,)
        Which images the DNN gets wrong. A method may use this only for images that it labels.
    confidences : array of float32, shape (n,)
        Confidence of the DNN in its prediction, 0 to 1.

    Returns
    -------
    array of intp, shape (m,)
        Positions of images: fewer than `labels` for B1, none for `NO_LABELS`.
    """
    if method == NO_LABELS:
        return np.empty(0, dtype=np.intp)
    if method == LEAST_CONFIDENT:
        return np.argsort(confidences, kind="stable")[:labels]
    subset = rng.permutation(len(wrong))[:labels]
    return subset[wrong[subset]] if method == WRONG_OF_RANDOM else subset


def compute_confidence(shares: Floats, several: bool) -> Floats:
    """Return the confidence of a DNN in its predictions, 0 to 1.

    With one class per image, it is the share of the predicted class. With several labels, it is the
    confidence in the label of which the DNN is least sure.

    Parameters
    ----------
    shares : array of float32, shape (n, k)
        Shares or probabilities of the classes.
    several : bool
        Whether an image may have several labels.

    Returns
    -------
    array of float32, shape (n,)
    """
    sure: Floats = np.maximum(shares, 1 - shares).min(axis=1) if several else shares.max(axis=1)
    return sure


def list_methods(confidences: Floats | None) -> list[str]:
    """Return the methods to compare, our selection first.

    Least confidence is left out if the DNN predicts numbers, because it then has no confidences.
    """
    return [OURS, *(m for m in BASELINES if confidences is not None or m != LEAST_CONFIDENT)]


def compare_methods(
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
    """Retrain several times with each method of choosing images.

    Parameters
    ----------
    labels : int
        Number of images in our selection.
    wrong : array of bool, shape (n,)
        Which images of the improvement set the DNN gets wrong.
    confidences : array of float32, shape (n,), or None
        None for a DNN that predicts numbers.
    train : callable
        Takes the method, positions of the chosen images (in our selection, or in the improvement
        set) and a seed; returns the accuracy on the test set.
    repeats, seed : int
        Number of repeats, and the seed of the first one.
    earlier : dict of (str, int) to float
        Accuracies that are already known, by method and repeat; new ones are added.
    keep : callable
        Called with method, repeat and accuracy after each new training.

    Returns
    -------
    dict of str to list of float
        The accuracies of each method, our selection first.
    """
    methods = list_methods(confidences)
    accuracies: dict[str, list[float]] = {method: [] for method in methods}
    for repeat in range(repeats):
        for place, method in enumerate(methods):
            if (method, repeat) not in earlier:
                # One generator per method: an added method does not change the others.
                rng = np.random.default_rng([seed, repeat, place])
                sure = wrong.astype(np.float32) if confidences is None else confidences
                ours = np.arange(labels, dtype=np.intp)
                chosen = ours if method == OURS else choose_images(method, labels, wrong, sure, rng)
                earlier[method, repeat] = train(method, chosen, (seed + repeat) % SEEDS)
                keep(method, repeat, earlier[method, repeat])
            accuracies[method].append(earlier[method, repeat])
    return accuracies


def summarise(accuracies: dict[str, list[float]], labels: int, trained: int) -> Comparison:
    """Compare our selection with the baselines: mean, deviation, effect size and p-value.

    Parameters
    ----------
    accuracies : dict of str to list of float
        See `compare_methods`.
    labels, trained : int
        See `Comparison`.
    """
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
