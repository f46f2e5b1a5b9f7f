"""Which parameters are named: the minP procedure in plain loops, words, order, confusions."""

import math
import re
from collections import Counter

import numpy as np
import pytest

from pipelines.clusters import parameter_findings
from pipelines.clusters.shared_parameters import find_confusions, find_parameters
from pipelines.clusters.variance_reduction import HIGH_REDUCTION, compute_reductions
from pipelines.data.parameter_tables import read_parameters
from pipelines.data.parameters import Parameter
from tests.pipelines.clusters.test_parameter_contrast import naive_thresholds
from tests.pipelines.clusters.test_variance_reduction import naive_figure

WEATHER = ("rain", "snow", "sun")


def make_labels(*sizes):
    """Return labels of clusters of these sizes; the last is the size of the noise."""
    return np.repeat([*range(len(sizes) - 1), -1], sizes).astype(np.int32)


def three(rng, labels, missing=0.0):
    """Draw a number, an angle and a category; cluster 0 shares the first two, 1 the last."""
    count = len(labels)
    number = rng.normal(190, 15, count)
    number[labels == 0] = rng.normal(218, 2, (labels == 0).sum())
    angle = rng.uniform(0, 360, count)
    angle[labels == 0] = rng.normal(45, 10, (labels == 0).sum()) % 360
    category = rng.integers(0, 3, count).astype(float)
    category[labels == 1] = 0
    for values in (number, angle, category):
        values[rng.random(count) < missing] = np.nan
    return [
        Parameter("yaw", "number", number),
        Parameter("gaze", "angle", angle),
        Parameter("weather", "category", category, WEATHER),
    ]


def thresholds_of(parameters, members, count, seed, draws):
    """Westfall and Young's minP, by the definition; thresholds by name of the parameter."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(count).tolist() for _ in range(draws)]
    figures = {}
    for parameter in parameters:
        values = parameter.values.tolist()
        everything = [value for value in values if not math.isnan(value)]
        size = sum(not math.isnan(values[image]) for image in members)
        if size < 3 or 2 * size < len(members):
            continue
        figures[parameter.name] = []
        for order in orders:
            group = [values[image] for image in order if not math.isnan(values[image])][:size]
            figures[parameter.name].append(
                round(naive_figure(parameter.kind, group, everything), 7)
            )
    return naive_thresholds(figures, draws)


@pytest.mark.parametrize(("seed", "missing"), [(0, 0), (1, 0), (2, 0.2), (3, 0.2)])
def test_named_and_chance_naively(seed, missing):
    rng = np.random.default_rng(seed)
    labels = make_labels(9, 12, 4, 30)
    rng.shuffle(labels)
    parameters = three(rng, labels, missing)
    by_group = find_parameters(parameters, labels, seed=seed, draws=140)
    assert set(by_group) == {0, 1, 2}
    assert {finding.parameter for finding in by_group[0]} >= {"yaw", "gaze"}
    for group, findings in by_group.items():
        members = np.flatnonzero(labels == group).tolist()
        thresholds = thresholds_of(parameters, members, len(labels), seed, 140)
        expected = {}
        for parameter in parameters:
            own = [v for v in parameter.values[members].tolist() if not math.isnan(v)]
            everything = [v for v in parameter.values.tolist() if not math.isnan(v)]
            if parameter.name in thresholds:
                figure = naive_figure(parameter.kind, own, everything)
                if figure > thresholds[parameter.name] + 1e-7:
                    expected[parameter.name] = figure, thresholds[parameter.name]
        assert {f.parameter: (f.reduction, f.chance) for f in findings} == {
            name: (pytest.approx(figure, abs=1e-8), pytest.approx(chance, abs=2e-7))
            for name, (figure, chance) in expected.items()
        }


def draw_parameters(rng, count, parameters=10):
    """Draw parameters of all kinds, among them ones with heavy tails, that nothing is shared of."""
    kinds = (
        lambda: ("number", rng.normal(100, 5, count)),
        lambda: ("angle", rng.uniform(0, 360, count)),
        lambda: ("category", rng.integers(0, 3, count).astype(float)),
        lambda: ("number", (rng.random(count) < 0.01) * rng.normal(5, 1, count)),
        lambda: ("number", rng.exponential(1, count)),
    )
    mixture = []
    for place in range(parameters):
        kind, values = kinds[place % len(kinds)]()
        values[rng.random(count) < 0.1] = np.nan
        mixture.append(Parameter(f"p{place}", kind, values, WEATHER if kind == "category" else ()))
    return mixture


def test_of_clusters_that_share_nothing_one_in_twenty_gets_a_parameter():
    with_parameter = groups = 0
    for draw in range(16):
        rng = np.random.default_rng(draw)
        labels = make_labels(*[3, 5, 8, 12, 20] * 5, 160)
        rng.shuffle(labels)
        by_group = find_parameters(draw_parameters(rng, len(labels)), labels, seed=draw)
        groups += len(by_group)
        with_parameter += sum(map(bool, by_group.values()))
    assert groups == 400
    assert 5 <= with_parameter <= 34  # 5 % of 400 are 20; both are beyond one case in a thousand


def test_very_many_parameters_are_not_silenced():
    rng = np.random.default_rng(0)
    labels = make_labels(20, 20, 20, 60)
    values = rng.normal(size=(150, 120))
    values[0, labels == 0] *= 0.01
    parameters = [Parameter(f"p{place}", "number", row) for place, row in enumerate(values)]
    by_group = find_parameters(parameters, labels, seed=0)
    assert [finding.parameter for finding in by_group[0]] == ["p0"]


def test_a_parameter_with_heavy_tails_silences_itself_alone():
    rng = np.random.default_rng(0)
    labels = make_labels(6, 194)
    yaw = rng.normal(0, 10, 200)
    yaw[labels == 0] = rng.normal(5, 0.5, 6)
    rare = np.zeros(200)
    rare[-4:] = 7
    parameters = [Parameter("yaw", "number", yaw), Parameter("rare", "number", rare)]
    (finding,) = find_parameters(parameters, labels, seed=0)[0]
    assert finding.parameter == "yaw"
    assert finding.chance < finding.reduction < 1  # which is what most random groups have of `rare`


def test_a_constant_parameter_is_never_named():
    labels = make_labels(10, 30)
    parameters = [Parameter("x", "number", np.full(40, 0.1))]
    assert find_parameters(parameters, labels, seed=0) == {0: []}


def test_one_cluster_of_everything_shares_nothing():
    rng = np.random.default_rng(0)
    labels = make_labels(40, 0)
    assert find_parameters(three(rng, make_labels(10, 10, 20)), labels, seed=0) == {0: []}


def test_nothing_to_say_anything_of():
    labels = make_labels(5, 5)
    assert find_parameters([], labels, seed=0) == {0: []}
    parameters = [Parameter("x", "number", np.arange(10.0))]
    assert find_parameters(parameters, make_labels(10), seed=0) == {}
    assert find_parameters([], make_labels(0), seed=0) == {}
    few = [Parameter("x", "number", np.array([1, 2, *[np.nan] * 3, 1, 2, 3, 4, 5]))]
    assert find_parameters(few, labels, seed=0) == {0: []}


def test_the_same_seed_gives_the_same_findings():
    rng = np.random.default_rng(0)
    labels = make_labels(10, 10, 40)
    parameters = three(rng, labels)
    first, second, other = (find_parameters(parameters, labels, seed=seed) for seed in (1, 1, 2))
    assert first == second != other


def test_blocks_do_not_matter(monkeypatch):
    rng = np.random.default_rng(0)
    labels = make_labels(10, 12, 40)
    parameters = three(rng, labels, missing=0.1)
    whole = find_parameters(parameters, labels, seed=0, draws=200)
    monkeypatch.setattr("pipelines.clusters.shared_parameters.BLOCK", 300)
    assert find_parameters(parameters, labels, seed=0, draws=200) == whole


def test_values_of_other_images_are_refused():
    with pytest.raises(ValueError, match=r"x: expected values of shape \(3,\)"):
        find_parameters([Parameter("x", "number", np.zeros(2))], make_labels(2, 1), seed=0)


def test_words_with_figures():
    rng = np.random.default_rng(0)
    labels = make_labels(20, 20, 200)
    parameters = three(rng, labels)
    parameters[0].values[0] = 240  # which widens the range beyond cluster 0
    by_group = find_parameters(parameters, labels, seed=0)
    yaw, gaze = (
        next(finding for finding in by_group[0] if finding.parameter == name)
        for name in ("yaw", "gaze")
    )
    weather = next(finding for finding in by_group[1] if finding.parameter == "weather")
    assert re.fullmatch(
        r"yaw: variance \u2212\d\d % \(by chance \u2212\d\d %\), mean 2[12]\d against 19\d",
        yaw.words,
    )
    assert re.fullmatch(
        r"gaze: variance \u2212\d\d % \(by chance \u2212\d\d %\), mean direction 4\d(\.\d)?\u00b0",
        gaze.words,
    )
    assert re.fullmatch(
        r"weather: rain in 100 % against \d\d % of all \(by chance \d\d %\)", weather.words
    )
    values = parameters[0].values
    assert yaw.figure == pytest.approx(values[:20].mean())
    assert yaw.overall == pytest.approx(values.mean())
    share = (parameters[2].values == 0).mean()
    assert (weather.figure, weather.overall) == (1, pytest.approx(share))
    assert (weather.category, weather.kind) == ("rain", "category")
    assert weather.reduction == pytest.approx(1 - share)
    assert f"(by chance {100 * (share + weather.chance):.0f} %)" in weather.words


@pytest.mark.parametrize(
    ("centre", "spread", "middle", "words"),
    [
        (0, 10, 100, ", near the edge 1"),
        (0, 10, -100, ", near the edge \u22121"),
        (0, 10, 5, "mean 5"),
        (0, 1e-3, 0.1, "mean 0.1 against 0.0"),
        (2_000_000, 50, 2_000_200, "mean 20002"),
        (-2_000_000, 50, -2_000_200, "mean \u221220002"),
        (0, 1e-9, 1e-7, "e\u221207 against"),
    ],
)
def test_means_have_the_digits_that_tell_them_apart(centre, spread, middle, words):
    rng = np.random.default_rng(0)
    labels = make_labels(20, 400)
    values = rng.normal(centre, spread, 420)
    values[:20] = rng.normal(middle, spread / 100, 20)
    (finding,) = find_parameters([Parameter("x", "number", values)], labels, seed=0)[0]
    assert words in finding.words
    own, other = re.search(r"mean (\S+) against ([^\s,]+)", finding.words).groups()
    assert own != other


@pytest.mark.parametrize(
    ("shrunk", "words"), [(0, "\u2212100 %"), (0.06, "\u221299.6 %"), (0.3, "\u221290 %")]
)
def test_percentages_do_not_exaggerate(shrunk, words):
    labels = make_labels(20, 400)
    values = np.tile(np.linspace(-1, 1, 20), 21)
    values[:20] *= shrunk
    (finding,) = find_parameters([Parameter("x", "number", values)], labels, seed=0)[0]
    assert f"variance {words} (" in finding.words
    assert finding.words.endswith("mean 0 against 0")  # and not 1e-17


def test_a_direction_just_below_a_whole_turn():
    labels = make_labels(20, 100)
    values = np.random.default_rng(0).uniform(0, 360, 120)
    values[:20] = 359.99
    (finding,) = find_parameters([Parameter("gaze", "angle", values)], labels, seed=0)[0]
    assert finding.words.endswith("mean direction 0\u00b0")


def test_the_most_surprising_comes_first():
    rng = np.random.default_rng(0)
    labels = make_labels(30, 370)
    inside = labels == 0
    numbers = rng.normal(0, 1, (3, 400))
    numbers[0, inside] *= 0.5
    numbers[1, inside] *= 0.05
    numbers[2, inside] = 4 + 0.05 * numbers[2, inside]
    angle = rng.uniform(0, 360, 400)
    angle[inside] = rng.normal(180, 20, 30)
    common, rare = (rng.random((2, 400)) < [[0.5], [0.03]]).astype(float)
    common[inside] = rare[inside] = 1
    parameters = [
        Parameter("common", "category", common, ("no", "yes")),
        Parameter("half", "number", numbers[0]),
        Parameter("narrow", "number", numbers[1]),
        Parameter("angle", "angle", angle),
        Parameter("rare", "category", rare, ("no", "yes")),
        Parameter("narrow and far", "number", numbers[2]),
    ]
    findings = find_parameters(parameters, labels, seed=0)[0]
    assert [finding.parameter for finding in findings] == [
        "narrow and far",
        "rare",
        "narrow",
        "angle",
        "common",
        "half",
    ]


def naive_confusions(labels_of_images, predictions, labels):
    confusions = {}
    for group in sorted({*labels.tolist()} - {-1}):
        pairs = Counter()
        for label, prediction, own in zip(
            labels_of_images, predictions, labels.tolist(), strict=True
        ):
            if own == group and label and prediction and label != prediction:
                pairs[label, prediction] += 1
        ranking = sorted((-count, *pair) for pair, count in pairs.items())
        confusions[group] = [(label, prediction, -count) for count, label, prediction in ranking]
    return confusions


@pytest.mark.parametrize("seed", range(3))
def test_confusions_naively(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, 3, 200).astype(np.int32)
    values = rng.integers(0, 3, (2, 200)).astype(float)
    values[rng.random((2, 200)) < 0.1] = np.nan
    words = [["" if math.isnan(v) else WEATHER[int(v)] for v in row] for row in values]
    parameters = [
        Parameter("prediction", "category", values[1], WEATHER),
        Parameter("other", "number", values[1]),
        Parameter("label", "category", values[0], WEATHER),
    ]
    assert find_confusions(parameters, labels) == naive_confusions(*words, labels)


def test_confusions_of_numbers_and_of_a_category_of_numbers():
    labels = np.array([0, 0, 0, 0, -1], dtype=np.int32)
    parameters = [
        Parameter("label", "category", np.array([0.0, 1, 1, 0, 0]), ("0", "1")),
        Parameter("prediction", "number", np.array([0.0, 2, 2, 1, 2])),
    ]
    assert find_confusions(parameters, labels) == {0: [("1", "2", 2), ("0", "1", 1)]}


def test_no_confusions_without_both_columns():
    labels = np.array([0, 1], dtype=np.int32)
    label = Parameter("label", "number", np.zeros(2))
    assert find_confusions([], labels) == {0: [], 1: []}
    assert find_confusions([label], labels) == {0: [], 1: []}
    angle = Parameter("prediction", "angle", np.ones(2))
    assert find_confusions([label, angle], labels) == {0: [], 1: []}


def test_a_small_reduction_is_not_said_however_sure_it_is():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, -1], 2000).astype(np.int32)
    values = rng.normal(size=4000) * np.where(labels == 0, 0.8, 1.0)
    small = Parameter("yaw", "number", values)
    assert 0.1 < compute_reductions(small, labels)[0][0] < HIGH_REDUCTION
    assert find_parameters([small], labels, seed=0) == {0: []}
    large = Parameter("yaw", "number", values * np.where(labels == 0, 0.5, 1.0))
    assert [finding.parameter for finding in find_parameters([large], labels, seed=0)[0]] == ["yaw"]


def test_booleans_are_alike_in_label_and_prediction(tmp_path):
    rows = ["a,True,true", "b,True,FALSE", "c,False,Unknown", "d,False,false"]
    (tmp_path / "table.csv").write_text("\n".join(["path,label,prediction", *rows]))
    table = read_parameters([tmp_path / "table.csv"], list("abcd"), [])
    confusions = find_confusions(table.parameters, np.zeros(4, np.int32))
    assert confusions == {0: [("false", "Unknown", 1), ("true", "false", 1)]}


@pytest.mark.parametrize(
    ("share", "chance", "words"),
    [
        (0.31, 0.306, ("31.0 %", "30.6 %")),
        (0.31, 0.28, ("31 %", "28 %")),
    ],
)
def test_a_share_beyond_chance_does_not_read_as_chance(share, chance, words):
    assert parameter_findings._percent_apart(share, chance) == words
