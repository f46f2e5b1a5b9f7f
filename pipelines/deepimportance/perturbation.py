"""DeepImportance, section 5: noisy and adversarial test sets, to check coverage criteria.

- gaussian: white noise on the 2 % of pixels that are most relevant for the prediction (U_DI);
- gaussian-random: white noise on equally many random pixels (U_S);
- fgsm: Goodfellow, Shlens, Szegedy, *Explaining and Harnessing Adversarial Examples*, ICLR 2015;
- bim: Kurakin, Goodfellow, Bengio, *Adversarial Examples in the Physical World*, 2016.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Bools, Doubles, Floats
from pipelines.dnn.keras import import_keras
from pipelines.dnn.lrp_plan import INPUT
from pipelines.dnn.model import Network, scale
from pipelines.dnn.relevance import PREDICTED, build_relevance
from pipelines.runs.errors import InputError

HOWS = ("gaussian", "gaussian-random", "fgsm", "bim")
SHARE = 0.02
"""Share of the pixels that get noise."""
NOISE, CHANGE = 0.3, 0.1
"""Standard deviation of noise (from the paper) and largest change, as shares of the pixel range."""
STEPS, STEP = 10, 0.125
"""BIM: number of steps, and the size of a step as a share of the largest change.

Ten steps of an eighth are more than the largest change, so that some steps may turn back.
"""
WHITE = 255

Pixels = NDArray[np.uint8]
Perturb = Callable[[Pixels, NDArray[np.int32]], Pixels]
"""Perturbs images (uint8, shape (n, height, width, channels)).

The second argument is the class that each image shows (int32, shape (n,)). If it is not known, it
is -1, and the predicted class is used.
"""


def find_most_relevant(relevance: Floats, count: int) -> Bools:
    """Return which pixels are the most relevant ones of each image.

    Parameters
    ----------
    relevance : array of float32, shape (n, height, width)
    count : int
        Number of pixels per image; of equal ones, the first are taken.

    Returns
    -------
    array of bool, shape (n, height, width)
    """
    flat = relevance.reshape(len(relevance), -1)
    relevant = np.zeros(flat.shape, dtype=np.bool_)
    np.put_along_axis(relevant, np.argsort(-flat, axis=1, kind="stable")[:, :count], True, axis=1)
    return relevant.reshape(relevance.shape)


def choose_random_pixels(
    shape: tuple[int, int, int], count: int, rng: np.random.Generator
) -> Bools:
    """Choose random pixels of each image.

    Parameters
    ----------
    shape : tuple of int
        (n, height, width).
    count : int
        Number of pixels per image.

    Returns
    -------
    array of bool, shape (n, height, width)
    """
    n, height, width = shape
    order = rng.random((n, height * width))
    return find_most_relevant(order.reshape(shape).astype(np.float32), count)


def add_noise(pixels: Pixels, where: Bools, deviation: float, rng: np.random.Generator) -> Pixels:
    """Add white noise to some pixels.

    Noise is drawn for all pixels and used for the chosen ones, so that different choices can be
    compared.

    Parameters
    ----------
    pixels : array of uint8, shape (n, height, width, channels)
    where : array of bool, shape (n, height, width)
        Pixels that get noise.
    deviation : float
        Standard deviation of the noise, as a share of the pixel range.

    Returns
    -------
    array of uint8, of the shape of `pixels`
    """
    noise = rng.normal(0, deviation * WHITE, pixels.shape)
    return _as_pixels(pixels + noise * where[..., None])


def check_perturbation(how: str, strength: float | None) -> float:
    """Return the strength of a perturbation, or its default if `strength` is None.

    Raises
    ------
    InputError
        When `how` is not one of `HOWS`, or `strength` is not a share above 0.
    """
    if how not in HOWS:
        raise InputError(f"--how: expected {', '.join(HOWS)}, received {how!r}.")
    amount = (NOISE if how.startswith("gaussian") else CHANGE) if strength is None else strength
    if not 0 < amount <= 1:
        raise InputError(f"--strength: expected a share above 0, at most 1, received {strength}.")
    return amount


def build_perturbation(
    network: Network, how: str, strength: float | None = None, seed: int = 0
) -> Perturb:
    """Build a function that perturbs batches of images, at the size of the network's input.

    Parameters
    ----------
    how : str
        One of `HOWS`.
    strength : float, optional
        A share of the pixel range: the standard deviation of noise, or the largest change of a
        pixel by an attack.
    seed : int
        Seed of the noise.

    Raises
    ------
    InputError
        When `how` or `strength` cannot be used, or relevance cannot pass through the network.
    """
    amount = check_perturbation(how, strength)
    rng = np.random.default_rng(seed)
    width, height = network.size
    assert width is not None and height is not None
    count = max(1, int(SHARE * width * height))
    if how == "gaussian-random":
        return lambda pixels, _: add_noise(
            pixels, choose_random_pixels(pixels.shape[:3], count, rng), amount, rng
        )
    if how == "gaussian":
        explain = build_relevance(network.model, rule="epsilon", layers=(INPUT,))  # Equation 1

        def disturb(pixels: Pixels, _: NDArray[np.int32]) -> Pixels:
            targets = np.full(len(pixels), PREDICTED, np.int32)
            relevances = explain(scale(network, pixels), targets)
            relevance = relevances.layers[INPUT].sum(axis=3)
            if network.outputs == 1:  # below 0, lowering the output supports the prediction
                relevance *= np.where(relevances.logits < 0, -1, 1).astype(np.float32)[..., None]
            return add_noise(pixels, find_most_relevant(relevance, count), amount, rng)

        return disturb
    ascend = build_gradient_signs(network)
    steps = STEPS if how == "bim" else 1
    largest = amount * WHITE

    def attack(pixels: Pixels, shown: NDArray[np.int32]) -> Pixels:
        start = pixels.astype(np.float32)
        truth = np.where(shown < 0, _predict(network, start), shown)  # of the unperturbed images
        moved = start
        for _ in range(steps):
            step = largest if steps == 1 else STEP * largest
            moved = moved + step * ascend(moved, truth)
            moved = np.clip(np.clip(moved, start - largest, start + largest), 0, WHITE)
        return _as_pixels(moved)

    return attack


def build_gradient_signs(network: Network) -> Callable[[Floats, NDArray[np.int32]], Floats]:
    """Compile a function that computes the signs of the gradient of the loss by the pixels.

    The loss is the cross entropy of the class that an image shows. It is computed from the values
    before softmax or sigmoid if Keras keeps them, because the gradient vanishes behind a softmax
    that is close to 1. Scaling multiplies pixels by positive numbers, so signs do not change (but
    caffe's scaling reverses the channels).

    Returns
    -------
    callable
        Takes pixels (float32, 0 to 255, shape (n, height, width, channels)) and classes (int32,
        shape (n,)); returns -1, 0 or 1 (float32) for each entry of the pixels.
    """
    keras, tf = import_keras()
    losses = keras.losses

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, *network.model.inputs[0].shape[1:]), tf.float32),
            tf.TensorSpec((None,), tf.int32),
        ],
        autograph=False,
    )
    def run(images, shown):  # type: ignore[no-untyped-def]
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = network.model(images, training=False)
            bare = network.activation not in {"softmax", "sigmoid"}
            if network.outputs > 1 and network.activation != "sigmoid":
                loss = losses.sparse_categorical_crossentropy(shown, outputs, from_logits=bare)
            else:
                one = tf.one_hot(shown, network.outputs)
                if network.outputs == 1:
                    one = tf.cast(shown, tf.float32)[:, None]
                logits = outputs if bare else getattr(outputs, "_keras_logits", None)
                if logits is None:
                    loss = losses.binary_crossentropy(one, outputs)
                else:  # Keras' formula, but without 1 - sigmoid, which is 0 for logits > 17
                    loss = tf.nn.softplus((1 - 2 * one) * tf.cast(logits, tf.float32))
        return tf.sign(tape.gradient(loss, images))

    def signs(pixels: Floats, shown: NDArray[np.int32]) -> Floats:
        gradient_signs: Floats = run(
            tf.constant(scale(network, pixels)), tf.constant(shown)
        ).numpy()
        return gradient_signs[..., ::-1] if network.scaling == "caffe" else gradient_signs

    return signs


def _predict(network: Network, pixels: Floats) -> NDArray[np.int32]:
    outputs = np.asarray(network.model(scale(network, pixels), training=False))
    if network.outputs > 1:
        return np.asarray(outputs.argmax(axis=1), dtype=np.int32)
    middle = 0.5 if network.activation == "sigmoid" else 0.0
    return np.asarray(outputs[:, 0] > middle, dtype=np.int32)


def _as_pixels(values: Doubles | Floats) -> Pixels:
    pixels: Pixels = np.clip(np.round(values), 0, WHITE).astype(np.uint8)
    return pixels
