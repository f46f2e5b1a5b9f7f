"""How relevance passes back through one layer (HUDD, section III-A; DeepImportance, section 3.1).

A layer that sums its inputs, weighed, gives each of them the share that it contributed.  What
counts as a share is the rule.  With inputs a_j, weights w_jk, relevance R_k of the outputs, and
x+ and x- for the positive and the negative part of x:

- z+: the positive products a_j w_jk over their sum, so for inputs that are not negative
  a_j w_jk+ / sum_j a_j w_jk+.  The paper's formula.
- epsilon: a_j w_jk / (z_k + epsilon sign(z_k)), z_k with its bias, which takes its share away.
- alpha-beta: alpha times the positive products over their sum, less beta times the negative ones
  over theirs.  Where there are none of one kind the other kind passes all on.
- box, of pixels from l to h: a_j w_jk - l_j w_jk+ - h_j w_jk- over its sum.

Bach et al., *On pixel-wise explanations for non-linear classifier decisions by layer-wise relevance
propagation*, PLoS ONE 2015; Montavon et al., *Explaining nonlinear classification decisions with
deep Taylor decomposition*, Pattern Recognition 2017 (z+ and box).

All rules but epsilon leave the bias out and conserve relevance: where no input contributes
anything, the output's relevance is spread evenly over all inputs that it sees, padding left out.

What is here builds a TensorFlow graph: tensors are float32, a row an image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pipelines.dnn.keras import import_keras

Rule = Literal["z+", "epsilon", "alpha-beta"]
InputRule = Literal["z+", "epsilon", "alpha-beta", "box"]
EPSILON = 1e-6
ALPHA, BETA = 2.0, 1.0
NOTHING = 1e-20
"""Contributions below are none: a quotient by them could overflow."""

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
class Rules:
    """Which rule to follow.

    Attributes
    ----------
    inner : {"z+", "epsilon", "alpha-beta"}
    first : {"z+", "epsilon", "alpha-beta", "box"}
        Where pixels go in.
    """

    inner: Rule
    first: InputRule

    def of(self, value: Value) -> InputRule:
        """Return the rule of a layer that receives a value."""
        return self.first if value.pixels else self.inner


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
        first, linear = _joined(values), linear_map(step)
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


def backward(
    step: Step, values: Sequence[Value], total: Any, relevance: Any, rules: Rules
) -> list[Any]:
    """Pass the relevance of a layer's outputs to its inputs.

    Parameters
    ----------
    values : sequence of Value
        What went in.
    total : float32
        From `forward`.
    relevance : float32, shape of the outputs
    rules : Rules

    Returns
    -------
    list of float32
        The relevance of each input, of its shape.
    """
    _, tf = import_keras()
    if step.linear:
        value, linear = _joined(values), linear_map(step)
        shares = redistribute(rules.of(value), linear, value, total, relevance)
        return tf.unstack(shares, axis=-1) if step.kind == "Add" else [shares]
    if step.kind in ROUTING:
        # Copies, for one tensor may go in twice and be relevant in both places.
        inputs = [tf.identity(value.tensor) for value in values]

        def call(tensors: list[Any]) -> Any:
            return step.layer(tensors if step.kind == "Concatenate" else tensors[0])

        return _pull(call, inputs, relevance)
    if step.kind == "BatchNormalization" and rules.of(values[0]) == "epsilon":
        offset = step.layer(tf.zeros_like(values[0].tensor[:1]), training=False)
        return [(total - offset) * relevance / _stabilised(total)]
    return [relevance]


def redistribute(rule: InputRule, linear: Linear, value: Value, total: Any, relevance: Any) -> Any:
    """Share the relevance of the outputs of a linear map out over its inputs.

    Parameters
    ----------
    rule : {"z+", "epsilon", "alpha-beta", "box"}
        Box needs `value.bounds`.
    total : float32, shape of the outputs
        With bias, for epsilon alone.
    relevance : float32, shape of the outputs

    Returns
    -------
    float32, shape of the inputs
    """
    _, tf = import_keras()
    if rule == "epsilon":
        _, pull = _contributions(linear, [(value.tensor, linear.kernel)])
        return pull(relevance / _stabilised(total))
    if rule == "box":
        assert value.bounds is not None
        low, high = value.bounds
        # a w - l w+ - h w- = (a - l) w+ + (a - h) w-, and neither is negative.
        pairs = [(tf.maximum(value.tensor - low, 0.0), _part(linear.kernel, 1))]
        if linear.kernel is not None:
            pairs.append((tf.minimum(value.tensor - high, 0.0), _part(linear.kernel, -1)))
        against = []
    else:
        pairs = _signed(linear, value, 1)
        against = _signed(linear, value, -1) if rule == "alpha-beta" else []
    up, pull = _contributions(linear, pairs)
    some = _flags(up > NOTHING)
    if not against:
        kept = relevance * some
        shares = pull(kept / tf.maximum(up, NOTHING))
        return shares + linear.spread(value, relevance - kept)
    down, pull_down = _contributions(linear, against)
    less = _flags(down < -NOTHING)
    for_it = relevance * some * (1 + (ALPHA - 1) * less)
    against_it = relevance * less * (1 - (1 + BETA) * some)
    shares = pull(for_it / tf.maximum(up, NOTHING))
    shares = shares + pull_down(against_it / tf.minimum(down, -NOTHING))
    return shares + linear.spread(value, relevance * (1 - some) * (1 - less))


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
        each = tf.math.divide_no_nan(grouped, apply(inside, ones)) / channels
        (shares,) = _pull(lambda x: apply(x[0], ones), [value.tensor[..., :groups]], each)
        return shares if groups == 1 else tf.repeat(shares, channels, axis=-1)

    return Linear(apply, kernel, bias, spread)


def _without_weights(apply: Callable[[Any, Any], Any]) -> Linear:
    _, tf = import_keras()

    def spread(value: Value, relevance: Any) -> Any:
        inside = tf.ones_like(value.tensor[:1]) if value.inside is None else value.inside
        each = tf.math.divide_no_nan(relevance, apply(inside, None))
        (shares,) = _pull(lambda x: apply(x[0], None), [value.tensor], each)
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


def _joined(values: Sequence[Value]) -> Value:
    """Return the one value, or all that an Add receives, side by side on a last axis."""
    _, tf = import_keras()
    if len(values) == 1:
        return values[0]
    stacked = tf.stack([value.tensor for value in values], axis=-1)
    return Value(stacked, positive=all(value.positive for value in values))


def _signed(linear: Linear, value: Value, sign: int) -> list[tuple[Any, Any]]:
    """Return parts of inputs and weights whose products all have the sign."""
    _, tf = import_keras()
    parts = [(1, value.tensor)]
    if not value.positive:
        parts = [(1, tf.maximum(value.tensor, 0.0)), (-1, tf.minimum(value.tensor, 0.0))]
    if linear.kernel is None:
        return [(part, None) for side, part in parts if side == sign]
    return [(part, _part(linear.kernel, side * sign)) for side, part in parts]


def _part(kernel: Any, sign: int) -> Any:
    _, tf = import_keras()
    if kernel is None:
        return None
    return tf.maximum(kernel, 0.0) if sign > 0 else tf.minimum(kernel, 0.0)


def _contributions(
    linear: Linear, pairs: list[tuple[Any, Any]]
) -> tuple[Any, Callable[[Any], Any]]:
    """Sum what pairs of inputs and weights contribute to each output.

    Returns
    -------
    total : float32, shape of the outputs
    pull : callable
        From a factor by output to the sum of each input's contributions times their factors.
    """
    _, tf = import_keras()
    parts = [part for part, _ in pairs]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(parts)
        total = tf.add_n([linear.apply(part, kernel) for part, kernel in pairs])

    def pull(factors: Any) -> Any:
        gradients = tape.gradient(total, parts, output_gradients=factors)
        return tf.add_n([part * gradient for part, gradient in zip(parts, gradients, strict=True)])

    return total, pull


def _pull(function: Callable[[list[Any]], Any], inputs: list[Any], relevance: Any) -> list[Any]:
    """Apply the transpose of a function's derivative; TensorFlow drops what it does not need."""
    _, tf = import_keras()
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        outputs = tf.cast(function(inputs), tf.float32)
    gradients: list[Any] = tape.gradient(outputs, inputs, output_gradients=relevance)
    return gradients


def _flags(condition: Any) -> Any:
    """Return 1 where a condition holds, else 0: products with them are faster than a choice."""
    _, tf = import_keras()
    return tf.cast(condition, tf.float32)


def _stabilised(total: Any) -> Any:
    return total + EPSILON * (1 - 2 * _flags(total < 0))
