"""What the forms of the page ask for, and what they may not."""

import pytest

from app.page.context import Page
from app.page.tabs import clusters, confusion, heatmaps, retraining, unsafe_set
from app.server.access import Access
from app.server.jobs import Jobs
from app.server.routes import ServedRuns
from pipelines.data.images import write_failures
from pipelines.runs.errors import InputError
from pipelines.runs.folder import open_run
from pipelines.runs.manifest import Manifest, write_manifest


def quiet(stage, done, total):
    """Listen to nothing."""


@pytest.fixture
def page(tmp_path):
    root = tmp_path / "root"
    (root / "runs").mkdir(parents=True)
    (root / "images").mkdir()
    (root / "dnn.keras").write_bytes(b"")
    (tmp_path / "secret").mkdir()
    access = Access(roots=(root.resolve(),))
    made = Page(access, Jobs(), ServedRuns(access), root.resolve() / "runs")
    yield made
    made.jobs.close()


def commands(page, only_test=False, **changes):
    root = page.access.roots[0]
    entries = {"model": str(root / "dnn.keras"), "images": str(root / "images")} | changes
    return (heatmaps._test if only_test else heatmaps._find)(page, entries)


def test_a_test_comes_before_heatmaps_unless_all_images_have_failed(page):
    first, second = commands(page)
    assert first.arguments[:1] == ("test",)
    assert second.arguments[:1] == ("heatmaps",)
    assert second.arguments[2] == str(first.folder / "failures.txt")
    (alone,) = commands(page, failing=True)
    assert alone.arguments[:1] == ("heatmaps",)
    (tested,) = commands(page, only_test=True, task="numbers", error_threshold="4.5")
    assert tested.arguments[-4:] == ("--task", "numbers", "--error-threshold", "4.5")
    grouped, clustered = commands(page, groups=" -- drive ")
    assert grouped.arguments[-1] == "--groups=-- drive"
    assert not any("--groups" in argument for argument in clustered.arguments)
    both = commands(page, scaling="torch", layer="conv, dense", rule="z+", explain=" 3 ")
    assert all(each.arguments[5:7] == ("--scaling", "torch") for each in both)
    assert both[1].arguments[7:] == ("--layer", "conv", "--layer", "dense", "--explain", "3")
    with pytest.raises(InputError, match="Give the folder of labelled images"):
        commands(page, only_test=True, images=" ")
    with pytest.raises(InputError, match="Give the folder that holds the images"):
        commands(page, images=" ")


def test_a_list_of_images_elsewhere_is_not_taken(page, tmp_path):
    listed = page.access.roots[0] / "failures.txt"
    write_failures(listed, tmp_path / "secret", ["a.png"])
    with pytest.raises(InputError, match="outside of the folders that this page may use"):
        commands(page, images=str(listed))
    with pytest.raises(InputError, match="outside of the folders"):
        clusters._find(page, {"images": str(listed)})
    assert page.jobs.look() is None


def test_a_finished_test_is_not_replaced_by_that_of_another_model(page):
    images = str(page.access.roots[0] / "images")
    (first,) = commands(page, only_test=True)
    manifest = Manifest(job="test", command=[], folder=images, parameters={})
    with open_run(first.folder, manifest, quiet):
        pass
    (second,) = commands(page, only_test=True)
    assert second.folder != first.folder
    assert "--overwrite" not in second.arguments


def test_a_run_whose_model_lies_elsewhere_is_not_selected_for(page, tmp_path):
    run = page.runs / "run"
    images = page.access.roots[0] / "images"
    parameters = {"model": str(tmp_path / "secret" / "dnn.keras")}
    manifest = Manifest(job="heatmaps", command=[], folder=str(images), parameters=parameters)
    with open_run(run, manifest, quiet):
        pass
    with pytest.raises(InputError, match="outside of the folders"):
        unsafe_set._select(page, {"opened": str(run), "improvement": str(images)})


def selections(page, **changes):
    run = page.runs / "run"
    images = str(page.access.roots[0] / "images")
    if not run.exists():
        manifest = Manifest(job="cluster", command=[], folder=images, parameters={})
        with open_run(run, manifest, quiet):
            pass
    entries = {"opened": str(run), "improvement": images}
    (made,) = unsafe_set._select(page, entries | changes)
    assert made.folder == run
    return made.arguments


def test_the_command_of_a_selection(page):
    usual = selections(page)
    assert usual == ("select", str(page.runs / "run"), str(page.access.roots[0] / "images"))
    shown = {"selection_factor": "0.3", "allocation": "uniform", "count": " ", "overwrite": False}
    assert selections(page, **shown) == usual
    changed = selections(
        page, count="12", test_images="1 000", accuracy="93 %", selection_factor="25 %",
        allocation="proportional", ranking="distance", duplicates=True, overwrite=True,
        groups=r" -(\d+)_ ",
    )  # fmt: skip
    assert changed[len(usual) :] == (
        "--count", "12", "--test-images", "1000", "--accuracy", "0.93", "--selection-factor",
        "0.25", "--allocation", "proportional", "--ranking", "distance", "--duplicates",
        r"--groups=-(\d+)_", "--overwrite",
    )  # fmt: skip
    with pytest.raises(InputError, match="Give the folder that holds the new images"):
        selections(page, improvement="")
    with pytest.raises(InputError, match="Open the run first whose clusters"):
        unsafe_set._select(page, {})


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
    shown = {
        "epochs": "10", "batch_size": "32", "learning_rate": "", "schedule": "cosine",
        "validation_share": "0.1", "seed": "0", "scaling": "as the model tells", "repeats": "7",
    }  # fmt: skip
    assert retrainings(page, **shown).arguments == usual
    changes = {
        "epochs": "20", "learning_rate": "0.001", "batch_size": "16", "schedule": "constant",
        "validation_share": "0.2", "patience": "3", "augment": True, "seed": "7", "scaling": "0-1",
        "task": "numbers", "error_threshold": "4.5", "key_points": True, "compare": True,
        "repeats": "3", "groups": "-(drive)",
    }  # fmt: skip
    changed = retrainings(page, **changes).arguments
    assert changed[: len(usual)] == usual
    assert changed[len(usual) :] == (
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
        ({"validation": "{secret}"}, "outside of the folders that this page may use"),
        ({"training": "{secret}"}, "outside of the folders that this page may use"),
    ],
)
def test_what_a_retraining_may_not_be_asked(page, tmp_path, changes, words):
    filled = {name: text.format(secret=tmp_path / "secret") for name, text in changes.items()}
    with pytest.raises(InputError, match=words):
        retrainings(page, **filled)


def test_a_retraining_takes_a_run_with_an_unsafe_set(page):
    with pytest.raises(InputError, match="Open the run first whose unsafe set is labelled"):
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
    found = retraining.suggest_places(page, str(page.runs / "run"))
    assert found == (str(images.parent / "model.keras"), str(images.parent / "train"), "")
    assert retraining.suggest_places(page, str(tmp_path / "secret")) == ("", "", "")


@pytest.mark.parametrize("changes", [{"key": "of another"}, {"changed": "earlier"}, {}])
def test_the_causes_are_those_of_the_inspection_that_the_pane_shows(page, monkeypatch, changes):
    started = []
    monkeypatch.setattr(confusion.wiring, "start", lambda _, jobs: started.extend(jobs) or [])
    run = page.runs / "inspection"
    (run / "pairs").mkdir(parents=True)
    manifest = Manifest(job="inspect", command=[], folder="", parameters={})
    write_manifest(run, manifest)
    write_failures(run / "pairs" / "2-3.txt", page.access.roots[0] / "images", ["a.png"])
    asked = {**confusion._show(page, str(run)), "a": 3, "b": 2, **changes}
    told = confusion._find_causes(page, str(run), asked)
    if changes:
        assert not started
        assert any("Another inspection is open now" in str(part) for part in told)
    else:
        assert started[0].arguments[:2] == ("cluster", str(run / "pairs" / "2-3.txt"))


def test_the_same_command_goes_on_with_a_retraining_that_was_broken_off(page):
    run = page.runs / "run"
    first = retrainings(page)
    job, *pairs = first.arguments
    words = [job, *pairs[5:], *pairs[:5]]  # typed in another order
    manifest = Manifest(job="retrain", command=words, folder=str(run), parameters={})
    with pytest.raises(KeyboardInterrupt), open_run(first.folder, manifest, quiet):
        raise KeyboardInterrupt
    again = retrainings(page)
    assert again.arguments == (*first.arguments, "--overwrite")
    other = retrainings(page, epochs="3")
    assert other.folder != first.folder
    with open_run(first.folder, manifest, quiet, overwrite=True) as opened:
        opened.begin_results()
    assert retrainings(page).folder != first.folder


def inspections(page, **changes):
    root = page.access.roots[0]
    entries = {"model": str(root / "dnn.keras"), "images": str(root / "images")}
    (made,) = confusion._inspect(page, entries | changes)
    return made


def test_the_command_of_an_inspection(page):
    root = page.access.roots[0]
    usual = inspections(page)
    assert usual.folder == page.runs / "images-inspection"
    assert usual.arguments == (
        "inspect", str(root / "dnn.keras"), str(root / "images"), "--out", str(usual.folder),
    )  # fmt: skip
    shown = {"threshold": "0.5", "top": "1 %", "scaling": "as the model tells", "layer": " , "}
    assert inspections(page, **shown, no_labels=False).arguments == usual.arguments
    changed = inspections(
        page, threshold="0.25; .75;", top="2.5 %", layer="conv, -dense", task="several",
        normalise=True, no_labels=True, labels="left.csv",
    )  # fmt: skip
    assert changed.arguments[len(usual.arguments) :] == (
        "--task", "several", "--threshold", "0.25", "--threshold", "0.75", "--layer", "conv",
        "--layer=-dense", "--normalise", "--top", "2.5", "--no-labels",
    )  # fmt: skip


def test_distances_take_the_place_of_model_and_images(page):
    root = page.access.roots[0]
    tables = {name: str(root / f"{name}.csv") for name in ("distances", "labels", "predictions")}
    made = inspections(page, **tables, threshold="none", normalise=True, top="2")
    assert made.arguments == (
        "inspect", "--out", str(page.runs / "distances.csv-inspection"), "--top", "2",
        "--distances", tables["distances"], "--labels", tables["labels"],
        "--predictions", tables["predictions"],
    )  # fmt: skip
    with pytest.raises(InputError, match="Give the model file of the classifier"):
        inspections(page, model="", labels=tables["labels"])


def clustering(page, **changes):
    images = str(page.access.roots[0] / "images")
    (made,) = clusters._find(page, {"images": images} | changes)
    return made


def test_the_command_of_clusters(page):
    root = page.access.roots[0]
    usual = clustering(page)
    assert usual.folder == page.runs / "images"
    assert usual.arguments == ("cluster", str(root / "images"), "--out", str(usual.folder))
    shown = {
        "out": " ", "recipe": "by input", "layer": [], "components": "", "seed": "0",
        "batch_size": "8", "precision": "auto", "parameters": "\n", "angles": ",", "passing": "",
    }  # fmt: skip
    assert clustering(page, **shown).arguments == usual.arguments
    changed = clustering(
        page, out=str(root / "elsewhere"), recipe="paper", layer=["fc1", "fc2"], components="5",
        eps=".5", min_samples="3", seed="7", batch_size="4", precision="float32", groups="-d",
        weights=str(root / "vgg.h5"), parameters=f"{root / 'a.csv'}\n\n{root / 'b.csv'}\n",
        angles=" turn, -yaw, ", unsafe_values=str(root / "c.csv"), passing=str(root / "runs"),
    )  # fmt: skip
    assert changed.arguments == (
        "cluster", str(root / "images"), "--out", str(root / "elsewhere"),
        "--passing", str(root / "runs"), "--groups=-d", "--recipe", "paper",
        "--weights", str(root / "vgg.h5"), "--layer", "fc1", "--layer", "fc2",
        "--components", "5", "--min-samples", "3", "--eps", "0.5", "--seed", "7",
        "--batch-size", "4", "--precision", "float32", "--parameters", str(root / "a.csv"),
        "--parameters", str(root / "b.csv"), "--angles", "turn", "--angles=-yaw",
        "--unsafe-values", str(root / "c.csv"),
    )  # fmt: skip
    with pytest.raises(InputError, match="Give the folder that holds the images, or try the exam"):
        clustering(page, images=" ")


def test_a_test_names_its_images_itself(page):
    root = page.access.roots[0]
    test = page.runs / "tested"
    manifest = Manifest(job="test", command=[], folder=str(root / "images"), parameters={})
    with open_run(test, manifest, quiet):
        pass
    for images in ("", str(root)):
        made = clustering(page, images=images, passing=str(test))
        assert made.arguments == (
            "cluster", "--out", str(page.runs / "images"), "--test-run", str(test),
        )  # fmt: skip


def test_tables_beside_other_images_are_not_taken(page):
    root = page.access.roots[0]
    table = root / "parameters.csv"
    table.write_text("image,turn\n")
    with pytest.raises(InputError, match="lies beside other images than"):
        clustering(page, parameters=str(table))
    for alone in ({"angles": "turn"}, {"unsafe_values": str(root / "values.csv")}):
        with pytest.raises(InputError, match="speak of parameters: give their table, too"):
            clustering(page, **alone)


def test_the_command_that_explains_a_run(page):
    root = page.access.roots[0]
    run = page.runs / "run"
    with pytest.raises(InputError, match="Open the run first that is to be explained"):
        clusters._explain(page, {})
    run.mkdir()
    with pytest.raises(InputError, match="is not a run folder"):
        clusters._explain(page, {"opened": str(run)})
    manifest = Manifest(job="cluster", command=[], folder=str(root / "images"), parameters={})
    write_manifest(run, manifest)
    entries = {"opened": str(run), "seed": "7", "parameters": str(root / "a.csv"), "angles": "a"}
    (made,) = clusters._explain(page, entries)
    assert made.arguments == (
        "explain", str(run), "--parameters", str(root / "a.csv"), "--angles", "a",
    )  # fmt: skip
    assert made.folder == run
