"""Features of failing and of passing images (SAFE, section 2: features extraction)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.clusters.manifest import FeaturePrecision, FeatureWeights
from pipelines.clusters.write import count_images
from pipelines.data.arrays import Floats
from pipelines.data.images import ImageFile, Rejected
from pipelines.runs import folder as run_folder
from pipelines.runs.manifest import write_part
from pipelines.safe import features, reduction
from pipelines.safe.inputs import CheckedPassing, Inputs, check_enough
from pipelines.safe.recipe import RECIPES, Options
from pipelines.safe.weights import DENSES, Weights, load_weights

LOADING = "loading weights"
PASSING_STAGE = "extracting features of passing images"
CONDITIONS = "block3_pool"
"""The layer whose features show imaging conditions; families are computed from it."""


@dataclass(frozen=True)
class Features:
    """Features of the failing and of the passing images.

    Attributes
    ----------
    images : list of ImageFile, length n
        Failing images that could be decoded.
    rejected : list of Rejected
        Failing images that could not be decoded.
    vectors : array of float32, shape (n, sum of widths)
        Features of the recipe's layers, or of the layers that the user chose.
    conditions : array of float32, shape (n, 256)
        Features of the layer that shows imaging conditions, scaled to unit length.
    passing : CheckedPassing or None
        Passing images that could be decoded.
    passing_vectors : array of float32, shape (m, sum of widths)
        Features of the passing images; m is 0 if there are none.
    shallow, passing_shallow : arrays of float32, shapes (n, 64) and (m, 64)
        Features of the shallowest pooling layer.
    deep, passing_deep : arrays of float32, shapes (n, 512) and (m, 512)
        Features of the deepest pooling layer.
    """

    images: list[ImageFile]
    rejected: list[Rejected]
    vectors: Floats
    conditions: Floats
    passing: CheckedPassing | None
    passing_vectors: Floats
    shallow: Floats
    passing_shallow: Floats
    deep: Floats
    passing_deep: Floats


def list_extracted_layers(layers: Sequence[str]) -> tuple[str, ...]:
    """List the layers to extract: all pooling layers, and further layers of `layers`."""
    return (*features.POOLS, *(layer for layer in layers if layer not in features.POOLS))


def list_layers(recipe: str, options: Options) -> tuple[tuple[str, ...], bool]:
    """Return the layers that are clustered by, and whether they need the top of VGG16."""
    layers = options.layers or RECIPES[recipe].layers
    return layers, any(layer in DENSES for layer in layers)


def extract_features(
    run: run_folder.Run,
    inputs: Inputs,
    images: list[ImageFile],
    passing: CheckedPassing | None,
    recipe: str,
    options: Options,
) -> Features:
    """Extract the features of failing and passing images, or read them from the feature store.

    Time and memory grow linearly with the number of images.

    Raises
    ------
    InputError
        When no failing image, or too few passing images, can be decoded, or when the weights or the
        store cannot be used.
    """
    layers, top = list_layers(recipe, options)
    precision = features.choose_precision(options.precision)
    with run.stage(LOADING):
        run.progress(LOADING, 0, 1)
        weights = load_weights(options.weights, top=top)
        write_part(
            run.manifest,
            FeatureWeights(
                recipe=recipe, source=weights.source, layers=layers, sha256=weights.digest
            ),
        )
        write_part(run.manifest, FeaturePrecision(precision=precision))
        run.progress(LOADING, 1, 1)
    wanted = list_extracted_layers(layers)
    with run.stage(features.STAGE):
        failing = features.extract_through_store(
            inputs.folder,
            images,
            weights,
            wanted,
            precision,
            options.batch_size,
            run.progress,
        )
        count_images(run, inputs.folder, failing.images, inputs.rejected + failing.rejected)
        run.manifest.result["extracted"] = failing.new
    kept, others = _extract_passing(run, inputs, passing, weights, options, wanted)
    conditions = features.select_columns(failing.vectors, wanted, (CONDITIONS,))
    shallow, deep = features.POOLS[:1], features.POOLS[-1:]
    return Features(
        images=failing.images,
        rejected=failing.rejected,
        vectors=features.select_columns(failing.vectors, wanted, layers),
        conditions=reduction.scale_to_unit_length(conditions, [features.WIDTHS[CONDITIONS]]),
        passing=kept,
        passing_vectors=features.select_columns(others, wanted, layers),
        shallow=features.select_columns(failing.vectors, wanted, shallow),
        passing_shallow=features.select_columns(others, wanted, shallow),
        deep=features.select_columns(failing.vectors, wanted, deep),
        passing_deep=features.select_columns(others, wanted, deep),
    )


def _extract_passing(
    run: run_folder.Run,
    inputs: Inputs,
    passing: CheckedPassing | None,
    weights: Weights,
    options: Options,
    wanted: Sequence[str],
) -> tuple[CheckedPassing | None, Floats]:
    """Extract the features of passing images; keep those that could be decoded."""
    if passing is None or inputs.passing is None:
        return passing, np.empty((0, sum(features.list_widths(wanted))), dtype=np.float32)
    with run.stage(PASSING_STAGE):
        others = features.extract_through_store(
            inputs.passing.folder,
            passing.images,
            weights,
            wanted,
            features.choose_precision(options.precision),
            options.batch_size,
            lambda stage, done, total: run.progress(PASSING_STAGE, done, total),
        )
    kept = passing.only({image.path for image in others.images})
    check_enough(run, kept, inputs, options, others.rejected)
    return kept, others.vectors
