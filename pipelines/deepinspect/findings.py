"""Rankings of pairs of classes from their distances, and their evaluation with labels, if any.

DeepInspect, sections III and IV.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Bools, Doubles
from pipelines.deepinspect.bias import LEAST, Bias, average_bias
from pipelines.deepinspect.confusion import known_classes, order_by_similarity, place_classes
from pipelines.deepinspect.evaluation import (
    Evaluation,
    average_disparity,
    evaluate_ranking,
    true_errors,
    type1_confusion,
    type2_confusion,
)
from pipelines.deepinspect.ranking import Ranking, pairs_of, rank_pairs

Kind = Literal["confusion", "bias"]


@dataclass(frozen=True)
class Findings:
    """Pairs of classes ranked by the activations of neurons, without labels.

    Attributes
    ----------
    names : tuple of str, length k
    distances : array of float64, shape (k, k)
        NAPVD; NaN for pairs with a class that is never predicted.
    bias : Bias or None
        None if fewer than three classes have distances.
    scores : dict of str to array of float64, shape (pairs,)
        "confusion" has NAPVD; "bias", if it is defined, has the average bias.
    rankings : dict of str to Ranking
        By "confusion" and "bias".
    order : array of int, shape (k,)
        Positions of the classes in an order with similar classes side by side.
    places : array of float64, shape (k, 2)
        Coordinates of the classes on a map.
    """

    names: tuple[str, ...]
    distances: Doubles
    bias: Bias | None
    scores: dict[Kind, Doubles]
    rankings: dict[Kind, Ranking]
    order: NDArray[np.intp]
    places: Doubles


@dataclass(frozen=True)
class Truths:
    """The ground truth of pairs of classes: how often the DNN errs on labelled images.

    Attributes
    ----------
    several : bool
        Whether an image may have several labels: confusions are then of Type 2, otherwise of Type
        1.
    values : dict of str to array of float64, shape (pairs,)
        "confusion" has the Type 1 or Type 2 confusion, "bias" the average confusion disparity.
    errors : dict of str to array of bool, shape (pairs,)
        Which pairs are true errors, by "confusion" and "bias".
    evaluations : dict of str to Evaluation or None
        None if no pair is a true error.
    images : dict of (int, int) to list of int
        Positions of the images that are confused between the two classes of each pair.
    """

    several: bool
    values: dict[Kind, Doubles]
    errors: dict[Kind, Bools]
    evaluations: dict[Kind, Evaluation | None]
    images: dict[tuple[int, int], list[int]]


def find_pairs(names: tuple[str, ...], distances: Doubles, top_percent: float) -> Findings:
    """Rank all pairs of classes by confusion and by bias.

    Time grows with the cube of the number of classes, memory with its square.

    Parameters
    ----------
    names : tuple of str, length k
    distances : array of float64, shape (k, k)
        NAPVD; NaN for pairs with a class that is never predicted.
    top_percent : float
        Share of the pairs that is reported as the top, in percent.
    """
    pairs = pairs_of(len(names))
    bias = average_bias(distances) if len(known_classes(distances)) >= LEAST else None
    scores: dict[Kind, Doubles] = {"confusion": distances[pairs]}
    if bias is not None:
        scores["bias"] = bias.average[pairs]
    rankings = {
        kind: rank_pairs(values, lowest_first=kind == "confusion", top_percent=top_percent)
        for kind, values in scores.items()
    }
    order, places = order_by_similarity(distances), place_classes(distances)
    return Findings(names, distances, bias, scores, rankings, order, places)


def find_truths(
    findings: Findings,
    truth: Bools,
    predicted: Bools,
    *,
    several: bool,
    labelled: Bools | None = None,
) -> Truths:
    """Compare the reported pairs with the errors of the DNN on labelled images (section IV-B).

    Time grows linearly with the number of images, and with the cube of the number of classes.

    Parameters
    ----------
    truth, predicted : array of bool, shape (n, k)
        Which classes each image shows, and which are predicted for it.
    several : bool
        Whether an image may have several labels.
    labelled : array of bool, shape (n,), optional
        Which images have labels; the others are left out.  All if None.
    """
    pairs = pairs_of(len(findings.names))
    positions = np.arange(len(truth)) if labelled is None else np.flatnonzero(labelled)
    truth, predicted = truth[positions], predicted[positions]
    confusions = (type2_confusion if several else type1_confusion)(truth, predicted)
    values: dict[Kind, Doubles] = {"confusion": confusions[pairs]}
    if "bias" in findings.scores and len(known_classes(confusions)) >= LEAST:
        values["bias"] = average_disparity(confusions)[pairs]
    images: dict[tuple[int, int], list[int]] = {}
    for image, pair in _confusions(truth, predicted, several):
        images.setdefault(pair, []).append(int(positions[image]))
    return Truths(
        several=several,
        values=values,
        errors={
            kind: true_errors(pair_values)
            if (~np.isnan(pair_values)).any()
            else np.zeros(len(pair_values), np.bool_)
            for kind, pair_values in values.items()
        },
        evaluations={
            kind: evaluate_ranking(findings.scores[kind], pair_values, findings.rankings[kind])
            for kind, pair_values in values.items()
        },
        images=images,
    )


def _confusions(
    truth: Bools, predicted: Bools, several: bool
) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield the position of each confused image, once for each pair of confused classes.

    If an image has one class, the pair is the class it shows and the predicted one. If it may have
    several, the pair is two predicted classes of which it shows only one.
    """
    for image in np.flatnonzero((truth != predicted).any(axis=1)).tolist():
        labels, predictions = truth[image], predicted[image]
        shown = np.flatnonzero(labels & predictions if several else labels).tolist()
        wrong = np.flatnonzero(~labels & predictions).tolist()
        for one, other in product(shown, wrong):
            yield image, (min(one, other), max(one, other))
