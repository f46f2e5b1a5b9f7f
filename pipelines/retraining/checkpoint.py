"""The state of training after an epoch, and its file: training continues from it after a kill."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from pipelines.retraining.recipe import KerasObject
from pipelines.runs.files import atomic_write
from pipelines.runs.guard import DAMAGES

STATE_FILE = "state.npz"
HISTORY_ENTRY = "told"
"""Name of the entry of that file with the history of epochs; the other entries are arrays."""

Weights = list[NDArray[np.generic]]
"""The weights of a model, in the order of Keras."""


@dataclass(frozen=True)
class Epoch:
    """Loss, accuracy and duration of an epoch.

    Attributes
    ----------
    epoch : int
        Counted from 1.
    loss : float
        Mean loss of the batches during training.
    validation_loss, validation_accuracy : float
        Loss and accuracy on the held-out images after the epoch.
    learning_rate : float
        Learning rate at the end of the epoch.
    seconds : float
    """

    epoch: int
    loss: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    seconds: float


@dataclass
class TrainingState:
    """The state of training that a checkpoint holds.

    Attributes
    ----------
    history : list of Epoch
        All finished epochs.
    best : int
        The best epoch; 0 if none is finished.
    best_weights : list of array
        Weights after the best epoch; empty if none is finished.
    """

    history: list[Epoch] = field(default_factory=list)
    best: int = 0
    best_weights: Weights = field(default_factory=list)


def save_checkpoint(
    model: KerasObject, state: TrainingState, folder: Path, fingerprint: str
) -> None:
    """Write the state of training, the weights and the optimiser to the checkpoint of a folder."""
    course = {
        "fingerprint": fingerprint,
        "best": state.best,
        "history": [asdict(epoch) for epoch in state.history],
    }
    arrays: dict[str, NDArray[np.generic]] = {HISTORY_ENTRY: np.array(json.dumps(course))}
    for kind, values in (
        ("weights", model.get_weights()),
        ("best", state.best_weights),
        ("optimizer", [np.asarray(variable) for variable in model.optimizer.variables]),
    ):
        arrays |= {f"{kind} {place}": value for place, value in enumerate(values)}
    with atomic_write(folder / STATE_FILE) as file:
        np.savez(file, allow_pickle=False, **arrays)


def load_checkpoint(model: KerasObject, folder: Path | None, fingerprint: str) -> TrainingState:
    """Restore the weights, the optimiser and the state of an earlier training.

    Parameters
    ----------
    folder : Path or None
        The folder of the checkpoint; None for training without one.
    fingerprint : str
        Identifies the training: a checkpoint of another training is ignored.

    Returns
    -------
    TrainingState
        A new state if there is no checkpoint, or a damaged one.
    """
    if folder is None or not (folder / STATE_FILE).is_file():
        return TrainingState()
    try:
        with np.load(folder / STATE_FILE, allow_pickle=False) as archive:
            course = json.loads(str(archive[HISTORY_ENTRY]))
            arrays = {name: archive[name] for name in archive.files if name != HISTORY_ENTRY}
            if course["fingerprint"] != fingerprint:
                return TrainingState()
        history = TypeAdapter(list[Epoch]).validate_python(course["history"])
        best = int(course["best"])
        weights, optimizer, best_weights = (
            _list_arrays(arrays, kind) for kind in ("weights", "optimizer", "best")
        )
        _check_alike(weights, model.get_weights())
        _check_alike(optimizer, [np.asarray(variable) for variable in model.optimizer.variables])
        if best:
            _check_alike(best_weights, weights)
    except (*DAMAGES, MemoryError, RuntimeError, TypeError):
        return TrainingState()  # damaged: train from the start
    model.set_weights(weights)
    for variable, value in zip(model.optimizer.variables, optimizer, strict=True):
        variable.assign(value)
    return TrainingState(history, best, best_weights)


def _list_arrays(arrays: Mapping[str, NDArray[np.generic]], kind: str) -> Weights:
    count = sum(name.startswith(f"{kind} ") for name in arrays)
    return [arrays[f"{kind} {place}"] for place in range(count)]


def _check_alike(arrays: Weights, others: Weights) -> None:
    """Raise ValueError unless arrays can replace others."""
    for array, other in zip(arrays, others, strict=True):
        if (array.shape, array.dtype.kind) != (other.shape, other.dtype.kind):
            raise ValueError(f"expected an array of shape {other.shape}, received {array.shape}")
