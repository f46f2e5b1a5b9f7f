"""Pixels that go into the DNN in another way than it was trained with are noted."""

from dataclasses import replace
from math import comb

import numpy as np
import pytest
from PIL import Image

from pipelines.data.images import check_image
from pipelines.data.labels import read_truth
from pipelines.dnn.evaluation import Outcome
from pipelines.dnn.job import EvaluationOptions, test_model
from pipelines.dnn.keras import import_keras
from pipelines.dnn.model import load_network
from pipelines.dnn.scaling_notes import (
    CHANCE,
    is_better,
    note_better_scaling,
    note_double_scaling,
)
from pipelines.runs.manifest import Manifest

test_model.__test__ = False
SHAPE = (12, 16, 3)


def quiet(stage, done, total):
    """Listen to nothing."""


def save(path, rescaling, threshold):
    """Save a DNN that calls images bright whose mean, as it sees them, is above a threshold."""
    keras, _ = import_keras()
    inside = [keras.layers.Rescaling(1 / 255, name="inner")] if rescaling else []
    pooling = keras.layers.GlobalAveragePooling2D()
    end = keras.layers.Dense(2, activation="softmax")
    keras_model = keras.Sequential([keras.Input(SHAPE), *inside, pooling, end])
    steep = 300 / max(threshold, 1)
    end.set_weights(
        [np.array([[steep, -steep]] * 3), np.array([-3 * steep * threshold, 3 * steep * threshold])]
    )
    keras_model.save(path)
    return path


@pytest.fixture
def images(tmp_path):
    """Grey images, half of them bright, in class folders."""
    for place, level in enumerate(np.linspace(0, 255, 80).round().astype(int).tolist()):
        folder = tmp_path / "images" / ("dark" if level < 128 else "bright")
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 12), (level,) * 3).save(folder / f"{place}.png")
    return tmp_path / "images"


def notes_of(model, images, out, scaling=None):
    options = EvaluationOptions(scaling=scaling)
    return test_model(model, images, out, options, progress=quiet).notes


def test_a_scaling_on_top_of_one_inside_is_noted(tmp_path, images):
    model = save(tmp_path / "dnn.keras", True, 0.5)
    assert notes_of(model, images, tmp_path / "a") == []
    assert notes_of(model, images, tmp_path / "b", "none") == []
    notes = notes_of(model, images, tmp_path / "c", "0-1")
    assert "scaled twice: by --scaling 0-1, and once more by 'inner'" in notes[0]
    assert "--scaling none gives 100 % right, and --scaling 0-1, which was used, 50 %" in notes[1]


@pytest.mark.parametrize(("right", "threshold"), [("0-1", 0.5), ("none", 128)])
def test_a_scaling_that_is_far_better_is_noted(tmp_path, images, right, threshold):
    model = save(tmp_path / "dnn.keras", False, threshold)
    wrong = {"0-1": "none", "none": "0-1"}[right]
    assert notes_of(model, images, tmp_path / "a", right) == []
    (note,) = notes_of(model, images, tmp_path / "b", wrong)
    assert f"Of 64 labelled images, --scaling {right} gives 100 % right" in note
    assert f"--scaling {wrong}, which was used, 5" in note  # half, and black is always right


def outcome(correct, errors=None):
    count = len(correct)
    rows = np.zeros((count, 1), np.float32)
    names = ("",) * count
    errors = None if errors is None else np.asarray(errors, np.float32)
    return Outcome(
        "classes" if errors is None else "numbers", ("a",), names, names,
        np.asarray(correct, bool), rows, np.zeros(count, np.int32), errors,
    )  # fmt: skip


def chance(wins, losses):
    """Add up, term by term, how likely as many wins or more are if either is as likely."""
    count = wins + losses
    return sum(comb(count, k) for k in range(wins, count + 1)) / 2**count


def test_a_difference_is_beyond_chance_as_mcnemar_says():
    rng = np.random.default_rng(0)
    answers = set()
    for _ in range(400):
        share = rng.uniform(0.2, 1)
        first, second = rng.random(64) < share, rng.random(64) < rng.uniform(0.2, 1)
        wins, losses = int((second & ~first).sum()), int((first & ~second).sum())
        expected = wins > losses and 4 * chance(wins, losses) < CHANCE
        assert is_better(outcome(second), outcome(first), 4) == expected
        answers.add(expected)
    assert answers == {True, False}


def test_of_numbers_the_mean_error_is_half_as_large_too():
    right = np.ones(64, bool)
    assert is_better(outcome(right, [1.0] * 64), outcome(right, [3.0] * 64))
    assert not is_better(outcome(right, [2.0] * 64), outcome(right, [3.0] * 64))
    few = [1.0] * 4
    assert not is_better(outcome(right[:4], few), outcome(right[:4], [9.0] * 4))


def test_what_has_no_labels_or_other_ones_is_not_noted(tmp_path, images):
    network = load_network(save(tmp_path / "dnn.keras", False, 0.5), "none")
    paths = [f"dark/{place}.png" for place in range(10)]
    files = [check_image(images, path) for path in paths]
    truth = read_truth(images, paths)
    manifest = Manifest(job="test", command=[], folder="", parameters={})
    note_better_scaling(manifest, network, images, files, None)
    strange = replace(truth, values=dict.fromkeys(paths, ("3;x;4",)))
    note_better_scaling(manifest, network, images, files, strange, task="numbers")
    note_better_scaling(manifest, network, images, [], truth)
    note_double_scaling(manifest, network)
    assert manifest.notes == []
