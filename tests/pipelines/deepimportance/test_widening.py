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
    combinations = list(dict.fromkeys(map(tuple, test.tolist())))
    ranking = rank_new_images(new, rows, np.unique(test, axis=0), regions)

    earlier, groups = set(combinations), {}
    for image, row in enumerate(map(tuple, rows.tolist())):
        if row not in earlier:
            groups.setdefault(row, []).append(image)
    assert groups
    assert sorted(ranking.images.tolist()) == sorted(
        image for group in groups.values() for image in group
    )
    # Not one is lost to the greedy choice: as many add something as there are new combinations.
    assert ranking.adds.sum() == len(groups)
    assert ranking.adds[: len(groups)].all()
    for place in range(len(groups)):
        row = tuple(rows[ranking.images[place]].tolist())

        def differs(key):
            return min(sum(a != b for a, b in zip(key, c, strict=True)) for c in combinations)

        candidates = {
            key: (differs(key), len(images))
            for key, images in groups.items()
            if key not in combinations
        }
        assert candidates[row] == max(candidates.values())
        assert ranking.differing_neurons[place] == candidates[row][0]
        off = {}
        for image in groups[row]:
            offsets = []
            for i, neuron_regions in enumerate(regions):
                centroids = neuron_regions.centroids
                offsets.append((float(new[image, i]) - centroids[row[i]]) / np.ptp(centroids))
            off[image] = sum(offset**2 for offset in offsets)
        assert off[int(ranking.images[place])] == pytest.approx(min(off.values()))
        combinations.append(row)
    assert not ranking.differing_neurons[len(groups) :].any()


def test_images_without_new_combinations_are_not_ranked():
    values = np.random.default_rng(5).gamma(1, 1, (30, 2)).astype(np.float32)
    regions = [quantise(values[:, i]) for i in range(2)]
    rows = find_regions(values, regions)
    assert not len(rank_new_images(values, rows, np.unique(rows, axis=0), regions).images)
