"""Noisy and adversarial test sets, beside the papers' formulas."""

import numpy as np
import pytest

from pipelines.deepimportance.perturbation import (
    add_noise,
    build_gradient_signs,
    build_perturbation,
    choose_random_pixels,
    find_most_relevant,
)
from pipelines.dnn.keras import import_keras
from pipelines.dnn.lrp_plan import INPUT
from pipelines.dnn.model import load_network, scale
from pipelines.dnn.relevance import PREDICTED, build_relevance
from tests.heights import SIZE
from tests.pipelines.deepimportance.measured import build


def pixels(n=6):
    shape = (n, SIZE[1], SIZE[0], 3)
    return np.random.default_rng(5).integers(0, 256, shape).astype(np.uint8)


def test_the_most_relevant_pixels():
    relevance = np.random.default_rng(0).normal(0, 1, (3, 5, 4)).astype(np.float32)
    masks = find_most_relevant(relevance, 6)
    for map_, places in zip(relevance, masks, strict=True):
        least = sorted(map_.ravel().tolist())[-6]
        assert (places == (map_ >= least)).all()


def test_noise_of_one_strength_on_as_many_pixels():
    rng = np.random.default_rng(1)
    grey = np.full((40, 30, 30, 3), 128, dtype=np.uint8)
    where = choose_random_pixels((40, 30, 30), 90, rng)
    assert (where.sum(axis=(1, 2)) == 90).all()
    assert (where[0] != where[1]).any()
    noisy = add_noise(grey, where, 0.1, rng)
    assert (noisy[~where] == 128).all()
    noise = noisy[where].astype(float) - 128
    assert noise.std() == pytest.approx(25.5, rel=0.03)
    assert noise.mean() == pytest.approx(0, abs=0.7)


def test_noise_falls_on_the_pixels_that_decide(model):
    network = load_network(model)
    before = pixels()
    after = build_perturbation(network, "gaussian", seed=2)(before, np.full(6, -1, np.int32))
    explain = build_relevance(network.model, rule="epsilon", layers=(INPUT,))
    relevance = explain(before.astype(np.float32), np.full(6, PREDICTED, np.int32))
    where = find_most_relevant(relevance.layers[INPUT].sum(axis=3), int(0.02 * SIZE[0] * SIZE[1]))
    difference = (after != before).any(axis=3)
    assert difference.any()
    assert not (difference & ~where).any()


def test_noise_falls_on_what_lowers_an_output_below_0(tmp_path):
    keras, _ = import_keras()
    keras.utils.set_random_seed(3)
    dnn = build(keras.layers.Dense(1, activation="sigmoid", name="end"))
    kernel, _ = dnn.get_layer("end").get_weights()
    dnn.get_layer("end").set_weights([-np.abs(kernel), np.zeros(1, np.float32)])
    dnn.save(tmp_path / "dnn.keras")
    network = load_network(tmp_path / "dnn.keras")
    before = pixels()
    explain = build_relevance(network.model, rule="epsilon", layers=(INPUT,))
    relevances = explain(before.astype(np.float32), np.zeros(6, np.int32))
    assert (relevances.logits < 0).all()
    where = find_most_relevant(-relevances.layers[INPUT].sum(axis=3), int(0.02 * SIZE[0] * SIZE[1]))
    after = build_perturbation(network, "gaussian", seed=2)(before, np.full(6, -1, np.int32))
    difference = (after != before).any(axis=3)
    assert difference.any()
    assert not (difference & ~where).any()


@pytest.mark.parametrize("scaling", ["none", "caffe"])
def test_signs_are_those_of_the_loss(model, scaling):
    """By differences: what a step along the sign of one pixel does to the cross entropy."""
    network = load_network(model, scaling)
    start = pixels(2).astype(np.float32)
    classes = np.array([0, 1], dtype=np.int32)
    signs = build_gradient_signs(network)(start, classes)

    def loss(values):
        return -np.log(
            np.asarray(network.model(scale(network, values)), np.float64)[[0, 1], classes]
        )

    rng = np.random.default_rng(3)
    agreements = []
    for _ in range(40):
        y, x, c = rng.integers(0, SIZE[1]), rng.integers(0, SIZE[0]), rng.integers(0, 3)
        up, down = start.copy(), start.copy()
        up[:, y, x, c] += 0.5
        down[:, y, x, c] -= 0.5
        slope = loss(up) - loss(down)
        sure = np.abs(slope) > 1e-5
        agreements += (np.sign(slope) == signs[:, y, x, c])[sure].tolist()
    assert len(agreements) > 20
    assert np.mean(agreements) > 0.9  # kinks of ReLU and pooling lie in between


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_signs_of_one_output_that_is_sure(tmp_path, activation):
    """The loss falls for class 1 where the output rises, and the other way round for class 0."""
    keras, _ = import_keras()
    keras.utils.set_random_seed(3)
    dnn = build(keras.layers.Dense(1, activation=activation, name="end"))
    file = tmp_path / "dnn.keras"
    by_case = {}
    for sure in (0, 30, -30):
        dnn.get_layer("end").set_weights([dnn.get_layer("end").get_weights()[0], np.full(1, sure)])
        dnn.save(file)
        signs = build_gradient_signs(load_network(file))
        for label in (0, 1):
            by_case[sure, label] = signs(pixels().astype(np.float32), np.full(6, label, np.int32))
    assert np.any(by_case[0, 0], axis=(1, 2, 3)).all()
    for sure in (0, 30, -30):
        assert (by_case[sure, 0] == by_case[0, 0]).mean() > 0.999
        assert (by_case[sure, 1] == -by_case[0, 0]).mean() > 0.999


@pytest.mark.parametrize("how", ["fgsm", "bim"])
def test_attacks_raise_the_loss_and_keep_their_bounds(model, how):
    network = load_network(model)
    before = pixels(8)
    outputs = np.asarray(network.model(before.astype(np.float32)))
    classes = outputs.argmax(axis=1).astype(np.int32)
    after = build_perturbation(network, how, 0.05)(before, classes)
    assert np.abs(after.astype(int) - before).max() == 13  # 12.75, rounded
    outputs_after = np.asarray(network.model(after.astype(np.float32)))
    assert (outputs_after[np.arange(8), classes] < outputs[np.arange(8), classes]).all()
    without_labels = build_perturbation(network, how, 0.05)(before, np.full(8, -1, np.int32))
    assert (without_labels == after).all()


def test_fgsm_is_one_step_along_the_signs(model):
    network = load_network(model)
    before = pixels(3)
    classes = np.array([0, 1, 1], dtype=np.int32)
    signs = build_gradient_signs(network)(before.astype(np.float32), classes)
    expected = np.clip(np.round(before + 0.1 * 255 * signs), 0, 255)
    assert (build_perturbation(network, "fgsm")(before, classes) == expected).all()
