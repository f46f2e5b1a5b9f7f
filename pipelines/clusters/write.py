"""Steps that all jobs with root cause clusters share: checks at the start, files at the end."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypedDict

from pipelines.clusters import explain, pictures, verdicts
from pipelines.clusters.clusters import (
    CLUSTERS_FILE,
    HEATMAP_FOLDER,
    HEATMAPS_FILE,
    IMAGES_FILE,
    LABELS_FILE,
    LAYER_NAME,
    LAYERS_FILE,
    NOISE,
    PICTURES_TABLE,
    REDUCTION_FILE,
    Cells,
    RootCauseClusters,
    compute_inspection_share,
    write_clusters,
)
from pipelines.clusters.explanation import (
    EXPLANATION_FILE,
    PARAMETERS_FILE,
    PASSING_PARAMETERS_FILE,
    PROPERTIES_FILE,
    Explanation,
    write_explanation,
)
from pipelines.clusters.explanation_tables import TableFiles, read_tables
from pipelines.clusters.families import label_families
from pipelines.clusters.manifest import ClusterFigures, ExplanationFigures, PassingFigures
from pipelines.clusters.passing import PASSING_FILE, PassingProperties, PassingSample, write_passing
from pipelines.clusters.rates import (
    AS_COMMON,
    CLUSTER_KINDS,
    ONE_SUBJECT,
    SITUATION,
    TOO_FEW,
    format_rate_cells,
)
from pipelines.clusters.report.report import REPORT_FILE
from pipelines.data.gif import FRAMES_PER_MINUTE
from pipelines.data.images import ImageFile, Rejected, digest_of_files, no_usable_image
from pipelines.data.parameters import count_left_out
from pipelines.data.table_rows import PassingImages
from pipelines.data.thumbnails import THUMBNAIL_FOLDER, THUMBNAIL_NAMES
from pipelines.runs import folder as run_folder
from pipelines.runs.errors import InputError
from pipelines.runs.files import Outputs, as_text, write_pairs
from pipelines.runs.manifest import ImageCounts, Manifest, write_part
from pipelines.runs.wording import count_of
from pipelines.unsafe_set.files import WRITTEN as UNSAFE_SET_FILES
from pipelines.unsafe_set.files import read_engineer_labels
from pipelines.unsafe_set.rows import UNSAFE_SET_FILE

CLUSTERED = Outputs(
    (
        run_folder.REJECTED_FILE,
        LABELS_FILE,
        CLUSTERS_FILE,
        IMAGES_FILE,
        EXPLANATION_FILE,
        PROPERTIES_FILE,
        PARAMETERS_FILE,
        PASSING_PARAMETERS_FILE,
        REPORT_FILE,
        # The files of `select` belong to the clusters that it used.
        *UNSAFE_SET_FILES,
    ),
    {
        pictures.GIF_FOLDER: pictures.GIF_NAMES,
        THUMBNAIL_FOLDER: THUMBNAIL_NAMES,
    },
)
OUTPUTS = {
    "cluster": CLUSTERED | Outputs((REDUCTION_FILE, PASSING_FILE)),
    "heatmaps": CLUSTERED
    | Outputs(
        (LAYERS_FILE, HEATMAPS_FILE),
        {HEATMAP_FOLDER: rf"\d+\.npy|{re.escape(LAYER_NAME)}|{re.escape(PICTURES_TABLE)}"},
    ),
}
"""Files of the jobs that find root cause clusters; a run of one job may replace one of the
other."""

COHESIVE = 0.15
"""Mean silhouette below which a note says that clusters are not clearly separated."""


def check_start(
    folder: Path,
    paths: Sequence[str],
    out: Path,
    table_files: TableFiles,
    overwrite: bool,
    passing: PassingImages | None = None,
) -> None:
    """Read the files that the end of the job needs, so that errors in them show at the start.

    Raises
    ------
    InputError
        When tables or an engineer's earlier words cannot be read, or when overwriting the run would
        remove labels that an engineer filled in.
    """
    inside = folder.resolve()
    read_tables(table_files, inside, paths, passing)
    verdicts.find_earlier_words(out, as_text(inside))
    if overwrite:
        _check_labels(out)


def _check_labels(out: Path) -> None:
    if labels := read_engineer_labels(out):
        raise InputError(
            f"{out / UNSAFE_SET_FILE} has {count_of(len(labels), 'label')}: they would be lost. "
            "Choose another --out, or move that file elsewhere."
        )


class TableParameters(TypedDict):
    """The user's tables on the images, as parameters of a job."""

    parameters: list[str]
    angles: list[str]
    unsafe_values: str | None


def describe_table_files(table_files: TableFiles) -> TableParameters:
    """Return the user's tables as `run.json` keeps them."""
    unsafe_values = table_files.unsafe_values
    return {
        "parameters": [as_text(file.resolve()) for file in table_files.parameters],
        "angles": list(table_files.angles),
        "unsafe_values": as_text(unsafe_values.resolve()) if unsafe_values else None,
    }


def count_images(
    run: run_folder.Run, folder: Path, images: list[ImageFile], rejected: list[Rejected]
) -> None:
    """Record how many images are used and rejected; raise InputError if none can be used."""
    run.manifest.images = ImageCounts(
        found=len(images) + len(rejected), used=len(images), rejected=len(rejected)
    )
    if not run.replaces:
        _write_rejected(run, rejected)
    if not images:
        raise no_usable_image(folder, rejected)


def _write_rejected(run: run_folder.Run, rejected: list[Rejected]) -> None:
    reasons = [(file.path, file.reason) for file in rejected]
    write_pairs(run.folder / run_folder.REJECTED_FILE, reasons)


def finish(
    run: run_folder.Run,
    folder: Path,
    clusters: RootCauseClusters,
    table_files: TableFiles,
    families: dict[int, int],
    rejected: list[Rejected],
    *,
    seed: int,
    write_more: Callable[[], None],
    passing: PassingSample | None = None,
    passing_images: PassingImages | None = None,
) -> None:
    """Explain clusters, move an engineer's words to them, and write the results of the run.

    Parameters
    ----------
    folder : Path
        Folder of the failing images.
    families : dict of int to int
        Family of each cluster.
    seed : int
        Seed of the random groups with which hints and parameters are compared.
    write_more : callable
        Writes the files of this job alone, after an earlier run is removed.
    passing : PassingSample, optional
        The images with which hints and parameters are compared, and the clusters' failure rates.
    passing_images : PassingImages, optional
        All passing images: the sample is drawn from them, and tables may name them.
    """
    _describe_clusters(run.manifest, clusters)
    with run.stage(explain.STAGE):
        if passing is not None and passing_images is None:
            passing_images = PassingImages(passing.folder, passing.paths)
        tables = read_tables(table_files, folder.resolve(), clusters.paths, passing_images)
        tables = tables.of_sample(passing.paths if passing else ())
        values = explain.measure_images(folder, clusters.paths, clusters.digests, run.progress)
        others = None
        if passing is not None:
            pixels = explain.measure_images(
                passing.folder, passing.paths, passing.digests, run.progress
            )
            others = PassingProperties(passing.paths, passing.groups, pixels)
            _describe_passing(run.manifest, clusters, passing)
        explanation = explain.explain(clusters, values, tables, families, seed=seed, passing=others)
        _describe_explanation(run.manifest, clusters, families, explanation)
    words, orphans = _replace_earlier_run(run, clusters)
    _write_rejected(run, rejected)
    rates = format_rate_cells(passing.rates, passing.kinds) if passing else {}
    write_clusters(
        run.folder, clusters, _side_by_side(explain.format_cells(explanation), rates, words)
    )
    if passing is not None and others is not None:
        write_passing(run.folder, passing, others.values)
    verdicts.keep_words(run.folder, orphans)
    explain.write_tables(run.folder, clusters, values, tables)
    write_explanation(run.folder, explanation)
    write_more()
    _draw(run, folder, clusters)


def _replace_earlier_run(
    run: run_folder.Run, clusters: RootCauseClusters
) -> tuple[Cells, list[verdicts.EarlierWords]]:
    """Remove an earlier run; move its words to the new clusters of the same images.

    Returns
    -------
    words : mapping
        Cells of `clusters.csv`, by cluster.
    orphans : list of EarlierWords
        Words that fit no new cluster.
    """
    if run.replaces:
        _check_labels(run.folder)  # an engineer may have added some while the job ran
    earlier = verdicts.find_earlier_words(run.folder, run.manifest.folder)
    words, orphans = verdicts.carry_over(earlier, clusters)
    run.manifest.notes += verdicts.describe_carried(earlier, len(words), orphans)
    verdicts.keep_words(run.folder, earlier)  # in case the job is killed between the two runs
    run.begin_results()
    return words, orphans


def _side_by_side(*parts: Cells) -> Cells:
    """Join the cells of several steps into one row per cluster; later steps overwrite."""
    return {
        cluster: {name: cell for part in parts for name, cell in part.get(cluster, {}).items()}
        for cluster in {cluster for part in parts for cluster in part}
    }


def _draw(run: run_folder.Run, folder: Path, clusters: RootCauseClusters) -> None:
    """Draw the clusters' pictures, and note the images that can no longer be read."""
    with run.stage(pictures.STAGE):
        unreadable = pictures.draw_clusters(folder, clusters, run.folder, run.progress)
    run.manifest.chosen |= {
        "gif_frames_at_most": pictures.GIF_FRAMES,
        "gif_frames_per_minute": FRAMES_PER_MINUTE,
    }
    run.manifest.notes += [
        f"{file.path} has no picture, and is not in its GIF: {file.reason}." for file in unreadable
    ]


def _describe_clusters(manifest: Manifest, clusters: RootCauseClusters) -> None:
    noise = clusters.labels == NOISE
    count = int(clusters.labels.max(initial=NOISE)) + 1
    figures = ClusterFigures(
        clusters=count,
        noise=int(noise.sum()),
        noise_share=round(float(noise.mean()), 4),
        inspection_share=round(compute_inspection_share(clusters.labels), 4),
    )
    if count < 2:
        write_part(manifest, figures)
        return
    mean = float(clusters.silhouettes[~noise].mean())
    write_part(manifest, figures.model_copy(update={"silhouette": round(mean, 4)}))
    if mean < COHESIVE:
        manifest.notes.append(
            f"The clusters are not clearly separated (mean silhouette {mean:.2f}, below "
            f"{COHESIVE}; images without any common cause can look like this): use them as places "
            "to look at, not as separate causes."
        )


def _describe_passing(
    manifest: Manifest, clusters: RootCauseClusters, passing: PassingSample
) -> None:
    """Write into the manifest how many failures lie in clusters of each kind."""
    kinds = passing.kinds
    sizes = {cluster: int((clusters.labels == cluster).sum()) for cluster in kinds}
    images = {kind: sum(sizes[c] for c in kinds if kinds[c] == kind) for kind in CLUSTER_KINDS}
    failing, total = len(clusters.paths), round(float(passing.weights.sum()))
    figures = PassingFigures(
        failing_sha256=digest_of_files(clusters.paths, clusters.digests),
        passing=total,
        passing_folder=as_text(passing.folder.resolve()),
        passing_sample=len(passing.paths),
        passing_sha256=digest_of_files(passing.paths, passing.digests),
        failure_rate=round(failing / (failing + total), 4),
        situations=sum(1 for kind in kinds.values() if kind == SITUATION),
        situation_images=images[SITUATION],
        as_common=sum(1 for kind in kinds.values() if kind == AS_COMMON),
        as_common_images=images[AS_COMMON],
        too_few=sum(1 for kind in kinds.values() if kind == TOO_FEW),
        too_few_images=images[TOO_FEW],
        one_subject=sum(1 for kind in kinds.values() if kind == ONE_SUBJECT),
        one_subject_images=images[ONE_SUBJECT],
    )
    if clusters.groups is not None:
        figures = figures.model_copy(update={"groups": len({*clusters.groups})})
    write_part(manifest, figures)


def _describe_explanation(
    manifest: Manifest,
    clusters: RootCauseClusters,
    families: dict[int, int],
    explanation: Explanation,
) -> None:
    of_images = label_families(families, clusters.labels)
    figures = ExplanationFigures(
        explained=sum(
            1 for cluster in explanation.clusters.values() if cluster.hints or cluster.parameters
        ),
        families=len(explanation.families),
        family_inspection_share=round(compute_inspection_share(of_images), 4),
    )
    write_part(manifest, figures)
    if unused := count_left_out(explanation.problems):
        manifest.notes.append(
            f"Of the tables of parameters, {count_of(unused, 'entry', 'entries')} could not be "
            f"used; {REPORT_FILE} lists them."
        )
