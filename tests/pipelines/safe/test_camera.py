"""Whether two sets of images differ as a whole, on features that are drawn."""

import numpy as np

from pipelines.safe.camera import describe_cameras, measure_separability

LABELS = np.repeat([0, 1, 2, -1], [30, 25, 20, 25]).astype(np.int32)


def draw(rng, images, offset=0.0):
    return (4 + rng.normal(0, 0.5, (images, 64)) + offset).astype(np.float32)


def test_another_camera_is_told_whatever_the_cluster():
    rng = np.random.default_rng(0)
    failing, passing = draw(rng, 100, np.r_[np.full(8, 1.5), np.zeros(56)]), draw(rng, 120)
    accuracy = measure_separability(failing, passing, LABELS, seed=0)
    assert accuracy > 0.95
    (note,) = describe_cameras(accuracy)
    assert "differ as a whole" in note


def test_causes_are_no_camera():
    rng = np.random.default_rng(1)
    failing, passing = draw(rng, 100), draw(rng, 120)
    for cluster in range(3):  # each cause moves features of its own, and by far
        failing[cluster == LABELS, 8 * cluster : 8 * cluster + 8] += 3
    accuracy = measure_separability(failing, passing, LABELS, seed=0)
    assert accuracy < 0.8
    assert describe_cameras(accuracy) == []


def test_one_cluster_alone_tells_nothing():
    rng = np.random.default_rng(2)
    failing, passing = draw(rng, 40, 3.0), draw(rng, 60)
    assert measure_separability(failing, passing, np.zeros(40, np.int32), seed=0) is None
    assert describe_cameras(None) == []
