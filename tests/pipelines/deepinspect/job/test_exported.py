"""Inspections of tables that another framework has exported."""

import csv
import json

import numpy as np
import pytest

from pipelines.deepinspect.exported_job import inspect_exported
from pipelines.deepinspect.job import Options
from pipelines.deepinspect.results import read_inspection
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv
from tests.pipelines.deepinspect.colours import (
    PER_CLASS,
    quiet,
)


def export_tables(tmp_path, inspection):
    """Write what another framework would export of the same DNN."""
    out, _ = inspection
    rows = [
        (row["class_a"], row["class_b"], row["napvd"]) for row in read_csv(out / "confusion.csv")
    ]
    tables = {"distances": [("class", "class", "distance"), *rows]}
    for name in ("expected", "predicted"):
        pairs = [(row["path"], row[name]) for row in read_csv(out / "predictions.csv")]
        tables[name] = [("image", "labels"), *pairs]
    for name, table in tables.items():
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(table)
    return [tmp_path / f"{name}.csv" for name in ("distances", "expected", "predicted")]


def test_exported_tables_give_the_same_ranking_and_evaluation(inspection, tmp_path):
    distances, labels, predictions = export_tables(tmp_path, inspection)
    out = tmp_path / "run"
    inspect_exported(
        distances, out, Options(top_percent=20), labels=labels, predictions=predictions,
        progress=quiet,
    )  # fmt: skip
    for name in ("confusion.csv", "bias.csv"):
        before, now = read_csv(inspection[0] / name), read_csv(out / name)
        assert [(row["class_a"], row["class_b"]) for row in now] == [
            (row["class_a"], row["class_b"]) for row in before
        ]
    evaluation, before = (
        json.loads((folder / "evaluation.json").read_text()) for folder in (out, inspection[0])
    )
    assert evaluation == before
    assert read_inspection(out)[1][0].labelled == PER_CLASS


def test_distances_alone_are_enough(inspection, tmp_path):
    distances, labels, _ = export_tables(tmp_path, inspection)
    manifest = inspect_exported(distances, tmp_path / "run", Options(), progress=quiet)
    assert [stage.name for stage in manifest.stages] == ["comparing classes", "writing tables"]
    assert len(read_csv(tmp_path / "run" / "bias.csv")) == 10
    with pytest.raises(InputError, match="expected --labels and --predictions, received --labels"):
        inspect_exported(distances, tmp_path / "no", Options(), labels=labels, progress=quiet)


def test_the_ranking_by_bias_is_evaluated(tmp_path):
    rng = np.random.default_rng(5)
    names = [f"class {place}" for place in range(9)]
    points = rng.normal(size=(9, 2))
    distances = np.sqrt(((points[:, None] - points) ** 2).sum(axis=2))
    labels = rng.integers(0, 9, 900)
    chance = np.exp(-4 * distances)  # the nearer, the more often taken for one another
    chance /= chance.sum(axis=1, keepdims=True)
    predictions = [rng.choice(9, p=chance[label]) for label in labels]
    tables = {
        "distances": [("a", "b", "d"), *[
            (names[a], names[b], distances[a, b]) for a in range(9) for b in range(a)
        ]],
        "labels": [("image", "label"), *[(i, names[c]) for i, c in enumerate(labels)]],
        "predictions": [("image", "label"), *[(i, names[c]) for i, c in enumerate(predictions)]],
    }  # fmt: skip
    for name, table in tables.items():
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(table)
    files = [tmp_path / f"{name}.csv" for name in tables]
    out = tmp_path / "run"
    inspect_exported(
        files[0], out, Options(), labels=files[1], predictions=files[2], progress=quiet
    )
    evaluation = json.loads((out / "evaluation.json").read_text())
    assert set(evaluation["bias"]) == set(evaluation["confusion"])
    assert evaluation["confusion"]["spearman"] < -0.8
    assert evaluation["bias"]["aucec"] > 0.5
    rows = read_csv(out / "bias.csv")
    wrong = [row for row in rows if row["true_error"] == "1"]
    assert evaluation["bias"]["errors"] == len(wrong) > 0
    first_rows = [row for row in rows if row["above_one_sd"] == "1"]
    assert evaluation["bias"]["one_sd"]["tp"] == sum(row in wrong for row in first_rows)
    mean_disparity = np.mean([float(row["disparity"]) for row in rows])
    assert all(float(row["disparity"]) > mean_disparity for row in wrong)
