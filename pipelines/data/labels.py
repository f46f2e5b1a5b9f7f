"""The labels of images: from a table beside them, or from class folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.data.images import LABELS_TABLE
from pipelines.data.tables import clean, join_rows, read_table, remove_guard
from pipelines.runs.errors import InputError

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
        ("label",), or the names of the numbers that the DNN predicts.
    values : dict of str to tuple of str
        For each path, one cell per column; images without a label are left out.
    source : str
        Where the labels come from, in words.
    """

    columns: tuple[str, ...]
    values: dict[str, tuple[str, ...]]
    source: str


def read_truth(folder: Path, paths: Sequence[str]) -> Truth:
    """Read the labels of images: from `labels.csv` in the folder, or else from class folders.

    The first column of the table is the relative path. The column `label` holds a class, several
    classes separated by semicolons, or numbers. Without that column, all columns except
    `prediction` are numbers that the DNN predicts.

    Raises
    ------
    InputError
        When there is neither a table nor a class folder, or the table labels none of the images.
    """
    table = folder / LABELS_TABLE
    if table.is_file():
        return _from_table(folder, table, paths)
    inside = {path: path.rsplit("/", 1)[0] for path in paths if "/" in path}
    if not inside:
        raise InputError(
            f"{folder} has no labels: expected a table {LABELS_TABLE} (path, label) or one folder "
            f"per class, received {len(paths)} images in the folder itself."
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
            f"{file} labels none of the {len(paths)} images: all their cells are empty. "
            "Fill in the labels."
        )
    return Truth(tuple(table.header[column] for column in columns), values, LABELS_TABLE)


def no_labelled_image(folder: Path, unlabelled: Sequence[str], truth: Truth) -> InputError:
    """Return the error that no image has a label, though there are images and labels."""
    return InputError(
        f"{folder}: expected a label for each image, received none for {len(unlabelled)} images, "
        f"such as {unlabelled[0]}; labels come from {truth.source}. Give those images labels."
    )


def order_classes(
    truth: Truth, outputs: int, names: Sequence[str] | None, several: bool
) -> tuple[str, ...]:
    """Return the names of a classifier's classes in the order of its outputs.

    Without `names`, the labels are sorted, as Keras sorts class folders. Labels in a table that are
    whole numbers from 0 are positions of outputs.

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
        When the number of names is not that of the classes, or a label is not a class.
    """
    cells = {cell for values in truth.values.values() for cell in values}
    used = {part for cell in cells for part in split_label(cell)} if several else cells
    count = 2 if outputs == 1 and not several else outputs
    if names is not None:
        if len(names) != count or len(set(names)) != count:
            raise InputError(
                f"classes: expected {count} names, one for each class of the network, received "
                f"{len(names)} ({', '.join(names[:5])}, ...). Every class needs its own name."
            )
        if unknown := sorted(used - set(names)):
            raise InputError(
                f"the network has no class {unknown[0]!r} ({truth.source}); its classes are "
                f"{', '.join(names)}. {len(unknown)} labels are unknown: correct the labels "
                "or --classes."
            )
        return tuple(names)
    positions = {str(place) for place in range(count)}
    if truth.source == LABELS_TABLE and used <= positions:
        return tuple(str(place) for place in range(count))
    if len(used) != count:
        raise InputError(
            f"the network has {count} classes, but the labels ({truth.source}) name {len(used)} "
            f"({', '.join(sorted(used)[:5])}, ...). Give --classes, a file with the names of all "
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
