"""One trial: what is trained with, what is held out, and how good the model is then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Floats
from pipelines.data.labels import Truth
from pipelines.dnn.evaluation import Outcome, Task, judge
from pipelines.dnn.job import EvaluationOptions
from pipelines.dnn.model import Network
from pipelines.retraining.balancing import Positions, balance, enlarge
from pipelines.retraining.examples import Example, Pictures, encode, predict_pictures
from pipelines.retraining.recipe import Recipe
from pipelines.retraining.training import Epoch, Options, Sets, Trained, hold_out, train
from pipelines.runs.errors import InputError

PREDICTED = 64
"""Images that the network predicts at once."""


@dataclass(frozen=True)
class Subject:
    """The DNN under analysis, and all that does not change from trial to trial.

    Attributes
    ----------
    network : Network
    recipe : Recipe
    task : str
    names : tuple of str
        Of the classes, in the order of the outputs; empty for numbers.
    truth : Truth
        The labels of all examples, by their names.
    asked : EvaluationOptions
    pictures : Pictures
        Of all that may be trained with or held out.
    targets : array, shape (n, ...)
        What the network is to give for each of them.
    test : Pictures
    """

    network: Network
    recipe: Recipe
    task: Task
    names: tuple[str, ...]
    truth: Truth
    asked: EvaluationOptions
    pictures: Pictures
    targets: NDArray[Any]
    test: Pictures

    def judge(self, examples: Sequence[Example], outputs: Floats) -> Outcome:
        """Compare outputs with the labels of examples."""
        return judge(
            self.truth,
            [example.name for example in examples],
            outputs,
            self.network.activation,
            task=self.task,
            # Without names that are given, an order that looks wrong is told.
            classes=self.names if self.asked.classes else None,
            error_threshold=self.asked.error_threshold,
            key_points=self.asked.key_points,
        )

    def predict(self, pictures: Pictures, order: Positions) -> Floats:
        """Run the network as it is now over pictures; float32, shape (len(order), outputs)."""
        return predict_pictures(self.network, pictures, order, PREDICTED)

    def test_now(self) -> Outcome:
        """Test the network as it is now."""
        every = np.arange(len(self.test.examples), dtype=np.intp)
        outputs = self.predict(self.test, every)
        if not np.isfinite(outputs).all():
            place = int(np.flatnonzero(~np.isfinite(outputs).all(axis=1))[0])
            raise InputError(
                f"{self.network.file}: its output for {self.test.examples[place].name} is not a "
                f"number. Is --scaling {self.network.scaling} right?"
            )
        return self.judge(self.test.examples, outputs)


def make_subject(
    network: Network,
    recipe: Recipe,
    task: Task,
    names: tuple[str, ...],
    truth: Truth,
    asked: EvaluationOptions,
    pictures: Pictures,
    test: Pictures,
) -> Subject:
    """Encode the labels of what may be trained with."""
    targets = encode(pictures.examples, task, names, network.outputs, recipe.whole)
    return Subject(network, recipe, task, names, truth, asked, pictures, targets, test)


@dataclass(frozen=True)
class Parts:
    """Positions of pictures: what is trained with, duplicates included, and what is held out.

    Attributes
    ----------
    training, validation : array of intp
    chosen : int
        Of what is trained with, the images that were chosen for labelling, with duplicates.
    held : int
        Of what is held out, the images that were chosen for labelling.
    """

    training: Positions
    validation: Positions
    chosen: int
    held: int


def divide(
    subject: Subject,
    chosen: Positions,
    options: Options,
    seed: int,
    *,
    like: Parts | None = None,
) -> Parts:
    """Hold images out, and duplicate those that were chosen.

    Parameters
    ----------
    chosen : array of intp
        Positions of the images that were labelled for this trial.
    like : Parts, optional
        Of our selection, for a baseline: as many are held out, and there are as many with
        duplicates.  None balances the clusters (section IV-D).

    Raises
    ------
    InputError
        When nothing is left to find the best epoch with.
    """
    rng = np.random.default_rng([seed, 1])
    examples = subject.pictures.examples
    training = _of(examples, "training")
    validation = _of(examples, "validation")
    of_chosen = 0
    if not len(validation):
        held = []
        labels = [_kind(subject.task, examples[place]) for place in training.tolist()]
        kept, out = hold_out(labels, options.validation_share, rng)
        training, held = training[kept], [training[out]]
        if like is None:
            groups = [str(examples[place].cluster) for place in chosen.tolist()]
            kept, out = hold_out(groups, options.validation_share, rng)
        else:
            mixed = rng.permutation(len(chosen))
            kept, out = np.sort(mixed[like.held :]), np.sort(mixed[: like.held])
        chosen, held = chosen[kept], [*held, chosen[out]]
        of_chosen = len(out)
        validation = np.concatenate(held)
    if not len(validation):
        raise InputError(
            f"a validation share of {options.validation_share:g} holds no image out of "
            f"{len(training)} training images: give a larger --validation-share, or --validation."
        )
    if like is None:
        clusters = np.array([examples[place].cluster for place in chosen.tolist()], dtype=np.int32)
        copies = balance(clusters, rng)
    else:
        copies = enlarge(len(chosen), like.chosen, rng)
    return Parts(np.concatenate([training, chosen[copies]]), validation, len(copies), of_chosen)


def places_of(subject: Subject, role: str) -> Positions:
    """Return the positions of the pictures of a set."""
    return _of(subject.pictures.examples, role)


def _of(examples: Sequence[Example], role: str) -> Positions:
    return np.array([p for p, each in enumerate(examples) if each.role == role], dtype=np.intp)


def _kind(task: Task, example: Example) -> str:
    return example.label[0] if task == "classes" else ""  # others are hardly ever the same


def run_trial(
    subject: Subject,
    parts: Parts,
    options: Options,
    seed: int,
    *,
    progress: Callable[[int, int], None],
    heard: Callable[[list[Epoch], int], None] = lambda history, best: None,
    stop: Callable[[], bool] = lambda: False,
    checkpoint: Path | None = None,
    fingerprint: str = "",
) -> Trained:
    """Train the network further; see `training.train`."""
    held = [subject.pictures.examples[place] for place in parts.validation.tolist()]

    def accuracy(outputs: Floats) -> float:
        return round(subject.judge(held, outputs).accuracy(), 6)

    return train(
        subject.network,
        Sets(subject.pictures, subject.targets, parts.training, parts.validation, accuracy),
        subject.recipe,
        replace(options, seed=seed),
        progress=progress,
        heard=heard,
        stop=stop,
        checkpoint=checkpoint,
        fingerprint=fingerprint,
    )
