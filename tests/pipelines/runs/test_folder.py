"""Run folders: what is written, locked, overwritten, and what stays."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from pipelines.runs import folder as run_folder
from pipelines.runs.errors import InputError
from pipelines.runs.files import Outputs
from pipelines.runs.manifest import (
    Manifest,
    Status,
    check_replaced,
    read_manifest,
)
from tests.killed import kill_before


def manifest(**changes) -> Manifest:
    return Manifest(
        **{"job": "cluster", "command": ["cluster"], "folder": "/images", "parameters": {}}
        | changes
    )


def quiet(stage, done, total):
    """Listen to nothing."""


def test_a_run_that_ends_well(tmp_path):
    steps = []
    with run_folder.open_run(
        tmp_path / "new" / "run", manifest(), lambda *step: steps.append(step)
    ) as run:
        assert read_manifest(run.folder).ended == "running"
        with run.stage("drawing"):
            run.progress("drawing", 1, 2)
    run_manifest = read_manifest(tmp_path / "new" / "run")
    assert run_manifest.ended == "finished"
    assert run_manifest.ended_at >= run_manifest.started_at
    assert [stage.name for stage in run_manifest.stages] == ["drawing"]
    assert run_manifest.stages[0].peak_memory_mb > 1
    assert run_manifest.versions["numpy"]
    assert steps == [("drawing", 0, 0), ("drawing", 1, 2)]


@pytest.mark.parametrize(
    ("error", "ended", "message"),
    [
        (InputError("no image"), "failed", "no image"),
        (ZeroDivisionError("oops"), "failed", "ZeroDivisionError: oops"),
        (KeyboardInterrupt(), "stopped", "stopped by the user"),
    ],
)
def test_the_manifest_says_how_a_run_ended(tmp_path, error, ended, message):
    with pytest.raises(type(error)), run_folder.open_run(tmp_path / "run", manifest(), quiet):
        raise error
    run_manifest = read_manifest(tmp_path / "run")
    assert (run_manifest.ended, run_manifest.message) == (ended, message)
    assert json.loads((tmp_path / "run" / "status.json").read_text())["message"] == ended


def test_the_status_follows_the_job_and_estimates_the_time_left(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(run_folder.time, "monotonic", lambda: clock[0])
    with run_folder.open_run(tmp_path / "run", manifest(), quiet) as run:
        run.progress("drawing", 0, 8)
        # Time before the first step, of an import for one, does not predict the rest.
        for moment, done in [(150.0, 2), (153.0, 3), (156.0, 4)]:
            clock[0] = moment
            run.progress("drawing", done, 8)
        status = Status.model_validate_json((tmp_path / "run" / "status.json").read_text())
    assert (status.stage, status.done, status.total) == ("drawing", 4, 8)
    assert status.pid == os.getpid()
    assert status.seconds_left == pytest.approx(3.0 * 4)


def test_the_status_is_not_rewritten_at_every_step(tmp_path, monkeypatch):
    steps = []
    monkeypatch.setattr(run_folder, "_write_status", lambda folder, *step: steps.append(step))
    with run_folder.open_run(tmp_path / "run", manifest(), quiet) as run:
        for done in range(1, 1001):
            run.progress("drawing", done, 1000)
    # The first and the last step of the stage, how it ended, and few in between.
    assert steps[0][1] == 1
    assert steps[-2][1] == 1000
    assert len(steps) < 20


def test_the_peak_memory_is_known_on_other_systems_too(monkeypatch):
    own = run_folder.peak_memory_mb()

    def no_proc(path, encoding):
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", no_proc)
    assert run_folder.peak_memory_mb() >= 0.9 * own
    memory = SimpleNamespace(rss=1, peak_wset=300 * 2**20)
    monkeypatch.setattr(psutil.Process, "memory_info", lambda self: memory)  # as Windows tells it
    assert run_folder.peak_memory_mb() == 300


def test_the_peak_memory_is_this_process_own_and_grows_with_what_it_holds():
    code = (
        "from pipelines.runs.folder import peak_memory_mb as peak; a = peak(); b = bytearray(10**8)"
    )
    result = subprocess.run(
        [sys.executable, "-c", f"{code}; print(a, peak())"], capture_output=True, check=True
    )
    before, after = map(float, result.stdout.split())
    assert before < 100
    assert after - before == pytest.approx(10**8 / 2**20, abs=5)


def test_an_empty_folder_may_be_used(tmp_path):
    run_folder.check_run_folder(tmp_path, overwrite=False)
    run_folder.check_run_folder(tmp_path / "new", overwrite=False)


def test_a_folder_with_other_files_is_left_alone_even_with_overwrite(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"is not a run folder \(it has no run\.json\)"):
        run_folder.check_run_folder(tmp_path, overwrite=True)


@pytest.mark.parametrize("text", ["{}", "not json", '{"schema_version": 99}'])
def test_a_folder_with_a_foreign_run_json_is_not_a_run_folder(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match="is not a run folder"):
        run_folder.check_run_folder(tmp_path, overwrite=True)


LABELS = {"cluster": Outputs(("labels.txt",), {"gifs": r"cluster_\d+\.gif"})}


def test_a_run_is_overwritten_only_with_overwrite_and_other_files_stay(tmp_path):
    folder = tmp_path / "run"
    with run_folder.open_run(folder, manifest(), quiet, LABELS):
        (folder / "gifs").mkdir()
        (folder / "gifs" / "cluster_009.gif").touch()
        (folder / "gifs" / ".cluster_010.gif.123.0123abcd.tmp").touch()
        (folder / "labels.txt").write_text("old")
        (folder / "my notes.txt").write_text("mine")
        (folder / ".labels.txt.123.0123abcd.tmp").touch()
        (folder / ".status.json.123.0123abcd.tmp").touch()
        (folder / ".my notes.txt.123.0123abcd.tmp").touch()
    with pytest.raises(InputError, match="give --overwrite"):
        run_folder.check_run_folder(folder, overwrite=False)
    with run_folder.open_run(folder, manifest(), quiet, LABELS, overwrite=True) as run:
        assert (folder / "labels.txt").read_text() == "old"
        run.begin_results()
        names = {file.name for file in folder.iterdir()} - {".lock"}
        assert names == {
            "my notes.txt", "run.json", "status.json", ".my notes.txt.123.0123abcd.tmp",
        }  # fmt: skip
        assert read_manifest(folder).ended == "running"


def test_an_overwriting_job_that_fails_before_its_results_leaves_the_earlier_run(tmp_path):
    folder = tmp_path / "run"
    with run_folder.open_run(folder, manifest(), quiet):
        (folder / "labels.txt").write_text("old")
    before = (folder / "run.json").read_bytes()
    with (
        pytest.raises(InputError),
        run_folder.open_run(folder, manifest(), quiet, overwrite=True) as run,
        run.stage("loading weights"),
    ):
        raise InputError("no weights")
    assert (folder / "run.json").read_bytes() == before
    assert (folder / "labels.txt").read_text() == "old"


def test_a_run_replaces_all_files_of_a_run_of_another_kind(tmp_path):
    folder = tmp_path / "run"
    outputs = {
        "cluster": Outputs(("labels.txt", "reduction.npz")),
        "heatmaps": Outputs(("labels.txt", "heatmaps.npz"), {"heatmaps": r"\d+\.npy"}),
    }
    with run_folder.open_run(folder, manifest(job="heatmaps"), quiet, outputs):
        (folder / "heatmaps").mkdir()
        for name in ("labels.txt", "heatmaps.npz", "heatmaps/000.npy", "classes.csv"):
            (folder / name).touch()
    (folder / "reduction.npz").touch()  # must not remain, as if it were of this run
    with run_folder.open_run(folder, manifest(), quiet, outputs, overwrite=True) as run:
        run.begin_results()
    names = {file.name for file in folder.iterdir()} - {".lock"}
    assert names == {"classes.csv", "run.json", "status.json"}
    with (
        pytest.raises(InputError, match="holds a run of cluster, which a run"),
        run_folder.open_run(
            folder, manifest(job="test"), quiet, {"test": Outputs()}, overwrite=True
        ),
    ):
        pass


def test_a_job_that_is_killed_while_it_replaces_a_run_leaves_the_old_or_says_so(tmp_path):
    outputs = {
        "cluster": Outputs(("labels.txt", "images.csv")),
        "heatmaps": Outputs(("labels.txt", "heatmaps.npz"), {"heatmaps": r"\d+\.npy"}),
    }
    old = ("labels.txt", "heatmaps.npz", "heatmaps/000.npy", "heatmaps/001.npy")

    def write(folder, job, names):
        with run_folder.open_run(folder, manifest(job=job), quiet, outputs, overwrite=True) as run:
            run.begin_results()
            (folder / "heatmaps").mkdir(exist_ok=True)
            for name in names:
                (folder / name).write_text(job)

    def texts(folder):
        return {name: (folder / name).read_text() for name in old if (folder / name).exists()}

    step, states = 0, set()
    while True:
        folder = tmp_path / str(step)
        write(folder, "heatmaps", old)
        if not kill_before(step, lambda at=folder: write(at, "cluster", ("labels.txt",))):
            break
        run_manifest = read_manifest(folder)
        states.add((run_manifest.job, run_manifest.ended, run_manifest.replacing))
        if run_manifest.replacing:
            with pytest.raises(InputError, match=r"the remains of an earlier run.*--overwrite"):
                check_replaced(folder)
        elif run_manifest.job == "heatmaps":
            assert texts(folder) == dict.fromkeys(old, "heatmaps")
        else:
            assert "heatmaps" not in texts(folder).values()
        write(folder, "cluster", ("labels.txt",))
        assert texts(folder) == {"labels.txt": "cluster"}
        assert "replacing" not in (folder / "run.json").read_text()
        step += 1
    assert states == {
        ("heatmaps", "finished", False), ("cluster", "running", True),
        ("cluster", "running", False), ("cluster", "finished", False),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["labels.txt", "gifs"])
def test_what_is_in_the_way_of_results_is_said_before_the_earlier_run_goes(tmp_path, name):
    folder = tmp_path / "run"
    with run_folder.open_run(folder, manifest(), quiet, LABELS):
        (folder / "clusters.csv").touch()
    if name == "gifs":
        (folder / name).write_text("mine")
    else:
        (folder / name).mkdir()
        (folder / name / "mine.txt").write_text("mine")
    before = (folder / "run.json").read_bytes()
    with (
        pytest.raises(InputError, match=f"{name} is a (file|folder).*Move it elsewhere"),
        run_folder.open_run(folder, manifest(), quiet, LABELS, overwrite=True),
    ):
        pass
    assert (folder / "run.json").read_bytes() == before
    assert (folder / name).exists()


def test_a_folder_of_outputs_that_is_a_link_is_not_followed(tmp_path):
    folder = tmp_path / "run"
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "cluster_000.gif").touch()
    with run_folder.open_run(folder, manifest(), quiet, LABELS):
        (folder / "gifs").symlink_to(tmp_path / "precious")
    with run_folder.open_run(folder, manifest(), quiet, LABELS, overwrite=True) as run:
        run.begin_results()
    assert (tmp_path / "precious" / "cluster_000.gif").exists()
    assert not (folder / "gifs").exists()


def test_a_removal_that_is_interrupted_leaves_a_run_folder(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    with run_folder.open_run(folder, manifest(), quiet, LABELS):
        (folder / "labels.txt").touch()

    def interrupt(path, missing_ok):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "unlink", interrupt)
    with (
        pytest.raises(KeyboardInterrupt),
        run_folder.open_run(folder, manifest(), quiet, LABELS, overwrite=True) as run,
    ):
        run.begin_results()
    assert run_folder.check_run_folder(folder, overwrite=True)


def test_two_jobs_never_write_into_one_folder(tmp_path):
    folder = tmp_path / "run"
    with run_folder.open_run(folder, manifest(), quiet):
        with pytest.raises(InputError, match="another job is writing"):
            run_folder.open_run(folder, manifest(), quiet, overwrite=True).__enter__()
        assert read_manifest(folder).ended == "running"
    with run_folder.open_run(folder, manifest(), quiet, overwrite=True):
        pass


@pytest.mark.parametrize("earlier", [False, True])
def test_a_second_job_is_told_of_the_first_and_not_to_overwrite_it(tmp_path, earlier):
    folder = tmp_path / "run"
    if earlier:
        with run_folder.open_run(folder, manifest(), quiet):
            pass
    with run_folder.open_run(folder, manifest(), quiet, overwrite=earlier):
        with pytest.raises(InputError, match="another job is writing into ") as refusal:
            run_folder.open_run(folder, manifest(), quiet).__enter__()
        assert "--overwrite" not in str(refusal.value)
    with pytest.raises(InputError, match="--overwrite"):
        run_folder.open_run(folder, manifest(), quiet).__enter__()


def test_what_a_killed_job_left_is_no_obstacle_and_goes_when_its_file_is_written(tmp_path):
    last_manifest = [
        tmp_path / f".{name}.123.0123abcd.tmp" for name in ("run.json", "a.csv", "mine")
    ]
    for file in last_manifest:
        file.touch()
    assert run_folder.check_run_folder(tmp_path, overwrite=False) is False
    with run_folder.open_run(tmp_path, manifest(), quiet):
        assert [file.exists() for file in last_manifest] == [False, True, True]
    with run_folder.amend_run(tmp_path, quiet, ("a.csv",)):
        assert [file.exists() for file in last_manifest] == [False, False, True]


def test_a_file_is_not_a_run_folder(tmp_path):
    (tmp_path / "run").touch()
    with pytest.raises(InputError, match="is a file"):
        run_folder.check_run_folder(tmp_path / "run", overwrite=True)


# --- reading --------------------------------------------------------------------------------------


def test_a_run_is_being_written_while_its_lock_is_held(tmp_path):
    assert not run_folder.is_written(tmp_path)
    assert not run_folder.is_written(tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []
    lock = run_folder.lock_folder(tmp_path)
    assert run_folder.is_written(tmp_path)
    assert run_folder.is_written(tmp_path)
    lock.close()
    assert not run_folder.is_written(tmp_path)
    with run_folder.lock_folder(tmp_path):  # `is_written` leaves no lock behind
        assert run_folder.is_written(tmp_path)


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic links"):
        run_folder.lock_folder(tmp_path / "run")
    with (
        pytest.raises(InputError, match="cannot write into"),
        run_folder.open_run(tmp_path / "run", manifest(), quiet),
    ):
        pass
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_run_is_being_written_while_its_job_works_but_not_after_it_failed(tmp_path):
    with pytest.raises(ZeroDivisionError), run_folder.open_run(tmp_path / "run", manifest(), quiet):
        assert run_folder.is_written(tmp_path / "run")
        _ = 1 / 0
    assert not run_folder.is_written(tmp_path / "run")


def test_a_run_is_not_being_written_after_its_process_was_killed(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from pipelines.runs import folder;"
        "held = folder.lock_folder(Path(sys.argv[1])); print(folder.is_written(Path(sys.argv[1])));"
        "sys.stdout.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, check=False
    )
    assert (result.stdout, result.returncode) == (b"True\n", -9)
    assert (tmp_path / ".lock").exists()
    assert not run_folder.is_written(tmp_path)


def test_a_full_disk_keeps_no_folder(full_disk):
    with (
        pytest.raises(OSError, match="No space left") as error,
        run_folder.open_run(full_disk / "run", manifest(), quiet) as run,
    ):
        (run.folder / "big").write_bytes(b"x" * 10**6)
    assert str(full_disk / "run") in error.value.filename
    assert not run_folder.is_written(full_disk / "run")
