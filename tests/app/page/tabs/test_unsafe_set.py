"""What the form of the Unsafe set tab asks for, and what it may not."""

from dataclasses import replace

from app.page.tabs import unsafe_set
from pipelines.runs.folder import open_run
from pipelines.runs.manifest import Manifest


def quiet(stage, done, total):
    """Listen to nothing."""


def test_a_run_whose_model_lies_elsewhere_is_not_selected_for(page, tmp_path):
    run = page.runs / "run"
    images = page.access.roots[0] / "images"
    parameters = {"model": str(tmp_path / "secret" / "dnn.keras")}
    manifest = Manifest(job="heatmaps", command=[], folder=str(images), parameters=parameters)
    with open_run(run, manifest, quiet):
        pass
    told = unsafe_set._select(page, str(run), replace(unsafe_set.USUAL, improvement=str(images)))
    assert any("outside of the folders" in str(part) for part in told)
    assert page.jobs.look() is None


def test_groups_of_new_images_go_into_the_command(page):
    images = str(page.access.roots[0] / "images")
    form = replace(unsafe_set.USUAL, improvement=images)
    run = str(page.runs / "run")
    assert "--groups" not in unsafe_set._command(page, run, form).line()
    grouped = unsafe_set._command(page, run, replace(form, groups=r" -(\d+)_ "))
    assert r"--groups=-(\d+)_" in grouped.arguments
