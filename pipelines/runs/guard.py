"""Read files that people or programs may have changed, and name the file that is damaged."""

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
    OverflowError,
    ValueError,
    csv.Error,
    zipfile.BadZipFile,
    zlib.error,
)
"""Errors that reading a damaged file raises; any other error is a fault of the tool."""
FIND_AGAIN = "find the clusters again"
SAVE_AGAIN = "save it as CSV (UTF-8, commas) with all its rows and columns"
"""Advice for a table with an engineer's words: finding the clusters again would lose them."""


@contextmanager
def name_damaged_file(path: Path, or_else: str = FIND_AGAIN) -> Iterator[None]:
    """Turn the errors of a damaged file into an InputError that names the file.

    Use it only around the reading of the file: other errors are not the file's fault.

    Parameters
    ----------
    or_else : str
        Advice if there is no backup.
    """
    try:
        yield
    except DAMAGES as error:
        raise InputError(
            f"{path} is not as the tool writes it ({type(error).__name__}: {error}). "
            f"Take the file from a backup, or {or_else}."
        ) from error


def find_file_inside(run: Path, name: str) -> Path:
    """Return the path of a file in a run folder, with links resolved.

    Raises
    ------
    ValueError
        When a link leads out of the run folder: the folder may come from somebody else.
    FileNotFoundError
        When there is no such file.
    """
    file = (run / name).resolve()
    if not file.is_relative_to(run.resolve()):
        raise ValueError("it is a link that leads out of the run folder")
    if not file.is_file():
        raise FileNotFoundError("no such file")
    return file
