"""SAFE, steps 1 and 2: from a folder of failing images to a run folder of root cause clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines import images as image_files
from pipelines import runs
from pipelines.clusters import RootCauseClusters, centre_distances, map_places
from pipelines.errors import InputError
from pipelines.explaining import NOTHING, Given
from pipelines.families import find_families
from pipelines.files import atomic_write
from pipelines.finishing import check_start, count_images, describe_given, finish
from pipelines.images import ImageFile, Rejected, as_text
from pipelines.pair_lists import describe_source
from pipelines.report import write_report
from pipelines.safe import clustering, features, reduction, silhouette
from pipelines.safe.clustering import Clustering
from pipelines.safe.dbscan import Distances
from pipelines.safe.denoising import denoise
from pipelines.safe.reduction import Reduction
from pipelines.safe.weights import DENSES, load_weights

REDUCTION_FILE = "reduction.npz"
CHECKING = "checking images"
LOADING = "loading weights"
REDUCING = "reducing features"
CLUSTERING = "clustering"
LARGEST_SEED = 2**32 - 1
CONDITIONS = "block3_pool"
"""The layer whose features tell imaging conditions, and so families."""
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
    check_start(folder, paths, out, options.given, overwrite)
    manifest = runs.Manifest(
        job="cluster",
        command=[as_text(word) for word in command],
        folder=as_text(folder.resolve()),
        parameters=_parameters(options)
        | ({"images": as_text(source.resolve())} if source.is_file() else {}),
        notes=describe_source(source),
    )
    with runs.open_run(out, manifest, progress, overwrite=overwrite) as run:
        _find(run, folder, paths, rejected, options)
    write_report(out)
    return manifest


def _parameters(options: Options) -> dict[str, object]:
    """Return the options as `run.json` keeps them."""
    given = options.given
    parameters = asdict(options)
    del parameters["given"]
    weights = options.weights and as_text(options.weights.resolve())
    return parameters | {"weights": weights} | describe_given(given)


def _find(
    run: runs.Run, folder: Path, paths: list[str], rejected: list[Rejected], options: Options
) -> None:
    with run.stage(CHECKING):
        images, unusable = image_files.check_images(
            folder, paths, lambda done, total: run.progress(CHECKING, done, total)
        )
        rejected += unusable
        count_images(run, folder, images, rejected)
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
    finish(
        run,
        folder,
        clusters,
        options.given,
        find_families(conditions, clusters.labels),
        rejected + undecoded,
        seed=options.seed,
        write_more=lambda: _write_reduction(
            run.folder / REDUCTION_FILE, reduced, clusters, points, moved
        ),
    )


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
        count_images(run, folder, found.images, rejected + found.rejected)
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
        "families_layer": CONDITIONS,
        "components": kept,
        "explained_variance": round(reduced.explained, 4),
        "eps": found.chosen.eps,
        "min_samples": found.chosen.min_samples,
        "settings": [
            {"cluster": cluster, "eps": setting.eps, "min_samples": setting.min_samples}
            for cluster, setting in enumerate(found.settings)
        ],
        "candidates": [asdict(candidate) for candidate in found.candidates],
    }
    if kept < components:
        manifest.notes.append(
            f"{components} principal components were wanted; {len(vectors)} images of "
            f"{vectors.shape[1]} features allow {kept}."
        )
    if found.note:
        manifest.notes.append(found.note)
    return reduced, points, moved, found


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
