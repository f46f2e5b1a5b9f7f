"""Runs as the page's lists name them, also those whose manifest somebody edited."""

import pytest

from app.page import folders
from app.page.tabs import confusion, coverage
from pipelines.runs.manifest import Manifest, write_manifest

FIGURES = {
    "test": {
        "images": 70, "failures": 7, "accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95,
    },
    "cluster": {"clusters": 3, "noise": 1, "noise_share": 0.1, "inspection_share": 0.5},
    "coverage": {
        "combinations": 8, "covered": 4, "coverage": 0.5, "images": 9, "training_images": 20,
    },
    "inspect": {
        "classes": 5, "pairs": 10, "confusion": {"one_sd": 1, "top_percent": 1, "cut": 0.1},
    },
}  # fmt: skip


def write_run(page, name, job, **changes):
    folder = page.runs / name
    folder.mkdir()
    manifest = Manifest(
        job=job, ended="finished", command=[], folder="/images",
        parameters={"training": f"/{name}"}, result=FIGURES[job] | changes,
    )  # fmt: skip
    write_manifest(folder, manifest)
    return folder


@pytest.mark.parametrize(
    ("job", "list_choices", "changes", "words", "others"),
    [
        ("test", folders.list_test_choices, {"failures": "x"}, "with 7 fail", "without figures"),
        ("cluster", folders.list_run_choices, {"noise": []}, "3 clusters", "no clusters"),
        ("coverage", coverage._run_choices, {"coverage": "all"}, "50.0 % covered", "no figures"),
        ("inspect", confusion._choices, {"confusion": 1}, "5 classes", "no figures"),
    ],
)
def test_a_run_that_was_edited_hides_no_other(page, job, list_choices, changes, words, others):
    whole = write_run(page, "whole", job)
    run = write_run(page, "edited", job, **changes)
    labels = {path: label.replace("\N{NO-BREAK SPACE}", " ") for label, path in list_choices(page)}
    assert words in labels[str(whole)]
    assert others in labels[str(run)]


def test_training_sets_of_edited_runs_are_not_offered(page):
    write_run(page, "whole", "coverage")
    run = write_run(page, "edited", "coverage")
    text = (run / "run.json").read_text()
    (run / "run.json").write_text(text.replace('"/edited"', "5"))
    assert coverage._trained_on(page) == ["/whole"]


def test_the_images_of_a_list_are_counted_as_those_of_a_folder(page, draw, tmp_path):
    root = page.access.roots[0]
    for name in ("a.png", "b.png"):
        draw(root / "set" / name)
    draw(tmp_path / "secret.png")
    (root / "set" / "again.png").symlink_to(root / "set" / "a.png")
    (root / "set" / "out.png").symlink_to(tmp_path / "secret.png")
    lines = ["# set", "a.png", "./a.png", "b.png", "again.png", "out.png"]
    (root / "list.txt").write_text("\n".join(lines))
    for name in ("set", "list.txt"):
        message = list(folders.count_images(page, str(root / name)))[-1]
        assert "2 usable images. 1 other file cannot be used." in message
