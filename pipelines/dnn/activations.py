"""What each neuron of a network gives for each image.

Both papers that look at neurons from within count as DeepInspect, section III-A, does: a neuron is
a unit of a dense layer, or a feature map of a convolution, whose activation is the map's mean.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.data.arrays import Floats
from pipelines.data.images import ImageFile, Rejected
from pipelines.dnn.keras import import_keras
from pipelines.dnn.lrp_layers import ACTIVATIONS
from pipelines.dnn.lrp_plan import INPUT
from pipelines.dnn.model import BATCH, Network, load_batches, scale
from pipelines.runs.errors import InputError
from pipelines.runs.folder import Progress

STAGE = "measuring activations"
WITH_NEURONS = ("Dense", "Conv2D", "SeparableConv2D", "DepthwiseConv2D")
NORMALISATION = "BatchNormalization"
FUNCTIONS = ("Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Celu", "Gelu", "Silu", "HardSilu",
             "Sigmoid", "HardSigmoid", "Softplus", "Softsign", "Tanh", "Softmax")  # fmt: skip
"""Operations of Keras that do in a graph what activation layers do."""

Measured = tuple[Floats, dict[str, Floats]]


@dataclass(frozen=True)
class Batch:
    """What a network does for some images.

    Attributes
    ----------
    images : list of ImageFile, length n
        Those of the batch that could be decoded; n may be 0.
    rejected : list of Rejected
        The others.
    outputs : array of float32, shape (n, k)
    layers : dict of str to array of float32, shape (n, neurons)
        By layer, its neurons' activations.
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
        What is computed, and from which symbolic tensors.
    name : str
    values : dict of int to int
        By the id of a symbolic tensor, which value it is.
    inputs, outputs : tuple of int
        The values that it reads and gives.
    """

    node: Any
    name: str
    values: dict[int, int]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def neuron_layers(model: Any) -> dict[str, int]:
    """Name the layers that have neurons, from input to output, with the number of each.

    Layers of nested models are named "outer/inner", all as `dnn.relevance.relevance_layers` does.
    A layer that is used several times is named once.

    Raises
    ------
    InputError
        When the model does not tell how its layers are connected, or has several inputs or outputs.
    """
    steps, _ = _walk_model(model)
    counts: dict[str, int] = {}
    for step in steps:
        if _has_neurons(step):
            shape = step.node.outputs[0].shape
            counts.setdefault(step.name, int(shape[_axis(step, len(shape))]))
    return counts


def build_activations(model: Any, layers: Sequence[str]) -> Callable[[Floats], Measured]:
    """Compile one pass that gives the outputs, and the activations of the neurons of some layers.

    A feature map is averaged inside the pass and never leaves it.  A layer without a nonlinearity
    of its own, whose values go to a BatchNormalization or an activation and nowhere else, is
    measured behind these.  Of a layer that is used several times the mean over its uses counts.
    Time grows with the number of images, memory with the size of a batch.

    Parameters
    ----------
    model : keras.Model
        Its present weights are used at each call; nothing of it is copied or changed.
    layers : sequence of str
        Of `neuron_layers`.

    Returns
    -------
    callable
        From images, float32, of shape (n, height, width, channels), n > 0, scaled as the model
        expects them, to its outputs, float32, of shape (n, k), and by layer the activations,
        float32, of shape (n, neurons).

    Raises
    ------
    InputError
        As `neuron_layers`; for a layer that has no neurons.
    """
    steps, output = _walk_model(model)
    places = _find_uses(steps, output, layers)
    _, tf = import_keras()

    def average(value: Any, step: _Step) -> Any:
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
            name: tf.add_n([average(values[i], step) for i, step in uses]) / len(uses)
            for name, uses in places.items()
        }
        return outputs, neurons

    def measure(images: Floats) -> Measured:
        outputs, neurons = run(tf.constant(images))
        return outputs.numpy(), {name: neurons[name].numpy() for name in layers}

    return measure


def _find_uses(
    steps: Sequence[_Step], output: int, layers: Sequence[str]
) -> dict[str, list[tuple[int, _Step]]]:
    """Find, for each layer, its uses, each with the value that its neurons are measured by."""
    known = list(dict.fromkeys(step.name for step in steps if _has_neurons(step)))
    for name in layers:
        if name not in known:
            received = f"no neurons in a layer {name!r}."
            raise InputError(f"{received} Choose among {', '.join(known) or 'none: it has none'}.")
    uses: dict[str, list[tuple[int, _Step]]] = {name: [] for name in layers}
    for step in steps:
        if step.name in uses and _has_neurons(step):
            uses[step.name].append((_measured_at(steps, step, output), step))
    return uses


def stream_activations(
    network: Network,
    layers: Sequence[str],
    folder: Path,
    images: Sequence[ImageFile],
    progress: Progress,
    batch_size: int = BATCH,
) -> Iterator[Batch]:
    """Measure the neurons of some layers over the images of a folder, a batch at a time.

    Time grows linearly with the number of images, memory with the size of a batch alone.

    Parameters
    ----------
    layers : sequence of str
        Of `neuron_layers`.

    Raises
    ------
    InputError
        As `build_activations`; when an output or an activation is not a number, naming the image
        and the layer.
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
    """Check that all that was measured are numbers.

    Raises
    ------
    InputError
    """
    named = {f"an activation of its layer {name!r}": values for name, values in neurons.items()}
    for what, values in (named | {"its output": outputs}).items():  # the first layer is the cause
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            image = images[int(np.argmin(finite))].path
            raise InputError(
                f"{network.file}: {what} for {image} is not a number. Expected finite ones: is "
                f"--scaling {network.scaling} right, and are the weights whole?"
            )


def _walk_model(model: Any) -> tuple[list[_Step], int]:
    """List what a model computes, in an order in which it can; return which value it gives.

    Raises
    ------
    InputError
    """
    for what in ("inputs", "outputs"):
        count = len(getattr(model, what, None) or ())
        if count > 1:
            raise InputError(f"model {model.name!r}: expected one of {what}, received {count}")
    if _graph(model) is None:
        raise InputError(
            f"model {model.name!r} ({type(model).__name__}) does not tell how its layers are "
            "connected. Expected a Functional model, or a Sequential one with an input shape."
        )
    steps: list[_Step] = []
    (output,) = _walk(model, "", [0], steps)
    return steps, output


def _graph(model: Any) -> Any:
    """Return what holds a model's nodes; None for layers, and for models that do not tell."""
    graph = getattr(model, "_functional", None) or model  # of a Sequential model
    return graph if hasattr(graph, "_nodes_by_depth") else None


def _walk(model: Any, prefix: str, inputs: Sequence[int], steps: list[_Step]) -> list[int]:
    """Append the steps of a model, those of nested models too; return which values it gives."""
    graph = _graph(model)
    values = {id(tensor): i for tensor, i in zip(graph.inputs, inputs, strict=True)}
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if node.is_input:
                continue
            name = prefix + node.operation.name
            received = tuple(values[id(tensor)] for tensor in node.input_tensors)
            if _graph(node.operation) is not None:
                places = _walk(node.operation, f"{name}/", received, steps)
            else:
                start = steps[-1].outputs[-1] + 1 if steps else 1
                places = list(range(start, start + len(node.outputs)))
                name = f"{name}_" if name == INPUT else name
                steps.append(_Step(node, name, values, received, tuple(places)))
            values |= {id(tensor): i for tensor, i in zip(node.outputs, places, strict=True)}
    return [values[id(tensor)] for tensor in graph.outputs]


def _compute(steps: Sequence[_Step], images: Any) -> list[Any]:
    """Compute all values: the images first, then what each step gives."""
    keras, _ = import_keras()
    values = [images]
    for step in steps:
        known = {i: values[place] for i, place in step.values.items() if place < len(values)}
        args, kwargs = step.node.arguments.fill_in(known)
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
    """Return along which axis of what a layer gives its neurons lie."""
    first = getattr(step.node.operation, "data_format", None) == "channels_first"
    return 1 if first else rank - 1


def _measured_at(steps: Sequence[_Step], step: _Step, output: int) -> int:
    """Find the value that tells what a layer's neurons give: behind its nonlinearity."""
    keras, _ = import_keras()
    uses = Counter([output, *(i for reader in steps for i in reader.inputs)])
    (place,) = step.outputs
    if step.node.operation.activation not in (None, keras.activations.linear):
        return place
    while uses[place] == 1 and place != output:
        reader = next(reader for reader in steps if place in reader.inputs)
        kind = type(reader.node.operation).__name__
        if kind not in (NORMALISATION, *ACTIVATIONS, *FUNCTIONS):
            break
        (place,) = reader.outputs
        if kind != NORMALISATION:
            break
    return place
