"""What retraining changed, as the report tells it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from pipelines.clusters.clusters import NOISE
from pipelines.clusters.report.report import write_report
from pipelines.retraining.results import (
    REPAIRS_PICTURE,
    Accuracy,
    Change,
    Comparison,
    Retraining,
    read_retraining,
)
from pipelines.runs.manifest import read_run_manifest
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
class Told:
    """The section on retraining.

    Attributes
    ----------
    sentence : str
        What changed in all, with its uncertainty.
    facts : Facts
        What was trained with, and how.
    picture : str
        A data URL, or empty.
    clusters, classes, methods : tuples of rows, as text
    test : str
        Of before and after.
    compared : str
        What the comparison with other ways of choosing images says; empty without.
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

    That of a retraining is the report on the clusters it is for, and says what it changed.

    See Also
    --------
    pipelines.clusters.report.report.write_report
    """
    if read_run_manifest(run).job != RETRAINING:
        return write_report(run)
    outcome = read_retraining(run)
    return write_report(run, Path(outcome.run), describe_retraining(outcome, run))


def describe_retraining(found: Retraining, folder: Path) -> Told:
    """Word a retraining for the report; `folder` is where it is."""
    return Told(
        sentence=sum_up(found.change),
        facts=(
            ("Model", found.model),
            ("Training set", f"{found.training}, {count_of(found.training_images, 'image')}"),
            (
                "Unsafe set",
                f"{found.improvement}, {count_of(found.unsafe_images, 'image')}, balanced to "
                f"{found.balanced_images:,}",
            ),
            ("Held out to find the best epoch", count_of(found.held_out, "image")),
            ("Test set", f"{found.test}, {count_of(found.change.before.images, 'image')}"),
            ("Groups of test images", found.groups or "none, every image is by itself"),
            *((name.capitalize(), value) for name, value in found.recipe.items()),
            ("Best epoch", f"{found.best} of {found.epochs} ({HOW_ENDED[found.ended]})"),
        ),
        picture=_picture(folder / REPAIRS_PICTURE),
        clusters=tuple(
            (
                "noise" if each.cluster == NOISE else str(each.cluster),
                each.name if each.cluster != NOISE else "",
                f"{each.failing:,}",
                f"{each.labelled:,}",
                share_of(each.after),
                each.state,
            )
            for each in found.repairs
        ),
        classes=tuple(
            (
                each.name,
                f"{each.before.images:,}",
                percent(each.before.share),
                percent(each.after.share),
                f"{each.repaired:,}",
                f"{each.broken:,}",
                f"{each.p:.2g}",
            )
            for each in found.classes
        ),
        methods=_methods(found.comparison),
        test=name_test(found.change),
        compared=tell_comparison(found.comparison) if found.comparison else "",
    )


def sum_up(change: Change) -> str:
    """Say what retraining changed on the test set, and whether that is more than chance."""
    before, after = change.before, change.after
    sure = "is more than chance" if change.p < CHANCE else "can be chance"
    images, changed = f"{after.images:,} test images", ""
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
    """Name the test of before and after."""
    if change.groups is None:
        return "McNemar's exact test"
    return "exact sign-flip test of the groups of images"


def tell_comparison(comparison: Comparison) -> str:
    """Say what our selection was worth, compared with other ways to spend as many labels."""
    best = next(each for each in comparison.methods if each.name == comparison.best_baseline)
    points = 100 * comparison.difference
    words = "better" if points >= 0 else "worse"
    said = _tell_added(comparison) + (
        f"Retrained with {count_of(comparison.labels, 'label')} chosen by the clusters, the model "
        f"is {abs(points):.2f} points {words} than with as many by the best baseline, "
        f"{best.name}, in the mean of {count_of(comparison.repeats, 'repeat')}"
    )
    if best.a12 is None:
        return f"{said}; one repeat says nothing of chance."
    larger = "no" if best.effect == "none" else f"a {best.effect}"
    return f"{said} (A12 = {best.a12:.2f}, {larger} effect; Mann-Whitney p = {best.p:.2g})."


def _tell_added(comparison: Comparison) -> str:
    """Say what new labels added to what training on gains by itself."""
    if comparison.added is None:
        return ""
    points = f"{abs(100 * comparison.added):.2f} points"
    change = f"added {points} to" if comparison.added >= 0 else f"took {points} from"
    return f"New labels {change} what the same training gets without them. "


def share_of(accuracy: Accuracy) -> str:
    """Write how many of how many, with the interval of the share."""
    return (
        f"{accuracy.right:,} of {accuracy.images:,} ({percent(accuracy.low)} to "
        f"{percent(accuracy.high)})"
    )


def _methods(comparison: Comparison | None) -> tuple[tuple[str, ...], ...]:
    if comparison is None:
        return ()
    return tuple(
        (
            each.name,
            percent(each.mean),
            f"{100 * each.deviation:.2f}",
            "" if each.a12 is None else f"{each.a12:.2f} ({each.effect})",
            "" if each.p is None else f"{each.p:.2g}",
        )
        for each in comparison.methods
    )


def _picture(file: Path) -> str:
    try:
        return f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode('ascii')}"
    except OSError:
        return ""
