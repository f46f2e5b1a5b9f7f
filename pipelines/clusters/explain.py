"""Explain clusters: what the images of each share, to support SAFE's step 2 (section 2).

The explanation uses the pixels, and parameters of the images if the user has any (HUDD, RQ1.2 and
RQ1.3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters.clusters import CLUSTERS_FILE, IMAGES_FILE, NOISE, Cells, RootCauseClusters
from pipelines.clusters.explanation import (
    DIGITS,
    EXPLANATION_FILE,
    PARAMETERS_FILE,
    PASSING_PARAMETERS_FILE,
    PROPERTIES_FILE,
    ClusterExplanation,
    Confusion,
    Explanation,
    Family,
    ParameterColumn,
    UnsafeCoverage,
    read_properties,
    write_explanation,
    write_properties,
)
from pipelines.clusters.explanation_tables import (
    NO_TABLES,
    TableFiles,
    Tables,
    describe_uncompared,
    find_passing_folder,
    read_earlier_tables,
    read_tables,
)
from pipelines.clusters.families import label_families
from pipelines.clusters.hints import find_hints
from pipelines.clusters.manifest import read_search
from pipelines.clusters.passing import PassingProperties, read_passing
from pipelines.clusters.report.report import REPORT_FILE
from pipelines.clusters.results import collect_families, read_known_clusters
from pipelines.clusters.shared_parameters import find_confusions, find_parameters
from pipelines.clusters.unsafe_values import find_coverage
from pipelines.data.group_resampling import number_group_names
from pipelines.data.images import ImageFile, Rejected
from pipelines.data.parameters import Problem, take_passing, write_parameters
from pipelines.data.pixels import upright_size, use_unchanged
from pipelines.data.prefetch import prefetch
from pipelines.data.properties import PROPERTIES, measure
from pipelines.data.table_rows import PassingImages
from pipelines.runs.errors import InputError
from pipelines.runs.files import as_text, replace_cells
from pipelines.runs.folder import Progress, amend_run
from pipelines.runs.guard import SAVE_AGAIN, name_damaged_file
from pipelines.runs.manifest import Manifest

STAGE = "explaining clusters"
MEASURED_AHEAD = 16
DECODED_SIDE = 192
"""Smallest shorter side at which JPEG files are decoded, px: of 4:3 images, the longer side is then
the 256 px that are measured."""
MOST_HINTS = 3
WRITTEN = (
    CLUSTERS_FILE,
    EXPLANATION_FILE,
    PROPERTIES_FILE,
    PARAMETERS_FILE,
    PASSING_PARAMETERS_FILE,
)
"""The files that explaining a run writes."""


def measure_images(
    images: Path, paths: Sequence[str], digests: Sequence[str], progress: Progress
) -> NDArray[np.float64]:
    """Decode and measure every picture once, in threads; time grows linearly.

    Returns
    -------
    array of float64, shape (n, p)
        See `properties.measure`; nan for a picture that has changed or cannot be read any more.
    """
    values = np.empty((len(paths), len(PROPERTIES)))
    files = [ImageFile(*pair) for pair in zip(paths, digests, strict=True)]
    measured = prefetch(lambda file: _measure(images, file), files, MEASURED_AHEAD)
    for done, row in enumerate(measured, 1):
        values[done - 1] = row
        progress(STAGE, done, len(paths))
    return values


def _measure(folder: Path, file: ImageFile) -> NDArray[np.float64]:
    size = upright_size(folder, file.path)
    if isinstance(size, Rejected):
        return np.full(len(PROPERTIES), np.nan)
    values = use_unchanged(folder, file, DECODED_SIDE, lambda image: measure(image, size))
    if isinstance(values, Rejected):
        return np.full(len(PROPERTIES), np.nan)
    return np.round(values, DIGITS)  # as `properties.csv` stores them


def explain(
    clusters: RootCauseClusters,
    values: NDArray[np.float64],
    tables: Tables,
    families: Mapping[int, int],
    *,
    seed: int,
    passing: PassingProperties | None = None,
) -> Explanation:
    """Explain each cluster and each family: find what its images share.

    `find_hints`, `find_parameters` and `find_coverage` describe methods, time and memory.

    Parameters
    ----------
    values : array of float64, shape (n, p)
        Pixel properties of the clusters' images.
    families : mapping of int to int
        Family by cluster; empty for none.
    seed : int
        Seed of the random groups with which clusters are compared.
    passing : PassingProperties, optional
        If given, hints compare clusters with these images. Parameters compare clusters with the
        passing images that have values.
    """
    unsafe = tables.table_files.unsafe_values
    compared = _Compared(values, tables, seed, passing, _number_subjects(clusters, passing))
    by_cluster = _explain(clusters.labels, compared)
    by_family = label_families(families, clusters.labels)
    # Situations are families of their own, so their explanation is the same.
    alone = np.array_equal(by_family, clusters.labels)
    of_family = by_cluster if alone else _explain(by_family, compared)
    coverage = _cover_unsafe_values(tables, clusters.labels)
    for place, value in enumerate(coverage):
        for cluster in value.clusters:
            by_cluster[cluster].unsafe_values.append(place)
    return Explanation(
        seed=seed,
        parameter_files=[as_text(file.resolve()) for file in tables.table_files.parameters],
        angles=list(tables.table_files.angles),
        unsafe_values_file=as_text(unsafe.resolve()) if unsafe else "",
        images_with_parameters=tables.table.images_with_values,
        parameters=[
            ParameterColumn(name=parameter.name, kind=parameter.kind, outcome=parameter.outcome)
            for parameter in tables.table.parameters
        ],
        clusters=by_cluster,
        families=_join_families(families, by_family, of_family, by_cluster),
        unsafe_values=coverage,
        problems=list(tables.problems),
        notes=describe_uncompared(tables) if tables.passing else [],
    )


def _cover_unsafe_values(tables: Tables, labels: NDArray[np.int32]) -> list[UnsafeCoverage]:
    """Find the clusters that cover each unsafe value (HUDD, RQ1.3)."""
    return [
        UnsafeCoverage(
            parameter=value.unsafe.parameter,
            value=value.unsafe.value,
            side=value.unsafe.side,
            images=value.images,
            clusters=value.clusters,
        )
        for value in find_coverage(tables.unsafe_values, tables.table.parameters, labels)
    ]


def _join_families(
    families: Mapping[int, int],
    labels: NDArray[np.int32],
    explained: Mapping[int, ClusterExplanation],
    clusters: Mapping[int, ClusterExplanation],
) -> list[Family]:
    """Return the families; a family covers the unsafe values that its clusters cover.

    Parameters
    ----------
    families : mapping of int to int
        Family by cluster.
    labels : array of int32, shape (n,)
        Family of each image.
    explained, clusters : mapping of int to Explained
        What the images of each family, and those of each cluster, share.
    """
    members: dict[int, list[int]] = {}
    for cluster, family in families.items():
        members.setdefault(family, []).append(cluster)
    return [
        Family(
            family=family,
            clusters=sorted(members[family]),
            size=int((labels == family).sum()),
            unsafe_values=sorted(
                {place for cluster in members[family] for place in clusters[cluster].unsafe_values}
            ),
            **shared.model_dump(exclude={"unsafe_values"}),
        )
        for family, shared in explained.items()
    ]


@dataclass(frozen=True)
class _Compared:
    """Data with which clusters and families are compared; see `explain`."""

    values: NDArray[np.float64]
    tables: Tables
    seed: int
    passing: PassingProperties | None
    subjects: NDArray[np.int64] | None


def _number_subjects(
    clusters: RootCauseClusters, passing: PassingProperties | None
) -> NDArray[np.int64] | None:
    """Return the group of each failing, then passing image; None if all images are independent."""
    if clusters.groups is None:
        return None
    return number_group_names([*clusters.groups, *(passing.groups if passing else ())])


def _explain(labels: NDArray[np.int32], compared: _Compared) -> dict[int, ClusterExplanation]:
    """Explain groups of images, by id; noise (-1) is not explained."""
    parameters, seed, subjects = compared.tables.table.parameters, compared.seed, compared.subjects
    passing = compared.passing.values if compared.passing else None
    hints = find_hints(compared.values, labels, seed=seed, passing=passing, subjects=subjects)
    findings = find_parameters(parameters, labels, seed=seed, subjects=subjects)
    confusions = find_confusions(parameters, labels)
    return {
        int(group): ClusterExplanation(
            hints=hints[group][:MOST_HINTS],
            parameters=findings.get(group, []),
            confusions=[
                Confusion(label=label, prediction=prediction, images=count)
                for label, prediction, count in confusions.get(group, [])
            ],
        )
        for group in np.unique(labels).tolist()
        if group != NOISE
    }


def format_cells(explanation: Explanation) -> Cells:
    """Return the cells of `clusters.csv` for hints, parameters and families, by cluster."""
    rows: dict[int, dict[str, object]] = {
        cluster: {
            "hint": "; ".join(hint.words for hint in explained.hints),
            "parameters": "; ".join(finding.words for finding in explained.parameters),
        }
        for cluster, explained in explanation.clusters.items()
    }
    for family in explanation.families:
        for cluster in family.clusters:
            rows[cluster]["family"] = family.family
    return rows


def write_tables(
    folder: Path, clusters: RootCauseClusters, values: NDArray[np.float64], tables: Tables
) -> None:
    """Write `properties.csv` and the tables of parameters, if any."""
    write_properties(folder, clusters.paths, values)
    parameters = tables.table.parameters
    if parameters:
        write_parameters(folder / PARAMETERS_FILE, clusters.paths, parameters)
    else:
        (folder / PARAMETERS_FILE).unlink(missing_ok=True)
    others = [take_passing(parameter) for parameter in parameters]
    if tables.passing and any(not np.isnan(other.values).all() for other in others):
        write_parameters(folder / PASSING_PARAMETERS_FILE, tables.passing.paths, others)
    else:
        (folder / PASSING_PARAMETERS_FILE).unlink(missing_ok=True)


def replace_explanation(
    folder: Path, explanation: Explanation, cells: Cells, write: Callable[[], None], *, anew: bool
) -> None:
    """Replace the explanation of a run; until all of it is there, readers refuse it.

    Parameters
    ----------
    write : callable
        Writes the tables.
    anew : bool
        Whether the tables differ from those of the earlier explanation.
    """

    def announce(replacing: Literal["tables", "words"]) -> None:
        write_explanation(folder, explanation.model_copy(update={"replacing": replacing}))

    (folder / REPORT_FILE).unlink(missing_ok=True)  # it shows the earlier explanation
    announce("tables" if anew else "words")
    write()
    if anew:
        announce("words")
    by_cluster = {str(cluster): row for cluster, row in cells.items()}
    with name_damaged_file(folder / CLUSTERS_FILE, SAVE_AGAIN):
        replace_cells(folder / CLUSTERS_FILE, "cluster", by_cluster)
    write_explanation(folder, explanation)


def explain_run(
    folder: Path, table_files: TableFiles, *, seed: int | None, progress: Progress
) -> Explanation:
    """Explain the clusters of an existing run; replaces an earlier explanation.

    Images that are already measured are not measured again. Names, notes and verdicts are kept.
    Without tables, those of the earlier explanation are used.

    Parameters
    ----------
    folder : Path
        The run folder.
    seed : int, optional
        None for the seed of the run.

    Raises
    ------
    InputError
        When the folder is no run, has no clusters or is being written, or when a table cannot be
        used.
    """
    with amend_run(folder, progress, WRITTEN) as (manifest, notify):
        if not (folder / IMAGES_FILE).exists():
            raise InputError(f"{folder} has no clusters to explain: its job {manifest.ended}.")
        clusters, rows = read_known_clusters(folder)
        images = Path(manifest.folder)
        sample = read_passing(folder)
        others = PassingImages(find_passing_folder(manifest), sample.paths) if sample else None
        if table_files == NO_TABLES:
            tables = read_earlier_tables(folder, clusters.paths, others)
        else:
            tables = read_tables(table_files, images, clusters.paths, others)
        values = read_properties(folder, clusters.paths)
        if values is None:
            values = measure_images(images, clusters.paths, clusters.digests, notify)
            if np.isnan(values).all():  # the images are gone: what an older version measured
                earlier = read_properties(folder, clusters.paths, partly=True)
                values = values if earlier is None else earlier
            tables = replace(tables, problems=(*tables.problems, *_unmeasured(manifest, values)))
        seed = read_search(manifest).seed if seed is None else seed
        explanation = explain(
            clusters, values, tables, collect_families(rows), seed=seed, passing=sample
        )
        replace_explanation(
            folder,
            explanation,
            format_cells(explanation),
            lambda: write_tables(folder, clusters, values, tables),
            anew=table_files != NO_TABLES,
        )
    return explanation


def _unmeasured(manifest: Manifest, values: NDArray[np.float64]) -> list[Problem]:
    """Return a problem for images that could not be measured; raise InputError if none could."""
    missing = int(np.isnan(values).all(axis=1).sum())
    if missing == len(values):
        raise InputError(
            f"{manifest.folder}: expected the images of the run, received none that is there and "
            "unchanged. Put them back to have their pixels measured."
        )
    what = f"expected unchanged images, received {missing:,} changed or gone: without hints"
    return [Problem(manifest.folder, 0, "", what, missing)] if missing else []
