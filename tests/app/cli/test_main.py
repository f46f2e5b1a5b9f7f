"""The door itself: a real process that says what the tool can do."""

import subprocess
import sys

from tests.app.cli.command import ROOT, process


def test_help_names_the_commands_and_needs_no_tensorflow():
    result = process("--help")
    assert result.returncode == 0
    assert "cluster" in result.stdout
    assert all(name in result.stdout for name in ("explain", "select", "recut", "export", "report"))
    assert all(f"\n  {name} " in result.stdout for name in ("test", "heatmaps", "inspect"))
    code = "import sys; import app.cli.main; print([m for m in sys.modules if 'tensorflow' in m])"
    imports = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True
    )
    assert imports.stdout == b"[]\n"


def test_another_host_without_a_login_is_refused():
    result = process("--host", "0.0.0.0")
    assert result.returncode == 1
    assert "needs --auth USER:PASSWORD-FILE and at least one --root DIR" in result.stderr
