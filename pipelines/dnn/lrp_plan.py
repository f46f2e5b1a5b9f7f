"""Read a Keras model's graph as a list of steps that relevance can be passed back through.

What relevance cannot be passed through is refused here, by the name of the layer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipelines.dnn.keras import import_keras
from pipelines.dnn.lrp_layers import ACTIVATIONS, LINEAR, ROUTING, SCALING, Step
from pipelines.runs.errors import InputError

INPUT = "input"
SILENT = ("InputLayer", "Dropout", "SpatialDropout2D", "GaussianDropout", "GaussianNoise",
          "Identity", "RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom",
          "RandomContrast", "RandomBrightness")  # fmt: skip
"""Layers that do nothing once a network is trained."""
MERGING = ("Add", "Concatenate")
REPORTED = (*LINEAR, "pointwise", "MaxPooling2D", "GlobalMaxPooling2D", "Concatenate")
SUPPORTED: tuple[str, ...] = (*LINEAR, *ROUTING, *SCALING, *ACTIVATIONS, *SILENT)


@dataclass(frozen=True)
class Plan:
    """A network as a list of steps, each after all that it needs.

    Attributes
    ----------
    steps : tuple of Step
    output : int
        Which value is the network's output: 0 its input, i + 1 what step i gives.
    last : int, optional
        The step whose softmax or sigmoid makes the outputs of the logits.
    """

    steps: tuple[Step, ...]
    output: int
    last: int | None


def read_plan(model: Any) -> Plan:
    """Read a model's graph.

    Raises
    ------
    InputError
        Naming the layer through which relevance cannot pass; when the model has several inputs or
        outputs.
    """
    for what in ("inputs", "outputs"):
        count = len(getattr(model, what, None) or ())
        if count > 1:
            raise InputError(f"model {model.name!r}: expected one of {what}, received {count}")
    steps: list[Step] = []
    (output,) = _walk(model, "", [0], steps)
    names = [step.name for step in steps if step.kind in REPORTED]
    for name, count in Counter(names).items():
        if count > 1:
            raise InputError(
                f"layer {name!r} is used {count} times: its relevance has no single place. "
                "Give the model a layer for each use."
            )
    return Plan(tuple(_fold(steps, output)), output, _last(steps, output))


def reported_values(plan: Plan) -> dict[str, int]:
    """Return, by the name of what has a heatmap, which value it is, from input to output."""
    layers = {step.name: i + 1 for i, step in enumerate(plan.steps) if step.kind in REPORTED}
    return {INPUT: 0} | layers


def _walk(model: Any, prefix: str, inputs: Sequence[int], steps: list[Step]) -> list[int]:
    """Append the steps of a model, those of nested models too; return which values it gives."""
    keras, _ = import_keras()
    graph = getattr(model, "_functional", None) or model  # of a Sequential model
    if not hasattr(graph, "_nodes_by_depth"):
        raise InputError(
            f"model {model.name!r} ({type(model).__name__}) does not tell how its layers are "
            "connected. Expected a Functional model, or a Sequential one with an input shape."
        )
    known = {id(tensor): i for tensor, i in zip(graph.inputs, inputs, strict=True)}
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if node.is_input:
                continue
            layer, name = node.operation, prefix + node.operation.name
            received = [known[id(tensor)] for tensor in node.input_tensors]
            if isinstance(layer, keras.Model):
                places = _walk(layer, f"{name}/", received, steps)
            else:
                _check_layer(layer, name, node)
                places = [_append(steps, layer, name, received)]
            known |= {id(tensor): i for tensor, i in zip(node.outputs, places, strict=True)}
    return [known[id(tensor)] for tensor in graph.outputs]


def _append(steps: list[Step], layer: Any, name: str, received: list[int]) -> int:
    """Append what a layer does, and return which value it gives."""
    kind = type(layer).__name__
    if kind in SILENT:
        return received[0]
    name = f"{name}_" if name == INPUT else name
    if kind == "SeparableConv2D":
        steps.append(Step(layer, "depthwise", name, tuple(received)))
        kind, received = "pointwise", [len(steps)]
    steps.append(Step(layer, kind, name, tuple(received)))
    return len(steps)


def _check_layer(layer: Any, name: str, node: Any) -> None:
    """Check that relevance can be passed through one layer.

    Raises
    ------
    InputError
    """
    keras, _ = import_keras()
    kind = type(layer).__name__
    shapes = [tuple(tensor.shape) for tensor in node.input_tensors]
    problem = ""
    # A class of the same name is another one: an operation (keras.ops.add), or the user's own.
    if kind not in SUPPORTED or type(layer) is not getattr(keras.layers, kind):
        problem = f"of a kind that is not supported. Supported are: {', '.join(SUPPORTED)}"
    elif getattr(layer, "data_format", None) == "channels_first":
        problem = "with channels first. Only channels last is supported"
    elif getattr(layer, "quantization_mode", None):
        problem = "quantised. Give the model before quantisation"
    elif kind == "UpSampling2D" and layer.interpolation != "nearest":
        problem = f"interpolating {layer.interpolation}. Only nearest is supported"
    elif kind == "Add" and len(set(shapes)) > 1:
        problem = f"adding unequal shapes {shapes}. Only equal ones are supported"
    elif kind not in MERGING and len(shapes) != 1:
        problem = f"receiving {len(shapes)} tensors. Only one is supported"
    if problem:
        raise InputError(
            f"relevance cannot be passed through layer {name!r} ({kind}): it is {problem}."
        )


def _fold(steps: Sequence[Step], output: int) -> list[Step]:
    """Let layers with weights take over a BatchNormalization that directly follows."""
    result = list(steps)
    uses = Counter([output, *(i for step in steps for i in step.inputs)])
    for index, step in enumerate(steps):
        before = step.inputs[0] - 1
        if (
            step.kind == "BatchNormalization"
            and before >= 0
            and uses[before + 1] == 1
            and result[before].kind in ("Dense", "Conv2D", "DepthwiseConv2D", "pointwise")
            and result[before].activation is None
            and step.layer.axis in (-1, step.layer.input_spec.ndim - 1)
        ):
            result[before] = replace(result[before], norm=step.layer)
            result[index] = replace(step, kind="folded")
    return result


def _last(steps: Sequence[Step], output: int) -> int | None:
    """Find the step whose softmax or sigmoid ends the network, but for a change of shape."""
    keras, _ = import_keras()
    ends = [getattr(keras.activations, name) for name in ("softmax", "sigmoid", "log_softmax")]
    while output > 0:
        step = steps[output - 1]
        if step.kind == "Softmax" or step.activation in ends:
            return output - 1
        plain = step.kind == "Activation" and step.activation is None
        if not (plain or step.kind in ("Flatten", "Reshape")):
            return None
        output = step.inputs[0]
    return None
