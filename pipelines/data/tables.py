"""Tables that people export or write by hand: delimited text, whatever its delimiter and encoding.

What cannot be a table is refused; what is odd is read as well as possible, and remarked on.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pipelines.data.images import one_line
from pipelines.runs.errors import InputError
from pipelines.runs.files import FORMULA_STARTS

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
SEPARATOR = re.compile(r"sep=([,;\t|])\r?\n", re.IGNORECASE)
LOOKED_AT = 20
"""Rows after the header that tell the delimiter."""
LARGEST = 500_000_000
"""Bytes; a table is held in memory several times."""
SHOWN = 60
"""Characters of a cell that a message shows."""
USED = ": used"
"""How a remark ends that leaves nothing out."""
LEFT_OUT = ": row left out"
"""How one ends that leaves a row out."""
ADVICE = "Save the table as CSV (UTF-8), one image a row, and give that file."


@dataclass(frozen=True)
class Table:
    """The cells of a file, as text.

    Attributes
    ----------
    header : list of str
        Titles, on one line each and trimmed; two or more.
    header_line : int
        Where the header ends up in an editor: 1, after empty lines more.
    rows : list of list of str
        As many cells as titles; at least one row, and none that is empty.
    lines : list of int
        Where each row begins in an editor.
    delimiter : str
        One of `DELIMITERS`.
    remarks : list of tuple of int and str
        Line (0 for the whole file), and what was expected, received and done.
    """

    header: list[str]
    header_line: int
    rows: list[list[str]]
    lines: list[int]
    delimiter: str
    remarks: list[tuple[int, str]]

    @property
    def decimal_commas(self) -> bool:
        """Whether a comma within a cell may be a decimal one."""
        return self.delimiter != ","


def read_table(file: Path) -> Table:
    """Read a table whose first row holds titles.

    UTF-8, UTF-16 with a byte order mark, and else Windows-1252; commas, semicolons, tabs or
    vertical bars between cells. Empty lines are skipped. A row with too few cells gets empty ones
    at its end; one with too many is left out, since its values may stand in the wrong columns.
    The apostrophe that `files.write_csv` puts before what a spreadsheet takes for a formula is
    taken off. Time and memory grow with the file's size.

    Raises
    ------
    InputError
        When the file is missing, cannot be read or is not text, has less than two columns or no
        row, or its quotation marks or cells are not those of a table.
    """
    text, remarks = _read_text(file)
    named = SEPARATOR.match(text)  # a line that spreadsheets write and read
    text = "\n" + text[named.end() :] if named else text  # lines keep their numbers
    delimiter = named[1] if named else _find_delimiter(text)
    if delimiter != ",":
        remarks.append(
            (0, f"expected commas between cells, received {DELIMITERS[delimiter]}{USED}")
        )
    records = _records(file, text, delimiter)
    header_line, titles = next(records, (0, []))
    if len(titles) < 2:
        received = f"one, {quote_cell(titles[0])}" if titles else "an empty file"
        raise InputError(
            f"{file}: expected two columns or more, with {', '.join(DELIMITERS.values())} between "
            f"them, received {received}. {ADVICE}"
        )
    width = len(titles)
    guarded = "'" in text
    rows, lines = [], []
    for line, cells in records:
        row = [remove_guard(cell) for cell in cells] if guarded else cells
        if len(row) != width:
            if any(cell.strip() for cell in row[width:]):
                what = f"expected {width} cells, received {len(row)}{LEFT_OUT}"
                remarks.append((line, what))
                continue
            if len(row) < width:
                what = f"expected {width} cells, received {len(row)}: those missing are empty"
                remarks.append((line, what))
            row = [*row[:width], *[""] * (width - len(row))]
        rows.append(row)
        lines.append(line)
    if not rows:
        why = f" ({remarks[-1][1]})" if remarks and remarks[-1][0] else ""
        raise InputError(
            f"{file}: expected rows below the titles, received none that can be used{why}. {ADVICE}"
        )
    header = [clean(remove_guard(title)) for title in titles]
    return Table(header, header_line, rows, lines, delimiter, remarks)


def _read_text(file: Path) -> tuple[str, list[tuple[int, str]]]:
    try:
        if not file.exists():
            raise InputError(
                f"{file}: expected a table, but there is no such file. Check the path."
            )
        if not file.is_file():
            raise InputError(f"{file}: expected a table, received no regular file. {ADVICE}")
        size = file.stat().st_size
        if size > LARGEST:
            raise InputError(
                f"{file}: expected at most {LARGEST:,} bytes, received {size:,}. Leave out columns "
                "or rows of other images."
            )
        content = file.read_bytes()
    except (OSError, ValueError) as error:  # a NUL in the path is a ValueError
        detail = getattr(error, "strerror", None) or error
        raise InputError(f"{file}: the table cannot be read: {detail}. Check the path.") from error
    remarks = []
    encoding = "utf-8-sig"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    try:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            if encoding == "utf-16" or b"\0" in content:
                raise
            text = content.decode("cp1252")
            what = f"expected UTF-8, received other bytes, read as Windows-1252{USED}"
            remarks.append((0, what))
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: expected text, received other bytes. {ADVICE}") from error
    if "\0" in text:
        raise InputError(f"{file}: expected text, received NUL bytes. {ADVICE}")
    return text, remarks


def _find_delimiter(text: str) -> str:
    """Tell the delimiter from the titles, and between several from the first rows.

    A title such as "weather (rain; fog)" has the delimiter of another kind of table, but the rows
    below it then do not have as many cells. If they do, the first title tells.
    """
    best, fit = ",", (0.0, 0, False)
    for delimiter in DELIMITERS:
        rows = []
        try:
            for _, row in islice(_split(text, delimiter), LOOKED_AT + 1):
                rows.append(row)
        except csv.Error:  # reported when the table is read
            pass
        if not rows or len(rows[0]) < 2:
            continue
        width = len(rows[0])
        fitting = sum(len(row) == width for row in rows[1:]) / max(1, len(rows) - 1)
        alone = not any(other in rows[0][0] for other in DELIMITERS)
        if (fitting, width, alone) > fit:
            best, fit = delimiter, (fitting, width, alone)
    return best


def _split(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line and the cells of each row that is not empty."""
    # Strict: a quotation mark left open would otherwise take in all rows that follow, silently.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    for row in reader:
        if "".join(row).strip():
            yield line, row
        line = reader.line_num + 1


def _records(file: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    line = 0
    try:
        for line, row in _split(text, delimiter):
            yield line, row
    except csv.Error as error:
        raise InputError(
            f"{file}, below line {line}: expected cells of at most {csv.field_size_limit():,} "
            f"characters, with quotation marks that are closed, received others ({error}). "
            f"Mend that row. {ADVICE}"
        ) from error


def remove_guard(cell: str) -> str:
    """Take off the apostrophe that `files.write_csv` puts before what looks like a formula."""
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(FORMULA_STARTS) else cell


def clean(cell: str) -> str:
    """Return a cell on one line, trimmed."""
    return one_line(" ".join(cell.split()))


def quote_cell(cell: str) -> str:
    """Return a cell as messages show it: quoted, and not too long."""
    text = clean(cell[: 2 * SHOWN])
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")
