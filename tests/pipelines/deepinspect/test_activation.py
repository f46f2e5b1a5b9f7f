"""P(n|c) of Equation 1, against the definition in plain loops."""

import numpy as np
import pytest

from pipelines.deepinspect.activation import (
    activation_probabilities,
    check_thresholds,
    scale_layer,
)
from pipelines.runs.errors import InputError

NEURONS = {"first": 4, "second": 3}


def draw(n, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(n, count)).astype(np.float32) for name, count in NEURONS.items()}


def batches_of(activations, predictions, size):
    for start in range(0, len(predictions), size):
        block = slice(start, start + size)
        yield {name: values[block] for name, values in activations.items()}, predictions[block]


def naive(activations, predictions, threshold):
    """|{images of c with out(n) > Th}| / |c|, image by image."""
    k = len(predictions[0])
    result = np.full((sum(NEURONS.values()), k), np.nan)
    for c in range(k):
        images = [i for i in range(len(predictions)) if predictions[i][c]]
        row = 0
        for name, count in NEURONS.items():
            for neuron in range(count):
                active = 0
                for i in images:
                    low, high = min(activations[name][i]), max(activations[name][i])
                    active += (activations[name][i][neuron] - low) / (high - low) > threshold
                if images:
                    result[row, c] = active / len(images)
                row += 1
    return result


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("size", [1, 7, 100])
def test_probabilities_are_shares_of_the_images_of_a_class(several, size):
    rng = np.random.default_rng(3)
    activations = draw(40)
    predictions = rng.random((40, 5)) < 0.3
    if not several:
        predictions = np.eye(5, dtype=bool)[rng.integers(0, 5, 40)]
    thresholds = (0.5, 0.25, 0.9)
    probabilities = activation_probabilities(
        batches_of(activations, predictions, size), NEURONS, 5, thresholds
    )
    assert probabilities.images.tolist() == predictions.sum(axis=0).tolist()
    assert tuple(probabilities.matrices) == thresholds
    for threshold in thresholds:
        expected = naive(activations, predictions, threshold)
        np.testing.assert_allclose(probabilities.matrices[threshold], expected, atol=1e-6)
    assert probabilities.matrices[0.5].dtype == np.float32


def test_a_class_that_is_never_predicted_is_not_known():
    predictions = np.eye(3, dtype=bool)[np.zeros(6, int)]
    probabilities = activation_probabilities([(draw(6), predictions)], NEURONS, 3)
    assert probabilities.images.tolist() == [6, 0, 0]
    assert not np.isnan(probabilities.matrices[0.5][:, 0]).any()
    assert np.isnan(probabilities.matrices[0.5][:, 1:]).all()


def test_a_layer_that_gives_the_same_everywhere_is_not_active():
    activations = draw(4)
    activations["second"][:] = 7
    values = scale_layer(activations["second"])
    assert not values.any()
    probabilities = activation_probabilities(
        [(activations, np.ones((4, 1), bool))], NEURONS, 1, (0.0,)
    )
    assert not probabilities.matrices[0.0][4:].any()
    assert probabilities.matrices[0.0][:4].any()


def test_images_without_a_prediction_count_for_no_class():
    predictions = np.zeros((4, 2), bool)
    predictions[0, 1] = True
    activations = draw(4)
    probabilities = activation_probabilities([(activations, predictions)], NEURONS, 2)
    np.testing.assert_allclose(probabilities.matrices[0.5], naive(activations, predictions, 0.5))
    assert probabilities.images.tolist() == [0, 1]


@pytest.mark.parametrize("threshold", [-0.1, 1.0, float("nan")])
def test_thresholds_that_cannot_be_met_are_refused(threshold):
    with pytest.raises(InputError, match="expected 0 or more and less than 1"):
        check_thresholds([0.5, threshold])
    assert check_thresholds([0.5, 0.6, 0.5]) == (0.5, 0.6)
