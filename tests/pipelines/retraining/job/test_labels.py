"""Labels of the unsafe set, and sets that cannot be used."""

import json
import shutil

import pytest

from pipelines.dnn.job import EvaluationOptions
from pipelines.dnn.keras import import_keras
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv, read_pairs, write_csv
from pipelines.unsafe_set.files import UNSAFE_SET_FILE
from tests.pipelines.retraining.retrained import (
    edit_selection,
    label,
    predict,
    remove_labels,
    run_job,
)


def test_a_label_that_was_filled_in_counts_before_the_folder(world, tmp_path):
    label(world, lambda path, place: "right" if place == 0 else "")
    run_job(world, tmp_path / "out", epochs=1)
    rows = [r for r in read_csv(tmp_path / "out" / "trained_with.csv") if r["set"] == "unsafe"]
    first = read_csv(world.run / UNSAFE_SET_FILE)[0]["path"]
    for row in rows:
        assert row["label"] == ("right" if row["path"] == first else row["path"].split("/")[0])


def test_images_without_a_label_are_listed_and_left_out(world, tmp_path):
    remove_labels(world, tmp_path)
    rows = label(world, lambda path, place: path.split("_")[0] if place % 2 else "")
    manifest = run_job(world, tmp_path / "out", epochs=1)
    rejected = read_pairs(tmp_path / "out" / "rejected.txt")
    assert rejected == {f"unsafe/{r['path']}": "it has no label" for r in rows if not r["label"]}
    assert any("12 images of the unsafe set without a label" in note for note in manifest.notes)
    training_paths = {
        r["path"] for r in read_csv(tmp_path / "out" / "trained_with.csv") if r["set"] == "unsafe"
    }
    assert training_paths == {row["path"] for row in rows if row["label"]}


def test_an_unsafe_set_without_any_label_is_refused(world, tmp_path):
    remove_labels(world, tmp_path)
    with pytest.raises(InputError, match="none of 24 images of the unsafe set has a label"):
        run_job(world, tmp_path / "out")


def test_a_label_that_the_model_does_not_know(world, tmp_path):
    label(world, lambda path, place: "upwards" if place == 3 else "")
    with pytest.raises(InputError, match=r"no class 'upwards', the label of unsafe/.*left, right"):
        run_job(world, tmp_path / "out")


def test_an_empty_unsafe_set(world, tmp_path):
    rows = read_csv(world.run / UNSAFE_SET_FILE)
    write_csv(world.run / UNSAFE_SET_FILE, list(rows[0]), [])
    with pytest.raises(InputError, match=r"unsafe_set\.csv does not list the images"):
        run_job(world, tmp_path / "first")
    edit_selection(world.run)
    with pytest.raises(InputError, match=r"unsafe_set\.csv is empty"):
        run_job(world, tmp_path / "out")
    (world.run / "selection.json").unlink()
    with pytest.raises(InputError, match="has no unsafe set: select one first"):
        run_job(world, tmp_path / "other")


def test_training_and_test_images_are_apart(world, tmp_path):
    with pytest.raises(
        InputError, match=r"the training set .* and the test set .* share 80 images"
    ):
        run_job(world, tmp_path / "out", train=world.test)
    overlap = shutil.copytree(world.train, tmp_path / "mixed")
    test_image = next(world.test.rglob("left/*.png"))
    shutil.copy(test_image, overlap / "left" / "copy.png")
    pair = f"training/left/copy.png = test/left/{test_image.name}"
    with pytest.raises(InputError, match=f"share 1 image .*{pair}"):
        run_job(world, tmp_path / "other", train=overlap)


def test_a_class_with_one_image_and_files_that_are_none(world, tmp_path):
    train = tmp_path / "train"
    (train / "right").mkdir(parents=True)
    shutil.copytree(world.train / "left", train / "left")
    shutil.copy(next(world.train.glob("right/*.png")), train / "right" / "one.png")
    (train / "left" / "bad.png").write_bytes(b"no image")
    content = next(world.train.glob("left/*.png")).read_bytes()
    (train / "left" / "cut.png").write_bytes(content[: len(content) // 2])
    label(world, lambda path, place: "left")
    manifest = run_job(world, tmp_path / "out", train=train, epochs=1)
    assert any("class right has one image to train with" in note for note in manifest.notes)
    rejected = read_pairs(tmp_path / "out" / "rejected.txt")
    assert set(rejected) == {"training/left/bad.png", "training/left/cut.png"}
    assert manifest.images.rejected == 2


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"epochs": 0}, "epochs: expected 1 or more"),
        ({"learning_rate": -1.0}, "learning rate: expected a finite number above 0"),
        ({"validation_share": 1.0}, "validation share: expected a number above 0 and below 1"),
        ({"schedule": "steps"}, "schedule: expected cosine or constant"),
        ({"repeats": -1}, "repeats: expected 0 or more"),
        ({"evaluation": EvaluationOptions(task="classify")}, "task: expected classes"),
    ],
)
def test_options_that_cannot_be_used_are_refused(spots, tmp_path, more, words):
    with pytest.raises(InputError, match=words):
        run_job(spots, tmp_path / "out", **more)
    assert not (tmp_path / "out").exists()


def test_folders_that_cannot_be_used_are_refused(spots, retrained_run, tmp_path):
    with pytest.raises(InputError, match="holds no root cause clusters: its job, test"):
        run_job(spots, tmp_path / "out", run=spots.run.parent / "tested")
    with pytest.raises(InputError, match="need separate folders"):
        run_job(spots, spots.train / "out")
    with pytest.raises(InputError, match="holds a run of heatmaps"):
        run_job(spots, shutil.copytree(spots.run, tmp_path / "run"), overwrite=True)


def test_a_set_that_is_too_small_to_hold_anything_out(world, tmp_path):
    with pytest.raises(InputError, match="holds no image out"):
        run_job(world, tmp_path / "out", validation_share=1e-9)


def test_an_image_counts_once_where_it_is_in_both_sets(world, tmp_path):
    train = shutil.copytree(world.train, tmp_path / "train")
    path = read_csv(world.run / UNSAFE_SET_FILE)[0]["path"]
    shutil.copy(world.improvement / path, train / path.split("/")[0] / "again.png")
    manifest = run_job(world, tmp_path / "out", train=train, epochs=1)
    assert any("1 image of the training set also in the unsafe set" in n for n in manifest.notes)
    rows = read_csv(tmp_path / "out" / "trained_with.csv")
    assert not [row for row in rows if row["path"].endswith("again.png")]


def test_folders_named_after_days_are_no_labels_where_some_were_filled_in(world, tmp_path):
    days = tmp_path / "days"
    for path in world.improvement.rglob("*.png"):
        place = days / "monday" / f"{path.parent.name}_{path.name}"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    edit_selection(world.run, folder=str(days))
    rows = read_csv(world.run / UNSAFE_SET_FILE)
    for place, row in enumerate(rows):
        name, _, rest = row["path"].partition("/")
        row["path"] = f"monday/{name}_{rest}"
        row["label"] = f" {name} " if place % 2 else ""  # as people type
    write_csv(world.run / UNSAFE_SET_FILE, list(rows[0]), [tuple(row.values()) for row in rows])
    run_job(world, tmp_path / "out", epochs=1)
    assert len(read_pairs(tmp_path / "out" / "rejected.txt")) == 12
    (days / "labels.csv").write_text('path,label\n"monday/x.png,left\n')
    with pytest.raises(InputError, match=r"labels\.csv"):
        run_job(world, tmp_path / "other", epochs=1)


def test_a_missing_improvement_set_is_refused(world, tmp_path):
    selection = json.loads((world.run / "selection.json").read_text())
    empty = tmp_path / "empty"
    empty.mkdir()
    (world.run / "selection.json").write_text(json.dumps(selection | {"folder": str(empty)}))
    with pytest.raises(InputError, match="empty holds no usable image"):
        run_job(world, tmp_path / "out")


def test_an_order_of_classes_that_cannot_be_right_is_refused(spots, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("right\nleft\n")
    keras, _ = import_keras()
    model = keras.models.load_model(spots.model)
    paths = sorted(p.relative_to(spots.test).as_posix() for p in spots.test.rglob("bright*.png"))
    end = model.get_layer("end")
    kernel, bias = end.get_weights()
    end.set_weights([kernel[:, ::-1], bias[::-1]])
    model.save(tmp_path / "turned.keras")
    test = tmp_path / "test"
    right = predict(spots.model, spots.test, paths)
    for path, prediction in zip(paths, right, strict=True):
        if path.startswith(prediction):  # those that the model gets right
            (test / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(spots.test / path, test / path)
    other_order = {"model": tmp_path / "turned.keras", "test": test}
    with pytest.raises(InputError, match="With the classes in another order"):
        run_job(spots, tmp_path / "out", **other_order)
    manifest = run_job(
        spots,
        tmp_path / "other",
        evaluation=EvaluationOptions(classes=names),
        epochs=1,
        **other_order,
    )
    assert manifest.result["accuracy_before"] == 1
    assert any("those of another model" in note for note in manifest.notes)
    assert any("are in the test set, by their bytes" in note for note in manifest.notes)
