"""SAFE, steps 1 and 2: from a folder of failing images to a run folder of root cause clusters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike

from pipelines.clusters.clusters import (
    NOISE,
    REDUCTION_FILE,
    RootCauseClusters,
    map_places,
    measure_centre_distances,
)
from pipelines.clusters.families import find_families
from pipelines.clusters.manifest import CLUSTER, ClusterParameters
from pipelines.clusters.passing import PassingSample
from pipelines.clusters.rates import classify_clusters, estimate_rates, order_clusters
from pipelines.clusters.report.report import write_report
from pipelines.clusters.write import (
    OUTPUTS,
    check_start,
    count_images,
    describe_table_files,
    finish,
)
from pipelines.data import images as image_files
from pipelines.data.groups import AUTO, Groups, number_groups
from pipelines.data.image_lists import CHECKING
from pipelines.runs import folder as run_folder
from pipelines.runs.files import as_text, atomic_write
from pipelines.runs.job import Job, Start, run_job
from pipelines.runs.manifest import Manifest
from pipelines.safe import silhouette
from pipelines.safe.camera import describe_cameras, measure_separability
from pipelines.safe.contrast import Contrast
from pipelines.safe.dbscan import Distances, Labels
from pipelines.safe.extraction import CONDITIONS, Features, extract_features, list_layers
from pipelines.safe.inputs import (
    CHECKING_PASSING,
    Inputs,
    check_passing,
    describe_groups,
    find_inputs,
    name_groups,
)
from pipelines.safe.near_duplicates import group_near_duplicates
from pipelines.safe.partition import (
    Partition,
    count_unseen,
    describe_choices,
    find_partition,
)
from pipelines.safe.recipe import ALONE, CONTRAST, Options, check_options
from pipelines.safe.search import Search
from pipelines.safe.weights import read_h5

CLUSTERING = "clustering"
COUNTING = "counting passing images"
WITHOUT_PASSING = (
    "Without passing images of the same test, nothing shows which of these clusters fail more "
    "often than the rest, and which are as common among all images. Give passing images by "
    "--passing, or the whole test by --test-run."
)


def find_root_cause_clusters(
    source: Path | None, out: Path, options: Options, **start: Unpack[Start]
) -> Manifest:
    """Find the root cause clusters of failing images, and write the run folder `out`.

    Parameters
    ----------
    source : Path, optional
        Folder of failing images, which is never changed, or a list of them, such as `failures.txt`
        of a test. None if `options.test_run` names them.
    start : Start

    Returns
    -------
    Manifest
        The content of `run.json`.

    Raises
    ------
    InputError
        When there is no usable image, or an option, `out`, the weights or the feature store cannot
        be used.
    """
    check_options(options)
    inputs = find_inputs(source, options)
    if options.weights is not None:  # a file that cannot be used shows now
        recipe = options.recipe or (CONTRAST if inputs.passing else ALONE)
        read_h5(options.weights, top=list_layers(recipe, options)[1])
    overwrite = start.get("overwrite", False)
    check_start(
        inputs.folder, inputs.paths, out, inputs.table_files, overwrite, inputs.passing_images
    )
    passing = (inputs.passing.folder,) if inputs.passing is not None else ()
    listed = (inputs.source,) if inputs.source.is_file() else ()
    job = Job(
        name=CLUSTER,
        folder=inputs.folder,
        sources=(inputs.folder, *listed, *passing, *inputs.table_files.paths),
        parameters=_parameters(options, inputs),
        outputs=OUTPUTS,
        work=lambda run: _find(run, inputs, options),
        notes=tuple(inputs.notes),
        report=write_report,
    )
    return run_job(job, out, **start)


def _text_of(file: Path | None) -> str | None:
    return as_text(file.resolve()) if file else None


def _parameters(options: Options, inputs: Inputs) -> ClusterParameters:
    """Return the options in the form of `run.json`."""
    parameters = ClusterParameters(
        recipe=options.recipe,
        weights=_text_of(options.weights),
        layers=options.layers,
        components=options.components,
        min_samples=options.min_samples,
        eps=options.eps,
        seed=options.seed,
        batch_size=options.batch_size,
        precision=options.precision,
        passing=_text_of(options.passing),
        test_run=_text_of(options.test_run),
        sample=options.sample,
        groups=options.groups,
        **describe_table_files(inputs.table_files),
    )
    if inputs.source.is_file():
        parameters = parameters.model_copy(update={"images": as_text(inputs.source.resolve())})
    if inputs.test is not None:
        parameters = parameters.model_copy(update={"test": inputs.test})
    return parameters


def _find(run: run_folder.Run, inputs: Inputs, options: Options) -> None:
    inputs, recipe, data = _read_features(run, inputs, options)
    paths = tuple(image.path for image in data.images)
    with run.stage(CLUSTERING):
        if options.groups in (None, AUTO) and not inputs.groups.how:
            inputs = replace(inputs, groups=_group_pictures(data))
            run.manifest.notes += describe_groups(inputs.groups)
        search = Search(
            recipe,
            options.layers,
            options.components,
            options.min_samples,
            options.eps,
            options.seed,
            number_groups(inputs.groups, paths) if inputs.groups.how else None,
            lambda done, total: run.progress(CLUSTERING, done, total),
        )
        partition = find_partition(data.vectors, data.passing_vectors, search)
    chosen, notes = describe_choices(partition, search)
    run.manifest.chosen |= chosen
    run.manifest.notes += notes
    by_contrast = search.choices.contrast
    if not by_contrast:
        run.manifest.chosen["families_layer"] = CONDITIONS
    sample = None
    if data.passing is None:
        run.manifest.notes.append(WITHOUT_PASSING)
    else:
        with run.stage(COUNTING):
            sample, partition = _compare(inputs, data, partition, search)
        apart = measure_separability(
            data.shallow, data.passing_shallow, partition.labels, seed=options.seed
        )
        run.manifest.notes += describe_cameras(apart)
    with run.stage("measuring clusters"):
        clusters = _measure(inputs, data, partition)
    ids = range(int(partition.labels.max(initial=NOISE)) + 1)
    alone = {cluster: cluster for cluster in ids}  # situations need no families
    finish(
        run,
        inputs.folder,
        clusters,
        inputs.table_files,
        alone if by_contrast else find_families(data.conditions, clusters.labels),
        inputs.rejected + data.rejected,
        seed=options.seed,
        write_more=lambda: _write_reduction(run.folder / REDUCTION_FILE, clusters, partition),
        passing=sample,
        passing_images=inputs.passing_images,
    )


def _read_features(
    run: run_folder.Run, inputs: Inputs, options: Options
) -> tuple[Inputs, str, Features]:
    """Check failing and passing images, and extract their features.

    Returns
    -------
    inputs : Inputs
        The inputs, with the unusable files added to the rejected ones.
    recipe : str
        The recipe of the options; by default the one that fits the inputs.
    data : Features
    """
    with run.stage(CHECKING):
        images, unusable = image_files.check_images(
            inputs.folder, inputs.paths, lambda done, total: run.progress(CHECKING, done, total)
        )
        inputs = replace(inputs, rejected=inputs.rejected + unusable)
        count_images(run, inputs.folder, images, inputs.rejected)
    passing = None
    if inputs.passing is not None:
        with run.stage(CHECKING_PASSING):
            passing = check_passing(run, inputs, images, options)
    recipe = options.recipe or (CONTRAST if passing else ALONE)
    return inputs, recipe, extract_features(run, inputs, images, passing, recipe, options)


def _group_pictures(data: Features) -> Groups:
    """Group failing and passing images that show nearly the same picture."""
    images = [*data.images, *(data.passing.images if data.passing else ())]
    vectors = np.concatenate([data.deep, data.passing_deep])
    return group_near_duplicates([image.path for image in images], vectors)


def _measure(inputs: Inputs, data: Features, partition: Partition) -> RootCauseClusters:
    """Return the clusters with the measures of their images, such as silhouettes."""
    # Measured on the features: on denoised points, clusters would look better than they are.
    (silhouettes,) = silhouette.compute_silhouettes(Distances(partition.points), [partition.labels])
    paths = tuple(image.path for image in data.images)
    return RootCauseClusters(
        paths=paths,
        digests=tuple(image.digest for image in data.images),
        labels=partition.labels,
        core=partition.core,
        silhouettes=silhouettes,
        centre_distances=measure_centre_distances(partition.points, partition.labels),
        places=map_places(partition.points),
        parts=partition.parts,
        groups=name_groups(inputs.groups, paths) if inputs.groups.how else None,
    )


def _compare(
    inputs: Inputs, data: Features, partition: Partition, search: Search
) -> tuple[PassingSample, Partition]:
    """Estimate the clusters' failure rates, and renumber clusters in the order of the report."""
    assert data.passing is not None and inputs.passing is not None  # the caller checked
    paths = [image.path for image in data.images]
    passing_paths = tuple(image.path for image in data.passing.images)
    both = number_groups(inputs.groups, [*paths, *passing_paths])
    failing_groups, passing_groups = both[: len(paths)], both[len(paths) :]
    ids = range(int(partition.labels.max(initial=NOISE)) + 1)
    unseen = count_unseen(
        data.vectors, data.passing_vectors, partition.labels, search, failing_groups, passing_groups
    )
    rates = estimate_rates(*unseen, data.passing.weights, failing_groups, passing_groups, ids)
    subjects = {
        cluster: len(np.unique(failing_groups[partition.labels == cluster])) for cluster in rates
    }
    kinds = classify_clusters(rates, subjects if inputs.groups.how else {})
    order = order_clusters(rates, kinds)
    numbers = {cluster: place for place, cluster in enumerate(order)}

    def renumbered(labels: Labels) -> Labels:
        return np.array([numbers.get(label, NOISE) for label in labels.tolist()], dtype=np.int32)

    sample = PassingSample(
        folder=inputs.passing.folder,
        paths=passing_paths,
        digests=tuple(image.digest for image in data.passing.images),
        weights=data.passing.weights,
        groups=name_groups(inputs.groups, passing_paths)
        if inputs.groups.how
        else ("",) * len(passing_paths),
        clusters=renumbered(unseen[1]),
        rates={numbers[cluster]: rate for cluster, rate in rates.items()},
        kinds={numbers[cluster]: kind for cluster, kind in kinds.items()},
    )
    return sample, replace(
        partition,
        labels=renumbered(partition.labels),
        passing_labels=sample.clusters,
    )


def _write_reduction(path: Path, clusters: RootCauseClusters, partition: Partition) -> None:
    """Write the arrays with which new images are assigned to clusters; plain arrays, no pickle."""
    space = partition.space
    arrays: dict[str, ArrayLike] = {
        "widths": np.array(space.widths),
        "paths": np.array(clusters.paths, dtype=np.str_),
        "labels": clusters.labels,
        "core": clusters.core,
        "points": partition.points,
        "denoised": partition.moved,
        "passing_points": partition.passing_points,
        "mean": space.mean,
    }
    if isinstance(space, Contrast):
        arrays |= {"scale": space.scale, "axes": space.axes, "length": np.array(space.length)}
    else:
        arrays |= {"unit_length": np.array(space.unit_length), "components": space.components}
    with atomic_write(path) as file:
        np.savez(file, allow_pickle=False, **arrays)
