"""Parameters against passing images: formulas and permutations in plain loops, planted cases."""

import math
import re
from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from pipelines.clusters.parameter_contrast import compare_groups, draw_contrasts, prepare_contrast
from pipelines.clusters.shared_parameters import find_parameters
from pipelines.clusters.variance_reduction import compute_figures, prepare_parameter
from pipelines.data.parameters import Parameter

CATEGORIES = ("fog", "rain", "snow", "sun")


def naive(kind, own, passing):
    """Return excess and distance of a group against others, straight from the definition."""
    if kind == "category":
        shares, others = Counter(own), Counter(passing)
        return max(
            shares[code] / len(own) - others[code] / len(passing) for code in {*own, *passing}
        ), 1
    if kind == "angle":
        x, y = (sum(wave(math.radians(a)) for a in own) for wave in (math.cos, math.sin))
        middle = math.atan2(y, x)

        def distance(values):
            return sum(1 - math.cos(math.radians(v) - middle) for v in values) / len(values)

        return distance(passing) - distance(own), distance(passing)
    mean, mean_passing = sum(own) / len(own), sum(passing) / len(passing)
    variance = sum((v - mean) ** 2 for v in own) / (len(own) - 1)
    variance_passing = sum((v - mean_passing) ** 2 for v in passing) / (len(passing) - 1)
    distance = variance_passing + (mean - mean_passing) ** 2
    return distance - variance, distance


def draw_values(rng, kind, count):
    match kind:
        case "number":
            return rng.normal(1e6, 3, count)
        case "angle":
            return rng.uniform(-360, 720, count)
        case _:
            return rng.integers(0, 4, count).astype(float)


def random_parameter(rng, kind, count=40, passing=60, missing=0.1):
    values, others = draw_values(rng, kind, count), draw_values(rng, kind, passing)
    values[rng.random(count) < missing] = np.nan
    others[rng.random(passing) < missing] = np.nan
    return Parameter("x", kind, values, CATEGORIES if kind == "category" else (), others)


@pytest.mark.parametrize("kind", ["number", "angle", "category"])
@pytest.mark.parametrize("seed", range(5))
def test_figures_of_groups_against_the_others_of_a_pool_naively(kind, seed):
    rng = np.random.default_rng(seed)
    contrast = prepare_contrast(random_parameter(rng, kind))
    inside = np.flatnonzero(contrast.defined[:40])[:9]
    pool = np.concatenate([inside, contrast.passing])
    groups = np.stack([inside, *(rng.permutation(pool)[:9] for _ in range(5))])
    scale = contrast.values[contrast.passing].var(ddof=1) if kind == "number" else 1
    for excess, distance, group in zip(
        *compare_groups(contrast, groups, pool), groups, strict=True
    ):
        others = contrast.values[np.setdiff1d(pool, group)].tolist()
        expected = naive(kind, contrast.values[group].tolist(), others)
        assert (excess * scale, distance * scale) == pytest.approx(expected, abs=1e-7)


def test_where_means_are_equal_it_is_the_reduction_rate():
    rng = np.random.default_rng(0)
    own, passing = rng.normal(0, 1, 12), rng.normal(0, 3, 80)
    own, passing = own - own.mean(), passing - passing.mean()
    contrast = prepare_contrast(Parameter("x", "number", own, (), passing))
    (excess,), (distance,) = compare_groups(contrast, np.arange(12)[None], np.arange(92))
    assert excess / distance == pytest.approx(1 - own.var(ddof=1) / passing.var(ddof=1), abs=1e-8)
    rate = compute_figures(
        prepare_parameter(Parameter("x", "number", own)), np.arange(12)[None], [12]
    )[0, 0]
    assert rate == pytest.approx(0, abs=1e-8)  # HUDD's own, of a cluster of all failing images


@pytest.mark.parametrize("kind", ["number", "angle", "category"])
def test_counting_in_parts_gives_the_same(kind, monkeypatch):
    rng = np.random.default_rng(0)
    contrast = prepare_contrast(random_parameter(rng, kind, missing=0))
    groups = np.stack([rng.permutation(100)[:20] for _ in range(30)])
    whole = compare_groups(contrast, groups, np.arange(100))
    monkeypatch.setattr("pipelines.clusters.parameter_contrast.CELLS", 50)
    np.testing.assert_array_equal(compare_groups(contrast, groups, np.arange(100)), whole)


@pytest.mark.parametrize("block", [1_000_000, 60])
@pytest.mark.parametrize("kind", ["number", "category"])
def test_random_groups_are_all_parts_of_cluster_and_passing_images(kind, block, monkeypatch):
    monkeypatch.setattr("pipelines.clusters.parameter_contrast.BLOCK", block)
    rng = np.random.default_rng(3)
    parameter = random_parameter(rng, kind, 5, 7, 0)
    parameter.values[1] = parameter.passing[2] = np.nan
    contrast = prepare_contrast(parameter)
    inside = np.array([0, 2, 4])
    pool = [*inside.tolist(), *contrast.passing.tolist()]
    figures = draw_contrasts({0: contrast}, {5: {0: inside}}, 0, 40_000)[5][0]
    scale = contrast.values[contrast.passing].var(ddof=1) if kind == "number" else 1
    expected = Counter()
    for group in combinations(pool, 3):
        others = [contrast.values[image] for image in pool if image not in group]
        excess, _ = naive(kind, list(contrast.values[[*group]]), others)
        expected[round(excess / scale, 6)] += 1
    subsets = sum(expected.values())
    frequencies = Counter(np.round(figures, 6).tolist())
    assert subsets == math.comb(9, 3)
    assert frequencies.keys() == expected.keys()
    for figure, count in expected.items():
        share = count / subsets
        error = math.sqrt(share * (1 - share) / len(figures))
        assert frequencies[figure] / len(figures) == pytest.approx(share, abs=5 * error)


@pytest.mark.parametrize(
    ("kind", "values", "passing"),
    [
        ("number", [2, np.nan, 2], [2, 2]),
        ("angle", [0, 360, 720], [0, 360]),
        ("category", [1, 1, np.nan], [1, 1]),
    ],
)
def test_what_is_constant_over_all_is_nothing_to_compare(kind, values, passing):
    categories = CATEGORIES if kind == "category" else ()
    values, passing = (np.array(numbers, dtype=float) for numbers in (values, passing))
    assert prepare_contrast(Parameter("x", kind, values, categories, passing)) is None


def make_labels(*sizes):
    """Return labels of clusters of these sizes; the last is the size of the noise."""
    return np.repeat([*range(len(sizes) - 1), -1], sizes).astype(np.int32)


def plant_parameters(rng):
    """Draw what cluster 0 shares with passing images and not with failing ones, and its own."""
    labels = make_labels(20, 20, 60)
    inside = labels == 0

    def of(own, others, passing):
        values = np.where(inside, own(len(labels)), others(len(labels)))
        return values, passing(300)

    def normal(mean, spread):
        return lambda count: rng.normal(mean, spread, count)

    def mixture(*shares):
        return lambda count: rng.choice(len(shares), count, p=shares).astype(float)

    def draw_angles(mean, spread):
        return lambda count: rng.normal(mean, spread, count) % 360

    kinds_and_values = {
        "usual yaw": ("number", of(normal(138, 3), normal(200, 20), normal(138, 3))),
        "head_yaw": ("number", of(normal(212, 15), normal(205, 15), normal(138, 15))),
        "narrow": ("number", of(normal(0, 1), normal(0, 9), normal(0, 9))),
        "fog density": ("number", of(normal(5, 1), normal(0, 9), np.zeros)),
        "usual sky": ("category", of(mixture(0, 0.9, 0.1), mixture(1, 0, 0), mixture(0, 0.9, 0.1))),
        "sky": ("category", of(mixture(0.1, 0.9, 0), mixture(0.1, 0.9, 0), mixture(0.96, 0.04, 0))),
        "usual gaze": ("angle", of(draw_angles(5, 8), draw_angles(180, 70), draw_angles(5, 8))),
        "gaze": ("angle", of(draw_angles(355, 20), draw_angles(180, 70), draw_angles(120, 20))),
    }  # fmt: skip
    parameters = [
        Parameter(name, kind, values, WEATHER if kind == "category" else (), passing)
        for name, (kind, (values, passing)) in kinds_and_values.items()
    ]
    return parameters, labels


WEATHER = ("clear", "rain", "snow")


@pytest.mark.parametrize("seed", range(4))
def test_what_passing_images_share_is_not_said_and_what_they_lack_is(seed):
    parameters, labels = plant_parameters(np.random.default_rng(seed))
    findings = find_parameters(parameters, labels, seed=seed)[0]
    assert {finding.parameter for finding in findings} == {
        "head_yaw",
        "narrow",
        "fog density",
        "sky",
        "gaze",
    }
    assert {finding.reference for finding in findings} == {"passing images"}
    alone = [
        Parameter(parameter.name, parameter.kind, parameter.values, parameter.categories)
        for parameter in parameters
    ]
    against_failing = {
        finding.parameter for finding in find_parameters(alone, labels, seed=seed)[0]
    }
    assert against_failing >= {"usual yaw", "usual sky", "usual gaze"}
    assert not against_failing & {"head_yaw", "sky"}


def test_words_with_figures():
    parameters, labels = plant_parameters(np.random.default_rng(0))
    finding_of = {
        finding.parameter: finding for finding in find_parameters(parameters, labels, seed=0)[0]
    }
    percent = "\u2212[\\d.]+ %"
    for name, pattern in {
        "head_yaw": f"head_yaw: mean 2[\\d.]+ against 13[\\d.]+ of passing images, "
        f"spread around it {percent} \\(by chance {percent}\\)",
        "fog density": f"fog density: mean [45][.\\d]* against 0 of passing images, spread around "
        f"it {percent} \\(by chance {percent}\\)",
        "sky": "sky: rain in \\d+ % against \\d+ % of passing images \\(by chance \\d+ %\\)",
        "gaze": f"gaze: mean direction 3\\d\\d°, spread around it {percent} against that of "
        f"passing images \\(by chance {percent}\\)",
    }.items():
        assert re.fullmatch(pattern, finding_of[name].words), finding_of[name].words
    yaw, sky = finding_of["head_yaw"], finding_of["sky"]
    assert yaw.overall == pytest.approx(parameters[1].passing.mean())
    assert yaw.figure == pytest.approx(parameters[1].values[:20].mean())
    shares = (parameters[5].values[:20] == 1).mean(), (parameters[5].passing == 1).mean()
    assert (sky.category, sky.figure, sky.overall) == ("rain", *map(pytest.approx, shares))
    assert sky.reduction == pytest.approx(shares[0] - shares[1])


def naive_thresholds(nulls, draws):
    """Westfall and Young's minP over random groups, by the definition."""
    reaching = {
        name: [sum(other >= figure for other in null) for figure in null]
        for name, null in nulls.items()
    }
    smallest = sorted(min(reaching[name][draw] for name in nulls) for draw in range(draws))
    level = smallest[draws // 20]
    return {
        name: max(
            [0.0] + [f for f, rank in zip(null, reaching[name], strict=True) if rank + 1 >= level]
        )
        for name, null in nulls.items()
    }


@pytest.mark.parametrize("seed", range(3))
def test_named_and_chance_naively(seed):
    rng = np.random.default_rng(seed)
    parameters, labels = plant_parameters(rng)
    for parameter in parameters:
        parameter.values[rng.random(len(labels)) < 0.1] = np.nan
        parameter.passing[rng.random(300) < 0.2] = np.nan
    draws = 320
    by_group = find_parameters(parameters, labels, seed=seed, draws=draws)
    ready = {place: prepare_contrast(parameter) for place, parameter in enumerate(parameters)}
    insides = {
        group: {
            place: np.flatnonzero((labels == group) & contrast.defined[: len(labels)])
            for place, contrast in ready.items()
        }
        for group in (0, 1)
    }
    nulls = draw_contrasts(ready, insides, seed, draws)
    for group in (0, 1):
        thresholds = naive_thresholds({p: nulls[group][p].tolist() for p in ready}, draws)
        expected = {}
        for place, contrast in ready.items():
            own, others = (
                contrast.values[of].tolist() for of in (insides[group][place], contrast.passing)
            )
            kind = contrast.parameter.kind
            excess, distance = naive(kind, own, others)
            variance = np.var(others, ddof=1) if kind == "number" else 0
            chance = thresholds[place] * (variance or 1) / distance
            if kind == "number" and not variance:
                chance *= np.var(contrast.values[contrast.defined], ddof=1)
            if excess / distance > max(0.1 if kind == "category" else 0.5, chance + 1e-8):
                expected[contrast.parameter.name] = (
                    pytest.approx(excess / distance, abs=1e-8), pytest.approx(chance, abs=1e-8),
                )  # fmt: skip
        assert {f.parameter: (f.reduction, f.chance) for f in by_group[group]} == expected
    assert by_group[0]


def test_of_clusters_like_passing_images_one_in_twenty_gets_a_parameter():
    with_parameter = groups = 0
    for draw in range(12):
        rng = np.random.default_rng(draw)
        labels = make_labels(*[3, 5, 8, 20] * 5, 40)
        kinds = (
            ("number", lambda rng, count: rng.normal(100, 5, count)),
            ("angle", lambda rng, count: rng.uniform(0, 360, count)),
            ("category", lambda rng, count: (rng.random(count) < 0.02).astype(float)),
            ("number", lambda rng, count: (rng.random(count) < 0.01) * rng.normal(5, 1, count)),
            ("number", lambda rng, count: rng.exponential(1, count)),
        )
        parameters = []
        for place, (kind, draw_some) in enumerate(kinds * 2):
            values, passing = (draw_some(rng, count).astype(float) for count in (len(labels), 60))
            values[rng.random(len(values)) < 0.1] = np.nan
            categories = ("no", "yes") if kind == "category" else ()
            parameters.append(Parameter(f"p{place}", kind, values, categories, passing))
        by_group = find_parameters(parameters, labels, seed=draw)
        groups += len(by_group)
        with_parameter += sum(map(bool, by_group.values()))
    # Clusters share their passing images, so that they are named together or not.
    assert groups == 240
    assert with_parameter <= 26  # 5 % are 12


@pytest.mark.parametrize(("count", "reference"), [(9, "failing images"), (10, "passing images")])
def test_of_few_passing_images_nothing_is_compared(count, reference):
    rng = np.random.default_rng(0)
    labels = make_labels(20, 100)
    values = rng.normal(0, 9, 120)
    values[:20] = rng.normal(30, 1, 20)
    passing = np.array([*rng.normal(0, 9, count), *[np.nan] * 40])
    (finding,) = find_parameters([Parameter("x", "number", values, (), passing)], labels, seed=0)[0]
    assert finding.reference == reference
    assert ("of passing images" in finding.words) == (reference == "passing images")


def test_what_says_how_wrong_the_dnn_is_is_compared_with_failing_images():
    rng = np.random.default_rng(0)
    labels = make_labels(20, 100)
    error = Parameter("error", "number", rng.normal(20, 4, 120), (), rng.normal(2, 1, 90), True)
    assert find_parameters([error], labels, seed=0) == {0: []}
    speed = Parameter("speed", "number", error.values, (), error.passing)
    assert len(find_parameters([speed], labels, seed=0)[0]) == 1


def test_constant_among_failing_images_it_still_differs_from_passing_ones():
    labels = make_labels(20, 30)
    rain = Parameter("sky", "category", np.ones(50), WEATHER, np.arange(60) % 10 == 0)
    (finding,) = find_parameters([rain], labels, seed=0)[0]
    assert "rain in 100 % against 10 % of passing images" in finding.words


def test_what_no_passing_image_has_by_chance_is_not_said():
    labels = make_labels(5, 60)
    values = np.zeros(65)
    values[0] = 1  # one of five: one of the 35 of cluster and passing images has to be somewhere
    rare = Parameter("sky", "category", values, WEATHER, np.zeros(30))
    assert find_parameters([rare], labels, seed=0) == {0: []}


@pytest.mark.parametrize("with_passing", [False, True])
def test_frames_of_a_few_tracks_get_no_parameter_that_tracks_differ_in(with_passing):
    """Three tracks of eight frames each, whose poses are those of any three tracks."""
    by_image = by_subject = 0
    for draw in range(100):
        rng = np.random.default_rng(draw)
        subjects = np.repeat(np.arange(40), 8)
        values = rng.normal(0, 1, 40)[subjects] + rng.normal(0, 0.1, 320)
        labels = np.where(subjects < 3, 0, -1).astype(np.int32)
        parameter = Parameter("pose", "number", values)
        if with_passing:
            labels = labels[:160]
            parameter = Parameter("pose", "number", values[:160], (), values[160:])
        alone, together = (
            find_parameters([parameter], labels, seed=draw, draws=200, subjects=numbers)[0]
            for numbers in (None, subjects)
        )
        by_image += bool(alone)
        by_subject += bool(together)
    assert by_subject <= 12  # 5 % of 100 are 5; more than 12 would be one case in a thousand
    assert by_image > 25  # what the subjects are for


def test_a_parameter_that_all_of_a_clusters_tracks_share_is_named():
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(40), 8)
    poses = np.where(np.arange(40) < 10, 5 + rng.normal(0, 0.1, 40), rng.normal(0, 3, 40))
    values = poses[subjects] + rng.normal(0, 0.1, 320)
    labels = np.where(subjects[:160] < 10, 0, -1).astype(np.int32)
    parameter = Parameter("pose", "number", values[:160], (), values[160:])
    (finding,) = find_parameters([parameter], labels, seed=0, subjects=subjects)[0]
    assert finding.parameter == "pose"
