"""Read the columns of a table: numbers, or categories that rows share."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.data.tables import ENDS_USED, clean, quote_cell

MOST_CATEGORIES = 100
"""A column with more different texts identifies rows when its texts seldom repeat."""
BOOLEANS = frozenset({"true", "false"})
SWITCHES = BOOLEANS | {"yes", "no"}
NO_VALUES = frozenset(
    {"nan", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"}
    | {"na", "n/a", "#n/a", "<na>", "null"}
)
"""Words that programs write for a missing value."""
MARKED_NUMBER = re.compile(r"[+-]?\d[\d.,' ]*[.,' ]\d+")
"""A number with points, commas or spaces inside, which can be read in two ways."""
LARGEST_NUMBER = 1e100
"""Larger numbers count as missing: squares and sums of squares must be finite."""


@dataclass(frozen=True)
class Column:
    """The values of a column.

    Attributes
    ----------
    values : array of float64, shape (r,)
        One per row, nan for a missing one. For categories, the position in `categories`.
    categories : tuple of str
        The categories that occur, sorted; empty for numbers.
    usable : bool
        Whether the column holds information; if not, all values are nan.
    problems : list of tuple of int and str
        Row (-1 for the whole column), and what was expected, what was received and what was done.
    """

    values: NDArray[np.float64]
    categories: tuple[str, ...]
    usable: bool
    problems: list[tuple[int, str]]


def read_column(
    cells: Sequence[str],
    *,
    decimal_commas: bool = False,
    numeric: str = "",
    categorical: bool = False,
) -> Column:
    """Find out what kind of column it is, and read it.

    A column holds

    - categories when the caller says so (`categorical`), or when it holds only 0 and 1, or only
      true, false, yes and no, in upper or lower case;
    - otherwise numbers, when at least half of its values are numbers;
    - otherwise categories, unless the texts identify rows rather than group them: there are more
      than 100 different texts, and more than half of all texts are different.

    nan and infinities count as missing. Time and memory grow with the number of rows.

    Parameters
    ----------
    cells : sequence of str, length r
        Trimmed.
    decimal_commas : bool
        Whether commas may be decimal commas. They are read as such if that makes more cells
        numbers.
    numeric : str
        For a column that may hold only numbers: what messages call one, such as "a number".
    categorical : bool
        Whether the column holds names, even if they consist of digits: 05 stays 05.
    """
    if not any(cells):
        return _useless(cells, "expected values, received only empty cells: column left out", [])
    if categorical:
        return _read_names(cells)
    numbers, texts, problems = _parse(cells, decimal_commas)
    finite = np.isfinite(numbers)
    switch = not texts and set(numbers[finite].tolist()) <= {0.0, 1.0}
    if numeric or (finite.sum() >= max(texts, 1) and not switch):
        values = np.where(finite, numbers, np.nan)
        return _note_gaps(cells, values, (), numeric or "a number", problems)
    return _read_categories(cells, _words(cells, numbers, switch), problems)


def _read_categories(
    cells: Sequence[str], words: Sequence[str], problems: list[tuple[int, str]]
) -> Column:
    """Read a column of texts, unless the texts identify rows rather than group them."""
    categories = tuple(sorted({*words} - {""}))
    filled = len(words) - words.count("")
    if len(categories) > MOST_CATEGORIES and 2 * len(categories) > filled:
        what = (
            f"expected values that images share, received {len(categories)} different ones in "
            f"{filled} rows: column left out"
        )
        return _useless(cells, what, [])
    marked = [cell for cell in cells if MARKED_NUMBER.fullmatch(cell)]
    if 2 * len(marked) > filled:
        what = (
            "expected numbers such as 1.5 or 1500, received numbers with other marks, such as "
            f"{quote_cell(marked[0])}: read as categories"
        )
        problems.append((-1, what))
    return _note_gaps(cells, encode_categories(words, categories), categories, "a value", problems)


def _note_gaps(
    cells: Sequence[str],
    values: NDArray[np.float64],
    categories: tuple[str, ...],
    expected: str,
    problems: list[tuple[int, str]],
) -> Column:
    """Return the column, with a problem for every row without a value; leave out an empty one."""
    for row in np.flatnonzero(np.isnan(values)).tolist():
        received = quote_cell(cells[row]) if cells[row] else "an empty cell"
        what = f"expected {expected}, received {received}: the image has no value here"
        problems.append((row, what))
    if np.isnan(values).all():
        what = f"expected {expected} in some row, received none: column left out"
        return _useless(cells, what, problems)
    return Column(values, categories, True, problems)


def _read_names(cells: Sequence[str]) -> Column:
    words = _words(cells, np.empty(0), switch=False)
    categories = tuple(sorted({*words} - {""}))
    if not categories:
        what = "expected a value in some row, received none: column left out"
        return _useless(cells, what, [])
    problems = [
        (
            row,
            f"expected a value, received {quote_cell(cell) if cell else 'an empty cell'}: the "
            "image has no value here",
        )
        for row, (cell, word) in enumerate(zip(cells, words, strict=True))
        if not word
    ]
    return Column(encode_categories(words, categories), categories, True, problems)


def _useless(cells: Sequence[str], what: str, problems: list[tuple[int, str]]) -> Column:
    return Column(np.full(len(cells), np.nan), (), False, [(-1, what), *problems])


def _parse(
    cells: Sequence[str], decimal_commas: bool
) -> tuple[NDArray[np.float64], int, list[tuple[int, str]]]:
    """Read cells as numbers, nan for other cells, and count the cells that are text."""
    cells = ["nan" if cell.lower() in NO_VALUES else cell for cell in cells]
    parsed = [parse_number(cell) for cell in cells]
    problems = []
    if decimal_commas:
        others = [parse_number(cell, decimal_comma=True) for cell in cells]
        if others.count(None) < parsed.count(None):
            parsed = others
            problems.append((-1, f"expected decimal points, received decimal commas{ENDS_USED}"))
    texts = parsed.count(None) - sum(not cell for cell in cells)
    numbers = np.array([math.nan if value is None else value for value in parsed])
    return numbers, texts, problems


def _words(cells: Sequence[str], numbers: NDArray[np.float64], switch: bool) -> list[str]:
    """Return the category of each cell, "" for a cell without one."""
    if switch:
        return [f"{abs(value):.0f}" if math.isfinite(value) else "" for value in numbers.tolist()]
    words = ["" if cell.lower() in NO_VALUES else clean(cell) for cell in cells]
    # Switches are in lower case in every column, so that two columns can be compared.
    lowered = SWITCHES if {word.lower() for word in words} <= SWITCHES | {""} else BOOLEANS
    return [word.lower() if word.lower() in lowered else word for word in words]


def encode_categories(words: Sequence[str], categories: Sequence[str]) -> NDArray[np.float64]:
    """Return the position of each word in `categories`, nan for ""."""
    codes = {category: float(code) for code, category in enumerate(categories)}
    return np.array([codes.get(word, math.nan) for word in words], dtype=np.float64)


def parse_number(cell: str, *, decimal_comma: bool = False) -> float | None:
    """Read a number; None when the cell is text, nan when it is nan, infinite or above 1e100.

    Parameters
    ----------
    decimal_comma : bool
        Whether commas are decimal commas. Points are then refused: "1.500" may be 1500.
    """
    if decimal_comma:
        if "." in cell:
            return None
        cell = cell.replace(",", ".")
    if "_" in cell:  # Python's own grouping of digits
        return None
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if abs(value) <= LARGEST_NUMBER else math.nan
