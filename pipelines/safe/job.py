"""SAFE, steps 1 and 2: from a folder of failing images to a run folder of root cause clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines import explaining, inspection, runs, verdicts
from pipelines import images as image_files
from pipelines.clusters import (
    NOISE,
    RootCauseClusters,
    centre_distances,
    inspection_share,
    map_places,
    write_clusters,
)
from pipelines.errors import InputError
from pipelines.explaining import NOTHING, Given, read_tables
from pipelines.explanation import Explanation
from pipelines.families import family_labels, find_families
from pipelines.files import atomic_write, write_pairs
from pipelines.gif import FRAMES_PER_MINUTE
from pipelines.images import ImageFile, Rejected, as_text
from pipelines.parameter_files import left_out
from pipelines.report import REPORT_FILE, write_report
from pipelines.reporting.wording import count_of
from pipelines.safe import clustering, features, reduction, silhouette
from pipelines.safe.clustering import Clustering
from pipelines.safe.dbscan import Distances
from pipelines.safe.denoising import denoise
from pipelines.safe.reduction import Reduction
from pipelines.safe.weights import DENSES, load_weights
from pipelines.selection_files import UNSAFE_SET_FILE, read_given_labels

REDUCTION_FILE = "reduction.npz"
CHECKING = "checking images"
LOADING = "loading weights"
REDUCING = "reducing features"
CLUSTERING = "clustering"
LARGEST_SEED = 2**32 - 1
CONDITIONS = "block3_pool"
"""The layer whose features tell imaging conditions, and so families."""
COHESIVE = 0.15
"""Mean silhouette below which a note says that clusters shade into one another."""
ALIKE = 1e-4
"""Features nearer to one another than this share of their mean's length count as equal."""


@dataclass(frozen=True)
class Recipe:
    """Choices that belong together.

    Attributes
    ----------
    layers : tuple of str
        Of VGG16, their features side by side.
    unit_length : bool
        Whether each layer's features are scaled to length 1.
    components : int
        Principal components kept, at most.
    denoised : bool
        Whether images move towards their neighbours before they are clustered.
    noise_is_a_cluster : bool
        Whether the silhouette that chooses eps counts noise as one more cluster.
    largest_share : float
        Share of all images above which a cluster is searched again by itself; 1 for never.
    """

    layers: tuple[str, ...]
    unit_length: bool
    components: int
    denoised: bool
    noise_is_a_cluster: bool
    largest_share: float


RECIPES = {
    "default": Recipe(("block4_pool", "block5_pool"), True, 50, True, False, 0.25),
    "paper": Recipe(("fc2",), False, 256, False, True, 1.0),
}
"""What measured best (benchmarks/quality.py), and SAFE as printed in section 2."""


@dataclass(frozen=True)
class Options:
    """What the user may decide; None leaves it to the recipe or to the search.

    Attributes
    ----------
    recipe : str
        A key of `RECIPES`.
    weights : Path, optional
        A Keras weights file of VGG16.
    layers : tuple of str
        Layers of VGG16; empty takes the recipe's.
    components, min_samples : int, optional
    eps : float, optional
    seed : int
    batch_size : int
    precision : str
        "auto", "float32" or "bfloat16".
    given : Given
        What is known of the images.
    """

    recipe: str = "default"
    weights: Path | None = None
    layers: tuple[str, ...] = ()
    components: int | None = None
    min_samples: int | None = None
    eps: float | None = None
    seed: int = 0
    batch_size: int = 8
    precision: str = "auto"
    given: Given = NOTHING


def check_options(options: Options) -> None:
    """Raise InputError when an option cannot be used."""
    if options.recipe not in RECIPES:
        raise InputError(f"recipe: expected {' or '.join(RECIPES)}, received {options.recipe!r}")
    features.widths(options.layers or RECIPES[options.recipe].layers)
    for name in ("components", "min_samples", "eps", "batch_size"):
        value = getattr(options, name)
        if value is not None and not (0 < value < float("inf")):
            raise InputError(f"{name}: expected a positive number, received {value}")
    if not 0 <= options.seed <= LARGEST_SEED:
        raise InputError(f"seed: expected 0 to {LARGEST_SEED}, received {options.seed}")
    features.choose_precision(options.precision)


def find_root_cause_clusters(
    folder: Path,
    out: Path,
    options: Options,
    *,
    progress: runs.Progress,
    command: Sequence[str] = (),
    overwrite: bool = False,
) -> runs.Manifest:
    """Find the root cause clusters of the images below `folder`, and write the run folder `out`.

    Parameters
    ----------
    folder : Path
        Failing images; never written to.  Or a list of them, such as `failures.txt` of a test.
    out : Path
        A new or empty folder, or an earlier run when `overwrite` is True.
    command : sequence of str
        What the user typed, for the manifest.

    Returns
    -------
    Manifest
        As in `run.json`.

    Raises
    ------
    InputError
        When there is no usable image, or an option, `out`, the weights or the feature store cannot
        be used.
    """
    check_options(options)
    source = folder
    folder, paths, rejected = image_files.find_images(source)
    inside, outside = folder.resolve(), out.resolve()
    if inside.is_relative_to(outside) or outside.is_relative_to(inside):
        raise InputError(
            f"the images and the run need folders apart; of {folder} and {out} one lies inside the "
            "other. Choose another --out."
        )
    # In vain, so that no error comes hours later.
    read_tables(options.given, inside, paths)
    verdicts.find_earlier_words(out, as_text(inside))
    _keep_labels(out, overwrite)
    manifest = runs.Manifest(
        job="cluster",
        command=[as_text(word) for word in command],
        folder=as_text(inside),
        parameters=_parameters(options)
        | ({"images": as_text(source.resolve())} if source.is_file() else {}),
    )
    with runs.open_run(out, manifest, progress, overwrite=overwrite) as run:
        _find(run, folder, paths, rejected, options)
    write_report(out)
    return manifest


def _keep_labels(out: Path, overwrite: bool) -> None:
    """Raise InputError where overwriting a run would take away labels that were filled in."""
    labels = read_given_labels(out) if overwrite else {}
    if labels:
        raise InputError(
            f"{out / UNSAFE_SET_FILE} has {count_of(len(labels), 'label')}: they would be lost. "
            "Choose another --out, or move that file elsewhere."
        )


def _parameters(options: Options) -> dict[str, object]:
    """Return the options as `run.json` keeps them."""
    given = options.given
    parameters = asdict(options)
    del parameters["given"]
    return parameters | {
        "weights": options.weights and as_text(options.weights.resolve()),
        "parameters": [as_text(file.resolve()) for file in given.parameters],
        "angles": list(given.angles),
        "unsafe_values": given.unsafe_values and as_text(given.unsafe_values.resolve()),
    }


def _find(
    run: runs.Run, folder: Path, paths: list[str], rejected: list[Rejected], options: Options
) -> None:
    with run.stage(CHECKING):
        images, unusable = image_files.check_images(
            folder, paths, lambda done, total: run.progress(CHECKING, done, total)
        )
        rejected += unusable
        _count(run, folder, images, rejected)
    images, undecoded, conditions, vectors = _extract(run, folder, images, rejected, options)
    reduced, points, moved, found = _cluster(run, vectors, options)
    with run.stage("measuring clusters"):
        # On the features themselves: denoising would flatter the clusters that it helped to find.
        (silhouettes,) = silhouette.silhouettes(Distances(points), [found.labels])
    clusters = RootCauseClusters(
        paths=tuple(image.path for image in images),
        digests=tuple(image.digest for image in images),
        labels=found.labels,
        core=found.core,
        silhouettes=silhouettes,
        centre_distances=centre_distances(points, found.labels),
        places=map_places(points),
    )
    if len(found.settings) > 1:
        _describe_cohesion(run.manifest, clusters)
    with run.stage(explaining.STAGE):
        tables = read_tables(options.given, folder.resolve(), clusters.paths)
        values = explaining.measure_images(folder, clusters.paths, clusters.digests, run.progress)
        families = find_families(conditions, clusters.labels)
        said = explaining.explain(clusters, values, tables, families, seed=options.seed)
        _describe_explanation(run.manifest, clusters, families, said)
    earlier = verdicts.find_earlier_words(run.folder, run.manifest.folder)
    words, left = verdicts.hand_on(earlier, clusters)
    run.manifest.notes += verdicts.tell(earlier, len(words), left)
    verdicts.keep(run.folder, earlier)  # while the earlier run goes, and the new one comes
    run.begin_results()
    _write_rejected(run, rejected + undecoded)
    cells = explaining.cells(said)
    write_clusters(
        run.folder,
        clusters,
        {id_: {**cells.get(id_, {}), **words.get(id_, {})} for id_ in {*cells, *words}},
    )
    verdicts.keep(run.folder, left)
    explaining.write_explained(run.folder, clusters, said, values, tables)
    _write_reduction(run.folder / REDUCTION_FILE, reduced, clusters, points, moved)
    with run.stage(inspection.STAGE):
        unreadable = inspection.draw_clusters(folder, clusters, run.folder, run.progress)
    run.manifest.notes += [
        f"{file.path} could not be read again for its picture: {file.reason}."
        for file in unreadable
    ]


def _describe_explanation(
    manifest: runs.Manifest,
    clusters: RootCauseClusters,
    families: dict[int, int],
    said: Explanation,
) -> None:
    of_images = family_labels(families, clusters.labels)
    manifest.chosen["families_layer"] = CONDITIONS
    manifest.result |= {
        "explained": sum(1 for each in said.clusters.values() if each.hints or each.parameters),
        "families": len(said.families),
        "family_inspection_share": round(inspection_share(of_images), 4),
    }
    if unused := left_out(said.problems):
        manifest.notes.append(
            f"Of the tables of parameters, {count_of(unused, 'entry', 'entries')} could not be "
            f"used; {REPORT_FILE} lists them."
        )


def _count(run: runs.Run, folder: Path, images: list[ImageFile], rejected: list[Rejected]) -> None:
    """Write down what is used and what is not; raise InputError when nothing is left."""
    run.manifest.images = runs.ImageCounts(
        found=len(images) + len(rejected), used=len(images), rejected=len(rejected)
    )
    if not run.replaces:
        _write_rejected(run, rejected)
    if not images:
        raise image_files.none_usable(folder, rejected)


def _write_rejected(run: runs.Run, rejected: list[Rejected]) -> None:
    reasons = [(file.path, file.reason) for file in rejected]
    write_pairs(run.folder / runs.REJECTED_FILE, reasons)


def _extract(
    run: runs.Run,
    folder: Path,
    images: list[ImageFile],
    rejected: list[Rejected],
    options: Options,
) -> tuple[list[ImageFile], list[Rejected], NDArray[np.float32], NDArray[np.float32]]:
    """Return the images left, those that could not be decoded, and features of the images left:
    those that tell imaging conditions, and those of the layers asked for.
    """  # noqa: D205
    layers = options.layers or RECIPES[options.recipe].layers
    precision = features.choose_precision(options.precision)
    with run.stage(LOADING):
        run.progress(LOADING, 0, 1)
        weights = load_weights(options.weights, top=any(layer in DENSES for layer in layers))
        run.manifest.weights = {
            "recipe": options.recipe,
            "source": weights.source,
            "layers": layers,
            "sha256": weights.digest,
        }
        run.manifest.chosen["precision"] = precision
        run.progress(LOADING, 1, 1)
    with run.stage(features.STAGE):
        found = features.extract_through_store(
            folder,
            images,
            weights,
            (CONDITIONS, *layers),
            precision,
            options.batch_size,
            run.progress,
        )
        _count(run, folder, found.images, rejected + found.rejected)
        run.manifest.result["extracted"] = found.new
    first = features.WIDTHS[CONDITIONS]
    conditions = reduction.scale_to_unit_length(found.vectors[:, :first], [first])
    return found.images, found.rejected, conditions, found.vectors[:, first:]


def _cluster(
    run: runs.Run, vectors: NDArray[np.float32], options: Options
) -> tuple[Reduction, NDArray[np.float32], NDArray[np.float32], Clustering]:
    """Return the reduction, the reduced features, where they were moved to, and the clusters."""
    recipe = RECIPES[options.recipe]
    components = options.components or recipe.components
    with run.stage(REDUCING):
        run.progress(REDUCING, 0, 2)
        reduced = reduction.fit(
            vectors,
            features.widths(options.layers or recipe.layers),
            components=components,
            unit_length=recipe.unit_length,
            seed=options.seed,
        )
        points = reduction.apply(reduced, vectors)
        run.progress(REDUCING, 1, 2)
        moved = denoise(points) if recipe.denoised else points
        run.progress(REDUCING, 2, 2)
    with run.stage(CLUSTERING):
        found = clustering.search(
            moved,
            eps=options.eps,
            min_samples=options.min_samples,
            noise_is_a_cluster=recipe.noise_is_a_cluster,
            largest_share=recipe.largest_share,
            alike=ALIKE * float(np.linalg.norm(reduced.mean)),
            step=lambda done, total: run.progress(CLUSTERING, done, total),
        )
    manifest, kept = run.manifest, len(reduced.components)
    manifest.chosen |= {
        "components": kept,
        "explained_variance": round(reduced.explained, 4),
        "eps": found.chosen.eps,
        "min_samples": found.chosen.min_samples,
        "settings": [
            {"cluster": cluster, "eps": setting.eps, "min_samples": setting.min_samples}
            for cluster, setting in enumerate(found.settings)
        ],
        "candidates": [asdict(candidate) for candidate in found.candidates],
        "gif_frames_at_most": inspection.GIF_FRAMES,
        "gif_frames_per_minute": FRAMES_PER_MINUTE,
    }
    manifest.result |= {
        "clusters": len(found.settings),
        "noise": int((found.labels == NOISE).sum()),
        "noise_share": round(float((found.labels == NOISE).mean()), 4),
        "inspection_share": round(inspection_share(found.labels), 4),
    }
    if kept < components:
        manifest.notes.append(
            f"{components} principal components were wanted; {len(vectors)} images of "
            f"{vectors.shape[1]} features allow {kept}."
        )
    if found.note:
        manifest.notes.append(found.note)
    return reduced, points, moved, found


def _describe_cohesion(manifest: runs.Manifest, clusters: RootCauseClusters) -> None:
    mean = float(clusters.silhouettes[clusters.labels != NOISE].mean())
    manifest.result["silhouette"] = round(mean, 4)
    if mean < COHESIVE:
        manifest.notes.append(
            f"The clusters shade into one another (mean silhouette {mean:.2f}, below {COHESIVE}; "
            "images without any common cause can look like this): take them as places to look at, "
            "not as causes apart."
        )


def _write_reduction(
    path: Path,
    reduced: Reduction,
    clusters: RootCauseClusters,
    points: NDArray[np.float32],
    moved: NDArray[np.float32],
) -> None:
    """Keep all that placing a new image among the clusters takes; plain arrays, no pickle."""
    with atomic_write(path) as file:
        np.savez(
            file,
            widths=np.array(reduced.widths),
            unit_length=np.array(reduced.unit_length),
            mean=reduced.mean,
            components=reduced.components,
            paths=np.array(clusters.paths, dtype=np.str_),
            labels=clusters.labels,
            core=clusters.core,
            points=points,
            denoised=moved,
        )
