"""Files of Keras 2 are loaded and predict what they did; what cannot be is refused in one line."""

import numpy as np
import pytest

from pipelines.dnn.keras import import_keras
from pipelines.dnn.keras2 import is_old, mend
from pipelines.dnn.model import load_network
from pipelines.runs.errors import InputError
from tests.pipelines.dnn.networks import randomise
from tests.pipelines.dnn.old_files import save_old

keras, _ = import_keras()
L = keras.layers
SHAPE = (12, 16, 3)
BEGINNING = [L.Conv2D(6, 3), L.BatchNormalization()]


def sequential(*stack):
    end = [L.GlobalAveragePooling2D(), L.Dense(4, activation="softmax")]
    return keras.Sequential([keras.Input(SHAPE), *stack, *end])


def functional(*stack):
    image = values = keras.Input(SHAPE)
    for layer in stack:
        values = layer(values)
    return keras.Model(image, L.Dense(4)(L.GlobalAveragePooling2D()(values)))


def share_layer():
    inner = keras.Sequential([keras.Input(SHAPE), L.Conv2D(3, 3, padding="same")])
    return functional(inner, inner)


def end_with_models():
    """Have inner models at the end: one of each kind."""
    part = keras.Input(SHAPE)
    first = keras.Model(part, L.Conv2D(5, 3)(part))
    second = keras.Sequential([keras.Input((10, 14, 5)), L.Flatten(), L.Dense(4)])
    image = keras.Input(SHAPE)
    return keras.Model(image, second(first(image)))


MODELS = {
    "mobilenet v1": lambda: keras.applications.MobileNet(
        (32, 32, 3), alpha=0.25, weights=None, classes=4
    ),
    "augmentation": lambda: sequential(
        L.RandomFlip("horizontal"), L.RandomRotation(0.1), L.RandomZoom(0.1),
        L.RandomTranslation(0.1, 0.1), L.Rescaling(1 / 255), L.Conv2D(4, 3),
    ),
    "functional": lambda: functional(L.Rescaling(1 / 255), L.Conv2D(6, 3), L.BatchNormalization()),
    "other convolutions": lambda: functional(
        L.DepthwiseConv2D(3), L.Conv2DTranspose(4, 3), L.SeparableConv2D(4, 3), L.LeakyReLU(0.2)
    ),
    "grouped": lambda: functional(L.Conv2D(6, 3), L.Conv2D(6, 3, groups=3)),
    "a model inside": lambda: functional(L.Rescaling(1 / 255), functional_part(), L.ReLU()),
    "a sequence inside": lambda: functional(
        keras.Sequential([keras.Input(SHAPE), L.RandomFlip(), L.Conv2D(4, 3)]), L.ReLU()
    ),
    "a model that is used twice": share_layer,
    "a model at the end": end_with_models,
}  # fmt: skip


def functional_part():
    part = keras.Input(SHAPE)
    return keras.Model(part, L.Conv2D(5, 3)(part))


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_keras_2_predicts_what_it_did(tmp_path, name, suffix):
    model = randomise(MODELS[name]())
    network = load_network(save_old(model, tmp_path / f"old{suffix}"), "none")
    pictures = np.random.default_rng(0).uniform(0, 255, (2, *model.input_shape[1:]))
    pictures = pictures.astype(np.float32)
    outputs = np.asarray(network.model(pictures, training=False))
    expected = np.asarray(model(pictures, training=False))
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_outside_training_a_random_crop_of_keras_2_resizes_what_fits(tmp_path, suffix):
    resizing = L.Resizing(8, 8, crop_to_aspect_ratio=True, name="crop")
    model = randomise(keras.Sequential([keras.Input(SHAPE), resizing, L.Flatten(), L.Dense(4)]))

    def crop(entry):
        if entry["class_name"] == "Resizing":
            entry["class_name"] = "RandomCrop"
            entry["config"] = {
                "name": "crop", "trainable": True, "dtype": "float32", "height": 8, "width": 8,
                "rng_type": "stateful", "seed": None,
            }  # fmt: skip

    network = load_network(save_old(model, tmp_path / f"old{suffix}", crop), "none")
    pictures = np.random.default_rng(0).uniform(0, 255, (2, *SHAPE)).astype(np.float32)
    np.testing.assert_allclose(network.model(pictures), model(pictures), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize(
    ("operation", "number", "scale", "offset"),
    [
        ("math.truediv", 127.5, 1 / 127.5, 0.0),
        ("math.subtract", 1.0, 1.0, -1.0),
        ("math.multiply", 2.0, 2.0, 0.0),
        ("__operators__.add", 3.0, 1.0, 3.0),
    ],
)
def test_operations_with_a_number_are_rescalings(
    tmp_path, suffix, operation, number, scale, offset
):
    model = randomise(functional(L.Rescaling(scale, offset, name="tf.op"), L.Conv2D(4, 3)))

    def operate(entry):
        if entry["class_name"] == "Rescaling":
            entry |= {"class_name": "TFOpLambda", "registered_name": "TFOpLambda"}
            entry["module"] = "keras.src.layers.core.tf_op_layer"
            entry["config"] = {
                "name": "tf.op", "trainable": True, "dtype": "float32", "function": operation,
            }  # fmt: skip
            (((source,),),) = (entry["inbound_nodes"],)
            entry["inbound_nodes"] = [[*source[:3], {"y": number, "name": None}]]

    network = load_network(save_old(model, tmp_path / f"old{suffix}", operate))
    assert network.rescaling == "tf.op"
    pictures = np.random.default_rng(0).uniform(0, 255, (2, *SHAPE)).astype(np.float32)
    np.testing.assert_allclose(network.model(pictures), model(pictures), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_a_layer_that_keras_3_lacks_is_named(tmp_path, suffix):
    def change(entry):
        if entry["class_name"] == "ReLU":
            entry["class_name"] = "ThresholdedReLU"
            entry["config"] = {"name": "gone", "trainable": True, "theta": 0.5}

    file = save_old(sequential(L.Conv2D(4, 3), L.ReLU()), tmp_path / f"old{suffix}", change)
    with pytest.raises(InputError, match=r"Keras 2\.15\.0.*class ThresholdedReLU.*'gone'.*Put"):
        load_network(file, "none")


def test_groups_that_are_more_than_one_are_not_dropped():
    layer = {"class_name": "DepthwiseConv2D", "config": {"name": "a", "groups": 2}}
    assert mend(layer, keras) == layer


def test_a_command_converts_what_cannot_be_mended(tmp_path):
    def change(entry):
        if entry["class_name"] == "Conv2D":
            entry["config"]["invented"] = 1

    for suffix in (".h5", ".keras"):
        file = save_old(sequential(L.Conv2D(4, 3, name="odd")), tmp_path / f"old{suffix}", change)
        with pytest.raises(InputError, match=r"2\.15\.0.*'odd' \(Conv2D\).*invented") as refusal:
            load_network(file, "none")
        assert "\n" not in str(refusal.value)
        assert ("This command converts it" in str(refusal.value)) == (suffix == ".keras")


@pytest.mark.parametrize(
    ("module", "kind", "new"),
    [
        ("keras.src.engine.functional", "Functional", "keras.src.models.functional"),
        ("keras.engine.functional", "Functional", "keras.src.models.functional"),
        ("tf_keras.src.engine.functional", "Functional", "keras.src.models.functional"),
        ("tensorflow.python.keras.engine.sequential", "Sequential", "keras.models"),
        ("tf_keras.layers", "Conv2D", "keras.layers"),
        ("keras.src.layers.convolutional.conv2d", "Conv2D", "keras.layers"),
        ("keras.initializers", "Zeros", "keras.initializers"),
        ("mine.layers", "Conv2D", "mine.layers"),
    ],
)
def test_modules_that_moved(module, kind, new):
    entry = {"module": module, "class_name": kind, "config": {}}
    assert mend(entry, keras)["module"] == new
    assert entry["module"] == module  # the file's own description stays as it is


def test_versions():
    layer = {"class_name": "Conv2D", "module": "keras.layers", "config": {}}
    assert is_old(layer, "2.15.0") and is_old(layer, "1.2") and not is_old(layer, "3.15.1")
    assert not is_old(layer, "")
    assert is_old(layer | {"module": "keras.src.engine.functional"}, "")
