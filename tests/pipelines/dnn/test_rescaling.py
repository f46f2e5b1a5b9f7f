"""A rescaling is found wherever it stands between the input and the first weights."""

import numpy as np
import pytest

from pipelines.dnn.keras import import_keras
from pipelines.dnn.model import load_network
from pipelines.dnn.rescaling import find_rescaling

keras, tf = import_keras()
L, ops = keras.layers, keras.ops
AUGMENTATION = (
    L.RandomFlip, lambda: L.RandomRotation(0.2), lambda: L.RandomZoom(0.2),
    lambda: L.RandomContrast(0.5), lambda: L.RandomBrightness(0.5), lambda: L.GaussianNoise(0.9),
    lambda: L.RandomTranslation(0.2, 0.2), lambda: L.Resizing(20, 20), lambda: L.ZeroPadding2D(2),
    lambda: L.CenterCrop(8, 8), lambda: L.Dropout(0.5),
)  # fmt: skip
"""What leaves black and white as they are, outside training."""


def build(*stack, shape=(12, 16, 3)):
    image = values = keras.Input(shape)
    for layer in stack:
        values = layer(values)
    return keras.Model(image, L.Dense(2)(L.GlobalAveragePooling2D()(values)))


def preprocess(mode):
    return lambda values: keras.applications.imagenet_utils.preprocess_input(values, mode=mode)


def adapt_normalisation():
    layer = L.Normalization()
    layer.adapt(np.random.default_rng(0).uniform(0, 255, (4, 12, 16, 3)))
    return layer


def inner(*stack):
    return keras.Sequential([keras.Input((12, 16, 3)), *stack])


RESCALING = {
    "a layer": lambda: [L.Rescaling(1 / 255)],
    "behind four of augmentation": lambda: [
        *(make() for make in AUGMENTATION[:4]), L.Rescaling(1 / 255)
    ],
    "behind all of augmentation": lambda: [*(make() for make in AUGMENTATION), L.Rescaling(1.5)],
    "Normalization": lambda: [adapt_normalisation()],
    "preprocess_input of MobileNet": lambda: [preprocess("tf")],
    "preprocess_input of VGG": lambda: [preprocess("caffe")],
    "preprocess_input of DenseNet": lambda: [preprocess("torch")],
    "an operation behind augmentation": lambda: [AUGMENTATION[0](), lambda x: x / 255],
    "a product": lambda: [lambda x: ops.multiply(x, 1 / 255)],
    "a layer in a model": lambda: [inner(L.RandomFlip(), L.Rescaling(1 / 255))],
    "a layer behind a model": lambda: [inner(L.RandomFlip()), L.Rescaling(1 / 255)],
    "an operation in a model": lambda: [build_operation()],
    "one of two ways": lambda: [lambda x: L.Concatenate()([x, L.Rescaling(1 / 255)(x)])],
}  # fmt: skip


def build_operation():
    part = keras.Input((12, 16, 3))
    return keras.Model(part, L.RandomFlip()(part) / 255)


@pytest.mark.parametrize("name", RESCALING)
@pytest.mark.parametrize("shape", [(12, 16, 3), (None, None, 3)])
def test_a_rescaling_is_found_wherever_it_stands(tmp_path, name, shape):
    model = build(*RESCALING[name](), L.Conv2D(4, 3, padding="same"), shape=shape)
    assert find_rescaling(model)
    model.save(tmp_path / "dnn.keras")
    network = load_network(tmp_path / "dnn.keras")
    assert network.rescaling and network.scaling == "none"


@pytest.mark.parametrize(
    "stack",
    [
        [],
        list(AUGMENTATION),
        [lambda: L.Conv2D(4, 3), lambda: L.Rescaling(1 / 255)],
        [L.BatchNormalization, lambda: L.Rescaling(1 / 255)],
        [lambda: L.MaxPooling2D(2), lambda: L.UpSampling2D(2)],
        [lambda: inner(L.Conv2D(3, 3, padding="same")), lambda: L.Rescaling(1 / 255)],
    ],
)
def test_what_keeps_black_and_white_or_stands_behind_weights_is_none(stack):
    assert find_rescaling(build(*(make() for make in stack), L.Conv2D(4, 3))) == ""


def test_what_rescales_is_named():
    assert find_rescaling(build(L.RandomFlip(), L.Rescaling(0.1, name="tenth"))) == "tenth"
    assert find_rescaling(build(preprocess("tf"))).startswith("true_divide")
