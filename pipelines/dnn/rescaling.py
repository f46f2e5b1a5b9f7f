"""Find where a model rescales its own input, between the input and the first weights.

Each layer and operation there is tested with black and white pictures. (Code such as `x / 127.5 -
1` becomes the operations `TrueDivide` and `Subtract`.) It rescales if white does not stay the
brightest value and black the darkest.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import cast

import numpy as np

from pipelines.dnn.graph import Graph, Layer, Model, Node, Tensor, find_graph, iterate_nodes

RESCALING_LAYERS = ("Rescaling", "Normalization")
"""They always rescale, even if black and white do not change; they have no trained weights."""
LEVELS = (0.0, 255.0)
OPEN_SIDE = 64
"""Side of the test pictures if the input may have any size, px."""
TOLERANCE = 0.01


def find_rescaling(model: Model) -> str:
    """Return the name of the first layer or operation that rescales the input; "" for none.

    Time and memory are those of two images up to the first weights.

    Parameters
    ----------
    model : keras.Model
        It has one input, an image.
    """
    graph = find_graph(model)
    if graph is None:
        return ""
    _, height, width, channels = graph.inputs[0].shape
    shape = (1, height or OPEN_SIDE, width or OPEN_SIDE, channels)
    pictures = np.concatenate([np.full(shape, level, np.float32) for level in LEVELS])
    rescalings: list[str] = []
    _follow(graph, [pictures], rescalings)
    return rescalings[0] if rescalings else ""


def _follow(graph: Graph, inputs: Sequence[Tensor], rescalings: list[str]) -> list[Tensor] | None:
    """Compute everything before the first weights; return the outputs, None if weights come before.

    The names of layers and operations that rescale are appended to `rescalings`.
    """
    values = {id(tensor): value for tensor, value in zip(graph.inputs, inputs, strict=True)}
    for node in iterate_nodes(graph):
        if not all(id(tensor) in values for tensor in node.input_tensors):
            continue  # there are weights before it
        outputs = _compute(node, values, rescalings)
        if outputs is not None:
            values |= {id(t): value for t, value in zip(node.outputs, outputs, strict=True)}
        if rescalings:
            return None
    if all(id(tensor) in values for tensor in graph.outputs):
        return [values[id(tensor)] for tensor in graph.outputs]
    return None


def _compute(node: Node, values: dict[int, Tensor], rescalings: list[str]) -> list[Tensor] | None:
    """Compute one layer or operation; None if it has weights, or cannot be computed."""
    layer = node.operation
    if type(layer).__name__ in RESCALING_LAYERS:
        rescalings.append(layer.name)
        return None
    inner = find_graph(layer)
    if inner is not None:
        return _follow(inner, [values[id(tensor)] for tensor in node.input_tensors], rescalings)
    if getattr(layer, "weights", None):
        return None
    arguments, options = node.arguments.fill_in(values)
    if _knows_training(layer):  # random layers would change the pictures
        options = options | {"training": False}
    try:
        outputs = layer(*arguments, **options)
    except Exception:  # it may not work for two pictures of one level, or for this size
        return None
    outputs = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
    if any(_rescales(np.asarray(output, dtype=np.float32)) for output in outputs):
        rescalings.append(layer.name)
    return outputs


def _knows_training(layer: Layer) -> bool:
    call = getattr(cast(object, layer), "call", None)
    return call is not None and "training" in inspect.signature(call).parameters


def _rescales(output: np.ndarray) -> bool:
    """Tell whether the brightest or the darkest value of an output has changed."""
    if not output.size or len(output) != len(LEVELS):
        return False
    low, high = LEVELS
    return bool(abs(output.min() - low) > TOLERANCE or abs(output.max() - high) > TOLERANCE)
