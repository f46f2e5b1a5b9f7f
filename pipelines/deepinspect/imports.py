"""Distances, labels and predictions that another framework exported as CSV files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.data.labels import split_label
from pipelines.data.tables import ENDS_LEFT_OUT, Table, clean, quote_cell, read_table
from pipelines.runs.errors import InputError

ALIKE = 1e-6
"""Relative difference up to which two distances of one pair count as equal."""

ImageLabels = dict[str, tuple[str, ...]]


def read_distances(file: Path) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Read the distances of all pairs of classes: two columns of classes and one of numbers.

    A pair may be in the table once, or once in each order.  Time and memory grow with the square of
    the number of classes.

    Returns
    -------
    names : tuple of str, length k
        Sorted; as numbers if all names are whole numbers.
    distances : array of float64, shape (k, k)
        Symmetric, 0 on the diagonal.

    Raises
    ------
    InputError
        When the table cannot be read, has no titles or a row with too many cells, a pair is missing
        or has two different distances, or a distance is not a number of at least 0.
    """
    table = read_table(file)
    if len(table.header) != 3:
        raise InputError(
            f"{file}: expected three columns, class, class and distance, received "
            f"{len(table.header)} ({', '.join(table.header[:5])})."
        )
    _check_rows(str(file), table, "class,class,distance", titled=not _is_number(table.header[2]))
    cells = [(clean(row[0]), clean(row[1])) for row in table.rows]
    names = sort_names({name for pair in cells for name in pair} - {""})
    places = {name: place for place, name in enumerate(names)}
    result = np.full((len(names), len(names)), np.nan)
    for line, (one, other), row in zip(table.lines, cells, table.rows, strict=True):
        if not one or not other:
            raise InputError(f"{file}, row {line}: expected two classes, received an empty cell.")
        value = _number(file, table, line, row[2])
        a, b = places[one], places[other]
        if a == b and value:
            raise InputError(
                f"{file}, row {line}: expected 0 as the distance of {quote_cell(one)} to itself, "
                f"received {value:g}. Leave such rows out."
            )
        before = result[a, b]
        if not np.isnan(before) and abs(before - value) > ALIKE * max(before, value):
            raise InputError(
                f"{file}, row {line}: expected one distance between {quote_cell(one)} and "
                f"{quote_cell(other)}, received {value:g} after {before:g}. Distances are "
                "symmetric: give each pair once."
            )
        result[a, b] = result[b, a] = value
    if len(names) < 2:
        raise InputError(f"{file}: expected two classes or more, received {', '.join(names)}.")
    np.fill_diagonal(result, 0)
    first, second = np.nonzero(np.isnan(result))
    if len(first):
        raise InputError(
            f"{file}: expected a distance for each pair of its {len(names)} classes, received none "
            f"for {quote_cell(names[first[0]])} and {quote_cell(names[second[0]])}; "
            f"pairs without one: {len(first) // 2:,}. Add them, or leave out classes that are "
            "never predicted."
        )
    return names, result


def sort_names(names: set[str]) -> tuple[str, ...]:
    """Sort names of classes: as numbers if all are whole numbers, otherwise as text."""
    if all(name.isascii() and name.isdigit() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def _check_rows(file: str, table: Table, titles: str, *, titled: bool) -> None:
    """Check that the table loses no row.

    Raises
    ------
    InputError
        When the first row has data instead of titles, or a row has too many cells.
    """
    if not titled:
        raise InputError(
            f"{file}: expected titles in the first row, received "
            f"{quote_cell(table.delimiter.join(table.header))}. Put a row with titles in front, "
            f"for example {titles}."
        )
    for line, what in table.remarks:
        if what.endswith(ENDS_LEFT_OUT):
            raise InputError(
                f"{file}, row {line}: {what.removesuffix(ENDS_LEFT_OUT)}. Put cells with a "
                f"{table.delimiter!r} in them between quotation marks."
            )


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def _number(file: Path, table: Table, line: int, cell: str) -> float:
    text = cell.strip().replace(",", ".") if table.decimal_commas else cell.strip()
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value < float("inf"):
        raise InputError(
            f"{file}, row {line}: expected a distance, a number of at least 0, received "
            f"{quote_cell(cell)}."
        )
    return value


def read_labels(file: Path, option: str, names: Sequence[str]) -> ImageLabels:
    """Read the classes of images: a column of images, and one of classes separated by semicolons.

    Parameters
    ----------
    option : str
        The command-line option that names the file, for messages.
    names : sequence of str
        The classes that have distances.

    Raises
    ------
    InputError
        When the table cannot be read, has no titles or a row with too many cells, an image is
        listed twice, or a class has no distances.
    """
    table = read_table(file)
    if len(table.header) != 2:
        raise InputError(
            f"{option} {file}: expected two columns, image and labels, received "
            f"{len(table.header)} ({', '.join(table.header[:5])}). Put semicolons between labels."
        )
    known = set(names)
    classes = split_label(table.header[1])
    titled = not classes or not known.issuperset(classes)
    _check_rows(f"{option} {file}", table, "image,labels", titled=titled)
    labels: ImageLabels = {}
    for line, row in zip(table.lines, table.rows, strict=True):
        image, classes = clean(row[0]), tuple(clean(part) for part in split_label(row[1]))
        if image in labels:
            raise InputError(
                f"{option} {file}, row {line}: expected one row per image, received another of "
                f"{quote_cell(image)}."
            )
        if unknown := [name for name in classes if name not in known]:
            raise InputError(
                f"{option} {file}, row {line}: the class {quote_cell(unknown[0])} has no "
                f"distances. Expected one of {', '.join(names[:5])}"
                f"{', ...' if len(names) > 5 else ''}. Add "
                "its distances to all other classes, or leave these rows out."
            )
        labels[image] = classes
    return labels


def join_labels(labels: ImageLabels, predictions: ImageLabels) -> tuple[str, ...]:
    """Return the images that have both labels and predictions, sorted.

    Raises
    ------
    InputError
        When there is no such image.
    """
    images = tuple(sorted(labels.keys() & predictions.keys()))
    if not images:
        example = next(iter(labels), ""), next(iter(predictions), "")
        raise InputError(
            "labels and predictions have no image in common: expected the same names of images in "
            f"their first columns, received {quote_cell(example[0])} and {quote_cell(example[1])}."
        )
    return images


def as_matrix(classes: Sequence[Sequence[str]], names: Sequence[str]) -> NDArray[np.bool_]:
    """Return which classes each image has, as an array of bool of shape (n, k).

    Parameters
    ----------
    classes : sequence of sequences of str, length n
        The classes of each image.
    names : sequence of str, length k
        All classes, in the order of the columns.
    """
    places = {name: place for place, name in enumerate(names)}
    result = np.zeros((len(classes), len(names)), dtype=np.bool_)
    for image, row in enumerate(classes):
        for name in row:
            result[image, places[name]] = True
    return result
