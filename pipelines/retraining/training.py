"""Training goes on from a model's weights: on the training set and the balanced unsafe set.

SAFE, step 6; HUDD, step 7 and section IV-D.  The epoch that is best on images held out from both is
kept; the test set has no part in that.
"""

from __future__ import annotations

import json
import math
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Floats
from pipelines.dnn.keras import import_keras
from pipelines.dnn.model import Network, scale
from pipelines.retraining.examples import Pictures, Positions, predict_pictures
from pipelines.retraining.recipe import Recipe
from pipelines.runs.errors import InputError
from pipelines.runs.files import atomic_write

STAGE = "retraining"
STATE_FILE = "state.npz"
COURSE = "told"
"""In that file, the history of epochs; the others are arrays."""
BRIGHTNESS = CONTRAST = 0.2
FAR = 10.0
"""Times the loss of the first batch above which an epoch's counts as diverged."""

Schedule = Literal["cosine", "constant"]
Ended = Literal["done", "early", "stopped", "diverged"]


@dataclass(frozen=True)
class Options:
    """What the user may decide on training.

    Attributes
    ----------
    epochs, batch_size : int
    learning_rate : float, optional
        At the start; otherwise the model file's, else `recipe.LEARNING_RATE`.
    schedule : str
        "cosine": the learning rate falls to zero over the epochs, along half a cosine; "constant".
    validation_share : float
        Of the training set and of the unsafe set, held out to find the best epoch.
    patience : int, optional
        Epochs without a better one after which training ends; None trains all epochs.
    augment : bool
        Whether brightness and contrast of what is trained with vary by a fifth.  Images are neither
        moved nor turned: that can change what they show.
    seed : int
    """

    epochs: int = 10
    batch_size: int = 32
    learning_rate: float | None = None
    schedule: Schedule = "cosine"
    validation_share: float = 0.1
    patience: int | None = None
    augment: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Epoch:
    """How an epoch went.

    Attributes
    ----------
    epoch : int
        From 1.
    loss : float
        Mean of the batches, as they were trained with.
    validation_loss, validation_accuracy : float
        After it, on what is held out.
    learning_rate : float
        At its end.
    seconds : float
    """

    epoch: int
    loss: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class Trained:
    """How training went; the network has the weights of the best epoch.

    Attributes
    ----------
    history : list of Epoch
    best : int
        The best epoch; 0 where none ended, and the weights are as they were.
    ended : str
        "done", "early" (no better epoch for a while), "stopped" (by the user) or "diverged".
    before : float
        Accuracy of the model as it was on what is held out.
    """

    history: list[Epoch]
    best: int
    ended: Ended
    before: float


@dataclass(frozen=True)
class Sets:
    """What is trained with, and what finds the best epoch.

    Attributes
    ----------
    pictures : Pictures
    targets : array, shape (n, ...)
        What the network is to give for each picture.
    training : array of intp
        Positions of pictures, duplicates of the balanced unsafe set included.
    validation : array of intp
    accuracy : callable
        Of outputs, float32, for `validation`: the share that is right.
    """

    pictures: Pictures
    targets: NDArray[Any]
    training: Positions
    validation: Positions
    accuracy: Callable[[Floats], float]


@dataclass
class _State:
    """Where training is; what a checkpoint holds."""

    history: list[Epoch] = field(default_factory=list)
    best: int = 0
    best_weights: list[NDArray[Any]] = field(default_factory=list)


def check_options(options: Options) -> None:
    """Raise InputError when an option cannot be used."""
    for name in ("epochs", "batch_size", "patience"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise InputError(f"{name}: expected 1 or more, received {value}")
    if options.learning_rate is not None and not 0 < options.learning_rate < math.inf:
        raise InputError(f"learning rate: expected more than 0, received {options.learning_rate}")
    if not 0 < options.validation_share < 1:
        raise InputError(
            f"validation share: expected a share, between 0 and 1, received "
            f"{options.validation_share}"
        )
    if options.schedule not in {"cosine", "constant"}:
        raise InputError(f"schedule: expected cosine or constant, received {options.schedule!r}")


def hold_out(
    labels: Sequence[str], share: float, rng: np.random.Generator
) -> tuple[Positions, Positions]:
    """Split a set: of each label a share is held out, and at least one image stays.

    Returns
    -------
    kept, held : arrays of intp
        Positions in order.
    """
    names = np.array(labels, dtype=np.str_)
    held = np.zeros(len(names), dtype=np.bool_)
    # Shares of small labels are rounded at random, so that all of them have their share in the sum.
    for name in np.unique(names):
        places = np.flatnonzero(names == name)
        count = min(int(share * len(places) + rng.random()), len(places) - 1)
        held[rng.choice(places, count, replace=False)] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def train(
    network: Network,
    sets: Sets,
    recipe: Recipe,
    options: Options,
    *,
    progress: Callable[[int, int], None],
    heard: Callable[[list[Epoch], int], None] = lambda history, best: None,
    stop: Callable[[], bool] = lambda: False,
    checkpoint: Path | None = None,
    fingerprint: str = "",
) -> Trained:
    """Train a network further; it ends with the weights of the best epoch.

    The same arguments give the same weights on one machine: TensorFlow is switched to deterministic
    operations for the rest of the process.  Time grows with images and epochs.

    Parameters
    ----------
    progress : callable
        Called with batches done, and of how many.
    heard : callable
        Called after every epoch with the history and the best epoch.
    stop : callable
        Asked after every batch whether the user wants an end.
    checkpoint : Path, optional
        A folder; training goes on from what an earlier one with the same `fingerprint` left there.
    """
    model = network.model
    _compile(model, recipe, options.seed)
    before = model.get_weights()
    _, accuracy_before = _validate(network, sets, recipe, options)
    state = _resume(model, checkpoint, fingerprint)
    heard(state.history, state.best)
    ended: Ended = "done"
    for epoch in range(len(state.history) + 1, options.epochs + 1):
        if _waited(state, options.patience):
            ended = "early"
            break
        start = time.perf_counter()
        losses, ended = _train_epoch(network, sets, recipe, options, epoch, progress, stop)
        if ended == "diverged" or (ended == "stopped" and len(losses) < _steps(sets, options)):
            break
        loss, accuracy = _validate(network, sets, recipe, options)
        if not math.isfinite(loss) or np.mean(losses) > FAR * max(losses[0], 1 / FAR):
            ended = "diverged"
            break
        rate = _float(model.optimizer.learning_rate)
        seconds = round(time.perf_counter() - start, 3)
        state.history.append(Epoch(epoch, _float(np.mean(losses)), loss, accuracy, rate, seconds))
        if state.best == 0 or _key(state.history[-1]) > _key(state.history[state.best - 1]):
            state.best, state.best_weights = epoch, model.get_weights()
        if checkpoint is not None:
            _keep(model, state, checkpoint, fingerprint)
        heard(state.history, state.best)
        if ended == "stopped":
            break
    model.set_weights(state.best_weights or before)
    model.optimizer.learning_rate = recipe.learning_rate  # whoever trains on from the file
    return Trained(state.history, state.best, ended, accuracy_before)


def _compile(model: Any, recipe: Recipe, seed: int) -> None:
    """Make a model ready to be trained, the same each time."""
    keras, tf = import_keras()
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    model.compile(recipe.make_optimizer(), recipe.loss, jit_compile=False)
    model.optimizer.build(model.trainable_variables)


def _steps(sets: Sets, options: Options) -> int:
    """Return the number of batches of an epoch."""
    return -(-len(sets.training) // options.batch_size)


def _train_epoch(
    network: Network,
    sets: Sets,
    recipe: Recipe,
    options: Options,
    epoch: int,
    progress: Callable[[int, int], None],
    stop: Callable[[], bool],
) -> tuple[list[float], Ended]:
    """Train for an epoch, or until the loss is no number or the user wants an end.

    Returns
    -------
    losses : list of float
        By batch, as many as were trained with.
    ended : str
        "done", "stopped" (perhaps after the last batch) or "diverged".
    """
    model, steps = network.model, _steps(sets, options)
    losses: list[float] = []
    _seed(model, options.seed, epoch)
    for pixels, targets in _batches(sets, options, epoch):
        done = (epoch - 1) * steps + len(losses)
        _set_rate(model, recipe, options, done / (steps * options.epochs))
        losses.append(float(model.train_on_batch(scale(network, pixels), targets)))
        progress(done + 1, steps * options.epochs)
        if not math.isfinite(losses[-1]):
            return losses, "diverged"
        if stop():
            return losses, "stopped"
    return losses, "done"


def _key(epoch: Epoch) -> tuple[float, float]:
    return epoch.validation_accuracy, -epoch.validation_loss


def _waited(state: _State, patience: int | None) -> bool:
    return patience is not None and state.best > 0 and len(state.history) - state.best >= patience


def _seed(model: Any, seed: int, epoch: int) -> None:
    """Seed dropout and the like for an epoch, so that one that is resumed is the same."""
    states = [variable for variable in model.variables if "seed_generator_state" in variable.path]
    for place, state in enumerate(states):
        state.assign(np.array([(seed + place) % 2**31, epoch], dtype=np.uint32))


def _batches(sets: Sets, options: Options, epoch: int) -> Any:
    rng = np.random.default_rng([options.seed, epoch])
    order = rng.permutation(sets.training)
    change = _augmentation(options, epoch) if options.augment else None
    for places, pixels in sets.pictures.batches(order, options.batch_size):
        changed = pixels if change is None else change(pixels.astype(np.float32), training=True)
        yield np.asarray(changed), sets.targets[places]


def _augmentation(options: Options, epoch: int) -> Any:
    keras, _ = import_keras()
    seed = options.seed * 100_003 + epoch
    return keras.Sequential(
        [
            keras.layers.RandomBrightness(BRIGHTNESS, value_range=(0, 255), seed=seed),
            keras.layers.RandomContrast(CONTRAST, value_range=(0, 255), seed=seed + 1),
        ]
    )


def _set_rate(model: Any, recipe: Recipe, options: Options, done: float) -> None:
    factor = 0.5 * (1 + math.cos(math.pi * done)) if options.schedule == "cosine" else 1.0
    model.optimizer.learning_rate = recipe.learning_rate * factor


def _validate(
    network: Network, sets: Sets, recipe: Recipe, options: Options
) -> tuple[float, float]:
    """Return loss and accuracy on what is held out; infinite and 0 where outputs are no numbers."""
    keras, _ = import_keras()
    outputs = predict_pictures(network, sets.pictures, sets.validation, options.batch_size)
    if not np.isfinite(outputs).all():
        return math.inf, 0.0
    loss = recipe.loss(sets.targets[sets.validation], outputs)
    return _float(keras.ops.mean(loss)), sets.accuracy(outputs)


def _float(value: Any) -> float:
    return float(f"{float(value):.6g}")


def _keep(model: Any, state: _State, folder: Path, fingerprint: str) -> None:
    course = {
        "fingerprint": fingerprint,
        "best": state.best,
        "history": [asdict(epoch) for epoch in state.history],
    }
    arrays: dict[str, Any] = {COURSE: np.array(json.dumps(course))}
    for kind, values in (
        ("weights", model.get_weights()),
        ("best", state.best_weights),
        ("optimizer", [np.asarray(variable) for variable in model.optimizer.variables]),
    ):
        arrays |= {f"{kind} {place}": value for place, value in enumerate(values)}
    with atomic_write(folder / STATE_FILE) as file:
        np.savez(file, **arrays)


def _resume(model: Any, folder: Path | None, fingerprint: str) -> _State:
    """Return where an earlier training of the same was; the beginning, where there is none."""
    if folder is None or not (folder / STATE_FILE).is_file():
        return _State()
    try:
        with np.load(folder / STATE_FILE, allow_pickle=False) as kept:
            course = json.loads(str(kept[COURSE]))
            arrays = {name: kept[name] for name in kept.files if name != COURSE}
    except (OSError, EOFError, LookupError, ValueError, zipfile.BadZipFile):
        return _State()  # damaged: from the start
    if course["fingerprint"] != fingerprint:
        return _State()

    def listed(kind: str) -> list[NDArray[Any]]:
        count = sum(name.startswith(f"{kind} ") for name in arrays)
        return [arrays[f"{kind} {place}"] for place in range(count)]

    model.set_weights(listed("weights"))
    for variable, value in zip(model.optimizer.variables, listed("optimizer"), strict=True):
        variable.assign(value)
    history = [Epoch(**epoch) for epoch in course["history"]]
    return _State(history, course["best"], listed("best"))
