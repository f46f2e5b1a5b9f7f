"""All that follows from the distances of classes, and from their labels where those are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Doubles
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
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Findings:
    """What the neurons tell of pairs of classes.

    Attributes
    ----------
    names : tuple of str, length k
    distances : array of float64, shape (k, k)
        NAPVD; NaN for pairs with a class that is never predicted.
    bias : Bias or None
        None where fewer than three classes have distances.
    scores : dict of str to array of float64, shape (pairs,)
        By "confusion" and "bias" (where there is any), NAPVD and average bias.
    rankings : dict of str to Ranking
    order : array of int, shape (k,)
        Of the classes, similar ones side by side.
    places : array of float64, shape (k, 2)
        Of the classes on a map.
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
    """What labels tell of pairs of classes.

    Attributes
    ----------
    several : bool
        Whether an image may have several labels: Type 2 confusions, else Type 1.
    values : dict of str to array of float64, shape (pairs,)
        By "confusion" and "bias", Type 1 or 2 confusion and average confusion disparity.
    errors : dict of str to array of bool, shape (pairs,)
        The pairs that are errors indeed.
    evaluations : dict of str to Evaluation or None
        None where no pair is an error.
    images : dict of (int, int) to list of int
        By pair, which images are confused, as positions.
    """

    several: bool
    values: dict[Kind, Doubles]
    errors: dict[Kind, Bools]
    evaluations: dict[Kind, Evaluation | None]
    images: dict[tuple[int, int], list[int]]


def find_pairs(names: tuple[str, ...], distances: Doubles, top_percent: float) -> Findings:
    """Rank all pairs of classes by confusion and by bias.

    Time grows with the cube of the number of classes, memory with its square.
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
    found: Findings,
    truth: Bools,
    predicted: Bools,
    *,
    several: bool,
    labelled: Bools | None = None,
) -> Truths:
    """Compare pairs that are reported with what the DNN gets wrong.

    Time grows with the number of images and of classes, and with the cube of that of classes.

    Parameters
    ----------
    truth, predicted : array of bool, shape (n, k)
    labelled : array of bool, shape (n,), optional
        Which images have labels; the others are left out.
    """
    pairs = pairs_of(len(found.names))
    positions = np.arange(len(truth)) if labelled is None else np.flatnonzero(labelled)
    truth, predicted = truth[positions], predicted[positions]
    wrong = (type2_confusion if several else type1_confusion)(truth, predicted)
    values: dict[Kind, Doubles] = {"confusion": wrong[pairs]}
    if "bias" in found.scores and len(known_classes(wrong)) >= LEAST:
        values["bias"] = average_disparity(wrong)[pairs]
    images: dict[tuple[int, int], list[int]] = {}
    for image, pair in _confusions(truth, predicted, several):
        images.setdefault(pair, []).append(int(positions[image]))
    return Truths(
        several=several,
        values=values,
        errors={
            kind: true_errors(each) if (~np.isnan(each)).any() else np.zeros(len(each), np.bool_)
            for kind, each in values.items()
        },
        evaluations={
            kind: evaluate_ranking(found.scores[kind], each, found.rankings[kind])
            for kind, each in values.items()
        },
        images=images,
    )


def _confusions(
    truth: Bools, predicted: Bools, several: bool
) -> Iterator[tuple[int, tuple[int, int]]]:
    """Go through the images that are confused, with the pairs that they are confused between.

    With one class an image: what it shows and what it is taken for.  With several: two classes
    that are both predicted, of which it shows one alone.
    """
    for image in np.flatnonzero((truth != predicted).any(axis=1)).tolist():
        shown, seen = truth[image], predicted[image]
        there = np.flatnonzero(shown & seen if several else shown).tolist()
        absent = np.flatnonzero(~shown & seen).tolist()
        for one, other in product(there, absent):
            yield image, (min(one, other), max(one, other))
