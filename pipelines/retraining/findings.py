"""What a retraining changed, as one document, and what its manifest says of it."""

from __future__ import annotations

from collections import Counter

from pipelines.data.groups import describe_groups, number_groups
from pipelines.dnn.evaluation import Outcome
from pipelines.dnn.model import Network
from pipelines.retraining.before_after import measure_change, measure_classes, measure_repairs
from pipelines.retraining.examples import count_classes
from pipelines.retraining.results import Retraining
from pipelines.retraining.sets import Clustered, Given
from pipelines.retraining.training import Trained
from pipelines.retraining.trial import Parts, Subject
from pipelines.runs.files import as_text
from pipelines.runs.manifest import Manifest
from pipelines.runs.wording import count_of

WORSE = 0.1
"""By how much less an epoch may get right of what is held out than the model before, unsaid."""


def note_classes(manifest: Manifest, subject: Subject, parts: Parts) -> None:
    """Say which classes have next to nothing to train with."""
    if subject.task != "classes":
        return
    used = [subject.pictures.examples[place] for place in set(parts.training.tolist())]
    for name, images in sorted(count_classes(used).items()):
        if images == 1:
            manifest.notes.append(
                f"The class {name} has one image to train with: its accuracy says little."
            )


def note_clusters(
    manifest: Manifest,
    clustered: Clustered,
    subject: Subject,
    before: Outcome,
    network: Network,
) -> None:
    """Say which failing images of the clusters the test set does not tell of."""
    digest = clustered.manifest.weights.get("sha256")
    if clustered.manifest.job == "heatmaps" and digest != network.digest:
        manifest.notes.append("The clusters are those of another model than the one retrained.")
    digests = set(clustered.clusters.digests)
    there = [p for p, each in enumerate(subject.test.examples) if each.image.digest in digests]
    wrong = sum(1 for place in there if not before.correct[place])
    if wrong < len(digests):
        manifest.notes.append(
            f"Of {count_of(len(digests), 'failing image')} in the clusters, {len(there):,} "
            f"{'is' if len(there) == 1 else 'are'} in the test set, by their bytes, and the model "
            f"before got {wrong:,} of those wrong: what became of clusters is told by these alone."
        )


def measure_retraining(
    manifest: Manifest,
    given: Given,
    subject: Subject,
    parts: Parts,
    trained: Trained,
    clustered: Clustered,
    before: Outcome,
    after: Outcome,
) -> Retraining:
    """Measure what changed on the test set: in all, by class, by root cause cluster.

    Parameters
    ----------
    before, after : Outcome
        Of the test images, in their order.
    """
    examples, asked = subject.pictures.examples, manifest.parameters
    used = {int(place) for place in parts.training}
    unsafe = [examples[place] for place in sorted(used) if examples[place].role == "unsafe"]
    recipe = subject.recipe
    paths = [example.image.path for example in subject.test.examples]
    groups = number_groups(given.groups, paths) if given.groups.how else None
    return Retraining(
        run=asked["unsafe"],
        model=asked["model"],
        training=asked["training"],
        improvement=as_text(given.unsafe.folder.resolve()),
        test=asked["test"],
        training_images=len(used) - len(unsafe),
        unsafe_images=len(unsafe),
        balanced_images=parts.chosen,
        held_out=len(parts.validation),
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
        groups=describe_groups(given.groups, paths),
    )


def describe_findings(
    manifest: Manifest,
    network: Network,
    found: Retraining,
    trained: Trained,
    before: Outcome,
) -> None:
    """Put into the manifest what was used and what changed, with what is to be doubted."""
    manifest.weights = {"source": as_text(network.file), "sha256": network.digest}
    manifest.chosen = {
        "scaling": network.scaling,
        "input_size": network.size,
        "task": before.task,
        "names": list(before.names),
        "best_epoch": trained.best,
    } | found.recipe
    change = found.change
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
    if found.groups:
        manifest.result["groups"] = change.groups
        manifest.notes.append(
            f"Test set: {found.groups}. The test of what changed is one of groups, and intervals "
            "count as many images as are independent. --groups none takes every image by itself."
        )
    if before.note:
        manifest.notes.append(before.note)
    if trained.ended == "stopped":
        manifest.notes.append("Training was stopped by the user: the best epoch by then is kept.")
    elif trained.ended == "diverged":
        kept = f"epoch {trained.best} is kept" if trained.best else "the model is as it was"
        manifest.notes.append(
            f"Training diverged in epoch {len(trained.history) + 1}: its loss grew out of bounds; "
            f"{kept}. Give a --learning-rate lower than {found.recipe['learning rate']}."
        )
    best = trained.history[trained.best - 1].validation_accuracy if trained.best else 1.0
    if best < trained.before - WORSE:
        manifest.notes.append(
            f"Of what is held out, the best epoch gets {best:.0%} right, and the model before "
            f"{trained.before:.0%} (which may have seen these images): a lower --learning-rate "
            "may do better."
        )
