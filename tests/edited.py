"""`run.json` as somebody may have edited it, or as an earlier version of the tool wrote it."""

import json
import shutil
from pathlib import Path

import pytest

from pipelines.runs.errors import InputError
from pipelines.runs.manifest import read_manifest, read_part

ABSENT = object()
"""Of an entry that is taken out."""


def edit_part(run: Path, part: str, **changes) -> None:
    """Change entries of one part of the manifest of a run, or take them out."""
    document = json.loads((run / "run.json").read_text())
    entries = document[part] | changes
    document[part] = {name: value for name, value in entries.items() if value is not ABSENT}
    (run / "run.json").write_text(json.dumps(document))


def copy_and_edit(run: Path, folder: Path, part: str, **changes) -> Path:
    """Return a copy of a run, in a new folder, whose manifest was edited."""
    shutil.copytree(run, folder)
    edit_part(folder, part, **changes)
    return folder


def check_refusal(run: Path, folder: Path, kind, field: str, value) -> None:
    """Check that a part is refused by file and field once a field of it has another value."""
    copy = copy_and_edit(run, folder, kind.part, **{field: value})
    with pytest.raises(InputError) as refusal:
        read_part(read_manifest(copy), kind)
    assert str(refusal.value).startswith(f"{copy / 'run.json'} is not as the tool writes it (")
    assert f"({kind.part}.{field}" in str(refusal.value)
    assert "Take the file from a backup, or run its job" in str(refusal.value)
