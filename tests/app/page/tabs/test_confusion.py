"""What the form of the Confusion and bias tab asks for, and what it may not."""

import pytest

from app.page.tabs import confusion
from pipelines.data.image_lists import write_image_list
from pipelines.runs.errors import InputError
from pipelines.runs.manifest import Manifest, write_manifest


@pytest.mark.parametrize("changes", [{"key": "of another"}, {"changed": "earlier"}, {}])
def test_the_causes_are_those_of_the_inspection_that_the_pane_shows(page, monkeypatch, changes):
    commands = []
    monkeypatch.setattr(confusion.wiring, "start", lambda _, jobs: commands.extend(jobs) or [])
    run = page.runs / "inspection"
    (run / "pairs").mkdir(parents=True)
    manifest = Manifest(job="inspect", command=[], folder="", parameters={})
    write_manifest(run, manifest)
    write_image_list(run / "pairs" / "2-3.txt", page.access.roots[0] / "images", ["a.png"])
    request = {**confusion._show(page, str(run)), "a": 3, "b": 2, **changes}
    updates = confusion._find_causes(page, str(run), request)
    if changes:
        assert not commands
        assert any("Another inspection is open now" in str(part) for part in updates)
    else:
        assert commands[0].arguments[:2] == ("cluster", str(run / "pairs" / "2-3.txt"))


def inspections(page, **changes):
    root = page.access.roots[0]
    entries = {"model": str(root / "dnn.keras"), "images": str(root / "images")}
    (command,) = confusion._inspect(page, entries | changes)
    return command


def test_the_command_of_an_inspection(page):
    root = page.access.roots[0]
    usual = inspections(page)
    assert usual.folder == page.runs / "images-inspection"
    assert usual.arguments == (
        "inspect", str(root / "dnn.keras"), str(root / "images"), "--out", str(usual.folder),
    )  # fmt: skip
    defaults = {"threshold": "0.5", "top": "1 %", "scaling": "as the model tells", "layer": " , "}
    assert inspections(page, **defaults, no_labels=False).arguments == usual.arguments
    command = inspections(
        page, threshold="0.25; .75;", top="2.5 %", layer="conv, -dense", task="several",
        normalise=True, no_labels=True, labels="left.csv",
    )  # fmt: skip
    assert command.arguments[len(usual.arguments) :] == (
        "--task", "several", "--threshold", "0.25", "--threshold", "0.75", "--layer", "conv",
        "--layer=-dense", "--normalise", "--top", "2.5", "--no-labels",
    )  # fmt: skip


def test_distances_take_the_place_of_model_and_images(page):
    root = page.access.roots[0]
    tables = {name: str(root / f"{name}.csv") for name in ("distances", "labels", "predictions")}
    command = inspections(page, **tables, threshold="none", normalise=True, top="2")
    assert command.arguments == (
        "inspect", "--out", str(page.runs / "distances.csv-inspection"), "--top", "2",
        "--distances", tables["distances"], "--labels", tables["labels"],
        "--predictions", tables["predictions"],
    )  # fmt: skip
    with pytest.raises(InputError, match="Give the model file of the classifier"):
        inspections(page, model="", labels=tables["labels"])
