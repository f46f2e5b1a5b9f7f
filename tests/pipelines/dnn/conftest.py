"""Branches of networks, each with its relevance; and a DNN that is tested, with its images."""

import numpy as np
import pytest
from PIL import Image

from pipelines.dnn.keras import import_keras
from pipelines.dnn.relevance import build_relevance
from tests.pipelines.dnn.networks import HIGH, LOW, all_branches, draw_images


@pytest.fixture(scope="session")
def branches():
    """Return the model of all branches, images, and its relevances by rule."""
    model, images, results = all_branches(), draw_images(), {}

    def relevances(rule):
        if rule not in results:
            options = {"input_rule": "box", "low": LOW, "high": HIGH} if rule == "box" else {}
            run = build_relevance(model, rule="z+" if rule == "box" else rule, **options)
            results[rule] = run(images, np.array([0, 2, -1], np.int32))
        return results[rule]

    return model, images, relevances


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A DNN that calls images bright whose mean is above 100: it is wrong from 100 to 128."""
    keras, _ = import_keras()
    dnn = keras.Sequential(
        [
            keras.Input((12, 16, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, activation="softmax", name="end"),
        ]
    )
    dnn.get_layer("end").set_weights([np.array([[30.0, -30]] * 3), np.array([-35.3, 35.3])])
    file = tmp_path_factory.mktemp("model") / "dnn.keras"
    dnn.save(file)
    return file


@pytest.fixture
def images(tmp_path):
    """Grey images of every level, in class folders; one is of another size, one is no image."""
    folder = tmp_path / "images"
    for level in range(4, 255, 10):
        name = "dark" if level < 128 else "bright"
        (folder / name).mkdir(parents=True, exist_ok=True)
        size = (40, 40) if level == 4 else (16, 12)
        Image.new("RGB", size, (level,) * 3).save(folder / name / f"{level:03d}.png")
    (folder / "dark" / "bad.png").write_bytes(b"no image")
    Image.new("RGB", (16, 12)).save(folder / "unsorted.png")
    return folder
