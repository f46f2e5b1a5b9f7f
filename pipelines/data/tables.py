"""Read tables that people export or write by hand: text with any common delimiter and encoding.

A file that is no table is refused. Unusual files are read as well as possible, with a remark.
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
from pipelines.runs.wording import count_of

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
SEPARATOR = re.compile(r"sep=([,;\t|])\r?\n", re.IGNORECASE)
DELIMITER_ROWS = 20
"""Number of rows after the header from which the delimiter is determined."""
MAX_BYTES = 500_000_000
"""Largest size of a file; memory holds the table several times."""
MESSAGE_CHARACTERS = 60
"""Number of characters of a cell that a message shows."""
ENDS_USED = ": used"
"""End of a remark when nothing was left out."""
ENDS_LEFT_OUT = ": row left out"
"""End of a remark when a row was left out."""
ADVICE = "Save the table as CSV (UTF-8), one image per row, and give that file."


@dataclass(frozen=True)
class Table:
    """The cells of a file, as text.

    Attributes
    ----------
    header : list of str
        Two titles or more, trimmed, each on one line.
    header_line : int
        Line of the header in an editor; more than 1 when empty lines come before it.
    rows : list of list of str
        At least one row. Every row has as many cells as there are titles, and is not empty.
    lines : list of int
        Line of each row's beginning in an editor.
    delimiter : str
        One of `DELIMITERS`.
    remarks : list of tuple of int and str
        Line (0 for the whole file), and what was expected, what was received and what was done.
    """

    header: list[str]
    header_line: int
    rows: list[list[str]]
    lines: list[int]
    delimiter: str
    remarks: list[tuple[int, str]]

    @property
    def decimal_commas(self) -> bool:
        """Whether a comma within a cell may be a decimal comma."""
        return self.delimiter != ","


def read_table(file: Path) -> Table:
    """Read a table whose first row holds titles.

    The text is UTF-8, UTF-16 with a byte order mark, or otherwise Windows-1252. Cells are separated
    by commas, semicolons, tabs or vertical bars. Empty lines are skipped. A row with too few cells
    gets empty ones at its end. A row with too many is left out: its values may stand in the wrong
    columns. Apostrophes before formulas are removed (see `remove_guard`). Time and memory grow with
    the file's size.

    Raises
    ------
    InputError
        When the file is missing, cannot be read or is not text; when it has fewer than two columns
        or no row, a quotation mark is not closed, or a cell is too long.
    """
    text, remarks = _read_text(file)
    separator = SEPARATOR.match(text)  # a first line "sep=;" that spreadsheets write and read
    text = "\n" + text[separator.end() :] if separator else text  # lines keep their numbers
    delimiter = separator[1] if separator else _find_delimiter(text)
    if delimiter != ",":
        remarks.append(
            (0, f"expected commas between cells, received {DELIMITERS[delimiter]}{ENDS_USED}")
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
                remarks.append(
                    (
                        line,
                        f"expected {count_of(width, 'cell')}, received {len(row)}{ENDS_LEFT_OUT}",
                    )
                )
                continue
            if len(row) < width:
                what = f"expected {count_of(width, 'cell')}, received {len(row)}"
                what += ": those missing are empty"
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
        if size > MAX_BYTES:
            raise InputError(
                f"{file}: expected at most {MAX_BYTES:,} bytes, received {size:,}. Leave out "
                "columns or rows of other images."
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
            what = f"expected UTF-8, received other bytes, read as Windows-1252{ENDS_USED}"
            remarks.append((0, what))
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: expected text, received other bytes. {ADVICE}") from error
    if "\0" in text:
        raise InputError(f"{file}: expected text, received NUL bytes. {ADVICE}")
    return text, remarks


def _find_delimiter(text: str) -> str:
    """Find the delimiter from the titles; if several fit, from the first rows.

    A title such as "weather (rain; fog)" contains another delimiter, but then the rows below have a
    different number of cells. If they do not, the delimiter has to be the one that leaves no other
    delimiter in the first title.
    """
    best, fit = ",", (0.0, 0, False)
    for delimiter in DELIMITERS:
        rows = []
        try:
            for _, row in islice(_split(text, delimiter), DELIMITER_ROWS + 1):
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
    # Strict: otherwise an unclosed quotation mark would silently swallow all later rows.
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
            f"Correct that row. {ADVICE}"
        ) from error


def remove_guard(cell: str) -> str:
    """Remove the apostrophe that `files.write_csv` puts before text like a formula."""
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(FORMULA_STARTS) else cell


def clean(cell: str) -> str:
    """Return a cell on one line, trimmed."""
    return one_line(" ".join(cell.split()))


def quote_cell(cell: str) -> str:
    """Return a cell for a message: quoted, and shortened when it is long."""
    text = clean(cell[: 2 * MESSAGE_CHARACTERS])
    return repr(text if len(text) <= MESSAGE_CHARACTERS else f"{text[:MESSAGE_CHARACTERS]}...")
