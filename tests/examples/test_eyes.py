"""The built-in example: what is written fits together, and is a run folder."""

import csv
import json
import os
from dataclasses import fields

import numpy as np
import pytest
from PIL import Image

from examples import eyes
from examples.eye import Eye
from examples.eye_drawing import draw_eye
from examples.sampling import DIRECTIONS, gaze_direction, sample_eyes
from pipelines.runs.errors import InputError
from pipelines.runs.manifest import read_manifest, read_status

SMALL = {"train": 160, "test": 80, "improvement": 20, "epochs": 3, "size": (96, 72)}
TINY = {**SMALL, "train": 32, "test": 24, "improvement": 1, "epochs": 1}


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    folder = tmp_path_factory.mktemp("example") / "eyes"
    stages = []
    summary = eyes.write_example(
        folder, seed=2, progress=lambda *step: stages.append(step), **SMALL
    )
    return folder, summary, stages


@pytest.mark.parametrize(("split", "count"), [("train", 160), ("test", 80), ("improvement", 20)])
def test_tables_agree_with_the_images(example, split, count):
    folder = example[0] / split
    names = sorted(path.name for path in folder.glob("*.jpg"))
    labels, parameters = (read_csv(folder / f"{name}.csv") for name in ("labels", "parameters"))
    assert len(names) == count
    assert [row["path"] for row in labels] == names
    assert [row["path"] for row in parameters] == names
    assert list(labels[0]) == ["path", "label"]
    assert list(parameters[0]) == ["path", *(field.name for field in fields(Eye))]
    for label, row in zip(labels, parameters, strict=True):
        assert label["label"] == gaze_direction(float(row["gaze_angle"]))
    assert len({path.read_bytes() for path in folder.glob("*.jpg")}) == count


def test_parameters_round_trip(example):
    for split, name in enumerate(("train", "test", "improvement")):
        rows = read_csv(example[0] / name / "parameters.csv")
        read = [Eye(**{k: float(v) for k, v in row.items() if k != "path"}) for row in rows]
        complete = name != "train"
        assert read == sample_eyes(len(rows), seed=2, split=split, complete=complete)


def test_an_image_shows_its_parameters(example):
    eye = sample_eyes(4, seed=2, split=1)[3]
    picture = draw_eye(eye, SMALL["size"], seed=[2, 1, 3])
    with Image.open(example[0] / "test" / "eye_00003.jpg") as file:
        assert np.abs(np.asarray(file).astype(int) - picture).mean() < 5


def test_failures_are_what_the_saved_dnn_gets_wrong(example):
    import keras

    folder, summary, _ = example
    labels = {row["path"]: row["label"] for row in read_csv(folder / "test" / "labels.csv")}
    images = np.stack([np.asarray(Image.open(folder / "test" / path)) for path in labels])
    best = keras.models.load_model(folder / "model.keras").predict(images, verbose=0).argmax(1)
    wrong = [
        {"path": path, "label": label, "prediction": DIRECTIONS[index]}
        for (path, label), index in zip(labels.items(), best, strict=True)
        if DIRECTIONS[index] != label
    ]
    failures = folder / "failures"
    assert wrong
    assert read_csv(failures / "labels.csv") == wrong
    names = [row["path"] for row in wrong]
    assert sorted(path.name for path in failures.glob("*.jpg")) == names
    assert [row["path"] for row in read_csv(failures / "parameters.csv")] == names
    for name in names:
        assert (failures / name).read_bytes() == (folder / "test" / name).read_bytes()
    assert summary.failures == len(wrong)
    assert summary.test_accuracy == pytest.approx(1 - len(wrong) / 80)


def test_description_and_leftovers(example):
    folder, summary, _ = example
    description = json.loads((folder / "example.json").read_text())
    assert description["seed"] == 2
    assert description["test"] == 80
    assert description["failures"] == summary.failures
    assert description["train_accuracy"] == summary.train_accuracy
    assert set(description["versions"]) == {"python", "tensorflow", "keras", "numpy", "pillow"}
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_progress_reaches_the_end_of_every_stage(example):
    stages = example[2]
    assert ("drawing eyes", 260, 260) in stages
    assert ("training the DNN", 15, 15) in stages
    assert ("testing the DNN", 80, 80) in stages


def test_overwriting_gives_the_same_example_and_spares_other_files(tmp_path, example):
    small = {**SMALL, "train": 32, "test": 16, "improvement": 4, "epochs": 1}
    folder = tmp_path / "again"
    first = eyes.write_example(folder, seed=2, **{**small, "test": 20})
    for name in ("notes.txt", "classes.csv", "train/notes.txt", "failures/eye_7 odd.jpg"):
        (folder / name).write_text("mine")
    with pytest.raises(InputError, match="overwrite"):
        eyes.write_example(folder, seed=2, **small)
    second = eyes.write_example(folder, seed=2, overwrite=True, **small)
    assert (first.test, second.test) == (20, 16)
    assert len(list((folder / "test").glob("*.jpg"))) == 16
    for name in ("notes.txt", "classes.csv", "train/notes.txt", "failures/eye_7 odd.jpg"):
        assert (folder / name).read_text() == "mine"
    # Pictures do not depend on how many are drawn.
    for name in ("train/eye_00007.jpg", "test/eye_00003.jpg", "improvement/eye_00001.jpg"):
        assert (folder / name).read_bytes() == (example[0] / name).read_bytes()


def test_training_is_repeatable(tmp_path):
    for name in ("a", "b"):
        eyes.write_example(tmp_path / name, seed=4, **TINY)
    tables = [(tmp_path / name / "failures" / "labels.csv").read_bytes() for name in ("a", "b")]
    assert tables[0] == tables[1]


def files_of(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and file.name not in {"run.json", "status.json"}
    }


def interrupt(stage, done, total):
    if stage == "training the DNN":
        raise KeyboardInterrupt


def test_the_manifest_says_what_was_drawn(example):
    folder, summary, _ = example
    manifest = read_manifest(folder)
    assert (manifest.job, manifest.ended, manifest.folder) == ("example", "finished", str(folder))
    assert manifest.parameters["seed"] == 2
    assert manifest.images.used == 260
    assert manifest.result["failures"] == summary.failures
    stages = ["drawing eyes", "training the DNN", "testing the DNN"]
    assert [stage.name for stage in manifest.stages] == stages


def test_an_interrupted_example_leaves_the_earlier_one_and_can_be_repeated(tmp_path):
    folder = tmp_path / "eyes"
    with pytest.raises(KeyboardInterrupt):
        eyes.write_example(folder, progress=interrupt, **TINY)
    assert files_of(folder) == {".lock": b""}
    assert read_manifest(folder).ended == "stopped"
    with pytest.raises(InputError, match=r"\(it stopped\)"):
        eyes.write_example(folder, **TINY)
    eyes.write_example(folder, overwrite=True, **TINY)
    before = files_of(folder)
    with pytest.raises(KeyboardInterrupt):
        eyes.write_example(folder, progress=interrupt, overwrite=True, **{**TINY, "seed": 1})
    assert files_of(folder) == before
    assert read_manifest(folder).ended == "finished"


def test_a_status_stands_in_the_folder_while_the_example_is_drawn(tmp_path):
    folder, statuses = tmp_path / "eyes", []

    def look(stage, done, total):
        statuses.append(((stage, done, total), read_status(folder)))

    eyes.write_example(folder, progress=look, **TINY)
    stages = ["drawing eyes", "training the DNN", "testing the DNN"]
    assert list(dict.fromkeys(step[0] for step, _ in statuses)) == stages
    for step, status in statuses:
        assert status.pid == os.getpid()
        assert status.stage == step[0]
        assert status.done <= step[1]
        if step[1] == step[2]:  # in between it is not written at every step
            assert (status.done, status.total, status.message) == (step[1], step[2], "")
    assert read_status(folder).message == "finished"


def test_what_a_killed_call_left_is_no_obstacle(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        eyes.write_example(tmp_path, progress=interrupt, **TINY)
    (tmp_path / ".partial" / "train").mkdir(parents=True)
    (tmp_path / ".partial" / "train" / "eye_99999.jpg").touch()
    eyes.write_example(tmp_path, overwrite=True, **TINY)
    names = {"train", "test", "improvement", "failures", "model.keras", "example.json"}
    more = {"run.json", "status.json", ".lock"}
    assert {path.name for path in tmp_path.iterdir()} == names | more
    assert not (tmp_path / "train" / "eye_99999.jpg").exists()


def test_an_example_of_an_earlier_version_is_replaced(tmp_path):
    eyes.write_example(tmp_path, **{**TINY, "test": 30})
    for name in ("run.json", "status.json", ".lock"):
        (tmp_path / name).unlink()
    (tmp_path / "test" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds an example already.*--overwrite"):
        eyes.write_example(tmp_path, **TINY)
    assert not (tmp_path / "run.json").exists()
    eyes.write_example(tmp_path, overwrite=True, **TINY)
    assert len(list((tmp_path / "test").glob("*.jpg"))) == 24
    assert (tmp_path / "test" / "notes.txt").read_text() == "mine"


def test_a_status_beside_other_files_makes_the_folder_no_example(tmp_path):
    for name in ("status.json", "thesis.txt"):
        (tmp_path / name).write_text("precious")
    with pytest.raises(InputError, match="holds files but is not a run folder"):
        eyes.write_example(tmp_path, overwrite=True, **TINY)
    assert {path.read_text() for path in tmp_path.iterdir()} == {"precious"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_something_else_is_refused(tmp_path, overwrite):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="Choose a new or empty folder") as refusal:
        eyes.write_example(tmp_path, overwrite=overwrite, **SMALL)
    assert "--out" not in str(refusal.value)  # `example` has no such option
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_is_refused(tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(InputError, match="is a file"):
        eyes.write_example(file, **SMALL)


@pytest.mark.parametrize("name", ["train", "test", "improvement", "epochs"])
def test_counts_below_one_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match=name):
        eyes.write_example(tmp_path / "x", **{**SMALL, name: 0})
    assert not (tmp_path / "x").exists()


def test_importing_does_not_load_tensorflow():
    import subprocess
    import sys

    code = "import sys, examples.eyes; print({'keras', 'tensorflow'} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.stdout.strip() == "set()", result.stderr
