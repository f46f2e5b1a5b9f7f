"""Models that Keras 2 saved: their description is mended in memory to what Keras 3 reads.

Only what is known to mean the same is changed: names of modules that moved, arguments that went
where they have the value without effect, and operations (`keras2_operations`). The file stays as it
is, and no code is added.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from types import ModuleType
from typing import Any, cast

from pipelines.dnn.keras2_operations import mend_operation
from pipelines.dnn.model_file import iterate_entries

Entry = dict[str, object]

MODULES = {
    "functional": "keras.src.models.functional",
    "sequential": "keras.models",
    "training": "keras.models",
}
"""Where Keras 3 has what was in `keras.src.engine`, by the last part of the module's name."""
MODELS = ("Functional", "Model", "Sequential")
OLD_ROOTS = ("tf_keras", "tensorflow")
DROPPED: dict[str, tuple[object, ...]] = {
    "groups": (1,),
    "ragged": (False,),
    "rng_type": ("stateful", "stateless", "legacy_stateful", None),
    "time_major": (False,),
    "renorm": (False,),
    "fused": (True, False, None),
    "virtual_batch_size": (None,),
    "adjustment": (None,),
}
"""Arguments that Keras 3 dropped, with the values under which they had no effect on predictions."""
KEEPING_GROUPS = ("Conv1D", "Conv2D", "Conv3D")
"""Layers of Keras 3 that still have groups."""


def is_old(config: object, version: str) -> bool:
    """Tell whether Keras 2 or 1 wrote a description."""
    if version:
        return not version.startswith("3")
    return any(
        str(entry.get("module") or "").split(".")[0] in OLD_ROOTS
        or ".engine." in str(entry.get("module") or "")
        for entry in iterate_entries(config)
    )


def mend(config: Entry, keras: ModuleType) -> Entry:
    """Return a description of Keras 2 as Keras 3 reads it; what is not known stays as it is."""
    mended = copy.deepcopy(config)
    for entry in list(iterate_entries(mended)):
        mend_operation(entry)
        settings = entry.get("config")
        if isinstance(settings, dict):
            _mend_arguments(entry, settings)
            _mend_dtype(settings)
        if isinstance(entry.get("module"), str):
            _mend_module(entry, keras)
    return mended


def _mend_module(entry: Entry, keras: ModuleType) -> None:
    parts = str(entry["module"]).split(".")
    if parts[0] in OLD_ROOTS:
        parts = ["keras", *[part for part in parts[1:] if part not in {"python", "keras"}]]
    kind = str(entry["class_name"])
    if "engine" in parts and parts[-1] in MODULES:
        parts = MODULES[parts[-1]].split(".")
    elif parts[:1] == ["keras"] and "layers" in parts and hasattr(keras.layers, kind):
        parts = ["keras", "layers"]
    if parts[0] == "keras":
        entry["module"] = ".".join(parts)


def _mend_arguments(entry: Entry, settings: Entry) -> None:
    kind = str(entry["class_name"])
    for name, harmless in DROPPED.items():
        if name == "groups" and kind in KEEPING_GROUPS:
            continue
        if name in settings and settings[name] in harmless:
            del settings[name]
    axis = settings.get("axis")
    if kind == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
        settings["axis"] = axis[0]
    if kind == "InputLayer" and "batch_input_shape" in settings:
        settings["batch_shape"] = settings.pop("batch_input_shape")
    if kind == "RandomCrop":  # outside training, Keras 2 resizes what fits, Keras 3 does nothing
        entry["class_name"] = "Resizing"
        settings.pop("seed", None)
        settings["crop_to_aspect_ratio"] = True
    if kind == "LeakyReLU" and "alpha" in settings:
        settings["negative_slope"] = settings.pop("alpha")
    if kind.startswith("Separable"):  # one kernel was described that does not exist
        for name in ("kernel_initializer", "kernel_regularizer", "kernel_constraint"):
            settings.pop(name, None)
    if isinstance(settings.get("layers"), list) and "input_layers" in settings:
        _mend_graph(settings)


def _mend_graph(settings: Entry) -> None:
    """Count the calls of models inside a model from 0, and take ends out of lists of one.

    To Keras 2, call 0 of a model was that when it was built; Keras 3 does not count it, but for the
    outputs of a Functional. A list of one end would make the output a list, too.
    """
    layers = [layer for layer in cast(list[object], settings["layers"]) if isinstance(layer, dict)]
    kinds = {str(one.get("name")): str(one.get("class_name")) for one in layers}
    inner = {name for name, kind in kinds.items() if kind in MODELS}
    for layer in layers:
        for reference in _iterate_references(layer.get("inbound_nodes"), inner):
            reference[1] -= 1
    sequential = {name for name in inner if kinds[name] == "Sequential"}
    for name in ("input_layers", "output_layers"):
        ends = settings.get(name)
        for reference in _iterate_references(ends, sequential):
            reference[1] -= 1
        if isinstance(ends, list) and len(ends) == 1 and isinstance(ends[0], list):
            settings[name] = ends[0]


def _iterate_references(value: object, names: set[str]) -> Iterator[list[Any]]:
    """Go through the references to outputs of some layers: name, call, output, and arguments."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return
    if len(value) in {3, 4} and isinstance(value[0], str) and type(value[1]) is int:
        if value[0] in names and value[1] > 0:
            yield value
        value = value[3:]
    for part in value:
        yield from _iterate_references(part, names)


def _mend_dtype(settings: Entry) -> None:
    """Put the name of a policy in the place of its description."""
    policy = settings.get("dtype")
    if isinstance(policy, dict) and policy.get("class_name") == "Policy":
        inner = policy.get("config")
        if isinstance(inner, dict) and isinstance(inner.get("name"), str):
            settings["dtype"] = inner["name"]
