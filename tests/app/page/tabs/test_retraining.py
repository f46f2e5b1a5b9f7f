"""What the form of the Retraining tab asks for, and what it may not."""

import gradio as gr
import pytest

from app.page.tabs import retraining
from pipelines.runs.errors import InputError
from pipelines.runs.folder import open_run
from pipelines.runs.manifest import Manifest
from tests.edited import edit_part


def quiet(stage, done, total):
    """Listen to nothing."""


def retrainings(page, **changes):
    root = page.access.roots[0]
    (root / "train").mkdir(exist_ok=True)
    entries = {
        "model": str(root / "dnn.keras"), "training": str(root / "train"),
        "test": str(root / "images"),
    }  # fmt: skip
    return retraining._command(page, page.runs / "run", entries | changes)


def test_a_retraining_asks_for_what_differs_from_the_usual_alone(page):
    usual = retrainings(page).arguments
    assert usual[0] == "retrain"
    assert usual[usual.index("--unsafe") + 1] == str(page.runs / "run")
    assert usual[-2:] == ("--out", str(page.runs / "run-retrained"))
    defaults = {
        "epochs": "10", "batch_size": "32", "learning_rate": "", "schedule": "cosine",
        "validation_share": "0.1", "seed": "0", "scaling": "as the model tells", "repeats": "7",
    }  # fmt: skip
    assert retrainings(page, **defaults).arguments == usual
    changes = {
        "epochs": "20", "learning_rate": "0.001", "batch_size": "16", "schedule": "constant",
        "validation_share": "0.2", "patience": "3", "augment": True, "seed": "7", "scaling": "0-1",
        "task": "numbers", "error_threshold": "4.5", "key_points": True, "compare": True,
        "repeats": "3", "groups": "-(drive)",
    }  # fmt: skip
    arguments = retrainings(page, **changes).arguments
    assert arguments[: len(usual)] == usual
    assert arguments[len(usual) :] == (
        "--epochs", "20", "--batch-size", "16", "--learning-rate", "0.001",
        "--schedule", "constant", "--validation-share", "0.2", "--patience", "3", "--augment",
        "--compare", "--repeats", "3", "--seed", "7", "--scaling", "0-1", "--task", "numbers",
        "--error-threshold", "4.5", "--key-points", "--groups=-(drive)",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": " "}, "Give the model file"),
        ({"training": ""}, "Give the folder of its training images"),
        ({"test": ""}, "Give the folder of test images"),
        ({"epochs": "many"}, "Epochs: expected a whole number, 1 or more, received 'many'"),
        ({"learning_rate": "low"}, "Learning rate: expected a number above 0, received 'low'"),
        ({"validation": "{secret}"}, "outside the folders that this page may use"),
        ({"training": "{secret}"}, "outside the folders that this page may use"),
    ],
)
def test_what_a_retraining_may_not_be_asked(page, tmp_path, changes, words):
    entries = {name: text.format(secret=tmp_path / "secret") for name, text in changes.items()}
    with pytest.raises(InputError, match=words):
        retrainings(page, **entries)


def test_a_retraining_takes_a_run_with_an_unsafe_set(page):
    with pytest.raises(InputError, match="Open the run with the labelled unsafe set first"):
        retraining._retrain(page, {})
    for job, words in (("test", "no root cause clusters"), ("cluster", "no unsafe set yet")):
        run = page.runs / job
        manifest = Manifest(job=job, command=[], folder=str(run), parameters={})
        with open_run(run, manifest, quiet):
            pass
        with pytest.raises(InputError, match=words):
            retraining._retrain(page, {"opened": str(run)})


def test_what_lies_beside_the_images_of_a_run_is_suggested(page, tmp_path):
    images = page.access.roots[0] / "images"
    manifest = Manifest(job="cluster", command=[], folder=str(images), parameters={})
    with open_run(page.runs / "run", manifest, quiet):
        pass
    assert retraining.suggest_places(page, str(page.runs / "run")) == ("", "", "")
    (images.parent / "model.keras").write_bytes(b"")
    (images.parent / "train").mkdir()
    places = retraining.suggest_places(page, str(page.runs / "run"))
    assert places == (str(images.parent / "model.keras"), str(images.parent / "train"), "")
    assert retraining.suggest_places(page, str(tmp_path / "secret")) == ("", "", "")


def test_the_same_options_go_on_with_a_retraining_that_was_broken_off(page):
    run, root = page.runs / "run", page.access.roots[0]
    first = retrainings(page)
    parameters = {
        "model": str(root / "dnn.keras"), "training": str(root / "train"), "unsafe": str(run),
        "test": str(root / "images"), "validation": None, "scaling": None, "trust_model": False,
        "classes": None, "task": None, "error_threshold": None, "key_points": False,
        "groups": None, "repeats": 0, "epochs": 10, "batch_size": 32, "learning_rate": None,
        "schedule": "cosine", "validation_share": 0.1, "patience": None, "augment": False,
        "seed": 0,
    }  # fmt: skip
    manifest = Manifest(job="retrain", command=[], folder=str(run), parameters=parameters)
    with pytest.raises(KeyboardInterrupt), open_run(first.folder, manifest, quiet):
        raise KeyboardInterrupt
    again = retrainings(page)
    assert again.arguments == (*first.arguments, "--overwrite")
    others = (
        {"epochs": "3"}, {"compare": True}, {"scaling": "0-1"}, {"augment": True}, {"seed": "1"},
        {"model": str(root / "other.keras")}, {"learning_rate": "0.01"},
    )  # fmt: skip
    for other in others:
        assert retrainings(page, **other).folder != first.folder
    edit_part(first.folder, "parameters", epochs="many")
    assert retrainings(page).folder != first.folder  # nobody knows what it was
    edit_part(first.folder, "parameters", epochs=10)
    assert retrainings(page).folder == first.folder
    with open_run(first.folder, manifest, quiet, overwrite=True) as new_run:
        new_run.begin_results()
    assert retrainings(page).folder != first.folder


def test_a_retraining_goes_on_with_the_scaling_of_the_clusters(page):
    run, root = page.runs / "run", page.access.roots[0]
    choices = {"scaling": "0-1", "explained": "the predicted one"}
    manifest = Manifest(job="heatmaps", command=[], folder=str(run), parameters={}, chosen=choices)
    with open_run(run, manifest, quiet):
        pass
    first = retrainings(page)
    parameters = {
        "model": str(root / "dnn.keras"), "training": str(root / "train"), "unsafe": str(run),
        "test": str(root / "images"), "scaling": "0-1", "epochs": 10, "batch_size": 32,
        "schedule": "cosine", "validation_share": 0.1,
    }  # fmt: skip
    manifest = Manifest(job="retrain", command=[], folder=str(run), parameters=parameters)
    with pytest.raises(KeyboardInterrupt), open_run(first.folder, manifest, quiet):
        raise KeyboardInterrupt
    assert retrainings(page).arguments == (*first.arguments, "--overwrite")
    assert retrainings(page, scaling="none").folder != first.folder


PLACES = ("model", "train", "test")


@pytest.mark.parametrize(
    ("entered", "earlier", "filled"),
    [
        (("", "", ""), ("", "", ""), PLACES),
        ((None, " ", ""), ("", "", ""), PLACES),
        (("old", "mine", "old"), ("old", "old", "old"), ("model", None, "test")),
        (PLACES, PLACES, (None, None, None)),
        (("model", "mine", "test"), PLACES, (None, None, None)),
    ],
)
def test_a_field_is_filled_unless_the_user_typed_or_it_has_its_value(
    entered, earlier, filled, monkeypatch
):
    monkeypatch.setattr(retraining, "suggest_places", lambda page, run: PLACES)
    suggested, *updates = retraining._suggest(None, "run", earlier, entered)
    assert suggested == PLACES
    nothing = gr.skip()
    assert [None if update == nothing else update.value for update in updates] == list(filled)
