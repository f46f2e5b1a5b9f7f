"""The rows of `unsafe_set.csv`, and the check that they belong to `selection.json`.

The two files are written one after the other, and engineers fill labels into the table. So
`selection.json`, which is written last, has a digest of the tool's part of the table. If a job is
killed between the two, the digest does not match, and every reader refuses the files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv
from pipelines.runs.guard import SAVE_AGAIN, find_file_inside, name_damaged_file

UNSAFE_SET_FILE = "unsafe_set.csv"
COLUMNS = ("path", "cluster", "rank", "distance", "outside", "label", "group")
RECUT = (
    "Give `recut` without options: it writes both files again, and keeps the labels. Or select the "
    "unsafe set again, with --overwrite."
)


def digest_rows(rows: Iterable[tuple[str, int]]) -> str:
    """Return the SHA-256 of the images of an unsafe set, in any order, with their clusters.

    Parameters
    ----------
    rows : iterable of (str, int)
        Path and cluster of each image.
    """
    # Carriage returns become newlines when they are written into a table.
    plain = sorted((path.replace("\r\n", "\n").replace("\r", "\n"), c) for path, c in rows)
    return hashlib.sha256(repr(plain).encode("utf-8", "backslashreplace")).hexdigest()


def read_rows(run: Path, listed: str) -> list[dict[str, str]]:
    """Read `unsafe_set.csv` of a run; a spreadsheet may have sorted and saved it.

    Parameters
    ----------
    listed : str
        The digest by `digest_rows` in `selection.json`; empty if an earlier version
        wrote that file.

    Raises
    ------
    InputError
        When the table cannot be read, or lists another set.
    """
    path = run / UNSAFE_SET_FILE
    with name_damaged_file(path, SAVE_AGAIN):
        rows = read_csv(find_file_inside(run, UNSAFE_SET_FILE), ("path", "cluster", "label"))
        digest = digest_rows((row["path"], int(row["cluster"])) for row in rows)
    if listed and digest != listed:
        raise InputError(
            f"{path} does not list the images of selection.json: a job was killed while it wrote "
            f"them, or rows were changed. {RECUT}"
        )
    return rows
