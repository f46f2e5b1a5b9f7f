"""A small DNN, sets of images, and the run that measures their coverage."""

import numpy as np
import pytest

from pipelines.data.images import check_image
from pipelines.dnn.activations import build_activations, neuron_layers
from pipelines.dnn.model import load_batches, load_network, scale
from pipelines.dnn.relevance import PREDICTED, build_relevance
from tests.pipelines.deepimportance.measured import draw_folders, measure, save_model


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("model") / "dnn.keras")


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    return draw_folders(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="session")
def coverage_run(model, folders, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    measure(model, folders, out, ("test", "other/test"), neurons=4, new=True)
    return out


@pytest.fixture(scope="session")
def measurements(model, folders):
    """Measure again what a run is made of: paths, outputs, activations and relevance by set."""
    network = load_network(model)
    layers = tuple(neuron_layers(network.model))
    activate = build_activations(network.model, layers)
    explain = build_relevance(network.model, rule="epsilon", layers=("hidden",))
    measurements = {}
    for name in ("training", "test", "other/test", "new"):
        paths = sorted(
            file.relative_to(folders / name).as_posix() for file in (folders / name).rglob("*.png")
        )
        images = [check_image(folders / name, path) for path in paths if "bad" not in path]
        (batch,) = load_batches(network, folders / name, images, 100)
        pixels = scale(network, np.stack([pixel for _, pixel in batch]))
        outputs, values = activate(pixels)
        targets = np.full(len(pixels), PREDICTED, np.int32)
        relevance = explain(pixels, targets).layers["hidden"]
        measurements[name] = ([image.path for image in images], outputs, values, relevance)
    return measurements
