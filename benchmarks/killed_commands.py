"""Commands of the tool in processes of their own, killed at a moment or before a change of a file.

TensorFlow takes seconds to be imported, in which nothing is written.  So this process imports the
tool once, and each command is a fork of it: a process that runs the command line and is ended by
SIGKILL.  Nothing is computed in this process itself, whose threads a fork would lack.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

MODULES = (
    "app.cli.main",
    "pipelines.retraining.job",
    "pipelines.safe.job",
    "pipelines.safe.placement",
    "sklearn.cluster",
    "sklearn.decomposition",
    "sklearn.neighbors",
    "scipy.sparse.csgraph",
)
CHANGES = ("replace", "rename", "unlink", "remove")


class Ended(NamedTuple):
    """How a process ended.

    Attributes
    ----------
    code : int
        Exit code; -9 where it was killed.
    output : str
        What it printed, errors last.
    seconds : float
    """

    code: int
    output: str
    seconds: float

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it."""
        return self.code == -signal.SIGKILL

    @property
    def error(self) -> str:
        """The line in which the tool says what it refuses; empty where there is none."""
        lines = [line for line in self.output.splitlines() if line.startswith("Error: ")]
        return lines[-1] if len(lines) == 1 else ""


def load_tool() -> None:
    """Import all that the commands import, so that their processes have it."""
    from pipelines.dnn.keras import import_keras

    import_keras()
    for name in MODULES:
        import_module(name)


def run_command(words: Sequence[str], log: Path) -> Ended:
    """Run a command as a user does, in an interpreter of its own."""
    start = time.perf_counter()
    with log.open("wb") as file:
        code = subprocess.run(
            [sys.executable, "SAFE_Tool.py", *words],
            stdout=file,
            stderr=file,
            check=False,
        ).returncode
    return Ended(code, log.read_text(encoding="utf-8"), time.perf_counter() - start)


def fork_command(
    words: Sequence[str],
    log: Path,
    *,
    change: int | None = None,
    seconds: float | None = None,
) -> Ended:
    """Run a command in a fork of this process.

    Parameters
    ----------
    change : int, optional
        It dies before its change of this number: a rename or a removal of a file that is there.
    seconds : float, optional
        It is killed after this time.
    """
    start = time.perf_counter()
    child = os.fork()
    if not child:
        _become(words, log, change)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)  # it is not waited for yet, so the number is still its own
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return Ended(code, log.read_text(encoding="utf-8"), time.perf_counter() - start)


def _become(words: Sequence[str], log: Path, change: int | None) -> None:
    code = 1
    try:
        with log.open("wb", buffering=0) as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        if change is not None:
            _die_before(change)
        from app.cli.main import app

        sys.argv = ["SAFE_Tool.py", *words]
        app(list(words), standalone_mode=True)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _die_before(change: int) -> None:
    """Make this process kill itself before its change number `change`, counted from 0."""
    left = [change]
    for name in CHANGES:
        setattr(os, name, _counted(getattr(os, name), left))


def _counted(function: Callable[..., None], left: list[int]) -> Callable[..., None]:
    def counted(*arguments: object, **options: object) -> None:
        # Removals of what is not there are no changes; inside a folder by its descriptor all count.
        if "dir_fd" in options or os.path.lexists(arguments[0]):  # type: ignore[arg-type]
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
        function(*arguments, **options)

    return counted
