"""Jobs of the page: real processes of the command line, one at a time."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.server import jobs as jobs_module
from app.server.jobs import Command, Jobs
from pipelines.runs import folder as run_folder
from pipelines.runs.errors import InputError
from pipelines.runs.manifest import Manifest, read_manifest, read_status
from tests import waiting

DOOR = Path(__file__).parents[3] / "SAFE_Tool.py"
EXTRACTING = "extracting features"


@pytest.fixture
def jobs():
    jobs = Jobs()
    yield jobs
    jobs.close()


@pytest.fixture
def images(tmp_path, draw):
    """Return a function that draws a number of images and returns their folder."""

    def draw_images(count: int, name: str = "images") -> Path:
        for seed in range(count):
            draw(tmp_path / name / f"{seed:02d}.png", seed, size=(64, 48))
        return tmp_path / name

    return draw_images


def cluster(folder: Path, out: Path, *options: str) -> Command:
    return Command(("cluster", str(folder), "--out", str(out), *options), out)


def until(jobs: Jobs, condition):
    """Look until a condition holds; return that look."""

    def look():
        state = jobs.look()
        return state if condition(state) else None

    return waiting.until(look, describe=lambda: f"the job stands at {jobs.look()}")


def has_ended(look):
    return look.state != "running"


def extracting(look):
    """Tell whether some of the features are there and some are not."""
    assert look.state == "running", look
    status = look.status
    return status is not None and status.stage == EXTRACTING and 0 < status.done < status.total


def files_of(folder: Path):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and file.name not in {"run.json", "status.json", "report.html", ".lock"}
    }


def test_a_job_follows_no_link_that_leaves_the_roots(images, tmp_path, cache):
    folder = images(5)
    secret = images(6, "secret")
    (folder / "link.png").symlink_to(secret / "05.png")
    for roots, reasons in (
        ([], []),
        ([folder, tmp_path / "run"], ["a symbolic link that leaves the folders that may be used"]),
    ):
        jobs = Jobs(roots)
        try:
            jobs.start([cluster(folder, tmp_path / "run", "--overwrite")])
            assert until(jobs, has_ended).state == "finished"
        finally:
            jobs.close()
        rejected = (tmp_path / "run" / "rejected.txt").read_text().splitlines()
        assert [line.split("\t")[1].split(":")[0] for line in rejected] == reasons


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_before_the_first_job_there_is_nothing_to_see(jobs):
    assert jobs.look() is None
    jobs.stop()
    assert jobs.look() is None


# --- jobs that end by themselves ------------------------------------------------------------------


def test_a_job_writes_what_the_same_command_writes(jobs, images, cache, tmp_path):
    out = tmp_path / "run"
    command = cluster(images(12), out, "--seed", "3", "--components", "5")
    jobs.start([command])
    look = until(jobs, has_ended)
    assert (look.state, look.status) == ("finished", None)
    assert "2 root cause clusters of 12 images" in look.message  # what the command printed
    assert (look.commands, look.folder, look.step) == ((command,), out, 0)
    assert read_manifest(out).ended == "finished"
    out.rename(tmp_path / "by the page")
    subprocess.run(command.line(), shell=True, check=True, capture_output=True, cwd=tmp_path)
    manifest_of_command, manifest_of_page = (
        read_manifest(out),
        read_manifest(tmp_path / "by the page"),
    )
    assert manifest_of_command.command == manifest_of_page.command == list(command.arguments)
    assert manifest_of_command.chosen == manifest_of_page.chosen
    assert {"labels.txt", "clusters.csv", "images.csv", "reduction.npz"} < set(files_of(out))
    assert files_of(out) == files_of(tmp_path / "by the page")


def test_two_commands_are_done_one_after_the_other(jobs, images, cache, tmp_path):
    commands = [
        cluster(images(3, "a"), tmp_path / "run a"),
        cluster(images(4, "b"), tmp_path / "run b"),
    ]
    jobs.start(commands)
    first = until(jobs, lambda look: look.status is not None)
    assert (first.step, first.folder) == (0, tmp_path / "run b")
    assert not (tmp_path / "run b").exists()
    second = until(jobs, lambda look: look.step == 1 and look.status is not None)
    assert second.state == "running"
    assert second.status.pid != first.status.pid
    assert read_manifest(tmp_path / "run a").ended == "finished"
    last = until(jobs, has_ended)
    assert (last.state, last.step) == ("finished", 1)
    assert read_manifest(tmp_path / "run b").images.used == 4


def test_what_cannot_be_used_is_the_reason_in_one_line(jobs, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    jobs.start([Command(("example", str(tmp_path)), tmp_path)])
    look = until(jobs, has_ended)
    assert look.state == "failed"
    assert look.message == (
        f"{tmp_path} holds files but is not a run folder (it has no run.json); it is not "
        "changed. Choose a new or empty folder."
    )


def test_an_argument_that_is_none_is_the_reason(jobs, tmp_path):
    jobs.start([Command(("cluster", str(tmp_path)), tmp_path)])
    look = until(jobs, has_ended)
    assert look.state == "failed"
    assert "--out" in look.message
    assert "Usage" not in look.message


def test_a_job_that_says_no_reason_fails_with_its_last_lines(jobs, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))  # Python itself does not start
    jobs.start([Command(("example", str(tmp_path)), tmp_path)])
    look = until(jobs, has_ended)
    assert look.state == "failed"
    first, *rest = look.message.splitlines()
    assert first == "The job ended with code 1."
    assert any("Fatal Python error" in line for line in rest)
    assert len(rest) <= jobs_module.LOG_LINES


def test_after_a_command_that_failed_nothing_more_is_done(jobs, images, cache, tmp_path):
    first = cluster(tmp_path / "missing", tmp_path / "run a")
    jobs.start([first, cluster(images(3), tmp_path / "run b")])
    look = until(jobs, has_ended)
    assert (look.state, look.step) == ("failed", 0)
    assert "missing does not exist" in look.message
    assert not (tmp_path / "run b").exists()


def test_a_new_job_forgets_how_the_last_one_ended(jobs, tmp_path):
    jobs.start([cluster(tmp_path / "missing", tmp_path / "run")])
    assert until(jobs, has_ended).state == "failed"
    command = Command(("example", "--help"), tmp_path)
    jobs.start([command])
    look = jobs.look()
    assert (look.state, look.message, look.commands) == ("running", "", (command,))
    assert until(jobs, has_ended).state == "finished"


def test_a_process_that_cannot_be_started_is_a_job_that_failed(jobs, tmp_path):
    jobs.start([Command(("example", "x" * 1_000_000), tmp_path)])
    look = until(jobs, has_ended)
    assert look.state == "failed"
    assert "Argument list too long" in look.message
    jobs.start([Command(("example", "--help"), tmp_path)])
    assert until(jobs, has_ended).state == "finished"


# --- jobs that are ended --------------------------------------------------------------------------


def test_one_job_runs_at_a_time_and_can_be_stopped(jobs, images, cache, tmp_path):
    out = tmp_path / "run one"
    command = cluster(images(40), out)
    jobs.start([command])
    with pytest.raises(InputError, match=r"running already; it writes .*/run one"):
        jobs.start([cluster(tmp_path, tmp_path / "run two")])
    before = until(jobs, extracting)
    assert before.commands == (command,)
    assert before.stopping is False
    # Ctrl-C in the server's terminal reaches the server alone.
    assert os.getsid(before.status.pid) != os.getsid(0)
    with pytest.raises(InputError, match="running already"):
        jobs.start([command])
    jobs.stop()
    assert jobs.look().stopping or has_ended(jobs.look())
    look = until(jobs, has_ended)
    assert (look.state, look.message) == ("stopped", "")
    assert read_manifest(out).ended == "stopped"
    assert not is_alive(before.status.pid)
    assert not (tmp_path / "run two").exists()
    jobs.start([cluster(tmp_path / "missing", tmp_path / "run two")])
    assert until(jobs, has_ended).stopping is False


def test_a_job_that_does_not_react_is_killed_when_it_is_stopped_again(
    jobs, images, cache, tmp_path, monkeypatch
):
    monkeypatch.setattr(jobs_module, "SECONDS_TO_KILL", 0)
    out = tmp_path / "run"
    jobs.start([cluster(images(40), out)])
    pid = until(jobs, extracting).status.pid
    os.kill(pid, signal.SIGSTOP)  # so it cannot even handle the signal that stops it
    jobs.stop()
    look = jobs.look()
    assert (look.state, look.stopping) == ("running", True)
    jobs.stop()
    look = until(jobs, has_ended)
    assert (look.state, look.message) == ("stopped", "")
    assert read_manifest(out).ended == "running"
    assert not is_alive(pid)


def test_a_double_click_on_stop_kills_nothing(jobs, images, cache, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs_module, "SECONDS_TO_KILL", 1e9)
    out = tmp_path / "run"
    jobs.start([cluster(images(40), out)])
    pid = until(jobs, extracting).status.pid
    os.kill(pid, signal.SIGSTOP)
    jobs.stop()
    jobs.stop()
    jobs.stop()
    os.kill(pid, signal.SIGCONT)
    assert until(jobs, has_ended).state == "stopped"
    assert read_manifest(out).ended == "stopped"


def test_a_job_that_is_stopped_at_once_does_nothing(jobs, images, cache, tmp_path):
    first, second = tmp_path / "run a", tmp_path / "run b"
    folder = images(3)
    jobs.start([cluster(folder, first), cluster(folder, second)])
    jobs.stop()
    assert until(jobs, has_ended).state == "stopped"
    assert not (first / "labels.txt").exists()
    assert not second.exists()


def test_a_job_that_something_else_kills_has_failed(jobs, images, cache, tmp_path):
    out = tmp_path / "run"
    jobs.start([cluster(images(40), out), cluster(tmp_path, tmp_path / "next")])
    os.kill(until(jobs, extracting).status.pid, signal.SIGKILL)
    look = until(jobs, has_ended)
    assert (look.state, look.step) == ("failed", 0)
    assert look.message.startswith("The job's process was killed by SIGKILL.")
    assert "memory" in look.message.splitlines()[0]
    assert "%|" not in look.message
    assert not (tmp_path / "next").exists()
    assert not run_folder.is_written(out)


def test_a_job_ends_with_the_server(jobs, images, cache, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs_module, "SECONDS_TO_STOP", waiting.SECONDS)
    jobs.start([cluster(images(40), tmp_path / "run"), cluster(tmp_path, tmp_path / "next")])
    pid = until(jobs, extracting).status.pid
    jobs.close()
    assert not is_alive(pid)
    assert jobs.look().state == "stopped"
    assert read_manifest(tmp_path / "run").ended == "stopped"
    assert not (tmp_path / "next").exists()


def test_the_server_kills_a_job_that_does_not_end(jobs, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs_module, "SECONDS_TO_STOP", 0.2)
    jobs.start([Command(("example", str(tmp_path / "eyes")), tmp_path / "eyes")])
    pid = until(jobs, lambda look: look.status is not None).status.pid
    os.kill(pid, signal.SIGSTOP)
    jobs.close()
    assert not is_alive(pid)
    assert jobs.look().state == "stopped"


def test_a_server_without_a_job_ends_and_leaves_no_log(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    jobs = Jobs()
    jobs.start([Command(("example", str(tmp_path)), tmp_path)])
    until(jobs, has_ended)
    assert list(tmp_path.iterdir())
    jobs.close()
    assert list(tmp_path.iterdir()) == []
    Jobs().close()
    assert list(tmp_path.iterdir()) == []


# --- what is known of a job -----------------------------------------------------------------------


def test_the_status_of_an_earlier_job_is_not_believed(jobs, images, cache, tmp_path):
    out = tmp_path / "run"
    earlier = Manifest(job="cluster", command=[], folder="/images", parameters={})
    with run_folder.open_run(out, earlier, lambda *step: None):
        pass
    assert read_status(out).pid == os.getpid()
    jobs.start([cluster(images(3), out, "--overwrite")])
    stale, own = [], []

    def look_on(look):
        # The file of now is of this process: so it was when the job was looked at.
        (stale if read_status(out).pid == os.getpid() else own).append(look.status)
        return has_ended(look)

    until(jobs, look_on)
    assert stale
    assert set(stale) == {None}
    assert any(status is not None for status in own)
    assert jobs.look().state == "finished"


@pytest.mark.parametrize(
    "name", ["plain", "two words", 'it\'s "quoted"', "$HOME `ls` \\ ;&|", "-dash", "é 日本", "a\nb"]
)
def test_the_line_to_type_is_the_command(tmp_path, name):
    arguments = ("cluster", str(tmp_path / name), "--out", name, "--eps", "0.5")
    words = shlex.split(Command(arguments, tmp_path).line())
    assert words == [sys.executable, str(DOOR), *arguments]


def test_a_shell_understands_the_line_from_any_folder(tmp_path):
    folder = tmp_path / 'it\'s "mine" $HOME'
    folder.mkdir()
    (folder / "thesis.txt").touch()
    result = subprocess.run(
        Command(("example", str(folder)), folder).line(),
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stderr.startswith(f"Error: {folder} holds files but is not a run folder")
