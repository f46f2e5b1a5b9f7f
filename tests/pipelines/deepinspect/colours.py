"""Pictures of five colours, two of which are alike, and a DNN that tells them apart."""

import numpy as np
from PIL import Image

from pipelines.dnn.keras import import_keras

CENTRES = {
    "blue": (40, 60, 210), "green": (50, 190, 60), "pink": (225, 110, 120), "red": (215, 70, 80),
    "white": (232, 165, 170),
}  # fmt: skip
NAMES = tuple(CENTRES)
PER_CLASS = 14


def quiet(stage, done, total):
    """Ignore progress."""


def save_model(file, names=NAMES, activation="softmax"):
    """Save a DNN that takes an image for the class whose colour is nearest."""
    keras, _ = import_keras()
    layers = keras.layers
    dnn = keras.Sequential(
        [
            keras.Input((12, 16, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(9, 1, activation="relu", name="maps"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(len(names), activation=activation, name="end"),
        ]
    )
    rng = np.random.default_rng(0)
    maps = np.concatenate([np.eye(3), rng.normal(size=(3, 6))], axis=1)
    dnn.get_layer("maps").set_weights([maps[None, None], np.zeros(9)])
    centres = np.array([CENTRES[name] for name in names]) / 255
    weights = np.zeros((9, len(names)))
    weights[:3] = 2 * centres.T
    dnn.get_layer("end").set_weights([20 * weights, -20 * (centres**2).sum(axis=1)])
    dnn.save(file)
    return file


def draw(folder, labelled=True, seed=0, per_class=PER_CLASS, spread=22):
    """Draw plain images whose colours vary, so that red and pink overlap."""
    rng = np.random.default_rng(seed)
    for name, centre in CENTRES.items():
        for number in range(per_class):
            colour = np.clip(rng.normal(centre, spread), 0, 255)
            pixels = np.clip(rng.normal(colour, 8, (12, 16, 3)), 0, 255).astype(np.uint8)
            file = folder / (f"{name}/{number:02d}.png" if labelled else f"{name}{number:02d}.png")
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file)
    return folder


def naive_probabilities(model, images, threshold):
    """Go through the images one by one, as section III-A says."""
    keras, _ = import_keras()
    dnn = keras.models.load_model(model)
    layers_outputs = [dnn.get_layer(name).output for name in ("maps", "end")]
    measure = keras.Model(dnn.inputs[0], layers_outputs)
    counts = dict.fromkeys(NAMES, 0)
    active = {name: np.zeros(9 + len(NAMES)) for name in NAMES}
    for file in sorted(images.glob("*/[0-9]*.png")):
        pixels = np.asarray(Image.open(file), np.float32)[None]
        maps, shares = (np.asarray(part)[0] for part in measure(pixels))
        is_active = []
        for layer in (maps.reshape(-1, 9).mean(axis=0), shares):
            low, high = layer.min(), layer.max()
            is_active += [(value - low) / (high - low) > threshold for value in layer]
        name = NAMES[int(shares.argmax())]
        counts[name] += 1
        active[name] += is_active
    return np.array([active[name] / counts[name] for name in NAMES]).T
