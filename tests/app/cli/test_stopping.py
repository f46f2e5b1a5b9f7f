"""How commands are stopped, where nothing that others wait for is held."""

import subprocess
import sys

import pytest

from app.exit_codes import STOPPED
from tests.app.cli.command import ROOT
from tests.waiting import SECONDS

STOP_AMONG_THREADS = f"""
import os, signal, typer
from app.cli.options import job
from pipelines.data.prefetch import prefetch

for last in range(300):
    def work(number):
        if number == last:
            os.kill(os.getpid(), signal.{{name}})  # reaches the main thread wherever it is
        return number
    try:
        with job() as progress:
            for done, _ in enumerate(prefetch(work, range(10**9), 16), 1):
                progress("counting", done, 10**9)
    except typer.Exit as end:
        assert end.exit_code == {STOPPED}, end.exit_code
print("all ended")
"""
SILENT = """
import os, signal, threading, typer
from app.cli import options, stopping

stopping.SECONDS_TO_A_REPORT = 0.1
try:
    with options.job() as progress:
        os.kill(os.getpid(), signal.SIGTERM)
        print("goes on", flush=True)
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()  # as a library does that reports nothing
except typer.Exit as end:
    print(end.exit_code)
"""


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_job_that_is_stopped_while_threads_work_for_it_ends(name):
    result = run(STOP_AMONG_THREADS.replace("{name}", name))
    assert result.stdout.endswith("all ended\n"), result.stderr[-2000:]


def test_a_job_that_reports_nothing_is_interrupted_all_the_same():
    result = run(SILENT)
    assert result.stdout.splitlines() == ["goes on", "Stopped. Nothing was written; start again "
                                        "with --overwrite.", str(STOPPED)]  # fmt: skip


def test_asked_twice_a_job_stops_at_once():
    code = SILENT.replace("0.1", "600.0").replace(
        'print("goes on", flush=True)',
        'print("goes on", flush=True)\n        os.kill(os.getpid(), signal.SIGINT)',
    )
    result = run(code)
    assert result.stdout.splitlines()[-1] == str(STOPPED), result.stderr


def test_what_a_stopped_job_cleans_up_is_not_interrupted():
    code = SILENT.replace(
        """        lock = threading.Lock()
        lock.acquire()
        lock.acquire()  # as a library does that reports nothing
""",
        """        try:
            progress("counting", 1, 2)
        finally:
            threading.Event().wait(1)  # ten times as long as a job may report nothing
            print("cleaned up", flush=True)
""",
    )
    assert "cleaned up" in code
    result = run(code)
    assert "cleaned up" in result.stdout, result.stderr
    assert result.stdout.splitlines()[-1] == str(STOPPED)
