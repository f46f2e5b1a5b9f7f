"""What looks more like failing images than like other new ones."""

import numpy as np

from pipelines.unsafe_set.contrast import MIN_IMAGES, contrast


def draw(seed, count=300):
    """Draw new images, most of them safe and near a cluster of failing ones, and failing ones."""
    rng = np.random.default_rng(seed)
    crowd = rng.normal(0, 1, (count, 6))
    away = np.array([5, 0, 0, 0, 0, 0])
    rare = rng.normal(0, 1, (count // 10, 6)) + away
    failing = np.concatenate([rng.normal(0, 1, (20, 6)), rng.normal(0, 1, (40, 6)) + away])
    new = np.concatenate([crowd, rare]).astype(np.float32)
    return new, failing.astype(np.float32), np.arange(len(new)) >= count


def test_what_is_common_among_failing_images_and_rare_among_new_ones_comes_first():
    new, failing, rare = draw(0)
    scores = contrast(new, failing, seed=0)
    assert scores.shape == (330,)
    first = np.argsort(-scores)[: rare.sum()]
    assert rare[first].mean() > 0.8
    nearest = np.linalg.norm(new[:, None] - failing[None], axis=2).min(axis=1)
    assert rare[np.argsort(nearest)[: rare.sum()]].mean() < rare[first].mean()


def test_scores_are_those_of_a_seed():
    new, failing, _ = draw(1, 100)
    again = contrast(new, failing, seed=3)
    assert np.array_equal(contrast(new, failing, seed=3), again)
    assert not np.array_equal(contrast(new, failing, seed=4), again)


def test_no_image_is_scored_by_a_machine_that_learnt_from_it(monkeypatch):
    learnt = []

    class Machine:
        def __init__(self, **options):
            pass

        def fit(self, points, kinds):
            self.training_points = {tuple(point) for point in points[~kinds].tolist()}
            return self

        def decision_function(self, points):
            learnt.extend(tuple(point) in self.training_points for point in points.tolist())
            return np.zeros(len(points))

    monkeypatch.setattr("sklearn.svm.SVC", Machine)
    new, failing, _ = draw(2, 100)
    contrast(new, failing, seed=0)
    assert len(learnt) == 3 * len(new)
    assert not any(learnt)


def test_of_few_images_nothing_can_be_told():
    few = np.ones((MIN_IMAGES - 1, 4), np.float32)
    assert not contrast(few, np.ones((100, 4), np.float32), seed=0).any()
    assert not contrast(np.ones((100, 4), np.float32), few, seed=0).any()


def test_with_passing_images_new_ones_are_scored_by_failing_against_passing():
    from sklearn.svm import SVC

    rng = np.random.default_rng(9)
    failing, passing = rng.normal(1, 1, (40, 3)), rng.normal(0, 1, (60, 3))
    new = rng.normal(0, 2, (30, 3)).astype(np.float32)
    sets = failing.astype(np.float32), passing.astype(np.float32)
    scores = contrast(new, sets[0], seed=0, passing=sets[1])
    machine = SVC(class_weight="balanced").fit(
        np.concatenate(sets), np.repeat([True, False], [40, 60])
    )
    np.testing.assert_allclose(scores, machine.decision_function(new), rtol=1e-3, atol=1e-3)
    few = contrast(new, sets[0], seed=0, passing=sets[1][:10])
    np.testing.assert_array_equal(few, contrast(new, sets[0], seed=0))
