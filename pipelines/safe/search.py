"""Settings of a search for clusters: the choices of the recipe and of the user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Floats
from pipelines.safe import clustering, features
from pipelines.safe.clustering import Clustering
from pipelines.safe.recipe import RECIPES, ClusteringRecipe

ALIKE = 1e-4
"""Features that differ by a smaller share of their mean's length count as equal."""

Step = Callable[[int, int], None]


@dataclass(frozen=True)
class Search:
    """Settings of the search for a partition; None leaves a value to the recipe or to the search.

    Attributes
    ----------
    recipe : str
        A key of `RECIPES`.
    layers : tuple of str
        Layers of the features; empty for those of the recipe.
    components, min_samples : int, optional
    eps : float, optional
    seed : int
    groups : array of int64, shape (n,), optional
        Group of each image. The contrast recipe then clusters the looks of groups instead of
        images.
    step : callable
        Called with ``(done, total)``.
    """

    recipe: str
    layers: tuple[str, ...] = ()
    components: int | None = None
    min_samples: int | None = None
    eps: float | None = None
    seed: int = 0
    groups: NDArray[np.int64] | None = None
    step: Step = lambda done, total: None

    @property
    def choices(self) -> ClusteringRecipe:
        """The choices of the recipe."""
        return RECIPES[self.recipe]

    @property
    def wanted_layers(self) -> tuple[str, ...]:
        """Layers of the features: the user's choice, otherwise those of the recipe."""
        return self.layers or self.choices.layers

    @property
    def views(self) -> tuple[tuple[str, ...], ...]:
        """Sets of layers that are clustered separately; see `ClusteringRecipe`."""
        return (not self.layers and self.choices.views) or (self.wanted_layers,)

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of features of each layer."""
        return features.list_widths(self.wanted_layers)

    @property
    def wanted(self) -> int:
        """Largest number of principal components."""
        return self.components or self.choices.components


def find_clusters(moved: Floats, search: Search, alike: float) -> Clustering:
    """Find the clusters of denoised points, by the choices of the recipe (`clustering.search`)."""
    recipe = search.choices
    return clustering.search(
        moved,
        eps=search.eps,
        min_samples=search.min_samples,
        noise_is_a_cluster=recipe.noise_is_a_cluster,
        largest_share=recipe.largest_share,
        alike=alike,
        step=search.step,
    )
