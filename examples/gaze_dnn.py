"""The DNN of the example: a small CNN that classifies gaze directions."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from examples.sampling import DIRECTIONS
from pipelines.dnn.keras import import_keras
from pipelines.runs.folder import Progress

SIZE = (160, 120)
"""Width and height of the example's images in pixels."""
LEARNING_RATE = 2e-3
_BATCH = 32
TRAINING = "training the DNN"
TESTING = "testing the DNN"


def build_dnn(size: tuple[int, int] = SIZE) -> Any:
    """Build the untrained, compiled gaze DNN.

    Parameters
    ----------
    size : tuple of int
        Width and height of the images, in pixels, at least 16 each.

    Returns
    -------
    keras.Sequential
        Takes (batch, height, width, 3) RGB values from 0 to 255 and returns (batch, 8) shares of
        `DIRECTIONS`, float32.
    """
    keras, _ = import_keras()
    from keras import layers

    width, height = size
    stack: list[Any] = [keras.Input((height, width, 3), name="image")]
    stack.append(layers.Rescaling(1 / 255, name="rescaling"))
    # The wide first step keeps training fast: the iris is large, and only its position counts.
    for block, (filters, kernel, step) in enumerate(((16, 5, 4), (32, 3, 1), (32, 3, 1)), start=1):
        stack.append(
            layers.Conv2D(
                filters, kernel, step, padding="same", activation="relu", name=f"conv{block}"
            )
        )
        if block < 3:
            stack.append(layers.MaxPooling2D(name=f"pool{block}"))
    stack.append(layers.Flatten(name="flatten"))
    stack.append(layers.Dense(64, activation="relu", name="dense"))
    stack.append(layers.Dense(len(DIRECTIONS), activation="softmax", name="direction"))
    dnn = keras.Sequential(stack, name="gaze_dnn")
    dnn.compile(
        keras.optimizers.Adam(LEARNING_RATE),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        # Compiling ahead takes longer than it saves on a processor.
        jit_compile=False,
    )
    return dnn


def train_dnn(
    paths: list[Path],
    directions: list[str],
    seed: int,
    epochs: int,
    size: tuple[int, int],
    progress: Progress,
) -> Any:
    """Build and train the DNN; on one machine, equal images and seed give an equal DNN.

    Therefore TensorFlow is switched to deterministic operations for the rest of the process.

    Parameters
    ----------
    paths : list of Path
        The images, all of one size.
    directions : list of str
        One of `DIRECTIONS` for each.
    seed : int
        Seed of the weights and of the order of images.
    epochs : int
        Passes over the images.
    size : tuple of int
        Width and height of the images in pixels.

    Returns
    -------
    keras.Sequential
    """
    keras, tf = import_keras()
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    images = _read_images(paths)
    labels = np.array([DIRECTIONS.index(direction) for direction in directions])
    dnn = build_dnn(size)
    steps = -(-len(paths) // _BATCH)
    done = 0

    def report(batch: int, logs: object) -> None:
        nonlocal done
        done += 1
        progress(TRAINING, done, steps * epochs)

    def slow_down(epoch: int) -> float:
        return LEARNING_RATE * (1 + math.cos(math.pi * epoch / epochs)) / 2

    callbacks = [
        keras.callbacks.LambdaCallback(on_train_batch_end=report),
        keras.callbacks.LearningRateScheduler(slow_down),
    ]
    dnn.fit(images, labels, _BATCH, epochs, verbose=0, callbacks=callbacks)
    # The file keeps the initial learning rate for further training.
    dnn.optimizer.learning_rate = LEARNING_RATE
    return dnn


def predict_directions(dnn: Any, paths: list[Path], progress: Progress) -> list[str]:
    """Return the DNN's class of every file."""
    predictions: list[str] = []
    for start in range(0, len(paths), _BATCH):
        shares = dnn.predict_on_batch(_read_images(paths[start : start + _BATCH]))
        predictions += [DIRECTIONS[best] for best in shares.argmax(axis=1)]
        progress(TESTING, len(predictions), len(paths))
    return predictions


def _read_images(paths: list[Path]) -> npt.NDArray[np.uint8]:
    return np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])
