"""What "Try the example" starts: what is missing, and nothing that is there."""

from contextlib import suppress

import pytest

from app.page import example
from app.page.context import Page
from app.page.folders import list_run_choices, new_run_folder, recent
from app.server.access import Access
from app.server.jobs import Jobs
from app.server.routes import ServedRuns
from pipelines.runs.folder import open_run
from pipelines.runs.manifest import Manifest


@pytest.fixture
def page(tmp_path):
    access = Access()
    page = Page(access, Jobs(), ServedRuns(access), tmp_path.resolve())
    yield page
    page.jobs.close()


def draw(page):
    (page.runs / "example-eyes" / "test").mkdir(parents=True)
    (page.runs / "example-eyes" / "example.json").write_text("{}")


def write(page, name, job, images, is_stopped=False):
    """Write what is left of a job that finished, or was stopped."""
    manifest = Manifest(job=job, command=[], folder=str(page.runs / images), parameters={})
    with suppress(KeyboardInterrupt), open_run(page.runs / name, manifest, lambda *step: None):
        if is_stopped:
            raise KeyboardInterrupt


def steps(page):
    return [command.arguments[0] for command in example.commands(page)]


def test_the_example_is_drawn_tested_and_clustered_with_passing_images(page):
    drawing, evaluation, clustering = example.commands(page)
    images = page.runs / "example-eyes"
    assert drawing.arguments == ("example", str(images))
    assert evaluation.arguments == (
        *("test", str(images / "model.keras"), str(images / "test")),
        *("--out", str(page.runs / "example-test")),
    )
    assert clustering.folder == page.runs / "example"
    assert clustering.arguments[0] == "cluster"
    place = clustering.arguments.index("--test-run")
    assert clustering.arguments[place + 1] == str(evaluation.folder)
    assert str(images / "test" / "parameters.csv") in clustering.arguments
    assert str(images / "test" / "unsafe_values.csv") in clustering.arguments
    assert "--overwrite" not in clustering.arguments


def test_what_is_there_is_not_made_again(page):
    draw(page)
    assert steps(page) == ["test", "cluster"]
    write(page, "example-test", "test", "example-eyes/test")
    assert steps(page) == ["cluster"]
    assert example.run_of_example(page) is None


def test_an_example_that_was_stopped_is_drawn_again(page):
    write(page, "example-eyes", "example", "example-eyes", is_stopped=True)
    assert steps(page) == ["example", "test", "cluster"]
    drawing = example.commands(page)[0]
    assert drawing.arguments == ("example", str(page.runs / "example-eyes"), "--overwrite")


def test_the_drawn_example_is_neither_a_run_with_clusters_nor_images_to_look_at(page):
    write(page, "example-eyes", "example", "example-eyes")
    write(page, "example-test", "test", "example-eyes/test")
    assert list_run_choices(page) == []
    assert recent(page) == [str(page.runs / "example-eyes" / "test")]


def test_a_test_that_was_stopped_or_is_of_other_images_is_made_again(page):
    draw(page)
    write(page, "example-test", "test", "example-eyes/test", is_stopped=True)
    again = example.commands(page)[0]
    assert (again.arguments[0], again.arguments[-1]) == ("test", "--overwrite")


def test_clusters_that_were_stopped_are_found_again_and_finished_ones_opened(page):
    draw(page)
    write(page, "example-test", "test", "example-eyes/test")
    write(page, "example", "cluster", "example-eyes/test", is_stopped=True)
    (again,) = example.commands(page)
    assert "--overwrite" in again.arguments
    assert example.run_of_example(page) is None


@pytest.mark.parametrize("images", ["example-eyes/test", "example-images/failures"])
def test_a_finished_run_is_opened_also_one_of_an_earlier_version(page, images):
    write(page, "example", "cluster", images)
    assert example.run_of_example(page) == page.runs / "example"


def test_no_other_run_takes_the_examples_names(page):
    for name in ("example", "example-test"):
        assert new_run_folder(page, page.runs / "images" / name).name == f"{name}-2"
