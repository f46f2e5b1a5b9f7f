"""The door itself: a real process that says what the tool can do."""

import subprocess
import sys

from tests.app.cli.command import ROOT, process


def test_help_names_the_commands_and_needs_no_tensorflow():
    done = process("--help")
    assert done.returncode == 0
    assert "cluster" in done.stdout
    assert all(name in done.stdout for name in ("explain", "select", "recut", "export", "report"))
    assert all(f"\n  {name} " in done.stdout for name in ("test", "heatmaps", "inspect"))
    code = "import sys; import app.cli.main; print([m for m in sys.modules if 'tensorflow' in m])"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert loaded.stdout == b"[]\n"


def test_another_host_without_a_login_is_refused():
    done = process("--host", "0.0.0.0")
    assert done.returncode == 1
    assert "needs --auth USER:PASSWORD-FILE and at least one --root DIR" in done.stderr
