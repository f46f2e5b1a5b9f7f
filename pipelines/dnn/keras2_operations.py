"""Operations of TensorFlow in models that Keras 2 saved, as the same operations of Keras 3.

Keras 2 made a layer of each operation in the code of a model: TFOpLambda, or SlicingOpLambda for
`x[..., ::-1]`. The file names the operation and its arguments, and holds no code. An operation
that Keras 3 also has is described as Keras 3 describes it; any other is left, and refused by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

Entry = dict[str, object]

OPERATIONS = "keras.src.ops"
"""Where Keras 3 has its operations."""
ELLIPSIS = "__ellipsis__"
KINDS = ("TFOpLambda", "SlicingOpLambda")
CONSTANT = "_CONSTANT_VALUE"
"""In place of a layer's name, it marks a first argument that is a number."""
RESCALINGS: dict[str, Callable[[float], tuple[float, float]]] = {
    "math.truediv": lambda y: (1 / y, 0.0),
    "math.divide": lambda y: (1 / y, 0.0),
    "math.multiply": lambda y: (y, 0.0),
    "math.subtract": lambda y: (1.0, -y),
    "math.add": lambda y: (1.0, y),
    "__operators__.add": lambda y: (1.0, y),
}
"""Operations of a tensor and a number, as scale and offset of a Rescaling."""
OF_TWO = {
    "math.add": "Add",
    "__operators__.add": "Add",
    "nn.bias_add": "Add",
    "math.subtract": "Subtract",
    "math.multiply": "Multiply",
    "math.truediv": "TrueDivide",
    "math.divide": "TrueDivide",
    "math.maximum": "Maximum",
    "math.minimum": "Minimum",
}
"""Operations of two tensors, or of a tensor and numbers."""
HARMLESS: dict[str, tuple[object, ...]] = {"data_format": (None, "NHWC"), "var": (None,)}
"""Arguments that have no effect with these values. The argument `name` never has one."""


@dataclass(frozen=True)
class _Kind:
    """An operation of Keras 3 of one tensor or a list of them.

    Attributes
    ----------
    room : str
        Module of `keras.src.ops`.
    kind : str
        Name of its class.
    settings : dict of str to str
        Names of its settings, by the names of TensorFlow's arguments.
    """

    room: str
    kind: str
    settings: dict[str, str]


REDUCING = {"axis": "axis", "keepdims": "keepdims"}
OF_ONE = {
    "math.reduce_mean": _Kind("numpy", "Mean", REDUCING),
    "math.reduce_sum": _Kind("numpy", "Sum", REDUCING),
    "math.reduce_max": _Kind("numpy", "Max", REDUCING),
    "concat": _Kind("numpy", "Concatenate", {"axis": "axis"}),
    "reshape": _Kind("numpy", "Reshape", {"shape": "newshape"}),
    "cast": _Kind("core", "Cast", {"dtype": "dtype"}),
    "nn.softmax": _Kind("nn", "Softmax", {"axis": "axis"}),
    "nn.relu": _Kind("nn", "Relu", {}),
    "nn.relu6": _Kind("nn", "Relu6", {}),
    "math.sigmoid": _Kind("nn", "Sigmoid", {}),
    "math.tanh": _Kind("numpy", "Tanh", {}),
}
"""Operations of one tensor, or of a list of tensors."""


def mend_operation(entry: Entry) -> None:
    """Describe an operation of TensorFlow, in place, as Keras 3 does; where it is known.

    Of a tensor and a number other than 0 it becomes a layer Rescaling, through which relevance
    passes.
    """
    settings, calls = entry.get("config"), entry.get("inbound_nodes")
    if entry["class_name"] not in KINDS or not isinstance(settings, dict):
        return
    if not isinstance(calls, list) or len(calls) != 1 or not isinstance(calls[0], list):
        return
    references = calls[0] if calls[0] and isinstance(calls[0][0], list) else calls[:1]
    if not all(_is_call(reference) for reference in references):
        return
    arguments = {
        name: value
        for name, value in references[0][3].items()
        if name != "name" and value not in HARMLESS.get(name, ())
    }
    function = str(settings.get("function"))
    if not _rescale(entry, settings, function, references, arguments):
        _describe(entry, settings, function, references, arguments)


def _is_call(reference: object) -> bool:
    """Tell whether a value is an argument of a call: layer, call, output, and other arguments."""
    return isinstance(reference, list) and len(reference) == 4 and isinstance(reference[3], dict)


def _rescale(
    entry: Entry, settings: Entry, function: str, references: list[Any], arguments: Entry
) -> bool:
    """Make a Rescaling of an operation between one tensor and one number; False if it is none."""
    number = arguments.get("y")
    if function not in RESCALINGS or len(references) != 1 or references[0][0] == CONSTANT:
        return False
    if isinstance(number, bool) or not isinstance(number, int | float) or not number:
        return False
    scale, offset = RESCALINGS[function](float(number))
    entry["class_name"], entry["registered_name"] = "Rescaling", None
    if "module" in entry:
        entry["module"] = "keras.layers"
    entry["config"] = {
        "name": settings.get("name"), "trainable": True, "dtype": settings.get("dtype"),
        "scale": scale, "offset": offset,
    }  # fmt: skip
    entry["inbound_nodes"] = [[[*references[0][:3], {}]]]
    return True


def _describe(
    entry: Entry, settings: Entry, function: str, references: list[Any], arguments: Entry
) -> None:
    """Make an operation of Keras 3 of an operation that is known."""
    first = [_read_value(reference[:3]) for reference in references]
    extra: Entry = {}
    if function == "__operators__.getitem":
        kind = _Kind("numpy", "GetItem", {})
        others = [_read_slices(arguments.pop("slice_spec", None))]
    elif function in OF_TWO:
        kind = _Kind("numpy", OF_TWO[function], {})
        others = [_read_value(arguments.pop("bias" if function == "nn.bias_add" else "y", None))]
    elif function in OF_ONE:
        kind, others = OF_ONE[function], []
        extra = {kind.settings.get(name, ""): value for name, value in arguments.items()}
        arguments = {name: 0 for name, value in arguments.items() if not _is_plain(value)}
    else:
        return
    several = kind.kind == "Concatenate"
    if "" in extra or arguments or any(value is None for value in [*first, *others]):
        return
    if len(first) > 1 and not several:
        return
    entry["module"] = f"{OPERATIONS}.{kind.room}"
    entry["class_name"] = entry["registered_name"] = kind.kind
    entry["config"] = {"name": settings.get("name"), **extra}
    entry["inbound_nodes"] = [{"args": [first if several else first[0], *others], "kwargs": {}}]


def _is_plain(value: object) -> bool:
    """Tell whether a setting is a number, a text or a list of whole numbers."""
    if isinstance(value, list):
        return all(type(part) is int for part in value)
    return isinstance(value, bool | int | str)


def _read_value(value: object) -> object:
    """Return a tensor or numbers as Keras 3 describes them; None for anything else."""
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
        if value[0] == CONSTANT:
            return _read_value(value[2])
        history = {"shape": [None], "dtype": "float32", "keras_history": value}
        return {"class_name": "__keras_tensor__", "config": history}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, list) and _are_numbers(value):
        return {"class_name": "__numpy__", "config": {"value": value, "dtype": "float32"}}
    return None


def _are_numbers(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_are_numbers(part) for part in value)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _read_slices(value: object) -> object:
    """Return what `x[...]` takes as Keras 3 describes it; None where it is not known."""
    if isinstance(value, dict) and value.get("class_name") == "__tuple__":
        value = value.get("items")
    parts = [_read_slice(part) for part in (value if isinstance(value, list) else [value])]
    return None if any(part is False for part in parts) else parts


def _read_slice(part: object) -> object:
    """Return a part of what `x[...]` takes; False where it is not known."""
    if type(part) is int or part is None:  # None is a new axis
        return part
    if isinstance(part, dict) and part.get("class_name") == ELLIPSIS:
        return {"class_name": ELLIPSIS, "config": {}}
    ends = cast(Entry, part) if isinstance(part, dict) else {}
    if set(ends) == {"start", "stop", "step"} and all(
        type(end) is int or end is None for end in ends.values()
    ):
        return {"class_name": "__slice__", "config": ends}
    return False
