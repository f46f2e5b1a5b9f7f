"""Load a model file: check it, repair what Keras 2 saved, and build the model with Keras."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import cast

from pipelines.dnn.graph import Model
from pipelines.dnn.keras import import_keras
from pipelines.dnn.keras2 import OLD_ROOTS, is_old, mend
from pipelines.dnn.keras2_operations import ELLIPSIS, OPERATIONS
from pipelines.dnn.model_file import (
    TRUSTED,
    ModelFile,
    as_settings,
    check_code,
    check_file,
    conversion,
    iterate_entries,
    name_of,
    read_description,
)
from pipelines.runs.errors import InputError

REASON = 400
"""Largest number of characters of Keras's reason that a message quotes."""
CAUSE = re.compile(r"Exception encountered(?: when calling [^\n]*\(\)\.|:)")
"""Text that Keras puts before the reason, after the whole description of a layer."""
AFTERWARDS = re.compile(r"Full object config|Arguments received by|\x1b\[\d*m")
"""Text after the reason, and the codes of colours around it."""
LACKING = re.compile(r"\w+\.__init__\(\) missing \d+ required positional arguments?:")
FAILED = re.compile(r"deserializing class '(\w+)' using config=\{[^{}]*?'name': '([^']*)'")


@dataclass(frozen=True)
class LoadedModel:
    """A model that Keras built from a file.

    Attributes
    ----------
    model : keras.Model
    digest : str
        SHA-256 of the file.
    """

    model: Model
    digest: str


def check_model(path: Path, *, trust: bool, digest: str | None) -> ModelFile:
    """Read the properties of a model file, without building the model.

    Raises
    ------
    InputError
        When the file is no Keras model or has another digest, or holds code that is not trusted.
    """
    file = check_file(path)
    if digest is not None and file.digest != digest:
        raise InputError(
            f"{path} is another model than before (expected SHA-256 {digest[:12]}..., received "
            f"{file.digest[:12]}...). Put the earlier file back, or run its test or clustering "
            "again."
        )
    file = read_description(file)
    old = is_old(file.config, file.keras)
    check_code(path, file.config, trust, {*TRUSTED, *OLD_ROOTS} if old else TRUSTED)
    return file


def load_model(path: Path, *, trust: bool, digest: str | None) -> LoadedModel:
    """Load a Keras model file; see `model.load_network`.

    Raises
    ------
    InputError
        For the reasons of `check_model`, and when Keras 3 cannot build the model.
    """
    file = check_model(path, trust=trust, digest=digest)
    keras, _ = import_keras()
    old = is_old(file.config, file.keras)
    config = mend(file.config, keras) if old else file.config
    check_code(path, config, trust)
    try:
        if old:
            model = _build_old(file, config, keras, trust)
        else:
            model = keras.models.load_model(path, compile=False, safe_mode=not trust)
    except Exception as error:  # for a damaged file, Keras raises errors of any kind
        raise InputError(_describe_refusal(file, config, keras, error, old=old)) from error
    return LoadedModel(model, file.digest)


def _build_old(file: ModelFile, config: dict[str, object], keras: ModuleType, trust: bool) -> Model:
    """Build a model of Keras 2 from its repaired description, with the weights in its file."""
    if file.packed:
        described = copy.deepcopy({**config, "compile_config": None})  # Keras takes it apart
        model = keras.saving.deserialize_keras_object(described, safe_mode=not trust)
        model.load_weights(str(file.path))
        return cast(Model, model)
    import h5py
    from keras.src.legacy.saving import json_utils, saving_options, saving_utils
    from keras.src.legacy.saving.legacy_h5_format import load_weights_from_hdf5_group
    from keras.src.saving.serialization_lib import SafeModeScope

    def decode(entry: dict[str, object]) -> object:
        # Keras decodes the ellipsis of `x[..., 0]` once more when it builds the operation.
        return entry if entry.get("class_name") == ELLIPSIS else json_utils._decode_helper(entry)

    # As Keras does it, but for the description, which is an attribute of the file.
    described = json.loads(json.dumps(config), object_hook=decode)
    legacy = saving_options.keras_option_scope(use_legacy_config=True)
    with h5py.File(file.path) as archive, legacy, SafeModeScope(not trust):
        model = saving_utils.model_from_config(described)
        load_weights_from_hdf5_group(archive["model_weights"], model)
    return cast(Model, model)


def _describe_refusal(
    file: ModelFile, config: dict[str, object], keras: ModuleType, error: Exception, *, old: bool
) -> str:
    """Say in one line why Keras did not build a model, and what to do."""
    reason = find_reason(error)
    if not old:
        return f"{file.path} cannot be loaded as a Keras model: {reason}"
    saved = f"{file.path} was saved by Keras {file.keras or 2}"
    for entry in iterate_entries({**config, "compile_config": None}):
        operation = str(entry.get("module")).startswith(OPERATIONS)
        known = operation or _is_known(str(entry["class_name"]), keras)
        if "name" in as_settings(entry) and not known:
            return (
                f"{saved}, and Keras 3 does not have the class {entry['class_name']} of its layer "
                f"{name_of(entry)!r}. Put layers of Keras 3 in its place where the model is built, "
                "and save it again as .keras."
            )
    text = f"{saved}, and Keras 3 cannot load it: {reason}"
    return f"{text} This command converts it: {conversion(file.path)}" if file.packed else text


def _is_known(kind: str, keras: ModuleType) -> bool:
    rooms = (keras, keras.layers, keras.initializers, keras.regularizers, keras.constraints)
    return kind == "Functional" or any(hasattr(room, kind) for room in rooms)


def find_reason(error: Exception) -> str:
    """Return the reason of an error of Keras in one line, with the layer that it concerns.

    Keras puts the reason last, after descriptions of all objects that it was building.
    """
    text = str(error)
    parts = [part for part in AFTERWARDS.split(CAUSE.split(text)[-1]) if part.strip()]
    reason = " ".join((parts or [type(error).__name__])[0].split())[:REASON]
    reason = LACKING.sub("its description lacks", reason)
    layer = FAILED.findall(text)
    if layer:
        kind, name = layer[-1]
        reason = f"layer {name!r} ({kind}): {reason}"
    return reason if reason.endswith(".") else f"{reason}."
