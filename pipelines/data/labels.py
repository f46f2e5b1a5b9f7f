"""What images really show: labels from a table beside them, or from class folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.data.tables import clean, join_rows, read_table, remove_guard
from pipelines.runs.errors import InputError

LABELS_TABLE = "labels.csv"
CLASS_FOLDERS = "class folders"
LABEL = "label"
PREDICTION = "prediction"
SEPARATOR = ";"


@dataclass(frozen=True)
class Truth:
    """The labels of images.

    Attributes
    ----------
    columns : tuple of str
        ("label",), or the names of the numbers that are to be predicted.
    values : dict of str to tuple of str
        By path, a cell a column; images without a label are not in it.
    source : str
        Where they come from, in words.
    """

    columns: tuple[str, ...]
    values: dict[str, tuple[str, ...]]
    source: str


def read_truth(folder: Path, paths: Sequence[str]) -> Truth:
    """Read the labels of images: from `labels.csv` in the folder, else from class folders.

    The table's first column is the relative path. Its column `label` holds a class, several with
    semicolons between, or numbers; without such a column, all columns but `prediction` are numbers
    to be predicted.

    Raises
    ------
    InputError
        When there is neither a table nor a class folder, or the table has none of the images.
    """
    table = folder / LABELS_TABLE
    if table.is_file():
        return _from_table(folder, table, paths)
    inside = {path: path.rsplit("/", 1)[0] for path in paths if "/" in path}
    if not inside:
        raise InputError(
            f"{folder} has no labels: expected a table {LABELS_TABLE} (path, label) or a folder a "
            f"class; {len(paths)} images lie in the folder itself."
        )
    values: dict[str, tuple[str, ...]] = {path: (label,) for path, label in inside.items()}
    return Truth((LABEL,), values, CLASS_FOLDERS)


def _from_table(folder: Path, file: Path, paths: Sequence[str]) -> Truth:
    table = read_table(file)
    titles = [title.lower() for title in table.header]
    if LABEL in titles[1:]:
        columns = [titles.index(LABEL, 1)]
    else:
        columns = [place for place, title in enumerate(titles) if place and title != PREDICTION]
    rows, _ = join_rows(file, table, paths, folder)
    values = {}
    for image, row in rows.items():
        cells = tuple(clean(remove_guard(table.rows[row][column])) for column in columns)
        if all(cells):
            values[paths[image]] = cells
    if not values:
        raise InputError(
            f"{file} has a label for none of the {len(paths)} images: all their cells are empty."
        )
    return Truth(tuple(table.header[column] for column in columns), values, LABELS_TABLE)


def order_classes(
    truth: Truth, outputs: int, given: Sequence[str] | None, several: bool
) -> tuple[str, ...]:
    """Return the names of a classifier's classes in the order of its outputs.

    Without names that are given, they are sorted, as Keras does with class folders; in a table,
    whole numbers from 0 are positions.

    Parameters
    ----------
    outputs : int
        Of the network; one output stands for two classes.
    several : bool
        Whether an image may have several labels.

    Raises
    ------
    InputError
        When names and outputs do not go together, or a label is no class.
    """
    cells = {cell for values in truth.values.values() for cell in values}
    used = {part for cell in cells for part in split_label(cell)} if several else cells
    wanted = 2 if outputs == 1 and not several else outputs
    if given is not None:
        if len(given) != wanted or len(set(given)) != wanted:
            raise InputError(
                f"classes: expected {wanted} names, one an output of the network, received "
                f"{len(given)} ({', '.join(given[:5])}, ...)."
            )
        if unknown := sorted(used - set(given)):
            raise InputError(
                f"the network knows no class {unknown[0]!r} ({truth.source}); its classes are "
                f"{', '.join(given)}. {len(unknown)} labels are unknown."
            )
        return tuple(given)
    positions = {str(place) for place in range(wanted)}
    if truth.source == LABELS_TABLE and used <= positions:
        return tuple(str(place) for place in range(wanted))
    if len(used) != wanted:
        raise InputError(
            f"the network has {wanted} classes, and {truth.source} {len(used)} "
            f"({', '.join(sorted(used)[:5])}, ...). Give --classes, a file with the names of all "
            "classes, one a line, in the order of the outputs."
        )
    return tuple(sorted(used))


def split_label(cell: str) -> tuple[str, ...]:
    """Return the classes that a cell names."""
    return tuple(sorted({part.strip() for part in cell.split(SEPARATOR)} - {""}))


def read_classes(file: Path) -> tuple[str, ...]:
    """Read the names of classes, one a line."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--classes: {file} cannot be read: {error}.") from error
    return tuple(line.strip() for line in lines if line.strip())
