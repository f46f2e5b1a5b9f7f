"""The run folder's promises."""

import json
import os
import subprocess
import sys

import pytest

from pipelines import runs
from pipelines.errors import InputError


def manifest(**changes) -> runs.Manifest:
    return runs.Manifest(
        **{"job": "cluster", "command": ["cluster"], "folder": "/images", "parameters": {}}
        | changes
    )


def quiet(stage, done, total):
    """Listen to nothing."""


def test_a_run_that_ends_well(tmp_path):
    heard = []
    with runs.open_run(
        tmp_path / "new" / "run", manifest(), lambda *step: heard.append(step)
    ) as run:
        assert runs.read_manifest(run.folder).ended == "running"
        with run.stage("drawing"):
            run.progress("drawing", 1, 2)
    written = runs.read_manifest(tmp_path / "new" / "run")
    assert written.ended == "finished"
    assert written.ended_at >= written.started_at
    assert [stage.name for stage in written.stages] == ["drawing"]
    assert written.stages[0].peak_memory_mb > 1
    assert written.versions["numpy"]
    assert heard == [("drawing", 0, 0), ("drawing", 1, 2)]


@pytest.mark.parametrize(
    ("error", "ended", "message"),
    [
        (InputError("no image"), "failed", "no image"),
        (ZeroDivisionError("oops"), "failed", "ZeroDivisionError: oops"),
        (KeyboardInterrupt(), "stopped", "stopped by the user"),
    ],
)
def test_the_manifest_says_how_a_run_ended(tmp_path, error, ended, message):
    with pytest.raises(type(error)), runs.open_run(tmp_path / "run", manifest(), quiet):
        raise error
    written = runs.read_manifest(tmp_path / "run")
    assert (written.ended, written.message) == (ended, message)
    assert json.loads((tmp_path / "run" / "status.json").read_text())["message"] == ended


def test_the_status_follows_the_job_and_estimates_the_time_left(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(runs.time, "monotonic", lambda: clock[0])
    with runs.open_run(tmp_path / "run", manifest(), quiet) as run:
        run.progress("drawing", 0, 8)
        # What comes before the first step, such as an import, tells nothing of the rest.
        for moment, done in [(150.0, 2), (153.0, 3), (156.0, 4)]:
            clock[0] = moment
            run.progress("drawing", done, 8)
        status = runs.Status.model_validate_json((tmp_path / "run" / "status.json").read_text())
    assert (status.stage, status.done, status.total) == ("drawing", 4, 8)
    assert status.pid == os.getpid()
    assert status.seconds_left == pytest.approx(3.0 * 4)


def test_the_status_is_not_rewritten_at_every_step(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(runs, "_write_status", lambda folder, *step: written.append(step))
    with runs.open_run(tmp_path / "run", manifest(), quiet) as run:
        for done in range(1, 1001):
            run.progress("drawing", done, 1000)
    # The first and the last step of the stage, how it ended, and few in between.
    assert written[0][1] == 1
    assert written[-2][1] == 1000
    assert len(written) < 20


def test_the_peak_memory_is_this_process_own_and_grows_with_what_it_holds():
    code = "from pipelines.runs import peak_memory_mb as peak; a = peak(); b = bytearray(10**8)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print(a, peak())"], capture_output=True, check=True
    )
    before, after = map(float, done.stdout.split())
    assert before < 100
    assert after - before == pytest.approx(10**8 / 2**20, abs=5)


def test_an_empty_folder_may_be_used(tmp_path):
    runs.check_folder(tmp_path, overwrite=False)
    runs.check_folder(tmp_path / "new", overwrite=False)


def test_a_folder_with_other_files_is_left_alone_even_with_overwrite(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"is no run folder \(it has no run\.json\)"):
        runs.check_folder(tmp_path, overwrite=True)


@pytest.mark.parametrize("text", ["{}", "not json", '{"schema_version": 99}'])
def test_a_foreign_run_json_makes_no_run_folder(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match="is no run folder"):
        runs.check_folder(tmp_path, overwrite=True)


def test_a_run_is_overwritten_only_when_asked_and_foreign_files_stay(tmp_path):
    folder = tmp_path / "run"
    with runs.open_run(folder, manifest(), quiet):
        (folder / "gifs").mkdir()
        (folder / "gifs" / "cluster_009.gif").touch()
        (folder / "labels.txt").write_text("old")
        (folder / "my notes.txt").write_text("mine")
    with pytest.raises(InputError, match="give --overwrite"):
        runs.check_folder(folder, overwrite=False)
    with runs.open_run(folder, manifest(), quiet, overwrite=True) as run:
        assert (folder / "labels.txt").read_text() == "old"
        run.begin_results()
        names = {file.name for file in folder.iterdir() if not file.name.startswith(".")}
        assert names == {"my notes.txt", "run.json", "status.json"}
        assert runs.read_manifest(folder).ended == "running"


def test_an_overwriting_job_that_fails_before_its_results_leaves_the_earlier_run(tmp_path):
    folder = tmp_path / "run"
    with runs.open_run(folder, manifest(), quiet):
        (folder / "labels.txt").write_text("old")
    before = (folder / "run.json").read_bytes()
    with (
        pytest.raises(InputError),
        runs.open_run(folder, manifest(), quiet, overwrite=True) as run,
        run.stage("loading weights"),
    ):
        raise InputError("no weights")
    assert (folder / "run.json").read_bytes() == before
    assert (folder / "labels.txt").read_text() == "old"


def test_a_removal_that_is_interrupted_leaves_a_run_folder(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    with runs.open_run(folder, manifest(), quiet):
        (folder / "thumbnails").mkdir()

    def interrupt(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "_remove", interrupt)
    with (
        pytest.raises(KeyboardInterrupt),
        runs.open_run(folder, manifest(), quiet, overwrite=True) as run,
    ):
        run.begin_results()
    assert runs.check_folder(folder, overwrite=True)


def test_two_jobs_never_write_into_one_folder(tmp_path):
    folder = tmp_path / "run"
    with runs.open_run(folder, manifest(), quiet):
        with pytest.raises(InputError, match="another job is writing"):
            runs.open_run(folder, manifest(), quiet, overwrite=True).__enter__()
        assert runs.read_manifest(folder).ended == "running"
    with runs.open_run(folder, manifest(), quiet, overwrite=True):
        pass


def test_what_a_killed_job_left_is_no_obstacle(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".run.json.123.tmp").touch()
    (folder / ".lock").touch()
    assert runs.check_folder(folder, overwrite=False) is False


def test_a_file_is_no_run_folder(tmp_path):
    (tmp_path / "run").touch()
    with pytest.raises(InputError, match="is a file"):
        runs.check_folder(tmp_path / "run", overwrite=True)
