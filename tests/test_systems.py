"""The tool starts where the modules that Unix alone has are missing."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
UNIX = ("fcntl", "resource", "pwd")
CODE = """
import importlib, os, pkgutil, signal, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in UNIX:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for name in UNIX:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Missing())
for name in ("SIGHUP", "SIGKILL"):
    delattr(signal, name)
del os.O_NOFOLLOW
import app, pipelines, examples
count = 0
for package in (app, pipelines, examples):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
        count += 1
import SAFE_Tool
from pathlib import Path
from pipelines.runs.files import write_text
write_text(Path(sys.argv[1]), "written")
print(count)
"""


def test_everything_can_be_imported_and_a_file_written_without_what_unix_alone_has(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", f"UNIX = {UNIX}\n{CODE}", str(tmp_path / "a.txt")],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 100
    assert (tmp_path / "a.txt").read_text() == "written"
