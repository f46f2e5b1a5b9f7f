"""From features to clusters and rates, where nothing is a cause, and where causes are planted."""

import numpy as np
import pytest

from pipelines.clusters.rates import classify_clusters, estimate_rates
from pipelines.safe.partition import _match, count_unseen, find_partition
from pipelines.safe.search import Search

WIDTH = 128 + 256 + 512  # of the layers of the contrast recipe
NOISE = -1


def draw(rng, images, content):
    """Draw features of pictures that show this and that: a mix of a few things, and noise."""
    shares = rng.dirichlet(np.full(len(content), 0.5), images)
    return (shares @ content + rng.gamma(2.0, 0.05, (images, WIDTH))).astype(np.float32)


def kinds_of(failing, passing, seed):
    search = Search("contrast", seed=seed)
    partition = find_partition(failing, passing, search)
    alone = np.arange(len(failing) + len(passing))
    groups = alone[: len(failing)], alone[len(failing) :]
    unseen = count_unseen(failing, passing, partition.labels, search, *groups)
    ids = range(partition.labels.max() + 1)
    rates = estimate_rates(*unseen, np.ones(len(passing)), *groups, ids)
    return partition, rates, classify_clusters(rates, {})


@pytest.mark.parametrize("seed", range(3))
def test_passing_images_that_are_called_failing_give_no_situation(seed):
    rng = np.random.default_rng(seed)
    content = rng.gamma(1.0, 1.0, (12, WIDTH))
    images = draw(rng, 400, content)
    _, _, kinds = kinds_of(images[:100], images[100:], seed)
    assert "situation" not in kinds.values()


def test_planted_causes_are_situations_with_their_rates():
    rng = np.random.default_rng(7)
    content = rng.gamma(1.0, 1.0, (12, WIDTH))
    images = draw(rng, 560, content)
    causes = np.repeat([0, 1, -1], [60, 60, 440])
    for cause in (0, 1):
        images[causes == cause, 100 * cause : 100 * cause + 60] += 1.5
    failures = rng.random(560) < np.array([0.7, 0.7, 0.05])[causes]
    partition, rates, kinds = kinds_of(images[failures], images[~failures], 0)
    for cause in (0, 1):
        own = partition.labels[causes[failures] == cause]
        cluster = int(np.bincount(own[own >= 0]).argmax())
        assert kinds[cluster] == "situation"
        true = failures[causes == cause].mean()
        assert rates[cluster].low <= true <= rates[cluster].high
        assert rates[cluster].failing >= 0.7 * (causes[failures] == cause).sum()


def test_images_are_held_by_clusters_that_were_found_without_them():
    rng = np.random.default_rng(3)
    images = draw(rng, 200, rng.gamma(1.0, 1.0, (6, WIDTH)))
    images[:60, :80] += 2
    failing, passing = images[:60], images[60:]
    search = Search("contrast")
    partition = find_partition(failing, passing, search)
    frames = np.repeat(np.arange(20), 3), 20 + np.arange(140)
    labels, passing_labels = count_unseen(failing, passing, partition.labels, search, *frames)
    assert set(labels.tolist()) <= {*partition.labels.tolist(), NOISE}
    assert (passing_labels == NOISE).mean() > 0.95
    # With too few images to leave a third out, nothing can be counted.
    few = count_unseen(failing[:9], passing, partition.labels[:9], search, frames[0][:9], frames[1])
    assert (few[0] == NOISE).all()


def test_clusters_are_matched_where_each_has_most_of_the_other():
    labels = np.array([0] * 6 + [1] * 6 + [NOISE] * 3)
    new = np.array([1] * 5 + [2] + [0] * 2 + [2] * 4 + [0] * 3)
    # 1 is cluster 0; 2 has four of the six of cluster 1, and one other; 0 is mostly noise.
    assert _match(new, labels).tolist() == [NOISE, 0, 1, NOISE]
