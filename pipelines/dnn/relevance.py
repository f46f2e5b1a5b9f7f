"""Layer-wise relevance propagation: what each neuron of each layer did for an output.

HUDD, section III-A, for its heatmaps; DeepImportance, section 3.1, for its important neurons.  The
output's value, before softmax or sigmoid, is its relevance; every layer passes it back to its
inputs by their share in it (see `relevance_rules`).  Activations, BatchNormalization, reshaping and
dropout pass it unchanged, max pooling to the largest input.

Of a regression HUDD explains the output that is furthest from the truth (section V-A): the caller
gives its position.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipelines.dnn.keras import import_keras
from pipelines.dnn.lrp_rules import (
    ACTIVATIONS,
    LINEAR,
    ROUTING,
    SCALING,
    InputRule,
    Rule,
    Rules,
    Step,
    Value,
    backward,
    forward,
)
from pipelines.runs.errors import InputError

INPUT = "input"
PREDICTED = -1
"""As target: the output that the network predicts."""
SILENT = ("InputLayer", "Dropout", "SpatialDropout2D", "GaussianDropout", "GaussianNoise",
          "Identity", "RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom",
          "RandomContrast", "RandomBrightness")  # fmt: skip
"""Layers that do nothing once a network is trained."""
MERGING = ("Add", "Concatenate")
REPORTED = (*LINEAR, "pointwise", "MaxPooling2D", "GlobalMaxPooling2D", "Concatenate")
SUPPORTED: tuple[str, ...] = (*LINEAR, *ROUTING, *SCALING, *ACTIVATIONS, *SILENT)

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Relevances:
    """What a network says of a batch of images, and why.

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


@dataclass(frozen=True)
class _Plan:
    """A network as a list of steps, each after all that it needs.

    Attributes
    ----------
    steps : tuple of Step
    output : int
        Which value is the network's output: 0 its input, i + 1 what step i gives.
    last : int, optional
        The step whose softmax or sigmoid makes the outputs of the logits.
    """

    steps: tuple[Step, ...]
    output: int
    last: int | None


def check_supported(model: Any) -> None:
    """Check that relevance can be passed through all of a model.

    Raises
    ------
    InputError
        Naming the layer through which it cannot; when the model has several inputs or outputs.
    """
    _plan(model)


def relevance_layers(model: Any) -> tuple[str, ...]:
    """Name what has heatmaps: the input, then layers from input to output.

    Layers that only pass on the relevance of others have none: activations, BatchNormalization,
    reshaping, padding.  Layers of nested models are named "outer/inner".

    Raises
    ------
    InputError
        As `check_supported`.
    """
    return tuple(_reported(_plan(model)))


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
    plan = _plan(model)
    reported = _reported(plan)
    wanted = tuple(reported) if layers is None else tuple(layers)
    for name in wanted:
        if name not in reported:
            raise InputError(f"no heatmap of a layer {name!r}. Choose among {', '.join(reported)}.")
    rules = Rules(rule, rule if input_rule is None else input_rule)
    _check_rules(rules, low, high)
    _, tf = import_keras()
    ends = [np.asarray(end, np.float32) for end in (low, high)] if rules.first == "box" else []

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, *model.inputs[0].shape[1:]), tf.float32),
            tf.TensorSpec((None,), tf.int32),
        ],
        autograph=False,
    )
    def run(images, targets):  # type: ignore[no-untyped-def]
        bounds = tuple(tf.ones_like(images[:1]) * end for end in ends) or None
        values, totals = [Value(images, pixels=True, bounds=bounds)], []
        for index, step in enumerate(plan.steps):
            received = [values[i] for i in step.inputs]
            value, total = forward(step, received, bare=index == plan.last)
            values.append(value)
            totals.append(total)
        final = values[plan.output].tensor
        logits = tf.reshape(final, (tf.shape(final)[0], -1))
        best = tf.argmax(logits, axis=1, output_type=tf.int32)
        targets = tf.where(targets == PREDICTED, best, targets)
        start = logits * tf.one_hot(targets, tf.shape(logits)[1])
        relevances = {plan.output: tf.reshape(start, tf.shape(final))}
        for index in reversed(range(len(plan.steps))):
            step = plan.steps[index]
            received = [values[i] for i in step.inputs]
            shares = backward(step, received, totals[index], relevances[index + 1], rules)
            for i, share in zip(step.inputs, shares, strict=True):
                relevances[i] = relevances[i] + share if i in relevances else share
        maps = {name: relevances[reported[name]] for name in wanted}
        return _finish(plan, values), logits, targets, maps

    def relevance(images: Floats, targets: NDArray[np.int32]) -> Relevances:
        outputs, logits, explained, maps = run(images, targets)
        count = logits.shape[1]
        if np.any((targets < PREDICTED) | (targets >= count)):
            raise InputError(
                f"targets: expected positions of the model's outputs, 0 to {count - 1}, or "
                f"{PREDICTED}, received {int(targets.min())} to {int(targets.max())}"
            )
        return Relevances(
            outputs.numpy(),
            logits.numpy(),
            explained.numpy(),
            {name: maps[name].numpy() for name in wanted},
        )

    return relevance


def _check_rules(rules: Rules, low: ArrayLike | None, high: ArrayLike | None) -> None:
    named = (("rule", rules.inner, Rule), ("input_rule", rules.first, InputRule))
    for name, given, known in named:
        if given not in get_args(known):
            raise InputError(
                f"{name}: expected one of {', '.join(get_args(known))}, received {given!r}"
            )
    if rules.first == "box" and (low is None or high is None or np.any(np.less_equal(high, low))):
        raise InputError(
            "the box rule needs the smallest and the largest pixel as the model receives them: "
            f"expected low < high, received {low!r} and {high!r}"
        )


def _reported(plan: _Plan) -> dict[str, int]:
    """Return, by the name of what has a heatmap, which value it is, from input to output."""
    layers = {step.name: i + 1 for i, step in enumerate(plan.steps) if step.kind in REPORTED}
    return {INPUT: 0} | layers


def _finish(plan: _Plan, values: Sequence[Value]) -> Any:
    """Compute what the model gives, its last activation with it."""
    _, tf = import_keras()
    if plan.last is None:
        return values[plan.output].tensor
    logits = values[plan.last + 1].tensor
    value = Value(tf.cast(plan.steps[plan.last].activation(logits), tf.float32))
    for step in plan.steps[plan.last + 1 :]:  # nothing else can follow, see `_last`
        value, _ = forward(step, [value])
    return value.tensor


def _plan(model: Any) -> _Plan:
    """Read a model's graph.

    Raises
    ------
    InputError
    """
    for what in ("inputs", "outputs"):
        count = len(getattr(model, what, None) or ())
        if count > 1:
            raise InputError(f"model {model.name!r}: expected one of {what}, received {count}")
    steps: list[Step] = []
    (output,) = _walk(model, "", [0], steps)
    names = [step.name for step in steps if step.kind in REPORTED]
    for name, count in Counter(names).items():
        if count > 1:
            raise InputError(
                f"layer {name!r} is used {count} times: its relevance has no single place. "
                "Give the model a layer for each use."
            )
    return _Plan(tuple(_fold(steps, output)), output, _last(steps, output))


def _walk(model: Any, prefix: str, inputs: Sequence[int], steps: list[Step]) -> list[int]:
    """Append the steps of a model, those of nested models too; return which values it gives."""
    keras, _ = import_keras()
    graph = getattr(model, "_functional", None) or model  # of a Sequential model
    if not hasattr(graph, "_nodes_by_depth"):
        raise InputError(
            f"model {model.name!r} ({type(model).__name__}) does not tell how its layers are "
            "connected. Expected a Functional model, or a Sequential one with an input shape."
        )
    known = {id(tensor): i for tensor, i in zip(graph.inputs, inputs, strict=True)}
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if node.is_input:
                continue
            layer, name = node.operation, prefix + node.operation.name
            received = [known[id(tensor)] for tensor in node.input_tensors]
            if isinstance(layer, keras.Model):
                given = _walk(layer, f"{name}/", received, steps)
            else:
                _check_layer(layer, name, node)
                given = [_append(steps, layer, name, received)]
            known |= {id(tensor): i for tensor, i in zip(node.outputs, given, strict=True)}
    return [known[id(tensor)] for tensor in graph.outputs]


def _append(steps: list[Step], layer: Any, name: str, received: list[int]) -> int:
    """Append what a layer does, and return which value it gives."""
    kind = type(layer).__name__
    if kind in SILENT:
        return received[0]
    name = f"{name}_" if name == INPUT else name
    if kind == "SeparableConv2D":
        steps.append(Step(layer, "depthwise", name, tuple(received)))
        kind, received = "pointwise", [len(steps)]
    steps.append(Step(layer, kind, name, tuple(received)))
    return len(steps)


def _check_layer(layer: Any, name: str, node: Any) -> None:
    """Check that relevance can be passed through one layer.

    Raises
    ------
    InputError
    """
    keras, _ = import_keras()
    kind = type(layer).__name__
    shapes = [tuple(tensor.shape) for tensor in node.input_tensors]
    problem = ""
    # A class of the same name is another one: an operation (keras.ops.add), or the user's own.
    if kind not in SUPPORTED or type(layer) is not getattr(keras.layers, kind):
        problem = f"of a kind that is not supported. Supported are: {', '.join(SUPPORTED)}"
    elif getattr(layer, "data_format", None) == "channels_first":
        problem = "with channels first. Only channels last is supported"
    elif getattr(layer, "quantization_mode", None):
        problem = "quantised. Give the model before quantisation"
    elif kind == "UpSampling2D" and layer.interpolation != "nearest":
        problem = f"interpolating {layer.interpolation}. Only nearest is supported"
    elif kind == "Add" and len(set(shapes)) > 1:
        problem = f"adding unequal shapes {shapes}. Only equal ones are supported"
    elif kind not in MERGING and len(shapes) != 1:
        problem = f"receiving {len(shapes)} tensors. Only one is supported"
    if problem:
        raise InputError(
            f"relevance cannot be passed through layer {name!r} ({kind}): it is {problem}."
        )


def _fold(steps: Sequence[Step], output: int) -> list[Step]:
    """Let layers with weights take over a BatchNormalization that directly follows."""
    result = list(steps)
    uses = Counter([output, *(i for step in steps for i in step.inputs)])
    for index, step in enumerate(steps):
        before = step.inputs[0] - 1
        if (
            step.kind == "BatchNormalization"
            and before >= 0
            and uses[before + 1] == 1
            and result[before].kind in ("Dense", "Conv2D", "DepthwiseConv2D", "pointwise")
            and result[before].activation is None
            and step.layer.axis in (-1, step.layer.input_spec.ndim - 1)
        ):
            result[before] = replace(result[before], norm=step.layer)
            result[index] = replace(step, kind="folded")
    return result


def _last(steps: Sequence[Step], output: int) -> int | None:
    """Find the step whose softmax or sigmoid ends the network, but for a change of shape."""
    keras, _ = import_keras()
    ends = [getattr(keras.activations, name) for name in ("softmax", "sigmoid", "log_softmax")]
    while output > 0:
        step = steps[output - 1]
        if step.kind == "Softmax" or step.activation in ends:
            return output - 1
        plain = step.kind == "Activation" and step.activation is None
        if not (plain or step.kind in ("Flatten", "Reshape")):
            return None
        output = step.inputs[0]
    return None
