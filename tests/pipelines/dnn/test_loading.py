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


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_an_argument_that_keras_does_not_know_is_quoted(tmp_path, suffix):
    file = tmp_path / f"dnn{suffix}"
    stack = [keras.Input((12, 16, 3)), L.Flatten(), L.Dense(2, name="end")]
    keras.Sequential(stack).save(file)
    if suffix == ".h5":
        import h5py

        with h5py.File(file, "r+") as archive:
            config = json.loads(archive.attrs["model_config"])
            config["config"]["layers"][-1]["config"]["invented"] = 1
            archive.attrs["model_config"] = json.dumps(config)
    else:
        with zipfile.ZipFile(file) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        config = json.loads(members["config.json"])
        config["config"]["layers"][-1]["config"]["invented"] = 1
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in (members | {"config.json": json.dumps(config)}).items():
                archive.writestr(name, content)
    with pytest.raises(InputError, match=r"'end' \(Dense\): Unrecognized.*\{'invented': 1\}"):
        load_network(file, "none")


@pytest.mark.parametrize("size", [(12, 16, 3), (None, None, 3)])
def test_a_model_that_cannot_be_run_is_refused_before_any_image(tmp_path, size):
    crop = [keras.Input(size), L.RandomCrop(8, 8), L.Flatten(), L.Dense(2)]
    keras.Sequential(crop).save(tmp_path / "crop.keras")
    with pytest.raises(InputError, match=r"16 x 12: .*incompatible.*put CenterCrop") as refusal:
        fix_size(load_network(tmp_path / "crop.keras", "none"), tmp_path, [], (16, 12))
    assert "\n" not in str(refusal.value)
