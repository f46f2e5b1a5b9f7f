"""Rules of relevance, layer by layer, against the formulas in plain loops."""

import numpy as np
import pytest

from pipelines.dnn.relevance import build_relevance, relevance_layers
from tests.pipelines.dnn.networks import (
    BRANCHES,
    LAST,
    RULES,
    SHAPE,
    L,
    as_matrix,
    build_branches,
    check,
    draw_images,
    keras,
    naive,
    randomise,
    sums,
)


@pytest.mark.parametrize("rule", [*RULES, "box"])
@pytest.mark.parametrize("name", [*BRANCHES, "conv_norm", "depthwise_norm", "dense_norm"])
def test_a_layer_shares_relevance_out_as_the_formula_does(branches, name, rule):
    model, images, relevances = branches
    layers = relevances(rule).layers
    layer = model.get_layer(name)
    has_norm = name.endswith("norm")
    norm = model.get_layer(f"{name}_bn") if has_norm else (lambda x: x)
    weights, bias = as_matrix(lambda x: norm(layer(x)), SHAPE)
    assert np.abs(layers[name]).max() > 0.01
    for image, out, into in zip(images, layers[name], layers[f"{name}_in"], strict=True):
        check(into, naive(rule, image.ravel(), weights, bias, out.ravel()))


@pytest.mark.parametrize("rule", [*RULES, "box"])
def test_a_separable_convolution_is_two(branches, rule):
    model, images, relevances = branches
    layers = relevances(rule).layers
    layer = model.get_layer("separable")
    depthwise = L.DepthwiseConv2D(3, strides=2, depth_multiplier=2, use_bias=False)
    depthwise.build((None, *SHAPE))
    depthwise.set_weights([layer.get_weights()[0]])
    pointwise = L.Conv2D(3, 1)
    between = depthwise(images).numpy()
    pointwise.build(between.shape)
    pointwise.set_weights(layer.get_weights()[1:])
    first, none = as_matrix(depthwise, SHAPE)
    second, bias = as_matrix(pointwise, between.shape[1:])
    inner = "z+" if rule == "box" else rule
    for i, image in enumerate(images):
        middle = naive(inner, between[i].ravel(), second, bias, layers["separable"][i].ravel())
        check(layers["separable_in"][i], naive(rule, image.ravel(), first, none, middle))


@pytest.mark.parametrize("rule", RULES)
def test_no_relevance_is_lost_between_branches(rule):
    model = randomise(build_branches(), 6, biases=rule != "epsilon")
    relevance = build_relevance(model, rule=rule)(draw_images(7, (12, 10, 3)), LAST)
    totals = sums(relevance)
    names = relevance_layers(model)
    # Layers that all relevance goes through; the others are one branch of several.
    whole = [*names[:2], *names[names.index("joined") :]]
    pooling_names = ("global_average", "global_max")
    for name in whole:
        if not name.startswith(pooling_names):
            np.testing.assert_allclose(*totals[name], rtol=1e-3, atol=1e-3, err_msg=name)
    halves = sum(totals[name][0] for name in names if name.startswith(pooling_names))
    np.testing.assert_allclose(halves, totals["joined"][1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("rule", RULES)
def test_branches_share_by_what_they_add(rule):
    image = L.Input((3, 3, 2))
    first = L.Conv2D(2, 1, name="left")(image)
    second = L.Conv2D(2, 1, name="right", activation="relu")(image)
    total = L.Add(name="added")([first, second])
    concatenation = L.Concatenate(name="joined", axis=1)([total, first])
    model = randomise(keras.Model(image, L.Dense(2)(L.Flatten()(concatenation))), 3)
    images = draw_images(4, (3, 3, 2))
    relevance = build_relevance(model, rule=rule)(images, np.zeros(3, np.int32)).layers
    values = {name: model.get_layer(name)(images).numpy() for name in ("left", "right")}
    np.testing.assert_allclose(relevance["added"], relevance["joined"][:, :3], rtol=1e-6)
    for place in np.ndindex(values["left"].shape):
        two = np.array([values["left"][place], values["right"][place]])
        shares = naive(rule, two, np.ones((2, 1)), [0], [relevance["added"][place]])
        shares[0] += relevance["joined"][:, 3:][place]
        np.testing.assert_allclose(
            [relevance["left"][place], relevance["right"][place]], shares, rtol=1e-3, atol=1e-4
        )


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_max_pooling_gives_all_to_the_first_largest(padding):
    model = keras.Sequential(
        [
            L.Input((5, 6, 2)),
            L.MaxPooling2D(3, strides=2, padding=padding, name="pool"),
            L.Flatten(),
            L.Dense(2),
        ]
    )
    randomise(model)
    images = np.random.default_rng(0).integers(-2, 2, (3, 5, 6, 2)).astype(np.float32)  # ties
    layers = build_relevance(model)(images, LAST).layers
    out = layers["pool"]
    rows, columns = out.shape[1:3]
    top = ((rows - 1) * 2 + 3 - 5) // 2 if padding == "same" else 0
    offset = ((columns - 1) * 2 + 3 - 6) // 2 if padding == "same" else 0
    expected = np.zeros_like(images)
    for n, y, x, c in np.ndindex(out.shape):
        places = [
            (i, j)
            for i in range(2 * y - top, 2 * y - top + 3)
            for j in range(2 * x - offset, 2 * x - offset + 3)
            if 0 <= i < 5 and 0 <= j < 6
        ]
        i, j = max(places, key=lambda place: images[n, *place, c])
        expected[n, i, j, c] += out[n, y, x, c]
    check(layers["input"], expected)


def test_normalisation_that_cannot_be_folded_is_a_layer_of_its_own():
    model = keras.Sequential(
        [
            L.Input((4, 4, 2)),
            L.Conv2D(3, 2, activation="relu", name="before"),
            L.BatchNormalization(name="norm"),
            L.MaxPooling2D(1, name="after"),
            L.Flatten(),
            L.Dense(2),
        ]
    )
    randomise(model)
    images = draw_images(2, (4, 4, 2))
    for rule in RULES:
        layers = build_relevance(model, rule=rule)(images, LAST).layers
        if rule != "epsilon":
            np.testing.assert_array_equal(layers["before"], layers["after"])
            continue
        values = model.get_layer("before")(images).numpy()
        weights, bias = as_matrix(model.get_layer("norm"), (3, 3, 3))
        for value, out, into in zip(values, layers["after"], layers["before"], strict=True):
            check(into, naive(rule, value.ravel(), weights, bias, out.ravel()))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", ["conv", "average"])
def test_no_relevance_is_spread_over_padding(kind, rule):
    images = draw_images(2)
    if kind == "conv":
        layer = L.Conv2D(3, 3, strides=2, name="layer")
    else:
        layer = L.AveragePooling2D((3, 2), strides=2, name="layer")
    ends = [L.Flatten(), L.Dense(2)]
    model = randomise(keras.Sequential([L.Input(SHAPE), L.ZeroPadding2D(1), layer, *ends]), 5)
    relevance = build_relevance(model, rule=rule)(images, LAST).layers
    weights, bias = as_matrix(lambda x: layer(L.ZeroPadding2D(1)(x)), SHAPE)
    for image, out, into in zip(images, relevance["layer"], relevance["input"], strict=True):
        check(into, naive(rule, image.ravel(), weights, bias, out.ravel()))


SIGNED_ACTIVATIONS = {
    "leaky": L.LeakyReLU,
    "leaky ReLU": lambda: L.ReLU(negative_slope=0.4),
    "ReLU": lambda: L.ReLU(max_value=1.5),
    "PReLU": L.PReLU,
    "ELU": L.ELU,
    "softmax": L.Softmax,
    "softplus": lambda: L.Activation("softplus"),
    "tanh": lambda: L.Activation("tanh"),
    "both": lambda: lambda x: L.Concatenate()([L.ReLU()(x), L.Activation("tanh")(x)]),
}


@pytest.mark.parametrize("kind", SIGNED_ACTIVATIONS)
def test_what_an_activation_leaves_negative_counts_as_negative(kind):
    row = L.Input((5,))
    middle = SIGNED_ACTIVATIONS[kind]()(L.Dense(8, name="hidden")(row))
    model = randomise(keras.Model(row, L.Dense(3, name="end")(middle)), 3)
    images = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    inner = keras.Model(row, middle)(images).numpy()
    weights, bias = as_matrix(model.get_layer("end"), inner.shape[1:])
    for rule in ("z+", "alpha-beta"):
        relevance = build_relevance(model, rule=rule)(images, LAST).layers
        for value, end, hidden_relevance in zip(
            inner, relevance["end"], relevance["hidden"], strict=True
        ):
            expected = naive(rule, value, weights, bias, end)
            check(hidden_relevance, expected.reshape(-1, 8).sum(0))


def test_a_normalisation_of_rows_is_not_folded_into_channels():
    rows = [L.Conv2D(3, 2), L.BatchNormalization(axis=1), L.Flatten(), L.Dense(2)]
    model = randomise(keras.Sequential([L.Input((4, 4, 2)), *rows]))
    images = draw_images(2, (4, 4, 2))
    relevance = build_relevance(model, layers=["input"])(images, LAST)
    np.testing.assert_allclose(relevance.outputs, model(images), atol=1e-5)


def test_a_layer_that_others_use_does_not_take_over_its_normalisation():
    image = L.Input((4, 4, 2))
    x = L.Conv2D(3, 2, name="conv")(image)
    concatenation = L.Concatenate(name="joined")([L.BatchNormalization()(x), x])
    model = randomise(keras.Model(image, L.Dense(2)(L.Flatten()(concatenation))))
    images = draw_images(2, (4, 4, 2))
    relevance = build_relevance(model)(images, LAST)
    np.testing.assert_allclose(relevance.outputs, model(images), atol=1e-5)
    first, second = np.split(relevance.layers["joined"], 2, axis=-1)
    np.testing.assert_allclose(relevance.layers["conv"], first + second, rtol=1e-5)
