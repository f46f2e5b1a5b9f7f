"""The commands `cluster`, `explain`, `report` and `example` as a user meets them."""

import hashlib
import json
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from examples.eyes import write_example
from pipelines.clusters.clusters import RootCauseClusters, save_words, write_clusters
from pipelines.runs.files import read_csv
from pipelines.runs.folder import open_run
from pipelines.runs.manifest import Manifest, read_manifest
from tests.app.cli.command import ROOT, process, tool
from tests.causes import CAUSES, draw_eyes
from tests.waiting import SECONDS, until

OPTIONS = (
    "out overwrite recipe weights layer components min-samples eps seed batch-size precision "
    "parameters angles unsafe-values"
)


@pytest.mark.parametrize("option", OPTIONS.split())
def test_help_of_cluster_lists_every_option(option):
    assert f"--{option}" in tool("cluster", "--help").stdout


def test_cluster_ends_with_a_summary(images, cache, tmp_path):
    (images / "notes.txt").write_text("x")
    result = process("cluster", images, "--out", tmp_path / "run")
    assert result.returncode == 0, result.stderr
    assert "root cause clusters of 12 images" in result.stdout
    assert "Files that could not be used: 1" in result.stdout
    assert str(tmp_path / "run" / "gifs") in result.stdout
    assert str(tmp_path / "run" / "report.html") in result.stdout
    assert "Extracting features: 100%" in result.stderr
    assert "cuda" not in result.stderr.lower()
    command = read_manifest(tmp_path / "run").command
    assert command == ["cluster", str(images), "--out", str(tmp_path / "run")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing", "--out", "run"], "Error: missing does not exist"),
        (["{images}", "--out", "{images}"], "one lies inside the other"),
        (["{images}", "--out", "run", "--layer", "conv9"], "VGG16 has no layer 'conv9'"),
        (
            ["{images}", "--out", "run", "--recipe", "mine"],
            "recipe: expected contrast or appearance",
        ),
        (["{images}", "--out", "{tmp}/run", "--weights", "no.h5"], "no.h5 does not exist"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(images, cache, tmp_path, arguments, message):
    words = [text.format(images=images, tmp=tmp_path) for text in arguments]
    result = tool("cluster", *words)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert len([line for line in result.stderr.splitlines() if line.startswith("Error")]) == 1


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stopped_job_says_so_and_keeps_what_it_has(cache, tmp_path, sign):
    folder = tmp_path / "images"
    folder.mkdir()
    for seed in range(40):
        pixels = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{seed:02d}.png")
    out = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "SAFE_Tool.py", "cluster", str(folder), "--out", str(out)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as job:
        status = out / "status.json"

        def extracting():
            now = json.loads(status.read_text()) if status.is_file() else {}
            assert job.poll() is None
            return now.get("stage") == "extracting features" and now["done"]

        until(extracting)
        job.send_signal(sign)
        output, _ = job.communicate(timeout=SECONDS)
    assert job.returncode == 130
    assert "Stopped. Extracted features are kept" in output
    assert "--overwrite" in output
    assert read_manifest(out).ended == "stopped"


def test_an_example_is_drawn_and_the_next_command_named(tmp_path, monkeypatch):
    few = {"train": 32, "test": 24, "improvement": 4, "epochs": 1, "size": (96, 72)}
    usual = write_example.__kwdefaults__
    monkeypatch.setattr(write_example, "__kwdefaults__", usual | few)
    result = tool("example", tmp_path / "eyes")
    assert result.returncode == 0, result.stderr
    assert "32 training, 24 test and 4 improvement images." in result.stdout
    failures = tmp_path / "eyes" / "failures"
    count = len(list(failures.glob("*.jpg")))
    assert f"those that it gets wrong ({count}) are in {failures}" in result.stdout
    eyes = tmp_path / "eyes"
    test = f"Next: python SAFE_Tool.py test {eyes / 'model.keras'} {eyes / 'test'} --out TEST"
    table = eyes / "test" / "parameters.csv"
    cluster = f"Then: python SAFE_Tool.py cluster --test-run TEST --out RUN --parameters {table} "
    assert test in result.stdout
    assert cluster in result.stdout
    assert usual["train"] == 2400


def test_an_example_is_not_drawn_over_other_files(tmp_path):
    (tmp_path / "thesis.txt").write_text("x")
    result = tool("example", tmp_path)
    assert result.returncode == 1
    assert "holds files but is not a run folder" in result.stderr


@pytest.fixture
def run(tmp_path, draw):
    """Write a run of twelve images in one cluster and noise, as a job does."""
    paths = tuple(f"{seed:02d}.png" for seed in range(12))
    for seed, path in enumerate(paths):
        draw(tmp_path / "images" / path, seed)
    clusters = RootCauseClusters(
        paths=paths,
        digests=tuple(
            hashlib.sha256((tmp_path / "images" / path).read_bytes()).hexdigest() for path in paths
        ),
        labels=np.array([0] * 8 + [-1] * 4, np.int32),
        core=np.ones(12, np.bool_),
        silhouettes=np.zeros(12, np.float32),
        centre_distances=np.zeros(12, np.float32),
        places=np.zeros((12, 2), np.float32),
    )
    folder = str(tmp_path / "images")
    manifest = Manifest(job="cluster", command=[], folder=folder, parameters={"seed": 0})
    with open_run(tmp_path / "run", manifest, lambda *step: None) as new_run:
        write_clusters(new_run.folder, clusters)
    return tmp_path / "run"


def test_explain_tells_what_it_found_and_what_it_could_not_use(run, tmp_path):
    rows = [f"{seed:02d}.png,{'dark' if seed == 3 else seed}" for seed in range(12)]
    (tmp_path / "table.csv").write_text("\n".join(["path,yaw", *rows]))
    result = tool("explain", run, "--parameters", tmp_path / "table.csv")
    assert result.returncode == 0, result.stderr
    assert "of 1 cluster with hints from their pixels" in result.stdout
    assert "share beyond chance: 0. 11 images with parameters" in result.stdout
    assert "table.csv, row 5, column yaw: " in result.stdout
    assert str(run / "report.html") in result.stdout
    assert (run / "report.html").is_file()


def test_parameters_of_a_test_set_from_the_command_line(store, tmp_path):
    # The very pictures of other tests, so that their features are extracted once.
    causes = CAUSES[:2]
    failing = [n for k, c in enumerate(causes) for n in draw_eyes(tmp_path / "bad", 12, 20 + k, c)]
    passing = draw_eyes(tmp_path / "good", 76, 30)
    rng = np.random.default_rng(0)
    # Heads of dim eyes are turned as those of passing images; those of blurred ones are not.
    usual = [1 if name.startswith("blurred") else 0 for name in failing]
    yaws = [rng.normal(212 if turned else 138, 2) for turned in usual]
    rows = [f"{name},{yaw},{rng.normal()}" for name, yaw in zip(failing, yaws, strict=True)]
    bad, good = tmp_path / "bad.csv", tmp_path / "good.csv"
    bad.write_text("\n".join(["path,head_yaw,wind", *rows]))
    good.write_text("\n".join(["path,head_yaw", *(f"{n},{rng.normal(138, 2)}" for n in passing)]))
    run = tmp_path / "run"
    result = tool(
        "cluster", tmp_path / "bad", "--passing", tmp_path / "good", "--out", run,
        "--parameters", bad, "--parameters", good,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    note = "wind: no values of passing images; compared with the other failing images."
    assert f"Note: {note}" in result.stdout
    report = (run / "report.html").read_text()
    assert note in report
    assert "Parameter against passing images" in report
    groups = {
        row["cluster"]: row["central_image"].split()[0] for row in read_csv(run / "clusters.csv")
    }
    parameters = {row["cluster"]: row["parameters"] for row in read_csv(run / "clusters.csv")}
    of = {cause: parameters[cluster] for cluster, cause in groups.items() if cluster != "-1"}
    assert of.keys() == {"dim", "blurred"}
    assert re.match(r"head_yaw: mean 21[\d.]+ against 13[\d.]+ of passing images, ", of["blurred"])
    assert "head_yaw" not in of["dim"]
    again = tool("explain", run)
    assert f"Note: {note}" in again.stdout
    assert {
        row["cluster"]: row["parameters"] for row in read_csv(run / "clusters.csv")
    } == parameters
    alone = tool("explain", run, "--parameters", bad)
    assert "Note: head_yaw, wind: no values of passing images" in alone.stdout
    for row in read_csv(run / "clusters.csv"):
        assert "of passing images" not in row["parameters"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{tmp}"], "is not a run folder: it has no run.json"),
        (["{run}", "--parameters", "missing.csv"], "missing.csv"),
        (["{run}", "--angles", "yaw"], "--angles speaks of parameters"),
    ],
)
def test_what_explain_cannot_use_is_said_in_one_line(run, tmp_path, arguments, message):
    before = {file: file.read_bytes() for file in run.iterdir() if file.name != "status.json"}
    result = tool("explain", *[text.format(run=run, tmp=tmp_path) for text in arguments])
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert message in line
    assert before == {file: file.read_bytes() for file in before}


def test_report_has_the_words_as_they_are_now(run, tmp_path):
    save_words(run, 0, {"name": "sunglasses <b>", "verdict": "unclear"})
    result = tool("report", run)
    assert result.returncode == 0, result.stderr
    assert str(run / "report.html") in result.stdout
    assert "sunglasses &lt;b&gt;" in (run / "report.html").read_text(encoding="utf-8")
    assert tool("report", tmp_path / "images").returncode == 1
