"""The labels of images, from a table beside them or from class folders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.data.images import GT_TABLES, LABELS_TABLE
from pipelines.data.table_rows import join_rows, names_image
from pipelines.data.tables import clean, read_table, remove_guard
from pipelines.runs.errors import InputError
from pipelines.runs.wording import count_of

CLASS_FOLDERS = "class folders"
WHERE = f"Labels come from {LABELS_TABLE}, or from class folders."
"""Part of the note of a job that works without labels and finds none."""
LABEL = "label"
TITLES = frozenset({"label", "class", "classid", "target", "y"})
"""Titles of a column of labels, in lower case, without blanks, hyphens and underscores."""
PREDICTION = "prediction"
SEPARATOR = ";"


@dataclass(frozen=True)
class Truth:
    """The labels of images.

    Attributes
    ----------
    columns : tuple of str
        ("label",), or the names of the numbers that the DNN predicts.
    values : dict of str to tuple of str
        For each path, one cell per column; images without a label are left out.
    source : str
        Where the labels come from, in words.
    notes : tuple of str
        What the user should know about the labels.
    """

    columns: tuple[str, ...]
    values: dict[str, tuple[str, ...]]
    source: str
    notes: tuple[str, ...] = ()

    @property
    def in_tables(self) -> bool:
        """Whether labels come from tables, in which whole numbers may be positions of outputs."""
        return self.source in {LABELS_TABLE, GT_TABLES}


def is_label(title: str) -> bool:
    """Tell whether the title of a column says that it holds the class of an image."""
    return re.sub(r"[\s_-]", "", title.lower()) in TITLES


def find_tables(folder: Path, paths: Sequence[str]) -> list[Path]:
    """Find the tables of labels: `labels.csv` in the images' folder, otherwise `GT-*.csv`.

    GTSRB has one or several of the latter, in the folder or beside the images.
    """
    table = folder / LABELS_TABLE
    if table.is_file():
        return [table]
    places = sorted({"", *(path.rpartition("/")[0] for path in paths)})
    return [file for place in places for file in sorted((folder / place).glob(GT_TABLES))]


def read_truth(folder: Path, paths: Sequence[str]) -> Truth:
    """Read the labels of images from tables (see `find_tables`), otherwise from class folders.

    The first column of a table is the path, relative to the table's folder. One column, titled
    `label` or as `is_label` says, holds a class, several classes separated by semicolons, or
    numbers. Without such a column, all columns except `prediction` are numbers that the DNN
    predicts.

    Raises
    ------
    InputError
        When there is neither a table nor a class folder; when the tables label no image, several
        columns may hold the label, or two tables contradict each other.
    """
    tables = find_tables(folder, paths)
    if tables and tables[0].name == LABELS_TABLE:
        return _from_table(tables[0], folder, paths)
    if tables:
        return _from_gt_tables(tables, folder, paths)
    inside = {path: path.rsplit("/", 1)[0] for path in paths if "/" in path}
    if not inside:
        raise InputError(
            f"{folder} has no labels: expected a table {LABELS_TABLE} (path, label) or one folder "
            f"per class, received {count_of(len(paths), 'image')} in the folder itself."
        )
    values: dict[str, tuple[str, ...]] = {path: (label,) for path, label in inside.items()}
    return Truth((LABEL,), values, CLASS_FOLDERS)


def _from_table(file: Path, folder: Path, paths: Sequence[str]) -> Truth:
    """Read the labels of a table whose paths are relative to `folder`, as `paths` are."""
    table, notes = read_table(file), list[str]()
    if len(table.header) == 2 and names_image(table.header[0], paths, folder):
        table = replace(
            table,
            header=["path", LABEL],
            rows=[table.header, *table.rows],
            lines=[table.header_line, *table.lines],
        )
        notes.append(
            f"{file.name} has no row of titles: its first row is read as data, as a path and a "
            "label."
        )
    columns = _label_columns(file, table.header)
    rows, _ = join_rows(file, table, paths, folder)
    values = {}
    for image, row in rows.items():
        cells = tuple(clean(remove_guard(table.rows[row][column])) for column in columns)
        if all(cells):
            values[paths[image]] = cells
    if not values:
        raise InputError(
            f"{file} labels none of {count_of(len(paths), 'image')}: all their cells are empty. "
            "Fill in the labels."
        )
    titles = tuple(table.header[column] for column in columns)
    return Truth(titles, values, LABELS_TABLE, tuple(notes))


def _label_columns(file: Path, header: Sequence[str]) -> list[int]:
    """Return the place of the column of labels, or those of all numbers that the DNN predicts."""
    titles = [title.lower() for title in header]
    named = [place for place, title in enumerate(titles) if place and title == LABEL]
    if not named:
        named = [place for place, title in enumerate(titles) if place and is_label(title)]
        if {"x", "z"} & set(titles):  # y is a coordinate
            named = [place for place in named if titles[place] != "y"]
    if len(named) > 1:
        raise InputError(
            f"{file}: expected one column of labels, received several that may be it: "
            f"{', '.join(header[place] for place in named)}. Title the right one {LABEL}, and no "
            "other."
        )
    others = [place for place, title in enumerate(titles) if place and title != PREDICTION]
    return named or others


def _from_gt_tables(tables: Sequence[Path], folder: Path, paths: Sequence[str]) -> Truth:
    """Join the labels of several tables; each table describes the images below its own folder."""
    values: dict[str, tuple[str, ...]] = {}
    columns: tuple[str, ...] = ()
    for file in tables:
        if not any(is_label(title) for title in read_table(file).header[1:]):
            continue  # GTSRB's test set comes with a second table, without classes
        place = file.parent.relative_to(folder).as_posix()
        start = "" if place == "." else f"{place}/"
        inside = [path.removeprefix(start) for path in paths if path.startswith(start)]
        truth = _from_table(file, file.parent, inside)
        columns = columns or truth.columns
        for path, label in truth.values.items():
            if values.setdefault(start + path, label) != label:
                raise InputError(
                    f"{file}: expected the label of {start + path} that another table gives, "
                    f"{values[start + path][0]}, received {label[0]}. Correct one of them."
                )
    if not values:
        raise InputError(
            f"{tables[0]}: expected a column of labels, such as ClassId or {LABEL}, received none."
        )
    return Truth(columns, values, GT_TABLES)


def read_optional_truth(folder: Path, paths: Sequence[str]) -> Truth | None:
    """Read the labels of images as `read_truth`; None without tables and class folders.

    Raises
    ------
    InputError
        When a table cannot be used.
    """
    try:
        return read_truth(folder, paths)
    except InputError:
        if find_tables(folder, paths):
            raise
        return None


def read_labelled(folder: Path, paths: Sequence[str]) -> Truth:
    """Read the labels of images as `read_truth`; raise InputError when no image has a label."""
    truth = read_truth(folder, paths)
    if not any(path in truth.values for path in paths):
        raise no_labelled_image(folder, paths, truth)
    return truth


def no_labelled_image(folder: Path, unlabelled: Sequence[str], truth: Truth) -> InputError:
    """Return the error that no image has a label, although there are labels."""
    return InputError(
        f"{folder}: expected a label for each image, received none for "
        f"{count_of(len(unlabelled), 'image')}, such as {unlabelled[0]}; labels come from "
        f"{truth.source}. Give those images labels."
    )


def order_classes(
    truth: Truth, outputs: int, names: Sequence[str] | None, several: bool
) -> tuple[str, ...]:
    """Return the names of a classifier's classes in the order of its outputs.

    Without `names`, the labels are sorted, as Keras sorts class folders. If the labels of a table
    are whole numbers from 0, they are positions of outputs.

    Parameters
    ----------
    outputs : int
        Number of outputs of the network; one output stands for two classes.
    names : sequence of str, optional
        Names of the classes in the order of the outputs, from the user.
    several : bool
        Whether an image may have several labels.

    Raises
    ------
    InputError
        When the number of names differs from the number of classes, or a label is not a class.
    """
    if len(truth.columns) > 1:
        raise InputError(
            f"{truth.source}: expected one column of labels, received "
            f"{', '.join(truth.columns)}. Title the column that holds the class {LABEL}."
        )
    cells = {cell for values in truth.values.values() for cell in values}
    used = {part for cell in cells for part in split_label(cell)} if several else cells
    count = 2 if outputs == 1 and not several else outputs
    if names is not None:
        if len(names) != count or len(set(names)) != count:
            raise InputError(
                f"classes: expected {count_of(count, 'name')}, one for each class of the "
                f"network, received {len(names)} ({', '.join(names[:5])}, ...). Every class "
                "needs its own name."
            )
        if unknown := sorted(used - set(names)):
            raise InputError(
                f"the network has no class {unknown[0]!r} ({truth.source}); its classes are "
                f"{', '.join(names)}. Unknown labels: {len(unknown):,}. Correct the labels "
                "or --classes."
            )
        return tuple(names)
    positions = {str(place) for place in range(count)}
    if truth.in_tables and used <= positions:
        return tuple(str(place) for place in range(count))
    if len(used) != count:
        raise InputError(
            f"the network has {count_of(count, 'class', 'classes')}, but the labels "
            f"({truth.source}) name {len(used)} ({', '.join(sorted(used)[:5])}, ...). Give "
            "--classes, a file with the names of all "
            "classes, one per line, in the order of the outputs."
        )
    return tuple(sorted(used))


def split_label(cell: str) -> tuple[str, ...]:
    """Return the distinct classes in a cell, sorted; semicolons separate them."""
    return tuple(sorted({part.strip() for part in cell.split(SEPARATOR)} - {""}))


def read_classes(file: Path) -> tuple[str, ...]:
    """Read a file with the names of classes, one per line; raise InputError when that fails."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--classes: {file} cannot be read: {error}. Check the path.") from error
    return tuple(line.strip() for line in lines if line.strip())
