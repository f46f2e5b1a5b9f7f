"""The activation of each neuron of a network for each image.

DeepImportance and DeepInspect share the definition of DeepInspect, section III-A: a neuron is a
unit of a dense layer or a feature map of a convolution. A feature map's activation is its mean.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.data.arrays import Floats
from pipelines.data.images import ImageFile, Rejected
from pipelines.dnn.graph import (
    Layer,
    Model,
    Node,
    Tensor,
    check_single,
    find_graph,
    iterate_nodes,
    read_graph,
)
from pipelines.dnn.keras import import_keras
from pipelines.dnn.lrp_layers import ACTIVATIONS
from pipelines.dnn.lrp_plan import INPUT
from pipelines.dnn.model import BATCH, Network, load_batches, scale
from pipelines.runs.errors import InputError
from pipelines.runs.folder import Progress

STAGE = "measuring activations"
WITH_NEURONS = ("Dense", "Conv2D", "SeparableConv2D", "DepthwiseConv2D")
NORMALISATION = "BatchNormalization"
ACTIVATION_OPERATIONS = (
    "Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Celu", "Gelu", "Silu", "HardSilu", "Sigmoid",
    "HardSigmoid", "Softplus", "Softsign", "Tanh", "Softmax",
)  # fmt: skip
"""Keras operations that compute an activation, in the same way as activation layers."""

Activations = tuple[Floats, dict[str, Floats]]
"""Outputs, shape (n, k), and activations of neurons by layer, shape (n, neurons)."""


@dataclass(frozen=True)
class Batch:
    """The outputs and activations of a network for a batch of images.

    Attributes
    ----------
    images : list of ImageFile, length n
        The images that could be decoded; n may be 0.
    rejected : list of Rejected
        The images that could not be decoded.
    outputs : array of float32, shape (n, k)
    layers : dict of str to array of float32, shape (n, neurons)
        The activations of each layer's neurons.
    """

    images: list[ImageFile]
    rejected: list[Rejected]
    outputs: Floats
    layers: dict[str, Floats]


@dataclass(frozen=True)
class _Step:
    """One use of a layer or an operation.

    Attributes
    ----------
    node : keras node
        The call of the layer, with its symbolic tensors.
    name : str
    values : dict of int to int
        The number of each value, by the id of its symbolic tensor.
    inputs, outputs : tuple of int
        Numbers of the values that the step reads and computes.
    """

    node: Node
    name: str
    values: dict[int, int]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def neuron_layers(model: Model) -> dict[str, int]:
    """Return the number of neurons of each layer with neurons, by name, from input to output.

    Layers of nested models are named "outer/inner", as in `relevance.relevance_layers`. A layer
    that is used several times is listed once.

    Raises
    ------
    InputError
        When the model does not say how its layers are connected, or has several inputs or outputs.
    """
    steps, _ = _read_steps(model)
    counts: dict[str, int] = {}
    for step in steps:
        if _has_neurons(step):
            shape = step.node.outputs[0].shape
            counts.setdefault(step.name, int(shape[_axis(step, len(shape))]))
    return counts


def build_activations(model: Model, layers: Sequence[str]) -> Callable[[Floats], Activations]:
    """Compile a forward pass that returns the outputs and the activations of some layers.

    Feature maps are averaged inside the pass. If a layer without an activation function is read
    only by a BatchNormalization or an activation layer, it is measured after these. The activation
    of a layer that is used several times is the mean over its uses. Time grows with the number of
    images, memory with the size of a batch.

    Parameters
    ----------
    model : keras.Model
        Each call uses the weights that the model has at that moment. The model is not changed.
    layers : sequence of str
        Names from `neuron_layers`.

    Returns
    -------
    callable
        Takes images (float32, shape (n, height, width, channels), n > 0, scaled as the model
        expects them); returns `Activations`.

    Raises
    ------
    InputError
        For the reasons of `neuron_layers`, and for a layer that has no neurons.
    """
    steps, output = _read_steps(model)
    uses = _find_uses(steps, output, layers)
    _, tf = import_keras()

    def average(value: Tensor, step: _Step) -> Tensor:
        rank = len(value.shape)
        others = [axis for axis in range(1, rank) if axis != _axis(step, rank)]
        return tf.reduce_mean(tf.cast(value, tf.float32), axis=others)

    @tf.function(
        input_signature=[tf.TensorSpec((None, *model.inputs[0].shape[1:]), tf.float32)],
        autograph=False,
    )
    def run(images):  # type: ignore[no-untyped-def]
        values = _compute(steps, images)
        outputs = tf.reshape(tf.cast(values[output], tf.float32), (tf.shape(images)[0], -1))
        neurons = {
            name: tf.add_n([average(values[i], step) for i, step in of_layer]) / len(of_layer)
            for name, of_layer in uses.items()
        }
        return outputs, neurons

    def measure(images: Floats) -> Activations:
        outputs, neurons = run(tf.constant(images))
        return outputs.numpy(), {name: neurons[name].numpy() for name in layers}

    return measure


def _find_uses(
    steps: Sequence[_Step], output: int, layers: Sequence[str]
) -> dict[str, list[tuple[int, _Step]]]:
    """Find the uses of each layer, with the number of the value that holds its activations."""
    known = list(dict.fromkeys(step.name for step in steps if _has_neurons(step)))
    for name in layers:
        if name not in known:
            choices = f"Choose among {', '.join(known)}." if known else "No layer has neurons."
            raise InputError(f"no neurons in a layer {name!r}. {choices}")
    uses: dict[str, list[tuple[int, _Step]]] = {name: [] for name in layers}
    for step in steps:
        if step.name in uses and _has_neurons(step):
            uses[step.name].append((_find_activation(steps, step, output), step))
    return uses


def stream_activations(
    network: Network,
    layers: Sequence[str],
    folder: Path,
    images: Sequence[ImageFile],
    progress: Progress,
    batch_size: int = BATCH,
) -> Iterator[Batch]:
    """Measure the activations of some layers for the images of a folder, batch by batch.

    Time grows linearly with the number of images; memory depends only on the size of a batch.

    Parameters
    ----------
    layers : sequence of str
        Names from `neuron_layers`.

    Yields
    ------
    Batch

    Raises
    ------
    InputError
        For the reasons of `build_activations`, and when an output or an activation is not a finite
        number. The message names the image and the layer.
    """
    measure = build_activations(network.model, layers)
    counts = neuron_layers(network.model)
    done = 0
    for batch in load_batches(network, folder, images, batch_size):
        usable = [item for item in batch if not isinstance(item, Rejected)]
        rejected = [item for item in batch if isinstance(item, Rejected)]
        kept = [image for image, _ in usable]
        outputs: Floats = np.empty((0, network.outputs), np.float32)
        neurons: dict[str, Floats] = {
            name: np.empty((0, counts[name]), np.float32) for name in layers
        }
        if usable:
            outputs, neurons = measure(scale(network, np.stack([pixels for _, pixels in usable])))
            _check_finite(network, kept, outputs, neurons)
        done += len(batch)
        progress(STAGE, done, len(images))
        yield Batch(kept, rejected, outputs, neurons)


def _check_finite(
    network: Network, images: Sequence[ImageFile], outputs: Floats, neurons: dict[str, Floats]
) -> None:
    """Check that all outputs and activations are finite numbers.

    Raises
    ------
    InputError
    """
    measured = {f"an activation of its layer {name!r}": values for name, values in neurons.items()}
    measured["its output"] = outputs
    for what, values in measured.items():  # the first layer that is not finite is the cause
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            image = images[int(np.argmin(finite))].path
            raise InputError(
                f"{network.file}: {what} for {image} is not a number. Expected finite numbers. "
                f"Check that --scaling {network.scaling} is right and the weights are complete."
            )


def _read_steps(model: Model) -> tuple[list[_Step], int]:
    """List the steps of a model, each after the steps that it reads; return the output's number.

    Raises
    ------
    InputError
    """
    check_single(model)
    steps: list[_Step] = []
    (output,) = _append_model(model, "", [0], steps)
    return steps, output


def _append_model(
    model: Model | Layer, prefix: str, inputs: Sequence[int], steps: list[_Step]
) -> list[int]:
    """Append the steps of a model and of its nested models; return the numbers of its outputs."""
    graph = read_graph(model)
    values = {id(tensor): i for tensor, i in zip(graph.inputs, inputs, strict=True)}
    for node in iterate_nodes(graph):
        name = prefix + node.operation.name
        received = tuple(values[id(tensor)] for tensor in node.input_tensors)
        if find_graph(node.operation) is not None:
            outputs = _append_model(node.operation, f"{name}/", received, steps)
        else:
            start = steps[-1].outputs[-1] + 1 if steps else 1
            outputs = list(range(start, start + len(node.outputs)))
            name = f"{name}_" if name == INPUT else name
            steps.append(_Step(node, name, values, received, tuple(outputs)))
        values |= {id(tensor): i for tensor, i in zip(node.outputs, outputs, strict=True)}
    return [values[id(tensor)] for tensor in graph.outputs]


def _compute(steps: Sequence[_Step], images: Tensor) -> list[Tensor]:
    """Compute all values: the images first, then the outputs of each step."""
    keras, _ = import_keras()
    values = [images]
    for step in steps:
        computed = {i: values[number] for i, number in step.values.items() if number < len(values)}
        args, kwargs = step.node.arguments.fill_in(computed)
        operation = step.node.operation
        if (
            isinstance(operation, keras.Layer)
            and "training" in inspect.signature(operation.call).parameters
        ):
            kwargs = {**kwargs, "training": False}
        values += keras.tree.flatten(operation(*args, **kwargs))
    return values


def _has_neurons(step: _Step) -> bool:
    keras, _ = import_keras()
    kinds = tuple(getattr(keras.layers, kind) for kind in WITH_NEURONS)
    return isinstance(step.node.operation, kinds)


def _axis(step: _Step, rank: int) -> int:
    """Return the axis of a layer's output that counts its neurons."""
    first = getattr(step.node.operation, "data_format", None) == "channels_first"
    return 1 if first else rank - 1


def _find_activation(steps: Sequence[_Step], step: _Step, output: int) -> int:
    """Find the number of the value that holds a layer's activations: after its nonlinearity."""
    keras, _ = import_keras()
    uses = Counter([output, *(i for reader in steps for i in reader.inputs)])
    (number,) = step.outputs
    activation = getattr(step.node.operation, "activation", None)
    if activation not in (None, keras.activations.linear):
        return number
    while uses[number] == 1 and number != output:
        reader = next(reader for reader in steps if number in reader.inputs)
        kind = type(reader.node.operation).__name__
        if kind not in (NORMALISATION, *ACTIVATIONS, *ACTIVATION_OPERATIONS):
            break
        (number,) = reader.outputs
        if kind != NORMALISATION:
            break
    return number
