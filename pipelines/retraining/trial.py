"""One trial: the choice of training and held-out images, the training, and its test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipelines.data.arrays import Floats, Positions
from pipelines.data.labels import Truth
from pipelines.dnn.evaluation import Outcome, Task, judge
from pipelines.dnn.job import EvaluationOptions
from pipelines.dnn.model import Network
from pipelines.retraining.balancing import balance, enlarge
from pipelines.retraining.examples import (
    Example,
    Pictures,
    predict_pictures,
)
from pipelines.retraining.recipe import TrainingRecipe
from pipelines.retraining.targets import Targets, encode_labels
from pipelines.retraining.training import (
    Options,
    TrainingData,
    TrainingOutcome,
    Watch,
    hold_out,
    train,
)
from pipelines.runs.errors import InputError
from pipelines.runs.wording import count_of

PREDICTED = 64
"""Number of images that the network predicts together."""


@dataclass(frozen=True)
class Subject:
    """The DNN under analysis, and everything that is equal in all trials.

    Attributes
    ----------
    network : Network
    recipe : TrainingRecipe
    task : str
    names : tuple of str
        Names of the classes in the order of the outputs; empty for numbers.
    truth : Truth
        Labels of all examples, by their names.
    evaluation : EvaluationOptions
    pictures : Pictures
        All images that may be trained with or held out.
    targets : array, shape (n,) or (n, outputs)
        Target of the loss for each of them; see `targets.encode_labels`.
    test : Pictures
        The test images.
    """

    network: Network
    recipe: TrainingRecipe
    task: Task
    names: tuple[str, ...]
    truth: Truth
    evaluation: EvaluationOptions
    pictures: Pictures
    targets: Targets
    test: Pictures

    def judge(self, examples: Sequence[Example], outputs: Floats) -> Outcome:
        """Compare outputs (float32, shape (n, outputs)) with the labels of n examples."""
        return judge(
            self.truth,
            [example.name for example in examples],
            outputs,
            self.network.activation,
            task=self.task,
            # Without names from the user, the outcome notes an order that looks wrong.
            classes=self.names if self.evaluation.classes else None,
            error_threshold=self.evaluation.error_threshold,
            key_points=self.evaluation.key_points,
        )

    def predict(self, pictures: Pictures, order: Positions) -> Floats:
        """Run the network with its current weights; float32, shape (len(order), outputs)."""
        return predict_pictures(self.network, pictures, order, PREDICTED)

    def test_now(self) -> Outcome:
        """Test the network with its current weights.

        Raises
        ------
        InputError
            When an output is not finite.
        """
        every = np.arange(len(self.test.examples), dtype=np.intp)
        outputs = self.predict(self.test, every)
        if not np.isfinite(outputs).all():
            place = int(np.flatnonzero(~np.isfinite(outputs).all(axis=1))[0])
            raise InputError(
                f"{self.network.file}: its output for {self.test.examples[place].name} is not a "
                f"finite number. Is --scaling {self.network.scaling} right?"
            )
        return self.judge(self.test.examples, outputs)


def make_subject(
    network: Network,
    recipe: TrainingRecipe,
    task: Task,
    names: tuple[str, ...],
    truth: Truth,
    evaluation: EvaluationOptions,
    pictures: Pictures,
    test: Pictures,
) -> Subject:
    """Make the subject of trials: encode the labels of the images that may be trained with."""
    targets = encode_labels(pictures.examples, task, names, network.outputs, recipe.sparse_targets)
    return Subject(network, recipe, task, names, truth, evaluation, pictures, targets, test)


@dataclass(frozen=True)
class TrialSplit:
    """The pictures for training in a trial, and the held-out pictures.

    Attributes
    ----------
    training : array of intp
        Positions of pictures to train with, including duplicates.
    validation : array of intp
        Positions of held-out pictures.
    chosen : int
        Number of `training` pictures that were chosen for labelling, including duplicates.
    held : int
        Number of `validation` pictures that were chosen for labelling.
    """

    training: Positions
    validation: Positions
    chosen: int
    held: int


def split_images(
    subject: Subject,
    chosen: Positions,
    options: Options,
    seed: int,
    *,
    like: TrialSplit | None = None,
) -> TrialSplit:
    """Hold out images, and duplicate those that were chosen for labelling.

    Parameters
    ----------
    chosen : array of intp
        Positions of the images that were chosen for labelling in this trial.
    seed : int
        Seed of the random choices.
    like : TrialSplit, optional
        For a baseline, the split of our selection: as many chosen images are held out, and
        duplicates bring the others to the same number. None balances the clusters (HUDD, IV-D).

    Raises
    ------
    InputError
        When no image is held out.
    """
    rng = np.random.default_rng([seed, 1])
    examples = subject.pictures.examples
    training = _find_role(examples, "training")
    validation = _find_role(examples, "validation")
    of_chosen = 0
    if not len(validation):
        held = []
        labels = [_stratify(subject.task, examples[place]) for place in training.tolist()]
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
            f"{count_of(len(training), 'training image')}: give a larger --validation-share, or "
            "--validation."
        )
    if like is None:
        clusters = np.array([examples[place].cluster for place in chosen.tolist()], dtype=np.int32)
        copies = balance(clusters, rng)
    else:
        copies = enlarge(len(chosen), like.chosen, rng)
    return TrialSplit(
        np.concatenate([training, chosen[copies]]), validation, len(copies), of_chosen
    )


def find_positions(subject: Subject, role: str) -> Positions:
    """Return the positions of the pictures of a set."""
    return _find_role(subject.pictures.examples, role)


def _find_role(examples: Sequence[Example], role: str) -> Positions:
    return np.array(
        [p for p, example in enumerate(examples) if example.role == role], dtype=np.intp
    )


def _stratify(task: Task, example: Example) -> str:
    return example.label[0] if task == "classes" else ""  # other labels hardly ever repeat


def run_trial(
    subject: Subject, split: TrialSplit, options: Options, seed: int, watch: Watch
) -> TrainingOutcome:
    """Train the network further; see `training.train`."""
    held = [subject.pictures.examples[place] for place in split.validation.tolist()]

    def accuracy(outputs: Floats) -> float:
        return round(subject.judge(held, outputs).accuracy(), 6)

    return train(
        subject.network,
        TrainingData(subject.pictures, subject.targets, split.training, split.validation, accuracy),
        subject.recipe,
        replace(options, seed=seed),
        watch,
    )
