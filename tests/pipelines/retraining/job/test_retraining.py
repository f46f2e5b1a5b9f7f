"""Retraining from end to end, on real pictures and a small DNN."""

import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from pipelines.clusters.clusters import read_labels
from pipelines.data.images import Rejected, check_image
from pipelines.dnn.keras import import_keras
from pipelines.retraining.results import read_retraining
from pipelines.runs.files import read_csv
from pipelines.runs.manifest import read_manifest
from pipelines.unsafe_set.files import UNSAFE_SET_FILE
from tests.foreign import find_undeclared, read_files, write_foreign
from tests.pipelines.retraining.retrained import files_of, history, predict, run_job


def test_overwriting_a_retraining_removes_no_file_that_it_did_not_write(
    retrained_run, spots, tmp_path
):
    out = shutil.copytree(retrained_run, tmp_path / "run")
    assert find_undeclared(out, "retrain") == set()
    foreign = write_foreign(out, "retrain")
    run_job(spots, out, epochs=1, overwrite=True)
    assert read_files(out, foreign) == foreign
    assert read_retraining(out).epochs == 1


def test_the_retrained_model_is_better_and_its_images_are_listed(retrained_run, spots):
    rows = read_csv(retrained_run / "before_after.csv")
    paths = [row["path"] for row in rows]
    assert paths == sorted(p.relative_to(spots.test).as_posix() for p in spots.test.rglob("*.png"))
    assert [row["before"] for row in rows] == predict(spots.model, spots.test, paths)
    assert [row["after"] for row in rows] == predict(
        retrained_run / "retrained.keras", spots.test, paths
    )
    for row in rows:
        assert row["expected"] == row["path"].split("/")[0]
        assert row["right before"] == str(int(row["before"] == row["expected"]))
        assert row["right after"] == str(int(row["after"] == row["expected"]))
    change = read_retraining(retrained_run).change
    assert change.after.share > change.before.share + 0.15
    assert change.repaired == sum(r["right before"] < r["right after"] for r in rows)
    assert change.broken == sum(r["right before"] > r["right after"] for r in rows)
    result = read_manifest(retrained_run).result
    assert (result["accuracy_before"], result["p"]) == (change.before.share, change.p)


def test_clusters_are_those_of_the_run(retrained_run, spots):
    labels = read_labels(spots.run)
    rows = read_csv(retrained_run / "before_after.csv")
    assert {r["path"]: int(r["cluster"]) for r in rows if r["cluster"]} == labels
    right = Counter(int(r["cluster"]) for r in rows if r["cluster"] and r["right after"] == "1")
    for repair in read_csv(retrained_run / "repairs.csv"):
        cluster = int(repair["cluster"])
        assert int(repair["failing"]) == list(labels.values()).count(cluster)
        assert int(repair["right now"]) == right[cluster]


def test_what_was_trained_with_is_balanced_and_apart_from_what_was_held_out(retrained_run, spots):
    rows = read_csv(retrained_run / "trained_with.csv")
    unsafe = [row for row in rows if row["set"] == "unsafe"]
    selection = {row["path"]: row["cluster"] for row in read_csv(spots.run / UNSAFE_SET_FILE)}
    assert {row["path"]: row["cluster"] for row in unsafe} == selection
    sizes = Counter()
    for row in unsafe:
        if row["times"] != "held out":
            sizes[row["cluster"]] += int(row["times"])
    assert len(set(sizes.values())) == 1
    validation = [row for row in rows if row["times"] == "held out"]
    retraining = read_retraining(retrained_run)
    assert len(validation) == retraining.held_out
    assert sum(sizes.values()) == retraining.balanced_images
    assert {row["set"] for row in validation} == {"training", "unsafe"}
    training = [row["times"] for row in rows if row["set"] == "training"]
    assert set(training) == {"1", "held out"}
    assert len(training) == 80


def test_the_epoch_that_is_best_on_what_is_held_out_is_kept(retrained_run):
    rows = read_csv(retrained_run / "history.csv")
    keys = [(float(r["validation accuracy"]), -float(r["validation loss"])) for r in rows]
    best = keys.index(max(keys)) + 1
    assert (
        [int(r["epoch"]) for r in rows if r["best"] == "1"]
        == [best]
        == [read_retraining(retrained_run).best]
    )
    rates = [float(row["learning rate"]) for row in rows]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] < 3e-3


def test_the_file_tells_how_the_model_was_trained(retrained_run):
    recipe = read_retraining(retrained_run).recipe
    assert recipe == {
        "optimizer": "Adam, the model file's",
        "loss": "sparse_categorical_crossentropy, the model file's",
        "learning rate": "0.003, the model file's",
    }
    keras, _ = import_keras()
    model = keras.models.load_model(retrained_run / "retrained.keras")
    assert float(model.optimizer.learning_rate) == pytest.approx(3e-3)


def test_the_same_seed_gives_the_same_model(retrained_run, spots, tmp_path):
    run_job(spots, tmp_path / "again")
    assert files_of(tmp_path / "again") == files_of(retrained_run)
    assert history(tmp_path / "again") == history(retrained_run)
    run_job(spots, tmp_path / "other", seed=1)
    assert history(tmp_path / "other") != history(retrained_run)


def test_patience_ends_training_early(spots, tmp_path):
    out = tmp_path / "early"
    run_job(spots, out, patience=1, epochs=40, schedule="constant")
    retraining = read_retraining(out)
    assert retraining.ended == "early"
    assert retraining.epochs == retraining.best + 1 < 40


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


# --- what is shown of it --------------------------------------------------------------------------


def test_the_report_of_the_clusters_tells_of_retraining(retrained_run):
    text = (retrained_run / "report.html").read_text()
    retraining = read_retraining(retrained_run)
    assert 'id="retraining"' in text
    assert f"{retraining.change.after.right:,}" in text
    assert "McNemar" in text
    assert "data:image/png;base64," in text


def test_thumbnails_of_what_changed(retrained_run, spots):
    rows = read_csv(retrained_run / "before_after.csv")
    digests = {r["sha256"] for r in rows if r["right before"] != r["right after"] and r["cluster"]}
    assert digests
    thumbnails = list((retrained_run / "thumbnails").iterdir())
    assert thumbnails
    with Image.open(retrained_run / "repairs.png") as picture:
        assert picture.width == 900
    image = check_image(spots.test, rows[0]["path"])
    assert not isinstance(image, Rejected)
    assert image.digest == rows[0]["sha256"]
