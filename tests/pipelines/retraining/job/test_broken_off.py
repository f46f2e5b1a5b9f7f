"""Retraining that is killed or stopped, and what goes on from there."""

import shutil

import pytest

from app.server.views.retraining import describe_retraining
from pipelines.retraining.files import DRAWING
from pipelines.retraining.report import write_run_report
from pipelines.retraining.results import PROGRESS_FOLDER, read_retraining
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv
from pipelines.runs.manifest import read_manifest, write_manifest
from tests.pipelines.retraining.retrained import (
    EPOCHS,
    Kill,
    files_of,
    history,
    killing,
    predict,
    run_job,
)


def test_a_killed_job_goes_on_from_its_last_epoch(retrained_run, spots, tmp_path):
    out = tmp_path / "killed"
    with pytest.raises(Kill):
        run_job(spots, out, progress=killing("retraining", 50))
    assert (out / PROGRESS_FOLDER / "history.csv").is_file()
    epochs = len(read_csv(out / PROGRESS_FOLDER / "history.csv"))
    assert 0 < epochs < EPOCHS
    batches = []

    def listen(stage, done, total):
        if stage == "retraining" and total:
            batches.append((done, total))

    run_job(spots, out, overwrite=True, progress=listen)
    assert batches[0][0] == epochs * batches[0][1] // EPOCHS + 1
    assert history(out) == history(retrained_run)
    assert files_of(out) == files_of(retrained_run)
    assert not (out / PROGRESS_FOLDER).exists()


def test_a_job_that_was_killed_among_its_results_is_said_to_be(spots, tmp_path):
    out = tmp_path / "killed"
    with pytest.raises(Kill):
        run_job(spots, out, epochs=1, progress=killing("retraining", 2))
    with pytest.raises(InputError, match=r"no retraining\.json. Retrain again, with --overwrite"):
        write_run_report(out)
    with pytest.raises(Kill):
        run_job(spots, out, epochs=1, overwrite=True, progress=killing(DRAWING, 1))
    killed_manifest = read_manifest(out)
    killed_manifest.ended, killed_manifest.message = (
        "running",
        "",
    )  # a kill leaves no time to say how it ended
    write_manifest(out, killed_manifest)
    write_run_report(out)
    words = "The job did not finish (was killed): thumbnails may be missing."
    assert words in (out / "report.html").read_text()
    assert words in describe_retraining(out)["notes"]
    run_job(spots, out, epochs=1, overwrite=True)
    assert "did not finish" not in (out / "report.html").read_text()


def test_other_options_start_anew(spots, tmp_path):
    out = tmp_path / "killed"
    with pytest.raises(Kill):
        run_job(spots, out, progress=killing("retraining", 50))
    batches = []
    run_job(
        spots, out, overwrite=True, seed=5,
        progress=lambda stage, done, total: batches.append(done) if stage == "retraining" else None,
    )  # fmt: skip
    assert batches[1] == 1


def test_stop_keeps_the_best_epoch_so_far(spots, tmp_path):
    batches, out = [], tmp_path / "stopped"

    def listen(stage, done, total):
        if stage == "retraining":
            batches.append(done)

    manifest = run_job(spots, out, progress=listen, stop=lambda: len(batches) > 20)
    retraining = read_retraining(out)
    assert retraining.ended == "stopped"
    assert 0 < retraining.epochs < EPOCHS
    assert manifest.ended == "finished"
    assert any("stopped by the user" in note for note in manifest.notes)
    paths = [row["path"] for row in read_csv(out / "before_after.csv")]
    after = [row["after"] for row in read_csv(out / "before_after.csv")]
    assert predict(out / "retrained.keras", spots.test, paths) == after


def test_divergence_is_noted_and_the_model_is_kept(spots, tmp_path):
    out = tmp_path / "diverged"
    manifest = run_job(spots, out, learning_rate=1e30)
    retraining = read_retraining(out)
    assert retraining.ended == "diverged"
    assert retraining.change.repaired == retraining.change.broken == 0
    assert any("diverged" in note and "lower than 1e+30" in note for note in manifest.notes)


def test_a_stop_before_the_first_epoch_keeps_an_earlier_retraining(retrained_run, spots, tmp_path):
    out = shutil.copytree(retrained_run, tmp_path / "out")
    before = (out / "retrained.keras").read_bytes()
    for batches in (0, 3):
        steps = []

        def listen(stage, done, total, steps=steps):
            if stage == "retraining":
                steps.append(done)

        with pytest.raises(KeyboardInterrupt):
            run_job(
                spots, out, overwrite=True, seed=9, batch_size=1, progress=listen,
                stop=lambda steps=steps, batches=batches: len(steps) >= batches,
            )  # fmt: skip
        assert (out / "retrained.keras").read_bytes() == before
        assert read_retraining(out) == read_retraining(retrained_run)
