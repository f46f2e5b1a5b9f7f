"""Model files that are damaged, hostile or of another framework: one line, and no hang."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipelines.dnn.keras import import_keras
from pipelines.dnn.model import load_network
from pipelines.dnn.model_file import MAX_CONFIG, MAX_DEPTH, MAX_UNPACKED, conversion
from pipelines.runs.errors import InputError

ENCRYPTION, METHOD = 1, 99
DENSE = {"module": "keras.layers", "class_name": "Dense", "config": {"name": "end", "units": 2}}


def refuse(file):
    """Return the message by which a file is refused."""
    with pytest.raises(InputError) as refusal:
        load_network(file, "none")
    message = str(refusal.value)
    assert "\n" not in message and str(file) in message
    return message


@pytest.fixture
def model(tmp_path):
    keras, _ = import_keras()
    layers = [keras.Input((12, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(2, name="end")]
    keras.Sequential(layers).save(tmp_path / "dnn.keras")
    return tmp_path / "dnn.keras"


def rewrite(model, change):
    """Write an archive anew; `change` alters a dict of its members."""
    with zipfile.ZipFile(model) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(model, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return model


def describe(model, config):
    return rewrite(model, lambda members: members.update({"config.json": json.dumps(config)}))


def patch(model, name, *, flag=0, method=None, size=None):
    """Change what the archive's directory says of a member."""
    with zipfile.ZipFile(model) as archive:
        entry = archive.getinfo(name)
    content = bytearray(model.read_bytes())
    place = content.rindex(name.encode()) - 46  # of the entry in the directory at the end
    assert content[place : place + 4] == b"PK\x01\x02"
    for start, shift in ((place, 8), (entry.header_offset, 6)):
        content[start + shift] |= flag
        if method is not None:
            content[start + shift + 2 : start + shift + 4] = method.to_bytes(2, "little")
        if size is not None:
            at = start + (24 if shift == 8 else 22)
            content[at : at + 4] = size.to_bytes(4, "little")
    model.write_bytes(content)
    return model


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5", "metadata.json"])
def test_a_bad_checksum_is_found_in_every_member(model, name):
    with zipfile.ZipFile(model) as archive:
        entry = archive.getinfo(name)
    content = bytearray(model.read_bytes())
    content[entry.header_offset + 30 + len(name) + 20] ^= 1
    model.write_bytes(content)
    assert "damaged" in refuse(model)


@pytest.mark.parametrize(
    ("header", "reason"),
    [({"flag": ENCRYPTION}, "encrypted"), ({"method": METHOD}, "compression")],
)
@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
def test_members_that_cannot_be_unpacked(model, name, header, reason):
    message = refuse(patch(model, name, **header))
    assert reason in message and "save the model again" in message


@pytest.mark.parametrize(
    ("name", "size", "reason"),
    [
        ("config.json", MAX_CONFIG + 1, "67,108,865 bytes, expected at most 67,108,864"),
        ("model.weights.h5", MAX_UNPACKED + 1, "would unpack to 1,07"),
    ],
)
def test_what_would_unpack_to_too_much_is_refused_before_it_is_unpacked(model, name, size, reason):
    assert reason in refuse(patch(model, name, size=size))


def nest(levels):
    """Nest descriptions; Python's own writer of JSON would not go so deep."""
    return '{"class_name": "Sequential", "config": ' * levels + "{}" + "}" * levels


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (nest(1000), "holds no whole Keras model"),
        (nest(MAX_DEPTH + 5), "more than 200 levels"),
        ("[" * 100_000, "holds no whole Keras model"),
        ("[]", "names no model"),
        ("{}", "names no model"),
        ('{"class_name": 5}', "names no model"),
        ("\xff", "holds no whole Keras model"),
        (json.dumps(DENSE | {"module": 5}), "has module 5"),
        (json.dumps(DENSE | {"registered_name": ["a"]}), r"has registered_name ['a']"),
        (json.dumps(DENSE | {"config": 5}), "cannot be loaded"),
        (json.dumps(DENSE | {"config": None}), "cannot be loaded"),
    ],
)
def test_descriptions_of_layers_that_are_none(model, text, reason):
    assert reason in refuse(rewrite(model, lambda members: members.update({"config.json": text})))


@pytest.mark.parametrize("config", [np.array([1, 2]), 5, "text", b"\xff\xfe", h5py.Empty("f")])
def test_an_hdf5_file_whose_description_is_no_text(tmp_path, config):
    with h5py.File(tmp_path / "dnn.h5", "w") as archive:
        archive.attrs["model_config"] = config
    assert "Copy it again, or save the model again" in refuse(tmp_path / "dnn.h5")


def test_an_hdf5_file_that_is_cut_off(tmp_path):
    with h5py.File(tmp_path / "dnn.h5", "w") as archive:
        archive["a"] = np.zeros(10_000)
    content = (tmp_path / "dnn.h5").read_bytes()
    (tmp_path / "dnn.h5").write_bytes(content[: len(content) // 2])
    assert "holds no whole Keras model" in refuse(tmp_path / "dnn.h5")


def test_devices_and_pipes_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.keras")
    assert "no file but a device or a pipe" in refuse(tmp_path / "pipe.keras")
    assert "no file but a device or a pipe" in refuse(Path("/dev/zero"))
    (tmp_path / "link.keras").symlink_to("/dev/zero")
    assert "no file but a device or a pipe" in refuse(tmp_path / "link.keras")


@pytest.mark.parametrize(
    ("suffix", "framework"),
    [(".pt", "PyTorch"), (".onnx", "ONNX"), (".engine", "TensorRT"), (".tflite", "TensorFlow L")],
)
def test_a_model_of_another_framework_is_told_what_works_without_it(tmp_path, suffix, framework):
    (tmp_path / f"net{suffix}").write_bytes(b"PK\x03\x04")
    message = refuse(tmp_path / f"net{suffix}")
    assert f"it is a file of {framework}" in message
    assert "inspect --distances" in message and "No model is needed for clusters" in message


@pytest.mark.parametrize(("old", "new"), [("a.keras", "a.h5"), ("a.h5", "a.keras")])
def test_a_file_under_the_name_of_another_format_is_to_be_renamed(tmp_path, old, new):
    keras, _ = import_keras()
    layers = [keras.Input((12, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
    keras.Sequential(layers).save(tmp_path / new)
    shutil.move(tmp_path / new, tmp_path / old)
    assert f"rename it to {new}" in refuse(tmp_path / old)


def test_a_saved_model_is_converted_by_one_command(tmp_path):
    folder = tmp_path / "it's saved"
    folder.mkdir()
    assert "is a folder" in refuse(folder) and "converts" not in refuse(folder)
    (folder / "saved_model.pb").write_bytes(b"")
    assert refuse(folder).endswith(f"This command converts it: {conversion(folder)}")
    with pytest.raises(InputError, match="It is a SavedModel"):
        load_network(folder / "saved_model.pb", "none")


def test_the_command_that_converts_is_python(tmp_path):
    import shlex

    words = shlex.split(conversion(tmp_path / "it's saved"))
    code = words[-1]
    compile(code, "command", "exec")
    assert str(tmp_path / "it's saved-converted.h5") in code.replace("\\", "")
    assert "tf-keras==" in " ".join(words) and "--no-deps" in words


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_registered_class_is_named_with_its_layer(tmp_path, suffix):
    keras, _ = import_keras()

    @keras.saving.register_keras_serializable("me")
    class Att(keras.layers.Layer):
        def call(self, values):
            return values

    stack = [Att(name="att"), keras.layers.Flatten(), keras.layers.Dense(2)]
    keras.Sequential([keras.Input((12, 16, 3)), *stack]).save(tmp_path / f"dnn{suffix}")
    message = refuse(tmp_path / f"dnn{suffix}")
    assert "layer 'att' is of the registered class me>Att" in message
