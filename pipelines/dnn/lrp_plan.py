"""Read a Keras model's graph as a list of steps through which relevance can be passed back.

Layers through which relevance cannot be passed are refused here, by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from pipelines.dnn.graph import (
    Layer,
    Model,
    Node,
    NormalizationLayer,
    check_single,
    iterate_nodes,
    read_graph,
)
from pipelines.dnn.keras import import_keras
from pipelines.dnn.lrp_layers import ACTIVATIONS, LINEAR, ROUTING, SCALING, Step
from pipelines.runs.errors import InputError

INPUT = "input"
INACTIVE = ("InputLayer", "Dropout", "SpatialDropout2D", "GaussianDropout", "GaussianNoise",
          "Identity", "RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom",
          "RandomContrast", "RandomBrightness")  # fmt: skip
"""Layers that pass their input unchanged outside of training."""
MERGING = ("Add", "Concatenate")
WITH_HEATMAPS = (*LINEAR, "pointwise", "MaxPooling2D", "GlobalMaxPooling2D", "Concatenate")
SUPPORTED: tuple[str, ...] = (*LINEAR, *ROUTING, *SCALING, *ACTIVATIONS, *INACTIVE)


@dataclass(frozen=True)
class Plan:
    """A network as a list of steps, each after the steps whose outputs it reads.

    Attributes
    ----------
    steps : tuple of Step
    output : int
        Number of the value that is the network's output. Value 0 is the network's input, and value
        i + 1 is the output of step i.
    last : int, optional
        Position of the step whose softmax or sigmoid turns the logits into the outputs.
    """

    steps: tuple[Step, ...]
    output: int
    last: int | None


def read_plan(model: Model) -> Plan:
    """Read a model's graph.

    Raises
    ------
    InputError
        When relevance cannot be passed through a layer, which the message names; when a layer that
        has a heatmap is used several times; when the model has several inputs or outputs.
    """
    check_single(model)
    steps: list[Step] = []
    (output,) = _append_model(model, "", [0], steps)
    names = [step.name for step in steps if step.kind in WITH_HEATMAPS]
    for name, count in Counter(names).items():
        if count > 1:
            raise InputError(
                f"layer {name!r} is used {count} times, so that it has no single heatmap. Give the "
                "model a layer of its own for each use."
            )
    return Plan(tuple(_fold(steps, output)), output, _find_last(steps, output))


def reported_values(plan: Plan) -> dict[str, int]:
    """Return the numbers of the values that have heatmaps, by name, from input to output."""
    layers = {step.name: i + 1 for i, step in enumerate(plan.steps) if step.kind in WITH_HEATMAPS}
    return {INPUT: 0} | layers


def _append_model(
    model: Model | Layer, prefix: str, inputs: Sequence[int], steps: list[Step]
) -> list[int]:
    """Append the steps of a model and of its nested models; return the numbers of its outputs."""
    keras, _ = import_keras()
    graph = read_graph(model)
    numbers = {id(tensor): i for tensor, i in zip(graph.inputs, inputs, strict=True)}
    for node in iterate_nodes(graph):
        layer, name = node.operation, prefix + node.operation.name
        received = [numbers[id(tensor)] for tensor in node.input_tensors]
        if isinstance(layer, keras.Model):
            outputs = _append_model(layer, f"{name}/", received, steps)
        else:
            _check_layer(layer, name, node)
            outputs = [_append_layer(steps, layer, name, received)]
        numbers |= {id(tensor): i for tensor, i in zip(node.outputs, outputs, strict=True)}
    return [numbers[id(tensor)] for tensor in graph.outputs]


def _append_layer(steps: list[Step], layer: Layer, name: str, received: list[int]) -> int:
    """Append the steps of a layer, and return the number of its output."""
    kind = type(layer).__name__
    if kind in INACTIVE:
        return received[0]
    name = f"{name}_" if name == INPUT else name
    if kind == "SeparableConv2D":
        steps.append(Step(layer, "depthwise", name, tuple(received)))
        kind, received = "pointwise", [len(steps)]
    steps.append(Step(layer, kind, name, tuple(received)))
    return len(steps)


def _check_layer(layer: Layer, name: str, node: Node) -> None:
    """Check that relevance can be passed through one layer.

    Raises
    ------
    InputError
    """
    keras, _ = import_keras()
    kind = type(layer).__name__
    shapes = [tuple(tensor.shape) for tensor in node.input_tensors]
    problem = ""
    # An operation (keras.ops.add) or a class of the user may have the name of a Keras layer.
    if kind not in SUPPORTED or type(layer) is not getattr(keras.layers, kind):
        problem = f"of a kind that is not supported. Supported are: {', '.join(SUPPORTED)}"
    elif getattr(layer, "data_format", None) == "channels_first":
        problem = "with channels first. Only channels last is supported"
    elif getattr(layer, "quantization_mode", None):
        problem = "quantised. Give the model before quantisation"
    elif kind == "UpSampling2D" and (how := getattr(layer, "interpolation", None)) != "nearest":
        problem = f"interpolating {how}. Only nearest is supported"
    elif kind == "Add" and len(set(shapes)) > 1:
        problem = f"adding unequal shapes {shapes}. Only equal ones are supported"
    elif kind not in MERGING and len(shapes) != 1:
        problem = f"receiving {len(shapes)} tensors. Only one is supported"
    if problem:
        raise InputError(
            f"relevance cannot be passed through layer {name!r} ({kind}): it is {problem}."
        )


def _fold(steps: Sequence[Step], output: int) -> list[Step]:
    """Merge a BatchNormalization into the layer with weights before it, unless others read it."""
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
            and _normalizes_channels(step.layer)
        ):
            norm = cast(NormalizationLayer, step.layer)
            result[before] = replace(result[before], norm=norm)
            result[index] = replace(step, kind="folded")
    return result


def _normalizes_channels(layer: Layer) -> bool:
    spec = getattr(layer, "input_spec", None)
    last = getattr(spec, "ndim", 0) - 1
    return getattr(layer, "axis", None) in (-1, last)


def _find_last(steps: Sequence[Step], output: int) -> int | None:
    """Find the softmax or sigmoid that ends the network; only changes of shape may follow it."""
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
