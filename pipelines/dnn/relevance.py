"""Layer-wise relevance propagation: what each neuron of each layer did for an output.

HUDD, section III-A, for its heatmaps; DeepImportance, section 3.1, for its important neurons.  The
output's value, before softmax or sigmoid, is its relevance; every layer passes it back to its
inputs by their share in it (see `lrp_rules`).  Activations, BatchNormalization, reshaping and
dropout pass it unchanged, max pooling to the largest input.

Of a regression HUDD explains the output that is furthest from the truth (section V-A): the caller
gives its position.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipelines.data.arrays import Floats
from pipelines.dnn.keras import import_keras
from pipelines.dnn.lrp_layers import Value, forward
from pipelines.dnn.lrp_plan import Plan, read_plan, reported_values
from pipelines.dnn.lrp_rules import InputRule, Rule, Rules, backward
from pipelines.runs.errors import InputError

PREDICTED = -1
"""As target: the output that the network predicts."""


@dataclass(frozen=True)
class Relevances:
    """The outputs of a network for a batch of images, and the relevance that explains them.

    Attributes
    ----------
    outputs : array of float32, shape (n, ...)
        As the model gives them.
    logits : array of float32, shape (n, k)
        The outputs, flat, before softmax or sigmoid if the model ends with one.
    targets : array of int32, shape (n,)
        Which output is explained: as given, or the largest logit.
    layers : dict of str to array of float32, shape (n, ...)
        By layer, from input to output, the relevance of what it gives, of that shape.  Each sums
        up to the target's logit, but for the rule epsilon, and for what goes to padding that max
        pooling prefers.
    """

    outputs: Floats
    logits: Floats
    targets: NDArray[np.int32]
    layers: dict[str, Floats]


def check_supported(model: Any) -> None:
    """Check that relevance can be passed through all of a model.

    Raises
    ------
    InputError
        Naming the layer through which it cannot; when the model has several inputs or outputs.
    """
    read_plan(model)


def relevance_layers(model: Any) -> tuple[str, ...]:
    """Name what has heatmaps: the input, then layers from input to output.

    Layers that only pass on the relevance of others have none: activations, BatchNormalization,
    reshaping, padding.  Layers of nested models are named "outer/inner".

    Raises
    ------
    InputError
        As `check_supported`.
    """
    return tuple(reported_values(read_plan(model)))


def build_relevance(
    model: Any,
    *,
    rule: Rule = "z+",
    input_rule: InputRule | None = None,
    low: ArrayLike | None = None,
    high: ArrayLike | None = None,
    layers: Sequence[str] | None = None,
) -> Callable[[Floats, NDArray[np.int32]], Relevances]:
    """Compile one forward and one backward pass that give the relevance in all layers.

    Time grows with the number of images, memory with the size of a batch, and with the layers
    asked for.

    Parameters
    ----------
    model : keras.Model
        Its present weights are used at each call.
    rule : {"z+", "epsilon", "alpha-beta"}
        The paper's is z+.
    input_rule : {"z+", "epsilon", "alpha-beta", "box"}, optional
        Of the first layers, those that receive pixels; as `rule` if None.
    low, high : float or array that broadcasts to (height, width, channels), optional
        Smallest and largest pixel as the model receives them; for the box rule alone.
    layers : sequence of str, optional
        Of `relevance_layers`; all if None.

    Returns
    -------
    callable
        From images, float32, of shape (n, height, width, channels), n > 0, scaled as the model
        expects them, and targets, int32, of shape (n,), to `Relevances`.  A target is the position
        of an output (flattened, if outputs are maps), or -1 for that of the largest logit.  With
        one sigmoid output the only target is 0, and relevance is negative where its logit is.

    Raises
    ------
    InputError
        As `check_supported`; for unknown rules and layers, and bounds that are missing or
        reversed.  The callable raises it for targets that the model does not have.
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
    model: Any, plan: Plan, places: Mapping[str, int], rules: Rules, ends: Sequence[Floats]
) -> Callable[..., tuple[Any, Any, Any, dict[str, Any]]]:
    """Compile the pass itself.

    Parameters
    ----------
    places : mapping of str to int
        By the name of a layer, the value whose relevance is returned.
    ends : sequence of array
        Smallest and largest pixels, for the box rule; else none.

    Returns
    -------
    callable
        From images and targets to outputs, logits, targets and relevance by layer, as tensors.
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


def _go_forward(plan: Plan, images: Value) -> tuple[list[Value], list[Any]]:
    """Compute all values of a network, and by step what its activation receives."""
    values, totals = [images], []
    for index, step in enumerate(plan.steps):
        received = [values[i] for i in step.inputs]
        value, total = forward(step, received, bare=index == plan.last)
        values.append(value)
        totals.append(total)
    return values, totals


def _go_backward(
    plan: Plan, values: Sequence[Value], totals: Sequence[Any], start: Any, rules: Rules
) -> dict[int, Any]:
    """Pass the relevance of the output back; return that of each value, summed over its uses."""
    relevances = {plan.output: start}
    for index in reversed(range(len(plan.steps))):
        step = plan.steps[index]
        received = [values[i] for i in step.inputs]
        shares = backward(step, received, totals[index], relevances[index + 1], rules)
        for i, share in zip(step.inputs, shares, strict=True):
            relevances[i] = relevances[i] + share if i in relevances else share
    return relevances


def _choose_layers(plan: Plan, layers: Sequence[str] | None) -> dict[str, int]:
    """Return, by the name of a layer whose relevance is wanted, which value it gives."""
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


def _finish(plan: Plan, values: Sequence[Value]) -> Any:
    """Compute what the model gives, its last activation with it."""
    _, tf = import_keras()
    if plan.last is None:
        return values[plan.output].tensor
    logits = values[plan.last + 1].tensor
    value = Value(tf.cast(plan.steps[plan.last].activation(logits), tf.float32))
    for step in plan.steps[plan.last + 1 :]:  # nothing else can follow, see `_last`
        value, _ = forward(step, [value])
    return value.tensor
