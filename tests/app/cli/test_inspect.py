"""The command `inspect` as a user meets it."""

import re

import numpy as np
import pytest

from pipelines.runs.manifest import read_manifest
from tests.app.cli.command import tool


@pytest.fixture
def tables(tmp_path):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(6, 2))
    lines = ["class,class,distance"]
    for a in range(6):
        lines += [f"{a},{b},{np.linalg.norm(points[a] - points[b]):.6f}" for b in range(a)]
    (tmp_path / "distances.csv").write_text("\n".join(lines))
    labels = rng.integers(0, 6, 200)
    predictions = np.where(rng.random(200) < 0.3, (labels + 1) % 6, labels)
    for name, values in (("labels", labels), ("predictions", predictions)):
        rows = [f"{image}.png,{value}" for image, value in enumerate(values)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["image,labels", *rows]))
    return tmp_path


def test_ranked_pairs_are_printed(tables):
    result = tool(
        "inspect", "--distances", tables / "distances.csv", "--labels", tables / "labels.csv",
        "--predictions", tables / "predictions.csv", "--top", "10%", "--out", tables / "run",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "15 pairs of 6 classes; likely confused are" in result.stdout
    assert re.search(r"\*   1  \d - \d: 0\.\d+  \d+ images? confused", result.stdout)
    assert re.search(r"\d sides with \d", result.stdout)
    assert "By the labels, of confusion:" in result.stdout
    assert str(tables / "run" / "evaluation.json") in result.stdout
    manifest = read_manifest(tables / "run")
    assert manifest.parameters["top_percent"] == 10
    assert manifest.job == "inspect"


def test_figures_and_counts_of_any_size_are_told(tmp_path):
    for name, rows in {
        "distances": ["cat,dog,1e-7", "cat,cow,3e-7", "dog,cow,4e-7"],
        "labels": ["1.png,cat", "2.png,dog", "3.png,cow"],
        "predictions": ["1.png,dog", "2.png,dog", "3.png,cow"],
    }.items():
        titles = ",".join("abc"[: rows[0].count(",") + 1])
        (tmp_path / f"{name}.csv").write_text("\n".join([titles, *rows]))
    result = tool(
        "inspect", "--distances", tmp_path / "distances.csv", "--labels", tmp_path / "labels.csv",
        "--predictions", tmp_path / "predictions.csv", "--out", tmp_path / "run",
    )  # fmt: skip
    assert "NAPVD below 1.4194e-07, mean - 1 sd" in result.stdout
    assert "cat - dog: 1e-07  1 image confused" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected MODEL and IMAGES, or --distances"),
        (["dnn.keras"], "expected MODEL and IMAGES, or --distances"),
        (["dnn.keras", "x", "--distances", "d.csv"], "--distances: expected no MODEL"),
        (["dnn.keras", "x", "--labels", "l.csv"], "--labels and --predictions belong to"),
        (
            ["--distances", "d.csv", "--normalise", "--threshold", "0.3"],
            "--threshold, --normalise: without effect, because --distances",
        ),
        (["--distances", "missing.csv"], "missing.csv: expected a table, but there is no such"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(tmp_path, arguments, message):
    result = tool("inspect", *arguments, "--out", tmp_path / "run")
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_another_kind_of_run_is_left_as_it_is(tables):
    (tables / "run").mkdir()
    (tables / "run" / "notes.txt").write_text("mine")
    result = tool("inspect", "--distances", tables / "distances.csv", "--out", tables / "run")
    assert result.returncode == 1
    assert "holds files but is not a run folder" in result.stderr
