"""Reading files that people and programs may have changed: what is wrong with which file."""

from __future__ import annotations

import csv
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.runs.errors import InputError

DAMAGES = (
    OSError,
    EOFError,
    LookupError,
    ValueError,
    csv.Error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading a damaged file raises; all else is a fault of the tool."""
FIND_AGAIN = "find the clusters again"
SAVE_AGAIN = "save it as CSV (UTF-8, commas) with all its rows and columns"
"""Of a table with an engineer's words in it, which would be lost with new clusters."""


@contextmanager
def name_damaged_file(path: Path, or_else: str = FIND_AGAIN) -> Iterator[None]:
    """Turn what a damaged file leads to into an InputError that names it.

    It goes round the reading of the file alone: what is raised elsewhere is no fault of the file.

    Parameters
    ----------
    or_else : str
        What to do where there is no backup.
    """
    try:
        yield
    except DAMAGES as error:
        raise InputError(
            f"{path} is not as the tool writes it ({type(error).__name__}: {error}). "
            f"Take the file from a backup, or {or_else}."
        ) from error


def find_file_inside(run: Path, name: str) -> Path:
    """Return a file of a run folder; whoever made the folder may have put links into it."""
    file = (run / name).resolve()
    if not file.is_relative_to(run.resolve()):
        raise ValueError("it is a link that leads out of the run folder")
    if not file.is_file():
        raise FileNotFoundError("no such file")
    return file
