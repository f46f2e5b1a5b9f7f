"""Cards of the report: families, clusters and unsafe values."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pipelines.clusters.clusters import NOISE, NOISE_NAME, RootCauseClusters, list_members
from pipelines.clusters.explanation import (
    ClusterExplanation,
    Confusion,
    Explanation,
    Family,
    UnsafeCoverage,
)
from pipelines.clusters.parameter_findings import PASSING, Finding, format_means
from pipelines.clusters.rates import CLUSTER_KINDS
from pipelines.clusters.report.headline import KIND_TITLES, describe_rate
from pipelines.clusters.results import ClusterRow, Results
from pipelines.clusters.unsafe_values import Side
from pipelines.data.thumbnails import THUMBNAIL_FOLDER, thumbnail_name
from pipelines.runs.guard import find_file_inside
from pipelines.runs.wording import MINUS, NOT_GIVEN, SPACE, Facts, count_of, decimal, percent

STILLS = 6
MOST_CONFUSIONS = 6
JPEG_START = b"\xff\xd8\xff"
NO_VERDICT = "no verdict yet"
NOT_COVERED, NO_IMAGE, COVERED = "not covered", "no failing image next to it", "covered"


@dataclass(frozen=True)
class Still:
    """One picture of a cluster.

    Attributes
    ----------
    equal : int
        Number of further images of the cluster with the same bytes.
    picture : str
        A data: URI; empty if the thumbnail is missing.
    """

    path: str
    equal: int
    picture: str


@dataclass(frozen=True)
class Description:
    """What the images of a cluster or of a family share, in words.

    Attributes
    ----------
    brief : str
        The first parameter in short form; empty for none.
    more_confusions : str
        A summary of the confusions that `confusions` leaves out; empty for none.
    """

    hints: tuple[str, ...]
    parameters: tuple[str, ...]
    brief: str
    confusions: tuple[Confusion, ...]
    more_confusions: str
    unsafe: tuple[str, ...]


@dataclass(frozen=True)
class Card:
    """One cluster, or the noise.

    Attributes
    ----------
    verdict : str
        The engineer's verdict, or `NO_VERDICT`; empty for noise without one.
    rate : str
        How often images like those of the cluster fail; empty if that is not known.
    """

    row: ClusterRow
    anchor: str
    title: str
    name: str
    verdict: str
    figures: Facts
    stills: tuple[Still, ...]
    description: Description
    rate: str = ""


@dataclass(frozen=True)
class Section:
    """Cards under one heading: those of a family or of a kind, or all under an empty `title`."""

    family: int | None
    title: str
    about: str
    size: str
    description: Description | None
    cards: tuple[Card, ...]


@dataclass(frozen=True)
class UnsafeRow:
    """One unsafe value, and whether a cluster covers it (`state`)."""

    parameter: str
    value: str
    images: int
    clusters: tuple[int, ...]
    state: str


def group_clusters(results: Results) -> tuple[list[Section], Card | None]:
    """Return the sections of the report with their cards, and the card of noise (None if none)."""
    clusters, explanation = results.clusters, results.explanation
    if clusters is None:
        return [], None
    cards = {row.cluster: _card(results, clusters, row) for row in results.rows}
    noise = cards.pop(NOISE, None)
    sections = []
    total = len(clusters.paths)
    if any(row.kind for row in results.rows):
        return _group_by_kind(cards, total), noise
    if explanation:
        for family in explanation.families:
            inside = tuple(cards.pop(cluster) for cluster in family.clusters)
            description = _describe(family, explanation) if len(inside) > 1 else None
            title, about = f"Family {family.family}", _about(family, inside)
            sections.append(
                Section(family.family, title, about, _size(inside, total), description, inside)
            )
    if cards:
        sections.append(Section(None, "", "", "", None, tuple(cards.values())))
    return sections, noise


def _group_by_kind(cards: dict[int, Card], total: int) -> list[Section]:
    """Return one section for each kind of clusters, situations first."""
    sections = []
    for kind in CLUSTER_KINDS:
        inside = tuple(card for card in cards.values() if card.row.kind == kind)
        if inside:
            size = _size(inside, total)
            sections.append(Section(None, KIND_TITLES[kind], "", size, None, inside))
    return sections


def _size(cards: Sequence[Card], total: int) -> str:
    images = sum(card.row.size for card in cards)
    share = percent(images / total)
    return f"{count_of(len(cards), 'cluster')}, {count_of(images, 'image')} ({share})"


def _about(family: Family, cards: Sequence[Card]) -> str:
    """Describe a family in a few words: its name, its first hint or its first parameter."""
    names = [card.row.name for card in cards if card.row.name]
    hints = [hint.words.split(":")[0] for hint in family.hints]
    shared = [f"{finding.parameter} {finding.category}".strip() for finding in family.parameters]
    alike = [f"alike in {parameter}" for parameter in shared]
    # An engineer's name is best, but the name of one of several clusters is not the family's name.
    subjects = [*names, *hints, *alike] if len(cards) == 1 else [*hints, *alike, *names]
    return subjects[0] if subjects else ""


def _card(results: Results, clusters: RootCauseClusters, row: ClusterRow) -> Card:
    explanation = results.explanation
    if explanation:
        description = _describe(
            explanation.clusters.get(row.cluster, ClusterExplanation()), explanation
        )
    else:
        brief = row.parameters[0] if row.parameters else ""
        description = Description(row.hints, row.parameters, brief, (), "", ())
    noise = row.cluster == NOISE
    figures = [("Images", f"{row.size:,}"), ("Share", percent(row.share))]
    if not noise:
        silhouette = "not defined" if row.silhouette is None else decimal(row.silhouette)
        figures += [("Core images", f"{row.cores:,}"), ("Silhouette", silhouette)]
        if row.parts and row.parts > 1:
            figures.append(("Appearances", f"{row.parts}"))
        if row.groups:
            figures.append(("Groups", f"{row.groups:,}"))
    ratings = [("Severity", row.severity), ("Likelihood", row.likelihood)]
    figures += [(name, text or NOT_GIVEN) for name, text in ratings if text or not noise]
    return Card(
        row=row,
        anchor="noise" if noise else f"cluster-{row.cluster}",
        title="Noise" if noise else f"Cluster {row.cluster}",
        name="" if noise and row.name == NOISE_NAME else row.name,
        verdict=row.verdict or ("" if noise else NO_VERDICT),
        figures=tuple(figures),
        stills=_stills(results.folder, clusters, row.cluster),
        description=description,
        rate=describe_rate(row.rate) if row.rate else "",
    )


def _stills(run: Path, clusters: RootCauseClusters, cluster: int) -> tuple[Still, ...]:
    """Return the most central images; images with equal bytes share one picture."""
    alike: dict[str, list[str]] = {}
    for position in list_members(clusters, cluster):
        alike.setdefault(clusters.digests[position], []).append(clusters.paths[position])
    return tuple(
        Still(paths[0], len(paths) - 1, _picture(run, thumbnail_name(digest)))
        for digest, paths in islice(alike.items(), STILLS)
    )


def _picture(run: Path, name: str) -> str:
    try:
        content = find_file_inside(run, f"{THUMBNAIL_FOLDER}/{name}").read_bytes()
    except (OSError, ValueError):
        return ""
    if not content.startswith(JPEG_START):
        return ""
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode('ascii')}"


def _describe(explained: ClusterExplanation, explanation: Explanation) -> Description:
    shown = explained.confusions[:MOST_CONFUSIONS]
    left = explained.confusions[MOST_CONFUSIONS:]
    images = sum(confusion.images for confusion in left)
    more = f"and {count_of(len(left), 'more pair')} ({count_of(images, 'image')})" if left else ""
    unsafe = [explanation.unsafe_values[place] for place in explained.unsafe_values]
    return Description(
        hints=tuple(hint.words for hint in explained.hints),
        parameters=tuple(finding.words for finding in explained.parameters),
        brief=_brief(explained.parameters[0]) if explained.parameters else "",
        confusions=tuple(shown),
        more_confusions=more,
        unsafe=tuple(
            f"{value.parameter} {_format_limit(value.side, value.value)}" for value in unsafe
        ),
    )


def _brief(finding: Finding) -> str:
    if finding.kind == "category":
        shares = (f"{100 * share:.0f}{SPACE}%" for share in (finding.figure, finding.overall))
        return f"{finding.parameter} {finding.category}: {' against '.join(shares)}"
    if finding.kind == "number" and finding.reference == PASSING:
        return f"{finding.parameter} {format_means(finding)}"
    return f"{finding.parameter} {MINUS}{100 * finding.reduction:.0f}{SPACE}%"


def _format_limit(side: Side, value: float) -> str:
    return f"{side} {value:.10g}".replace("-", MINUS)


def describe_unsafe_value(coverage: UnsafeCoverage) -> UnsafeRow:
    """Describe an unsafe value: covered, not covered, or without a failing image next to it."""
    state = COVERED if coverage.clusters else NOT_COVERED if coverage.images else NO_IMAGE
    return UnsafeRow(
        parameter=coverage.parameter,
        value=_format_limit(coverage.side, coverage.value),
        images=coverage.images,
        clusters=tuple(coverage.clusters),
        state=state,
    )
