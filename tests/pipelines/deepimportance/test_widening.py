"""Which new images widen a test set, beside a greedy search in loops."""

import numpy as np
import pytest

from pipelines.deepimportance.quantisation import find_regions, quantise
from pipelines.deepimportance.widening import rank_new_images


@pytest.mark.parametrize("seed", range(4))
def test_greedy_and_varied(seed):
    rng = np.random.default_rng(seed)
    training = rng.gamma(1, 1, (80, 4)).astype(np.float32)
    regions = [quantise(training[:, i]) for i in range(4)]
    test = find_regions(rng.gamma(1, 1, (8, 4)).astype(np.float32), regions)
    new = rng.gamma(1, 1.4, (60, 4)).astype(np.float32)
    rows = find_regions(new, regions)
    covered = list(dict.fromkeys(map(tuple, test.tolist())))
    ranked = rank_new_images(new, rows, np.unique(test, axis=0), regions)

    known, groups = set(covered), {}
    for image, row in enumerate(map(tuple, rows.tolist())):
        if row not in known:
            groups.setdefault(row, []).append(image)
    assert groups
    assert sorted(ranked.images.tolist()) == sorted(
        image for group in groups.values() for image in group
    )
    # Not one is lost to the greedy choice: as many add something as there are new combinations.
    assert ranked.adds.sum() == len(groups)
    assert ranked.adds[: len(groups)].all()
    for place in range(len(groups)):
        row = tuple(rows[ranked.images[place]].tolist())

        def differs(key):
            return min(sum(a != b for a, b in zip(key, c, strict=True)) for c in covered)

        left = {
            key: (differs(key), len(images)) for key, images in groups.items() if key not in covered
        }
        assert left[row] == max(left.values())
        assert ranked.differing_neurons[place] == left[row][0]
        off = {}
        for image in groups[row]:
            parts = []
            for i, neuron_regions in enumerate(regions):
                centroids = neuron_regions.centroids
                parts.append((float(new[image, i]) - centroids[row[i]]) / np.ptp(centroids))
            off[image] = sum(part**2 for part in parts)
        assert off[int(ranked.images[place])] == pytest.approx(min(off.values()))
        covered.append(row)
    assert not ranked.differing_neurons[len(groups) :].any()


def test_images_without_new_combinations_are_not_ranked():
    values = np.random.default_rng(5).gamma(1, 1, (30, 2)).astype(np.float32)
    regions = [quantise(values[:, i]) for i in range(2)]
    rows = find_regions(values, regions)
    assert not len(rank_new_images(values, rows, np.unique(rows, axis=0), regions).images)
