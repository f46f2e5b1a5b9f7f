"""A DNN that tells colours apart, its images, and the inspection of both."""

import pytest

from pipelines.deepinspect.job import Options, inspect_model
from tests.pipelines.deepinspect.colours import draw, quiet, save_model


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("model") / "dnn.keras")


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    folder = draw(tmp_path_factory.mktemp("labelled") / "images")
    (folder / "red" / "bad.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="session")
def inspection(model, images, tmp_path_factory):
    out = tmp_path_factory.mktemp("inspected") / "run"
    options = Options(thresholds=(0.5, 0.3), top_percent=20)
    return out, inspect_model(model, images, out, options, progress=quiet)
