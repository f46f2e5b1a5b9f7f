"""What the form of the Retraining tab asks for, and what it may not."""

from dataclasses import replace

import pytest

from app.page.tabs import retraining
from pipelines.runs.errors import InputError
from pipelines.runs.folder import open_run
from pipelines.runs.manifest import Manifest


def quiet(stage, done, total):
    """Listen to nothing."""


def retraining_form(page, **changes):
    root = page.access.roots[0]
    usual = {"model": str(root / "dnn.keras"), "training": str(root), "test": str(root / "images")}
    return replace(retraining.USUAL, **usual | changes)


def test_a_retraining_asks_for_what_differs_from_the_usual_alone(page):
    run = page.runs / "run"
    usual = retraining._command(page, str(run), retraining_form(page)).arguments
    assert usual[0] == "retrain"
    assert usual[usual.index("--unsafe") + 1] == str(run)
    assert usual[-2:] == ("--out", str(page.runs / "run-retrained"))
    changes = {
        "epochs": "20", "learning_rate": "0.001", "batch_size": "16", "schedule": "constant",
        "validation_share": "0.2", "patience": "3", "augment": True, "seed": "7", "scaling": "0-1",
        "task": "numbers", "error_threshold": "4.5", "key_points": True, "compare": True,
        "repeats": "3", "groups": "-(drive)",
    }  # fmt: skip
    given = retraining._command(page, str(run), retraining_form(page, **changes)).arguments
    assert given[-2:] == usual[-2:]
    assert given[len(usual) - 2 : -2] == (
        "--epochs", "20", "--batch-size", "16", "--patience", "3", "--seed", "7",
        "--learning-rate", "0.001", "--validation-share", "0.2", "--error-threshold", "4.5",
        "--repeats", "3", "--schedule", "constant", "--scaling", "0-1", "--task", "numbers",
        "--augment", "--key-points", "--compare", "--groups=-(drive)",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": " "}, "Give the model file"),
        ({"training": ""}, "Give the folder of its training images"),
        ({"test": ""}, "Give the folder of test images"),
        ({"epochs": "many"}, "Epochs: expected a whole number, 1 or more, received 'many'"),
        ({"learning_rate": "low"}, "Learning rate: expected a number above 0, received 'low'"),
        ({"validation": "{secret}"}, "outside of the folders that this page may use"),
        ({"training": "{secret}"}, "outside of the folders that this page may use"),
    ],
)
def test_what_a_retraining_may_not_be_asked(page, tmp_path, changes, words):
    filled = {name: text.format(secret=tmp_path / "secret") for name, text in changes.items()}
    with pytest.raises(InputError, match=words):
        retraining._command(page, str(page.runs / "run"), retraining_form(page, **filled))


def test_what_lies_beside_the_images_of_a_run_is_suggested(page, tmp_path):
    images = page.access.roots[0] / "images"
    manifest = Manifest(job="cluster", command=[], folder=str(images), parameters={})
    with open_run(page.runs / "run", manifest, quiet):
        pass
    assert retraining.suggest_places(page, str(page.runs / "run")) == ("", "", "")
    (images.parent / "model.keras").write_bytes(b"")
    (images.parent / "train").mkdir()
    found = retraining.suggest_places(page, str(page.runs / "run"))
    assert found == (str(images.parent / "model.keras"), str(images.parent / "train"), "")
    assert retraining.suggest_places(page, str(tmp_path / "secret")) == ("", "", "")


def test_the_same_command_goes_on_with_a_retraining_that_was_broken_off(page):
    run = page.runs / "run"
    first = retraining._command(page, str(run), retraining_form(page))
    manifest = Manifest(
        job="retrain", command=list(first.arguments), folder=str(run), parameters={}
    )  # fmt: skip
    with pytest.raises(KeyboardInterrupt), open_run(first.folder, manifest, quiet):
        raise KeyboardInterrupt
    again = retraining._command(page, str(run), retraining_form(page))
    assert again.arguments == (*first.arguments, "--overwrite")
    other = retraining._command(page, str(run), retraining_form(page, epochs="3"))
    assert other.folder != first.folder
    with open_run(first.folder, manifest, quiet, overwrite=True) as job:
        job.begin_results()
    assert retraining._command(page, str(run), retraining_form(page)).folder != first.folder
