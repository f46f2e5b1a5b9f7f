"""Keras's refusals keep the reason, which Keras puts last."""

import json
import zipfile

import pytest

from pipelines.dnn.keras import import_keras
from pipelines.dnn.loading import find_reason
from pipelines.dnn.model import fix_size, load_network
from pipelines.runs.errors import InputError

keras, _ = import_keras()
L = keras.layers


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("one reason", "one reason."),
        ("", "ValueError."),
        (
            "<class 'Sequential'> could not be deserialized.\n\nconfig={'a': 1}.\n\nException "
            "encountered: Error when deserializing class 'Dense' using config={'name': 'end', "
            "'units': 2}.\n\nException encountered: Unrecognized keyword\narguments: {'x': 1}",
            "layer 'end' (Dense): Unrecognized keyword arguments: {'x': 1}.",
        ),
        (
            "Error when deserializing class 'Dense' using config={'name': 'end'}.\n\nException "
            "encountered: Dense.__init__() missing 1 required positional argument: 'units'",
            "layer 'end' (Dense): its description lacks 'units'.",
        ),
        ("Could not locate class 'A'. Full object config: {...}", "Could not locate class 'A'."),
        (
            "Exception encountered when calling Sequential.call().\n\n\x1b[1mNo such shape\x1b[0m"
            "\n\nArguments received by Sequential.call():\n  - inputs=1",
            "No such shape.",
        ),
    ],
)
def test_the_reason_is_found_in_what_keras_says(text, reason):
    assert find_reason(ValueError(text)) == reason


def save_spoilt(file, spoil):
    """Save a model, and have `spoil` change the description of its last layer in the file."""
    stack = [keras.Input((12, 16, 3)), L.Flatten(), L.Dense(2, name="end")]
    keras.Sequential(stack).save(file)

    def edit(text):
        config = json.loads(text)
        spoil(config["config"]["layers"][-1])
        return json.dumps(config)

    if file.suffix == ".h5":
        import h5py

        with h5py.File(file, "r+") as archive:
            archive.attrs["model_config"] = edit(archive.attrs["model_config"])
    else:
        with zipfile.ZipFile(file) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        members["config.json"] = edit(members["config.json"])
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
    return file


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_an_argument_that_keras_does_not_know_is_quoted(tmp_path, suffix):
    file = save_spoilt(tmp_path / f"dnn{suffix}", lambda layer: layer["config"].update(invented=1))
    with pytest.raises(InputError, match=r"'end' \(Dense\): Unrecognized.*\{'invented': 1\}"):
        load_network(file, "none")


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("value", [[], 1.5, {}])
def test_a_class_whose_name_is_no_text_is_refused(tmp_path, suffix, value):
    file = save_spoilt(tmp_path / f"dnn{suffix}", lambda layer: layer.update(class_name=value))
    with pytest.raises(InputError, match=r"its description of layers has class_name "):
        load_network(file, "none")


@pytest.mark.parametrize("size", [(12, 16, 3), (None, None, 3)])
def test_a_model_that_cannot_be_run_is_refused_before_any_image(tmp_path, size):
    crop = [keras.Input(size), L.RandomCrop(8, 8), L.Flatten(), L.Dense(2)]
    keras.Sequential(crop).save(tmp_path / "crop.keras")
    with pytest.raises(InputError, match=r"16 x 12: .*incompatible.*put CenterCrop") as refusal:
        fix_size(load_network(tmp_path / "crop.keras", "none"), tmp_path, [], (16, 12))
    assert "\n" not in str(refusal.value)
