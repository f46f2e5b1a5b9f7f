"""The papers' baselines, and what is said of the repeats."""

import numpy as np
import pytest

from pipelines.retraining.comparison import (
    BASELINES,
    LEAST_CONFIDENT,
    NO_LABELS,
    OURS,
    RANDOM,
    WRONG_OF_RANDOM,
    choose_images,
    compare_methods,
    compute_confidence,
    summarise,
)
from pipelines.retraining.report import describe_comparison

WRONG = np.arange(40) % 4 == 0
SURE = np.linspace(1, 0.2, 40, dtype=np.float32)


def choose_places(method, seed=0, labels=10):
    return choose_images(method, labels, WRONG, SURE, np.random.default_rng(seed)).tolist()


def test_the_baselines_of_the_papers():
    random = choose_places(RANDOM)
    assert len(set(random)) == 10
    assert choose_places(WRONG_OF_RANDOM) == [place for place in random if WRONG[place]]
    assert choose_places(LEAST_CONFIDENT) == list(range(39, 29, -1))
    assert choose_places(RANDOM, seed=1) != random


def test_confidence_is_that_of_the_prediction():
    shares = np.array([[0.2, 0.7, 0.1], [0.4, 0.3, 0.3]], dtype=np.float32)
    assert compute_confidence(shares, several=False).tolist() == pytest.approx([0.7, 0.4])
    labels = np.array([[0.9, 0.45], [0.02, 0.99]], dtype=np.float32)
    assert compute_confidence(labels, several=True).tolist() == pytest.approx([0.55, 0.98])


def run(repeats, earlier=None, seed=0, sure=SURE):
    calls, trials = [], []

    def train(method, places, with_seed):
        calls.append((method, with_seed, tuple(places.tolist())))
        return len(calls) / 100

    accuracies = compare_methods(
        6, WRONG, sure, train, repeats=repeats, seed=seed, earlier=dict(earlier or {}),
        keep=lambda *trial: trials.append(trial),
    )  # fmt: skip
    return accuracies, calls, trials


def test_all_methods_are_trained_with_the_same_seeds():
    accuracies, calls, trials = run(3)
    assert list(accuracies) == [OURS, *BASELINES]
    assert all(len(values) == 3 for values in accuracies.values())
    assert {seed for _, seed, _ in calls} == {0, 1, 2}
    assert len(trials) == len(calls) == 15
    assert [places for method, _, places in calls if method == OURS] == [tuple(range(6))] * 3


def test_earlier_trials_are_not_repeated_and_change_no_other_trial():
    _, calls, trials = run(3)
    earlier = {(method, repeat): value for method, repeat, value in trials[:5]}
    _, later, _ = run(3, earlier)
    assert later == calls[5:]


def test_numbers_have_no_least_confidence():
    accuracies, calls, _ = run(2, sure=None)
    assert LEAST_CONFIDENT not in accuracies
    _, with_confidence, _ = run(2)
    assert [c for c in with_confidence if c[0] == RANDOM] == [c for c in calls if c[0] == RANDOM]


def test_our_selection_is_compared_with_the_best_baseline():
    comparison = summarise(
        {OURS: [0.9, 0.92], RANDOM: [0.8, 0.82], LEAST_CONFIDENT: [0.91, 0.91]}, 6, 9
    )
    assert comparison.best_baseline == LEAST_CONFIDENT
    assert comparison.difference == pytest.approx(0.0)
    assert [method.a12 for method in comparison.methods] == [None, 1.0, 0.5]
    assert comparison.methods[1].effect == "large"
    assert comparison.methods[0].deviation == pytest.approx(np.std([0.9, 0.92], ddof=1), abs=1e-5)
    once = summarise({OURS: [0.9], RANDOM: [0.8]}, 6, 9)
    assert [method.a12 for method in once.methods] == [None, None]


def test_the_headline_compares_with_training_without_new_labels():
    comparison = summarise(
        {OURS: [0.9, 0.92], RANDOM: [0.88, 0.88], NO_LABELS: [0.86, 0.87]}, 6, 12
    )
    assert comparison.added == pytest.approx(0.045)
    assert describe_comparison(comparison).startswith(
        "New labels raise the accuracy by 4.50 points, compared with the same training "
        "without them. Retrained with 6 labels chosen by the clusters, the model's accuracy is "
        "3.00 points higher"
    )
    worse = summarise({OURS: [0.9, 0.92], NO_LABELS: [0.93, 0.93]}, 6, 12)
    assert "New labels lower the accuracy by 2.00 points" in describe_comparison(worse)
    older = summarise({OURS: [0.9], RANDOM: [0.88]}, 6, 12)
    assert older.added is None
    assert describe_comparison(older).startswith("Retrained with")
