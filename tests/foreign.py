"""Files that no job wrote, in a run folder: a user's own, called as other jobs call theirs."""

import re
from pathlib import Path

from pipelines.clusters import write
from pipelines.deepimportance import results as coverage
from pipelines.deepinspect import results
from pipelines.dnn import job as dnn_job
from pipelines.retraining import files
from pipelines.runs.manifest import MANIFEST_FILE, STATUS_FILE

OUTPUTS = write.OUTPUTS | {
    "test": dnn_job.OUTPUTS,
    "coverage": coverage.OUTPUTS,
    "inspect": results.OUTPUTS,
    "retrain": files.OUTPUTS,
}
"""By job: what it writes into its run folder."""
IN_FOLDERS = {
    "gifs": "cluster_000.gif",
    "heatmaps": "000.npy",
    "pairs": "0-1.txt",
    "thumbnails": f"{24 * 'a'}.jpg",
}
"""By folder: a name as a job would give it."""


def write_foreign(run: Path, job: str, exceptions: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Write a file of each name that other jobs write and `job` does not; return the contents.

    Parameters
    ----------
    exceptions : tuple of str
        Names that are not written, since the test needs them otherwise.
    """
    own = OUTPUTS[job]
    names = {"my notes.txt", "labels.txt.bak", ".hidden.tmp"}
    for outputs in OUTPUTS.values():
        names |= {*outputs.files} - {*own.files}
        for folder, pattern in outputs.folders.items():
            assert re.fullmatch(pattern, IN_FOLDERS[folder])
            names.add(f"{folder}/my notes.txt")
            if folder not in own.folders:
                names.add(f"{folder}/{IN_FOLDERS[folder]}")
    assert {"gifs/my notes.txt", "thumbnails/my notes.txt"} < names
    contents = {name: f"mine: {name}".encode() for name in names - {*exceptions}}
    for name, content in contents.items():
        (run / name).parent.mkdir(exist_ok=True)
        assert not (run / name).exists()
        (run / name).write_bytes(content)
    return contents


def read_files(run: Path, names: dict[str, bytes]) -> dict[str, bytes]:
    """Return the contents of those of the files that are there."""
    return {name: (run / name).read_bytes() for name in names if (run / name).is_file()}


def find_undeclared(run: Path, job: str) -> set[str]:
    """Return the files of a run folder that its job does not declare, hidden ones aside."""
    own = OUTPUTS[job]
    names = set()
    for file in run.rglob("*"):
        name = file.relative_to(run).as_posix()
        folder, _, inner = name.rpartition("/")
        is_declared = name in {*own.files, MANIFEST_FILE, STATUS_FILE} or (
            folder in own.folders and re.fullmatch(own.folders[folder], inner)
        )
        if file.is_file() and not name.startswith(".") and not is_declared:
            names.add(name)
    return names
