"""SAFE as printed, on the full network; its weights are random here, their file is a real one."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipelines.data.images import check_image
from pipelines.data.pixels import load_pixels
from pipelines.dnn.keras import import_keras
from pipelines.runs.errors import InputError
from pipelines.runs.manifest import read_manifest
from tests.pipelines.safe.job_runs import find

ROOT = Path(__file__).parents[3]
MIB_AT_MOST = 3.3 * 1000**3 / 2**20


def cluster(images, weights, out):
    command = [sys.executable, "SAFE_Tool.py", "cluster", images, "--recipe", "paper"]
    return subprocess.run(
        [*command, "--weights", weights, "--out", out, "--precision", "float32"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def full_network(tmp_path_factory):
    """Return VGG16 with its top, and its weights file."""
    keras, _ = import_keras()
    keras.utils.set_random_seed(0)
    network = keras.applications.VGG16(weights=None)
    path = tmp_path_factory.mktemp("weights") / "vgg16.weights.h5"
    network.save_weights(path)
    return network, path


def test_the_full_network_gives_4096_features_within_the_memory_stated(
    full_network, cache, draw, tmp_path
):
    network, weights = full_network
    for seed in range(12):
        draw(tmp_path / "images" / f"{seed:02d}.png", seed)
    result = cluster(tmp_path / "images", weights, tmp_path / "run")
    assert result.returncode == 0, result.stderr
    manifest = read_manifest(tmp_path / "run")
    assert manifest.weights["layers"] == ["fc2"]
    assert manifest.chosen["components"] == 12
    assert any("principal components instead of 256" in note for note in manifest.notes)
    assert max(stage.peak_memory_mb for stage in manifest.stages) < MIB_AT_MOST

    # The paper's features are those of fc2, neither scaled nor denoised.
    keras, _ = import_keras()
    fc2 = keras.Model(network.input, network.get_layer("fc2").output)
    images = tmp_path / "images"
    pixels = np.stack(
        [load_pixels(images, check_image(images, f"{i:02d}.png"), (224, 224)) for i in range(12)]
    )
    features = fc2.predict_on_batch(
        keras.applications.vgg16.preprocess_input(pixels.astype(np.float32))
    )
    deviations = features - features.mean(axis=0)
    with np.load(tmp_path / "run" / "reduction.npz") as arrays:
        products = deviations @ deviations.T
        close = pytest.approx(products, abs=1e-3 * float(products.max()))
        assert arrays["points"] @ arrays["points"].T == close
        assert np.array_equal(arrays["denoised"], arrays["points"])


def test_a_base_without_top_cannot_serve(cache, draw, tmp_path):
    keras, _ = import_keras()
    base = keras.applications.VGG16(include_top=False, weights=None, input_shape=(224, 224, 3))
    base.save_weights(tmp_path / "base.weights.h5")
    draw(tmp_path / "images" / "a.png")
    with pytest.raises(
        InputError, match=r"layer fc1: expected a kernel \(25088, 4096\)"
    ) as refusal:
        find(
            tmp_path / "images", tmp_path / "run", recipe="paper",
            weights=tmp_path / "base.weights.h5", precision="float32",
        )  # fmt: skip
    assert "use --recipe default" in str(refusal.value)
