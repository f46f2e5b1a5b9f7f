"""Retraining in the world of spots: as asked, killed on the way, with labels filled in."""

import json
import shutil

import numpy as np
from PIL import Image

from pipelines.dnn.job import EvaluationOptions
from pipelines.dnn.keras import import_keras
from pipelines.retraining.job import retrain
from pipelines.retraining.training import Options
from pipelines.runs.files import read_csv, write_csv
from pipelines.unsafe_set.files import UNSAFE_SET_FILE

EPOCHS = 12


def quiet(stage, done, total):
    """Ignore progress."""


def run_job(world, out, *, evaluation=None, progress=quiet, **more):
    options = {name: more.pop(name) for name in list(more) if name in Options.__dataclass_fields__}
    paths = {
        name: more.pop(name, getattr(world, name)) for name in ("model", "train", "run", "test")
    }
    return retrain(
        paths["model"], paths["train"], paths["run"], paths["test"], out,
        evaluation or EvaluationOptions(),
        Options(**{"epochs": EPOCHS, "batch_size": 16} | options),
        progress=progress, **more,
    )  # fmt: skip


def predict(file, folder, paths):
    keras, _ = import_keras()
    model = keras.models.load_model(file)
    pixels = np.stack([np.asarray(Image.open(folder / path)) for path in paths])
    return [("left", "right")[best] for best in model.predict_on_batch(pixels).argmax(axis=1)]


def files_of(folder):
    return {
        name: (folder / name).read_bytes()
        for name in ("before_after.csv", "trained_with.csv", "repairs.csv", "classes.csv")
    }


def history(folder):
    return [{**row, "seconds": ""} for row in read_csv(folder / "history.csv")]


class Kill(BaseException):
    """Ends a job like a kill: no `except Exception` catches it."""


def killing(stage, batch):
    def progress(name, done, total):
        if name == stage and done == batch:
            raise Kill

    return progress


def label(world, change):
    """Write the column label of the unsafe set; `change` gives it from path and position."""
    rows = read_csv(world.run / UNSAFE_SET_FILE)
    for place, row in enumerate(rows):
        row["label"] = change(row["path"], place)
    write_csv(world.run / UNSAFE_SET_FILE, list(rows[0]), [tuple(row.values()) for row in rows])
    return rows


def edit_selection(run, **changes):
    """Change what `selection.json` says, as a version wrote it that kept no digest of the table."""
    file = run / "selection.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"listed": ""} | changes))


def remove_labels(world, tmp_path):
    """Move the improvement set to where class folders say nothing."""
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in world.improvement.rglob("*.png"):
        shutil.copy(path, flat / f"{path.parent.name}_{path.name}")
    edit_selection(world.run, folder=str(flat))
    rows = read_csv(world.run / UNSAFE_SET_FILE)
    for row in rows:
        row["path"] = row["path"].replace("/", "_")
    write_csv(world.run / UNSAFE_SET_FILE, list(rows[0]), [tuple(row.values()) for row in rows])


TENS = r"_2_(\d\d)\d"
"""Ten images each, of both classes."""
