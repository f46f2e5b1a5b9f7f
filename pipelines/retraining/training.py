"""Train a model further, with its training set and the balanced unsafe set.

SAFE, step 6; HUDD, step 7 and section IV-D. The epoch with the best result on held-out images is
kept; the test set is not used for this choice.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, SupportsFloat

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Floats, Positions
from pipelines.dnn.keras import import_keras
from pipelines.dnn.model import Network, scale
from pipelines.retraining.checkpoint import (
    Epoch,
    TrainingState,
    load_checkpoint,
    save_checkpoint,
)
from pipelines.retraining.examples import Pictures, predict_pictures
from pipelines.retraining.recipe import KerasObject, TrainingRecipe
from pipelines.retraining.targets import Targets
from pipelines.runs.errors import InputError

STAGE = "retraining"
BRIGHTNESS = CONTRAST = 0.2
FAR = 10.0
"""Training has diverged if an epoch's mean loss is this many times that of its first batch."""

Schedule = Literal["cosine", "constant"]
Ended = Literal["done", "early", "stopped", "diverged"]


@dataclass(frozen=True)
class Options:
    """The user's options of training.

    Attributes
    ----------
    epochs, batch_size : int
    learning_rate : float, optional
        Learning rate at the start; None for that of the model file, or `recipe.LEARNING_RATE`
        without it.
    schedule : str
        "cosine": the learning rate falls to zero over the epochs, along half a cosine; "constant".
    validation_share : float
        Share of the training set and of the unsafe set that is held out to find the best epoch.
    patience : int, optional
        Number of epochs without improvement after which training ends; None trains all epochs.
    augment : bool
        Whether to vary brightness and contrast of training images by up to a fifth. Images are
        neither moved nor rotated, because that can change what they show.
    seed : int
        Seed of training: held-out images, order of batches, dropout and augmentation.
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
class TrainingOutcome:
    """The outcome of training; the network then has the weights of the best epoch.

    Attributes
    ----------
    history : list of Epoch
    best : int
        The best epoch; 0 if no epoch was finished, and the weights are unchanged.
    ended : str
        "done" (all epochs), "early" (no better epoch for a while), "stopped" (by the user) or
        "diverged".
    before : float
        Accuracy of the model on the held-out images before training.
    """

    history: list[Epoch]
    best: int
    ended: Ended
    before: float


@dataclass(frozen=True)
class TrainingData:
    """The images of a training with their targets.

    Attributes
    ----------
    pictures : Pictures
    targets : array, shape (n,) or (n, outputs)
        Target of the loss for each picture; see `targets.encode_labels`.
    training : array of intp
        Positions of pictures to train with, including duplicates of the balanced unsafe set.
    validation : array of intp
        Positions of held-out pictures, which determine the best epoch.
    accuracy : callable
        Takes outputs for `validation` (float32) and returns the share of correct images.
    """

    pictures: Pictures
    targets: Targets
    training: Positions
    validation: Positions
    accuracy: Callable[[Floats], float]


def check_options(options: Options) -> None:
    """Raise InputError when an option cannot be used."""
    for name in ("epochs", "batch_size", "patience"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise InputError(f"{name}: expected 1 or more, received {value}")
    if options.learning_rate is not None and not 0 < options.learning_rate < math.inf:
        raise InputError(
            f"learning rate: expected a finite number above 0, received {options.learning_rate}"
        )
    if not 0 < options.validation_share < 1:
        raise InputError(
            f"validation share: expected a number above 0 and below 1, received "
            f"{options.validation_share}"
        )
    if options.schedule not in {"cosine", "constant"}:
        raise InputError(f"schedule: expected cosine or constant, received {options.schedule!r}")


def hold_out(
    labels: Sequence[str], share: float, rng: np.random.Generator
) -> tuple[Positions, Positions]:
    """Split a set: hold out a share of the images of each label, but never all of them.

    Parameters
    ----------
    labels : sequence of str, length n
    share : float
        0 to 1.

    Returns
    -------
    kept, held : arrays of intp
        Positions of images, ascending.
    """
    names = np.array(labels, dtype=np.str_)
    held = np.zeros(len(names), dtype=np.bool_)
    # Counts are rounded at random: over many labels with few images, the sum has the right share.
    for name in np.unique(names):
        places = np.flatnonzero(names == name)
        count = min(int(share * len(places) + rng.random()), len(places) - 1)
        held[rng.choice(places, count, replace=False)] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


@dataclass(frozen=True)
class Watch:
    """The listeners of a training, and the folder for its state.

    Attributes
    ----------
    progress, on_epoch : callable
        Called with the batches that are done, and all; with the history and the best epoch.
    stop : callable
        Called after every batch; returns True to end training.
    checkpoint, fingerprint : Path, str
        A folder for the state after each epoch, from which the same training continues after a
        kill. See `comparison_job.fingerprint_of`.
    """

    progress: Callable[[int, int], None]
    on_epoch: Callable[[list[Epoch], int], None] = lambda history, best: None
    stop: Callable[[], bool] = lambda: False
    checkpoint: Path | None = None
    fingerprint: str = ""


def train(
    network: Network,
    sets: TrainingData,
    recipe: TrainingRecipe,
    options: Options,
    watch: Watch,
) -> TrainingOutcome:
    """Train a network further; it then has the weights of the best epoch.

    TensorFlow is switched to deterministic operations: on one machine, the same arguments give the
    same weights.  Time grows with the number of images times epochs.
    """
    model = network.model
    _compile(model, recipe, options.seed)
    before = model.get_weights()
    _, accuracy_before = _validate(network, sets, recipe, options)
    state = load_checkpoint(model, watch.checkpoint, watch.fingerprint)
    watch.on_epoch(state.history, state.best)
    ended: Ended = "done"
    for epoch in range(len(state.history) + 1, options.epochs + 1):
        if _is_patience_over(state, options.patience):
            ended = "early"
            break
        start = time.perf_counter()
        losses, ended = _train_epoch(network, sets, recipe, options, epoch, watch)
        if ended == "diverged" or (ended == "stopped" and len(losses) < _steps(sets, options)):
            break
        loss, accuracy = _validate(network, sets, recipe, options)
        if not math.isfinite(loss) or np.mean(losses) > FAR * max(losses[0], 1 / FAR):
            ended = "diverged"
            break
        rate = _round(model.optimizer.learning_rate)
        seconds = round(time.perf_counter() - start, 3)
        state.history.append(Epoch(epoch, _round(np.mean(losses)), loss, accuracy, rate, seconds))
        if _is_last_best(state):
            state.best, state.best_weights = epoch, model.get_weights()
        if watch.checkpoint is not None:
            save_checkpoint(model, state, watch.checkpoint, watch.fingerprint)
        watch.on_epoch(state.history, state.best)
        if ended == "stopped":
            break
    model.set_weights(state.best_weights or before)
    model.optimizer.learning_rate = recipe.learning_rate  # for further training from the file
    return TrainingOutcome(state.history, state.best, ended, accuracy_before)


def _compile(model: KerasObject, recipe: TrainingRecipe, seed: int) -> None:
    """Compile a model for reproducible training."""
    keras, tf = import_keras()
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    model.compile(recipe.make_optimizer(), recipe.loss, jit_compile=False)
    model.optimizer.build(model.trainable_variables)


def _steps(sets: TrainingData, options: Options) -> int:
    """Return the number of batches of an epoch."""
    return -(-len(sets.training) // options.batch_size)


def _train_epoch(
    network: Network,
    sets: TrainingData,
    recipe: TrainingRecipe,
    options: Options,
    epoch: int,
    watch: Watch,
) -> tuple[list[float], Ended]:
    """Train for an epoch, or until the loss is not finite or the user stops training.

    Returns
    -------
    losses : list of float
        Loss of each batch used for training.
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
        watch.progress(done + 1, steps * options.epochs)
        if not math.isfinite(losses[-1]):
            return losses, "diverged"
        if watch.stop():
            return losses, "stopped"
    return losses, "done"


def _is_last_best(state: TrainingState) -> bool:
    """Return whether the last epoch is better than all before: by accuracy, then by loss."""
    last, best = (
        (epoch.validation_accuracy, -epoch.validation_loss)
        for epoch in (state.history[-1], state.history[state.best - 1])
    )
    return state.best == 0 or last > best


def _is_patience_over(state: TrainingState, patience: int | None) -> bool:
    return patience is not None and state.best > 0 and len(state.history) - state.best >= patience


def _seed(model: KerasObject, seed: int, epoch: int) -> None:
    """Seed dropout and other random layers for an epoch, so that resumed training is the same."""
    states = [variable for variable in model.variables if "seed_generator_state" in variable.path]
    for place, state in enumerate(states):
        state.assign(np.array([(seed + place) % 2**31, epoch], dtype=np.uint32))


def _batches(
    sets: TrainingData, options: Options, epoch: int
) -> Iterator[tuple[NDArray[np.uint8] | Floats, Targets]]:
    """Yield pixels and targets of an epoch in random order, augmented if the option is on."""
    rng = np.random.default_rng([options.seed, epoch])
    order = rng.permutation(sets.training)
    change = _augmentation(options, epoch) if options.augment else None
    for places, pixels in sets.pictures.batches(order, options.batch_size):
        changed = pixels if change is None else change(pixels.astype(np.float32), training=True)
        yield np.asarray(changed), sets.targets[places]


def _augmentation(options: Options, epoch: int) -> KerasObject:
    keras, _ = import_keras()
    seed = options.seed * 100_003 + epoch
    return keras.Sequential(
        [
            keras.layers.RandomBrightness(BRIGHTNESS, value_range=(0, 255), seed=seed),
            keras.layers.RandomContrast(CONTRAST, value_range=(0, 255), seed=seed + 1),
        ]
    )


def _set_rate(model: KerasObject, recipe: TrainingRecipe, options: Options, done: float) -> None:
    factor = 0.5 * (1 + math.cos(math.pi * done)) if options.schedule == "cosine" else 1.0
    model.optimizer.learning_rate = recipe.learning_rate * factor


def _validate(
    network: Network, sets: TrainingData, recipe: TrainingRecipe, options: Options
) -> tuple[float, float]:
    """Return loss and accuracy on held-out images; infinity and 0 if outputs are not finite."""
    keras, _ = import_keras()
    outputs = predict_pictures(network, sets.pictures, sets.validation, options.batch_size)
    if not np.isfinite(outputs).all():
        return math.inf, 0.0
    loss = recipe.loss(sets.targets[sets.validation], outputs)
    return _round(keras.ops.mean(loss)), sets.accuracy(outputs)


def _round(value: SupportsFloat) -> float:
    return float(f"{float(value):.6g}")
