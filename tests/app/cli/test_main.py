"""The command line as a user meets it: real processes, what they print, how they end."""

import hashlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.clusters.clusters import RootCauseClusters, save_words, write_clusters
from pipelines.runs.files import read_csv
from pipelines.runs.folder import open_run
from pipelines.runs.manifest import Manifest, read_manifest
from tests.pipelines.safe.test_job_contrast import CAUSES, draw_eyes

ROOT = Path(__file__).parents[3]


def tool(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "SAFE_Tool.py", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def images(tmp_path, draw):
    folder = tmp_path / "images"
    for seed in range(12):
        draw(folder / f"{seed:02d}.png", seed)
    return folder


def test_help_names_the_commands_and_needs_no_tensorflow():
    done = tool("--help")
    assert done.returncode == 0
    assert "cluster" in done.stdout
    assert all(name in done.stdout for name in ("explain", "select", "recut", "export", "report"))
    assert all(f"\n  {name} " in done.stdout for name in ("test", "heatmaps", "inspect"))
    code = "import sys; import app.cli.main; print([m for m in sys.modules if 'tensorflow' in m])"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert loaded.stdout == b"[]\n"


OPTIONS = (
    "out overwrite recipe weights layer components min-samples eps seed batch-size precision "
    "parameters angles unsafe-values"
)


@pytest.mark.parametrize("option", OPTIONS.split())
def test_help_of_cluster_lists_every_option(option):
    from typer.testing import CliRunner

    from app.cli.main import app

    text = CliRunner().invoke(app, ["cluster", "--help"], env={"COLUMNS": "200"}).stdout
    assert f"--{option}" in text


def test_cluster_ends_with_a_summary(images, cache, tmp_path):
    (images / "notes.txt").write_text("x")
    done = tool("cluster", images, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "root cause clusters of 12 images" in done.stdout
    assert "Files that could not be used: 1" in done.stdout
    assert str(tmp_path / "run" / "gifs") in done.stdout
    assert str(tmp_path / "run" / "report.html") in done.stdout
    assert "Extracting features: 100%" in done.stderr
    assert "cuda" not in done.stderr.lower()
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
    filled = [text.format(images=images, tmp=tmp_path) for text in arguments]
    done = tool("cluster", *filled)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("Error")]) == 1


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
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
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            status = out / "status.json"
            if status.is_file():
                now = json.loads(status.read_text())
                if now["stage"] == "extracting features" and now["done"]:
                    break
            time.sleep(0.05)
        job.send_signal(sign)
        printed, _ = job.communicate(timeout=60)
    assert job.returncode == 130
    assert "Stopped. Features extracted so far are kept" in printed
    assert "--overwrite" in printed
    assert read_manifest(out).ended == "stopped"


def test_an_example_is_not_drawn_over_other_files(tmp_path):
    (tmp_path / "thesis.txt").write_text("x")
    done = tool("example", tmp_path)
    assert done.returncode == 1
    assert "is not empty" in done.stderr


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
    with open_run(tmp_path / "run", manifest, lambda *step: None) as opened:
        write_clusters(opened.folder, clusters)
    return tmp_path / "run"


def test_explain_tells_what_it_found_and_what_it_could_not_use(run, tmp_path):
    rows = [f"{seed:02d}.png,{'dark' if seed == 3 else seed}" for seed in range(12)]
    (tmp_path / "table.csv").write_text("\n".join(["path,yaw", *rows]))
    done = tool("explain", run, "--parameters", tmp_path / "table.csv")
    assert done.returncode == 0, done.stderr
    assert "of 1 clusters have hints from their pixels" in done.stdout
    assert "share a parameter beyond chance; 11 images have parameters" in done.stdout
    assert "table.csv, row 5, column yaw: " in done.stdout
    assert str(run / "report.html") in done.stdout
    assert (run / "report.html").is_file()


def test_parameters_of_a_test_set_from_the_command_line(cache, tmp_path):
    failing = [n for k, c in enumerate(CAUSES[:2]) for n in draw_eyes(tmp_path / "bad", 12, k, c)]
    passing = draw_eyes(tmp_path / "good", 40, 9)
    rng = np.random.default_rng(0)
    # Heads of dim eyes are turned as those of passing images; those of blurred ones are not.
    usual = [1 if name.startswith("blurred") else 0 for name in failing]
    yaws = [rng.normal(212 if turned else 138, 2) for turned in usual]
    rows = [f"{name},{yaw},{rng.normal()}" for name, yaw in zip(failing, yaws, strict=True)]
    bad, good = tmp_path / "bad.csv", tmp_path / "good.csv"
    bad.write_text("\n".join(["path,head_yaw,wind", *rows]))
    good.write_text("\n".join(["path,head_yaw", *(f"{n},{rng.normal(138, 2)}" for n in passing)]))
    run = tmp_path / "run"
    done = tool(
        "cluster", tmp_path / "bad", "--passing", tmp_path / "good", "--out", run,
        "--parameters", bad, "--parameters", good,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    note = "wind: no values of passing images; compared with the other failing images."
    assert f"Note: {note}" in done.stdout
    report = (run / "report.html").read_text()
    assert note in report
    assert "Parameter against passing images" in report
    groups = {
        row["cluster"]: row["central_image"].split()[0] for row in read_csv(run / "clusters.csv")
    }
    said = {row["cluster"]: row["parameters"] for row in read_csv(run / "clusters.csv")}
    of = {cause: said[cluster] for cluster, cause in groups.items() if cluster != "-1"}
    assert of.keys() == {"dim", "blurred"}
    assert re.match(r"head_yaw: mean 21[\d.]+ against 13[\d.]+ of passing images, ", of["blurred"])
    assert "head_yaw" not in of["dim"]
    again = tool("explain", run)
    assert f"Note: {note}" in again.stdout
    assert {row["cluster"]: row["parameters"] for row in read_csv(run / "clusters.csv")} == said
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
    done = tool("explain", *[text.format(run=run, tmp=tmp_path) for text in arguments])
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    assert message in line
    assert before == {file: file.read_bytes() for file in before}


def test_report_has_the_words_as_they_are_now(run, tmp_path):
    save_words(run, 0, {"name": "sunglasses <b>", "verdict": "unclear"})
    done = tool("report", run)
    assert done.returncode == 0, done.stderr
    assert str(run / "report.html") in done.stdout
    assert "sunglasses &lt;b&gt;" in (run / "report.html").read_text(encoding="utf-8")
    assert tool("report", tmp_path / "images").returncode == 1


SELECT_OPTIONS = (
    "count test-images accuracy selection-factor allocation ranking duplicates groups overwrite "
    "export link"
)


@pytest.mark.parametrize("option", SELECT_OPTIONS.split())
def test_help_of_select_lists_every_option(option):
    from typer.testing import CliRunner

    from app.cli.main import app

    text = CliRunner().invoke(app, ["select", "--help"], env={"COLUMNS": "200"}).stdout
    assert f"--{option}" in text


def test_select_ends_with_a_summary(images, cache, tmp_path, draw):
    assert tool("cluster", images, "--out", tmp_path / "run").returncode == 0
    for seed in range(20, 26):
        draw(tmp_path / "new" / f"{seed}.png", seed)
    arguments = ["--count", 3, "--export", tmp_path / "to label"]
    done = tool("select", tmp_path / "run", tmp_path / "new", *arguments)
    assert done.returncode == 0, done.stderr
    assert "3 of 6 images are chosen (as asked for)" in done.stdout
    assert str(tmp_path / "run" / "unsafe_set.csv") in done.stdout
    assert len((tmp_path / "run" / "IS_filenames.txt").read_text().splitlines()) == 3
    assert (tmp_path / "to label" / "coco.json").is_file()
    again = tool("select", tmp_path / "run", tmp_path / "new", *arguments)
    assert again.returncode == 1
    assert again.stderr.count("Error: ") == 1
    assert "no new or empty folder" in again.stderr
    first, *others = (tmp_path / "run" / "IS_filenames.txt").read_text().splitlines()
    fewer = tool("recut", tmp_path / "run", "--without", first)
    assert fewer.returncode == 0, fewer.stderr
    assert "2 of 6 images are chosen" in fewer.stdout
    assert "Images that are taken out: 1." in fewer.stdout
    assert (tmp_path / "run" / "IS_filenames.txt").read_text().splitlines() == others
    exported = tool("export", tmp_path / "run", tmp_path / "again", "--link")
    assert f"2 images are in {tmp_path / 'again'}" in exported.stdout
    none = tool("recut", tmp_path / "run", "--without-cluster", 99)
    assert none.returncode == 1
    assert "has no cluster 99" in none.stderr


def test_the_white_box_from_the_examples_dnn_to_its_unsafe_set(small_example, cache, tmp_path):
    """The whole way, by command."""
    model, out, run = small_example / "model.keras", tmp_path / "test", tmp_path / "run"
    done = tool("test", model, small_example / "test", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "of 120 images (95 % interval" in done.stdout
    failures = (out / "failures.txt").read_text().splitlines()[1:]
    assert sorted(failures) == sorted(f.name for f in (small_example / "failures").glob("*.jpg"))
    causes = tool("cluster", "--test-run", out, "--out", tmp_path / "causes")
    assert causes.returncode == 0, causes.stderr
    assert f"The DNN fails on {len(failures)} of 120 images" in causes.stdout
    known = json.loads((tmp_path / "causes" / "run.json").read_text())["parameters"]["test"]
    assert known["network"] == str(model)
    found = tool("heatmaps", model, out / "failures.txt", "--out", run)
    assert found.returncode == 0, found.stderr
    assert "Clustered by the heatmaps of" in found.stdout
    chosen = tool("select", run, small_example / "improvement", "--test", out)
    assert chosen.returncode == 0, chosen.stderr
    assert "estimated: 120 test images x selection factor 0.3" in chosen.stdout
    names = (run / "IS_filenames.txt").read_text().splitlines()
    assert names
    assert all((small_example / "improvement" / name).is_file() for name in names)
    explained = ("--explain", "TopLeft", "--overwrite")
    again = tool("heatmaps", model, out / "failures.txt", "--out", run, *explained)
    assert again.returncode == 0, again.stderr
    manifest = json.loads((run / "run.json").read_text())
    assert manifest["chosen"]["explained"] == 6
    wrong = ("--explain", "Up", "--overwrite")
    refused = tool("heatmaps", model, out / "failures.txt", "--out", run, *wrong)
    assert "0 to 7 or one of BottomCenter," in refused.stderr
    assert json.loads((run / "run.json").read_text()) == manifest


RETRAIN_OPTIONS = (
    "training unsafe test out overwrite epochs batch-size learning-rate schedule validation-share "
    "validation patience augment compare repeats seed scaling classes task error-threshold "
    "key-points groups trust-model"
)


@pytest.mark.parametrize("option", RETRAIN_OPTIONS.split())
def test_help_of_retrain_lists_every_option(option):
    from typer.testing import CliRunner

    from app.cli.main import app

    text = CliRunner().invoke(app, ["retrain", "--help"], env={"COLUMNS": "200"}).stdout
    assert f"--{option}" in text


def retrain(spots, out, *more):
    return (
        "retrain", spots.model, "--training", spots.train, "--unsafe", spots.run,
        "--test", spots.test, "--out", out, *more,
    )  # fmt: skip


def test_retrain_ends_with_what_changed(spots, tmp_path):
    out = tmp_path / "out"
    done = tool(*retrain(spots, out, "--epochs", "2"))
    assert done.returncode == 0, done.stderr
    assert "The retrained model is right on" in done.stdout
    assert "McNemar's exact test" in done.stdout
    assert "root cause clusters" in done.stdout
    assert str(out / "retrained.keras") in done.stdout
    assert read_manifest(out).command[0] == "retrain"
    again = tool(*retrain(spots, out))
    assert (again.returncode, again.stdout) == (1, "")
    assert "--overwrite" in again.stderr


def test_groups_are_told_by_test_and_by_retrain(spots, tmp_path):
    groups = r"--groups=_2_(\d\d)\d"
    tested = tool("test", spots.model, spots.test, "--out", tmp_path / "test", groups)
    done = tool(*retrain(spots, tmp_path / "out", "--epochs", "1", groups))
    for each in (tested, done):
        assert each.returncode == 0, each.stderr
        assert "80 images in 8 groups, by the part of their paths" in each.stdout
    assert "exact sign-flip test of the groups" in done.stdout
    assert "McNemar" not in done.stdout


def test_a_stopped_retraining_keeps_the_best_epoch(spots, tmp_path):
    out = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "SAFE_Tool.py", *map(str, retrain(spots, out, "--epochs", "5000"))],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as job:
        deadline = time.monotonic() + 120
        history = out / ".retraining" / "history.csv"
        while time.monotonic() < deadline:
            if history.is_file() and history.read_text().count("\n") > 1:  # an epoch is done
                break
            time.sleep(0.05)
        job.send_signal(signal.SIGTERM)
        printed, errors = job.communicate(timeout=60)
    assert job.returncode == 0, errors
    assert "Training was stopped by the user: the best epoch by then is kept." in printed
    assert read_manifest(out).ended == "finished"
    assert (out / "retrained.keras").is_file()


def test_a_full_disk_leaves_no_half_a_model(spots, tmp_path):
    out = tmp_path / "out"
    words = [sys.executable, "SAFE_Tool.py", *map(str, retrain(spots, out, "--epochs", "1"))]
    limited = f"ulimit -f 24; exec {shlex.join(words)}"  # no file above 24 blocks of 512 bytes
    done = subprocess.run(
        ["sh", "-c", limited], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1, done.stdout
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert "File too large" in line
    assert "Traceback" not in done.stderr
    assert not (out / "retrained.keras").exists()
    assert not list(out.rglob("*.tmp"))
