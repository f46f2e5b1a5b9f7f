"""The parts of Keras models, layers and connections that this tool uses.

TensorFlow and Keras have no type annotations. The protocols below declare the few attributes that
are read, so that the other modules of this room are type-checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, cast

from pipelines.runs.errors import InputError

# TensorFlow and Keras have no type annotations: tensors and variables cannot be typed.
Tensor = Any


class Layer(Protocol):
    """A layer, a model that is used as a layer, or an operation such as `keras.ops.add`."""

    name: str

    def __call__(self, *inputs: Tensor, **options: Tensor) -> Tensor:
        """Compute the outputs."""


class WeightedLayer(Layer, Protocol):
    """A dense layer or a convolution; each class has only some of these attributes."""

    kernel: Tensor
    depthwise_kernel: Tensor
    pointwise_kernel: Tensor
    strides: tuple[int, ...]
    padding: str
    dilation_rate: tuple[int, ...]
    groups: int


class NormalizationLayer(Layer, Protocol):
    """A BatchNormalization."""

    moving_mean: Tensor
    moving_variance: Tensor
    gamma: Tensor
    beta: Tensor
    epsilon: float
    scale: bool
    center: bool


class Arguments(Protocol):
    """The arguments of one call of a layer."""

    def fill_in(
        self, tensor_dict: Mapping[int, Tensor]
    ) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        """Replace symbolic tensors, which are named by their ids, with values."""


class Node(Protocol):
    """One call of a layer in a model."""

    is_input: bool
    operation: Layer
    arguments: Arguments
    input_tensors: Sequence[Tensor]
    outputs: Sequence[Tensor]


class Graph(Protocol):
    """The nodes of a Functional model by depth; the model's outputs have depth 0."""

    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    _nodes_by_depth: Mapping[int, Sequence[Node]]


class Optimizer(Protocol):
    """The optimizer of a model that is being trained."""

    learning_rate: Tensor
    variables: Sequence[Tensor]

    def build(self, variables: Sequence[Tensor]) -> None:
        """Make the optimizer's own variables for those of a model."""


class Model(Protocol):
    """A Keras model."""

    name: str
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    layers: Sequence[Layer]
    optimizer: Optimizer

    def __call__(self, inputs: Tensor, *, training: bool = False) -> Tensor:
        """Compute the outputs."""

    def get_weights(self) -> list[Tensor]:
        """Return the values of all variables."""

    def set_weights(self, weights: Sequence[Tensor]) -> None:
        """Set the values of all variables."""

    def train_on_batch(self, x: Tensor, y: Tensor) -> Tensor:
        """Train with one batch, and return the loss."""


def find_graph(model: Model | Layer) -> Graph | None:
    """Return the graph of a model; None for layers, and for models without a known graph."""
    graph = getattr(model, "_functional", None) or model  # a Sequential model holds a Functional
    return cast(Graph, graph) if hasattr(graph, "_nodes_by_depth") else None


def read_graph(model: Model | Layer) -> Graph:
    """Return the graph of a model.

    Raises
    ------
    InputError
        When the model does not say how its layers are connected, such as a subclassed model.
    """
    graph = find_graph(model)
    if graph is None:
        raise InputError(
            f"model {model.name!r} ({type(model).__name__}) does not say how its layers are "
            "connected. Expected a Functional model, or a Sequential one with an input shape."
        )
    return graph


def check_single(model: Model) -> None:
    """Check that a model has one input and one output.

    Raises
    ------
    InputError
    """
    for what in ("inputs", "outputs"):
        count = len(getattr(model, what, None) or ())
        if count > 1:
            raise InputError(
                f"model {model.name!r}: expected one {what.removesuffix('s')}, received {count}. "
                "Give a model with one input and one output."
            )


def iterate_nodes(graph: Graph) -> Iterator[Node]:
    """Iterate over the nodes of a graph without inputs, each after all nodes that it reads."""
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if not node.is_input:
                yield node
