"""How far two runs agree."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from pipelines.clusters.agreement import adjusted_rand_index, compare
from pipelines.clusters.clusters import RootCauseClusters


def clusters_of(digests, labels):
    n = len(digests)
    zeros = np.zeros(n, np.float32)
    return RootCauseClusters(
        paths=tuple(f"{place}.png" for place in range(n)),
        digests=tuple(digests),
        labels=np.array(labels, np.int32),
        core=np.ones(n, np.bool_),
        silhouettes=zeros,
        centre_distances=zeros,
        places=np.zeros((n, 2), np.float32),
    )


@pytest.mark.parametrize("seed", range(6))
def test_the_index_counts_pairs_as_hubert_and_arabie_do(seed):
    rng = np.random.default_rng(seed)
    first_labels, second_labels = rng.integers(-1, 3, 30), rng.integers(0, 4, 30)
    second_labels[:15] = first_labels[:15]
    digests = [f"{n:064x}" for n in range(30)]
    order = rng.permutation(30)
    agreement = compare(
        clusters_of(digests, first_labels),
        clusters_of([digests[place] for place in order], second_labels[order]),
    )
    together = apart = 0
    for a, b in combinations(range(30), 2):
        together += first_labels[a] == first_labels[b] and second_labels[a] == second_labels[b]
        apart += first_labels[a] != first_labels[b] and second_labels[a] != second_labels[b]
    assert agreement.images == 30
    assert agreement.index == pytest.approx(
        adjusted_rand_score(first_labels, second_labels), abs=1e-12
    )
    for place, row in enumerate(agreement.rows):
        for at, column in enumerate(agreement.columns):
            assert (
                agreement.table[place, at]
                == ((first_labels == row) & (second_labels == column)).sum()
            )
    rand = (together + apart) / (30 * 29 / 2)
    assert agreement.index <= rand


def test_images_join_on_their_bytes_and_equal_files_count_once():
    agreement = compare(clusters_of("abcx", [0, 0, 1, 1]), clusters_of("cbaay", [0, 1, 1, 1, 1]))
    assert agreement.images == 3
    assert agreement.index == 1.0
    none = compare(clusters_of("ab", [0, 0]), clusters_of("cd", [0, 0]))
    assert (none.images, none.index, none.table.size) == (0, None, 0)


def test_one_cluster_on_both_sides_is_full_agreement():
    assert adjusted_rand_index(np.array([[5]])) == 1.0
