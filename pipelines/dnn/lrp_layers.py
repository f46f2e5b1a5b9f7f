"""What the layers of a network compute, as relevance propagation needs it (see `lrp_rules`).

Forward, each layer gives values of which it is known whether they can be negative, and whether they
still are pixels.  Layers that sum their inputs, weighed, are linear maps, apart from their bias.

What is here builds a TensorFlow graph: tensors are float32, a row an image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipelines.dnn.keras import import_keras

LINEAR = ("Dense", "Conv2D", "DepthwiseConv2D", "SeparableConv2D", "AveragePooling2D",
          "GlobalAveragePooling2D", "Add")  # fmt: skip
ROUTING = ("MaxPooling2D", "GlobalMaxPooling2D", "Concatenate", "Flatten", "Reshape",
           "ZeroPadding2D", "UpSampling2D")  # fmt: skip
"""Each output is one of the inputs (or padding), and its relevance that input's."""
SCALING = ("BatchNormalization", "Rescaling", "Normalization")
"""Each output is one input, scaled and shifted."""
ACTIVATIONS = ("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax")
NEVER_NEGATIVE = (
    "relu", "relu6", "sigmoid", "hard_sigmoid", "softmax", "softplus", "exponential",
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One layer's place in the network.

    Attributes
    ----------
    layer : keras.Layer
    kind : str
        The class of the layer, but for the halves of SeparableConv2D, "depthwise" and
        "pointwise", and for a BatchNormalization that the layer before has taken over, "folded".
    name : str
        Unique; "outer/inner" in nested models.
    inputs : tuple of int
        Which values go in: 0 is the network's input, i + 1 what step i gives.
    norm : keras.Layer, optional
        A BatchNormalization taken over: it scales this layer's weights and bias.
    """

    layer: Any
    kind: str
    name: str
    inputs: tuple[int, ...]
    norm: Any = None

    @property
    def activation(self) -> Any:
        """Its activation as a function, None where it has none."""
        keras, _ = import_keras()
        if self.kind == "Softmax":
            return self.layer
        activation = None if self.kind == "depthwise" else getattr(self.layer, "activation", None)
        return None if activation is keras.activations.linear else activation

    @property
    def linear(self) -> bool:
        """Whether it sums its inputs, weighed."""
        return self.kind in (*LINEAR, "depthwise", "pointwise")


@dataclass(frozen=True)
class Value:
    """What goes from layer to layer for a batch of images.

    Attributes
    ----------
    tensor : float32, shape (n, ...)
    positive : bool
        Whether it is known not to be negative, which halves the work.
    pixels : bool
        Whether it still is the network's input, each value by itself scaled or moved.
    bounds : pair of float32 tensors, shape (1, ...), optional
        Smallest and largest possible pixels, for the box rule.
    inside : float32, shape (1, height, width, channels), optional
        0 where ZeroPadding2D has padded it, else 1.
    """

    tensor: Any
    positive: bool = False
    pixels: bool = False
    bounds: tuple[Any, Any] | None = None
    inside: Any = None


@dataclass(frozen=True)
class Linear:
    """A layer as a linear map.

    Attributes
    ----------
    apply : callable
        From inputs and weights, linear in both, to the outputs without bias.
    kernel : float32, optional
        The weights; None where all are fixed and positive.
    bias : float32, optional
    spread : callable
        From a value and the outputs' relevance to the inputs', shared out evenly; may be of a
        shape that broadcasts to the inputs'.
    """

    apply: Callable[[Any, Any], Any]
    kernel: Any
    bias: Any
    spread: Callable[[Value, Any], Any]


def forward(step: Step, values: Sequence[Value], *, bare: bool = False) -> tuple[Value, Any]:
    """Compute what a layer gives.

    Parameters
    ----------
    values : sequence of Value
        What goes in.
    bare : bool
        Leave its activation out.

    Returns
    -------
    value : Value
    total : float32, shape of the value
        Of a layer with weights, what its activation receives; else the value's tensor.
    """
    keras, tf = import_keras()
    first = values[0]
    if step.kind == "folded":
        return first, first.tensor
    activation = None if bare else step.activation
    known = [name for name in NEVER_NEGATIVE if activation is getattr(keras.activations, name)]
    if step.linear:
        first, linear = joined(values), linear_map(step)
        total = linear.apply(first.tensor, linear.kernel)
        total = total if linear.bias is None else total + linear.bias
        output = total if activation is None else tf.cast(activation(total), tf.float32)
        still = activation is None and linear.kernel is None and first.positive
        return Value(output, positive=bool(known) or still), total
    if step.kind in ACTIVATIONS:
        function = activation if step.kind in ("Activation", "Softmax") else step.layer
        output = first.tensor if function is None else tf.cast(function(first.tensor), tf.float32)
        rectified = step.kind == "ReLU" and not step.layer.negative_slope
        positive = bool(known) or rectified or (function is None and first.positive)
        positive = positive or (step.kind == "Softmax" and not bare)
        return Value(output, positive=positive), output

    def call(*tensors: Any) -> Any:
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


def linear_map(step: Step) -> Linear:
    """Express a layer as a linear map."""
    keras, tf = import_keras()
    layer, ops = step.layer, keras.ops
    apply: Callable[[Any, Any], Any]
    if step.kind == "Add":
        return _without_weights(lambda x, _: tf.reduce_sum(x, axis=-1))
    if step.kind in ("AveragePooling2D", "GlobalAveragePooling2D"):
        return _without_weights(lambda x, _: tf.cast(layer(x), tf.float32))
    if step.kind == "Dense":
        kernel, bias = _weights(layer.kernel, step)
        return Linear(ops.matmul, kernel, bias, _spread_over_channels)
    if step.kind == "pointwise":
        kernel, bias = _weights(layer.pointwise_kernel, step)
        return Linear(ops.conv, kernel, bias, _spread_over_channels)
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

    def spread(value: Value, relevance: Any) -> Any:
        # All channels of a group get the same, so that one of each does for the convolution.
        shape = tf.concat([tf.shape(relevance)[:-1], [groups, -1]], axis=0)
        grouped = tf.reduce_sum(tf.reshape(relevance, shape), axis=-1)
        one = tf.ones_like(value.tensor[:1, ..., :groups])
        inside = one if value.inside is None else value.inside[..., :groups]
        channels = value.tensor.shape[-1] // groups
        share = tf.math.divide_no_nan(grouped, apply(inside, ones)) / channels
        (shares,) = pull_back(lambda x: apply(x[0], ones), [value.tensor[..., :groups]], share)
        return shares if groups == 1 else tf.repeat(shares, channels, axis=-1)

    return Linear(apply, kernel, bias, spread)


def _without_weights(apply: Callable[[Any, Any], Any]) -> Linear:
    _, tf = import_keras()

    def spread(value: Value, relevance: Any) -> Any:
        inside = tf.ones_like(value.tensor[:1]) if value.inside is None else value.inside
        share = tf.math.divide_no_nan(relevance, apply(inside, None))
        (shares,) = pull_back(lambda x: apply(x[0], None), [value.tensor], share)
        return shares

    return Linear(apply, None, None, spread)


def _spread_over_channels(value: Value, relevance: Any) -> Any:
    _, tf = import_keras()
    mean = tf.reduce_sum(relevance, axis=-1, keepdims=True) / value.tensor.shape[-1]
    return tf.zeros_like(value.tensor) + mean


def _weights(kernel: Any, step: Step) -> tuple[Any, Any]:
    """Return kernel and bias, those of a BatchNormalization folded in."""
    keras, tf = import_keras()

    def plain(variable: Any) -> Any:
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


def joined(values: Sequence[Value]) -> Value:
    """Return the one value, or all that an Add receives, side by side on a last axis."""
    _, tf = import_keras()
    if len(values) == 1:
        return values[0]
    stacked = tf.stack([value.tensor for value in values], axis=-1)
    return Value(stacked, positive=all(value.positive for value in values))


def pull_back(function: Callable[[list[Any]], Any], inputs: list[Any], relevance: Any) -> list[Any]:
    """Apply the transpose of a function's derivative; TensorFlow drops what it does not need."""
    _, tf = import_keras()
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        outputs = tf.cast(function(inputs), tf.float32)
    gradients: list[Any] = tape.gradient(outputs, inputs, output_gradients=relevance)
    return gradients
