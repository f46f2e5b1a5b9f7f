"""DeepImportance, section 5: noisy and adversarial test sets, to check a criterion with.

- gaussian: white noise on the 2 % of pixels that are most relevant for the prediction (U_DI);
- gaussian-random: on as many random pixels (U_S);
- fgsm: Goodfellow, Shlens, Szegedy, *Explaining and Harnessing Adversarial Examples*, ICLR 2015;
- bim: Kurakin, Goodfellow, Bengio, *Adversarial Examples in the Physical World*, 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Floats
from pipelines.dnn.keras import import_keras
from pipelines.dnn.lrp_plan import INPUT
from pipelines.dnn.model import Network, scale
from pipelines.dnn.relevance import PREDICTED, build_relevance
from pipelines.runs.errors import InputError

HOWS = ("gaussian", "gaussian-random", "fgsm", "bim")
SHARE = 0.02
"""Of the pixels, those that noise is put on."""
NOISE, CHANGE = 0.3, 0.1
"""Of the range of pixels: the noise's standard deviation (the paper's), and the largest change."""
STEPS, STEP = 10, 0.125
"""Of BIM: how many, and how much of the largest change each is (with room for turns)."""
WHITE = 255

Pixels = NDArray[np.uint8]
Bits = NDArray[np.bool_]
Perturb = Callable[[Pixels, NDArray[np.int32]], Pixels]
"""From images, uint8, shape (n, height, width, channels), and the outputs that they show, int32,
shape (n,) (-1 where that is not known: what is predicted), to perturbed images."""


def most_relevant(relevance: Floats, count: int) -> Bits:
    """Tell which pixels are the most relevant ones of each image.

    Parameters
    ----------
    relevance : array of float32, shape (n, height, width)
    count : int
        Pixels an image; of equal ones the first are taken.

    Returns
    -------
    array of bool, of the same shape
    """
    flat = relevance.reshape(len(relevance), -1)
    found = np.zeros(flat.shape, dtype=np.bool_)
    np.put_along_axis(found, np.argsort(-flat, axis=1, kind="stable")[:, :count], True, axis=1)
    return found.reshape(relevance.shape)


def random_places(shape: tuple[int, int, int], count: int, rng: np.random.Generator) -> Bits:
    """Choose as many pixels of each image at random; shape (n, height, width)."""
    n, height, width = shape
    order = rng.random((n, height * width))
    return most_relevant(order.reshape(shape).astype(np.float32), count)


def add_noise(pixels: Pixels, where: Bits, deviation: float, rng: np.random.Generator) -> Pixels:
    """Add white noise to some pixels, the same amount of it whichever pixels they are.

    Parameters
    ----------
    pixels : array of uint8, shape (n, height, width, channels)
    where : array of bool, shape (n, height, width)
    deviation : float
        Of the noise, as a share of the range of pixels.
    """
    noise = rng.normal(0, deviation * WHITE, pixels.shape)
    return _as_pixels(pixels + noise * where[..., None])


def check_perturbing(how: str, strength: float | None) -> float:
    """Return the strength, or the usual one; raise InputError when it or `how` is none."""
    if how not in HOWS:
        raise InputError(f"--how: expected {', '.join(HOWS)}, received {how!r}.")
    amount = (NOISE if how.startswith("gaussian") else CHANGE) if strength is None else strength
    if not 0 < amount <= 1:
        raise InputError(f"--strength: expected a share above 0, at most 1, received {strength}.")
    return amount


def build_perturbing(
    network: Network, how: str, strength: float | None = None, seed: int = 0
) -> Perturb:
    """Return what perturbs batches of images, at the size of the network's input.

    Parameters
    ----------
    how : str
        One of `HOWS`.
    strength : float, optional
        A share of the range of pixels: of noise its standard deviation, else the largest change of
        a pixel.

    Raises
    ------
    InputError
        When `how` or `strength` is none, or relevance cannot pass through the network.
    """
    amount = check_perturbing(how, strength)
    rng = np.random.default_rng(seed)
    width, height = network.size
    assert width is not None and height is not None
    count = max(1, int(SHARE * width * height))
    if how == "gaussian-random":
        return lambda pixels, _: add_noise(
            pixels, random_places(pixels.shape[:3], count, rng), amount, rng
        )
    if how == "gaussian":
        explain = build_relevance(network.model, rule="epsilon", layers=(INPUT,))  # Equation 1

        def disturb(pixels: Pixels, _: NDArray[np.int32]) -> Pixels:
            targets = np.full(len(pixels), PREDICTED, np.int32)
            found = explain(scale(network, pixels), targets)
            relevance = found.layers[INPUT].sum(axis=3)
            if network.outputs == 1:  # below 0, what lowers it speaks for what is predicted
                relevance *= np.where(found.logits < 0, -1, 1).astype(np.float32)[..., None]
            return add_noise(pixels, most_relevant(relevance, count), amount, rng)

        return disturb
    ascend = build_gradient_signs(network)
    steps = STEPS if how == "bim" else 1
    largest = amount * WHITE

    def attack(pixels: Pixels, shown: NDArray[np.int32]) -> Pixels:
        start = pixels.astype(np.float32)
        truth = np.where(shown < 0, _predict(network, start), shown)  # once: steps change it
        moved = start
        for _ in range(steps):
            step = largest if steps == 1 else STEP * largest
            moved = moved + step * ascend(moved, truth)
            moved = np.clip(np.clip(moved, start - largest, start + largest), 0, WHITE)
        return _as_pixels(moved)

    return attack


def build_gradient_signs(network: Network) -> Callable[[Floats, NDArray[np.int32]], Floats]:
    """Compile the signs of the loss's gradient with regard to the pixels.

    The loss is the cross entropy of the class that an image shows, from the values before softmax
    or sigmoid where Keras knows them: behind a sure softmax the gradient vanishes.  Scaling
    multiplies pixels by positive numbers, so that signs stay (caffe's turns the channels round).

    Returns
    -------
    callable
        From pixels, float32, 0 to 255, of shape (n, height, width, channels), and classes, int32,
        of shape (n,), to -1, 0 and 1, float32, of the pixels' shape.
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
                else:  # as Keras, but its difference from 1 is 0 for logits above 17
                    loss = tf.nn.softplus((1 - 2 * one) * tf.cast(logits, tf.float32))
        return tf.sign(tape.gradient(loss, images))

    def signs(pixels: Floats, shown: NDArray[np.int32]) -> Floats:
        values: Any = pixels  # scaling takes whole numbers and others
        found: Floats = run(tf.constant(scale(network, values)), tf.constant(shown)).numpy()
        return found[..., ::-1] if network.scaling == "caffe" else found

    return signs


def _predict(network: Network, pixels: Floats) -> NDArray[np.int32]:
    values: Any = pixels
    outputs = np.asarray(network.model(scale(network, values), training=False))
    if network.outputs > 1:
        return np.asarray(outputs.argmax(axis=1), dtype=np.int32)
    middle = 0.5 if network.activation == "sigmoid" else 0.0
    return np.asarray(outputs[:, 0] > middle, dtype=np.int32)


def _as_pixels(values: NDArray[Any]) -> Pixels:
    pixels: Pixels = np.clip(np.round(values), 0, WHITE).astype(np.uint8)
    return pixels
