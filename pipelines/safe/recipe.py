"""What the user may decide of a search for clusters, and choices that belong together."""

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
    """Choices that belong together.

    Attributes
    ----------
    layers : tuple of str
        Of VGG16, their features side by side.
    views : tuple of tuple of str
        Layers whose features are clustered apart from the others, view after view; the view whose
        clusters have the best silhouette is kept. Empty: all layers are seen together.
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
    contrast : bool
        Whether failing images are seen in contrast with passing ones: see `safe.contrast`.
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
"""What measured best with and without passing images (benchmarks/photographs.py), what measured
best on drawn pictures before there were any (quality.py), and SAFE as printed in section 2."""


@dataclass(frozen=True)
class Options:
    """What the user may decide; None leaves it to the recipe or to the search.

    Attributes
    ----------
    recipe : str
        A key of `RECIPES`; empty takes "contrast" with passing images, else "appearance".
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
    table_files : TableFiles
        What is known of the images.
    passing : Path, optional
        Folder or list of passing images of the same test.
    test_run : Path, optional
        Folder that `test` wrote: it names failing and passing images.
    sample : int
        Passing images that are looked at, at most.
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
            "a test names its passing images itself: give either --passing or --test-run."
        )
    if options.recipe == CONTRAST and not (options.passing or options.test_run):
        raise InputError(
            "recipe contrast: expected passing images to contrast with, received none. Give them "
            "by --passing, or a test by --test-run."
        )
