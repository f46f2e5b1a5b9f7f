"""Retraining of DNNs that predict numbers and columns."""

import shutil

import pytest

from pipelines.dnn.job import EvaluationOptions
from pipelines.dnn.keras import import_keras
from pipelines.retraining.job import retrain
from pipelines.retraining.results import read_retraining
from pipelines.retraining.training import Options
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv, write_csv
from pipelines.unsafe_set.files import UNSAFE_SET_FILE
from tests.pipelines.retraining.retrained import edit_selection, quiet


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
    edit_selection(run, folder=str(sets["improvement"]))
    rows = read_csv(run / UNSAFE_SET_FILE)
    cells = [(r["path"].split("/")[1], *list(r.values())[1:]) for r in rows]
    write_csv(run / UNSAFE_SET_FILE, list(rows[0]), cells)
    manifest = retrain(
        tmp_path / "dnn.keras", sets["train"], run, sets["test"], tmp_path / "out",
        EvaluationOptions(error_threshold=0.4), Options(epochs=15, learning_rate=3e-3),
        progress=quiet, repeats=1,
    )  # fmt: skip
    retraining = read_retraining(tmp_path / "out")
    assert manifest.chosen["task"] == "numbers"
    assert retraining.classes == []
    assert retraining.change.after.share > retraining.change.before.share
    assert len(retraining.comparison.methods) == 4
    assert retraining.recipe["optimizer"] == "Adam, the default"
    assert retraining.recipe["learning rate"] == "0.003, as asked for"


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
    rows_by_order = {}
    for is_turned, titles in ((False, ("a", "b")), (True, ("b", "a")), (None, ("a", "c"))):
        train = shutil.copytree(spots.train, tmp_path / f"{is_turned} train")
        test = shutil.copytree(spots.test, tmp_path / f"{is_turned} test")
        for folder, names in ((train, ("a", "b")), (test, titles)):
            values = {"a": 0.0, "b": 7.0, "c": 1.0}
            rows = [
                (p.relative_to(folder).as_posix(), *(values[name] for name in names))
                for p in sorted(folder.rglob("*.png"))
            ]
            write_csv(folder / "labels.csv", ("path", *names), rows)
        run = shutil.copytree(spots.run, tmp_path / f"{is_turned} run")
        label_rows = read_csv(run / UNSAFE_SET_FILE)
        for row in label_rows:
            row["label"] = "0;7"
        write_csv(
            run / UNSAFE_SET_FILE, list(label_rows[0]), [tuple(r.values()) for r in label_rows]
        )
        job = {
            "out": tmp_path / f"{is_turned} out",
            "evaluation": EvaluationOptions(error_threshold=1.0),
        }
        places = {"model": tmp_path / "dnn.keras", "train": train, "test": test, "run": run}
        if is_turned is None:
            with pytest.raises(InputError, match=r"gives a, c and the training .* gives a, b"):
                retrain_with(places, job)
        else:
            retrain_with(places, job)
            rows_by_order[is_turned] = read_csv(job["out"] / "before_after.csv")
    strip = [[{**row, "sha256": ""} for row in rows] for rows in rows_by_order.values()]
    assert strip[0] == strip[1]


def retrain_with(places, job):
    return retrain(
        places["model"], places["train"], places["run"], places["test"], job["out"],
        job["evaluation"],
        Options(epochs=1), progress=quiet,
    )  # fmt: skip
