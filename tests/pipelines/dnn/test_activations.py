"""Activations of neurons, against what Keras itself gives for each layer, averaged in loops."""

import numpy as np
import pytest
from PIL import Image

from pipelines.data.images import check_image
from pipelines.dnn.activations import build_activations, neuron_layers, stream_activations
from pipelines.dnn.keras import import_keras
from pipelines.dnn.model import load_network
from pipelines.dnn.relevance import relevance_layers
from pipelines.runs.errors import InputError

keras, tf = import_keras()
L = keras.layers
SHAPE = (9, 8, 3)


def randomise(model, seed=0):
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if "seed" not in variable.path:
            draw = rng.normal(0, 0.5, variable.shape)
            variable.assign(0.3 + np.abs(draw) if "variance" in variable.path else draw)
    return model


def draw_images(count=5, shape=SHAPE):
    return np.random.default_rng(1).normal(0, 1, (count, *shape)).astype(np.float32)


def average_maps(maps):
    """Average each feature map in plain loops."""
    maps = np.asarray(maps, np.float64)
    if maps.ndim == 2:
        return maps
    means = np.zeros((len(maps), maps.shape[-1]))
    for n in range(len(maps)):
        for k in range(maps.shape[-1]):
            means[n, k] = sum(maps[n, ..., k].ravel()) / maps[n, ..., k].size
    return means


def call_layer(model, layer, images):
    return average_maps(keras.Model(model.inputs[0], model.get_layer(layer).output)(images))


def quiet(stage, done, total):
    """Listen to nothing."""


@pytest.fixture(scope="module")
def branch_model():
    """Return a graph with branches, and layers with and without a nonlinearity behind them."""
    start = keras.Input(SHAPE)
    x = L.Conv2D(4, 3, activation="relu", name="own")(start)
    x = L.BatchNormalization(name="norm_of_own")(x)
    side = L.Conv2D(5, 1, name="normed")(x)
    side = L.BatchNormalization(name="norm")(side)
    side = L.ReLU(name="relu")(side)
    right = L.SeparableConv2D(5, 1, name="added")(x)
    right = L.BatchNormalization(name="norm_of_added")(right)
    x = L.Activation("tanh")(L.Add()([side, right]))
    x = L.DepthwiseConv2D(2, depth_multiplier=2, name="depth")(x)
    x = L.PReLU(name="prelu")(x)
    fork = L.Conv2D(3, 2, name="forked")(x)
    x = L.Concatenate()([L.ReLU()(fork), fork])
    x = L.Dropout(0.5)(keras.ops.mean(x, axis=(1, 2)))
    x = L.Dense(6, name="function")(x)
    x = keras.activations.relu(x)
    x = L.Dense(4, name="end")(x)
    return randomise(keras.Model(start, L.Softmax(name="softmax")(x)))


WHERE = {
    "own": "own", "normed": "relu", "added": "norm_of_added", "depth": "prelu", "forked": "forked",
    "end": "softmax",
}  # fmt: skip


def test_neurons_are_units_and_feature_maps_from_input_to_output(branch_model):
    expected = {
        "own": 4, "normed": 5, "added": 5, "depth": 10, "forked": 3, "function": 6, "end": 4,
    }  # fmt: skip
    neurons = neuron_layers(branch_model)
    assert neurons == expected
    order = list(neurons)
    assert order.index("own") == 0
    assert order[-4:] == ["depth", "forked", "function", "end"]


def test_activations_are_means_of_what_keras_gives(branch_model):
    images = draw_images()
    outputs, activations = build_activations(branch_model, list(neuron_layers(branch_model)))(
        images
    )
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, branch_model(images, training=False), atol=1e-5)
    for layer, behind in WHERE.items():
        assert activations[layer].dtype == np.float32
        expected = call_layer(branch_model, behind, images)
        np.testing.assert_allclose(activations[layer], expected, atol=1e-4, err_msg=layer)
    plain = call_layer(branch_model, "function", images)
    assert plain.min() < 0
    np.testing.assert_allclose(activations["function"], np.maximum(plain, 0), atol=1e-4)


def test_only_what_is_asked_for_is_given(branch_model):
    _, activations = build_activations(branch_model, ["end", "own"])(draw_images(1))
    assert {name: value.shape for name, value in activations.items()} == {
        "end": (1, 4),
        "own": (1, 4),
    }
    _, nothing = build_activations(branch_model, [])(draw_images(2))
    assert nothing == {}


def test_the_model_stays_as_it_is_and_its_present_weights_count():
    model = randomise(keras.Sequential([keras.Input((4, 4, 1)), L.Flatten(), L.Dense(3)]))
    before = [variable.numpy().copy() for variable in model.variables]
    (name,) = neuron_layers(model)
    measure = build_activations(model, [name])
    images = draw_images(2, (4, 4, 1))
    _, first = measure(images)
    for old, new in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, new.numpy())
    assert model.get_layer(name).output is not None  # with a second use Keras would not tell
    model.variables[1].assign_add(np.ones(3))
    np.testing.assert_allclose(measure(images)[1][name], first[name] + 1, atol=1e-5)


def nest_model(kind):
    """Return a network inside a network, whose last layer's nonlinearity lies outside of it."""
    inner = [L.Conv2D(4, 3, activation="relu", name="first"), L.Conv2D(3, 2, name="last")]
    if kind == "sequential":
        base = keras.Sequential([keras.Input(SHAPE), *inner], name="base")
    else:
        start = keras.Input(SHAPE)
        base = keras.Model(start, inner[1](inner[0](start)), name="base")
    whole = keras.Input(SHAPE)
    x = L.ReLU()(base(L.Rescaling(0.5)(whole), training=False))
    x = L.GlobalAveragePooling2D()(x)
    model = randomise(keras.Model(whole, L.Dense(2, activation="softmax", name="end")(x)))
    return model, base


@pytest.mark.parametrize("kind", ["sequential", "functional"])
def test_layers_of_nested_models_are_measured(kind):
    model, base = nest_model(kind)
    assert neuron_layers(model) == {"base/first": 4, "base/last": 3, "end": 2}
    images = draw_images()
    outputs, activations = build_activations(model, list(neuron_layers(model)))(images)
    np.testing.assert_allclose(outputs, model(images), atol=1e-5)
    first = base.get_layer("first")(images * 0.5)
    np.testing.assert_allclose(activations["base/first"], average_maps(first), atol=1e-4)
    last = np.maximum(base.get_layer("last")(first), 0)
    np.testing.assert_allclose(activations["base/last"], average_maps(last), atol=1e-4)


@pytest.mark.parametrize("kind", ["sequential", "functional"])
def test_names_are_those_that_relevance_gives(kind):
    model, _ = nest_model(kind)
    assert set(neuron_layers(model)) <= set(relevance_layers(model))


def test_of_a_layer_that_is_used_twice_the_mean_counts():
    start = keras.Input((6, 6, 2))
    layer = L.Conv2D(2, 3, padding="same", activation="tanh", name="shared")
    base = keras.Sequential([keras.Input((6, 6, 2)), L.Dense(3, name="unit")], name="base")
    ends = [base(start), base(layer(layer(start)))]
    model = randomise(keras.Model(start, L.Flatten()(L.Concatenate()(ends))))
    images = draw_images(4, (6, 6, 2))
    assert neuron_layers(model) == {"shared": 2, "base/unit": 3}
    _, activations = build_activations(model, ["shared", "base/unit"])(images)
    first = layer(images)
    second = layer(first)
    both = (average_maps(first) + average_maps(second)) / 2
    np.testing.assert_allclose(activations["shared"], both, atol=1e-5)
    both = (average_maps(base(images)) + average_maps(base(second))) / 2
    np.testing.assert_allclose(activations["base/unit"], both, atol=1e-4)


def test_noise_and_augmentation_are_off():
    model = randomise(
        keras.Sequential(
            [
                keras.Input(SHAPE),
                L.RandomFlip(),
                L.GaussianNoise(0.9),
                L.Conv2D(3, 3, name="maps"),
                L.Dropout(0.9),
                L.BatchNormalization(),
                L.Flatten(),
                L.Dense(2, name="end"),
            ]
        )
    )
    images = draw_images()
    outputs, _ = build_activations(model, ["maps"])(images)
    np.testing.assert_allclose(outputs, model(images, training=False), atol=1e-4)


@pytest.mark.parametrize("name", ["MobileNetV2", "EfficientNetV2B0"])
def test_networks_of_keras_are_measured(name):
    build = getattr(keras.applications, name)
    model = build(input_shape=(32, 32, 3), weights=None, classes=5)
    layers = neuron_layers(model)
    assert len(layers) > 40
    images = draw_images(2, (32, 32, 3))
    outputs, activations = build_activations(model, list(layers))(images)
    np.testing.assert_allclose(outputs, model(images, training=False), atol=1e-5)
    assert {key: value.shape for key, value in activations.items()} == {
        key: (2, count) for key, count in layers.items()
    }


def test_an_unknown_layer_is_refused(branch_model):
    with pytest.raises(InputError, match=r"no neurons in a layer 'relu'.*Choose among own, "):
        build_activations(branch_model, ["own", "relu"])


def test_models_that_cannot_be_walked_are_refused():
    class Own(keras.Model):
        def call(self, values):
            return values

    with pytest.raises(InputError, match="does not say how its layers are connected"):
        neuron_layers(Own())
    start = keras.Input((3,))
    two = keras.Model(start, [L.Dense(1)(start), L.Dense(1)(start)])
    with pytest.raises(InputError, match="expected one output, received 2"):
        build_activations(two, [])


@pytest.fixture
def file_and_model(tmp_path):
    """Return a model file, and a function that changes the model before it is saved."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((12, 16, 3)),
            L.Rescaling(1 / 255),
            L.Conv2D(4, 3, activation="tanh", name="maps"),
            L.Flatten(),
            L.Dense(3, activation="softmax", name="end"),
        ]
    )
    return tmp_path / "dnn.keras", model


def images_of(folder, draw, count=7):
    names = [f"{seed}.png" for seed in range(count)]
    for seed, name in enumerate(names):
        draw(folder / name, seed, size=(16, 12))
    return [check_image(folder, name) for name in names]


@pytest.mark.parametrize("batch_size", [3, 32])
def test_a_folder_is_streamed(tmp_path, draw, file_and_model, batch_size):
    file, model = file_and_model
    model.save(file)
    folder = tmp_path / "images"
    images = images_of(folder, draw)
    (folder / "2.png").write_bytes(b"\x89PNG")
    steps = []
    batches = list(
        stream_activations(
            load_network(file), ["maps", "end"], folder, images,
            lambda *step: steps.append(step), batch_size=batch_size,
        )
    )  # fmt: skip
    assert [len(batch.images) for batch in batches] == ([2, 3, 1] if batch_size == 3 else [6])
    paths = [image.path for batch in batches for image in batch.images]
    assert paths == [f"{seed}.png" for seed in (0, 1, 3, 4, 5, 6)]
    assert [file.path for batch in batches for file in batch.rejected] == ["2.png"]
    assert steps[-1] == ("measuring activations", 7, 7)
    pixels = np.stack([np.asarray(Image.open(folder / name)) for name in paths]).astype(np.float32)
    outputs = np.concatenate([batch.outputs for batch in batches])
    np.testing.assert_allclose(outputs, model.predict(pixels, verbose=0), atol=1e-5)
    for name in ("maps", "end"):
        activations = np.concatenate([batch.layers[name] for batch in batches])
        np.testing.assert_allclose(activations, call_layer(model, name, pixels), atol=1e-4)


def test_a_batch_of_unreadable_images_is_empty(tmp_path, draw, file_and_model):
    file, model = file_and_model
    model.save(file)
    images = images_of(tmp_path / "images", draw, 1)
    (tmp_path / "images" / "0.png").write_bytes(b"\x89PNG")
    network = load_network(file)
    (batch,) = stream_activations(network, ["maps"], tmp_path / "images", images, quiet)
    assert batch.images == []
    assert len(batch.rejected) == 1
    assert batch.outputs.shape == (0, 3)
    assert batch.layers["maps"].shape == (0, 4)


@pytest.mark.parametrize(("layer", "words"), [("maps", "its layer 'maps'"), ("end", "its output")])
def test_what_is_not_a_number_is_told_with_image_and_layer(
    tmp_path, draw, file_and_model, layer, words
):
    file, model = file_and_model
    weights = model.get_layer(layer).kernel
    weights.assign(np.full(weights.shape, np.nan))
    model.save(file)
    images = images_of(tmp_path / "images", draw, 2)
    with pytest.raises(InputError) as error:
        list(stream_activations(load_network(file), ["maps"], tmp_path / "images", images, quiet))
    assert words in str(error.value)
    assert "for 0.png is not a number" in str(error.value)
