"""Write the files of a run, each as a whole, and read them back."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from pipelines.runs.errors import InputError
from pipelines.runs.guard import name_damaged_file

TRIES_TO_REPLACE = 50 if os.name == "nt" else 1
SECONDS_BETWEEN_TRIES = 0.02
LONGEST_CELL = 10_000_000
"""Largest number of characters of a cell; long notes that a user types or pastes must fit."""
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "'")


@dataclass(frozen=True)
class Outputs:
    """The files that a job writes into its run folder; overwriting the run removes only these.

    Attributes
    ----------
    files : tuple of str
        Names of files directly in the run folder.
    folders : mapping of str to str
        For each folder in the run folder, a regular expression that matches the full names of the
        job's files in it.
    listed : str
        Name of one of `files`: a table whose column `path` lists more files, in any folders.
    """

    files: tuple[str, ...] = ()
    folders: Mapping[str, str] = field(default_factory=dict)
    listed: str = ""

    def __or__(self, other: Outputs) -> Outputs:
        """Return the outputs of both jobs together."""
        patterns = dict(self.folders)
        for name, pattern in other.folders.items():
            patterns[name] = f"{patterns[name]}|{pattern}" if name in patterns else pattern
        files = tuple(dict.fromkeys((*self.files, *other.files)))
        return Outputs(files, patterns, self.listed or other.listed)


def check_outputs(folder: Path, outputs: Outputs) -> None:
    """Raise InputError if a folder has the name of an output file, or a file the name of a folder.

    A table that lists files must be readable, because those files are removed, too.
    """
    list_files(folder, outputs)
    kinds = [(outputs.files, Path.is_dir, "folder", "file")]
    kinds.append((tuple(outputs.folders), Path.is_file, "file", "folder"))
    for names, is_in_the_way, present, expected in kinds:
        for name in names:
            if is_in_the_way(folder / name) and not (folder / name).is_symlink():
                raise InputError(
                    f"{folder / name} is a {present}, but the job writes a {expected} of that "
                    "name. Move it elsewhere, or choose another folder for the run."
                )


def remove_outputs(folder: Path, outputs: Outputs, kept: Sequence[str] = ()) -> None:
    """Remove a job's files, except `kept`, from a run folder, and its folders that are then empty.

    Temporary files of any of these files that a killed process left, including those of `kept`, are
    removed, too. All other files stay.
    """
    for listed in list_files(folder, outputs):
        _remove_listed(folder, folder / listed)
    names = "|".join(re.escape(name) for name in outputs.files if name not in kept)
    _remove_files(folder, names)
    remove_temporaries(folder, kept)
    for name, pattern in outputs.folders.items():
        inner = folder / name
        if inner.is_symlink():  # it could lead anywhere
            inner.unlink()
        elif inner.is_dir():
            _remove_files(inner, pattern)
            with suppress(OSError):  # it is not empty: it holds files of others
                inner.rmdir()


def list_files(folder: Path, outputs: Outputs) -> list[str]:
    """Return the files that the table `outputs.listed` lists; none when there is no table.

    Raises
    ------
    InputError
        When the table cannot be read.
    """
    table = folder / outputs.listed
    if not outputs.listed or not table.is_file():
        return []
    with name_damaged_file(table, "choose another folder for the run"):
        return [row["path"] for row in read_csv(table, ["path"])]


def move_files(source: Path, target: Path, names: Iterable[str]) -> None:
    """Move files, in this order, to another folder on the same disk; make missing folders."""
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        replace_file(source / name, target / name)


def _remove_listed(folder: Path, file: Path) -> None:
    # The folder may come from somebody else: links or the table's paths could lead out of it.
    if not file.parent.resolve().is_relative_to(folder.resolve()) or file.is_dir():
        return
    file.unlink(missing_ok=True)
    parent = file.parent
    with suppress(OSError):  # the folder is not empty, or does not exist
        while parent != folder:
            parent.rmdir()
            parent = parent.parent


def remove_temporaries(folder: Path, names: Iterable[str]) -> None:
    """Remove temporary files of these files that a killed process left.

    The caller holds the folder's lock, so no other process is writing these files.
    """
    _remove_matching(folder, _temporaries("|".join(map(re.escape, names))))


def _remove_files(folder: Path, pattern: str) -> None:
    _remove_matching(folder, f"{pattern}|{_temporaries(pattern)}")


def _temporaries(pattern: str) -> str:
    """Return a regular expression for temporary names of the files that `pattern` matches."""
    return rf"\.(?:{pattern})\.\d+(?:\.[0-9a-f]{{8}})?\.tmp(?:\.\w+)?"


def _remove_matching(folder: Path, pattern: str) -> None:
    for file in list(folder.iterdir()):
        if re.fullmatch(pattern, file.name) and (file.is_symlink() or not file.is_dir()):
            file.unlink(missing_ok=True)


def name_temporary(path: Path, ending: str = ".tmp") -> Path:
    """Return the path of a new temporary file beside `path`, which takes its place when written.

    Parameters
    ----------
    ending : str
        ".tmp", and another ending after it for whoever writes by the ending.
    """
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}{ending}")


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a binary file that replaces `path` when the block ends without an error.

    Readers see the old file or the new one, never a part of it. The bytes are written to a
    temporary file in the same folder and flushed to disk, then the file is renamed. After an error
    the temporary file is removed.
    """
    if path.is_dir() and not path.is_symlink():
        raise InputError(f"{path} is a folder where a file is written. Move it elsewhere.")
    temporary = name_temporary(path)
    # No name that could be guessed, and no file that is there: a link could lead anywhere.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    for name in ("O_NOFOLLOW", "O_BINARY"):  # the second on Windows, where the first is missing
        flags |= getattr(os, name, 0)
    try:
        with os.fdopen(os.open(temporary, flags, 0o666), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        replace_file(temporary, path)
    except OSError as error:
        if error.errno and not error.filename:  # for a full disk, the error does not name the file
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def replace_file(source: Path, target: Path, tries: int = TRIES_TO_REPLACE) -> None:
    """Rename a file so that it replaces another file.

    Windows refuses this while another process reads the other file, which takes a moment.
    """
    for left in reversed(range(tries)):
        try:
            source.replace(target)
            return
        except PermissionError:
            if not left:
                raise
            time.sleep(SECONDS_BETWEEN_TRIES)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8; the file appears as a whole, and line ends are not changed."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8"))


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file (UTF-8, commas, newlines), which appears as a whole.

    Text that a spreadsheet would run as a formula (it starts with ``=``, ``+``, ``-``, ``@`` or a
    tab) gets an apostrophe in front, which `read_csv` removes. Carriage returns become newlines.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_guarded(cell) for cell in row] for row in rows)
    write_text(path, text.getvalue())


def read_csv(path: Path, required: Iterable[str] = ()) -> list[dict[str, str]]:
    """Read a CSV file that `write_csv` wrote: one dict per row, every value as text.

    A spreadsheet may have saved it since: with a byte order mark, with semicolons or tabs, in
    Windows-1252, or with empty lines.

    Parameters
    ----------
    required : iterable of str
        Columns that the caller needs.

    Raises
    ------
    ValueError
        When a column is missing, or a row has more or fewer cells than the header.
    """
    header, *rows = _read_rows(path)
    if missing := [name for name in required if name not in header]:
        raise ValueError(f"it has no column {', '.join(missing)}")
    return [
        {name: cell.removeprefix("'") for name, cell in zip(header, row, strict=True)}
        for row in rows
    ]


def check_numbers(rows: Iterable[Mapping[str, str]], *names: str) -> None:
    """Raise ValueError if a cell of these columns is neither empty nor a finite number."""
    for row in rows:
        for name in names:
            if cell := row.get(name):
                _finite(cell)


def replace_cells(path: Path, key: str, cells: Mapping[str, Mapping[str, object]]) -> None:
    """Replace cells of a table; all other cells stay.

    Columns that the file does not have yet are added at its end; in other rows they are empty.

    Parameters
    ----------
    key : str
        The column that identifies a row.
    cells : mapping of str to mapping of str to object
        For a row's cell in the column `key`, the new cells by column.

    Raises
    ------
    LookupError
        When there is no column `key`, or no row for a key of `cells`.
    """
    header, *rows = _read_rows(path)
    header += [name for name in dict.fromkeys(chain(*cells.values())) if name not in header]
    columns = {name: position for position, name in enumerate(header)}
    rows = [row + [""] * (len(header) - len(row)) for row in rows]
    by_key = {row[columns[key]]: row for row in rows}
    for value, replaced in cells.items():
        for name, cell in replaced.items():
            by_key[value][columns[name]] = str(_guarded(cell))
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    write_text(path, text.getvalue())


def _read_rows(path: Path) -> list[list[str]]:
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252")
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=find_delimiter(text))
        return [row for row in rows if any(row)]
    finally:
        csv.field_size_limit(before)  # the limit applies to the whole process


def find_delimiter(text: str) -> str:
    """Find the delimiter of a table that the tool wrote: the character after its first title."""
    match = re.match(r'"?\w+"?([,;\t])', text)
    return match[1] if match else ","


def _guarded(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    text = cell.replace("\r\n", "\n").replace("\r", "\n")  # csv's writer does not quote "\r"
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def parse_json(content: bytes) -> dict[str, Any]:
    """Parse a JSON object; raise ValueError for anything else, and for NaN or infinity."""
    try:
        document = json.loads(content, parse_constant=_finite, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(document, dict):
        raise ValueError("expected an object")
    return document


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text[:20]} is no finite number")
    return number


def write_pairs(path: Path, pairs: Iterable[tuple[str, object]]) -> None:
    """Write lines of ``<relative path> TAB <value>``, sorted by path."""
    write_text(path, "".join(f"{name}\t{value}\n" for name, value in sorted(pairs)))


def read_pairs(path: Path) -> dict[str, str]:
    """Read what `write_pairs` wrote: value by relative path."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return dict(line.split("\t", 1) for line in lines)


def as_text(path: Path | str) -> str:
    """Return a path as text that JSON can hold; bytes that are not UTF-8 become escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
