"""From a model and labelled images to the list of what it gets wrong, and on to clusters."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from pipelines.data.image_lists import list_images, write_image_list
from pipelines.data.images import Rejected
from pipelines.data.intervals import accuracy_interval
from pipelines.dnn import job as dnn_job
from pipelines.dnn.job import EvaluationOptions, read_test
from pipelines.dnn.keras import import_keras
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv, read_pairs
from pipelines.runs.manifest import read_manifest
from tests.foreign import find_undeclared, read_files, write_foreign

CLASSES = ("bright", "dark")


def quiet(stage, done, total):
    """Listen to nothing."""


def run_test(model, images, out, overwrite=False, **options):
    return dnn_job.test_model(
        model, images, out, EvaluationOptions(**options), progress=quiet, overwrite=overwrite
    )


def test_what_is_wrong_is_listed(model, images, tmp_path):
    manifest = run_test(model, images, tmp_path / "out")
    wrong = ["dark/104.png", "dark/114.png", "dark/124.png"]
    rows = {row["path"]: row for row in read_csv(tmp_path / "out" / "testResult.csv")}
    assert len(rows) == 26
    assert sorted(path for path, row in rows.items() if row["correct"] == "0") == wrong
    for path, row in rows.items():
        assert row["expected"] == path.split("/")[0]
        level = int(path[-7:-4])
        assert row["predicted"] == ("bright" if level > 100 else "dark")
        assert (float(row["score bright"]) > 0.5) == (level > 100)
    lines = (tmp_path / "out" / "failures.txt").read_text().splitlines()
    assert lines == [f"# {images}", *wrong]
    assert manifest.result["accuracy"] == 23 / 26
    assert manifest.result["accuracy_low"] < 23 / 26 < manifest.result["accuracy_high"]
    assert read_test(tmp_path / "out") == (26, 23 / 26)
    with (tmp_path / "out" / "confusion.csv").open() as file:
        assert list(csv.reader(file)) == [
            ["expected", "bright", "dark"], ["bright", "13", "0"], ["dark", "3", "10"],
        ]  # fmt: skip
    assert Image.open(tmp_path / "out" / "confusion.png").size > (100, 100)


def test_every_file_is_tested_or_rejected_with_a_reason(model, images, tmp_path):
    manifest = run_test(model, images, tmp_path / "out")
    rejected = read_pairs(tmp_path / "out" / "rejected.txt")
    assert set(rejected) == {"dark/bad.png", "unsorted.png"}
    assert rejected["unsorted.png"] == "it has no label"
    counts = manifest.images
    assert (counts.found, counts.used, counts.rejected) == (28, 26, 2)
    assert any("1 image of another size" in note for note in manifest.notes)


def test_images_of_one_group_count_as_one_in_the_interval(model, images, tmp_path):
    alone = run_test(model, images, tmp_path / "alone", groups="none")
    assert "groups" not in alone.result
    assert alone.result == run_test(model, images, tmp_path / "auto").result
    manifest = run_test(model, images, tmp_path / "out", groups=r"(\d)\d\d\.png")
    correct = {r["path"]: int(r["correct"]) for r in read_csv(tmp_path / "out" / "testResult.csv")}
    of = {path: int(path[-7]) for path in correct}  # hundreds of the grey level
    assert manifest.parameters["groups"] == r"(\d)\d\d\.png"
    assert manifest.result["groups"] == len({*of.values()}) == 3
    assert manifest.result["accuracy"] == alone.result["accuracy"]
    expected = accuracy_interval(
        np.array([*correct.values()], dtype=np.bool_), np.array([*of.values()])
    )
    interval = manifest.result["accuracy_low"], manifest.result["accuracy_high"]
    assert interval == pytest.approx(expected)
    assert expected[0] < alone.result["accuracy_low"] - 0.1
    assert any("26 images in 3 groups, by the part of" in note for note in manifest.notes)
    with pytest.raises(InputError, match="matches none of 27 paths"):
        run_test(model, images, tmp_path / "other", groups="drive")


def test_a_list_of_failures_stands_for_their_folder(model, images, tmp_path):
    run_test(model, images, tmp_path / "out")
    failures = list_images(tmp_path / "out" / "failures.txt")
    assert (failures.folder, failures.rejected, failures.notes) == (images, (), ())
    assert failures.paths == ("dark/104.png", "dark/114.png", "dark/124.png")
    again = run_test(model, tmp_path / "out" / "failures.txt", tmp_path / "again")
    assert (again.result["images"], again.result["accuracy"]) == (3, 0.0)


def test_absolute_paths_have_the_labels_of_their_folder(model, images, tmp_path):
    names = ["dark/104.png", "./dark/114.png", "bright/../dark/124.png", "dark/004.png"]
    lines = [f"{images / name}\n" for name in names]
    twice = f"# {images}\n" + "".join([*lines, "dark/104.png\n", "dark/004.png\n"])
    (tmp_path / "twice.txt").write_text(twice)
    manifest = run_test(model, tmp_path / "twice.txt", tmp_path / "out")
    assert (manifest.result["images"], manifest.result["accuracy"]) == (4, 0.25)
    assert any("2 lines of twice.txt name an image that an earlier" in n for n in manifest.notes)
    assert manifest.images.found == 4
    (tmp_path / "plain.txt").write_text("".join([*lines, str(images / "bright/204.png")]))
    plain = run_test(model, tmp_path / "plain.txt", tmp_path / "plain")
    assert (plain.result["images"], plain.folder) == (5, str(images))
    assert any(f"All paths are relative to {images}, the common" in n for n in plain.notes)
    rows = read_csv(tmp_path / "plain" / "testResult.csv")
    assert [row["path"] for row in rows if row["expected"] == "bright"] == ["bright/204.png"]


def test_class_folders_of_links_are_tested(model, images, tmp_path):
    for name in ("dark/104.png", "dark/004.png", "bright/204.png"):
        (tmp_path / "links" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "links" / name).symlink_to(images / name)
    manifest = run_test(model, tmp_path / "links", tmp_path / "out")
    assert (manifest.images.found, manifest.images.used, manifest.images.rejected) == (3, 3, 0)
    assert manifest.result["failures"] == 1


def test_images_without_labels_are_not_said_to_be_no_images(model, images, tmp_path):
    (images / "labels.csv").write_text("path,label\nbright/204.png,bright\ndark/004.png,dark\n")
    (tmp_path / "list.txt").write_text(f"# {images}\ndark/104.png\ndark/114.png\n")
    words = "a label for each image, received none for 2 images, such as dark/104.png; labels come"
    with pytest.raises(InputError, match=words):
        run_test(model, tmp_path / "list.txt", tmp_path / "out")


def test_lists_that_are_damaged_or_lead_astray(images, tmp_path):
    file = tmp_path / "failures.txt"
    Image.new("RGB", (16, 12)).save(images / "#1.png")
    names = ["dark/004.png", "../secret.png", "gone.png", "dark", "/etc/passwd", "dark/004.png"]
    names.append("#1.png")
    write_image_list(file, images, names)
    file.write_text(file.read_text().replace("\n", "\r\n"))
    (tmp_path / "secret.png").write_bytes(b"")
    image_list = list_images(file)
    assert image_list.paths == ("#1.png", "dark/004.png")
    assert {rejected_file.path for rejected_file in image_list.rejected} == {
        "../secret.png",
        "gone.png",
        "dark",
        "/etc/passwd",
    }
    assert Rejected("../secret.png", "lies outside of the images' folder") in image_list.rejected
    file.write_text("dark/004.png\n")
    with pytest.raises(InputError, match="expected “# FOLDER” in its first line"):
        list_images(file)
    file.write_text("# nowhere\na.png\n")
    with pytest.raises(InputError, match="nowhere does not exist"):
        list_images(file)


def test_folders_without_images_are_no_classes(model, images, tmp_path):
    (images / "docs").mkdir()
    (images / "docs" / "readme.txt").write_text("no image")
    manifest = run_test(model, images, tmp_path / "out")
    assert manifest.result["failures"] == 3
    again = run_test(model, tmp_path / "out" / "failures.txt", tmp_path / "again")
    assert again.result["images"] == 3


def test_none_wrong_is_a_result(model, images, tmp_path):
    for level in (104, 114, 124):
        (images / "dark" / f"{level}.png").unlink()
    manifest = run_test(model, images, tmp_path / "out")
    assert manifest.result["failures"] == 0
    assert (tmp_path / "out" / "failures.txt").read_text() == f"# {images}\n"


def test_numbers_have_errors_instead_of_classes(images, tmp_path):
    keras, _ = import_keras()
    layers = keras.layers
    dnn = keras.Sequential(
        [keras.Input((12, 16, 3)), layers.GlobalAveragePooling2D(), layers.Dense(1, name="end")]
    )
    dnn.get_layer("end").set_weights([np.full((3, 1), 1 / 3), np.array([10.0])])
    dnn.save(tmp_path / "level.keras")
    rows = ""
    for path in sorted(images.rglob("[0-9]*.png")):
        level = int(path.stem) + 9 * (path.stem == "104")
        rows += f"{path.relative_to(images).as_posix()},{level}\n"
    (images / "labels.csv").write_text("path,level\n" + rows)
    options = {"scaling": "none", "error_threshold": 5.0}
    manifest = run_test(tmp_path / "level.keras", images, tmp_path / "out", **options)
    rows = read_csv(tmp_path / "out" / "testResult.csv")
    (right,) = [row for row in rows if row["correct"] == "1"]
    assert right["path"] == "dark/104.png"
    assert float(right["error"]) == pytest.approx(1, abs=1e-3)
    assert manifest.result["failures"] == 25
    assert manifest.result["mean_error"] == pytest.approx((25 * 10 + 1) / 26, abs=1e-3)
    assert not (tmp_path / "out" / "confusion.png").exists()
    with pytest.raises(InputError, match="give --error-threshold"):
        run_test(tmp_path / "level.keras", images, tmp_path / "other", scaling="none")


def test_what_cannot_be_tested(model, images, tmp_path):
    with pytest.raises(InputError, match="need separate folders"):
        run_test(model, images, images / "out")
    with pytest.raises(InputError, match="task: expected classes, several, numbers"):
        run_test(model, images, tmp_path / "a", task="words")
    (tmp_path / "classes.txt").write_text("bright\n")
    with pytest.raises(InputError, match="classes: expected 2 names"):
        run_test(model, images, tmp_path / "b", classes=tmp_path / "classes.txt")
    assert read_manifest(tmp_path / "b").ended == "failed"
    run_test(model, images, tmp_path / "out")
    with pytest.raises(InputError, match="--overwrite"):
        run_test(model, images, tmp_path / "out")
    before = (tmp_path / "out" / "failures.txt").read_text()
    shutil.rmtree(images / "bright")
    with pytest.raises(InputError, match=r"has 2 classes, but the labels \(class folders\) name 1"):
        run_test(model, images, tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "failures.txt").read_text() == before
    with pytest.raises(InputError, match="holds no test"):
        read_test(images)
    document = json.loads((tmp_path / "b" / "run.json").read_text())
    assert document["job"] == "test"
    with pytest.raises(InputError, match="holds no finished test: its job, test, failed"):
        read_test(tmp_path / "b")


def test_overwriting_a_test_removes_no_file_that_it_did_not_write(model, images, tmp_path):
    run_test(model, images, tmp_path / "out")
    assert find_undeclared(tmp_path / "out", "test") == set()
    foreign = write_foreign(tmp_path / "out", "test")
    run_test(model, images, tmp_path / "out", overwrite=True)
    assert read_files(tmp_path / "out", foreign) == foreign


def test_the_order_of_classes_can_be_given(model, images, tmp_path):
    (tmp_path / "classes.txt").write_text("\ufeffbright\r\ndark\r\n", encoding="utf-8")
    manifest = run_test(model, images, tmp_path / "a", classes=tmp_path / "classes.txt")
    assert manifest.result["failures"] == 3
    (tmp_path / "classes.txt").write_text("dark\nbright\n")
    manifest = run_test(model, images, tmp_path / "b", classes=tmp_path / "classes.txt")
    assert manifest.result["failures"] == 23
