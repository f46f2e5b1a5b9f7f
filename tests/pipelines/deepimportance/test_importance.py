"""The neurons that decide: relevance added up as Algorithm 1 says."""

import numpy as np
import pytest

from pipelines.deepimportance.importance import choose_important, sum_relevance
from pipelines.dnn.keras import import_keras
from pipelines.dnn.relevance import PREDICTED, build_relevance
from pipelines.runs.errors import InputError


def test_relevance_of_dense_neurons_is_that_of_equation_1():
    keras, _ = import_keras()
    keras.utils.set_random_seed(1)
    dnn = keras.Sequential(
        [
            keras.Input((3, 4, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(5, activation="relu", name="hidden"),
            keras.layers.Dense(3, activation="softmax", name="end"),
        ]
    )
    images = np.random.default_rng(0).uniform(0, 1, (9, 3, 4, 1)).astype(np.float32)
    run = build_relevance(dnn, rule="epsilon", layers=("hidden",))
    relevances = run(images, np.full(9, PREDICTED, np.int32))
    total = sum_relevance(relevances.layers["hidden"])
    (w1, b1), (w2, b2) = (dnn.get_layer(name).get_weights() for name in ("hidden", "end"))
    expected = [0.0] * 5
    for image in images:
        phi = [
            max(0.0, sum(image.ravel()[i] * w1[i, j] for i in range(12)) + b1[j]) for j in range(5)
        ]
        logits = [sum(phi[j] * w2[j, k] for j in range(5)) + b2[k] for k in range(3)]
        k = max(range(3), key=lambda k: logits[k])
        for j in range(5):
            expected[j] += phi[j] * w2[j, k] / logits[k] * logits[k]
    assert total == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_relevance_of_a_feature_map_is_the_sum_of_its_parts():
    maps = np.random.default_rng(2).normal(0, 1, (4, 3, 2, 5)).astype(np.float32)
    expected = [
        sum(float(maps[n, y, x, c]) for n in range(4) for y in range(3) for x in range(2))
        for c in range(5)
    ]
    assert sum_relevance(maps) == pytest.approx(expected, rel=1e-5)


def test_the_most_important_come_first_and_equal_ones_in_order():
    assert choose_important(np.array([1.0, -9, 3, 3, 2]), 4, "hidden").tolist() == [2, 3, 4, 0]


@pytest.mark.parametrize("m", [0, 6])
def test_more_neurons_than_the_layer_has_are_refused(m):
    with pytest.raises(InputError, match=f"1 to 5, as layer 'hidden' has 5 neurons, received {m}"):
        choose_important(np.zeros(5), m, "hidden")
