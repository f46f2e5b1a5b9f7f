"""Sets of points, and a store of features."""

import numpy as np
import pytest

from pipelines.safe.dbscan import NOISE
from pipelines.safe.store import open_store
from tests.pipelines.safe.data_sets import POINT_SETS


@pytest.fixture(params=POINT_SETS)
def points(request):
    return POINT_SETS[request.param]


@pytest.fixture
def far_blobs():
    """Return three far blobs of 20, 30 and 12 images and five outliers, and the truth."""
    rng = np.random.default_rng(7)
    truth = np.repeat([0, 1, 2, NOISE], [20, 30, 12, 5])
    centres = np.array([[0, 0, 0], [20, 0, 0], [0, 20, 0]])
    places = np.where(truth[:, None] == NOISE, 0, centres[truth]) + rng.normal(size=(67, 3)) * 0.5
    places[truth == NOISE] = [[60, 60, 0], [-70, 5, 9], [9, -80, 0], [5, 5, 90], [-50, -60, -70]]
    order = rng.permutation(67)
    return places[order].astype(np.float32), truth[order]


@pytest.fixture
def feature_store(cache):
    """Open an empty store of five features an image."""
    with open_store(cache, "w", ("block1_pool",), "float32", 5) as new_store:
        yield new_store
