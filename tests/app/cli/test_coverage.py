"""Coverage on the command line: what the commands print, and how they end."""

import pytest

from app.cli.coverage import _large
from pipelines.runs.files import read_csv
from tests.app.cli.command import tool
from tests.pipelines.deepimportance.measured import draw_folders, save_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("model") / "dnn.keras")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return draw_folders(tmp_path_factory.mktemp("images"))


def test_from_a_noisy_test_set_to_the_images_that_widen(model, folders, tmp_path):
    noisy, run = tmp_path / "noisy", tmp_path / "run"
    result = tool("perturb", model, folders / "test", "--out", noisy, "--how", "fgsm")
    assert result.returncode == 0, result.stderr
    assert f"24 images in {noisy}" in result.stdout
    assert "Their labels are those of the originals (class folders)." in result.stdout
    assert "Not used: left/bad.png: not an image" in result.stdout
    sets = ["--training", folders / "training", "--test", folders / "test", "--test", noisy]
    more = ["--candidates", folders / "new", "--neurons", "4", "--out", run]
    result = tool("coverage", model, *sets, *more)
    assert result.returncode == 0, result.stderr
    assert "Neurons of hidden that decide: 4, with " in result.stdout
    assert "criterion     test    noisy\nIDC  " in result.stdout
    rows = read_csv(run / "criteria.csv")
    for row in rows:
        assert f"{float(row['value']):.1%}" in result.stdout
    adds = sum(row["adds"] == "1" for row in read_csv(run / "widening.csv"))
    assert f"New images that add a combination each to test: {adds} of 40." in result.stdout
    assert "Files that could not be used: 1" in result.stdout
    result = tool("export", run, tmp_path / "chosen", "--count", "1")
    assert result.returncode == 0, result.stderr
    assert "1 image copied to" in result.stdout
    result = tool("export", run, tmp_path / "linked", "--count", "1", "--link")
    assert "1 image linked to" in result.stdout
    assert len(list((tmp_path / "chosen").rglob("*.png"))) == 1


def test_what_cannot_be_used_is_said_in_one_line(model, folders, tmp_path):
    sets = ["--training", folders / "training", "--test", folders / "test"]
    result = tool("coverage", model, *sets, "--out", tmp_path / "run", "--layer", "pool")
    assert result.returncode == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error")]
    assert "'pool' is no layer with neurons. Choose among conv (4), hidden (8), end (2)" in line
    result = tool("export", tmp_path / "run", tmp_path / "out")
    assert result.returncode == 1
    assert "coverage.json" in result.stderr
    assert "Traceback" not in result.stderr


def test_noise_that_changes_nothing_is_not_put_on_the_gradient(model, folders, tmp_path):
    more = ["--how", "gaussian-random", "--strength", "0.0001"]
    result = tool("perturb", model, folders / "test", "--out", tmp_path / "noisy", *more)
    assert result.returncode == 0, result.stderr
    assert "Note: 24 images as before: --strength is too small to change a pixel." in result.stdout


def test_numbers_of_combinations_have_no_end():
    assert _large("4096") == "4,096 combinations"
    assert _large(str(4**60)) == "1.3e+36 combinations"
    assert _large(str(4**600)) == "1.7e+361 combinations"
