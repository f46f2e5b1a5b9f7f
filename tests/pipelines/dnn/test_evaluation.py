"""Labels against predictions: classes, several labels, numbers; and what is found wrong."""

import numpy as np
import pytest

from pipelines.data.labels import CLASS_FOLDERS, Truth, order_classes, read_truth
from pipelines.dnn.evaluation import are_points, confusion_matrix, find_task, judge, read_task
from pipelines.runs.errors import InputError


def truth_of(*labels, columns=("label",), source="labels.csv"):
    values = {f"{n}.png": (v if isinstance(v, tuple) else (v,)) for n, v in enumerate(labels)}
    return Truth(columns, values, source)


def judge_outputs(labels, outputs, activation="softmax", **options):
    truth = labels if isinstance(labels, Truth) else truth_of(*labels)
    outputs = np.array(outputs, np.float32)
    return judge(truth, list(truth.values), outputs, activation, **options)


def test_a_task_that_is_named_is_one_of_three():
    assert [read_task(text) for text in (None, "classes", "several", "numbers")] == [
        None, "classes", "several", "numbers"
    ]  # fmt: skip
    with pytest.raises(
        InputError, match="task: expected classes, several, numbers, received 'class'"
    ):
        read_task("class")


# --- labels -------------------------------------------------------------------------------------


def test_labels_come_from_the_table_and_else_from_class_folders(tmp_path):
    paths = ["cat/a.png", "cat/b.png", "dog/young/c.png", "d.png"]
    truth = read_truth(tmp_path, paths)
    assert truth.source == "class folders"
    assert truth.values == {
        "cat/a.png": ("cat",), "cat/b.png": ("cat",), "dog/young/c.png": ("dog/young",)
    }  # fmt: skip
    (tmp_path / "labels.csv").write_text(
        "path;prediction;label\ncat/a.png;x;lynx\n./d.png;x; dog \ncat/b.png;x;\nelse.png;x;y\n"
    )
    truth = read_truth(tmp_path, paths)
    assert truth.values == {"cat/a.png": ("lynx",), "d.png": ("dog",)}


def test_numbers_take_all_columns(tmp_path):
    (tmp_path / "labels.csv").write_text("path,x,prediction,y\na.png,1.5,7,-2\n")
    truth = read_truth(tmp_path, ["a.png"])
    assert (truth.columns, truth.values) == (("x", "y"), {"a.png": ("1.5", "-2")})


def test_no_labels_at_all(tmp_path):
    with pytest.raises(InputError, match=r"has no labels: expected a table labels\.csv"):
        read_truth(tmp_path, ["a.png"])
    (tmp_path / "labels.csv").write_text("path,label\nb.png,x\n")
    with pytest.raises(InputError, match=r"such as 'a\.png', received others, such as 'b\.png'"):
        read_truth(tmp_path, ["a.png"])
    (tmp_path / "labels.csv").write_text("path,label\na.png,\n")
    with pytest.raises(InputError, match="labels none of 1 image:"):
        read_truth(tmp_path, ["a.png"])


@pytest.mark.parametrize(
    ("labels", "outputs", "names", "expected"),
    [
        (("b", "a", "c"), 3, None, ("a", "b", "c")),
        (("b", "a"), 1, None, ("a", "b")),
        (("2", "0"), 3, None, ("0", "1", "2")),
        (("b", "a"), 3, ("c", "b", "a"), ("c", "b", "a")),
    ],
)
def test_the_order_of_classes(labels, outputs, names, expected):
    assert order_classes(truth_of(*labels), outputs, names, False) == expected


def test_classes_that_the_network_does_not_know():
    with pytest.raises(InputError, match="has no class 'z'"):
        order_classes(truth_of("z", "a"), 2, ("a", "b"), False)
    with pytest.raises(
        InputError, match=r"has 3 classes, but the labels \(labels.csv\) name 2 \(a, b.*--classes"
    ):
        order_classes(truth_of("b", "a"), 3, None, False)
    with pytest.raises(InputError, match="expected 3 names"):
        order_classes(truth_of("a"), 3, ("a", "b"), False)


# --- what a network predicts --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "activation", "outputs", "task"),
    [
        (("a", "b"), "softmax", 2, "classes"),
        (("1", "2"), "softmax", 2, "classes"),
        (("0", "2"), "linear", 3, "classes"),  # logits: one number, three outputs
        (("a;b", "b"), "sigmoid", 2, "several"),
        (("1.5;2", "3;4"), "linear", 2, "numbers"),
        (("1.5", "3"), "linear", 1, "numbers"),
        (("a", "b"), "sigmoid", 1, "classes"),
    ],
)
def test_the_task_follows_from_labels_and_model(labels, activation, outputs, task):
    assert find_task(truth_of(*labels), activation, outputs) == task


def test_the_class_with_the_largest_share_is_predicted():
    outcome = judge_outputs(
        "acbb", [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1], [0.2, 0.5, 0.3]]
    )
    assert outcome.predicted == ("a", "b", "b", "b")
    assert outcome.correct.tolist() == [True, False, True, True]
    assert outcome.targets.tolist() == [0, 1, 1, 1]
    assert outcome.accuracy() == 0.75
    assert confusion_matrix(outcome).tolist() == [[1, 0, 0], [0, 2, 0], [0, 1, 0]]


def test_logits_become_shares():
    logits = np.random.default_rng(0).normal(0, 3, (5, 3))
    outcome = judge_outputs("abcab", logits, "linear")
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.allclose(outcome.scores, shares, atol=1e-6)
    binary = judge_outputs("ab", [[-2.0], [3.0]], "linear", task="classes")
    assert np.allclose(binary.scores[:, 1], 1 / (1 + np.exp([2.0, -3.0])), atol=1e-6)


def test_one_output_stands_for_two_classes():
    outcome = judge_outputs(("open", "closed", "open"), [[0.9], [0.2], [0.4]], "sigmoid")
    assert outcome.names == ("closed", "open")
    assert outcome.predicted == ("open", "closed", "closed")
    assert outcome.targets.tolist() == [0, 0, 0]
    assert np.allclose(outcome.scores.sum(axis=1), 1)


def test_several_labels_are_right_when_all_are():
    outcome = judge_outputs(
        ("a;c", "b", "a;b", "c"),
        [[0.9, 0.1, 0.8], [0.2, 0.7, 0.6], [0.9, 0.4, 0.1], [0.1, 0.1, 0.9]],
        "sigmoid",
    )
    assert outcome.predicted == ("a;c", "b;c", "a", "c")
    assert outcome.correct.tolist() == [True, False, False, True]
    assert outcome.targets.tolist()[1:3] == [2, 1]  # what is most wrong is explained


def test_numbers_fail_above_the_threshold():
    rows = [("1.0",), ("2.0",), ("3.0",)]
    outcome = judge_outputs(truth_of(*rows), [[1.4], [2.6], [3.0]], "linear", error_threshold=0.5)
    assert outcome.correct.tolist() == [True, False, True]
    assert np.allclose(outcome.errors, [0.4, 0.6, 0.0])


def test_key_points_fail_by_their_mean_distance_and_the_worst_output_is_explained():
    rng = np.random.default_rng(0)
    labels = rng.uniform(0, 50, (6, 8))
    outputs = labels + rng.normal(0, 4, labels.shape)
    rows = [tuple(f"{value!r}" for value in row.tolist()) for row in labels]
    columns = ("nose_x", "nose_y", "x1", "y1", "LX", "LY", "chin x", "chin y")
    outcome = judge_outputs(
        truth_of(*rows, columns=columns), outputs, "linear", error_threshold=4.0
    )
    for place in range(6):
        distances = [
            (
                (outputs[place, p] - labels[place, p]) ** 2
                + (outputs[place, p + 1] - labels[place, p + 1]) ** 2
            )
            ** 0.5
            for p in (0, 2, 4, 6)
        ]
        assert outcome.errors[place] == pytest.approx(sum(distances) / 4, rel=1e-4)
        assert outcome.correct[place] == (sum(distances) / 4 <= 4)
        assert outcome.targets[place] == np.abs(outputs[place] - labels[place]).argmax()
    assert outcome.names == columns
    plain = truth_of(*rows, columns=tuple("abcdefgh"))
    by_option = judge_outputs(plain, outputs, "linear", error_threshold=4.0, key_points=True)
    assert np.array_equal(by_option.errors, outcome.errors)
    means = judge_outputs(plain, outputs, "linear", error_threshold=4.0)
    assert np.allclose(means.errors, np.abs(outputs - labels).mean(axis=1), rtol=1e-4)
    with pytest.raises(InputError, match=r"expected x and y of each point.*received 3"):
        judge_outputs(truth_of("1;2;3"), [[1, 2, 3]], "linear", error_threshold=1, key_points=True)


@pytest.mark.parametrize(
    ("names", "points"),
    [
        (("x", "y"), True),
        (("left_x", "left_y", "x2", "y2"), True),
        (("yaw", "speed"), False),
        (("x", "y", "z"), False),
        (("y", "x"), False),
        (("x1", "y2"), False),
        (("max", "may"), True),
        ((), False),
    ],
)
def test_pairs_that_differ_by_an_x_and_a_y_are_places(names, points):
    assert are_points(names) == points


def test_bits_before_a_sigmoid_are_asked_about():
    with pytest.raises(InputError, match=r"give --task classes .* or --task numbers"):
        judge_outputs("01", [[-3.0], [6.0]], "linear")
    assert judge_outputs("01", [[-3.0], [6.0]], "linear", task="classes").accuracy() == 1


def test_names_with_leading_zeros_are_names():
    outcome = judge_outputs(("00000", "00001"), [[0.9, 0.1], [0.2, 0.8]])
    assert outcome.names == ("00000", "00001")
    folders = truth_of(*map(str, range(12)), source="class folders")
    assert order_classes(folders, 12, None, False)[:3] == ("0", "1", "10")  # as Keras sorts them
    table = truth_of(*map(str, range(12)))
    assert order_classes(table, 12, None, False)[:3] == ("0", "1", "2")


def test_numbers_without_a_threshold_or_with_another_count():
    with pytest.raises(InputError, match="give --error-threshold"):
        judge_outputs(truth_of(("1.0",)), [[1.0]], "linear")
    with pytest.raises(InputError, match=r"label of 0.png: expected 2 numbers.*'1.0'"):
        judge_outputs(truth_of("1.0"), [[1.0, 2.0]], "linear", task="numbers", error_threshold=1.0)


def test_an_order_of_classes_that_was_guessed_is_doubted():
    shares = np.eye(3)[[1, 2, 0] * 5]
    outcome = judge_outputs("abc" * 5, shares)
    assert outcome.accuracy() == 0
    assert "the accuracy would be 100% instead of 0%" in outcome.note
    assert judge_outputs("abc" * 5, np.eye(3)[[0, 1, 2] * 5]).note == ""
    assert judge_outputs("abc" * 5, shares, classes=("c", "a", "b")).accuracy() == 1


def test_a_class_folder_is_one_class_whatever_its_name():
    truth = Truth(("label",), {"a;b/1.png": ("a;b",), "c/1.png": ("c",)}, CLASS_FOLDERS)
    assert find_task(truth, "sigmoid", 1) == "classes"
