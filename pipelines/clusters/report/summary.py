"""Summary of a run: figures, how it ended, open points, and inputs that could not be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from pipelines.clusters.clusters import (
    CLUSTERS_FILE,
    IMAGES_FILE,
    INSPECTED_PER_CLUSTER,
    NOISE,
    VERDICTS,
    compute_inspection_share,
)
from pipelines.clusters.explanation import EXPLANATION_FILE, Explanation
from pipelines.clusters.families import label_families
from pipelines.clusters.manifest import (
    CLUSTER,
    ClusterFigures,
    ClusterParameters,
    ExplanationFigures,
    PassingFigures,
)
from pipelines.clusters.rates import SITUATION
from pipelines.clusters.report.cards import COVERED, NO_IMAGE, NOT_COVERED, Card, UnsafeRow
from pipelines.clusters.results import Results
from pipelines.clusters.variance_reduction import HIGH_REDUCTION
from pipelines.data.parameters import Problem, count_left_out
from pipelines.runs.manifest import MANIFEST_FILE, Manifest, find_part, read_part
from pipelines.runs.wording import SPACE, Facts, count_of, decimal, percent, write_ranges

MOST_REJECTED = 500
MOST_WORST = 3
MOST_PROBLEMS = 200


def describe_run(results: Results) -> Facts:
    """Describe the run: what was analysed, by which job, and when."""
    manifest = results.manifest
    return (
        *_tested(manifest),
        ("Folder analysed", manifest.folder),
        ("Job", manifest.job),
        ("Started", _moment(manifest.started_at)),
        ("Ended", f"{_moment(manifest.ended_at) or 'not known'} ({results.ended})"),
    )


def _tested(manifest: Manifest) -> Facts:
    """Describe the DNN under analysis, its accuracy and its test, if the run knows them."""
    test = read_part(manifest, ClusterParameters).test if manifest.job == CLUSTER else None
    passing = find_part(manifest, PassingFigures)
    facts = []
    if test is not None:
        facts.append(("DNN under analysis", test.network or "not known"))
        if test.accuracy is not None:
            low = test.accuracy if test.accuracy_low is None else test.accuracy_low
            high = test.accuracy if test.accuracy_high is None else test.accuracy_high
            facts.append(
                (
                    "Accuracy",
                    f"{percent(test.accuracy)} of {count_of(test.images, 'image')} "
                    f"(95{SPACE}% interval {percent(low)} to {percent(high)})",
                )
            )
        facts.append(("Test", test.folder))
    if passing is not None:
        used, sample = manifest.images.used, passing.passing_sample
        facts += [
            (
                "Images",
                f"{used:,} failing, {passing.passing:,} passing"
                + (f", {sample:,} of them sampled" if sample < passing.passing else ""),
            ),
            ("SHA-256 of the failing images", passing.failing_sha256),
            ("SHA-256 of the passing images", passing.passing_sha256),
        ]
    return tuple(facts)


def select_worst(cards: Sequence[Card]) -> list[Card]:
    """Return the three situations with most excess failures, or fewer."""
    return [card for card in cards if card.row.kind == SITUATION][:MOST_WORST]


def describe_ending(results: Results) -> str:
    """Describe how an unfinished job ended; empty for one that finished."""
    if results.ended == "finished":
        return ""
    how = {
        "stopped": "The run was stopped by the user before it was finished.",
        "failed": f"The run failed: {results.manifest.message or 'no reason is known.'}",
        "killed": "The run was killed: its process ended without giving a reason.",
    }[results.ended]
    return f"{how}\nThis report shows the results up to then."


def explain_absence(results: Results, cards: Sequence[Card]) -> str:
    """Explain why there are no clusters to show; empty if there are some."""
    if cards:
        return ""
    if results.clusters is not None:
        return "No root cause cluster was found: every image that was used is noise."
    if results.ended == "finished":
        return (
            f"The run folder holds no clusters: {IMAGES_FILE} and {CLUSTERS_FILE} are missing, "
            "although the job finished."
        )
    return "The run ended before it had clusters."


def summarise(results: Results, cards: Sequence[Card]) -> Facts:
    """Return the figures of the run, each with its label."""
    manifest, clusters = results.manifest, results.clusters
    images, figures = manifest.images, find_part(manifest, ClusterFigures)
    counted = f"images used, of {images.found:,} found; {images.rejected:,} rejected"
    summary = [(f"{images.used:,}", counted)]
    if clusters is None:
        return tuple(summary)
    by_rate = any(row.kind for row in results.rows)
    families = results.explanation.families if results.explanation and not by_rate else []
    noise = sum(row.size for row in results.rows if row.cluster == NOISE)
    share = percent(noise / len(clusters.paths))
    inspected = f"of the images, when {INSPECTED_PER_CLUSTER} of each"
    summary += [
        (f"{len(cards):,}", "root cause cluster" if len(cards) == 1 else "root cause clusters"),
        (share, f"noise ({count_of(noise, 'image')})"),
        (
            percent(
                figures.inspection_share if figures else compute_inspection_share(clusters.labels)
            ),
            f"{inspected} cluster are inspected",
        ),
    ]
    if families:
        by_family = {cluster: family.family for family in families for cluster in family.clusters}
        explained = find_part(manifest, ExplanationFigures)
        share = percent(
            explained.family_inspection_share
            if explained
            else compute_inspection_share(label_families(by_family, clusters.labels))
        )
        summary.insert(2, (f"{len(families):,}", "family" if len(families) == 1 else "families"))
        summary.append((share, f"{inspected} family are inspected"))
    decided = sum(1 for card in cards if card.row.verdict)
    summary.append((f"{decided:,} of {len(cards):,}", f"clusters have a verdict{_verdicts(cards)}"))
    defined = [card.row.silhouette for card in cards if card.row.silhouette is not None]
    if defined:
        mean = figures.silhouette if figures else None
        if mean is None:
            mean = float(clusters.silhouettes[clusters.labels != NOISE].mean())
        span = f"{decimal(min(defined))} to {decimal(max(defined))}"
        summary.append(
            (
                decimal(mean),
                f"mean silhouette; single clusters: {span}",
            )
        )
    return tuple(summary)


def _verdicts(cards: Sequence[Card]) -> str:
    counts = Counter(card.row.verdict for card in cards if card.row.verdict)
    known = [verdict for verdict in VERDICTS if verdict in counts]
    others = sorted(set(counts) - set(known))
    parts = [f"{verdict}{SPACE}{counts[verdict]}" for verdict in known + others]
    return f": {', '.join(parts)}" if parts else ""


def list_open_points(
    results: Results, cards: Sequence[Card], unsafe: Sequence[UnsafeRow]
) -> list[str]:
    """List what the engineer still has to do before the report is complete."""
    points = []
    undecided = sorted(card.row.cluster for card in cards if not card.row.verdict)
    if undecided:
        points.append(
            f"No verdict yet: {len(undecided):,} of {count_of(len(cards), 'cluster')} "
            f"({write_ranges(undecided)})."
        )
    uncovered = sum(1 for value in unsafe if value.state == NOT_COVERED)
    if uncovered:
        values = count_of(len(unsafe), "unsafe value")
        points.append(f"Not covered by any cluster: {uncovered:,} of {values}.")
    if results.rows and not results.explanation:
        points.append(
            f"Families, parameters, confusions and unsafe values are not known ({EXPLANATION_FILE} "
            "is missing, as in runs of older versions): python SAFE_Tool.py explain RUN adds them."
        )
    return points


def summarise_unsafe_values(unsafe: Sequence[UnsafeRow]) -> str:
    """Count the covered and the uncovered unsafe values."""
    counts = Counter(value.state for value in unsafe)
    return (
        f"Covered: {counts[COVERED]:,} of {count_of(len(unsafe), 'unsafe value')}. "
        f"Not covered, although failing images lie next to them: {counts[NOT_COVERED]:,}. "
        "Without a failing image next to them, so that no cluster can cover them: "
        f"{counts[NO_IMAGE]:,}. "
        "A cluster covers a value when its average lies next to it, and its variance of the "
        f"parameter is reduced by {100 * HIGH_REDUCTION:.0f}{SPACE}% or more (HUDD, RQ1.3)."
    )


def summarise_rejected(results: Results) -> str:
    """Count the files that could not be used."""
    count, counted = len(results.rejected), results.manifest.images.rejected
    if not count and not counted:
        return "No file was rejected."
    text = f"{count_of(count, 'file')} could not be used{_first(count, MOST_REJECTED)}."
    if count != counted:
        text += f" {MANIFEST_FILE} counts {counted:,}."
    return text


def summarise_problems(problems: Sequence[Problem], explanation: Explanation | None) -> str:
    """Count the entries of the parameter files that could not be used."""
    if not explanation or not (explanation.parameter_files or problems):
        return ""
    count = count_left_out(problems)
    listed = _first(len(problems), MOST_PROBLEMS)
    if not count:
        return f"Every entry of the parameter files was used{listed}."
    return (
        f"{count_of(count, 'entry', 'entries')} of the parameter files could not be used{listed}; "
        "the rest of these files was used."
    )


def _first(count: int, most: int) -> str:
    return f"; the first {most:,} are listed" if count > most else ""


def _moment(text: str) -> str:
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S %Z").strip()
    except ValueError:
        return text
