"""What the Coverage tab receives of a run, and which of its tables are served."""

import json

import pytest

from app.server.views.coverage import describe_coverage
from pipelines.deepimportance.results import export_widening
from pipelines.runs.errors import InputError
from tests.mutations import edit, kinds_of_places
from tests.small_runs import write_small_coverage


@pytest.fixture
def coverage(tmp_path):
    return write_small_coverage(tmp_path / "run")


def test_the_document_and_the_tables_are_served(coverage, served, client):
    (coverage / "secret.csv").write_text("no\n")
    key = served.key(coverage)
    view = client.get(f"/run/{key}/coverage").json()
    assert view["name"] == "run"
    document = json.loads((coverage / "coverage.json").read_text())
    assert {name: view[name] for name in document} == document
    table = (coverage / "criteria.csv").read_text()
    assert client.get(f"/run/{key}/download/criteria.csv").text == table
    assert client.get(f"/run/{key}/download/secret.csv").status_code == 404
    (coverage / "coverage.json").write_text("{}")
    answer = client.get(f"/run/{key}/coverage")
    assert answer.status_code == 404
    assert "coverage.json is not as the tool writes it" in answer.text


def refused(run, content):
    (run / "coverage.json").write_bytes(content)
    with pytest.raises(InputError, match=r"coverage\.json is not as the tool writes it") as refusal:
        describe_coverage(run)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_every_entry_of_another_type_is_refused_by_its_name(coverage):
    content = (coverage / "coverage.json").read_bytes()
    for place in kinds_of_places(json.loads(content)):
        words = refused(coverage, edit(content, place, {"a": 1}))
        assert f"ValueError: {place[0]}" in words
    for place in kinds_of_places(json.loads(content)):
        by_default = place == ("schema_version",) or place[:3] == ("criteria", 7, "tests")
        if isinstance(place[-1], str) and not by_default:
            assert f"{place[-1]}: Field required" in refused(
                coverage, edit(content, place, gone=True)
            )


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("tests",), [], "at least 1 item"),
        (("tests", 0, "images"), "12", "valid integer"),
        (("tests", 0, "covered"), True, "valid integer"),
        (("tests", 0, "coverage"), float("nan"), "finite number"),
        (("training", "covered"), 3.5, "valid integer"),
        (("training", "covered"), -7, "greater than or equal to 0"),
        (("tests", 1, "images"), 10**30, "less than 9007199254740992"),
        (("tests", 1, "coverage"), 1.5, "less than or equal to 1"),
        (("combinations",), "-7", "match pattern"),
        (("neurons", 1, "tests"), [[1]], "another number of test sets"),
        (("neurons", 0, "sizes"), [1], "not all lists are of 4 regions"),
        (("neurons", 0, "inside", 1), [], "not all lists are of 4 regions"),
        (("criteria", 0, "tests"), [], "values of 2 test sets"),
        (("tests", 0, "growth", 0), [1], "Field required"),
        (("tests", 0, "swallowed"), 1, "Extra inputs"),
        (("schema_version",), 2, "Input should be 1"),
    ],
)
def test_values_that_the_page_cannot_show_are_refused(coverage, place, value, words):
    assert words in refused(coverage, edit((coverage / "coverage.json").read_bytes(), place, value))


def test_new_images_that_the_table_lacks_are_noticed(coverage, tmp_path):
    lines = (coverage / "widening.csv").read_text().splitlines(keepends=True)
    (coverage / "widening.csv").write_text("".join(lines[:-1]))
    with pytest.raises(InputError, match=r"widening\.csv is not .* than coverage\.json counts"):
        export_widening(coverage, tmp_path / "out", lambda *step: None)
