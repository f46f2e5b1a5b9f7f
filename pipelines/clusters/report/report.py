"""The report of a run: one file that a safety engineer files as evidence (ISO 21448).

Its words are here and in the modules beside this one; how it looks is in `assets/report.html`.
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
    "grouped by what they look alike in (SAFE: Attaoui, Pastore and Briand, ICSE 2024 Companion)"
)
BY_CONTRAST = (
    "grouped by what sets them apart from passing images of the same test (a contrast with passing "
    "images before the clustering of SAFE: Attaoui, Pastore and Briand, ICSE 2024 Companion)"
)
BY_HEATMAPS = (
    "grouped by what drove the DNN: the relevance of the neurons of one of its layers (HUDD: "
    "Fahmy, Pastore, Bagherzadeh and Briand, IEEE Transactions on Reliability 2021)"
)
CORE_IMAGE = (
    "Core image",
    "An image that has at least min samples images of its cluster, itself included, within the "
    "distance eps.",
)
HEATMAP_TERMS: Facts = (
    ("Core image", "Of clusters by heatmaps, every image."),
    (
        "WICD",
        "Weighted average intra-cluster distance: how far apart the heatmaps of a cluster are, on "
        "average. The layer with the least one was chosen.",
    ),
)
TERMS: Facts = (
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

PASSING_PARAMETER = (
    "Parameter against passing images",
    "Spread around the mean is the mean squared distance from the cluster's mean: how much smaller "
    "it is in the cluster than among passing images, because these vary more or lie elsewhere. "
    "Of a category, its share in the cluster and among passing images. What passing images share "
    "is not said.",
)
RATE_TERMS: Facts = (
    (
        "Failure rate",
        "Of all images of the test that look like those of a cluster, failing and passing, the "
        "share that fails, with its 95 % interval (Wilson); elsewhere is that of all other images.",
    ),
    (
        "Situation",
        "A cluster whose images fail more often than all others, beyond chance (Fisher's exact "
        "test, one-sided, Holm's correction: 5 % over all clusters together).",
    ),
    (
        "Too few to tell",
        "A cluster so small that no test could tell, had all of its images failed.",
    ),
    (
        "As common among passing images",
        "A cluster that could be told from chance and was not: what its images share is no cause.",
    ),
)


def write_report(run: Path, clustered: Path | None = None, retraining: object = None) -> Path:
    """Write `report.html` into a run folder, whole or not at all, from what the folder holds.

    The same run gives the same bytes.  Time, memory and the size of the file grow linearly with
    the number of clusters, six thumbnails each; time also with the number of images, whose paths
    and digests are read.

    Parameters
    ----------
    run : Path
        A run folder, however its job ended; a job calls this when its manifest says how.
    clustered : Path, optional
        The run that holds the clusters, if `run` itself does not.
    retraining : object, optional
        The section on what a retraining changed, with the fields that `assets/report.html` names.

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
    read_run_manifest(run)  # first: nothing is written into a folder that is no run
    with run_folder.lock_folder(run):
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
            yield term, meaning.replace("than all others", "than passing images")
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
        cards_lead=f"Pictures are the {STILLS} most central of a cluster, most central first.",
        no_verdict=NO_VERDICT,
        not_given=NOT_GIVEN,
        not_covered=NOT_COVERED,
    )
