"""Layer-wise relevance propagation: how much each neuron of each layer contributed to an output.

HUDD, section III-A, uses it for heatmaps; DeepImportance, section 3.1, for important neurons. The
relevance of the explained output is its value before softmax or sigmoid. Every layer passes the
relevance of its outputs back to its inputs, by a rule of `lrp_rules`. Activations,
BatchNormalization, reshaping and dropout pass it back unchanged; max pooling gives it to the
largest input.

For a regression, HUDD explains the output that is furthest from the truth (section V-A); the caller
names that output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipelines.data.arrays import Floats
from pipelines.dnn.graph import Model, Tensor
from pipelines.dnn.keras import import_keras
from pipelines.dnn.lrp_layers import Value, forward
from pipelines.dnn.lrp_plan import Plan, read_plan, reported_values
from pipelines.dnn.lrp_rules import InputRule, Rule, Rules, backward
from pipelines.runs.errors import InputError

PREDICTED = -1
"""A target that means the output with the largest logit."""


@dataclass(frozen=True)
class Relevances:
    """The outputs of a network for a batch of images, and the relevance that explains them.

    Attributes
    ----------
    outputs : array of float32, shape (n, ...)
        The model's outputs.
    logits : array of float32, shape (n, k)
        The outputs, flattened, before softmax or sigmoid if the model ends with one.
    targets : array of int32, shape (n,)
        Position of the explained output: the caller's choice, or that of the largest logit.
    layers : dict of str to array of float32, shape (n, ...)
        The relevance of each layer's outputs, in their shape, from input to output. It sums to the
        target's logit, except for the rule epsilon and if max pooling selects padding.
    """

    outputs: Floats
    logits: Floats
    targets: NDArray[np.int32]
    layers: dict[str, Floats]


def check_supported(model: Model) -> None:
    """Check that relevance can be passed through all layers of a model.

    Raises
    ------
    InputError
        When it cannot be passed through a layer, which the message names; when the model has
        several inputs or outputs.
    """
    read_plan(model)


def relevance_layers(model: Model) -> tuple[str, ...]:
    """Return the names with heatmaps: the input, then layers from input to output.

    Layers that only pass relevance on have no heatmaps: activations, BatchNormalization, reshaping,
    padding. Layers of nested models are named "outer/inner".

    Raises
    ------
    InputError
        For the reasons of `check_supported`.
    """
    return tuple(reported_values(read_plan(model)))


def build_relevance(
    model: Model,
    *,
    rule: Rule = "z+",
    input_rule: InputRule | None = None,
    low: ArrayLike | None = None,
    high: ArrayLike | None = None,
    layers: Sequence[str] | None = None,
) -> Callable[[Floats, NDArray[np.int32]], Relevances]:
    """Compile a forward and a backward pass that compute the relevance in the chosen layers.

    Time grows with the number of images, memory with the size of a batch and the number of layers.

    Parameters
    ----------
    model : keras.Model
        Each call uses the weights that the model has at that moment.
    rule : {"z+", "epsilon", "alpha-beta"}
        HUDD and DeepImportance use "z+".
    input_rule : {"z+", "epsilon", "alpha-beta", "box"}, optional
        Rule of the layers that receive pixels; equal to `rule` if None.
    low, high : float or array that broadcasts to (height, width, channels), optional
        Smallest and largest pixel that the model receives; only the box rule needs them.
    layers : sequence of str, optional
        Names from `relevance_layers`; all if None.

    Returns
    -------
    Takes images (float32, shape (n, height, width, channels), n > 0, scaled as the model
        expects them) and targets (int32, shape (n,)); returns `Relevances`. A target is the
        position of an output, flattened if outputs are maps, or -1 for the largest logit. A model
        with one sigmoid output has only target 0; if its logit is negative, so is relevance.

    Raises
    ------
    InputError
        For the reasons of `check_supported`; for an unknown rule or layer; when the box rule has no
        bounds, or `low` is not below `high`. The callable raises it for targets that the model does
        not have.
    """
    plan = read_plan(model)
    places = _choose_layers(plan, layers)
    rules = Rules(rule, rule if input_rule is None else input_rule)
    _check_rules(rules, low, high)
    bounds = (low, high) if rules.first == "box" else ()
    ends = [np.asarray(end, np.float32) for end in bounds]
    run = _compile(model, plan, places, rules, ends)

    def relevance(images: Floats, targets: NDArray[np.int32]) -> Relevances:
        outputs, logits, explained, maps = run(images, targets)
        _check_targets(targets, logits.shape[1])
        return Relevances(
            outputs.numpy(),
            logits.numpy(),
            explained.numpy(),
            {name: maps[name].numpy() for name in places},
        )

    return relevance


def _compile(
    model: Model, plan: Plan, places: Mapping[str, int], rules: Rules, ends: Sequence[Floats]
) -> Callable[..., tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]]:
    """Compile the forward and the backward pass.

    Parameters
    ----------
    places : mapping of str to int
        By layer name, the number of the value whose relevance is returned.
    ends : sequence of array
        Smallest and largest pixels for the box rule; empty for other rules.

    Returns
    -------
    callable
        Takes images and targets; returns outputs, logits, targets and relevance by layer.
    """
    _, tf = import_keras()

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, *model.inputs[0].shape[1:]), tf.float32),
            tf.TensorSpec((None,), tf.int32),
        ],
        autograph=False,
    )
    def run(images, targets):  # type: ignore[no-untyped-def]
        bounds = tuple(tf.ones_like(images[:1]) * end for end in ends) or None
        values, totals = _go_forward(plan, Value(images, pixels=True, bounds=bounds))
        final = values[plan.output].tensor
        logits = tf.reshape(final, (tf.shape(final)[0], -1))
        best = tf.argmax(logits, axis=1, output_type=tf.int32)
        targets = tf.where(targets == PREDICTED, best, targets)
        start = logits * tf.one_hot(targets, tf.shape(logits)[1])
        start = tf.reshape(start, tf.shape(final))
        relevances = _go_backward(plan, values, totals, start, rules)
        maps = {name: relevances[place] for name, place in places.items()}
        return _finish(plan, values), logits, targets, maps

    return run  # type: ignore[no-any-return]


def _go_forward(plan: Plan, images: Value) -> tuple[list[Value], list[Tensor]]:
    """Compute all values of a network, and the totals of its steps (see `lrp_layers.forward`)."""
    values, totals = [images], []
    for index, step in enumerate(plan.steps):
        received = [values[i] for i in step.inputs]
        value, total = forward(step, received, bare=index == plan.last)
        values.append(value)
        totals.append(total)
    return values, totals


def _go_backward(
    plan: Plan, values: Sequence[Value], totals: Sequence[Tensor], start: Tensor, rules: Rules
) -> dict[int, Tensor]:
    """Pass the output's relevance back; return each value's relevance, summed over its uses."""
    relevances = {plan.output: start}
    for index in reversed(range(len(plan.steps))):
        step = plan.steps[index]
        received = [values[i] for i in step.inputs]
        shares = backward(step, received, totals[index], relevances[index + 1], rules)
        for i, share in zip(step.inputs, shares, strict=True):
            relevances[i] = relevances[i] + share if i in relevances else share
    return relevances


def _choose_layers(plan: Plan, layers: Sequence[str] | None) -> dict[str, int]:
    """Return the number of the value that each chosen layer computes, by layer name."""
    reported = reported_values(plan)
    if layers is None:
        return reported
    for name in layers:
        if name not in reported:
            raise InputError(f"no heatmap of a layer {name!r}. Choose among {', '.join(reported)}.")
    return {name: reported[name] for name in layers}


def _check_targets(targets: NDArray[np.int32], outputs: int) -> None:
    if np.any((targets < PREDICTED) | (targets >= outputs)):
        raise InputError(
            f"targets: expected positions of the model's outputs, 0 to {outputs - 1}, or "
            f"{PREDICTED}, received {int(targets.min())} to {int(targets.max())}"
        )


def _check_rules(rules: Rules, low: ArrayLike | None, high: ArrayLike | None) -> None:
    named = (("rule", rules.inner, Rule), ("input_rule", rules.first, InputRule))
    for name, received, known in named:
        if received not in get_args(known):
            raise InputError(
                f"{name}: expected one of {', '.join(get_args(known))}, received {received!r}"
            )
    if rules.first == "box" and (low is None or high is None or np.any(np.less_equal(high, low))):
        raise InputError(
            "the box rule needs the smallest and the largest pixel as the model receives them: "
            f"expected low < high, received {low!r} and {high!r}"
        )


def _finish(plan: Plan, values: Sequence[Value]) -> Tensor:
    """Compute the model's outputs from its logits."""
    _, tf = import_keras()
    if plan.last is None:
        return values[plan.output].tensor
    logits = values[plan.last + 1].tensor
    activation = plan.steps[plan.last].activation
    assert activation is not None  # see `lrp_plan._find_last`
    value = Value(tf.cast(activation(logits), tf.float32))
    for step in plan.steps[plan.last + 1 :]:  # these only change the shape, see `_find_last`
        value, _ = forward(step, [value])
    return value.tensor
