"""The report of a run: one file that a safety engineer files as evidence (ISO 21448).

What it says is worded here; how it looks is in `assets/report.html`.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from pipelines import runs
from pipelines.clusters import (
    CLUSTERS_FILE,
    IMAGES_FILE,
    INSPECTED_PER_CLUSTER,
    NOISE,
    NOISE_NAME,
    VERDICTS,
    RootCauseClusters,
    inspection_share,
    members,
    read_clusters,
    thumbnail_name,
)
from pipelines.errors import InputError
from pipelines.explanation import (
    EXPLANATION_FILE,
    Confusion,
    Explained,
    Explanation,
    Family,
    UnsafeCoverage,
    read_explanation,
)
from pipelines.families import family_labels
from pipelines.files import read_csv, read_pairs, write_text
from pipelines.hints import LARGE, QUANTILE
from pipelines.inspection import THUMBNAIL_FOLDER
from pipelines.parameter_files import Problem, Side
from pipelines.parameters import LEVEL, MINUS, Finding
from pipelines.variance import HIGH_REDUCTION

REPORT_FILE = "report.html"
TEMPLATE = Path(__file__).parents[1] / "assets" / "report.html"
STILLS = 6
MOST_CONFUSIONS = 6
MOST_REJECTED = 500
MOST_PROBLEMS = 200
JPEG_START = b"\xff\xd8\xff"
SPACE = "\N{NO-BREAK SPACE}"
NO_VERDICT, NOT_GIVEN = "no verdict yet", "not given"
NOT_COVERED, NO_IMAGE, COVERED = "not covered", "no failing image next to it", "covered"
Facts = tuple[tuple[str, str], ...]
"""Pairs of what is told and what it is."""

TERMS: Facts = (
    (
        "Core image",
        "An image that has at least min samples images of its cluster, itself included, within "
        "the distance eps.",
    ),
    (
        "Silhouette",
        "How much nearer an image is to its own cluster than to the nearest other one: from 1 (far "
        f"apart) through 0 (in between) to {MINUS}1.",
    ),
    (
        "Hint",
        "What a cluster's pictures have more or less of than all others, by far (Cliff's delta of "
        f"{LARGE} or more). Of clusters that have nothing in common, at most "
        f"{100 * (1 - QUANTILE):.0f}{SPACE}% get any.",
    ),
    (
        "Parameter",
        "A known property of the images whose variance in a cluster is smaller than in the whole "
        "failing set, or of which one category is more frequent. Of clusters that share nothing, "
        f"at most {100 * LEVEL:.0f}{SPACE}% get any.",
    ),
    ("Family", "Clusters that look different and share their situation."),
    ("Noise", "Images that are in no cluster."),
)


@dataclass(frozen=True)
class Line:
    """One line of `clusters.csv`, of any version of the tool.

    Attributes
    ----------
    silhouette : float or None
        None where it is not defined: of noise, and where there is one cluster.
    hints, parameters : tuple of str
        As one cell holds them, apart.
    """

    cluster: int
    name: str
    note: str
    verdict: str
    severity: str
    likelihood: str
    size: int
    share: float
    cores: int
    silhouette: float | None
    hints: tuple[str, ...]
    parameters: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """What a run folder holds.

    Attributes
    ----------
    ended : str
        As in the manifest; "killed" where it says "running" and no job is at work.
    clusters : RootCauseClusters or None
        None where the job ended before it had any; `lines` is empty then.
    lines : tuple of Line
        The largest cluster first, noise last.
    explanation : Explanation or None
        None in runs of older versions.
    rejected : tuple of (str, str)
        Path and reason, sorted.
    """

    folder: Path
    manifest: runs.Manifest
    ended: str
    clusters: RootCauseClusters | None
    lines: tuple[Line, ...]
    explanation: Explanation | None
    rejected: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Still:
    """One picture of a cluster.

    Attributes
    ----------
    equal : int
        Further images of the cluster with the same bytes.
    picture : str
        A data: URI; empty where the thumbnail is missing.
    """

    path: str
    equal: int
    picture: str


@dataclass(frozen=True)
class Said:
    """What is said of a cluster or of a family.

    Attributes
    ----------
    brief : str
        The first parameter, without what surrounds it; empty for none.
    more_confusions : str
        About those that are left out; empty for none.
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
        The engineer's, or that there is none yet; empty for noise without one.
    """

    line: Line
    anchor: str
    title: str
    name: str
    verdict: str
    figures: Facts
    stills: tuple[Still, ...]
    said: Said


@dataclass(frozen=True)
class Group:
    """One family; all clusters, where there are none (`title` is empty then)."""

    family: int | None
    title: str
    about: str
    size: str
    said: Said | None
    cards: tuple[Card, ...]


@dataclass(frozen=True)
class Unsafe:
    """One unsafe value, and what became of it."""

    parameter: str
    value: str
    images: int
    clusters: tuple[int, ...]
    state: str


def write_report(run: Path) -> Path:
    """Write `report.html` into a run folder, whole or not at all, from what the folder holds.

    The same run gives the same bytes.  Time, memory and the size of the file grow linearly with
    the number of clusters, six thumbnails each; time also with the number of images, whose paths
    and digests are read.

    Parameters
    ----------
    run : Path
        A run folder, however its job ended; a job calls this when its manifest says how.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        When the folder is no run, a job is writing into it, or a file of it is not as the tool
        writes it.
    OSError
        When the folder may not be written.
    """
    _manifest(run)  # first: nothing is written into a folder that is no run
    with runs.hold(run):
        write_text(run / REPORT_FILE, _render(_read(run)))
    return run / REPORT_FILE


def _read(run: Path) -> Found:
    manifest = _manifest(run)
    clusters, lines = _read_results(run, manifest.ended)
    rejected: tuple[tuple[str, str], ...] = ()
    with _named(run / runs.REJECTED_FILE):
        if (run / runs.REJECTED_FILE).exists():
            rejected = tuple(sorted(read_pairs(_inside(run, runs.REJECTED_FILE)).items()))
    return Found(
        folder=run,
        manifest=manifest,
        ended="killed" if manifest.ended == "running" else manifest.ended,
        clusters=clusters,
        lines=lines,
        explanation=_read_explanation(run, lines) if lines else None,
        rejected=rejected,
    )


def _manifest(run: Path) -> runs.Manifest:
    try:
        return runs.read_manifest(run)
    except runs.NoManifestError as error:
        raise InputError(
            f"{run} is not a run folder: {error}. Name a folder that a job has written."
        ) from error


def _read_results(run: Path, ended: str) -> tuple[RootCauseClusters | None, tuple[Line, ...]]:
    """Read the clusters; none where the job ended before it had written both of their files."""
    there = [(run / name).exists() for name in (IMAGES_FILE, CLUSTERS_FILE)]
    if not any(there) or not (all(there) or ended == "finished"):
        return None, ()
    with _named(run / IMAGES_FILE):
        _inside(run, IMAGES_FILE)
        clusters = read_clusters(run)
        if not np.isfinite(clusters.centre_distances).all():
            raise ValueError("a distance is no number")
    with _named(run / CLUSTERS_FILE):
        lines = [_line(row) for row in read_csv(_inside(run, CLUSTERS_FILE))]
        lines.sort(key=lambda line: (line.cluster == NOISE, line.cluster))
        sizes = Counter(int(label) for label in clusters.labels)
        if [(line.cluster, line.size) for line in lines] != sorted(
            sizes.items(), key=lambda pair: (pair[0] == NOISE, pair[0])
        ):
            raise ValueError(f"its clusters and their sizes are not those of {IMAGES_FILE}")
    return clusters, tuple(lines)


def _line(row: Mapping[str, str]) -> Line:
    silhouette = float(row["silhouette"]) if row["silhouette"] else None
    figures = [float(row["share"]), silhouette or 0.0]
    if not np.isfinite(figures).all():
        raise ValueError(f"a figure of cluster {row['cluster']} is no number")
    return Line(
        cluster=int(row["cluster"]),
        name=row["name"],
        note=row["note"],
        verdict=row.get("verdict", ""),
        severity=row.get("severity", ""),
        likelihood=row.get("likelihood", ""),
        size=int(row["size"]),
        share=figures[0],
        cores=int(row["cores"]),
        silhouette=silhouette,
        hints=_apart(row.get("hint", "")),
        parameters=_apart(row.get("parameters", "")),
    )


def _apart(cell: str) -> tuple[str, ...]:
    return tuple(part for part in cell.split("; ") if part)


def _read_explanation(run: Path, lines: Sequence[Line]) -> Explanation | None:
    path = run / EXPLANATION_FILE
    if not path.exists():
        return None
    with _named(path, "explain the clusters again"):
        _inside(run, EXPLANATION_FILE)
        explanation = read_explanation(run)
        if explanation:
            _check(explanation, {line.cluster for line in lines} - {NOISE})
    return explanation


def _check(explanation: Explanation, known: set[int]) -> None:
    """Raise ValueError unless an explanation is one of these clusters, and of one piece."""
    grouped = [cluster for family in explanation.families for cluster in family.clusters]
    covering = [cluster for unsafe in explanation.unsafe_values for cluster in unsafe.clusters]
    if unknown := sorted({*explanation.clusters, *grouped, *covering} - known):
        raise ValueError(f"it speaks of cluster {unknown[0]}, which {CLUSTERS_FILE} lacks")
    if grouped and sorted(grouped) != sorted(known):
        raise ValueError("a cluster is in no family, or in two")
    if not all(family.clusters for family in explanation.families):
        raise ValueError("a family has no cluster")
    explained = [*explanation.clusters.values(), *explanation.families]
    places = {place for each in explained for place in each.unsafe_values}
    if not places <= set(range(len(explanation.unsafe_values))):
        raise ValueError("a cluster or family covers an unsafe value that is not listed")


@contextmanager
def _named(path: Path, or_else: str = "find the clusters again") -> Iterator[None]:
    """Turn whatever a damaged file leads to into an InputError that names it."""
    try:
        yield
    except (OSError, LookupError, ValueError, AttributeError, csv.Error) as error:
        raise InputError(
            f"{path} is not as the tool writes it ({type(error).__name__}: {error}). "
            f"Take the file from a backup, or {or_else}."
        ) from error


def _inside(run: Path, name: str) -> Path:
    """Return a file of a run folder; whoever made the folder may have put links into it."""
    file = (run / name).resolve()
    if not file.is_relative_to(run.resolve()):
        raise ValueError("it is a link that leads out of the run folder")
    if not file.is_file():
        raise FileNotFoundError("no such file")
    return file


def _render(found: Found) -> str:
    manifest, explanation = found.manifest, found.explanation
    groups, noise = _groups(found)
    cards = [card for group in groups for card in group.cards]
    unsafe = sorted(
        (_unsafe(each) for each in explanation.unsafe_values) if explanation else (),
        key=lambda each: (NOT_COVERED, NO_IMAGE, COVERED).index(each.state),
    )
    problems = explanation.problems if explanation else []
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(TEMPLATE.name).render(
        title=_text(found.folder.resolve().name),
        heading=_heading(found),
        outcome=_outcome(found),
        notes=manifest.notes,
        summary=_summary(found, cards),
        open_points=_open_points(found, cards, unsafe),
        absent=_absent(found, cards),
        groups=groups,
        noise=noise,
        unsafe=unsafe,
        unsafe_summary=_unsafe_summary(unsafe),
        rejected=found.rejected[:MOST_REJECTED],
        rejected_summary=_rejected_summary(found),
        problems=problems[:MOST_PROBLEMS],
        problems_summary=_problems_summary(problems, explanation),
        setup=_setup(found),
        stages=manifest.stages,
        total_seconds=sum(stage.seconds for stage in manifest.stages),
        digest=_digest(found.clusters) if found.clusters else "",
        terms=TERMS,
        cards_lead=f"Pictures are the {STILLS} most central of a cluster, most central first.",
        no_verdict=NO_VERDICT,
        not_given=NOT_GIVEN,
        not_covered=NOT_COVERED,
    )


def _groups(found: Found) -> tuple[list[Group], Card | None]:
    """Return the families with their cards, and the noise's card."""
    clusters, explanation = found.clusters, found.explanation
    if clusters is None:
        return [], None
    cards = {line.cluster: _card(found, clusters, line) for line in found.lines}
    noise = cards.pop(NOISE, None)
    groups = []
    total = len(clusters.paths)
    if explanation:
        for family in explanation.families:
            inside = tuple(cards.pop(cluster) for cluster in family.clusters)
            said = _said(family, explanation) if len(inside) > 1 else None
            title, about = f"Family {family.family}", _about(family, inside)
            groups.append(Group(family.family, title, about, _size(inside, total), said, inside))
    if cards:
        groups.append(Group(None, "", "", "", None, tuple(cards.values())))
    return groups, noise


def _size(cards: Sequence[Card], total: int) -> str:
    images = sum(card.line.size for card in cards)
    share = _percent(images / total)
    return f"{_count(len(cards), 'cluster')}, {_count(images, 'image')} ({share})"


def _about(family: Family, cards: Sequence[Card]) -> str:
    """Say in a few words what a family is about; its figures stand below."""
    names = [card.line.name for card in cards if card.line.name]
    hints = [hint.words.split(":")[0] for hint in family.hints]
    shared = [f"{each.parameter} {each.category}".strip() for each in family.parameters]
    alike = [f"alike in {parameter}" for parameter in shared]
    # A name is an engineer's, and the best there is; but one of many is not the family's.
    said = [*names, *hints, *alike] if len(cards) == 1 else [*hints, *alike, *names]
    return said[0] if said else ""


def _card(found: Found, clusters: RootCauseClusters, line: Line) -> Card:
    explanation = found.explanation
    if explanation:
        said = _said(explanation.clusters.get(line.cluster, Explained()), explanation)
    else:
        brief = line.parameters[0] if line.parameters else ""
        said = Said(line.hints, line.parameters, brief, (), "", ())
    noise = line.cluster == NOISE
    figures = [("Images", f"{line.size:,}"), ("Share", _percent(line.share))]
    if not noise:
        silhouette = "not defined" if line.silhouette is None else _decimal(line.silhouette)
        figures += [("Core images", f"{line.cores:,}"), ("Silhouette", silhouette)]
    ratings = [("Severity", line.severity), ("Likelihood", line.likelihood)]
    figures += [(name, text or NOT_GIVEN) for name, text in ratings if text or not noise]
    return Card(
        line=line,
        anchor="noise" if noise else f"cluster-{line.cluster}",
        title="Noise" if noise else f"Cluster {line.cluster}",
        name="" if noise and line.name == NOISE_NAME else line.name,
        verdict=line.verdict or ("" if noise else NO_VERDICT),
        figures=tuple(figures),
        stills=_stills(found.folder, clusters, line.cluster),
        said=said,
    )


def _stills(run: Path, clusters: RootCauseClusters, cluster: int) -> tuple[Still, ...]:
    """Return the most central images; those with equal bytes share one place."""
    alike: dict[str, list[str]] = {}
    for position in members(clusters, cluster):
        alike.setdefault(clusters.digests[position], []).append(clusters.paths[position])
    return tuple(
        Still(paths[0], len(paths) - 1, _picture(run, thumbnail_name(digest)))
        for digest, paths in islice(alike.items(), STILLS)
    )


def _picture(run: Path, name: str) -> str:
    try:
        content = _inside(run, f"{THUMBNAIL_FOLDER}/{name}").read_bytes()
    except (OSError, ValueError):
        return ""
    if not content.startswith(JPEG_START):
        return ""
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode('ascii')}"


def _said(explained: Explained, explanation: Explanation) -> Said:
    shown = explained.confusions[:MOST_CONFUSIONS]
    left = explained.confusions[MOST_CONFUSIONS:]
    images = sum(confusion.images for confusion in left)
    more = f"and {_count(len(left), 'more pair')} ({_count(images, 'image')})" if left else ""
    unsafe = [explanation.unsafe_values[place] for place in explained.unsafe_values]
    return Said(
        hints=tuple(hint.words for hint in explained.hints),
        parameters=tuple(finding.words for finding in explained.parameters),
        brief=_brief(explained.parameters[0]) if explained.parameters else "",
        confusions=tuple(shown),
        more_confusions=more,
        unsafe=tuple(f"{each.parameter} {_beside(each.side, each.value)}" for each in unsafe),
    )


def _brief(finding: Finding) -> str:
    if finding.kind == "category":
        shares = (f"{100 * share:.0f}{SPACE}%" for share in (finding.figure, finding.overall))
        return f"{finding.parameter} {finding.category}: {' against '.join(shares)}"
    return f"{finding.parameter} {MINUS}{100 * finding.reduction:.0f}{SPACE}%"


def _beside(side: Side, value: float) -> str:
    return f"{side} {value:.10g}".replace("-", MINUS)


def _unsafe(coverage: UnsafeCoverage) -> Unsafe:
    state = COVERED if coverage.clusters else NOT_COVERED if coverage.images else NO_IMAGE
    return Unsafe(
        parameter=coverage.parameter,
        value=_beside(coverage.side, coverage.value),
        images=coverage.images,
        clusters=tuple(coverage.clusters),
        state=state,
    )


def _heading(found: Found) -> Facts:
    manifest = found.manifest
    return (
        ("Folder analysed", manifest.folder),
        ("Job", manifest.job),
        ("Started", _moment(manifest.started_at)),
        ("Ended", f"{_moment(manifest.ended_at) or 'not known'} ({found.ended})"),
    )


def _outcome(found: Found) -> str:
    """Say how a job ended that did not finish; empty for one that did."""
    if found.ended == "finished":
        return ""
    how = {
        "stopped": "The run was stopped by the user before it was finished.",
        "failed": f"The run failed: {found.manifest.message or 'no reason is known.'}",
        "killed": "The run was killed: its process ended without a word.",
    }[found.ended]
    return f"{how}\nThis report shows what there was by then."


def _absent(found: Found, cards: Sequence[Card]) -> str:
    """Say why there are no clusters to show; empty where there are."""
    if cards:
        return ""
    if found.clusters is not None:
        return "No root cause cluster was found: every image that was used is noise."
    if found.ended == "finished":
        return (
            f"The run folder holds no clusters: {IMAGES_FILE} and {CLUSTERS_FILE} are missing, "
            "although the job finished."
        )
    return "The run ended before it had clusters."


def _summary(found: Found, cards: Sequence[Card]) -> Facts:
    """Return the run in figures: what is counted, and how much."""
    manifest, clusters = found.manifest, found.clusters
    images = manifest.images
    counted = f"images used, of {images.found:,} found; {images.rejected:,} rejected"
    summary = [(f"{images.used:,}", counted)]
    if clusters is None:
        return tuple(summary)
    families = found.explanation.families if found.explanation else []
    noise = sum(line.size for line in found.lines if line.cluster == NOISE)
    share = _percent(noise / len(clusters.paths))
    each = f"of the images are inspected, when {INSPECTED_PER_CLUSTER} of each"
    summary += [
        (f"{len(cards):,}", "root cause cluster" if len(cards) == 1 else "root cause clusters"),
        (share, f"noise ({_count(noise, 'image')})"),
        (
            _percent(_figure(manifest, "inspection_share", inspection_share(clusters.labels))),
            f"{each} cluster are",
        ),
    ]
    if families:
        by_family = {cluster: each.family for each in families for cluster in each.clusters}
        share_of_families = inspection_share(family_labels(by_family, clusters.labels))
        share = _percent(_figure(manifest, "family_inspection_share", share_of_families))
        summary.insert(2, (f"{len(families):,}", "family" if len(families) == 1 else "families"))
        summary.append((share, f"{each} family are"))
    given = sum(1 for card in cards if card.line.verdict)
    summary.append((f"{given:,} of {len(cards):,}", f"clusters have a verdict{_verdicts(cards)}"))
    defined = [card.line.silhouette for card in cards if card.line.silhouette is not None]
    if defined:
        mean = float(clusters.silhouettes[clusters.labels != NOISE].mean())
        span = f"{_decimal(min(defined))} to {_decimal(max(defined))}"
        summary.append(
            (
                _decimal(_figure(manifest, "silhouette", mean)),
                f"mean silhouette; of single clusters {span}",
            )
        )
    return tuple(summary)


def _figure(manifest: runs.Manifest, name: str, otherwise: float) -> float:
    figure = manifest.result.get(name)
    return float(figure) if isinstance(figure, int | float) else otherwise


def _verdicts(cards: Sequence[Card]) -> str:
    counts = Counter(card.line.verdict for card in cards if card.line.verdict)
    known = [verdict for verdict in VERDICTS if verdict in counts]
    others = sorted(set(counts) - set(known))
    parts = [f"{verdict}{SPACE}{counts[verdict]}" for verdict in known + others]
    return f": {', '.join(parts)}" if parts else ""


def _open_points(found: Found, cards: Sequence[Card], unsafe: Sequence[Unsafe]) -> list[str]:
    """Say what is left to do before the report is complete."""
    points = []
    undecided = sorted(card.line.cluster for card in cards if not card.line.verdict)
    if undecided:
        points.append(
            f"No verdict yet: {len(undecided):,} of {_count(len(cards), 'cluster')} "
            f"({_ranges(undecided)})."
        )
    uncovered = sum(1 for each in unsafe if each.state == NOT_COVERED)
    if uncovered:
        values = _count(len(unsafe), "unsafe value")
        points.append(f"Not covered by any cluster: {uncovered:,} of {values}.")
    if found.lines and not found.explanation:
        points.append(
            f"Families, parameters, confusions and unsafe values are not known ({EXPLANATION_FILE} "
            "is missing, as in runs of older versions): python SAFE_Tool.py explain RUN adds them."
        )
    return points


def _unsafe_summary(unsafe: Sequence[Unsafe]) -> str:
    counts = Counter(each.state for each in unsafe)
    return (
        f"Covered: {counts[COVERED]:,} of {_count(len(unsafe), 'unsafe value')}. "
        f"Not covered, although failing images lie next to them: {counts[NOT_COVERED]:,}. "
        f"Without a failing image next to them, so that no cluster could: {counts[NO_IMAGE]:,}. "
        "A cluster covers a value when its average lies next to it, and its variance of the "
        f"parameter is reduced by {100 * HIGH_REDUCTION:.0f}{SPACE}% or more (HUDD, RQ1.3)."
    )


def _rejected_summary(found: Found) -> str:
    count, counted = len(found.rejected), found.manifest.images.rejected
    if not count and not counted:
        return "No file was rejected."
    text = f"{_count(count, 'file')} could not be used{_first(count, MOST_REJECTED)}."
    if count != counted:
        text += f" {runs.MANIFEST_FILE} counts {counted:,}."
    return text


def _problems_summary(problems: Sequence[Problem], explanation: Explanation | None) -> str:
    if not explanation or not (explanation.parameter_files or problems):
        return ""
    if not problems:
        return "All of the parameter files was used."
    count = len(problems)
    return (
        f"{_count(count, 'problem')} of the parameter files{_first(count, MOST_PROBLEMS)}; "
        "the rest of these files was used."
    )


def _first(count: int, most: int) -> str:
    return f"; the first {most:,} are listed" if count > most else ""


def _setup(found: Found) -> tuple[tuple[str, Facts], ...]:
    """Return all that it takes to repeat the run, by heading."""
    manifest, explanation = found.manifest, found.explanation
    command = (
        f"python SAFE_Tool.py {shlex.join(manifest.command)}"
        if manifest.command
        else "not recorded: the job was not started from the command line"
    )
    seed = _shown(manifest.parameters.get("seed"))
    setup: list[tuple[str, Facts]] = [
        ("Run", (("Command", command), ("Seed", seed), *_heading(found))),
        ("Parameters of the job", _facts(manifest.parameters)),
        ("Weights", _facts(manifest.weights)),
        ("Chosen by the job", _facts(manifest.chosen)),
    ]
    if explanation:
        explained = {
            "parameter files": "\n".join(explanation.parameter_files),
            "angles": explanation.angles,
            "unsafe values": explanation.unsafe_values_file,
            "images with parameters": explanation.images_with_parameters,
            "parameters": [f"{each.name} ({each.kind})" for each in explanation.parameters],
            "seed": explanation.seed,
        }
        setup.append(("Explanation", _facts(explained)))
    setup.append(("Versions", _facts(manifest.versions)))
    return tuple((title, facts) for title, facts in setup if facts)


def _facts(values: Mapping[str, Any]) -> Facts:
    facts = []
    for name, value in values.items():
        label = name.replace("_", " ")
        if name == "candidates" and isinstance(value, list):
            facts.append((label, f"{len(value):,} tried; {runs.MANIFEST_FILE} lists them"))
        elif name == "settings" and _by_cluster(value):
            facts += _settings(value)
        else:
            facts.append((label, _shown(value)))
    return tuple(facts)


def _by_cluster(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, dict) and isinstance(each.get("cluster"), int) for each in value
    )


def _settings(settings: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Put clusters with the same settings together."""
    alike: dict[str, list[int]] = {}
    for setting in settings:
        rest = [(name.replace("_", " "), value) for name, value in setting.items()]
        words = ", ".join(f"{name} {_shown(value)}" for name, value in rest if name != "cluster")
        alike.setdefault(words, []).append(setting["cluster"])
    for words, clusters in alike.items():
        yield f"cluster{'s' if len(clusters) > 1 else ''} {_ranges(clusters)}", words


def _ranges(numbers: Sequence[int]) -> str:
    """Write sorted whole numbers: 0 to 4, 7, 9."""
    parts = []
    for _, pairs in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        run = [number for _, number in pairs]
        if len(run) > 2:
            parts.append(f"{run[0]} to {run[-1]}")
        else:
            parts += [str(number) for number in run]
    return ", ".join(parts)


def _shown(value: object) -> str:
    if value is None or value in ("", [], ()):
        return NOT_GIVEN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_shown(each) for each in value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def _digest(clusters: RootCauseClusters) -> str:
    """Compute one SHA-256 of all images that were used: of what `sha256sum` prints for them."""
    pairs = sorted(zip(clusters.paths, clusters.digests, strict=True))
    lines = "".join(f"{digest}  {path}\n" for path, digest in pairs)
    return hashlib.sha256(lines.encode("utf-8")).hexdigest()


def _moment(text: str) -> str:
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S %Z").strip()
    except ValueError:
        return text


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}{SPACE}%"


def _decimal(value: float) -> str:
    return f"{value:.2f}".replace("-", MINUS)


def _text(name: str) -> str:
    """Return a file name as text, bytes that are not UTF-8 as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
