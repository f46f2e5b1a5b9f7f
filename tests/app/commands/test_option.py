"""One description of a command's options: the command line, its help, and what the page starts."""

import random
import string
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated, get_args

import pytest
import typer
from typer.testing import CliRunner

from app.cli.main import app
from app.cli.options import take_options
from app.commands import cluster, common, coverage, dnn, inspect, retrain, unsafe_set
from app.commands.option import Option, arguments, option_fields
from app.commands.signature import takes
from pipelines.clusters.explanation_tables import TableFiles
from pipelines.deepimportance.job import RULES
from pipelines.deepimportance.job import Options as OfCoverage
from pipelines.deepimportance.perturbation_job import Options as OfPerturbing
from pipelines.deepinspect.job import Options as OfInspection
from pipelines.dnn import evaluation, lrp_rules, model
from pipelines.dnn.job import EvaluationOptions
from pipelines.hudd.job import Options as OfHeatmaps
from pipelines.retraining import training
from pipelines.safe import features, recipe
from pipelines.unsafe_set import cut
from pipelines.unsafe_set.job import SelectionOptions

HELP = Path(__file__).parents[1] / "cli" / "help.txt"
KINDS = {
    "cluster": cluster.ClusterOptions,
    "explain": cluster.ExplainOptions,
    "select": unsafe_set.SelectOptions,
    "test": dnn.TestOptions,
    "heatmaps": dnn.HeatmapsOptions,
    "retrain": retrain.RetrainOptions,
    "coverage": coverage.CoverageOptions,
    "perturb": coverage.PerturbOptions,
    "inspect": inspect.InspectOptions,
    "recut": unsafe_set.RecutOptions,
    "export": unsafe_set.ExportOptions,
    "report": cluster.ReportOptions,
    "example": cluster.ExampleOptions,
}


def parse(kind, words):
    """Return the options that a command line gives; ValueError when they are none of its."""
    command = typer.Typer(add_completion=False, rich_markup_mode=None)
    command.command()(takes(kind)(lambda options: options))
    try:
        return typer.main.get_command(command).main(list(words), standalone_mode=False)
    except typer.TyperException as error:
        raise ValueError(str(error)) from None


def test_help_is_word_for_word_what_was_written_down():
    """Whoever changes a help text changes `help.txt`, and sees what users will read."""
    words = []
    for name in ("", *KINDS):
        help_page = CliRunner().invoke(app, [*name.split(), "--help"], terminal_width=100)
        words += help_page.stdout.split()
    assert words == HELP.read_text(encoding="utf-8").split()


def draw_number(rng, numbers):
    low = -1e6 if numbers.low is None else numbers.low
    high = min(low + 10 ** rng.randint(0, 9), numbers.high or 1e12)
    while True:
        value = rng.randint(int(low), int(high)) if numbers.whole else rng.uniform(low, high)
        if not numbers.whole and rng.random() < 0.3:
            value = float(f"{value:.2g}")
        if numbers.holds(value):
            return value


def draw_text(rng):
    return "".join(rng.choices(string.ascii_letters + string.digits + " -_=;,/.%'\"ßü", k=8))


def draw_value(rng, field):
    if field.type is bool:
        return rng.random() < 0.5
    if field.option.numbers is not None:
        return draw_number(rng, field.option.numbers)
    return field.type(draw_text(rng))


def draw_options(rng, kind):
    values = {}
    has_gap = False
    for field in option_fields(kind):
        # Of what is given by its place, none comes after one that is left out.
        has_gap |= field.option.by_place and not field.required and rng.random() < 0.3
        if not field.required and (rng.random() < 0.4 or (field.option.by_place and has_gap)):
            has_gap |= field.option.by_place
            continue
        if field.several:
            values[field.name] = tuple(draw_value(rng, field) for _ in range(rng.randint(1, 3)))
        else:
            values[field.name] = draw_value(rng, field)
    return kind(**values)


@pytest.mark.parametrize("name", KINDS)
def test_what_the_page_starts_is_read_back_as_the_same_options(name):
    kind = KINDS[name]
    rng = random.Random(name)
    for _ in range(50):
        options = draw_options(rng, kind)
        assert parse(kind, arguments(options)) == options


@pytest.mark.parametrize("name", KINDS)
def test_only_what_differs_from_the_usual_is_said(name):
    required_options = {
        field.name: (field.type("x"),) if field.several else field.type("x")
        for field in option_fields(KINDS[name])
        if field.required
    }
    words = arguments(KINDS[name](**required_options))
    by_place = sum(f.option.by_place and f.required for f in option_fields(KINDS[name]))
    assert len(words) == by_place + 2 * (len(required_options) - by_place)
    assert words[:by_place] == ["x"] * by_place


def test_every_command_has_options_that_are_described_once():
    import typer

    assert set(typer.main.get_command(app).commands) == set(KINDS)
    for kind in KINDS.values():
        for field in option_fields(kind):
            assert field.option.help
            assert field.option.label or not (field.option.info or field.option.choices)


def test_what_begins_with_a_dash_is_no_option():
    options = cluster.ClusterOptions(out=Path("-out"), images=Path("-in"), angles=("-yaw",))
    assert arguments(options) == ["./-in", "--out", "./-out", "--angles=-yaw"]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (dnn.HeatmapsOptions, ["m", "i", "--out", "o"]),
        (inspect.InspectOptions, ["m", "i", "--out", "o"]),
    ],
)
def test_the_spelling_of_earlier_versions_is_understood(kind, words):
    now = parse(kind, [*words, "--layer", "a", "--layer", "b"])
    assert now.layer == ("a", "b")
    assert parse(kind, [*words, "--layers", "a", "--layers", "b"]) == now
    assert parse(kind, [*words, "--layer", "a", "--layers", "b"]) == now


def test_what_a_command_does_not_take_is_refused():
    for words in (["run", "--paper"], [], ["run", "--seed", "2,5"], ["run", "more"]):
        with pytest.raises(ValueError):
            parse(cluster.ExplainOptions, words)


def test_an_option_that_nothing_is_said_of_is_a_fault():
    @dataclass(frozen=True)
    class Silent:
        out: Path

    with pytest.raises(AssertionError, match="out has no Option"):
        option_fields(Silent)
    assert option_fields(FlagOptions)[0].flag == "--where-to"


@dataclass(frozen=True)
class FlagOptions:
    out: Annotated[Path, Option("Where it goes.", flag="--where-to")]


JOBS = [
    (cluster.ClusterOptions, recipe.Options, {"layers": "layer"}),
    (cluster.ClusterOptions, TableFiles, {}),
    (dnn.TestOptions, EvaluationOptions, {"trust": "trust_model"}),
    (dnn.HeatmapsOptions, OfHeatmaps, {"trust": "trust_model", "layers": "layer"}),
    (retrain.RetrainOptions, training.Options, {}),
    (retrain.RetrainOptions, EvaluationOptions, {"trust": "trust_model"}),
    (coverage.CoverageOptions, OfCoverage, {"trust": "trust_model"}),
    (coverage.PerturbOptions, OfPerturbing, {"trust": "trust_model"}),
    (
        inspect.InspectOptions,
        OfInspection,
        {
            "trust": "trust_model",
            "thresholds": "threshold",
            "layers": "layer",
            "top_percent": "top",
        },
    ),
    (unsafe_set.SelectOptions, SelectionOptions, {}),
]


@pytest.mark.parametrize(("kind", "job", "names"), JOBS)
def test_the_usual_of_a_command_is_the_usual_of_its_job(kind, job, names):
    usual = {field.name: field.default for field in option_fields(kind)}
    others = {"table_files", "labelled"}  # of several options, or their opposite
    for field in fields(job):
        name = names.get(field.name, field.name)
        if name not in others and field.default is not MISSING:
            assert usual[name] == field.default, name


@pytest.mark.parametrize(("kind", "job", "names"), JOBS)
def test_what_a_command_is_given_reaches_its_job(kind, job, names):
    options = draw_options(random.Random(f"{kind} {job}"), kind)
    others = {"table_files": object(), "labelled": False}
    others = {
        name: value for name, value in others.items() if name in {f.name for f in fields(job)}
    }
    values_by_name = {name: getattr(options, spelt) for name, spelt in names.items()}
    job_options = take_options(job, options, **values_by_name, **others)
    for field in fields(job):
        spelt = names.get(field.name, field.name)
        expected = others.get(field.name, getattr(options, spelt, None))
        assert getattr(job_options, field.name) == expected


def test_an_option_of_a_job_that_its_command_does_not_have_is_a_fault():
    with pytest.raises(AttributeError, match="trust"):
        take_options(
            OfCoverage, coverage.CoverageOptions(model="m", training="t", test=(), out="o")
        )


@pytest.mark.parametrize(
    ("choices", "accepted_values"),
    [
        (common.SCALINGS, model.SCALINGS),
        (common.TASKS, get_args(evaluation.Task)),
        (coverage.RULES, RULES),
        (dnn.RULES, get_args(lrp_rules.Rule)),
        (cluster.RECIPES, tuple(recipe.RECIPES)),
        (retrain.SCHEDULES, get_args(training.Schedule)),
        (unsafe_set.ALLOCATIONS, get_args(cut.Allocation)),
        (unsafe_set.RANKINGS, get_args(cut.Ranking)),
    ],
)
def test_the_page_offers_what_the_job_takes(choices, accepted_values):
    assert choices == accepted_values


def test_the_page_offers_every_layer_of_vgg16():
    assert set(cluster.LAYERS) == set(features.WIDTHS)
    assert all(features.choose_precision(name) for name in cluster.PRECISIONS)
