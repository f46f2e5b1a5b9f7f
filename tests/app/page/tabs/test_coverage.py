"""What the Coverage tab asks for, and may not."""

import json

import pytest

from app.page.context import Page
from app.page.tabs import coverage
from app.server.access import Access
from app.server.jobs import Jobs
from app.server.routes import ServedRuns
from pipelines.data.image_lists import write_image_list
from pipelines.runs.errors import InputError
from tests.small_runs import write_small_coverage


@pytest.fixture
def page(tmp_path):
    root = tmp_path / "root"
    for name in ("runs", "training", "test", "more"):
        (root / name).mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    (root / "dnn.keras").write_bytes(b"")
    access = Access(roots=(root.resolve(),))
    page = Page(access, Jobs(), ServedRuns(access), root.resolve() / "runs")
    yield page
    page.jobs.close()


def command(page, **changes):
    root = page.access.roots[0]
    files = {"model": "dnn.keras", "training": "training", "test": "test"}
    entries = {name: str(root / file) for name, file in files.items()}
    (command,) = coverage._measure(page, entries | changes)
    return command


def run_of(page, folder):
    """Write a run of coverage whose new images are in a folder; in none where that is None."""
    run = page.runs / "run"
    if not run.exists():
        write_small_coverage(run)
    document = json.loads((run / "coverage.json").read_text())
    document["widening"] = folder and document["widening"] | {"folder": str(folder)}
    (run / "coverage.json").write_text(json.dumps(document))
    return run


def test_the_command_of_a_form(page):
    root = page.access.roots[0]
    action = command(
        page, others=f"{root / 'more'}\n\n", neurons=" 8 ", class_=" cat ", clusters="3",
        rule="z+", scaling="0-1", candidates=str(root / "more"),
    )  # fmt: skip
    assert action.folder == page.runs / "test-coverage"
    assert action.arguments == (
        "coverage", str(root / "dnn.keras"), "--training", str(root / "training"),
        "--test", str(root / "test"), "--test", str(root / "more"), "--out", str(action.folder),
        "--neurons", "8", "--class", "cat", "--candidates", str(root / "more"),
        "--clusters", "3", "--rule", "z+", "--scaling", "0-1",
    )  # fmt: skip
    usual = command(page).arguments
    assert usual[-2:] == ("--out", str(action.folder))
    blank = dict.fromkeys(("others", "candidates", "neurons", "clusters", "class_", "classes"), " ")
    assert command(page, **blank).arguments == usual
    defaults = {"neurons": "6", "clusters": "4", "rule": "epsilon", "scaling": "as the model tells"}
    assert command(page, **defaults).arguments == usual


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": " "}, "Give the model file"),
        ({"training": ""}, "Give the folder of training images"),
        ({"test": ""}, "Give the folder of the test set"),
        ({"test": "", "others": "{root}"}, "Give the folder of the test set"),
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
        command(page, **changes)


@pytest.mark.parametrize("field", ["model", "training", "test", "others", "candidates", "classes"])
def test_nothing_elsewhere_is_taken(page, tmp_path, field):
    with pytest.raises(InputError, match="outside the folders that this page may use"):
        command(page, **{field: str(tmp_path / "secret")})


def test_a_list_of_images_elsewhere_is_not_taken(page, tmp_path):
    image_list = page.access.roots[0] / "failures.txt"
    write_image_list(image_list, tmp_path / "secret", ["a.png"])
    with pytest.raises(InputError, match="outside the folders"):
        command(page, test=str(image_list))


def test_new_images_elsewhere_are_not_exported(page, tmp_path):
    run = run_of(page, tmp_path / "secret")
    entries = {"opened": str(run), "folder": str(page.access.roots[0] / "out")}
    with pytest.raises(InputError, match="outside the folders"):
        coverage._export(page, entries)
    run_of(page, None)
    with pytest.raises(InputError, match="was measured without new images"):
        coverage._export(page, entries)


def test_the_command_of_an_export(page):
    root = page.access.roots[0]
    run = run_of(page, root / "more")
    entries = {"opened": str(run), "folder": str(root / "out")}
    (copy,) = coverage._export(page, entries | {"link": "copy", "count": ""})
    assert copy.arguments == ("export", str(run), str(root / "out"))
    assert copy.folder == run
    (link,) = coverage._export(page, entries | {"link": "link", "count": "1 000"})
    assert link.arguments[3:] == ("--link", "--count", "1000")
    with pytest.raises(InputError, match="Give the new folder that the images are to go to"):
        coverage._export(page, entries | {"folder": " "})
