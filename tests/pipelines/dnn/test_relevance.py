"""Relevance, layer by layer, against the formulas in plain loops."""

import re

import numpy as np
import pytest

from pipelines.dnn.keras import import_keras
from pipelines.dnn.lrp_plan import SUPPORTED
from pipelines.dnn.lrp_rules import EPSILON
from pipelines.dnn.relevance import build_relevance, check_supported, relevance_layers
from pipelines.runs.errors import InputError

keras, tf = import_keras()
L = keras.layers

RULES = ("z+", "epsilon", "alpha-beta")
LOW, HIGH = -2.0, 2.5
SHAPE = (7, 6, 4)
LAST = np.full(3, -1, np.int32)


def randomise(model, seed=0, *, biases=True):
    """Give all weights random values; a model without biases has no shift in it at all."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if "seed" in variable.path:
            continue
        draw = rng.normal(0, 0.5, variable.shape)
        name = variable.path.split("/")[-1]
        if "variance" in name:
            draw = 0.3 + np.abs(draw)
        elif name in ("bias", "beta", "moving_mean") and not biases:
            draw = np.zeros(variable.shape)
        variable.assign(draw)
    return model


def draw_images(seed=1, shape=SHAPE, count=3):
    """Draw images with negative pixels; a part of the last two is black."""
    rng = np.random.default_rng(seed)
    images = rng.uniform(-1.5, 2, (count, *shape)).astype(np.float32)
    images[-2:, : shape[0] - 2, : shape[1] - 1] = 0
    return images


def as_matrix(function, shape):
    """Express a linear map with bias as a matrix (inputs, outputs) and the bias."""
    units = np.eye(int(np.prod(shape)), dtype=np.float32).reshape(-1, *shape)
    bias = np.asarray(function(np.zeros((1, *shape), np.float32))).reshape(-1)
    return np.asarray(function(units)).reshape(len(units), -1) - bias, bias


def naive(rule, a, weights, bias, relevance, bounds=(LOW, HIGH)):
    """Share relevance out by the formula, output by output."""
    shares = np.zeros(len(a))
    for k, due in enumerate(relevance):
        w = weights[:, k].astype(np.float64)
        z = a * w
        up, down = np.where(z > 0, z, 0), np.where(z < 0, z, 0)
        seen = w != 0
        if rule == "epsilon":
            total = z.sum() + bias[k]
            shares += z / (total + EPSILON * (1 if total >= 0 else -1)) * due
            continue
        if rule == "box":
            up = a * w - bounds[0] * np.maximum(w, 0) - bounds[1] * np.minimum(w, 0)
        if rule == "alpha-beta" and up.sum() and down.sum():
            shares += (2 * up / up.sum() - down / down.sum()) * due
        elif up.sum():
            shares += up / up.sum() * due
        elif rule == "alpha-beta" and down.sum():
            shares += down / down.sum() * due
        else:
            shares += seen / seen.sum() * due
    return shares


BRANCHES = {
    "conv_valid": lambda name: L.Conv2D(3, 3, name=name),
    "conv_same": lambda name: L.Conv2D(2, (3, 2), padding="same", name=name),
    "conv_strided": lambda name: L.Conv2D(3, 3, strides=2, padding="same", name=name),
    "conv_dilated": lambda name: L.Conv2D(3, 2, dilation_rate=(2, 3), name=name),
    "conv_grouped": lambda name: L.Conv2D(6, 3, groups=2, padding="same", name=name),
    "conv_without_bias": lambda name: L.Conv2D(3, 1, use_bias=False, name=name),
    "depthwise": lambda name: L.DepthwiseConv2D(3, depth_multiplier=2, name=name),
    "depthwise_strided": lambda name: L.DepthwiseConv2D(2, strides=2, padding="same", name=name),
    "dense": lambda name: L.Dense(5, name=name),
    "average": lambda name: L.AveragePooling2D(3, strides=2, name=name),
    "average_same": lambda name: L.AveragePooling2D((2, 3), strides=1, padding="same", name=name),
    "global_average": lambda name: L.GlobalAveragePooling2D(name=name),
}


def all_branches():
    """Connect all kinds of layers to one input, each behind a pooling of size 1.

    That pooling changes nothing, and its relevance is what the one layer passes back.
    """
    image = L.Input(SHAPE)
    ends = []
    for name, make in BRANCHES.items():
        ends.append(make(name)(L.MaxPooling2D(1, name=f"{name}_in")(image)))
    into = L.MaxPooling2D(1, name="separable_in")(image)
    separable = L.SeparableConv2D(3, 3, strides=2, depth_multiplier=2, name="separable")
    ends.append(separable(into))
    for name, layer in {
        "conv_norm": L.Conv2D(3, 3, padding="same", name="conv_norm"),
        "depthwise_norm": L.DepthwiseConv2D(2, depth_multiplier=2, name="depthwise_norm"),
        "dense_norm": L.Dense(3, use_bias=False, name="dense_norm"),
    }.items():
        folded = layer(L.MaxPooling2D(1, name=f"{name}_in")(image))
        ends.append(L.BatchNormalization(name=f"{name}_bn")(L.Dropout(0.5)(folded)))
    flat = L.Concatenate()([L.Flatten()(end) for end in ends])
    return randomise(keras.Model(image, L.Dense(3, activation="softmax", name="end")(flat)))


@pytest.fixture(scope="module")
def branches():
    """Return the model of all branches, images, and its relevances by rule."""
    model, images, found = all_branches(), draw_images(), {}

    def relevances(rule):
        if rule not in found:
            options = {"input_rule": "box", "low": LOW, "high": HIGH} if rule == "box" else {}
            run = build_relevance(model, rule="z+" if rule == "box" else rule, **options)
            found[rule] = run(images, np.array([0, 2, -1], np.int32))
        return found[rule]

    return model, images, relevances


def check(found, expected):
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-4 * scale)


@pytest.mark.parametrize("rule", [*RULES, "box"])
@pytest.mark.parametrize("name", [*BRANCHES, "conv_norm", "depthwise_norm", "dense_norm"])
def test_a_layer_shares_relevance_out_as_the_formula_does(branches, name, rule):
    model, images, relevances = branches
    layers = relevances(rule).layers
    layer = model.get_layer(name)
    normed = name.endswith("norm")
    norm = model.get_layer(f"{name}_bn") if normed else (lambda x: x)
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


def test_outputs_are_those_of_the_model(branches):
    model, images, relevances = branches
    found = relevances("z+")
    outputs = model(images).numpy()
    np.testing.assert_allclose(found.outputs, outputs, atol=1e-5)
    np.testing.assert_allclose(tf.nn.softmax(found.logits), outputs, atol=1e-5)
    assert found.targets.tolist() == [0, 2, outputs[2].argmax()]


def test_two_layers_by_hand():
    model = keras.Sequential([L.Input((2,)), L.Dense(2, "relu"), L.Dense(2)])
    model.set_weights(
        [np.array([[1, 2], [1, -3]]), np.array([1, 0]), np.array([[2, 0], [3, 1]]), np.zeros(2)]
    )
    found = build_relevance(model)(np.array([[3, 1]], np.float32), np.array([0], np.int32))
    # Hidden: 3 + 1 + 1 = 5, 6 - 3 = 3; output 0: 10 + 9 = 19.
    assert found.logits.tolist() == [[19, 3]]
    hidden, out = relevance_layers(model)[1:]
    assert found.layers[out].tolist() == [[19, 0]]
    np.testing.assert_allclose(found.layers[hidden], [[10, 9]], rtol=1e-6)
    # Of 10 the inputs get 3/4 and 1/4, for the bias gets nothing; of 9 the first gets all.
    np.testing.assert_allclose(found.layers["input"], [[16.5, 2.5]], rtol=1e-6)


def test_all_layers_in_a_row_are_the_formula_in_a_row():
    model = keras.Sequential(
        [
            L.Input((6, 6, 2)),
            L.Conv2D(3, 3, padding="same", activation="relu"),
            L.AveragePooling2D(3, 1),
            L.Conv2D(4, 2, activation="tanh"),
            L.Flatten(),
            L.Dense(3, activation="elu"),
            L.Dense(2),
        ]
    )
    randomise(model, 4)
    images = draw_images(5, (6, 6, 2), 2)
    for rule in RULES:
        found = build_relevance(model, rule=rule)(images, np.array([1, 0], np.int32))
        for i, target in enumerate((1, 0)):
            values, maps = [images[i]], []
            for layer in model.layers:
                shape, activation = values[-1].shape, getattr(layer, "activation", None)
                if activation is not None:
                    layer.activation = keras.activations.linear
                maps.append(as_matrix(layer, shape))
                if activation is not None:
                    layer.activation = activation
                values.append(layer(values[-1][None]).numpy()[0])
            relevance = np.zeros(2)
            relevance[target] = values[-1][target]
            for value, (weights, bias) in zip(values[-2::-1], maps[::-1], strict=True):
                relevance = naive(rule, value.ravel(), weights, bias, relevance)
            check(found.layers["input"][i], relevance)


def sums(found):
    count = len(found.targets)
    due = found.logits[np.arange(count), found.targets]
    return {
        name: np.stack([map_.reshape(count, -1).sum(1), due]) for name, map_ in found.layers.items()
    }


def check_conserved(found):
    for name, (total, due) in sums(found).items():
        np.testing.assert_allclose(total, due, rtol=1e-3, atol=1e-3, err_msg=name)


def chain():
    return [
        L.Conv2D(6, 3, padding="same", use_bias=False, activation="relu"),
        L.MaxPooling2D(3, strides=2, padding="same"),
        L.Conv2D(6, 3, use_bias=False),
        L.LeakyReLU(),
        L.AveragePooling2D(3, strides=2, padding="same"),
        L.Dropout(0.5),
        L.SpatialDropout2D(0.5),
        L.GaussianNoise(1.0),
        L.ZeroPadding2D(2),
        L.Conv2D(5, 4, strides=3, use_bias=False, activation="tanh"),
        L.Reshape((-1,)),
        L.Dense(4, use_bias=False, activation="softmax"),
    ]


def branched():
    """Have branches that are added, joined, used twice and normalised."""
    image = L.Input((12, 10, 3))
    x = L.Conv2D(6, 3, use_bias=False)(image)
    x = L.ReLU()(L.BatchNormalization()(x))
    side = L.Conv2D(6, 3, padding="same", use_bias=False, activation="tanh")(x)
    added = L.Add(name="added")([x, side, x])
    y = L.BatchNormalization(name="diagonal")(added)
    y = L.UpSampling2D()(L.MaxPooling2D(2)(y))
    joined = L.Concatenate(name="joined")([y, L.ELU()(side), y])
    z = L.DepthwiseConv2D(3, use_bias=False, activation="relu")(joined)
    z = L.SeparableConv2D(5, 3, use_bias=False, activation="relu")(z)
    z = L.Concatenate()([L.GlobalAveragePooling2D()(z), L.GlobalMaxPooling2D()(z)])
    return keras.Model(image, L.Dense(4, use_bias=False)(z))


@pytest.mark.parametrize("rule", RULES)
def test_no_relevance_is_lost_in_a_chain_with_overlapping_pooling(rule):
    model = randomise(keras.Sequential([L.Input((12, 10, 3)), *chain()]), 2, biases=False)
    check_conserved(build_relevance(model, rule=rule)(draw_images(3, (12, 10, 3)), LAST))


@pytest.mark.parametrize("rule", RULES)
def test_no_relevance_is_lost_between_branches(rule):
    model = randomise(branched(), 6, biases=rule != "epsilon")
    found = build_relevance(model, rule=rule)(draw_images(7, (12, 10, 3)), LAST)
    totals = sums(found)
    names = relevance_layers(model)
    # Layers that all relevance goes through; the others are one branch of several.
    whole = [*names[:2], *names[names.index("joined") :]]
    pooled = ("global_average", "global_max")
    for name in whole:
        if not name.startswith(pooled):
            np.testing.assert_allclose(*totals[name], rtol=1e-3, atol=1e-3, err_msg=name)
    halves = sum(totals[name][0] for name in names if name.startswith(pooled))
    np.testing.assert_allclose(halves, totals["joined"][1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("rule", RULES)
def test_branches_share_by_what_they_add(rule):
    image = L.Input((3, 3, 2))
    left = L.Conv2D(2, 1, name="left")(image)
    right = L.Conv2D(2, 1, name="right", activation="relu")(image)
    added = L.Add(name="added")([left, right])
    joined = L.Concatenate(name="joined", axis=1)([added, left])
    model = randomise(keras.Model(image, L.Dense(2)(L.Flatten()(joined))), 3)
    images = draw_images(4, (3, 3, 2))
    found = build_relevance(model, rule=rule)(images, np.zeros(3, np.int32)).layers
    values = {name: model.get_layer(name)(images).numpy() for name in ("left", "right")}
    np.testing.assert_allclose(found["added"], found["joined"][:, :3], rtol=1e-6)
    for place in np.ndindex(values["left"].shape):
        two = np.array([values["left"][place], values["right"][place]])
        shares = naive(rule, two, np.ones((2, 1)), [0], [found["added"][place]])
        shares[0] += found["joined"][:, 3:][place]
        np.testing.assert_allclose(
            [found["left"][place], found["right"][place]], shares, rtol=1e-3, atol=1e-4
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
    left = ((columns - 1) * 2 + 3 - 6) // 2 if padding == "same" else 0
    expected = np.zeros_like(images)
    for n, y, x, c in np.ndindex(out.shape):
        places = [
            (i, j)
            for i in range(2 * y - top, 2 * y - top + 3)
            for j in range(2 * x - left, 2 * x - left + 3)
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
    found = build_relevance(model, rule=rule)(images, LAST).layers
    weights, bias = as_matrix(lambda x: layer(L.ZeroPadding2D(1)(x)), SHAPE)
    for image, out, into in zip(images, found["layer"], found["input"], strict=True):
        check(into, naive(rule, image.ravel(), weights, bias, out.ravel()))


SIGNED = {
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


@pytest.mark.parametrize("kind", SIGNED)
def test_what_an_activation_leaves_negative_counts_as_negative(kind):
    row = L.Input((5,))
    middle = SIGNED[kind]()(L.Dense(8, name="hidden")(row))
    model = randomise(keras.Model(row, L.Dense(3, name="end")(middle)), 3)
    images = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    inner = keras.Model(row, middle)(images).numpy()
    weights, bias = as_matrix(model.get_layer("end"), inner.shape[1:])
    for rule in ("z+", "alpha-beta"):
        found = build_relevance(model, rule=rule)(images, LAST).layers
        for value, end, hidden in zip(inner, found["end"], found["hidden"], strict=True):
            expected = naive(rule, value, weights, bias, end)
            check(hidden, expected.reshape(-1, 8).sum(0))


def test_a_normalisation_of_rows_is_not_folded_into_channels():
    rows = [L.Conv2D(3, 2), L.BatchNormalization(axis=1), L.Flatten(), L.Dense(2)]
    model = randomise(keras.Sequential([L.Input((4, 4, 2)), *rows]))
    images = draw_images(2, (4, 4, 2))
    found = build_relevance(model, layers=["input"])(images, LAST)
    np.testing.assert_allclose(found.outputs, model(images), atol=1e-5)


def test_a_layer_that_others_use_does_not_take_over_its_normalisation():
    image = L.Input((4, 4, 2))
    x = L.Conv2D(3, 2, name="conv")(image)
    joined = L.Concatenate(name="joined")([L.BatchNormalization()(x), x])
    model = randomise(keras.Model(image, L.Dense(2)(L.Flatten()(joined))))
    images = draw_images(2, (4, 4, 2))
    found = build_relevance(model)(images, LAST)
    np.testing.assert_allclose(found.outputs, model(images), atol=1e-5)
    first, second = np.split(found.layers["joined"], 2, axis=-1)
    np.testing.assert_allclose(found.layers["conv"], first + second, rtol=1e-5)


def test_inputs_of_any_size():
    image = L.Input((None, None, 3))
    x = L.Conv2D(4, 3, strides=2, activation="relu")(image)
    x = L.GlobalAveragePooling2D()(L.AveragePooling2D(2)(x))
    model = randomise(keras.Model(image, L.Dense(3)(x)), biases=False)
    run = build_relevance(model)
    for shape in ((9, 12, 3), (14, 8, 3)):
        found = run(draw_images(3, shape), LAST)
        assert found.layers["input"].shape == (3, *shape)
        check_conserved(found)


def classifier(end, *, front=()):
    layers = [L.Conv2D(4, 3, activation="relu"), L.MaxPooling2D(2), L.Flatten()]
    return randomise(keras.Sequential([L.Input((8, 8, 2)), *front, *layers, *end]), 8)


def inputs_of(model, images, targets=LAST, **options):
    return build_relevance(model, layers=["input"], **options)(images, targets)


def test_relevance_starts_before_softmax_wherever_it_stands():
    images = draw_images(9, (8, 8, 2))
    plain = inputs_of(classifier([L.Dense(3)]), images)
    for end in (
        [L.Dense(3, activation="softmax")],
        [L.Dense(3), L.Softmax()],
        [L.Dense(3), L.Activation("softmax")],
        [L.Dense(3, activation="sigmoid"), L.Dropout(0.1), L.Reshape((3, 1))],
    ):
        model = classifier(end)
        found = inputs_of(model, images)
        np.testing.assert_allclose(found.logits, plain.logits, atol=1e-6)
        np.testing.assert_allclose(found.outputs, model(images), atol=1e-6)
        np.testing.assert_allclose(found.layers["input"], plain.layers["input"], atol=1e-5)


def test_one_sigmoid_output_has_the_sign_of_its_logit():
    model = classifier([L.Dense(1, activation="sigmoid")])
    images = draw_images(9, (8, 8, 2))
    model.layers[-1].bias.assign_sub(inputs_of(model, images).logits.mean(axis=0))
    found = inputs_of(model, images)
    totals = found.layers["input"].reshape(3, -1).sum(1)
    np.testing.assert_allclose(totals, found.logits[:, 0], rtol=1e-4)
    assert np.array_equal(totals > 0, found.outputs[:, 0] > 0.5)
    assert set(totals > 0) == {True, False}


def test_the_target_is_the_one_given_or_else_the_one_predicted():
    images = draw_images(10, (8, 8, 2))
    model = classifier([L.Dense(3, activation="softmax")])
    run = build_relevance(model, layers=["input"])
    predicted = run(images, LAST)
    best = model(images).numpy().argmax(axis=1)
    assert np.array_equal(predicted.targets, best)
    same = run(images, best.astype(np.int32))
    np.testing.assert_array_equal(same.layers["input"], predicted.layers["input"])
    other = run(images, ((best + 1) % 3).astype(np.int32))
    assert not np.allclose(other.layers["input"], predicted.layers["input"], atol=1e-2)
    for wrong in (-2, 3):
        with pytest.raises(InputError, match="0 to 2, or -1"):
            run(images, np.array([0, wrong, 1], np.int32))


def test_an_image_does_not_depend_on_the_others_of_its_batch():
    images = draw_images(11, (12, 10, 3), 5)
    targets = np.array([0, 1, 2, 3, -1], np.int32)
    run = build_relevance(randomise(branched(), 1))
    together = run(images, targets)
    for i in range(5):
        alone = run(images[i : i + 1], targets[i : i + 1])
        for name, map_ in alone.layers.items():
            np.testing.assert_allclose(map_[0], together.layers[name][i], rtol=1e-3, atol=1e-4)


def test_present_weights_count():
    images = draw_images(12, (8, 8, 2))
    model = classifier([L.Dense(4), L.BatchNormalization(), L.Dense(3)])
    run = build_relevance(model)
    before = run(images, LAST).layers["input"]
    randomise(model, 77)
    after = run(images, LAST).layers["input"]
    assert not np.allclose(before, after)
    np.testing.assert_allclose(after, inputs_of(model, images).layers["input"], rtol=1e-5)


def test_bounds_are_those_of_the_model_s_input_before_its_own_scaling():
    scaled = draw_images(13, (8, 8, 2)) / 3
    pixels = (scaled + 1) * 127.5
    options = {"input_rule": "box"}
    plain = classifier([L.Dense(3)])
    expected = inputs_of(plain, scaled, **options, low=-1, high=[1, 1]).layers["input"]
    assert np.abs(expected).max() > 0.01
    front = [L.Rescaling(1 / 127.5, -1), L.RandomFlip(), L.Dropout(0.5)]
    inside = classifier([L.Dense(3)], front=front)
    found = inputs_of(inside, pixels, **options, low=0, high=255).layers["input"]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    # Turned upside down, the bounds change places.
    expected = inputs_of(plain, -scaled, **options, low=-1, high=1).layers["input"]
    front = [L.Normalization(mean=127.5, variance=127.5**2), L.Rescaling(-1)]
    inside = classifier([L.Dense(3)], front=front)
    found = inputs_of(inside, pixels, **options, low=0, high=255).layers["input"]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_another_rule_for_the_first_layer_alone(branches):
    model, images, relevances = branches
    targets = np.array([0, 2, -1], np.int32)
    names = ["conv_same", "conv_same_in"]
    mixed = build_relevance(model, input_rule="epsilon", layers=names)(images, targets).layers
    assert list(mixed) == names
    np.testing.assert_allclose(mixed["conv_same"], relevances("z+").layers["conv_same"], rtol=1e-5)
    layer = model.get_layer("conv_same")
    weights, bias = as_matrix(layer, SHAPE)
    check(
        mixed["conv_same_in"][1],
        naive("epsilon", images[1].ravel(), weights, bias, mixed["conv_same"][1].ravel()),
    )


def test_nested_models_are_walked_into():
    inner = keras.Sequential([L.Conv2D(4, 3, activation="relu", name="conv")], name="deep")
    image = L.Input((8, 8, 2))
    x = L.Rescaling(2.0)(image)
    middle = L.Input((8, 8, 2))
    nested = keras.Model(middle, L.MaxPooling2D(2, name="pool")(inner(middle)), name="middle")
    x = nested(x)
    model = keras.Model(image, L.Dense(3, name="end")(L.Flatten()(x)))
    flat = keras.Sequential(
        [
            L.Input((8, 8, 2)),
            L.Rescaling(2.0),
            L.Conv2D(4, 3, activation="relu"),
            L.MaxPooling2D(2),
            L.Flatten(),
            L.Dense(3),
        ]
    )
    randomise(flat, 3)
    model.set_weights(flat.get_weights())
    assert relevance_layers(model) == ("input", "middle/deep/conv", "middle/pool", "end")
    images = draw_images(14, (8, 8, 2))
    expected = build_relevance(flat)(images, LAST).layers
    found = build_relevance(model)(images, LAST).layers
    for (name, map_), other in zip(found.items(), expected.values(), strict=True):
        np.testing.assert_allclose(map_, other, rtol=1e-4, atol=1e-5, err_msg=name)


def test_only_layers_with_a_heatmap_of_their_own_are_named():
    names = relevance_layers(keras.Sequential([L.Input((12, 10, 3), name="image"), *chain()]))
    kinds = [name.rstrip("_0123456789") for name in names]
    assert kinds == [
        "input", "conv2d", "max_pooling2d", "conv2d", "average_pooling2d", "conv2d", "dense"
    ]  # fmt: skip
    clash = keras.Sequential([L.Input((3,)), L.Dense(2, name="input")])
    assert relevance_layers(clash) == ("input", "input_")
    with pytest.raises(InputError, match=r"no heatmap of a layer 'flatten'.*input, input_"):
        build_relevance(clash, layers=["flatten"])


class OwnDense(L.Dense):
    """Could do anything."""


def refused_models():
    row, image = L.Input((6,)), L.Input((6, 4))
    pixels = L.Input((6, 6, 3))
    heads = L.MultiHeadAttention(1, 2, name="culprit")
    first = L.Conv2D(3, 3, padding="same", data_format="channels_first", name="culprit")
    return {
        "LSTM": keras.Model(image, L.LSTM(3, name="culprit")(image)),
        "MultiHeadAttention": keras.Model(image, heads(image, image)),
        "Lambda": keras.Model(row, L.Lambda(lambda x: x * 2, name="culprit")(row)),
        "Embedding": keras.Model(row, L.Embedding(5, 2, name="culprit")(row)),
        "OwnDense": keras.Model(row, OwnDense(2, name="culprit")(row)),
        "Multiply": keras.Model(row, L.Multiply(name="culprit")([row, row])),
        "Sin": keras.Model(row, keras.ops.sin(row)),
        "Add": keras.Model(row, keras.ops.add(row, row)),
        "channels first": keras.Model(pixels, first(pixels)),
        "bilinear": keras.Model(
            pixels, L.UpSampling2D(interpolation="bilinear", name="culprit")(pixels)
        ),
        "unequal": keras.Model(
            pixels,
            L.Add(name="culprit")([pixels, L.GlobalAveragePooling2D(keepdims=True)(pixels)]),
        ),
    }


def test_unsupported_layers_are_refused_by_name():
    for word, model in refused_models().items():
        with pytest.raises(InputError, match=word) as caught:
            check_supported(model)
        message = str(caught.value)
        # Functions name themselves, and are numbered.
        named = rf"{word.lower()}(_\d+)?" if word in ("Sin", "Add") else "culprit"
        assert re.search(rf"layer '{named}' \(", message)
        if word[0].isupper():
            assert all(name in message for name in SUPPORTED)
        with pytest.raises(InputError):
            build_relevance(model)


def test_models_that_cannot_be_walked_are_refused():
    one, two = L.Input((4,), name="one"), L.Input((4,), name="two")
    with pytest.raises(InputError, match="one of inputs, received 2"):
        check_supported(keras.Model([one, two], L.Add()([one, two])))
    with pytest.raises(InputError, match="one of outputs, received 2"):
        check_supported(keras.Model(one, [L.Dense(2)(one), L.Dense(2)(one)]))
    with pytest.raises(InputError, match="input shape"):
        check_supported(keras.Sequential([L.Dense(2)]))
    shared = L.Dense(4, name="both")
    with pytest.raises(InputError, match="'both' is used 2 times"):
        check_supported(keras.Model(one, shared(shared(one))))
    rectify = L.ReLU()
    check_supported(keras.Model(one, rectify(L.Dense(4)(rectify(L.Dense(4)(one))))))


def test_wrong_rules_and_bounds_are_refused():
    model = classifier([L.Dense(2)])
    for options, message in (
        ({"rule": "gamma"}, "rule: expected one of z\\+, epsilon, alpha-beta, received 'gamma'"),
        ({"input_rule": "flat"}, "input_rule: .*box, received 'flat'"),
        ({"rule": "box"}, "rule: "),
        ({"input_rule": "box"}, "smallest"),
        ({"input_rule": "box", "low": [0, 1], "high": 1}, "low < high"),
    ):
        with pytest.raises(InputError, match=message):
            build_relevance(model, **options)
