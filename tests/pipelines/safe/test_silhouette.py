"""Silhouettes against scikit-learn and a naive version."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples

from pipelines.safe import silhouette
from pipelines.safe.dbscan import NOISE, Distances
from tests.pipelines.safe.data_sets import POINT_SETS, distances_naively, silhouettes_naively


def random_labellings(n, rng):
    labellings = [rng.integers(-1, k, n) for k in (2, 3, 5, 9)]
    single = np.where(np.arange(n) % 4 == 0, NOISE, 0)
    single[[1, 2]] = 1, 2  # two clusters of one image
    labellings += [
        single,
        rng.integers(0, 4, n),  # no noise
        np.zeros(n),  # one cluster
        np.where(rng.random(n) < 0.5, NOISE, 0),  # one cluster and noise
        np.full(n, NOISE),  # no cluster
        np.arange(n),  # every image a cluster
    ]
    return [np.unique(labels, return_inverse=True)[1] - (NOISE in labels) for labels in labellings]


@pytest.mark.parametrize("limit", [0, 20_000])
@pytest.mark.parametrize("block", [7, 1024])
def test_silhouettes_of_several_labellings_at_once_naively(points, limit, block, monkeypatch):
    monkeypatch.setattr(silhouette, "BLOCK", block)
    labellings = [
        labels.astype(np.int32)
        for labels in random_labellings(len(points), np.random.default_rng(9))
    ]
    silhouettes = silhouette.compute_silhouettes(Distances(points, limit=limit), labellings)
    naive = distances_naively(points)
    assert len(silhouettes) == len(labellings)
    for values, labels in zip(silhouettes, labellings, strict=True):
        assert values.dtype == np.float32
        assert values.shape == labels.shape
        assert values == pytest.approx(silhouettes_naively(naive, labels), abs=2e-5)
        assert not values[labels == NOISE].any()
        alone = silhouette.compute_silhouettes(Distances(points), [labels])[0]
        assert values == pytest.approx(alone, abs=1e-5)


def test_silhouettes_are_scikit_learns_where_there_is_no_noise(points):
    rng = np.random.default_rng(10)
    for k in (2, 3, 8):
        labels = np.concatenate([np.arange(k), rng.integers(0, k, len(points) - k)]).astype("i4")
        (silhouettes,) = silhouette.compute_silhouettes(Distances(points), [labels])
        assert silhouettes == pytest.approx(silhouette_samples(points, labels), abs=2e-5)


def test_silhouettes_with_noise_are_scikit_learns_of_the_other_images(points):
    rng = np.random.default_rng(11)
    labels = np.concatenate([np.arange(4), rng.integers(-1, 4, len(points) - 4)]).astype("i4")
    inside = labels != NOISE
    (silhouettes,) = silhouette.compute_silhouettes(Distances(points), [labels])
    expected = silhouette_samples(points[inside], labels[inside])
    assert silhouettes[inside] == pytest.approx(expected, abs=2e-5)


def test_no_labelling_has_no_silhouettes():
    assert silhouette.compute_silhouettes(Distances(POINT_SETS["blobs"]), []) == []
