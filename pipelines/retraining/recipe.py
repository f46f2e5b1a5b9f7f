"""How a model was trained, as far as its file tells: optimiser, loss and learning rate."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.dnn.evaluation import Task
from pipelines.dnn.keras import import_keras
from pipelines.dnn.model import Network

LEARNING_RATE = 1e-4
"""Where the file tells none: low, as the model is trained already."""
IN_FILE, STATED = "the model file's", "the default"


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes
    ----------
    optimizer : str
        Name of its class.
    make_optimizer : callable
        Returns a new one, without the moments of an earlier training.
    loss : callable
        Of targets and outputs, a value an image.
    loss_name : str
    whole : bool
        Whether the loss takes the position of a class rather than a share for each.
    learning_rate : float
        At the start.
    sources : dict of str to str
        Where `optimizer`, `loss` and `learning_rate` come from, in words.
    """

    optimizer: str
    make_optimizer: Callable[[], Any]
    loss: Any
    loss_name: str
    whole: bool
    learning_rate: float
    sources: dict[str, str]


def read_recipe(network: Network, task: Task, learning_rate: float | None) -> Recipe:
    """Read how a model was trained; what its file does not tell is a stated default.

    Parameters
    ----------
    learning_rate : float, optional
        Taken instead of the file's.
    """
    keras, _ = import_keras()
    kept = _compiled(network.file)
    sources = dict.fromkeys(("optimizer", "loss", "learning rate"), IN_FILE)
    try:
        config = kept["optimizer"]
        first = keras.optimizers.get(config)
    except (LookupError, TypeError, ValueError):
        config, sources["optimizer"] = None, STATED
        first = keras.optimizers.Adam(LEARNING_RATE)
    rate = _rate(first) if config is not None else None
    if learning_rate is not None:
        rate, sources["learning rate"] = learning_rate, "as asked for"
    elif rate is None:
        rate, sources["learning rate"] = LEARNING_RATE, STATED
    name = type(first).__name__

    def make_optimizer() -> Any:
        made = first.get_config() | {"learning_rate": rate}
        return type(first).from_config(made)

    loss = _given_loss(keras, kept.get("loss"))
    if loss is None:
        loss, sources["loss"] = _usual_loss(keras, network, task), STATED
    loss_name = str(getattr(loss, "name", "") or getattr(loss, "__name__", "loss"))
    kind = str(getattr(loss, "__name__", "") or type(loss).__name__)  # a name can be anything
    return Recipe(
        name, make_optimizer, loss, loss_name, "sparse" in kind.lower(), float(rate), sources
    )


def _compiled(file: Path) -> dict[str, Any]:
    """Return the part of a model file that tells how the model was compiled; empty without."""
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                found = json.loads(archive.read("config.json")).get("compile_config") or {}
            return dict(found)
        import h5py

        with h5py.File(file) as archive:
            found = json.loads(archive.attrs["training_config"])
        return {"optimizer": found.get("optimizer_config"), "loss": found.get("loss")}
    except (OSError, LookupError, ValueError, TypeError):
        return {}


def _rate(optimizer: Any) -> float | None:
    """Return the learning rate at the start: a schedule's, where the file holds one."""
    rate = optimizer.get_config()["learning_rate"]
    if isinstance(rate, dict):
        config = rate.get("config", {})
        steps = config.get("values") or [None]
        rate = config.get("warmup_target") or config.get("initial_learning_rate") or steps[0]
    return float(rate) if rate and float(rate) > 0 else None


def _given_loss(keras: Any, told: Any) -> Any:
    if isinstance(told, list) and len(told) == 1:
        told = told[0]
    if isinstance(told, dict) and len(told) == 1:  # by the name of the output
        told = next(iter(told.values()))
    if told is None or isinstance(told, list):
        return None
    try:
        loss = keras.losses.get(told)
    except (LookupError, TypeError, ValueError):
        return None
    return loss if callable(loss) else None


def _usual_loss(keras: Any, network: Network, task: Task) -> Any:
    if task == "numbers":
        return keras.losses.MeanSquaredError()
    logits = network.activation not in {"softmax", "sigmoid"}
    if task == "classes" and network.outputs > 1 and network.activation != "sigmoid":
        return keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
    return keras.losses.BinaryCrossentropy(from_logits=logits)
