"""What the form of the Unsafe set tab asks for, and what it may not."""

import pytest

from app.page.tabs import unsafe_set
from pipelines.runs.errors import InputError
from pipelines.runs.folder import open_run
from pipelines.runs.manifest import Manifest


def quiet(stage, done, total):
    """Listen to nothing."""


def test_a_run_whose_model_lies_elsewhere_is_not_selected_for(page, tmp_path):
    run = page.runs / "run"
    images = page.access.roots[0] / "images"
    model = str(tmp_path / "secret" / "dnn.keras")
    parameters = {"model": model, "rule": "z+", "batch_size": 16}
    manifest = Manifest(job="heatmaps", command=[], folder=str(images), parameters=parameters)
    with open_run(run, manifest, quiet):
        pass
    with pytest.raises(InputError, match="outside the folders"):
        unsafe_set._select(page, {"opened": str(run), "improvement": str(images)})


def selections(page, **changes):
    run = page.runs / "run"
    images = str(page.access.roots[0] / "images")
    if not run.exists():
        manifest = Manifest(job="cluster", command=[], folder=images, parameters={})
        with open_run(run, manifest, quiet):
            pass
    entries = {"opened": str(run), "improvement": images}
    (command,) = unsafe_set._select(page, entries | changes)
    assert command.folder == run
    return command.arguments


def test_the_command_of_a_selection(page):
    usual = selections(page)
    assert usual == ("select", str(page.runs / "run"), str(page.access.roots[0] / "images"))
    defaults = {
        "selection_factor": "0.3",
        "allocation": "uniform",
        "count": " ",
        "overwrite": False,
    }
    assert selections(page, **defaults) == usual
    arguments = selections(
        page, count="12", test_images="1 000", accuracy="93 %", selection_factor="25 %",
        allocation="proportional", ranking="distance", duplicates=True, overwrite=True,
        groups=r" -(\d+)_ ",
    )  # fmt: skip
    assert arguments[len(usual) :] == (
        "--count", "12", "--test-images", "1000", "--accuracy", "0.93", "--selection-factor",
        "0.25", "--allocation", "proportional", "--ranking", "distance", "--duplicates",
        r"--groups=-(\d+)_", "--overwrite",
    )  # fmt: skip
    with pytest.raises(InputError, match="Give the folder that holds the new images"):
        selections(page, improvement="")
    with pytest.raises(InputError, match="Open the run first: the new images"):
        unsafe_set._select(page, {})
