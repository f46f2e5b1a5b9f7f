"""The findings of a retraining, as one document and as entries of the manifest."""

from __future__ import annotations

from collections import Counter

from pipelines.clusters.manifest import HEATMAPS
from pipelines.data.groups import describe_groups, number_groups
from pipelines.dnn.evaluation import Outcome
from pipelines.dnn.manifest import ModelWeights, describe_model
from pipelines.dnn.model import Network
from pipelines.retraining.before_after import measure_change, measure_classes, measure_repairs
from pipelines.retraining.manifest import RetrainParameters
from pipelines.retraining.results import Retraining
from pipelines.retraining.sets import ClusteredRun, LabelledSets
from pipelines.retraining.targets import count_classes
from pipelines.retraining.training import TrainingOutcome
from pipelines.retraining.trial import Subject, TrialSplit
from pipelines.runs.files import as_text
from pipelines.runs.manifest import Manifest, read_part, write_part
from pipelines.runs.wording import count_of

WORSE = 0.1
"""Decrease of the accuracy on held-out images that is accepted without a note."""


def note_classes(manifest: Manifest, subject: Subject, split: TrialSplit) -> None:
    """Add a note on classes with only one image for training."""
    if subject.task != "classes":
        return
    used = [subject.pictures.examples[place] for place in set(split.training.tolist())]
    for name, images in sorted(count_classes(used).items()):
        if images == 1:
            manifest.notes.append(
                f"The class {name} has one image to train with: its accuracy may stay low."
            )


def note_clusters(
    manifest: Manifest,
    clustered: ClusteredRun,
    subject: Subject,
    before: Outcome,
    network: Network,
) -> None:
    """Note how many of the clusters' failing images are in the test set, and model mismatches."""
    of_model = clustered.manifest.job == HEATMAPS
    if of_model and read_part(clustered.manifest, ModelWeights).sha256 != network.digest:
        manifest.notes.append("The clusters are those of another model than the retrained one.")
    digests = set(clustered.clusters.digests)
    there = [
        p for p, example in enumerate(subject.test.examples) if example.image.digest in digests
    ]
    wrong = sum(1 for place in there if not before.correct[place])
    if wrong < len(digests):
        manifest.notes.append(
            f"Of {count_of(len(digests), 'failing image')} in the clusters, {len(there):,} "
            f"{'is' if len(there) == 1 else 'are'} in the test set, by their bytes, and the model "
            f"before got {wrong:,} of those wrong: only these show what became of the clusters."
        )


def measure_retraining(
    manifest: Manifest,
    sets: LabelledSets,
    subject: Subject,
    split: TrialSplit,
    trained: TrainingOutcome,
    clustered: ClusteredRun,
    before: Outcome,
    after: Outcome,
) -> Retraining:
    """Measure what changed on the test set: in total, by class and by root cause cluster.

    Parameters
    ----------
    before, after : Outcome
        Tests of the model before and of the retrained model, on the test images in their order.
    """
    examples, options = subject.pictures.examples, read_part(manifest, RetrainParameters)
    used = {int(place) for place in split.training}
    unsafe = [examples[place] for place in sorted(used) if examples[place].role == "unsafe"]
    recipe = subject.recipe
    paths = [example.image.path for example in subject.test.examples]
    groups = number_groups(sets.groups, paths) if sets.groups.how else None
    return Retraining(
        run=options.unsafe,
        model=options.model,
        training=options.training,
        improvement=as_text(sets.unsafe.folder.resolve()),
        test=options.test,
        training_images=len(used) - len(unsafe),
        unsafe_images=len(unsafe),
        balanced_images=split.chosen,
        held_out=len(split.validation),
        recipe={
            "optimizer": f"{recipe.optimizer}, {recipe.sources['optimizer']}",
            "loss": f"{recipe.loss_name}, {recipe.sources['loss']}",
            "learning rate": f"{recipe.learning_rate:g}, {recipe.sources['learning rate']}",
        },
        best=trained.best,
        epochs=len(trained.history),
        ended=trained.ended,
        change=measure_change(before.correct, after.correct, groups=groups),
        classes=(
            measure_classes(before.expected, before.correct, after.correct, groups)
            if subject.task == "classes"
            else []
        ),
        repairs=measure_repairs(
            clustered.clusters,
            clustered.names,
            Counter(example.cluster for example in unsafe),
            [example.image.digest for example in subject.test.examples],
            before.correct,
            after.correct,
            groups,
        ),
        groups=describe_groups(sets.groups, paths),
    )


def describe_findings(
    manifest: Manifest,
    network: Network,
    retraining: Retraining,
    trained: TrainingOutcome,
    before: Outcome,
) -> None:
    """Write the options and changes into the manifest, with notes on doubtful results."""
    write_part(manifest, describe_model(network))
    chosen: dict[str, object] = {
        "scaling": network.scaling,
        "input_size": network.size,
        "task": before.task,
        "names": list(before.names),
        "best_epoch": trained.best,
    }
    manifest.chosen = chosen | retraining.recipe
    change = retraining.change
    manifest.result = {
        "images": change.before.images,
        "accuracy_before": change.before.share,
        "accuracy": change.after.share,
        "accuracy_low": change.after.low,
        "accuracy_high": change.after.high,
        "repaired": change.repaired,
        "broken": change.broken,
        "p": change.p,
        "ended": trained.ended,
    }
    if retraining.groups:
        manifest.result["groups"] = change.groups
        manifest.notes.append(
            f"Test set: {retraining.groups}. The test of what changed compares groups, and "
            "intervals count as many images as are independent. --groups none treats every image "
            "as independent."
        )
    if before.note:
        manifest.notes.append(before.note)
    if trained.ended == "stopped":
        manifest.notes.append("Training was stopped by the user: its best epoch so far is kept.")
    elif trained.ended == "diverged":
        kept = f"epoch {trained.best} is kept" if trained.best else "the model is as it was"
        manifest.notes.append(
            f"Training diverged in epoch {len(trained.history) + 1}: its loss grew out of bounds; "
            f"{kept}. Use a --learning-rate lower than {retraining.recipe['learning rate']}."
        )
    best = trained.history[trained.best - 1].validation_accuracy if trained.best else 1.0
    if best < trained.before - WORSE:
        manifest.notes.append(
            f"On held-out images, the best epoch is right on {best:.0%}, and the model before on "
            f"{trained.before:.0%} (it may have been trained with them). A lower --learning-rate "
            "may give a better model."
        )
