"""Commands as a user types them: in a process of their own, or in this one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.main import app
from app.signals import end_signals
from tests.waiting import SECONDS

ROOT = Path(__file__).parents[3]


def process(*arguments, **environment):
    """Run a command in a process of its own: what loading, signals and the door itself do to it."""
    return subprocess.run(
        [sys.executable, "SAFE_Tool.py", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def tool(*arguments):
    """Run a command in this process, where TensorFlow is loaded once for all.

    An exception that no command foresees is raised, and signals are handled as before.
    """
    words = list(map(str, arguments))
    handlers = {sign: signal.getsignal(sign) for sign in (*end_signals(), signal.SIGINT)}
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["SAFE_Tool.py", *words])
            result = CliRunner().invoke(app, words, catch_exceptions=False)
    finally:
        for sign, handler in handlers.items():
            signal.signal(sign, handler)
    return subprocess.CompletedProcess(words, result.exit_code, result.stdout, result.stderr)
