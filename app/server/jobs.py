"""Jobs of the page: child processes of the same command line, one at a time."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.exit_codes import ERROR, FAULT, STOPPED
from app.signals import stop_signal
from pipelines.data.roots import environment
from pipelines.runs.errors import InputError
from pipelines.runs.manifest import Status, read_status

DOOR = Path(__file__).resolve().parents[2] / "SAFE_Tool.py"
LOG_LINES = 12
LOG_BYTES = 8192
SECONDS_TO_STOP = 10.0
"""Seconds that a job may take to stop when the page's server ends; after that it is killed."""
SECONDS_TO_KILL = 3.0
"""A second request to stop kills the job if it comes this long after the first, so that a double
click does not."""

State = Literal["running", "finished", "stopped", "failed"]


@dataclass(frozen=True)
class Command:
    """One command of `SAFE_Tool.py`.

    Attributes
    ----------
    arguments : tuple of str
        The words after `SAFE_Tool.py`.
    folder : Path
        The folder that it writes, with its `status.json`.
    options : object
        The options that the arguments represent, a dataclass of `app.commands`; None if only the
        arguments are known.
    """

    arguments: tuple[str, ...]
    folder: Path
    options: object = None

    def line(self) -> str:
        """Return the line to type into a shell, from any folder, for the same job."""
        words = (sys.executable, str(DOOR), *self.arguments)
        return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


@dataclass(frozen=True)
class Look:
    """The state of a job at one moment.

    Attributes
    ----------
    commands : tuple of Command
        Its commands, in the order in which they run.
    step : int
        Position of the running command, or of the last one that ran.
    state : str
        "running", "finished", "stopped" (by the user) or "failed".
    status : Status or None
        Status of the running command; None until it has written one.
    stopping : bool
        Whether the user stopped it and it is still running.
    message : str
        The reason of a failure, or the output of the last command; empty while it runs.
    number : int
        Its number among the jobs of this server, from 1.
    """

    commands: tuple[Command, ...]
    step: int
    state: State
    status: Status | None
    stopping: bool
    message: str
    number: int

    @property
    def folder(self) -> Path:
        """The folder that the last command writes, the result of the whole job."""
        return self.commands[-1].folder


class Jobs:
    """The one job of a page's server.

    A thread waits for each command and starts the next, so that a job continues when no page is
    open. The job ends when the server ends.

    Parameters
    ----------
    roots : sequence of Path
        Folders below which its jobs may read images, even through links and lists; empty for no
        limit.
    """

    def __init__(self, roots: Sequence[Path] = ()) -> None:
        self._environment = environment(roots)
        self._lock = threading.Lock()
        self._commands: tuple[Command, ...] = ()
        self._step = 0
        self._state: State = "finished"
        self._message = ""
        self._number = 0
        self._stopping = 0.0  # time of the user's request to stop; 0 for none
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._logs = tempfile.TemporaryDirectory(prefix="safe-tool-")

    def start(self, commands: Sequence[Command]) -> None:
        """Start a job.

        Raises
        ------
        InputError
            When a job is already running.
        """
        with self._lock:
            if self._commands and self._state == "running":
                raise InputError(
                    f"a job is running already; it writes {self._commands[-1].folder}. "
                    "Wait for it, or stop it."
                )
            self._commands, self._step = tuple(commands), 0
            self._state, self._message, self._stopping = "running", "", 0.0
            self._number += 1
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ask the job to stop; a second call, a few seconds later, kills it."""
        with self._lock:
            if not self._stopping:
                self._stopping = time.monotonic()
                self._signal(stop_signal())
            elif time.monotonic() - self._stopping > SECONDS_TO_KILL:
                self._kill()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def look(self) -> Look | None:
        """Return the state of the running or the last job; None before the first job."""
        with self._lock:
            if not self._commands:
                return None
            status = None
            if self._process is not None:
                status = read_status(self._commands[self._step].folder)
                if status is not None and status.pid != self._process.pid:
                    status = None  # it belongs to an earlier job
            return Look(
                self._commands,
                self._step,
                self._state,
                status,
                self._stopping > 0,
                self._message,
                self._number,
            )

    def close(self) -> None:
        """Stop the job and wait for its end."""
        if self._thread is not None:
            self.stop()
            self._thread.join(SECONDS_TO_STOP)
            with self._lock:
                self._kill()
            self._thread.join()
        self._logs.cleanup()

    def _work(self) -> None:
        state, message = self._run_commands()
        with self._lock:
            self._state, self._message = state, message

    def _run_commands(self) -> tuple[State, str]:
        """Run the commands; return how the job ended, and the message on it."""
        log = Path(self._logs.name, "log")
        for step, command in enumerate(self._commands):
            try:
                code = self._run(step, command, log)
                if code and not self._stopping and code != STOPPED:
                    return "failed", _reason(code, log)
            except OSError as error:
                return "failed", f"{error.filename or 'The job'}: {error.strerror or error}"
            if code:
                return "stopped", ""
        return "finished", "\n".join(_lines(log)[-LOG_LINES:])

    def _run(self, step: int, command: Command, log: Path) -> int:
        with log.open("wb") as file:
            with self._lock:
                if self._stopping:
                    return STOPPED
                self._step = step
                self._process = subprocess.Popen(
                    [sys.executable, str(DOOR), *command.arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **self._environment},
                    # A process group of its own; on Windows, this takes a flag:
                    creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
                    start_new_session=True,  # so Ctrl-C in the server's terminal reaches it once
                )
            code = self._process.wait()
            with self._lock:
                self._process = None
            return code


def _lines(log: Path) -> list[str]:
    """Return the last lines of a log, without tqdm's bars."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LOG_BYTES))
        text = file.read().decode("utf-8", "replace")
    lines = [line for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return [line for line in lines if "%|" not in line]


def _reason(code: int, log: Path) -> str:
    """Return why a job failed: the error that it printed, or its exit code and last lines."""
    lines = _lines(log)
    errors = [line for line in lines if line.startswith(ERROR)]
    if errors:
        error = errors[-1].removeprefix(ERROR)
        if not error.startswith(FAULT):
            return error
        # The log is deleted with the server; correcting a fault of the tool needs its traceback.
        return "\n".join([error, *lines[-LOG_LINES:-1]])
    end = f"The job ended with code {code}."
    if code < 0:
        end = f"The job's process was killed by {signal.Signals(-code).name}."
        if end.endswith("SIGKILL."):
            end += " The machine may have run out of memory."
    return "\n".join([end, *lines[-LOG_LINES:]])
