"""The report of a run: one file that a safety engineer keeps as evidence (ISO 21448).

This module and those beside it hold the report's text; `assets/report.html` holds its layout.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jinja2

from pipelines.clusters.hints import LARGE, QUANTILE
from pipelines.clusters.manifest import CLUSTER, HEATMAPS, FeatureWeights
from pipelines.clusters.parameter_findings import PASSING
from pipelines.clusters.report.cards import (
    COVERED,
    NO_IMAGE,
    NO_VERDICT,
    NOT_COVERED,
    STILLS,
    describe_unsafe_value,
    group_clusters,
)
from pipelines.clusters.report.headline import describe_situations
from pipelines.clusters.report.setup import describe_setup
from pipelines.clusters.report.summary import (
    MOST_PROBLEMS,
    MOST_REJECTED,
    describe_ending,
    describe_run,
    explain_absence,
    list_open_points,
    select_worst,
    summarise,
    summarise_problems,
    summarise_rejected,
    summarise_unsafe_values,
)
from pipelines.clusters.results import Results, read_results
from pipelines.clusters.shared_parameters import LEVEL
from pipelines.data.images import digest_of_files
from pipelines.runs import folder as run_folder
from pipelines.runs.files import as_text, write_text
from pipelines.runs.manifest import Manifest, find_part, read_run_manifest
from pipelines.runs.wording import MINUS, NOT_GIVEN, SPACE, Facts

REPORT_FILE = "report.html"
TEMPLATE = Path(__file__).parents[3] / "assets" / "report.html"

BY_APPEARANCE = (
    "grouped by their appearance (SAFE: Attaoui, Pastore and Briand, ICSE 2024 Companion)"
)
BY_CONTRAST = (
    "grouped by what sets them apart from passing images of the same test (the clustering of SAFE, "
    "Attaoui, Pastore and Briand, ICSE 2024 Companion, after a contrast with passing images that "
    "this tool adds)"
)
BY_HEATMAPS = (
    "grouped by what drove the DNN: the relevance of the neurons of one layer (HUDD: "
    "Fahmy, Pastore, Bagherzadeh and Briand, IEEE Transactions on Reliability 2021)"
)
CORE_IMAGE = (
    "Core image",
    "An image with at least min samples images of its cluster, itself included, within the "
    "distance eps.",
)
HEATMAP_TERMS: Facts = (
    ("Core image", "In clusters by heatmaps, every image is a core image."),
    (
        "WICD",
        "Weighted average intra-cluster distance: how far apart the heatmaps of a cluster are, on "
        "average. The job chose the layer with the smallest WICD.",
    ),
)
TERMS: Facts = (
    (
        "Silhouette",
        "How much nearer an image is to its own cluster than to the nearest other cluster: from 1 "
        f"(far from the other) through 0 (in between) to {MINUS}1 (nearer to the other).",
    ),
    (
        "Hint",
        "A property of the pictures that is much higher or lower in the cluster than in all others "
        f"(Cliff's delta of {LARGE} or more). Of clusters whose images have nothing in common, at "
        f"most {100 * (1 - QUANTILE):.0f}{SPACE}% get a hint.",
    ),
    (
        "Parameter",
        "A known property of the images that varies less in the cluster than in the whole failing "
        "set, or one category of which is more frequent in the cluster. Of clusters whose images "
        f"share nothing, at most {100 * LEVEL:.0f}{SPACE}% get a parameter.",
    ),
    ("Family", "Clusters that look different but come from the same situation."),
    ("Noise", "Images that belong to no cluster."),
)

PASSING_PARAMETER = (
    "Parameter against passing images",
    "For a number: how much smaller the spread around the cluster's mean is in the cluster than "
    "among passing images, which vary more or lie elsewhere. The spread is the mean squared "
    "distance from that mean. For a category: its share in the cluster and among passing images. "
    "What passing images share as well is left out.",
)
RATE_TERMS: Facts = (
    (
        "Failure rate",
        "The share of failing images among all images of the test, failing and passing, that look "
        "like those of a cluster, with its 95 % interval (Wilson). Elsewhere: the share among all "
        "other images. Each image is counted by clusters that were found without it, so that the "
        "number of failing images may differ from the size of the cluster.",
    ),
    (
        "Situation",
        "A cluster of images that fail more often than all others, beyond chance (one-sided "
        "Fisher's exact test with Holm's correction: a 5 % risk that any situation is false).",
    ),
    (
        "Too few to tell",
        "A cluster so small that the test would not be significant even if all of its images "
        "failed.",
    ),
    (
        "As common among passing images",
        "A cluster that is large enough to test, but whose images do not fail more often than all "
        "others, beyond chance: what they share is common among passing images, too.",
    ),
    (
        "Of one subject each",
        "A cluster whose failing images are all of one group, such as one person or one drive: "
        "nothing shows that other subjects fail in the same way.",
    ),
)


def write_report(run: Path, clustered: Path | None = None, retraining: object = None) -> Path:
    """Write `report.html` into a run folder, from the files of the folder.

    The file is replaced as a whole. The same run gives the same bytes. Time, memory and the size of
    the file grow linearly with the number of clusters, with six thumbnails each. Time also grows
    with the number of images, whose paths and digests are read.

    Parameters
    ----------
    run : Path
        A run folder, whose job may have ended in any way. A job calls this function after its
        manifest says how it ended.
    clustered : Path, optional
        The run that holds the clusters, if `run` itself does not.
    retraining : object, optional
        The section on what a retraining changed, with the fields that `assets/report.html` shows.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        When the folder is no run folder, a job is writing into it, or one of its files is damaged.
    OSError
        When the folder may not be written.
    """
    read_run_manifest(run)  # first: nothing is written into a folder that is no run
    with run_folder.lock_folder(run, (REPORT_FILE,)):
        write_text(run / REPORT_FILE, _render(read_results(clustered or run), retraining))
    return run / REPORT_FILE


def _basis(manifest: Manifest) -> str:
    """Describe how the clusters were found."""
    if manifest.job == HEATMAPS:
        return BY_HEATMAPS
    weights = find_part(manifest, FeatureWeights) if manifest.job == CLUSTER else None
    return BY_CONTRAST if weights and weights.recipe == "contrast" else BY_APPEARANCE


def _terms(results: Results) -> Facts:
    """Return the terms that the report uses, with their meanings."""
    own = HEATMAP_TERMS if results.manifest.job == HEATMAPS else (CORE_IMAGE,)
    if any(row.kind for row in results.rows):
        return (*RATE_TERMS, *own, *_against_passing(results))
    return (*own, *TERMS)


def _against_passing(results: Results) -> Iterator[tuple[str, str]]:
    """Yield the terms of a run with passing images, which has no families."""
    for term, meaning in TERMS:
        if term == "Hint":
            yield term, meaning.replace("than in all others", "than in passing images")
        elif term != "Family":
            yield term, meaning
    explained = results.explanation.clusters.values() if results.explanation else ()
    if any(f.reference == PASSING for cluster in explained for f in cluster.parameters):
        yield PASSING_PARAMETER


def _render(results: Results, retraining: object = None) -> str:
    manifest, explanation = results.manifest, results.explanation
    sections, noise = group_clusters(results)
    cards = [card for section in sections for card in section.cards]
    unsafe = sorted(
        (describe_unsafe_value(value) for value in explanation.unsafe_values)
        if explanation
        else (),
        key=lambda value: (NOT_COVERED, NO_IMAGE, COVERED).index(value.state),
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
        title=as_text(results.folder.resolve().name),
        heading=describe_run(results),
        outcome=describe_ending(results),
        headline=describe_situations(
            manifest, len(results.clusters.paths) if results.clusters else 0
        ),
        worst=select_worst(cards),
        notes=[*manifest.notes, *(explanation.notes if explanation else ())],
        summary=summarise(results, cards),
        open_points=list_open_points(results, cards, unsafe),
        absent=explain_absence(results, cards),
        sections=sections,
        noise=noise,
        unsafe=unsafe,
        unsafe_summary=summarise_unsafe_values(unsafe),
        rejected=results.rejected[:MOST_REJECTED],
        rejected_summary=summarise_rejected(results),
        problems=problems[:MOST_PROBLEMS],
        problems_summary=summarise_problems(problems, explanation),
        setup=describe_setup(results),
        stages=manifest.stages,
        total_seconds=sum(stage.seconds for stage in manifest.stages),
        retraining=retraining,
        digest=digest_of_files(results.clusters.paths, results.clusters.digests)
        if results.clusters
        else "",
        terms=_terms(results),
        basis=_basis(manifest),
        cards_lead=f"Pictures show the {STILLS} most central images, the most central one first.",
        no_verdict=NO_VERDICT,
        not_given=NOT_GIVEN,
        not_covered=NOT_COVERED,
    )
