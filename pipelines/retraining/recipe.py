"""The training recipe of a model, read from its file: optimiser, loss and learning rate."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pipelines.dnn.evaluation import Task
from pipelines.dnn.keras import import_keras
from pipelines.dnn.model import Network

LEARNING_RATE = 1e-4
"""Default if the file has no learning rate; low, because the model is already trained."""
KerasObject = Any
"""A model, an optimiser or a loss of Keras, which has no types."""
IN_FILE, STATED = "the model file's", "the default"


@dataclass(frozen=True)
class TrainingRecipe:
    """The optimiser, loss and learning rate for a model.

    Attributes
    ----------
    optimizer : str
        Name of the optimiser's class.
    make_optimizer : callable
        Returns a new optimiser, without the moments of an earlier training.
    loss : callable
        Takes targets and outputs; returns a value for each image, or their mean.
    loss_name : str
    sparse_targets : bool
        Whether the loss takes positions of classes instead of one number for each output.
    learning_rate : float
        Learning rate at the start.
    sources : dict of str to str
        Sources of "optimizer", "loss" and "learning rate", in words.
    notes : tuple of str
        Parts of the model file that cannot be used, and their replacements.
    """

    optimizer: str
    make_optimizer: Callable[[], KerasObject]
    loss: KerasObject
    loss_name: str
    sparse_targets: bool
    learning_rate: float
    sources: dict[str, str]
    notes: tuple[str, ...] = ()


def read_recipe(network: Network, task: Task, learning_rate: float | None) -> TrainingRecipe:
    """Read how a model was trained; use defaults for missing parts.

    Parameters
    ----------
    learning_rate : float or None
        The user's choice; None for the rate in the file.
    """
    keras, _ = import_keras()
    compiled = _read_compile_config(network.file)
    sources = dict.fromkeys(("optimizer", "loss", "learning rate"), IN_FILE)
    try:
        config = compiled["optimizer"]
        first = keras.optimizers.get(config)
    except (LookupError, TypeError, ValueError):
        config, sources["optimizer"] = None, STATED
        first = keras.optimizers.Adam(LEARNING_RATE)
    rate = _find_initial_rate(first) if config is not None else None
    if learning_rate is not None:
        rate, sources["learning rate"] = learning_rate, "as asked for"
    elif rate is None:
        rate, sources["learning rate"] = LEARNING_RATE, STATED
    name = type(first).__name__

    def make_optimizer() -> KerasObject:
        made = first.get_config() | {"learning_rate": rate}
        return type(first).from_config(made)

    loss = _find_file_loss(keras, compiled.get("loss"))
    if loss is None:
        loss, sources["loss"] = _make_default_loss(keras, network, task), STATED
    loss_name = str(getattr(loss, "name", "") or getattr(loss, "__name__", "loss"))
    # A loss object may have any name: its class shows whether it takes positions of classes.
    kind = str(getattr(loss, "__name__", "") or type(loss).__name__)
    return TrainingRecipe(
        name,
        make_optimizer,
        loss,
        loss_name,
        "sparse" in kind.lower(),
        float(rate),
        sources,
        _tell_replaced(compiled, sources, {"optimizer": name, "loss": loss_name}),
    )


def _tell_replaced(
    compiled: Mapping[str, object], sources: Mapping[str, str], used: Mapping[str, str]
) -> tuple[str, ...]:
    """Return a note on each part of training in a model file that cannot be used."""
    return tuple(
        f"The model file's {kind} is replaced by {name}: it is {_name(compiled[kind])}, which is "
        "not one of Keras that trains a single output. The retrained model differs for that, too."
        for kind, name in used.items()
        if compiled.get(kind) and sources[kind] == STATED
    )


def _name(config: object) -> str:
    """Return the name of an optimiser or a loss in a compile configuration."""
    if isinstance(config, Mapping):
        inner = config.get("config")
        name = inner if isinstance(inner, str) else config.get("class_name")
        return str(name or ", ".join(map(str, config)))
    return ", ".join(map(str, config)) if isinstance(config, list) else str(config)


def _read_compile_config(file: Path) -> dict[str, object]:
    """Return the compile configuration of a model file; empty if it has none."""
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                config = json.loads(archive.read("config.json")).get("compile_config") or {}
            return dict(config)
        import h5py

        with h5py.File(file) as archive:
            config = json.loads(archive.attrs["training_config"])
        return {"optimizer": config.get("optimizer_config"), "loss": config.get("loss")}
    except (OSError, LookupError, ValueError, TypeError):
        return {}


def _find_initial_rate(optimizer: KerasObject) -> float | None:
    """Return the learning rate at the start; for a schedule, its warm-up target or first rate."""
    rate = optimizer.get_config()["learning_rate"]
    if isinstance(rate, dict):
        config = rate.get("config", {})
        steps = config.get("values") or [None]
        rate = config.get("warmup_target") or config.get("initial_learning_rate") or steps[0]
    return float(rate) if rate and float(rate) > 0 else None


def _find_file_loss(keras: ModuleType, config: object) -> KerasObject | None:
    """Return the loss of a compile configuration; None if it has none for a single output."""
    if isinstance(config, list) and len(config) == 1:
        config = config[0]
    if isinstance(config, dict) and len(config) == 1:  # its key is the name of the output
        config = next(iter(config.values()))
    if config is None or isinstance(config, list):
        return None
    try:
        loss = keras.losses.get(config)
    except (LookupError, TypeError, ValueError):
        return None
    return loss if callable(loss) else None


def _make_default_loss(keras: ModuleType, network: Network, task: Task) -> KerasObject:
    """Return the usual loss for the task of the network."""
    if task == "numbers":
        return keras.losses.MeanSquaredError()
    logits = network.activation not in {"softmax", "sigmoid"}
    if task == "classes" and network.outputs > 1 and network.activation != "sigmoid":
        return keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
    return keras.losses.BinaryCrossentropy(from_logits=logits)
