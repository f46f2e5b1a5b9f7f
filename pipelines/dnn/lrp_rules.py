"""How relevance passes back through one layer (HUDD, section III-A; DeepImportance, section 3.1).

Layers whose outputs are weighted sums share the relevance R_k of each output k among the inputs j.
A rule defines the shares. With inputs a_j, weights w_jk, and x+ and x- for the positive and the
negative part of x, the share of input j in R_k is:

- z+: the positive part of a_j w_jk, divided by the sum of these parts over all inputs. For inputs
  that are not negative this is a_j w_jk+ / sum_j a_j w_jk+, the paper's formula.
- epsilon: a_j w_jk / (z_k + epsilon sign(z_k)), where z_k is the output before its activation,
  with the bias. The bias keeps its share of the relevance.
- alpha-beta: alpha times the share of the positive products, minus beta times the share of the
  negative ones. If all products of an output have one sign, they get all of its relevance.
- box, for pixels from l to h: a_j w_jk - l_j w_jk+ - h_j w_jk-, divided by the sum over all inputs.

Bach et al., *On pixel-wise explanations for non-linear classifier decisions by layer-wise relevance
propagation*, PLoS ONE 2015; Montavon et al., *Explaining nonlinear classification decisions with
deep Taylor decomposition*, Pattern Recognition 2017 (z+ and box).

All rules except epsilon ignore the bias and conserve relevance. If no input contributes to an
output, its relevance is shared evenly among all inputs that the output depends on, without padding.

These functions build a TensorFlow graph. Tensors are float32, with one row per image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pipelines.dnn.graph import Tensor
from pipelines.dnn.keras import import_keras
from pipelines.dnn.lrp_layers import (
    ROUTING,
    LinearMap,
    Step,
    Value,
    build_linear_map,
    pull_back,
    stack_values,
)

Rule = Literal["z+", "epsilon", "alpha-beta"]
InputRule = Literal["z+", "epsilon", "alpha-beta", "box"]
EPSILON = 1e-6
ALPHA, BETA = 2.0, 1.0
SMALLEST_SUM = 1e-20
"""Sums of contributions up to this value count as 0: a division by them could overflow."""


@dataclass(frozen=True)
class Rules:
    """The rules of a network's layers.

    Attributes
    ----------
    inner : {"z+", "epsilon", "alpha-beta"}
        Rule of the layers that do not receive pixels.
    first : {"z+", "epsilon", "alpha-beta", "box"}
        Rule of the layers that receive pixels.
    """

    inner: Rule
    first: InputRule

    def choose(self, value: Value) -> InputRule:
        """Return the rule of the layer that receives `value`."""
        return self.first if value.pixels else self.inner


def backward(
    step: Step, values: Sequence[Value], total: Tensor, relevance: Tensor, rules: Rules
) -> list[Tensor]:
    """Pass the relevance of a layer's outputs to its inputs.

    Parameters
    ----------
    values : sequence of Value
        The layer's inputs in the forward pass.
    total : tensor of float32
        The value that `forward` returned for this layer.
    relevance : tensor of float32, shape of the outputs
    rules : Rules

    Returns
    -------
    list of tensors of float32
        One tensor per input, with its shape: the relevance of that input.
    """
    _, tf = import_keras()
    if step.linear:
        value, linear = stack_values(values), build_linear_map(step)
        shares = redistribute(rules.choose(value), linear, value, total, relevance)
        return tf.unstack(shares, axis=-1) if step.kind == "Add" else [shares]
    if step.kind in ROUTING:
        # Copies: a tensor that is passed in twice gets the relevance of each place separately.
        inputs = [tf.identity(value.tensor) for value in values]

        def call(tensors: list[Tensor]) -> Tensor:
            return step.layer(tensors if step.kind == "Concatenate" else tensors[0])

        return pull_back(call, inputs, relevance)
    if step.kind == "BatchNormalization" and rules.choose(values[0]) == "epsilon":
        offset = step.layer(tf.zeros_like(values[0].tensor[:1]), training=False)
        return [(total - offset) * relevance / _stabilised(total)]
    return [relevance]


def redistribute(
    rule: InputRule, linear: LinearMap, value: Value, total: Tensor, relevance: Tensor
) -> Tensor:
    """Share the relevance of a linear map's outputs among its inputs.

    Parameters
    ----------
    rule : {"z+", "epsilon", "alpha-beta", "box"}
        "box" needs `value.bounds`.
    total : tensor of float32, shape of the outputs
        The outputs with bias, before the activation; only "epsilon" reads them.
    relevance : tensor of float32, shape of the outputs

    Returns
    -------
    tensor of float32, shape of the inputs
    """
    _, tf = import_keras()
    if rule == "epsilon":
        _, pull = _contributions(linear, [(value.tensor, linear.kernel)])
        return pull(relevance / _stabilised(total))
    if rule == "box":
        assert value.bounds is not None
        low, high = value.bounds
        # a w - l w+ - h w- = (a - l) w+ + (a - h) w-, and neither summand is negative.
        pairs = [(tf.maximum(value.tensor - low, 0.0), _part(linear.kernel, 1))]
        if linear.kernel is not None:
            pairs.append((tf.minimum(value.tensor - high, 0.0), _part(linear.kernel, -1)))
        negative = []
    else:
        pairs = _signed(linear, value, 1)
        negative = _signed(linear, value, -1) if rule == "alpha-beta" else []
    gain, pull = _contributions(linear, pairs)
    has_gain = _flags(gain > SMALLEST_SUM)
    if not negative:
        kept = relevance * has_gain
        shares = pull(kept / tf.maximum(gain, SMALLEST_SUM))
        return shares + linear.spread(value, relevance - kept)
    loss, pull_loss = _contributions(linear, negative)
    has_loss = _flags(loss < -SMALLEST_SUM)
    gained = relevance * has_gain * (1 + (ALPHA - 1) * has_loss)
    lost = relevance * has_loss * (1 - (1 + BETA) * has_gain)
    shares = pull(gained / tf.maximum(gain, SMALLEST_SUM))
    shares = shares + pull_loss(lost / tf.minimum(loss, -SMALLEST_SUM))
    return shares + linear.spread(value, relevance * (1 - has_gain) * (1 - has_loss))


def _signed(linear: LinearMap, value: Value, sign: int) -> list[tuple[Tensor, Tensor | None]]:
    """Split inputs and weights by sign; return the pairs whose products have the sign `sign`."""
    _, tf = import_keras()
    parts = [(1, value.tensor)]
    if not value.positive:
        parts = [(1, tf.maximum(value.tensor, 0.0)), (-1, tf.minimum(value.tensor, 0.0))]
    if linear.kernel is None:
        return [(part, None) for side, part in parts if side == sign]
    return [(part, _part(linear.kernel, side * sign)) for side, part in parts]


def _part(kernel: Tensor | None, sign: int) -> Tensor | None:
    """Return the positive or the negative part of weights."""
    _, tf = import_keras()
    if kernel is None:
        return None
    return tf.maximum(kernel, 0.0) if sign > 0 else tf.minimum(kernel, 0.0)


def _contributions(
    linear: LinearMap, pairs: list[tuple[Tensor, Tensor | None]]
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Sum the contributions of pairs of inputs and weights to each output.

    Returns
    -------
    total : tensor of float32, shape of the outputs
    pull : callable
        Takes one factor per output. Multiplies each input's contribution to an output by the
        factor of that output, and returns the sums over all outputs, one per input.
    """
    _, tf = import_keras()
    parts = [part for part, _ in pairs]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(parts)
        total = tf.add_n([linear.apply(part, kernel) for part, kernel in pairs])

    def pull(factors: Tensor) -> Tensor:
        gradients = tape.gradient(total, parts, output_gradients=factors)
        return tf.add_n([part * gradient for part, gradient in zip(parts, gradients, strict=True)])

    return total, pull


def _flags(condition: Tensor) -> Tensor:
    """Return 1 if a condition is true, else 0; multiplying by it is faster than `tf.where`."""
    _, tf = import_keras()
    return tf.cast(condition, tf.float32)


def _stabilised(total: Tensor) -> Tensor:
    """Move values away from 0 by epsilon, so that they can be divided by."""
    return total + EPSILON * (1 - 2 * _flags(total < 0))
