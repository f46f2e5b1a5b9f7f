"""The command `retrain` as a user meets it."""

import shlex
import signal
import subprocess
import sys

import pytest

from pipelines.runs.manifest import read_manifest
from tests.app.cli.command import ROOT, tool
from tests.waiting import SECONDS, until

RETRAIN_OPTIONS = (
    "training unsafe test out overwrite epochs batch-size learning-rate schedule validation-share "
    "validation patience augment compare repeats seed scaling classes task error-threshold "
    "key-points groups trust-model"
)


@pytest.mark.parametrize("option", RETRAIN_OPTIONS.split())
def test_help_of_retrain_lists_every_option(option):
    assert f"--{option}" in tool("retrain", "--help").stdout


def retrain(spots, out, *more):
    return (
        "retrain", spots.model, "--training", spots.train, "--unsafe", spots.run,
        "--test", spots.test, "--out", out, *more,
    )  # fmt: skip


def test_retrain_ends_with_what_changed(spots, tmp_path):
    out = tmp_path / "out"
    result = tool(*retrain(spots, out, "--epochs", "2"))
    assert result.returncode == 0, result.stderr
    assert "The retrained model is right on" in result.stdout
    assert "McNemar's exact test" in result.stdout
    assert "root cause clusters" in result.stdout
    assert str(out / "retrained.keras") in result.stdout
    assert read_manifest(out).command[0] == "retrain"
    again = tool(*retrain(spots, out))
    assert (again.returncode, again.stdout) == (1, "")
    assert "--overwrite" in again.stderr


def test_groups_are_told_by_test_and_by_retrain(spots, tmp_path):
    groups = r"--groups=_2_(\d\d)\d"
    evaluation = tool("test", spots.model, spots.test, "--out", tmp_path / "test", groups)
    result = tool(*retrain(spots, tmp_path / "out", "--epochs", "1", groups))
    for command in (evaluation, result):
        assert command.returncode == 0, command.stderr
        assert "80 images in 8 groups, by the part of their paths" in command.stdout
    assert "exact sign-flip test of the groups" in result.stdout
    assert "McNemar" not in result.stdout


def test_a_stopped_retraining_keeps_the_best_epoch(spots, tmp_path):
    out = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "SAFE_Tool.py", *map(str, retrain(spots, out, "--epochs", "5000"))],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as job:
        history = out / ".retraining" / "history.csv"

        def has_epochs():
            assert job.poll() is None
            return history.is_file() and history.read_text().count("\n") > 1  # an epoch is done

        until(has_epochs)
        job.send_signal(signal.SIGTERM)
        output, errors = job.communicate(timeout=SECONDS)
    assert job.returncode == 0, errors
    assert "Training was stopped by the user: its best epoch so far is kept." in output
    assert read_manifest(out).ended == "finished"
    assert (out / "retrained.keras").is_file()


def test_a_full_disk_leaves_no_half_a_model(spots, tmp_path):
    out = tmp_path / "out"
    words = [sys.executable, "SAFE_Tool.py", *map(str, retrain(spots, out, "--epochs", "1"))]
    command = f"ulimit -f 24; exec {shlex.join(words)}"  # no file above 24 blocks of 512 bytes
    result = subprocess.run(
        ["sh", "-c", command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert result.returncode == 1, result.stdout
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert "File too large" in line
    assert "Traceback" not in result.stderr
    assert not (out / "retrained.keras").exists()
    assert not list(out.rglob("*.tmp"))
