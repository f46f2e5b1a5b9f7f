"""The computations of a network's layers, for relevance propagation (see `lrp_rules`).

For the values of each layer, the forward pass keeps whether they can be negative and whether they
are still pixels. A layer that computes weighted sums of its inputs is a linear map plus a bias.
These functions build a TensorFlow graph. Tensors are float32, with one row per image.
These functions build a TensorFlow graph. Tensors are float32, with one row per image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

from pipelines.dnn.graph import Layer, NormalizationLayer, Tensor, WeightedLayer
from pipelines.dnn.keras import import_keras

LINEAR = ("Dense", "Conv2D", "DepthwiseConv2D", "SeparableConv2D", "AveragePooling2D",
          "GlobalAveragePooling2D", "Add")  # fmt: skip
ROUTING = ("MaxPooling2D", "GlobalMaxPooling2D", "Concatenate", "Flatten", "Reshape",
           "ZeroPadding2D", "UpSampling2D")  # fmt: skip
"""Each output is a copy of one input, or padding: the input gets the output's relevance."""
SCALING = ("BatchNormalization", "Rescaling", "Normalization")
"""Each output is one input, scaled and shifted."""
ACTIVATIONS = ("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax")
NEVER_NEGATIVE = (
    "relu", "relu6", "sigmoid", "hard_sigmoid", "softmax", "softplus", "exponential",
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One use of a layer in the network.

    Attributes
    ----------
    layer : keras.Layer
    kind : str
        The name of the layer's class. Exceptions: the two halves of a SeparableConv2D are
        "depthwise" and "pointwise", and a BatchNormalization that the layer before computes is
        "folded".
    name : str
        Unique; "outer/inner" in nested models.
    inputs : tuple of int
        Numbers of the values that it reads: 0 is the network's input, i + 1 the output of step i.
    norm : keras.Layer, optional
        The BatchNormalization that this layer also computes: it scales weights and bias.
    """

    layer: Layer
    kind: str
    name: str
    inputs: tuple[int, ...]
    norm: NormalizationLayer | None = None

    @property
    def activation(self) -> Callable[[Tensor], Tensor] | None:
        """The activation function of the layer; None if it has none, or a linear one."""
        keras, _ = import_keras()
        if self.kind == "Softmax":
            return self.layer
        activation = None if self.kind == "depthwise" else getattr(self.layer, "activation", None)
        return None if activation is keras.activations.linear else activation

    @property
    def linear(self) -> bool:
        """Whether the outputs are weighted sums of the inputs, plus a bias."""
        return self.kind in (*LINEAR, "depthwise", "pointwise")


@dataclass(frozen=True)
class Value:
    """The values between two layers, for a batch of images.

    Attributes
    ----------
    tensor : tensor of float32, shape (n, ...)
    positive : bool
        Whether no value can be negative; each rule then needs only one of its two products.
    pixels : bool
        Whether the values are the network's input, at most scaled, shifted or rearranged.
    bounds : pair of tensors of float32, shape (1, ...), optional
        Smallest and largest possible pixels, for the box rule.
    inside : tensor of float32, shape (1, height, width, channels), optional
        0 in the padding of a ZeroPadding2D, otherwise 1.
    """

    tensor: Tensor
    positive: bool = False
    pixels: bool = False
    bounds: tuple[Tensor, Tensor] | None = None
    inside: Tensor | None = None


@dataclass(frozen=True)
class LinearMap:
    """A layer as a linear map.

    Attributes
    ----------
    apply : callable
        Computes the outputs, without bias, from inputs and weights. It is linear in both.
    kernel : tensor of float32, optional
        The weights; None if all are fixed and positive.
    bias : tensor of float32, optional
    spread : callable
        Shares the outputs' relevance evenly among the inputs. Takes the inputs as a `Value` and the
        relevance; returns a tensor that broadcasts to the inputs' shape.
    """

    apply: Callable[[Tensor, Tensor | None], Tensor]
    kernel: Tensor | None
    bias: Tensor | None
    spread: Callable[[Value, Tensor], Tensor]


def forward(step: Step, values: Sequence[Value], *, bare: bool = False) -> tuple[Value, Tensor]:
    """Compute the outputs of a layer.

    Parameters
    ----------
    values : sequence of Value
        The layer's inputs.
    bare : bool
        Whether to leave out the activation.

    Returns
    -------
    value : Value
        The outputs.
    total : tensor of float32, shape of the outputs
        For a layer with weights, the input of its activation; for other layers, the outputs.
    """
    keras, tf = import_keras()
    first = values[0]
    if step.kind == "folded":
        return first, first.tensor
    activation = None if bare else step.activation
    never_negative = activation is not None and any(
        activation is getattr(keras.activations, name) for name in NEVER_NEGATIVE
    )
    if step.linear:
        first, linear = stack_values(values), build_linear_map(step)
        total = linear.apply(first.tensor, linear.kernel)
        total = total if linear.bias is None else total + linear.bias
        output = total if activation is None else tf.cast(activation(total), tf.float32)
        stays_positive = activation is None and linear.kernel is None and first.positive
        return Value(output, positive=never_negative or stays_positive), total
    if step.kind in ACTIVATIONS:
        function = activation if step.kind in ("Activation", "Softmax") else step.layer
        output = first.tensor if function is None else tf.cast(function(first.tensor), tf.float32)
        rectified = step.kind == "ReLU" and not getattr(step.layer, "negative_slope", 0)
        positive = never_negative or rectified or (function is None and first.positive)
        positive = positive or (step.kind == "Softmax" and not bare)
        return Value(output, positive=positive), output

    def call(*tensors: Tensor) -> Tensor:
        result = step.layer(list(tensors) if step.kind == "Concatenate" else tensors[0])
        return tf.cast(result, tf.float32)

    output = call(*(value.tensor for value in values))
    result = Value(output, pixels=all(value.pixels for value in values))
    if result.pixels and first.bounds is not None:
        ends = [call(*(value.bounds[i] for value in values if value.bounds)) for i in (0, 1)]
        result = replace(result, bounds=(tf.minimum(*ends), tf.maximum(*ends)))
    if step.kind in ROUTING:
        result = replace(result, positive=all(value.positive for value in values))
    if step.kind == "ZeroPadding2D":
        inside = tf.ones_like(first.tensor[:1]) if first.inside is None else first.inside
        result = replace(result, inside=call(inside))
    return result, output


def build_linear_map(step: Step) -> LinearMap:
    """Express a layer that computes weighted sums as a linear map."""
    keras, tf = import_keras()
    layer, ops = cast(WeightedLayer, step.layer), keras.ops
    apply: Callable[[Tensor, Tensor | None], Tensor]
    if step.kind == "Add":
        return _without_weights(lambda x, _: tf.reduce_sum(x, axis=-1))
    if step.kind in ("AveragePooling2D", "GlobalAveragePooling2D"):
        return _without_weights(lambda x, _: tf.cast(layer(x), tf.float32))
    if step.kind == "Dense":
        kernel, bias = _weights(layer.kernel, step)
        return LinearMap(ops.matmul, kernel, bias, _spread_over_channels)
    if step.kind == "pointwise":
        kernel, bias = _weights(layer.pointwise_kernel, step)
        return LinearMap(ops.conv, kernel, bias, _spread_over_channels)
    options = {
        "strides": layer.strides,
        "padding": layer.padding,
        "dilation_rate": layer.dilation_rate,
        "data_format": "channels_last",
    }
    if step.kind == "Conv2D":
        kernel, bias = _weights(layer.kernel, step)
        apply, groups = lambda x, w: ops.conv(x, w, **options), layer.groups
        ones = tf.ones((*kernel.shape[:2], 1, groups))
    else:
        half = step.kind == "depthwise"
        kernel, bias = _weights(layer.depthwise_kernel if half else layer.kernel, step)
        apply, groups = lambda x, w: ops.depthwise_conv(x, w, **options), kernel.shape[2]
        ones = tf.ones((*kernel.shape[:3], 1))

    def spread(value: Value, relevance: Tensor) -> Tensor:
        # All channels of a group get equal shares, so one channel per group is computed.
        shape = tf.concat([tf.shape(relevance)[:-1], [groups, -1]], axis=0)
        grouped = tf.reduce_sum(tf.reshape(relevance, shape), axis=-1)
        one = tf.ones_like(value.tensor[:1, ..., :groups])
        inside = one if value.inside is None else value.inside[..., :groups]
        channels = value.tensor.shape[-1] // groups
        share = tf.math.divide_no_nan(grouped, apply(inside, ones)) / channels
        (shares,) = pull_back(lambda x: apply(x[0], ones), [value.tensor[..., :groups]], share)
        return shares if groups == 1 else tf.repeat(shares, channels, axis=-1)

    return LinearMap(apply, kernel, bias, spread)


def _without_weights(apply: Callable[[Tensor, Tensor | None], Tensor]) -> LinearMap:
    _, tf = import_keras()

    def spread(value: Value, relevance: Tensor) -> Tensor:
        inside = tf.ones_like(value.tensor[:1]) if value.inside is None else value.inside
        share = tf.math.divide_no_nan(relevance, apply(inside, None))
        (shares,) = pull_back(lambda x: apply(x[0], None), [value.tensor], share)
        return shares

    return LinearMap(apply, None, None, spread)


def _spread_over_channels(value: Value, relevance: Tensor) -> Tensor:
    _, tf = import_keras()
    mean = tf.reduce_sum(relevance, axis=-1, keepdims=True) / value.tensor.shape[-1]
    return tf.zeros_like(value.tensor) + mean


def _weights(kernel: Tensor, step: Step) -> tuple[Tensor, Tensor | None]:
    """Return kernel and bias; both include the BatchNormalization that the layer computes."""
    keras, tf = import_keras()

    def plain(variable: Tensor) -> Tensor:
        return tf.cast(keras.ops.convert_to_tensor(variable), tf.float32)

    kernel = plain(kernel)
    bias = None if step.kind == "depthwise" else getattr(step.layer, "bias", None)
    bias = None if bias is None else plain(bias)
    norm = step.norm
    if norm is None:
        return kernel, bias
    scale = tf.math.rsqrt(plain(norm.moving_variance) + norm.epsilon)
    scale = scale * plain(norm.gamma) if norm.scale else scale
    shift = -plain(norm.moving_mean) * scale + (plain(norm.beta) if norm.center else 0.0)
    shift = shift if bias is None else shift + bias * scale
    # A depthwise kernel has its output channels on two axes.
    by_output = tf.reshape(scale, kernel.shape[2:]) if step.kind == "DepthwiseConv2D" else scale
    return kernel * by_output, shift


def stack_values(values: Sequence[Value]) -> Value:
    """Return the only value of a layer, or the several values of an Add, stacked on a last axis."""
    _, tf = import_keras()
    if len(values) == 1:
        return values[0]
    stacked = tf.stack([value.tensor for value in values], axis=-1)
    return Value(stacked, positive=all(value.positive for value in values))


def pull_back(
    function: Callable[[list[Tensor]], Tensor], inputs: list[Tensor], relevance: Tensor
) -> list[Tensor]:
    """Multiply relevance by the transpose of a function's Jacobian at the inputs.

    Parameters
    ----------
    function : callable
        From the inputs to one tensor, the outputs.
    inputs : list of tensors of float32
    relevance : tensor of float32, shape of the outputs

    Returns
    -------
    list of tensors of float32, with the shapes of the inputs
    """
    _, tf = import_keras()
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        outputs = tf.cast(function(inputs), tf.float32)
    gradients: list[Tensor] = tape.gradient(outputs, inputs, output_gradients=relevance)
    return gradients
