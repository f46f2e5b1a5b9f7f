"""Bright spots, left or right of the middle, in four heights, and a small DNN to look at them."""

import numpy as np
from PIL import Image

from pipelines.dnn.keras import import_keras

SIZE = (24, 20)


def quiet(stage, done, total):
    """Listen to nothing."""


def draw(folder, seed, count):
    """Draw bright spots: left or right of the middle, in four heights, with noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    for number in range(count):
        is_left = number % 2
        place = (rng.uniform(2, 9) if is_left else rng.uniform(14, 21), 3 + 4 * (number % 4))
        spot = 220 * np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / 8)
        pixels = np.clip(spot + rng.normal(20, 8, (SIZE[1], SIZE[0])), 0, 255)
        name = "left" if is_left else "right"
        (folder / name).mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(np.repeat(pixels[..., None], 3, 2).astype(np.uint8))
        image.save(folder / name / f"{seed}_{number:02d}.png")
    return folder


def build(*more, hidden=6, end=None, name=None):
    """Build a small DNN of random weights; `more` layers stand before it is flat.

    The last layer is `end`, or one for two classes that has the `name`.
    """
    keras, _ = import_keras()
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((SIZE[1], SIZE[0], 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.MaxPooling2D(3, 2, name="pool"),
            *more,
            layers.Flatten(),
            layers.Dense(hidden, activation="relu", name="hidden"),
            end or layers.Dense(2, activation="softmax", name=name),
        ]
    )


def save_model(file, *more, **options):
    """Save the DNN with the weights it starts from: wrong on about every other image."""
    keras, _ = import_keras()
    keras.utils.set_random_seed(3)
    build(*more, **options).save(file)
    return file
