"""The user's options of a search for clusters, and recipes: sets of choices that fit together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.clusters.explanation_tables import NO_TABLES, TableFiles
from pipelines.clusters.passing import SAMPLE
from pipelines.runs.errors import InputError
from pipelines.safe import features

LARGEST_SEED = 2**32 - 1
CONTRAST, ALONE = "contrast", "appearance"


@dataclass(frozen=True)
class ClusteringRecipe:
    """Choices for a search for clusters that fit together.

    Attributes
    ----------
    layers : tuple of str
        Layers of VGG16 whose features are concatenated.
    views : tuple of tuple of str
        Sets of layers that are clustered separately; the set whose clusters have the best
        silhouette is kept. Empty to cluster all layers together.
    unit_length : bool
        Whether each layer's features are scaled to length 1.
    components : int
        Largest number of principal components.
    denoised : bool
        Whether images move towards their neighbours before they are clustered.
    noise_is_a_cluster : bool
        Whether the silhouette that chooses eps counts noise as one more cluster.
    largest_share : float
        Share of all images above which a cluster is clustered again by itself; 1 for never.
    contrast : bool
        Whether failing images are clustered in contrast with passing ones; see `safe.contrast`.
    """

    layers: tuple[str, ...]
    unit_length: bool
    components: int
    denoised: bool
    noise_is_a_cluster: bool
    largest_share: float
    contrast: bool = False
    views: tuple[tuple[str, ...], ...] = ()


RECIPES = {
    CONTRAST: ClusteringRecipe(
        ("block2_pool", "block3_pool", "block4_pool"), False, 40, True, False, 0.25, contrast=True
    ),
    ALONE: ClusteringRecipe(
        ("block3_pool", "block4_pool", "block5_pool"),
        True,
        50,
        True,
        False,
        0.25,
        views=(("block4_pool", "block5_pool"), ("block3_pool", "block4_pool")),
    ),
    "default": ClusteringRecipe(("block4_pool", "block5_pool"), True, 50, True, False, 0.25),
    "paper": ClusteringRecipe(("fc2",), False, 256, False, True, 1.0),
}
"""In this order: the best recipe with passing images and the best one without, both measured by
benchmarks/photographs.py; an earlier one, measured on drawn pictures (quality.py); and SAFE as in
section 2 of the paper."""


@dataclass(frozen=True)
class Options:
    """The user's options; None leaves a value to the recipe or to the search.

    Attributes
    ----------
    recipe : str
        A key of `RECIPES`; empty for "contrast" with passing images, otherwise "appearance".
    weights : Path, optional
        A Keras weights file of VGG16.
    layers : tuple of str
        Layers of VGG16; empty for those of the recipe.
    components, min_samples : int, optional
    eps : float, optional
    seed : int
    batch_size : int
    precision : str
        "auto", "float32" or "bfloat16".
    table_files : TableFiles
        Tables of parameters and unsafe values of the images.
    passing : Path, optional
        Folder or list of passing images of the same test.
    test_run : Path, optional
        Run folder of `test`, which lists failing and passing images.
    sample : int
        Largest number of passing images that are used.
    groups : str, optional
        See `groups.find_groups`.
    """

    recipe: str = ""
    weights: Path | None = None
    layers: tuple[str, ...] = ()
    components: int | None = None
    min_samples: int | None = None
    eps: float | None = None
    seed: int = 0
    batch_size: int = 8
    precision: str = "auto"
    table_files: TableFiles = NO_TABLES
    passing: Path | None = None
    test_run: Path | None = None
    sample: int = SAMPLE
    groups: str | None = None


def check_options(options: Options) -> None:
    """Raise InputError when an option cannot be used."""
    if options.recipe and options.recipe not in RECIPES:
        raise InputError(f"recipe: expected {' or '.join(RECIPES)}, received {options.recipe!r}")
    features.list_widths(options.layers or RECIPES[options.recipe or CONTRAST].layers)
    for name in ("components", "min_samples", "eps", "batch_size", "sample"):
        value = getattr(options, name)
        if value is not None and not (0 < value < float("inf")):
            raise InputError(f"{name}: expected a positive number, received {value}")
    if not 0 <= options.seed <= LARGEST_SEED:
        raise InputError(f"seed: expected 0 to {LARGEST_SEED}, received {options.seed}")
    features.choose_precision(options.precision)
    if options.passing and options.test_run:
        raise InputError(
            "passing images: expected --passing or --test-run, received both. A test run lists its "
            "passing images itself: leave out one of the two."
        )
    if options.recipe == CONTRAST and not (options.passing or options.test_run):
        raise InputError(
            "recipe contrast: expected passing images, received none. Give them by --passing, or a "
            "test run by --test-run."
        )
