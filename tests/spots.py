"""A small world to retrain in: spots left or right of the middle, and a DNN that knows bright ones.

The situation that its training set leaves out is a dark spot on bright ground.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.dnn.keras import import_keras

SIZE = (24, 20)


@dataclass(frozen=True)
class World:
    """Where everything is; `run` has clusters and an unsafe set."""

    model: Path
    train: Path
    test: Path
    improvement: Path
    run: Path


def make_world(folder):
    """Draw the world, and go the tool's way from the test to the unsafe set."""
    from pipelines.dnn.job import EvaluationOptions, test_model
    from pipelines.hudd.job import Options, find_clusters_by_heatmaps
    from pipelines.hudd.placement import measure
    from pipelines.unsafe_set.job import SelectionOptions, select_unsafe_set

    train = draw_spots(folder / "train", 1, 80, 0.0)
    test = draw_spots(folder / "test", 2, 80, 0.5)
    improvement = draw_spots(folder / "improvement", 3, 60, 0.5)
    model = train_dnn(train, folder / "dnn.keras")
    run, test_run = folder / "run", folder / "tested"
    test_model(model, test, test_run, EvaluationOptions(), progress=quiet)
    find_clusters_by_heatmaps(model, test_run / "failures.txt", run, Options(), progress=quiet)
    select_unsafe_set(run, improvement, SelectionOptions(count=24), measure, progress=quiet)
    return World(model, train, test, improvement, run)


def quiet(*progress):
    """Listen to nothing."""


def draw_spots(folder, seed, count, dark_share):
    """Draw spots into class folders; those with "dark" in their name are dark."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    for number in range(count):
        is_left, dark = number % 2 == 0, rng.random() < dark_share
        middle = rng.uniform(2, 9) if is_left else rng.uniform(14, 21), rng.uniform(3, 16)
        spot = 200 * np.exp(-((x - middle[0]) ** 2 + (y - middle[1]) ** 2) / 8)
        ground = rng.normal(30, 8, (SIZE[1], SIZE[0]))
        pixels = np.clip(255 - spot - ground if dark else spot + ground, 0, 255).astype(np.uint8)
        place = folder / ("left" if is_left else "right")
        place.mkdir(parents=True, exist_ok=True)
        kind = "dark" if dark else "bright"
        Image.fromarray(np.repeat(pixels[..., None], 3, 2)).save(
            place / f"{kind}_{seed}_{number:03d}.png"
        )
    return folder


def train_dnn(folder, file, epochs=30):
    """Train a small network on a folder of spots, compiled as its file tells afterwards."""
    keras, tf = import_keras()
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(1)
    layers = keras.layers
    dnn = keras.Sequential(
        [
            keras.Input((SIZE[1], SIZE[0], 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(12, 5, 2, activation="relu", name="conv"),
            layers.Flatten(),
            layers.Dropout(0.1),
            layers.Dense(32, activation="relu", name="hidden"),
            layers.Dense(2, activation="softmax", name="end"),
        ]
    )
    files = sorted(folder.rglob("*.png"))
    pixels = np.stack([np.asarray(Image.open(path)) for path in files])
    targets = np.array([path.parent.name == "right" for path in files]).astype(np.int32)
    dnn.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", jit_compile=False)
    dnn.fit(pixels, targets, 16, epochs, verbose=0)
    dnn.save(file)
    return file
