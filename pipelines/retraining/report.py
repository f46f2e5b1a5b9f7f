"""The section of the report on the changes by retraining."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from pipelines.clusters.clusters import NOISE
from pipelines.clusters.report.report import write_report
from pipelines.retraining.manifest import RetrainParameters
from pipelines.retraining.results import (
    REPAIRS_PICTURE,
    Accuracy,
    Change,
    Comparison,
    Retraining,
    read_retraining,
)
from pipelines.runs.manifest import Manifest, read_part, read_run_manifest
from pipelines.runs.wording import SPACE, Facts, count_of, percent

RETRAINING = "retrain"
CHANCE = 0.05
HOW_ENDED = {
    "done": "all epochs",
    "early": "no better epoch for a while",
    "stopped": "stopped by the user",
    "diverged": "diverged",
}


@dataclass(frozen=True)
class RetrainingSection:
    """The section of the report on retraining.

    Attributes
    ----------
    sentence : str
        The change in total, with its uncertainty.
    facts : Facts
        Data and options of training.
    picture : str
        A data URL; empty if there is no picture.
    clusters, classes, methods : tuples of tuples of str
        Rows of tables.
    test : str
        Name of the statistical test of before and after.
    compared : str
        Outcome of the comparison with other methods of choosing images; empty without comparison.
    """

    sentence: str
    facts: Facts
    picture: str
    clusters: tuple[tuple[str, ...], ...]
    classes: tuple[tuple[str, ...], ...]
    methods: tuple[tuple[str, ...], ...]
    test: str
    compared: str


def write_run_report(run: Path) -> Path:
    """Write the report of a run of any job.

    The report of a retraining is that of its clusters, with a section on the changes.

    See Also
    --------
    pipelines.clusters.report.report.write_report
    """
    manifest = read_run_manifest(run)
    if manifest.job != RETRAINING:
        return write_report(run)
    outcome = read_retraining(run)
    section = describe_retraining(outcome, run, describe_ending(manifest))
    return write_report(run, Path(outcome.run), section)


def describe_ending(manifest: Manifest) -> str:
    """Describe what a retraining lacks that did not finish; empty where it lacks nothing.

    Parameters
    ----------
    manifest : Manifest
        Of a job that is not running any more.
    """
    if manifest.ended == "finished":
        return ""
    how = "was killed" if manifest.ended == "running" else manifest.message or manifest.ended
    compared = read_part(manifest, RetrainParameters).repeats > 0
    lacking = "the comparison of ways to choose images is" if compared else "thumbnails may be"
    return f"The job did not finish ({how}): {lacking} missing."


def describe_retraining(
    retraining: Retraining, folder: Path, ending: str = ""
) -> RetrainingSection:
    """Describe the retraining of a run folder for the report; `ending` as `describe_ending`."""
    return RetrainingSection(
        sentence=" ".join(filter(None, (ending, summarise_change(retraining.change)))),
        facts=(
            ("Model", retraining.model),
            (
                "Training set",
                f"{retraining.training}, {count_of(retraining.training_images, 'image')}",
            ),
            (
                "Unsafe set",
                f"{retraining.improvement}, {count_of(retraining.unsafe_images, 'image')}, "
                f"balanced to {retraining.balanced_images:,}",
            ),
            ("Held out to find the best epoch", count_of(retraining.held_out, "image")),
            (
                "Test set",
                f"{retraining.test}, {count_of(retraining.change.before.images, 'image')}",
            ),
            ("Groups of test images", retraining.groups or "none: images count as independent"),
            *((name.capitalize(), value) for name, value in retraining.recipe.items()),
            (
                "Best epoch",
                f"{retraining.best} of {retraining.epochs} ({HOW_ENDED[retraining.ended]})",
            ),
        ),
        picture=_picture(folder / REPAIRS_PICTURE),
        clusters=tuple(
            (
                "noise" if row.cluster == NOISE else str(row.cluster),
                row.name if row.cluster != NOISE else "",
                f"{row.failing:,}",
                f"{row.labelled:,}",
                format_share(row.after),
                row.state,
            )
            for row in retraining.repairs
        ),
        classes=tuple(
            (
                row.name,
                f"{row.before.images:,}",
                percent(row.before.share),
                percent(row.after.share),
                f"{row.repaired:,}",
                f"{row.broken:,}",
                f"{row.p:.2g}",
            )
            for row in retraining.classes
        ),
        methods=_methods(retraining.comparison),
        test=name_test(retraining.change),
        compared=describe_comparison(retraining.comparison) if retraining.comparison else "",
    )


def summarise_change(change: Change) -> str:
    """Return a paragraph on the changes by retraining, and whether they are more than chance."""
    before, after = change.before, change.after
    sure = "is more than chance" if change.p < CHANCE else "can be chance"
    images, changed = count_of(after.images, "test image"), ""
    if change.groups is not None and change.groups_changed is not None:
        images += f" in {count_of(change.groups, 'group')}"
        changed = f", in {count_of(change.groups_changed, 'group')}"
    return (
        f"The retrained model is right on {percent(after.share)} of {images} "
        f"(95{SPACE}% interval {percent(after.low)} to {percent(after.high)}), the model before on "
        f"{percent(before.share)} ({percent(before.low)} to {percent(before.high)}). It repairs "
        f"{count_of(change.repaired, 'image')} and breaks {change.broken:,}{changed}: the "
        f"difference {sure} ({name_test(change)}, p = {change.p:.2g})."
    )


def name_test(change: Change) -> str:
    """Return the name of the statistical test of before and after."""
    if change.groups is None:
        return "McNemar's exact test"
    return "exact sign-flip test of the groups of images"


def describe_comparison(comparison: Comparison) -> str:
    """Return a paragraph that compares our selection with other methods for as many labels."""
    best = next(method for method in comparison.methods if method.name == comparison.best_baseline)
    points = 100 * comparison.difference
    direction = "higher" if points >= 0 else "lower"
    sentence = _describe_added(comparison) + (
        f"Retrained with {count_of(comparison.labels, 'label')} chosen by the clusters, the "
        f"model's accuracy is {abs(points):.2f} points {direction} than with as many chosen by the "
        f"best baseline ({best.name}), averaged over {count_of(comparison.repeats, 'repeat')}"
    )
    if best.a12 is None:
        return f"{sentence}; one repeat cannot show whether this is chance."
    larger = "no" if best.effect == "none" else f"a {best.effect}"
    return f"{sentence} (A12 = {best.a12:.2f}, {larger} effect; Mann-Whitney p = {best.p:.2g})."


def _describe_added(comparison: Comparison) -> str:
    """Return a sentence on the effect of new labels, compared with training without them."""
    if comparison.added is None:
        return ""
    points = f"{abs(100 * comparison.added):.2f} points"
    change = "raise" if comparison.added >= 0 else "lower"
    return (
        f"New labels {change} the accuracy by {points}, compared with the same training without "
        "them. "
    )


def format_share(accuracy: Accuracy) -> str:
    """Format an accuracy: the number of correct images, of all, and the interval of their share."""
    return (
        f"{accuracy.right:,} of {accuracy.images:,} ({percent(accuracy.low)} to "
        f"{percent(accuracy.high)})"
    )


def _methods(comparison: Comparison | None) -> tuple[tuple[str, ...], ...]:
    if comparison is None:
        return ()
    return tuple(
        (
            method.name,
            percent(method.mean),
            f"{100 * method.deviation:.2f}",
            "" if method.a12 is None else f"{method.a12:.2f} ({method.effect})",
            "" if method.p is None else f"{method.p:.2g}",
        )
        for method in comparison.methods
    )


def _picture(file: Path) -> str:
    try:
        return f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode('ascii')}"
    except OSError:
        return ""
