"""Retraining from end to end, on real pictures and a small DNN."""

import hashlib
import itertools
import json
import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from app.server.views.retraining import describe_retraining
from pipelines.clusters.clusters import read_labels
from pipelines.data.images import Rejected, check_image
from pipelines.data.intervals import accuracy_interval
from pipelines.dnn.job import Asked
from pipelines.dnn.keras import import_keras
from pipelines.retraining.job import retrain
from pipelines.retraining.results import PROGRESS_FOLDER, read_retraining
from pipelines.retraining.training import Options
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv, read_pairs, write_csv
from pipelines.runs.manifest import read_manifest
from pipelines.unsafe_set.files import UNSAFE_SET_FILE
from tests.foreign import read_files, undeclared, write_foreign

EPOCHS = 12


def quiet(stage, done, total):
    """Listen to nothing."""


def run_job(world, out, *, asked=None, progress=quiet, **more):
    options = {name: more.pop(name) for name in list(more) if name in Options.__dataclass_fields__}
    places = {
        name: more.pop(name, getattr(world, name)) for name in ("model", "train", "run", "test")
    }
    return retrain(
        places["model"], places["train"], places["run"], places["test"], out, asked or Asked(),
        Options(**{"epochs": EPOCHS, "batch_size": 16} | options), progress=progress, **more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def done(spots, tmp_path_factory):
    out = tmp_path_factory.mktemp("done") / "retrained"
    before = hashlib.sha256(spots.model.read_bytes()).hexdigest()
    run_job(spots, out)
    assert hashlib.sha256(spots.model.read_bytes()).hexdigest() == before
    return out


def predict(file, folder, paths):
    keras, _ = import_keras()
    model = keras.models.load_model(file)
    pixels = np.stack([np.asarray(Image.open(folder / path)) for path in paths])
    return [("left", "right")[best] for best in model.predict_on_batch(pixels).argmax(axis=1)]


def test_overwriting_a_retraining_removes_no_file_that_it_did_not_write(done, spots, tmp_path):
    out = shutil.copytree(done, tmp_path / "run")
    assert undeclared(out, "retrain") == set()
    foreign = write_foreign(out, "retrain")
    run_job(spots, out, epochs=1, overwrite=True)
    assert read_files(out, foreign) == foreign
    assert read_retraining(out).epochs == 1


def test_the_retrained_model_is_better_and_each_image_tells(done, spots):
    rows = read_csv(done / "before_after.csv")
    paths = [row["path"] for row in rows]
    assert paths == sorted(p.relative_to(spots.test).as_posix() for p in spots.test.rglob("*.png"))
    assert [row["before"] for row in rows] == predict(spots.model, spots.test, paths)
    assert [row["after"] for row in rows] == predict(done / "retrained.keras", spots.test, paths)
    for row in rows:
        assert row["expected"] == row["path"].split("/")[0]
        assert row["right before"] == str(int(row["before"] == row["expected"]))
        assert row["right after"] == str(int(row["after"] == row["expected"]))
    found = read_retraining(done).change
    assert found.after.share > found.before.share + 0.15
    assert found.repaired == sum(r["right before"] < r["right after"] for r in rows)
    assert found.broken == sum(r["right before"] > r["right after"] for r in rows)
    result = read_manifest(done).result
    assert (result["accuracy_before"], result["p"]) == (found.before.share, found.p)


def test_clusters_are_those_of_the_run(done, spots):
    labels = read_labels(spots.run)
    rows = read_csv(done / "before_after.csv")
    assert {r["path"]: int(r["cluster"]) for r in rows if r["cluster"]} == labels
    right = Counter(int(r["cluster"]) for r in rows if r["cluster"] and r["right after"] == "1")
    for repair in read_csv(done / "repairs.csv"):
        cluster = int(repair["cluster"])
        assert int(repair["failing"]) == list(labels.values()).count(cluster)
        assert int(repair["right now"]) == right[cluster]


def test_what_was_trained_with_is_balanced_and_apart_from_what_was_held_out(done, spots):
    rows = read_csv(done / "trained_with.csv")
    unsafe = [row for row in rows if row["set"] == "unsafe"]
    chosen = {row["path"]: row["cluster"] for row in read_csv(spots.run / UNSAFE_SET_FILE)}
    assert {row["path"]: row["cluster"] for row in unsafe} == chosen
    sizes = Counter()
    for row in unsafe:
        if row["times"] != "held out":
            sizes[row["cluster"]] += int(row["times"])
    assert len(set(sizes.values())) == 1
    held = [row for row in rows if row["times"] == "held out"]
    found = read_retraining(done)
    assert len(held) == found.held_out
    assert sum(sizes.values()) == found.balanced_images
    assert {row["set"] for row in held} == {"training", "unsafe"}
    training = [row["times"] for row in rows if row["set"] == "training"]
    assert set(training) == {"1", "held out"}
    assert len(training) == 80


def test_the_epoch_that_is_best_on_what_is_held_out_is_kept(done):
    rows = read_csv(done / "history.csv")
    keys = [(float(r["validation accuracy"]), -float(r["validation loss"])) for r in rows]
    best = keys.index(max(keys)) + 1
    assert (
        [int(r["epoch"]) for r in rows if r["best"] == "1"]
        == [best]
        == [read_retraining(done).best]
    )
    rates = [float(row["learning rate"]) for row in rows]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] < 3e-3


def test_the_file_tells_how_the_model_was_trained(done):
    recipe = read_retraining(done).recipe
    assert recipe == {
        "optimizer": "Adam, the model file's",
        "loss": "sparse_categorical_crossentropy, the model file's",
        "learning rate": "0.003, the model file's",
    }
    keras, _ = import_keras()
    model = keras.models.load_model(done / "retrained.keras")
    assert float(model.optimizer.learning_rate) == pytest.approx(3e-3)


def files_of(folder):
    return {
        name: (folder / name).read_bytes()
        for name in ("before_after.csv", "trained_with.csv", "repairs.csv", "classes.csv")
    }


def history(folder):
    return [{**row, "seconds": ""} for row in read_csv(folder / "history.csv")]


def test_the_same_seed_gives_the_same_model(done, spots, tmp_path):
    run_job(spots, tmp_path / "again")
    assert files_of(tmp_path / "again") == files_of(done)
    assert history(tmp_path / "again") == history(done)
    run_job(spots, tmp_path / "other", seed=1)
    assert history(tmp_path / "other") != history(done)


class Killed(BaseException):
    """What no `except Exception` stops, as a kill."""


def killing(stage, batch):
    def progress(name, done, total):
        if name == stage and done == batch:
            raise Killed

    return progress


def test_a_killed_job_goes_on_from_its_last_epoch(done, spots, tmp_path):
    out = tmp_path / "killed"
    with pytest.raises(Killed):
        run_job(spots, out, progress=killing("retraining", 50))
    assert (out / PROGRESS_FOLDER / "history.csv").is_file()
    kept = len(read_csv(out / PROGRESS_FOLDER / "history.csv"))
    assert 0 < kept < EPOCHS
    batches = []

    def listen(stage, done, total):
        if stage == "retraining" and total:
            batches.append((done, total))

    run_job(spots, out, overwrite=True, progress=listen)
    assert batches[0][0] == kept * batches[0][1] // EPOCHS + 1
    assert history(out) == history(done)
    assert files_of(out) == files_of(done)
    assert not (out / PROGRESS_FOLDER).exists()


def test_other_options_start_anew(spots, tmp_path):
    out = tmp_path / "killed"
    with pytest.raises(Killed):
        run_job(spots, out, progress=killing("retraining", 50))
    seen = []
    run_job(
        spots, out, overwrite=True, seed=5,
        progress=lambda stage, done, total: seen.append(done) if stage == "retraining" else None,
    )  # fmt: skip
    assert seen[1] == 1


def test_stop_keeps_the_best_epoch_so_far(spots, tmp_path):
    trained, out = [], tmp_path / "stopped"

    def listen(stage, done, total):
        if stage == "retraining":
            trained.append(done)

    manifest = run_job(spots, out, progress=listen, stop=lambda: len(trained) > 20)
    found = read_retraining(out)
    assert found.ended == "stopped"
    assert 0 < found.epochs < EPOCHS
    assert manifest.ended == "finished"
    assert any("stopped by the user" in note for note in manifest.notes)
    paths = [row["path"] for row in read_csv(out / "before_after.csv")]
    after = [row["after"] for row in read_csv(out / "before_after.csv")]
    assert predict(out / "retrained.keras", spots.test, paths) == after


def test_a_learning_rate_that_diverges_is_told_and_the_model_stays(spots, tmp_path):
    out = tmp_path / "diverged"
    manifest = run_job(spots, out, learning_rate=1e30)
    found = read_retraining(out)
    assert found.ended == "diverged"
    assert found.change.repaired == found.change.broken == 0
    assert any("diverged" in note and "lower than 1e+30" in note for note in manifest.notes)


def test_a_stop_before_anything_is_trained_leaves_an_earlier_retraining(done, spots, tmp_path):
    out = shutil.copytree(done, tmp_path / "out")
    before = (out / "retrained.keras").read_bytes()
    for batches in (0, 3):
        trained = []

        def listen(stage, done, total, trained=trained):
            if stage == "retraining":
                trained.append(done)

        with pytest.raises(KeyboardInterrupt):
            run_job(
                spots, out, overwrite=True, seed=9, batch_size=1, progress=listen,
                stop=lambda trained=trained, batches=batches: len(trained) >= batches,
            )  # fmt: skip
        assert (out / "retrained.keras").read_bytes() == before
        assert read_retraining(out) == read_retraining(done)


def test_patience_ends_training_early(spots, tmp_path):
    out = tmp_path / "early"
    run_job(spots, out, patience=1, epochs=40, schedule="constant")
    found = read_retraining(out)
    assert found.ended == "early"
    assert found.epochs == found.best + 1 < 40


def test_images_of_a_folder_of_their_own_find_the_best_epoch(spots, tmp_path):
    validation = tmp_path / "validation"
    for name in ("left", "right"):
        (validation / name).mkdir(parents=True)
        for number in range(3):
            rng = np.random.default_rng([number, name == "left"])
            pixels = rng.integers(0, 255, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(validation / name / f"{number}.png")
    out = tmp_path / "out"
    run_job(spots, out, validation=validation, epochs=2)
    rows = read_csv(out / "trained_with.csv")
    assert {row["set"] for row in rows if row["times"] == "held out"} == {"validation"}
    assert read_retraining(out).held_out == 6
    assert read_retraining(out).training_images == 80


# --- labels -------------------------------------------------------------------------------------


def label(world, change):
    """Write the column label of the unsafe set; `change` gives it from path and position."""
    rows = read_csv(world.run / UNSAFE_SET_FILE)
    for place, row in enumerate(rows):
        row["label"] = change(row["path"], place)
    write_csv(world.run / UNSAFE_SET_FILE, list(rows[0]), [tuple(row.values()) for row in rows])
    return rows


def test_a_label_that_was_filled_in_counts_before_the_folder(world, tmp_path):
    label(world, lambda path, place: "right" if place == 0 else "")
    run_job(world, tmp_path / "out", epochs=1)
    rows = [r for r in read_csv(tmp_path / "out" / "trained_with.csv") if r["set"] == "unsafe"]
    first = read_csv(world.run / UNSAFE_SET_FILE)[0]["path"]
    for row in rows:
        assert row["label"] == ("right" if row["path"] == first else row["path"].split("/")[0])


def unlabelled(world, tmp_path):
    """Move the improvement set to where class folders say nothing."""
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in world.improvement.rglob("*.png"):
        shutil.copy(path, flat / f"{path.parent.name}_{path.name}")
    selection = json.loads((world.run / "selection.json").read_text())
    (world.run / "selection.json").write_text(json.dumps(selection | {"folder": str(flat)}))
    rows = read_csv(world.run / UNSAFE_SET_FILE)
    for row in rows:
        row["path"] = row["path"].replace("/", "_")
    write_csv(world.run / UNSAFE_SET_FILE, list(rows[0]), [tuple(row.values()) for row in rows])


def test_images_without_a_label_are_listed_and_left_out(world, tmp_path):
    unlabelled(world, tmp_path)
    rows = label(world, lambda path, place: path.split("_")[0] if place % 2 else "")
    manifest = run_job(world, tmp_path / "out", epochs=1)
    rejected = read_pairs(tmp_path / "out" / "rejected.txt")
    assert rejected == {f"unsafe/{r['path']}": "it has no label" for r in rows if not r["label"]}
    assert any("12 images of the unsafe set without a label" in note for note in manifest.notes)
    used = {
        r["path"] for r in read_csv(tmp_path / "out" / "trained_with.csv") if r["set"] == "unsafe"
    }
    assert used == {row["path"] for row in rows if row["label"]}


def test_an_unsafe_set_without_any_label_is_refused(world, tmp_path):
    unlabelled(world, tmp_path)
    with pytest.raises(InputError, match="none of the 24 images of the unsafe set has a label"):
        run_job(world, tmp_path / "out")


def test_a_label_that_the_model_does_not_know(world, tmp_path):
    label(world, lambda path, place: "upwards" if place == 3 else "")
    with pytest.raises(InputError, match=r"no class 'upwards', the label of unsafe/.*left, right"):
        run_job(world, tmp_path / "out")


def test_an_empty_unsafe_set(world, tmp_path):
    rows = read_csv(world.run / UNSAFE_SET_FILE)
    write_csv(world.run / UNSAFE_SET_FILE, list(rows[0]), [])
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
    mixed = shutil.copytree(world.train, tmp_path / "mixed")
    stolen = next(world.test.rglob("left/*.png"))
    shutil.copy(stolen, mixed / "left" / "copy.png")
    named = f"training/left/copy.png = test/left/{stolen.name}"
    with pytest.raises(InputError, match=f"share 1 image .*{named}"):
        run_job(world, tmp_path / "other", train=mixed)


def test_a_class_with_one_image_and_files_that_are_none(world, tmp_path):
    train = tmp_path / "train"
    (train / "right").mkdir(parents=True)
    shutil.copytree(world.train / "left", train / "left")
    shutil.copy(next(world.train.glob("right/*.png")), train / "right" / "one.png")
    (train / "left" / "bad.png").write_bytes(b"no image")
    cut = next(world.train.glob("left/*.png")).read_bytes()
    (train / "left" / "cut.png").write_bytes(cut[: len(cut) // 2])
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
        ({"learning_rate": -1.0}, "learning rate: expected more than 0"),
        ({"validation_share": 1.0}, "validation share: expected a share"),
        ({"schedule": "steps"}, "schedule: expected cosine or constant"),
        ({"repeats": -1}, "repeats: expected 0 or more"),
        ({"asked": Asked(task="classify")}, "task: expected classes"),
    ],
)
def test_options_that_cannot_be(spots, tmp_path, more, words):
    with pytest.raises(InputError, match=words):
        run_job(spots, tmp_path / "out", **more)
    assert not (tmp_path / "out").exists()


def test_folders_that_cannot_be(spots, done, tmp_path):
    with pytest.raises(InputError, match="holds no root cause clusters: its job, test"):
        run_job(spots, tmp_path / "out", run=spots.run.parent / "tested")
    with pytest.raises(InputError, match="need folders apart"):
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
    selection = json.loads((world.run / "selection.json").read_text())
    (world.run / "selection.json").write_text(json.dumps(selection | {"folder": str(days)}))
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


def test_an_improvement_set_that_has_gone(world, tmp_path):
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
    for path, said in zip(paths, right, strict=True):
        if path.startswith(said):  # those that the model gets right
            (test / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(spots.test / path, test / path)
    turned = {"model": tmp_path / "turned.keras", "test": test}
    with pytest.raises(InputError, match="With the classes in another order"):
        run_job(spots, tmp_path / "out", **turned)
    manifest = run_job(spots, tmp_path / "other", asked=Asked(classes=names), epochs=1, **turned)
    assert manifest.result["accuracy_before"] == 1
    assert any("those of another model" in note for note in manifest.notes)
    assert any("are in the test set, by their bytes" in note for note in manifest.notes)


# --- the comparison -----------------------------------------------------------------------------


def test_ways_to_choose_are_compared_and_a_killed_job_goes_on(world, tmp_path):
    out, whole = tmp_path / "out", tmp_path / "whole"
    with pytest.raises(Killed):
        run_job(world, out, epochs=2, repeats=2, progress=killing("comparing", 40))
    assert read_manifest(out).ended == "failed"
    assert (out / "retrained.keras").is_file()
    kept = json.loads((out / PROGRESS_FOLDER / "repeats.json").read_text())["repeats"]
    assert 0 < len(kept) < 10
    seen = []

    def listen(stage, done, total):
        if stage == "comparing" and total:
            seen.append(done)

    run_job(world, out, epochs=2, repeats=2, overwrite=True, progress=listen)
    assert seen[0] > 8 * len(kept)
    run_job(world, whole, epochs=2, repeats=2)
    assert (out / "comparison.csv").read_bytes() == (whole / "comparison.csv").read_bytes()
    told = read_retraining(out).comparison
    assert [len(method.accuracies) for method in told.methods] == [2] * 5
    assert [kept_row[2] for kept_row in kept[:1]] == [pytest.approx(told.methods[0].accuracies[0])]
    assert told.labels == 24
    rows = read_csv(out / "comparison.csv")
    assert [row["method"] for row in rows] == [method.name for method in told.methods]


def test_a_stopped_comparison_keeps_what_counts_and_says_what_is_missing(spots, tmp_path):
    out, seen = tmp_path / "out", []

    def listen(stage, done, total):
        seen.append(stage)

    with pytest.raises(KeyboardInterrupt):
        run_job(
            spots, out, epochs=2, repeats=2, progress=listen, stop=lambda: "comparing" in seen
        )  # fmt: skip
    assert read_manifest(out).ended == "stopped"
    assert (out / "report.html").is_file()
    assert list((out / "thumbnails").iterdir())
    assert any("comparison" in note for note in describe_retraining(out)["notes"])


def test_a_comparison_does_not_go_on_with_another_improvement_set(world, tmp_path):
    improvement = shutil.copytree(world.improvement, tmp_path / "improvement")
    selection = json.loads((world.run / "selection.json").read_text())
    (world.run / "selection.json").write_text(json.dumps(selection | {"folder": str(improvement)}))
    out = tmp_path / "out"
    with pytest.raises(Killed):
        run_job(world, out, epochs=1, repeats=1, progress=killing("comparing", 20))
    chosen = {row["path"] for row in read_csv(world.run / UNSAFE_SET_FILE)}
    spare = [p for p in improvement.rglob("*.png") if f"{p.parent.name}/{p.name}" not in chosen]
    spare[0].unlink()
    seen = []

    def listen(stage, done, total):
        if stage == "comparing" and total:
            seen.append(done)

    run_job(world, out, epochs=1, repeats=1, overwrite=True, progress=listen)
    assert seen[0] == 1


def test_a_comparison_takes_labels_for_all(world, tmp_path):
    unlabelled(world, tmp_path)
    label(world, lambda path, place: path.split("_")[0])
    with pytest.raises(InputError, match="has no labels"):
        run_job(world, tmp_path / "out", repeats=1)


# --- numbers ------------------------------------------------------------------------------------


def test_numbers_are_retrained_too(spots, tmp_path):
    """A DNN that gives the place of a spot: where it is wrong, it learns."""
    keras, _ = import_keras()
    keras.utils.set_random_seed(2)
    model = keras.Sequential(
        [
            keras.Input((20, 24, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(8, 5, 2, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(1, name="place"),
        ]
    )
    model.save(tmp_path / "dnn.keras")
    sets = {}
    for name in ("train", "test", "improvement"):
        folder = tmp_path / name
        folder.mkdir()
        rows = []
        for path in sorted(getattr(spots, name).rglob("*.png")):
            shutil.copy(path, folder / path.name)
            rows.append((path.name, 0.0 if path.parent.name == "left" else 1.0))
        write_csv(folder / "labels.csv", ("path", "place"), rows)
        sets[name] = folder
    run = shutil.copytree(spots.run, tmp_path / "run")
    selection = json.loads((run / "selection.json").read_text())
    selection["folder"] = str(sets["improvement"])
    (run / "selection.json").write_text(json.dumps(selection))
    rows = read_csv(run / UNSAFE_SET_FILE)
    cells = [(r["path"].split("/")[1], *list(r.values())[1:]) for r in rows]
    write_csv(run / UNSAFE_SET_FILE, list(rows[0]), cells)
    manifest = retrain(
        tmp_path / "dnn.keras", sets["train"], run, sets["test"], tmp_path / "out",
        Asked(error_threshold=0.4), Options(epochs=15, learning_rate=3e-3),
        progress=quiet, repeats=1,
    )  # fmt: skip
    found = read_retraining(tmp_path / "out")
    assert manifest.chosen["task"] == "numbers"
    assert found.classes == []
    assert found.change.after.share > found.change.before.share
    assert len(found.comparison.methods) == 4
    assert found.recipe["optimizer"] == "Adam, the default"
    assert found.recipe["learning rate"] == "0.003, as asked for"


def test_columns_join_by_their_names(spots, tmp_path):
    """Tables of numbers may have their columns in any order, but not other ones."""
    keras, _ = import_keras()
    keras.utils.set_random_seed(2)
    model = keras.Sequential(
        [
            keras.Input((20, 24, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    model.save(tmp_path / "dnn.keras")
    told = {}
    for turned, titles in ((False, ("a", "b")), (True, ("b", "a")), (None, ("a", "c"))):
        train = shutil.copytree(spots.train, tmp_path / f"{turned} train")
        test = shutil.copytree(spots.test, tmp_path / f"{turned} test")
        for folder, names in ((train, ("a", "b")), (test, titles)):
            values = {"a": 0.0, "b": 7.0, "c": 1.0}
            rows = [
                (p.relative_to(folder).as_posix(), *(values[name] for name in names))
                for p in sorted(folder.rglob("*.png"))
            ]
            write_csv(folder / "labels.csv", ("path", *names), rows)
        run = shutil.copytree(spots.run, tmp_path / f"{turned} run")
        label_rows = read_csv(run / UNSAFE_SET_FILE)
        for row in label_rows:
            row["label"] = "0;7"
        write_csv(
            run / UNSAFE_SET_FILE, list(label_rows[0]), [tuple(r.values()) for r in label_rows]
        )
        job = {"out": tmp_path / f"{turned} out", "asked": Asked(error_threshold=1.0)}
        places = {"model": tmp_path / "dnn.keras", "train": train, "test": test, "run": run}
        if turned is None:
            with pytest.raises(InputError, match=r"gives a, c and the training .* gives a, b"):
                retrain_with(places, job)
        else:
            retrain_with(places, job)
            told[turned] = read_csv(job["out"] / "before_after.csv")
    strip = [[{**row, "sha256": ""} for row in rows] for rows in told.values()]
    assert strip[0] == strip[1]


def retrain_with(places, job):
    return retrain(
        places["model"], places["train"], places["run"], places["test"], job["out"], job["asked"],
        Options(epochs=1), progress=quiet,
    )  # fmt: skip


# --- groups of test images ---------------------------------------------------------------------

TENS = r"_2_(\d\d)\d"
"""Ten images each, of both classes."""


@pytest.fixture(scope="module")
def grouped(spots, tmp_path_factory):
    """Retrain with groups, from where a job without them was killed."""
    out, batches = tmp_path_factory.mktemp("grouped") / "retrained", []
    with pytest.raises(Killed):
        run_job(spots, out, progress=killing("retraining", 50))

    def listen(stage, done, total):
        if stage == "retraining" and total:
            batches.append(done)

    run_job(spots, out, asked=Asked(groups=TENS), overwrite=True, progress=listen)
    assert batches[0] > 1
    return out


def count_signs(rows):
    """Return the share of all signs of the groups' changes that change as much as was seen."""
    changes = Counter()
    for row in rows:
        changes[row["group"]] += int(row["right after"]) - int(row["right before"])
    values = list(changes.values())
    ways = itertools.product((1, -1), repeat=len(values))
    sums = [abs(sum(s * v for s, v in zip(way, values, strict=True))) for way in ways]
    return sum(each >= abs(sum(values)) for each in sums) / len(sums)


def test_images_of_one_group_count_together(grouped, done):
    rows, alone = (read_csv(out / "before_after.csv") for out in (grouped, done))
    assert [row["group"] for row in rows] == [row["path"].split("_")[2][:2] for row in rows]
    assert {row["group"] for row in alone} == {""}
    assert [row | {"group": ""} for row in rows] == alone
    found, manifest = read_retraining(grouped), read_manifest(grouped)
    change = found.change
    assert change.p == pytest.approx(count_signs(rows), rel=1e-3)
    moved = {row["group"] for row in rows if row["right before"] != row["right after"]}
    assert (change.groups, change.groups_changed) == (8, len(moved))
    groups = np.array([int(row["group"]) for row in rows])
    after = np.array([row["right after"] == "1" for row in rows])
    low, high = accuracy_interval(after, groups)
    assert (change.after.low, change.after.high) == (round(low, 4), round(high, 4))
    for each in found.classes:
        inside = [row for row in rows if row["expected"] == each.name]
        assert each.p == pytest.approx(count_signs(inside), rel=1e-3)
        assert each.groups == len({row["group"] for row in inside})
    failing = [row for row in rows if row["right before"] == "0" and row["cluster"]]
    for each in read_csv(grouped / "repairs.csv"):
        own = {row["group"] for row in failing if row["cluster"] == each["cluster"]}
        assert int(each["groups"]) == len(own)
    assert [int(row["groups"]) for row in read_csv(grouped / "classes.csv")] == [8, 8]
    assert (manifest.parameters["groups"], manifest.result["groups"]) == (TENS, 8)


def test_it_is_told_which_images_count_together_and_which_test_was_made(grouped, done):
    words = "80 images in 8 groups, by the part of their paths that matches"
    told, text = describe_retraining(grouped), (grouped / "report.html").read_text()
    assert words in told["found"]["groups"]
    assert any(words in note for note in told["notes"])
    assert words in text
    for said in (told["sentence"], text):
        assert "80 test images in 8 groups" in said
        assert "exact sign-flip test of the groups" in said
        assert "McNemar" not in said
    assert read_retraining(done).groups == ""
    assert "none, every image is by itself" in (done / "report.html").read_text()


def test_groups_that_no_path_has_are_refused_before_training(spots, tmp_path):
    seen = []
    with pytest.raises(InputError, match=r"groups: 'drive' is no column.*none of 80 paths"):
        run_job(
            spots, tmp_path / "out", asked=Asked(groups="drive"),
            progress=lambda stage, done, total: seen.append(stage),
        )  # fmt: skip
    assert set(seen) == {"checking images"}


def test_a_retraining_from_before_there_were_groups_still_opens(done, tmp_path):
    copy = shutil.copytree(done, tmp_path / "copy")
    document = json.loads((copy / "retraining.json").read_text())
    del document["groups"]
    for part in (document["change"], *document["classes"], *document["repairs"]):
        part.pop("groups")
        part.pop("groups_changed", None)
    (copy / "retraining.json").write_text(json.dumps(document))
    assert read_retraining(copy) == read_retraining(done)
    assert describe_retraining(copy)["sentence"] == describe_retraining(done)["sentence"]


# --- what is shown of it ------------------------------------------------------------------------


def test_the_report_of_the_clusters_tells_of_retraining(done):
    text = (done / "report.html").read_text()
    found = read_retraining(done)
    assert 'id="retraining"' in text
    assert f"{found.change.after.right:,}" in text
    assert "McNemar" in text
    assert "data:image/png;base64," in text


def test_thumbnails_of_what_changed(done, spots):
    rows = read_csv(done / "before_after.csv")
    wanted = {r["sha256"] for r in rows if r["right before"] != r["right after"] and r["cluster"]}
    assert wanted
    thumbnails = list((done / "thumbnails").iterdir())
    assert thumbnails
    with Image.open(done / "repairs.png") as picture:
        assert picture.width == 900
    image = check_image(spots.test, rows[0]["path"])
    assert not isinstance(image, Rejected)
    assert image.digest == rows[0]["sha256"]
