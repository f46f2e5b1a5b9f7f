"""Ground truth, precision, recall and AUCEC of section IV, against plain loops."""

import json

import numpy as np
import pytest

from pipelines.deepinspect.evaluation import (
    BLOCK,
    average_disparity,
    evaluate_ranking,
    true_errors,
    type1_confusion,
    type2_confusion,
)
from pipelines.deepinspect.ranking import rank_pairs


def encode_one_hot(labels, k):
    return np.eye(k, dtype=bool)[labels]


def mean_of(shares):
    defined_shares = [part for part in shares if part is not None]
    return sum(defined_shares) / len(defined_shares) if defined_shares else np.nan


def naive_type1(labels, predictions, k):
    result = np.zeros((k, k))
    for a in range(k):
        for b in range(k):
            if a != b:
                shares = []
                for label, prediction in ((a, b), (b, a)):
                    images = [i for i in range(len(labels)) if labels[i] == label]
                    wrong = [i for i in images if predictions[i] == prediction]
                    shares.append(len(wrong) / len(images) if images else None)
                result[a, b] = mean_of(shares)
    return result


def naive_type2(truth, predictions, k):
    result = np.zeros((k, k))
    for a in range(k):
        for b in range(k):
            if a != b:
                shares = []
                for there, absent in ((a, b), (b, a)):
                    images = [i for i in range(len(truth)) if truth[i, there]]
                    images = [i for i in images if not truth[i, absent]]
                    both = [i for i in images if predictions[i, a] and predictions[i, b]]
                    shares.append(len(both) / len(images) if images else None)
                result[a, b] = mean_of(shares)
    return result


def naive_disparity(errors):
    k = len(errors)
    result = np.full((k, k), np.nan)
    for a in range(k):
        for b in range(k):
            if a != b:
                thirds = [c for c in range(k) if c not in (a, b)]
                total = sum(abs(errors[a, c] - errors[b, c]) for c in thirds)
                result[a, b] = total / (k - 2)
    return result


def test_type1_is_the_mean_of_both_directions():
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, 5, (2, 300))
    confusion = type1_confusion(encode_one_hot(labels, 6), encode_one_hot(predictions, 6))
    np.testing.assert_allclose(confusion, naive_type1(labels, predictions, 6), atol=1e-12)


def test_of_a_class_without_labels_the_other_direction_counts():
    labels, predictions = np.array([0, 0, 1, 1]), np.array([2, 0, 1, 2])
    confusion = type1_confusion(encode_one_hot(labels, 4), encode_one_hot(predictions, 4))
    assert confusion[0, 2] == 0.5
    assert np.isnan(confusion[2, 3])
    assert confusion[0, 1] == 0


def test_type2_counts_images_that_show_one_of_both():
    rng = np.random.default_rng(1)
    truth, predictions = rng.random((2, BLOCK + 250, 5)) < 0.4
    truth[:, 3] = truth[:, 1]  # the two are never alone
    confusion = type2_confusion(truth, predictions)
    np.testing.assert_allclose(confusion, naive_type2(truth, predictions, 5), atol=1e-12)
    assert np.isnan(confusion[1, 3])


def test_disparity_is_the_mean_over_third_classes():
    errors = np.random.default_rng(2).random((7, 7))
    errors = (errors + errors.T) / 2
    np.fill_diagonal(errors, 0)
    np.testing.assert_allclose(average_disparity(errors), naive_disparity(errors), atol=1e-12)
    with pytest.raises(ValueError, match="needs 3 classes with known errors, received 2"):
        average_disparity(errors[:2, :2])


def test_equal_disparities_stay_equal():
    """Sums of tenths have rounding errors, which must not rank pairs that are equal."""
    tenths = np.random.default_rng(3).integers(0, 4, (12, 12))
    tenths += tenths.T
    np.fill_diagonal(tenths, 0)
    pairs = np.triu_indices(12, 1)
    disparity = average_disparity(tenths / 10)[pairs]
    assert len(np.unique(disparity)) == len(np.unique(naive_disparity(tenths)[pairs]))


def test_a_class_without_any_known_error_has_no_disparity():
    errors = np.random.default_rng(2).random((5, 5))
    errors = (errors + errors.T) / 2
    np.fill_diagonal(errors, 0)
    expected = naive_disparity(errors[:4, :4])
    errors[4, :4] = errors[:4, 4] = np.nan
    disparity = average_disparity(errors)
    np.testing.assert_allclose(disparity[:4, :4], expected, atol=1e-12)
    assert np.isnan(disparity[4]).all()


def naive_area(order, wrong):
    """Go down the list, a trapezium a pair."""
    area, detections = 0.0, 0
    for pair in order:
        before = detections
        detections += wrong[pair]
        area += (before + detections) / 2
    return area / len(order) / sum(wrong)


@pytest.mark.parametrize("lowest_first", [True, False])
def test_the_curve_and_its_area(lowest_first):
    rng = np.random.default_rng(3)
    truth = rng.random(190) ** 3
    scores = rng.normal(size=190) + (-3 if lowest_first else 3) * truth
    ranking = rank_pairs(scores, lowest_first=lowest_first, top_percent=5)
    evaluation = evaluate_ranking(scores, truth, ranking)
    mean = sum(truth) / 190
    threshold = mean + (sum((value - mean) ** 2 for value in truth) / 190) ** 0.5
    wrong = [value > threshold for value in truth]
    assert true_errors(truth).tolist() == wrong
    pair_order = sorted(range(190), key=lambda pair: scores[pair], reverse=not lowest_first)
    assert evaluation.aucec == pytest.approx(naive_area(pair_order, wrong))
    perfect = sorted(range(190), key=lambda pair: not wrong[pair])
    assert evaluation.optimum == pytest.approx(naive_area(perfect, wrong))
    assert evaluation.gain == pytest.approx((evaluation.aucec - 0.5) / 0.5)
    for figures, first_pairs in (
        (evaluation.top_percent, pair_order[:9]),
        (evaluation.one_sd, np.flatnonzero(ranking.one_sd)),
    ):
        tp = sum(wrong[pair] for pair in first_pairs)
        assert (figures.tp, figures.fp) == (tp, len(first_pairs) - tp)
        assert figures.precision == pytest.approx(tp / len(first_pairs))
        assert figures.recall == pytest.approx(tp / sum(wrong))
        assert figures.random_precision == pytest.approx(sum(wrong) / 190)
        assert figures.random_recall == pytest.approx(len(first_pairs) / 190)
    assert (evaluation.pairs, evaluation.errors) == (190, sum(wrong))
    assert evaluation.spearman < 0 if lowest_first else evaluation.spearman > 0
    assert evaluation.curve[0] == (0, 0)
    assert evaluation.curve[-1] == (1, 1)
    document = json.loads(evaluation.as_entry().model_dump_json())
    assert set(document) >= {"one_sd", "top_percent", "aucec", "aucec_gain_over_random", "spearman"}
    assert set(document["one_sd"]) >= {"tp", "fp", "precision", "recall"}


def test_spearman_is_the_correlation_of_ranks():
    rng = np.random.default_rng(8)
    scores, truth = rng.permutation(30) / 1.0, rng.permutation(30) ** 2.0
    evaluation = evaluate_ranking(scores, truth, rank_pairs(scores, lowest_first=True))
    ranks = [sorted(scores).index(value) for value in scores]
    other_ranks = [sorted(truth).index(value) for value in truth]
    apart = sum((a - b) ** 2 for a, b in zip(ranks, other_ranks, strict=True))
    assert evaluation.spearman == pytest.approx(1 - 6 * apart / (30 * (30**2 - 1)))


def test_pairs_of_equal_scores_count_as_in_any_order():
    rng = np.random.default_rng(4)
    scores, truth = rng.integers(0, 4, 40) / 1.0, rng.random(40) ** 4
    evaluation = evaluate_ranking(scores, truth, rank_pairs(scores, lowest_first=True))
    wrong = true_errors(truth).tolist()
    areas = []
    for _ in range(4000):
        pairs = rng.permutation(40)
        order = sorted(pairs, key=lambda pair: scores[pair])
        areas.append(naive_area(order, wrong))
    assert evaluation.aucec == pytest.approx(np.mean(areas), abs=0.005)


def test_pairs_without_a_score_come_last_and_without_a_truth_not_at_all():
    scores = np.array([np.nan, 0.1, 0.2, 0.3, 0.4])
    truth = np.array([1.0, 0.0, 0.0, np.nan, 0.0])
    evaluation = evaluate_ranking(scores, truth, rank_pairs(scores, lowest_first=True))
    assert (evaluation.pairs, evaluation.errors) == (4, 1)
    assert evaluation.aucec == pytest.approx(1 / 8)
    assert (evaluation.top_percent.tp, evaluation.top_percent.fp) == (0, 1)
    assert evaluation.one_sd.recall == 0


def test_without_true_errors_there_is_nothing_to_find():
    scores = np.arange(5.0)
    ranking = rank_pairs(scores, lowest_first=True)
    assert evaluate_ranking(scores, np.zeros(5), ranking) is None
    assert evaluate_ranking(scores, np.full(5, np.nan), ranking) is None
