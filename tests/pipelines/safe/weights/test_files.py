"""Keras' weights files, what may be wrong with them, and their download."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipelines.runs.errors import InputError
from pipelines.safe import weights
from tests.pipelines.safe.weights.old_layout import assert_same, write_old_layout
from tests.waiting import SECONDS

# --- Keras' weights files -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keras_files(tmp_path_factory, keras_network, base_layers):
    """Return the base of VGG16 in the layouts that Keras has written over the years."""
    folder = tmp_path_factory.mktemp("keras")
    keras_network.save_weights(folder / "keras3.weights.h5")
    keras_network.save(folder / "whole model.h5")
    write_old_layout(folder / "old notop.h5", base_layers)
    return folder


@pytest.mark.parametrize("name", ["keras3.weights.h5", "whole model.h5", "old notop.h5"])
def test_equal_values_have_one_digest_whatever_the_layout_of_the_file(
    keras_files, base_layers, name
):
    loaded_weights = weights.load_weights(keras_files / name, top=False)
    assert loaded_weights.source == f"file {name}"
    assert loaded_weights.digest == weights.BASE_DIGEST
    assert_same(loaded_weights.layers, base_layers)


def small_network(small):
    """Build layers in the order of VGG16's, with the small shapes, in Keras."""
    import keras
    from keras import layers

    start = maps = keras.Input((8, 8, 3))
    for name in weights.CONVOLUTIONS:
        if name.endswith("conv1") and name != "block1_conv1":
            maps = layers.MaxPooling2D(1)(maps)
        maps = layers.Conv2D(2, 3, padding="same", name=name)(maps)
    flat = layers.GlobalAveragePooling2D()(maps)
    flat = layers.Concatenate()([flat, flat, flat])  # the 6 values that fc1 takes
    for name, width in (("fc1", 4), ("fc2", 5), ("predictions", 7)):
        flat = layers.Dense(width, name=name)(flat)
    network = keras.Model(start, flat)
    for name, arrays in small.items():
        network.get_layer(name).set_weights(arrays)
    return network


@pytest.mark.parametrize("name", ["small.weights.h5", "small.h5"])
def test_the_dense_layers_are_read_from_keras_files_and_the_classifier_is_not(
    tmp_path, small, name
):
    network = small_network(small)
    path = tmp_path / name
    network.save(path) if name == "small.h5" else network.save_weights(path)
    assert_same(weights.read_h5(path, top=True), small)
    base = {name: small[name] for name in weights.CONVOLUTIONS}
    assert_same(weights.read_h5(path, top=False), base)


@pytest.mark.parametrize("prefix", ["", "model_weights/", "model_weights/vgg16/"])
def test_layers_are_found_by_name_wherever_the_group_stands(tmp_path, small, prefix):
    path = write_old_layout(tmp_path / "w.h5", small, prefix)
    assert_same(weights.read_h5(path, top=True), small)


def test_what_an_optimizer_remembers_of_a_layer_is_no_weight(tmp_path, small):
    path = write_old_layout(tmp_path / "w.h5", small, "model_weights/")
    with h5py.File(path, "a") as file:
        file["optimizer_weights/adam/block1_conv1/kernel_momentum"] = np.ones((3, 3, 3, 2))
    assert_same(weights.read_h5(path, top=True), small)


def test_values_of_another_precision_become_float32(tmp_path, small):
    float64_layers = {
        name: tuple(a.astype(np.float64) for a in arrays) for name, arrays in small.items()
    }
    assert_same(
        weights.read_h5(write_old_layout(tmp_path / "w.h5", float64_layers), top=True), small
    )


def test_a_missing_weights_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.h5 does not exist\. Give --weights"):
        weights.load_weights(tmp_path / "none.h5", top=False)


def test_a_folder_is_no_weights_file(tmp_path):
    with pytest.raises(InputError, match="--weights"):
        weights.load_weights(tmp_path, top=False)


@pytest.mark.parametrize("content", [b"", b"just some text\n" * 50])
def test_a_file_that_is_no_hdf5_is_named(tmp_path, content):
    path = tmp_path / "text.h5"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"text\.h5 is no HDF5 file"):
        weights.load_weights(path, top=False)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_weights_file_is_named(tmp_path, small, share):
    content = write_old_layout(tmp_path / "w.h5", small).read_bytes()
    path = tmp_path / "half.h5"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"half\.h5 is not a complete HDF5 file"):
        weights.load_weights(path, top=True)


@pytest.mark.parametrize("signature", [b"SNOD", b"TREE", b"HEAP"])
@pytest.mark.parametrize("place", [0, 1, 9])
def test_a_weights_file_damaged_inside_is_named(tmp_path, small, signature, place):
    pieces = write_old_layout(tmp_path / "w.h5", small).read_bytes().split(signature)
    path = tmp_path / "damaged.h5"
    head, tail = signature.join(pieces[: place + 1]), signature.join(pieces[place + 1 :])
    path.write_bytes(head + b"\xff\xff\xff\xff" + tail)
    with pytest.raises(InputError) as error:
        weights.load_weights(path, top=True)
    assert str(path) in str(error.value)


def test_a_layer_that_holds_text_does_not_fit(tmp_path, small):
    path = write_old_layout(tmp_path / "w.h5", small)
    with h5py.File(path, "a") as file:
        file["block1_conv1/note"] = "text"
    with pytest.raises(InputError) as error:
        weights.load_weights(path, top=True)
    assert str(path) in str(error.value)


def test_a_layer_of_another_shape_is_named_with_what_was_expected_and_received(tmp_path, small):
    kernel, bias = small["block4_conv2"]
    for wrong in [
        (kernel.transpose(3, 2, 0, 1), bias),
        (kernel, bias[:1]),
        (np.zeros((3, 3, 2, 9), "f4"), np.zeros(9, "f4")),
    ]:
        path = write_old_layout(tmp_path / "w.h5", small | {"block4_conv2": wrong})
        with pytest.raises(InputError) as error:
            weights.load_weights(path, top=False)
        message = str(error.value)
        assert f"{path} does not fit VGG16: layer block4_conv2" in message
        assert "expected a kernel (3, 3, 2, 2) and a bias (2,)" in message
        assert f"received [{wrong[0].shape}, {wrong[1].shape}]" in message


def test_a_missing_layer_is_named(tmp_path, small):
    del small["block3_conv3"]
    path = write_old_layout(tmp_path / "w.h5", small)
    with pytest.raises(InputError, match=r"layer block3_conv3: .*received nothing"):
        weights.load_weights(path, top=False)


def test_a_layer_without_a_bias_does_not_fit(tmp_path, small):
    path = write_old_layout(tmp_path / "w.h5", small)
    with h5py.File(path, "a") as file:
        del file["block5_conv1/block5_conv1_b_1:0"]
    with pytest.raises(InputError, match=r"layer block5_conv1: .*received \[\(3, 3, 2, 2\)\]"):
        weights.load_weights(path, top=False)


def test_a_file_without_top_does_for_the_base_only(tmp_path, small):
    base = {name: small[name] for name in weights.CONVOLUTIONS}
    path = write_old_layout(tmp_path / "notop.h5", base)
    assert_same(weights.load_weights(path, top=False).layers, base)
    with pytest.raises(InputError, match=r"layer fc1: .*has no top: use --recipe default"):
        weights.load_weights(path, top=True)


# --- the download ---------------------------------------------------------------------------------


def test_the_full_network_comes_from_keras_cache_when_it_is_there(tmp_path, small, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    write_old_layout(tmp_path / "models" / weights.KERAS_FULL, small)
    loaded_weights = weights.load_weights(None, top=True)
    assert loaded_weights.source == f"Keras {weights.KERAS_FULL}"
    assert loaded_weights.digest == weights.compute_digest(small)
    assert_same(loaded_weights.layers, small)


def test_a_download_that_never_answers_ends_soon_and_says_what_else_can_be_done(tmp_path):
    script = (
        "import socket\n"
        "from pipelines.runs.errors import InputError\n"
        "from pipelines.safe import weights\n"
        "import keras.applications\n"
        "weights.SECONDS_TO_ANSWER = 0.5\n"
        "socket.setdefaulttimeout(77.5)\n"
        "try:\n"
        "    weights.load_weights(None, top=True)\n"
        "except InputError as error:\n"
        "    print(error)\n"
        "print('timeout', socket.getdefaulttimeout())\n"
    )
    home = tmp_path / "keras"
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        proxy = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        environment = {k: v for k, v in os.environ.items() if k.lower() != "no_proxy"}
        environment |= {"KERAS_HOME": str(home), "https_proxy": proxy, "HTTPS_PROXY": proxy}
        result = subprocess.run(
            [sys.executable, "-c", script],
            cwd=Path(weights.__file__).parents[2],
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert result.returncode == 0, result.stderr
    assert "could not be downloaded" in result.stdout
    assert weights.KERAS_FULL in result.stdout
    assert f"into {home / 'models'}" in result.stdout
    assert "--recipe default" in result.stdout
    assert "--weights FILE" in result.stdout
    assert "timeout 77.5" in result.stdout
    files = [path.name for path in home.rglob("*") if path.is_file()]
    assert [name for name in files if "vgg16" in name] == []
