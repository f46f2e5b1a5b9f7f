"""What it takes to repeat a run."""

import hashlib
import json
import re
import shlex
import subprocess

from pipelines.runs.files import read_csv, write_csv, write_pairs
from tests.pipelines.clusters.report.reported import report


def test_all_that_repeating_the_run_takes_is_there(run):
    words = report(run).part("How to reproduce Run")
    command = shlex.join(["cluster", "/data/my failures", "--out", str(run)])
    for text in (
        f"Command python SAFE_Tool.py {command}",
        "Seed 42",
        "Started 2026-01-02 03:04:05 UTC",
        "recipe default layers not given eps not given seed 42",
        f"source PyPI package layers block4_pool sha256 {'beef' * 16}",
        "eps 0.06726575642824173 min samples 4",
        "cluster 0 eps 0.0625, min samples 2",
        "clusters 1, 2 eps 0.067, min samples 4",
        "candidates 116 tried",
        "parameter files /data/parameters.csv angles head_yaw unsafe values /data/unsafe.csv",
        "images with parameters 16",
        "head_yaw (angle), weather (category)",
        "python 3.11.7 keras 3.15.1",
        "checking images 1.2 120",
        "extracting features 1,007.5 1,010",
    ):
        assert text in words
    assert "0.987654321" not in words


def test_the_digest_is_what_the_command_beside_it_prints(run, tmp_path):
    images = tmp_path / "images"
    rows = read_csv(run / "images.csv")
    rows[0]["path"] = "back\\slash.jpg"  # sha256sum escapes it
    for row in rows:
        file = images / row["path"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(row["path"])
        row["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    write_csv(run / "images.csv", list(rows[0]), [list(row.values()) for row in rows])
    write_pairs(run / "labels.txt", [(row["path"], row["cluster"]) for row in rows])
    words = report(run).words()
    command = re.search(r"cut -f1 RUN/labels.txt .*? sha256sum(?= computes)", words)[0]
    command = command.replace("RUN", shlex.quote(str(run)))
    result = subprocess.run(
        command, shell=True, cwd=images, capture_output=True, text=True, check=True
    )
    assert result.stdout.split()[0] in words


def test_a_manifest_of_hardly_anything_will_do(tmp_path):
    run = tmp_path / "the run"
    run.mkdir()
    manifest = {"job": "cluster", "command": [], "folder": "", "parameters": {}, "ended": "failed"}
    (run / "run.json").write_text(json.dumps(manifest))
    words = report(run).words()
    assert "The run failed: no reason is known." in words
    assert "No file was rejected." in words
    assert "not recorded: the job was not started from the command line" in words
