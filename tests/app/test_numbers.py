"""What a person types as a number is that number, or is refused with what to type."""

import random

import pytest
import typer
from typer.testing import CliRunner

from app import numbers
from app.cli.main import app
from app.commands import cluster, dnn, inspect, retrain
from app.commands import coverage as measure
from app.commands import unsafe_set as unsafe
from app.commands.option import option_fields
from app.numbers import COUNT, NUMBER, PERCENTAGE, POSITIVE, SEED, SHARE, Numbers, parse_number
from app.page.context import Page
from app.page.tabs import clusters, confusion, coverage, heatmaps, retraining, unsafe_set
from app.server.access import Access
from app.server.jobs import Jobs
from app.server.routes import ServedRuns
from pipelines.runs.errors import InputError
from pipelines.runs.manifest import Manifest, write_manifest


@pytest.mark.parametrize(
    ("text", "kind", "number"),
    [
        ("10", COUNT, 10),
        (" 10 ", COUNT, 10),
        ("+3", COUNT, 3),
        ("007", COUNT, 7),
        ("1 000", COUNT, 1000),
        ("12\u202f345\u00a0678", COUNT, 12345678),
        ("0", SEED, 0),
        ("4294967295", SEED, 2**32 - 1),
        ("2.5", NUMBER, 2.5),
        (".5", NUMBER, 0.5),
        ("5.", NUMBER, 5.0),
        ("-0.25", NUMBER, -0.25),
        ("1e3", NUMBER, 1000.0),
        ("1E-4", POSITIVE, 0.0001),
        ("1 000", NUMBER, 1000.0),
        ("1.000", NUMBER, 1.0),
        ("0.93", SHARE, 0.93),
        ("93 %", SHARE, 0.93),
        ("93.4%", SHARE, 0.934),
        ("0", SHARE, 0.0),
        ("100%", SHARE, 1.0),
        ("1", PERCENTAGE, 1.0),
        ("2.5 %", PERCENTAGE, 2.5),
    ],
)
def test_what_is_read(text, kind, number):
    result = parse_number(text, kind)
    assert result == number
    assert type(result) is (int if kind.whole else float)


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("2,5", NUMBER, "expected a number, received '2,5'. Write a decimal point: 2.5."),
        ("0,5", POSITIVE, "expected a number above 0, received '0,5'. Write a decimal point: 0.5."),
        ("0,001", POSITIVE, "Write a decimal point: 0.001."),
        (",5", NUMBER, "Write a decimal point: .5."),
        ("1,5e-3", NUMBER, "Write a decimal point: 1.5e-3."),
        ("1,000", NUMBER, "Write 1000 or 1.0: a comma means either."),
        ("12,345", NUMBER, "Write 12345 or 12.345: a comma means either."),
        ("1,000", COUNT, "expected a whole number, 1 or more, received '1,000'. Write 1000 or 1"),
        ("1.000", COUNT, "Write 1000 or 1: it may mean either."),
        ("2,500", COUNT, "Write 2500."),
        ("1,000,000", COUNT, "Write 1000000."),
        ("1.000.000", NUMBER, "Write 1000000."),
        ("1.234,5", NUMBER, "Write 1234.5."),
        ("1,234.5", NUMBER, "Write 1234.5."),
        ("2,5", COUNT, "expected a whole number, 1 or more, received '2,5'."),
        ("2.5", COUNT, "expected a whole number, 1 or more, received '2.5'."),
        ("3.0", COUNT, "Write 3."),
        ("1e3", COUNT, "Write 1000."),
        ("0", COUNT, "expected a whole number, 1 or more, received '0'."),
        ("-1", SEED, "expected a whole number, 0 to 4294967295, received '-1'."),
        ("0", POSITIVE, "expected a number above 0, received '0'."),
        ("93", SHARE, "expected a share, 0 to 1, received '93'. Write 0.93 or 93 %."),
        ("93,4 %", SHARE, "Write a decimal point: 93.4."),
        ("101", PERCENTAGE, "expected a percentage above 0 and at most 100, received '101'."),
        ("5 %", NUMBER, "expected a number, received '5 %'. Write it without %"),
        ("5%", COUNT, "Write it without %."),
        *(
            (text, kind, f"received {text!r}.")
            for kind in (NUMBER, COUNT, SHARE)
            for text in (
                "nan", "inf", "-inf", "Infinity", "1e999", "", "ten", "1_000", "1 0", "10 5",
                "1'000", "--1", "1.2.3", "1,2,3", ".", ",", "-", "%", "\u0661", "9" * 5000,
                "0x10", "1e99999999999", "1e" + "9" * 50,
            )
        ),
    ],
)  # fmt: skip
def test_what_is_refused_and_what_to_type_instead(text, kind, words):
    with pytest.raises(ValueError) as refusal:
        parse_number(text, kind)
    assert words in str(refusal.value)


def test_no_text_is_taken_for_another_number():
    """Whatever is read is what Python reads of the same text, but for spaces and per cent."""
    rng = random.Random(0)
    read = 0
    for _ in range(20_000):
        text = "".join(rng.choices("0123456789.,- e%", k=rng.randint(1, 7)))
        kind = rng.choice([Numbers(), Numbers(whole=True)])
        try:
            result = parse_number(text, kind)
        except ValueError:
            continue
        read += 1
        assert "," not in text
        assert "%" not in text
        assert result == (int if kind.whole else float)(text.replace(" ", ""))
    assert read > 2000


KINDS = [kind for kind in vars(numbers).values() if isinstance(kind, Numbers)]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_advice_can_be_followed(kind):
    rng = random.Random(1)
    advices = 0
    for _ in range(5_000):
        text = "".join(rng.choices("0123456789.,", weights=[3] * 10 + [5, 8], k=rng.randint(2, 8)))
        try:
            parse_number(text, kind)
        except ValueError as error:
            _, _, advice = str(error).partition(" Write ")
            advice = advice.removeprefix("a decimal point: ").partition(":")[0].rstrip(".")
            kind_of_advice = Numbers(
                whole=kind.whole, percent=kind.percent
            )  # the range is told beside
            for number in advice.split(" or ") if advice else []:
                parse_number(number, kind_of_advice)
                advices += 1
    assert advices > 100


# --- every field ----------------------------------------------------------------------------------


@pytest.fixture
def page(tmp_path, draw):
    for name in ("images", "training", "run"):
        (tmp_path / name).mkdir()
        draw(tmp_path / name / "a.png", 1)
    (tmp_path / "model.keras").touch()
    page = Page(Access(), Jobs(), ServedRuns(Access()), tmp_path / "runs")
    yield page
    page.jobs.close()


def commands(page, tab, **changes):
    """Return what the forms of a tab ask for, filled in as far as need be."""
    root = page.runs.parent
    if tab is coverage:
        sets = {"model": "model.keras", "training": "training", "test": "images"}
        entries = {name: str(root / path) for name, path in sets.items()}
        return list(coverage._measure(page, entries | changes)[0].arguments)
    if tab is unsafe_set:
        write_manifest(root / "run", Manifest(job="cluster", command=[], folder="", parameters={}))
        entries = {"opened": str(root / "run"), "improvement": str(root / "images")}
        return list(unsafe_set._select(page, entries | changes)[0].arguments)
    if tab in (confusion, heatmaps):
        sets = {"model": "model.keras", "images": "images"}
        entries = {name: str(root / path) for name, path in sets.items()}
        ask = heatmaps._test if tab is heatmaps else confusion._inspect
        return list(ask(page, entries | changes)[0].arguments)
    if tab is retraining:
        sets = {"model": "model.keras", "training": "training", "test": "images"}
        entries = {name: str(root / path) for name, path in sets.items()}
        return list(retraining._command(page, root / "run", entries | changes).arguments)
    return list(clusters._find(page, {"images": str(root / "images")} | changes)[0].arguments)


WHOLE = [
    (clusters, "components", "--components", "Principal components"),
    (clusters, "min_samples", "--min-samples", "min_samples of DBSCAN"),
    (clusters, "seed", "--seed", "Seed"),
    (clusters, "batch_size", "--batch-size", "Batch size"),
    (retraining, "epochs", "--epochs", "Epochs"),
    (retraining, "batch_size", "--batch-size", "Batch size"),
    (retraining, "patience", "--patience", "Patience"),
    (retraining, "seed", "--seed", "Seed"),
    (retraining, "repeats", "--repeats", "Repeats"),
    (unsafe_set, "count", "--count", "Images to choose"),
    (unsafe_set, "test_images", "--test-images", "Test images"),
    (coverage, "neurons", "--neurons", "Important neurons"),
    (coverage, "clusters", "--clusters", "Most regions of a neuron"),
]
DECIMAL = [
    (clusters, "eps", "--eps", "eps of DBSCAN"),
    (retraining, "learning_rate", "--learning-rate", "Learning rate"),
    (retraining, "validation_share", "--validation-share", "Validation share"),
    (retraining, "error_threshold", "--error-threshold", "Error threshold"),
    (heatmaps, "error_threshold", "--error-threshold", "Error threshold"),
    (unsafe_set, "accuracy", "--accuracy", "Accuracy on them"),
    (unsafe_set, "selection_factor", "--selection-factor", "Selection factor"),
    (confusion, "threshold", "--threshold", "Threshold of activation"),
    (confusion, "top", "--top", "Top pairs"),
]
SWITCHES = {"repeats": {"compare": True}}


@pytest.mark.parametrize(("tab", "field", "option", "label"), WHOLE)
def test_a_whole_number_of_the_page_is_that_or_refused_by_name(page, tab, field, option, label):
    def ask(text):
        words = commands(page, tab, **{field: text}, **SWITCHES.get(field, {}))
        return words[words.index(option) + 1]

    assert ask(" 25 ") == "25"
    for text in ("2,5", "2.5", "2,500", "nan", "inf", "-3", "1e1", "2_5", "many"):
        with pytest.raises(InputError, match=f"^{label}: expected a whole number, ") as refusal:
            ask(text)
        assert f"received {text!r}." in str(refusal.value)


@pytest.mark.parametrize(("tab", "field", "option", "label"), DECIMAL)
def test_a_number_of_the_page_is_that_or_refused_by_name(page, tab, field, option, label):
    def ask(text):
        words = commands(page, tab, **{field: text})
        return words[words.index(option) + 1].removesuffix("%")

    assert (ask(" 0.25 "), ask(".25"), ask("2.5e-1")) == ("0.25",) * 3
    for text, advice in (
        ("0,25", "Write a decimal point: 0.25."), ("1,000", "Write 1000 or 1.0"), ("nan", ""),
        ("inf", ""), ("1e999", ""), ("a half", ""),
    ):  # fmt: skip
        with pytest.raises(InputError, match=f"^{label}: expected a ") as refusal:
            ask(text)
        assert f"received {text!r}.{' ' if advice else ''}{advice}" in str(refusal.value)


def test_every_number_of_a_form_is_asked_for():
    """A field that is new has to be read by the same parser, and to stand above."""
    kinds = {
        clusters: cluster.ClusterOptions, retraining: retrain.RetrainOptions,
        unsafe_set: unsafe.SelectOptions, coverage: measure.CoverageOptions,
        heatmaps: dnn.TestOptions, confusion: inspect.InspectOptions,
    }  # fmt: skip
    for tab, kind in kinds.items():
        numbers = {field for owner, field, *_ in (*WHOLE, *DECIMAL) if owner is tab}
        page_fields = [field for field in option_fields(kind) if field.option.label]
        assert {field.name for field in page_fields if field.option.numbers} == numbers
        assert all(field.option.numbers for field in page_fields if field.type in (int, float))


def options_of(command):
    return [
        (parameter.opts[0], parameter)
        for parameter in command.params
        if (parameter.metavar or "") in {"INTEGER", "FLOAT", "PERCENT", "ID"}
    ]


COMMANDS = typer.main.get_command(app).commands
OPTIONS = [(name, opt) for name, command in COMMANDS.items() for opt, _ in options_of(command)]


def test_every_number_of_the_command_line_is_read_alike():
    assert len(OPTIONS) > 25
    for name, command in COMMANDS.items():
        help_text = CliRunner().invoke(app, [name, "--help"]).output
        assert " RANGE" not in help_text
        for parameter in command.params:
            assert type(parameter.default) not in {int, float} or (
                (name, parameter.opts[0]) in OPTIONS
            )


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("cluster", ("--eps", "-1"), "'--eps': expected a number above 0, received '-1'"),
        ("cluster", ("--seed", "-1"), "'--seed': expected a whole number, 0 to 4294967295,"),
        ("inspect", ("--top", "0%"), "'--top': expected a percentage above 0 and at most 100,"),
        ("inspect", ("--top", "many"), "received 'many'"),
        ("inspect", ("--threshold", "1"), "expected a number of 0 or more and below 1,"),
        ("select", ("--accuracy", "93"), "received '93'. Write 0.93 or 93 %."),
        ("retrain", ("--validation-share", "1"), "expected a share above 0 and below 1,"),
        ("coverage", ("--clusters", "1"), "expected a whole number, 2 to 255, received '1'"),
    ],
)
def test_a_number_out_of_range_is_refused_with_the_range(name, arguments, words):
    result = CliRunner().invoke(app, [name, *["x"] * 4, *arguments])
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_a_comma_of_the_command_line_is_refused_with_what_to_type(name, option):
    result = CliRunner().invoke(app, [name, *["x"] * 4, f"{option}=2,5"])
    assert result.exit_code == 2
    words = " ".join(result.output.split())
    assert f"Invalid value for '{option}'" in words
    assert "received '2,5'" in words
    assert "Value error" not in words
    for text in ("nan", "inf"):
        result = CliRunner().invoke(app, [name, *["x"] * 4, f"{option}={text}"])
        assert f"received '{text}'" in " ".join(result.output.split())
