"""Regions of activations, beside all divisions there are and the paper's silhouette in loops."""

import time
from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from pipelines.deepimportance.quantisation import find_regions, quantise
from pipelines.runs.errors import InputError


def naive_silhouette(values, labels):
    """Equations 2 to 4, in loops; an image alone in its cluster has 0."""
    total = 0.0
    for t, value in enumerate(values):
        groups = {}
        for u, other in enumerate(values):
            if u != t:
                groups.setdefault(labels[u], []).append(abs(other - value))
        own = groups.pop(labels[t], [])
        if not own:
            continue
        inner = sum(own) / len(own)
        outer = min(sum(group) / len(group) for group in groups.values())
        total += (outer - inner) / max(outer, inner) if max(outer, inner) else 0
    return total / len(values)


def naive_means(values, k):
    """Go through all divisions of sorted values into k intervals, equal values together."""
    values = sorted(values)
    borders = [i for i in range(1, len(values)) if values[i] > values[i - 1]]
    best = None
    for cuts in combinations(borders, k - 1):
        clusters = np.split(np.array(values), cuts)
        spread = sum(((cluster - cluster.mean()) ** 2).sum() for cluster in clusters)
        if best is None or spread < best[0] - 1e-12:
            best = spread, clusters
    return best


@pytest.mark.parametrize("seed", range(12))
def test_regions_are_the_best_division_and_the_best_number(seed):
    rng = np.random.default_rng(seed)
    values = np.maximum(rng.normal(rng.choice([-1, 2, 6], 18), 0.7), 0).astype(np.float32)
    if seed % 3 == 0:
        values = np.round(values)
    regions = quantise(values, 5)
    scores = {}
    for k in range(2, 1 + min(5, len(np.unique(values)))):
        spread, clusters = naive_means(values.astype(np.float64), k)
        labels = np.repeat(np.arange(k), [len(cluster) for cluster in clusters])
        scores[k] = naive_silhouette(np.sort(values.astype(np.float64)), labels)
        if k == len(regions.centroids):
            ours = find_regions(values[:, None], [regions])[:, 0]
            groups = [values[ours == label].astype(np.float64) for label in range(k)]
            # Nearest centroids may only better the division, and k-means is where they do not.
            assert sum(((g - g.mean()) ** 2).sum() for g in groups) == pytest.approx(spread)
            assert regions.centroids == pytest.approx([cluster.mean() for cluster in clusters])
            assert regions.sizes.tolist() == [len(cluster) for cluster in clusters]
    assert regions.scores == pytest.approx(scores)
    assert regions.silhouette == max(regions.scores.values())
    assert regions.scores[len(regions.centroids)] == regions.silhouette


def test_the_silhouette_is_scikit_learns_and_an_offset_changes_nothing():
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.normal(c, 0.5, 200) for c in (0, 3, 9)]).astype(np.float32)
    regions = quantise(values)
    labels = find_regions(values[:, None], [regions])[:, 0]
    assert len(regions.centroids) == 3
    assert regions.silhouette == pytest.approx(
        silhouette_score(values[:, None], labels, metric="l1")
    )
    with_offset = quantise(values + np.float32(4096))
    assert with_offset.sizes.tolist() == regions.sizes.tolist()


def test_fifty_thousand_images_take_less_than_5_seconds():
    values = np.maximum(np.random.default_rng(4).normal(0, 1, 50_000), 0).astype(np.float32)
    start = time.process_time()
    regions = quantise(values)
    assert time.process_time() - start < 5
    assert regions.sizes.sum() == 50_000


def test_a_constant_neuron_has_one_region():
    regions = quantise(np.full(30, 0.25, dtype=np.float32))
    assert regions.centroids.tolist() == [0.25]
    assert regions.silhouette is None
    values = np.array([[-1.0], [9.0]], dtype=np.float32)
    assert find_regions(values, [regions]).tolist() == [[0], [0]]


def test_two_values_are_two_regions():
    regions = quantise(np.array([0, 0, 0, 1, 1], dtype=np.float32))
    assert regions.centroids.tolist() == [0, 1]
    assert regions.scores == {2: 1.0}


def test_the_nearest_centroid_decides():
    rng = np.random.default_rng(5)
    values = rng.normal(0, 1, (40, 3)).astype(np.float32)
    regions = [quantise(values[:, i]) for i in range(3)]
    rows = find_regions(values, regions)
    for image in range(40):
        for i, neuron_regions in enumerate(regions):
            distances = [
                abs(float(values[image, i]) - c) for c in neuron_regions.centroids.tolist()
            ]
            assert rows[image, i] == distances.index(min(distances))


def test_too_few_images_are_named():
    with pytest.raises(InputError, match="4 clusters need as many training images, received 3"):
        quantise(np.arange(3, dtype=np.float32))
    with pytest.raises(InputError, match="expected 2 to 255, received 1"):
        quantise(np.arange(9, dtype=np.float32), 1)
    with pytest.raises(InputError, match="expected 2 to 255, received 256"):
        quantise(np.arange(900, dtype=np.float32), 256)
