"""Which layers tell the causes apart is decided by the clusters that they give."""

import numpy as np
import pytest

from pipelines.safe import features
from pipelines.safe.appearance import find_view
from pipelines.safe.recipe import ALONE, RECIPES
from pipelines.safe.search import Search

LAYERS = RECIPES[ALONE].layers
DEEP, SHALLOW = RECIPES[ALONE].views


def draw(layer: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw features of 90 images; those of one layer tell three causes apart, others nothing."""
    rng = np.random.default_rng(seed)
    causes = np.repeat([0, 1, 2], 30)
    vectors = rng.gamma(1.0, 1.0, (90, sum(features.list_widths(LAYERS)))).astype(np.float32)
    columns = features.list_columns(LAYERS, (layer,))
    for cause in range(3):
        vectors[np.ix_(causes == cause, columns[cause::3])] += 4
    return vectors, causes


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("layer", "view"), [("block5_pool", DEEP), ("block3_pool", SHALLOW)])
def test_the_view_that_tells_causes_apart_is_kept(layer, view, seed):
    vectors, causes = draw(layer, seed)
    view_of_search = find_view(vectors, Search(ALONE))
    assert view_of_search.layers == view
    labels = view_of_search.clusters.labels
    assert len(set(labels.tolist()) - {-1}) == 3
    for cluster in range(3):
        assert len(set(causes[labels == cluster].tolist())) == 1


def test_the_view_kept_is_that_of_the_best_score_of_all():
    vectors, _ = draw("block4_pool", 5)
    alone = [find_view(vectors[:, features.list_columns(LAYERS, view)], Search(ALONE, layers=view))
             for view in (DEEP, SHALLOW)]  # fmt: skip
    best = max(alone, key=lambda view: view.clusters.chosen.score)
    view_of_search = find_view(vectors, Search(ALONE))
    assert view_of_search.layers == best.layers
    assert view_of_search.clusters.labels.tolist() == best.clusters.labels.tolist()
    np.testing.assert_allclose(view_of_search.points, best.points, atol=1e-5)


def test_layers_that_the_user_chose_are_seen_together():
    vectors, _ = draw("block3_pool", 1)
    assert find_view(vectors, Search(ALONE, layers=LAYERS)).layers == LAYERS
