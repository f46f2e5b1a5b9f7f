"""Clusters of failing images by appearance, without passing images (SAFE, section 2).

Features of deep layers describe what pictures show, those of shallower layers how they were taken.
It is not known beforehand which of the two the causes concern, and features of one kind hide those
of the other. So the images are clustered in several views, each with some of the layers. The
silhouette that chooses DBSCAN's parameters also chooses the view. `benchmarks/photographs.py`
compares the views.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.data.arrays import Floats
from pipelines.safe import features, reduction
from pipelines.safe.clustering import Clustering
from pipelines.safe.denoising import denoise
from pipelines.safe.reduction import Reduction
from pipelines.safe.search import ALIKE, Search, find_clusters


@dataclass(frozen=True)
class View:
    """The clusters of failing images in the features of some layers.

    Attributes
    ----------
    layers : tuple of str
        Layers of this view.
    space : Reduction
        Projection of the features of all layers; it uses only those of `layers`.
    points, moved : arrays of float32, shape (n, c)
        Reduced features, before and after denoising.
    clusters : Clustering
    """

    layers: tuple[str, ...]
    space: Reduction
    points: Floats
    moved: Floats
    clusters: Clustering


def find_view(vectors: Floats, search: Search) -> View:
    """Find the clusters in each view of the recipe, and return the view with the best score.

    Among equal scores, the first view is returned. Time grows with n^2 times the number of views.

    Parameters
    ----------
    vectors : array of float32, shape (n, sum of widths)
        Features of failing images, of all layers of the search.
    """
    views = [_see(vectors, layers, search) for layers in search.views]
    return max(views, key=lambda view: view.clusters.chosen.score)


def _see(vectors: Floats, layers: tuple[str, ...], search: Search) -> View:
    """Find the clusters in the features of some layers."""
    recipe = search.choices
    columns = features.list_columns(search.wanted_layers, layers)
    space = reduction.embed(
        reduction.fit(
            vectors[:, columns],
            features.list_widths(layers),
            components=search.wanted,
            unit_length=recipe.unit_length,
            seed=search.seed,
        ),
        search.widths,
        columns,
    )
    points = reduction.apply(space, vectors)
    moved = denoise(points) if recipe.denoised else points
    clusters = find_clusters(moved, search, ALIKE * float(np.linalg.norm(space.mean)))
    return View(layers, space, points, moved, clusters)
