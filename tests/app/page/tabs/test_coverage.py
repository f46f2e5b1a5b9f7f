"""What the form of the Coverage tab asks for, and what it may not."""

import json
from dataclasses import replace

import pytest

from app.page.tabs import coverage
from pipelines.data.images import write_failures
from pipelines.runs.errors import InputError
from pipelines.runs.folder import open_run
from pipelines.runs.manifest import Manifest


def quiet(stage, done, total):
    """Listen to nothing."""


@pytest.fixture
def page(page):
    for name in ("training", "test", "more"):
        (page.access.roots[0] / name).mkdir()
    return page


def form(page, **changes):
    root = page.access.roots[0]
    given = {"model": "dnn.keras", "training": "training", "test": "test"}
    usual = replace(coverage.USUAL, **{name: str(root / file) for name, file in given.items()})
    return replace(usual, **changes)


def run_of(page, widening):
    root = page.access.roots[0]
    manifest = Manifest(job="coverage", command=[], folder=str(root / "test"), parameters={})
    with open_run(page.runs / "run", manifest, quiet):
        pass
    document = {"schema_version": 1, "tests": [], "criteria": [], "widening": widening}
    (page.runs / "run" / "coverage.json").write_text(json.dumps(document))
    return page.runs / "run"


def test_the_command_of_a_form(page):
    root = page.access.roots[0]
    found = coverage._command(
        page,
        form(
            page, others=f"{root / 'more'}\n\n", neurons=" 8 ", class_=" cat ", clusters="3",
            rule="z+", scaling="0-1", candidates=str(root / "more"),
        ),
    )  # fmt: skip
    assert found.folder == page.runs / "test-coverage"
    assert found.arguments == (
        "coverage", str(root / "dnn.keras"), "--training", str(root / "training"),
        "--test", str(root / "test"), "--test", str(root / "more"),
        "--candidates", str(root / "more"), "--out", str(found.folder),
        "--neurons", "8", "--clusters", "3", "--class", "cat", "--rule", "z+", "--scaling", "0-1",
    )  # fmt: skip
    usual = coverage._command(page, form(page)).arguments
    assert usual[-2:] == ("--out", str(found.folder))
    blank = dict.fromkeys(("others", "candidates", "neurons", "clusters", "class_", "classes"), " ")
    assert coverage._command(page, form(page, **blank)).arguments == usual


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": " "}, "Give the model file"),
        ({"training": ""}, "Give the folder of training images"),
        ({"test": ""}, "Give the folder of the test set"),
        (
            {"neurons": "six"},
            "Important neurons: expected a whole number, 1 or more, received 'six'",
        ),
        (
            {"clusters": "1.5"},
            "Most regions of a neuron: expected a whole number, 2 to 255, received '1.5'",
        ),
    ],
)
def test_fields_that_cannot_be_used(page, changes, words):
    with pytest.raises(InputError, match=words):
        coverage._command(page, form(page, **changes))


@pytest.mark.parametrize("field", ["model", "training", "test", "others", "candidates", "classes"])
def test_nothing_elsewhere_is_taken(page, tmp_path, field):
    with pytest.raises(InputError, match="outside of the folders that this page may use"):
        coverage._command(page, form(page, **{field: str(tmp_path / "secret")}))


def test_a_list_of_images_elsewhere_is_not_taken(page, tmp_path):
    listed = page.access.roots[0] / "failures.txt"
    write_failures(listed, tmp_path / "secret", ["a.png"])
    with pytest.raises(InputError, match="outside of the folders"):
        coverage._command(page, form(page, test=str(listed)))


def test_new_images_elsewhere_are_not_exported(page, tmp_path):
    run = run_of(page, {"folder": str(tmp_path / "secret"), "widening": 3})
    target = str(page.access.roots[0] / "out")
    told = coverage._export(page, str(run), target, "", "copy")
    assert any("outside of the folders" in str(part) for part in told)
    assert page.jobs.look() is None
    document = json.loads((run / "coverage.json").read_text()) | {"widening": None}
    (run / "coverage.json").write_text(json.dumps(document))
    told = coverage._export(page, str(run), target, "", "copy")
    assert any("was measured without new images" in str(part) for part in told)
