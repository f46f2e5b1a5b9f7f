"""The commands `test` and `heatmaps` as a user meets them."""

import json

from tests.app.cli.command import tool


def test_the_white_box_from_the_examples_dnn_to_its_unsafe_set(small_example, cache, tmp_path):
    """The whole way, by command."""
    model, out, run = small_example / "model.keras", tmp_path / "test", tmp_path / "run"
    result = tool("test", model, small_example / "test", "--out", out)
    assert result.returncode == 0, result.stderr
    assert "of 120 images (95 % interval" in result.stdout
    failures = (out / "failures.txt").read_text().splitlines()[1:]
    assert sorted(failures) == sorted(f.name for f in (small_example / "failures").glob("*.jpg"))
    causes = tool("cluster", "--test-run", out, "--out", tmp_path / "causes")
    assert causes.returncode == 0, causes.stderr
    assert f"The DNN fails on {len(failures)} of 120 images" in causes.stdout
    parameters = json.loads((tmp_path / "causes" / "run.json").read_text())["parameters"]["test"]
    assert parameters["network"] == str(model)
    clustering = tool("heatmaps", model, out / "failures.txt", "--out", run)
    assert clustering.returncode == 0, clustering.stderr
    assert "Clustered by the heatmaps of" in clustering.stdout
    selection = tool("select", run, small_example / "improvement", "--test", out)
    assert selection.returncode == 0, selection.stderr
    assert "estimated: 120 test images x selection factor 0.3" in selection.stdout
    names = (run / "IS_filenames.txt").read_text().splitlines()
    assert names
    assert all((small_example / "improvement" / name).is_file() for name in names)
    options = ("--explain", "TopLeft", "--overwrite")
    again = tool("heatmaps", model, out / "failures.txt", "--out", run, *options)
    assert again.returncode == 0, again.stderr
    manifest = json.loads((run / "run.json").read_text())
    assert manifest["chosen"]["explained"] == 6
    wrong = ("--explain", "Up", "--overwrite")
    refusal = tool("heatmaps", model, out / "failures.txt", "--out", run, *wrong)
    assert "0 to 7 or one of BottomCenter," in refusal.stderr
    assert json.loads((run / "run.json").read_text()) == manifest
