"""Relevance from the output to every layer: none is lost, and models that cannot be walked."""

import re

import numpy as np
import pytest

from pipelines.dnn.lrp_plan import SUPPORTED
from pipelines.dnn.relevance import build_relevance, check_supported, relevance_layers
from pipelines.runs.errors import InputError
from tests.pipelines.dnn.networks import (
    LAST,
    RULES,
    SHAPE,
    L,
    as_matrix,
    build_branches,
    chain,
    check,
    check_sums,
    draw_images,
    keras,
    naive,
    randomise,
    tf,
)


def test_outputs_are_those_of_the_model(branches):
    model, images, relevances = branches
    result = relevances("z+")
    outputs = model(images).numpy()
    np.testing.assert_allclose(result.outputs, outputs, atol=1e-5)
    np.testing.assert_allclose(tf.nn.softmax(result.logits), outputs, atol=1e-5)
    assert result.targets.tolist() == [0, 2, outputs[2].argmax()]


def test_two_layers_by_hand():
    model = keras.Sequential([L.Input((2,)), L.Dense(2, "relu"), L.Dense(2)])
    model.set_weights(
        [np.array([[1, 2], [1, -3]]), np.array([1, 0]), np.array([[2, 0], [3, 1]]), np.zeros(2)]
    )
    result = build_relevance(model)(np.array([[3, 1]], np.float32), np.array([0], np.int32))
    # Hidden: 3 + 1 + 1 = 5, 6 - 3 = 3; output 0: 10 + 9 = 19.
    assert result.logits.tolist() == [[19, 3]]
    hidden, out = relevance_layers(model)[1:]
    assert result.layers[out].tolist() == [[19, 0]]
    np.testing.assert_allclose(result.layers[hidden], [[10, 9]], rtol=1e-6)
    # Of 10 the inputs get 3/4 and 1/4, for the bias gets nothing; of 9 the first gets all.
    np.testing.assert_allclose(result.layers["input"], [[16.5, 2.5]], rtol=1e-6)


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
        result = build_relevance(model, rule=rule)(images, np.array([1, 0], np.int32))
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
            check(result.layers["input"][i], relevance)


@pytest.mark.parametrize("rule", RULES)
def test_no_relevance_is_lost_in_a_chain_with_overlapping_pooling(rule):
    model = randomise(keras.Sequential([L.Input((12, 10, 3)), *chain()]), 2, biases=False)
    check_sums(build_relevance(model, rule=rule)(draw_images(3, (12, 10, 3)), LAST))


def test_inputs_of_any_size():
    image = L.Input((None, None, 3))
    x = L.Conv2D(4, 3, strides=2, activation="relu")(image)
    x = L.GlobalAveragePooling2D()(L.AveragePooling2D(2)(x))
    model = randomise(keras.Model(image, L.Dense(3)(x)), biases=False)
    run = build_relevance(model)
    for shape in ((9, 12, 3), (14, 8, 3)):
        result = run(draw_images(3, shape), LAST)
        assert result.layers["input"].shape == (3, *shape)
        check_sums(result)


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
        result = inputs_of(model, images)
        np.testing.assert_allclose(result.logits, plain.logits, atol=1e-6)
        np.testing.assert_allclose(result.outputs, model(images), atol=1e-6)
        np.testing.assert_allclose(result.layers["input"], plain.layers["input"], atol=1e-5)


def test_one_sigmoid_output_has_the_sign_of_its_logit():
    model = classifier([L.Dense(1, activation="sigmoid")])
    images = draw_images(9, (8, 8, 2))
    model.layers[-1].bias.assign_sub(inputs_of(model, images).logits.mean(axis=0))
    result = inputs_of(model, images)
    totals = result.layers["input"].reshape(3, -1).sum(1)
    np.testing.assert_allclose(totals, result.logits[:, 0], rtol=1e-4)
    assert np.array_equal(totals > 0, result.outputs[:, 0] > 0.5)
    assert set(totals > 0) == {True, False}


def test_the_target_is_the_one_given_or_else_the_one_predicted():
    images = draw_images(10, (8, 8, 2))
    model = classifier([L.Dense(3, activation="softmax")])
    run = build_relevance(model, layers=["input"])
    of_prediction = run(images, LAST)
    best = model(images).numpy().argmax(axis=1)
    assert np.array_equal(of_prediction.targets, best)
    same = run(images, best.astype(np.int32))
    np.testing.assert_array_equal(same.layers["input"], of_prediction.layers["input"])
    other = run(images, ((best + 1) % 3).astype(np.int32))
    assert not np.allclose(other.layers["input"], of_prediction.layers["input"], atol=1e-2)
    for wrong in (-2, 3):
        with pytest.raises(InputError, match="0 to 2, or -1"):
            run(images, np.array([0, wrong, 1], np.int32))


def test_an_image_does_not_depend_on_the_others_of_its_batch():
    images = draw_images(11, (12, 10, 3), 5)
    targets = np.array([0, 1, 2, 3, -1], np.int32)
    run = build_relevance(randomise(build_branches(), 1))
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
    inputs = draw_images(13, (8, 8, 2)) / 3
    pixels = (inputs + 1) * 127.5
    options = {"input_rule": "box"}
    plain = classifier([L.Dense(3)])
    expected = inputs_of(plain, inputs, **options, low=-1, high=[1, 1]).layers["input"]
    assert np.abs(expected).max() > 0.01
    front = [L.Rescaling(1 / 127.5, -1), L.RandomFlip(), L.Dropout(0.5)]
    inside = classifier([L.Dense(3)], front=front)
    result = inputs_of(inside, pixels, **options, low=0, high=255).layers["input"]
    np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-4)
    # Turned upside down, the bounds change places.
    expected = inputs_of(plain, -inputs, **options, low=-1, high=1).layers["input"]
    front = [L.Normalization(mean=127.5, variance=127.5**2), L.Rescaling(-1)]
    inside = classifier([L.Dense(3)], front=front)
    result = inputs_of(inside, pixels, **options, low=0, high=255).layers["input"]
    np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-4)


def test_another_rule_for_the_first_layer_alone(branches):
    model, images, relevances = branches
    targets = np.array([0, 2, -1], np.int32)
    names = ["conv_same", "conv_same_in"]
    maps = build_relevance(model, input_rule="epsilon", layers=names)(images, targets).layers
    assert list(maps) == names
    np.testing.assert_allclose(maps["conv_same"], relevances("z+").layers["conv_same"], rtol=1e-5)
    layer = model.get_layer("conv_same")
    weights, bias = as_matrix(layer, SHAPE)
    check(
        maps["conv_same_in"][1],
        naive("epsilon", images[1].ravel(), weights, bias, maps["conv_same"][1].ravel()),
    )


def test_nested_models_are_walked_into():
    inner = keras.Sequential([L.Conv2D(4, 3, activation="relu", name="conv")], name="deep")
    image = L.Input((8, 8, 2))
    x = L.Rescaling(2.0)(image)
    middle = L.Input((8, 8, 2))
    inner_model = keras.Model(middle, L.MaxPooling2D(2, name="pool")(inner(middle)), name="middle")
    x = inner_model(x)
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
    result = build_relevance(model)(images, LAST).layers
    for (name, map_), other in zip(result.items(), expected.values(), strict=True):
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


def build_unsupported():
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
    for word, model in build_unsupported().items():
        with pytest.raises(InputError, match=word) as refusal:
            check_supported(model)
        message = str(refusal.value)
        # Functions name themselves, and are numbered.
        layer_name = rf"{word.lower()}(_\d+)?" if word in ("Sin", "Add") else "culprit"
        assert re.search(rf"layer '{layer_name}' \(", message)
        if word[0].isupper():
            assert all(name in message for name in SUPPORTED)
        with pytest.raises(InputError):
            build_relevance(model)


def test_models_that_cannot_be_walked_are_refused():
    first, second = L.Input((4,), name="one"), L.Input((4,), name="two")
    with pytest.raises(InputError, match="expected one input, received 2"):
        check_supported(keras.Model([first, second], L.Add()([first, second])))
    with pytest.raises(InputError, match="expected one output, received 2"):
        check_supported(keras.Model(first, [L.Dense(2)(first), L.Dense(2)(first)]))
    with pytest.raises(InputError, match="input shape"):
        check_supported(keras.Sequential([L.Dense(2)]))
    layer = L.Dense(4, name="both")
    with pytest.raises(InputError, match="'both' is used 2 times"):
        check_supported(keras.Model(first, layer(layer(first))))
    rectify = L.ReLU()
    check_supported(keras.Model(first, rectify(L.Dense(4)(rectify(L.Dense(4)(first))))))


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
