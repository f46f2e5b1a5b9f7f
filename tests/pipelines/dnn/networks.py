"""Small networks with random weights, their relevance in plain loops, and its sums."""

import numpy as np

from pipelines.dnn.keras import import_keras
from pipelines.dnn.lrp_rules import EPSILON

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
        with_weight = w != 0
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
            shares += with_weight / with_weight.sum() * due
    return shares


def check(values, expected):
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(values.reshape(expected.shape), expected, atol=1e-4 * scale)


def sums(relevance):
    count = len(relevance.targets)
    due = relevance.logits[np.arange(count), relevance.targets]
    return {
        name: np.stack([map_.reshape(count, -1).sum(1), due])
        for name, map_ in relevance.layers.items()
    }


def check_sums(relevance):
    for name, (total, due) in sums(relevance).items():
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


def build_branches():
    """Have branches that are added, joined, used twice and normalised."""
    image = L.Input((12, 10, 3))
    x = L.Conv2D(6, 3, use_bias=False)(image)
    x = L.ReLU()(L.BatchNormalization()(x))
    side = L.Conv2D(6, 3, padding="same", use_bias=False, activation="tanh")(x)
    total = L.Add(name="added")([x, side, x])
    y = L.BatchNormalization(name="diagonal")(total)
    y = L.UpSampling2D()(L.MaxPooling2D(2)(y))
    concatenation = L.Concatenate(name="joined")([y, L.ELU()(side), y])
    z = L.DepthwiseConv2D(3, use_bias=False, activation="relu")(concatenation)
    z = L.SeparableConv2D(5, 3, use_bias=False, activation="relu")(z)
    z = L.Concatenate()([L.GlobalAveragePooling2D()(z), L.GlobalMaxPooling2D()(z)])
    return keras.Model(image, L.Dense(4, use_bias=False)(z))


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
        pooling = layer(L.MaxPooling2D(1, name=f"{name}_in")(image))
        ends.append(L.BatchNormalization(name=f"{name}_bn")(L.Dropout(0.5)(pooling)))
    flat = L.Concatenate()([L.Flatten()(end) for end in ends])
    return randomise(keras.Model(image, L.Dense(3, activation="softmax", name="end")(flat)))
