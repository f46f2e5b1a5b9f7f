"""What cannot be inspected, and the messages about it."""

import numpy as np
import pytest
from PIL import Image

from pipelines.deepinspect.job import Options, inspect_model
from pipelines.dnn.keras import import_keras
from pipelines.runs.errors import InputError
from tests.pipelines.deepinspect.colours import CENTRES, draw, quiet, save_model


def test_one_class_alone_is_refused(model, tmp_path):
    (tmp_path / "images").mkdir()
    Image.new("RGB", (16, 12), CENTRES["red"]).save(tmp_path / "images" / "a.png")
    with pytest.raises(InputError, match=r"no two of 5 classes are .* received '3' alone"):
        inspect_model(model, tmp_path / "images", tmp_path / "run", Options(), progress=quiet)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"thresholds": (1.0,)}, "threshold: expected 0 or more and less than 1"),
        ({"top_percent": 0}, "top: expected more than 0 %"),
        ({"task": "numbers"}, "task: expected classes or several, received 'numbers'"),
        ({"layers": ("conv9",)}, "no neurons in a layer 'conv9'. Choose among maps, end"),
        ({"batch_size": 0}, "batch size: expected a positive number"),
    ],
)
def test_options_that_cannot_be_used(model, images, tmp_path, options, words):
    with pytest.raises(InputError) as error:
        inspect_model(model, images, tmp_path / "run", Options(**options), progress=quiet)
    assert words in str(error.value)


def test_folders_that_are_no_classes_are_refused_with_a_way_out(model, images, tmp_path):
    (tmp_path / "images" / "monday").mkdir(parents=True)
    for file in (images / "red").glob("0[0-4].png"):
        (tmp_path / "images" / "monday" / file.name).write_bytes(file.read_bytes())
    with pytest.raises(InputError, match=r"are no labels of this model, give --no-labels"):
        inspect_model(model, tmp_path / "images", tmp_path / "run", Options(), progress=quiet)


def test_a_model_that_predicts_numbers_is_refused(tmp_path):
    model = save_model(tmp_path / "dnn.keras", ("red",), activation="linear")
    images = draw(tmp_path / "images", labelled=False)
    with pytest.raises(InputError, match="predicts numbers"):
        inspect_model(model, images, tmp_path / "run", Options(), progress=quiet)


def test_activations_that_are_no_numbers_are_refused(tmp_path):
    keras, _ = import_keras()
    dnn = keras.models.load_model(save_model(tmp_path / "dnn.keras"))
    dnn.get_layer("maps").set_weights([np.full((1, 1, 3, 9), np.inf), np.zeros(9)])
    dnn.save(tmp_path / "dnn.keras")
    images = draw(tmp_path / "images", labelled=False)
    with pytest.raises(InputError, match=r"an activation of its layer 'maps' for .*\.png"):
        inspect_model(tmp_path / "dnn.keras", images, tmp_path / "run", Options(), progress=quiet)


def test_the_run_does_not_go_among_the_images(model, images):
    with pytest.raises(InputError, match="need separate folders"):
        inspect_model(model, images, images / "run", Options(), progress=quiet)
