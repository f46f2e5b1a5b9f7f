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
from dataclasses import dataclass
from typing import Any, Literal

from pipelines.dnn.keras import import_keras
from pipelines.dnn.lrp_layers import ROUTING, Linear, Step, Value, joined, linear_map, pull_back

Rule = Literal["z+", "epsilon", "alpha-beta"]
InputRule = Literal["z+", "epsilon", "alpha-beta", "box"]
EPSILON = 1e-6
ALPHA, BETA = 2.0, 1.0
NOTHING = 1e-20
"""Contributions below are none: a quotient by them could overflow."""


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
        value, linear = joined(values), linear_map(step)
        shares = redistribute(rules.of(value), linear, value, total, relevance)
        return tf.unstack(shares, axis=-1) if step.kind == "Add" else [shares]
    if step.kind in ROUTING:
        # Copies, for one tensor may go in twice and be relevant in both places.
        inputs = [tf.identity(value.tensor) for value in values]

        def call(tensors: list[Any]) -> Any:
            return step.layer(tensors if step.kind == "Concatenate" else tensors[0])

        return pull_back(call, inputs, relevance)
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


def _flags(condition: Any) -> Any:
    """Return 1 where a condition holds, else 0: products with them are faster than a choice."""
    _, tf = import_keras()
    return tf.cast(condition, tf.float32)


def _stabilised(total: Any) -> Any:
    return total + EPSILON * (1 - 2 * _flags(total < 0))
