"""The comparison with other methods of choosing images, from end to end."""

import json
import shutil

import pytest

from app.server.views.retraining import describe_retraining
from pipelines.retraining.results import PROGRESS_FOLDER, read_retraining
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv
from pipelines.runs.manifest import read_manifest
from pipelines.unsafe_set.files import UNSAFE_SET_FILE
from tests.pipelines.retraining.retrained import Kill, killing, label, remove_labels, run_job


def test_methods_are_compared_and_a_killed_comparison_continues(world, tmp_path):
    out, sparse_targets = tmp_path / "out", tmp_path / "whole"
    with pytest.raises(Kill):
        run_job(world, out, epochs=2, repeats=2, progress=killing("comparing", 40))
    assert read_manifest(out).ended == "failed"
    assert (out / "retrained.keras").is_file()
    trials = json.loads((out / PROGRESS_FOLDER / "repeats.json").read_text())["repeats"]
    assert 0 < len(trials) < 10
    steps = []

    def listen(stage, done, total):
        if stage == "comparing" and total:
            steps.append(done)

    run_job(world, out, epochs=2, repeats=2, overwrite=True, progress=listen)
    assert steps[0] > 8 * len(trials)
    run_job(world, sparse_targets, epochs=2, repeats=2)
    assert (out / "comparison.csv").read_bytes() == (sparse_targets / "comparison.csv").read_bytes()
    comparison = read_retraining(out).comparison
    assert [len(method.accuracies) for method in comparison.methods] == [2] * 5
    assert [trial[2] for trial in trials[:1]] == [
        pytest.approx(comparison.methods[0].accuracies[0])
    ]
    assert comparison.labels == 24
    rows = read_csv(out / "comparison.csv")
    assert [row["method"] for row in rows] == [method.name for method in comparison.methods]


def test_a_stopped_comparison_keeps_the_retraining_and_notes_what_is_missing(spots, tmp_path):
    out, stages = tmp_path / "out", []

    def listen(stage, done, total):
        stages.append(stage)

    with pytest.raises(KeyboardInterrupt):
        run_job(
            spots, out, epochs=2, repeats=2, progress=listen, stop=lambda: "comparing" in stages
        )  # fmt: skip
    assert read_manifest(out).ended == "stopped"
    assert (out / "report.html").is_file()
    assert list((out / "thumbnails").iterdir())
    assert any("comparison" in note for note in describe_retraining(out)["notes"])


def test_a_comparison_starts_again_with_another_improvement_set(world, tmp_path):
    improvement = shutil.copytree(world.improvement, tmp_path / "improvement")
    selection = json.loads((world.run / "selection.json").read_text())
    (world.run / "selection.json").write_text(json.dumps(selection | {"folder": str(improvement)}))
    out = tmp_path / "out"
    with pytest.raises(Kill):
        run_job(world, out, epochs=1, repeats=1, progress=killing("comparing", 20))
    selected_paths = {row["path"] for row in read_csv(world.run / UNSAFE_SET_FILE)}
    spare = [
        p for p in improvement.rglob("*.png") if f"{p.parent.name}/{p.name}" not in selected_paths
    ]
    spare[0].unlink()
    steps = []

    def listen(stage, done, total):
        if stage == "comparing" and total:
            steps.append(done)

    run_job(world, out, epochs=1, repeats=1, overwrite=True, progress=listen)
    assert steps[0] == 1


def test_a_comparison_needs_labels_for_all_images(world, tmp_path):
    remove_labels(world, tmp_path)
    label(world, lambda path, place: path.split("_")[0])
    with pytest.raises(InputError, match="has no labels"):
        run_job(world, tmp_path / "out", repeats=1)
