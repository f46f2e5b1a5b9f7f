"""Join the rows of a table with images, by the path in the first column."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.data.tables import ENDS_LEFT_OUT, ENDS_USED, Table, quote_cell
from pipelines.runs.errors import InputError

IMAGE_NAME = re.compile(r"\.(jpe?g|png|bmp|webp|tiff?|gif|p[bgp]m)$", re.IGNORECASE)
"""End of a cell that names an image and so is no title."""


@dataclass(frozen=True)
class PassingImages:
    """Passing images that rows of a table may describe.

    Attributes
    ----------
    folder : Path
    paths : sequence of str, length m
        Relative to the folder, with forward slashes.
    """

    folder: Path
    paths: Sequence[str]


@dataclass(frozen=True)
class _Places:
    """Images of one folder: their positions by path, and the absolute names of the folder."""

    places: dict[str, int]
    folder: Path | None
    roots: tuple[str, ...]

    def find(self, cell: str) -> int | None:
        place = self.places.get(cell)
        return self.places.get(_normalised(cell, self.roots)) if place is None else place

    def has_file(self, cell: str) -> bool:
        try:
            path = _normalised(cell, self.roots)
            return self.folder is not None and (self.folder / path).is_file()
        except (OSError, ValueError):
            return False


@dataclass(frozen=True)
class _Images:
    """The images that rows may describe.

    Attributes
    ----------
    sets : tuple of _Places
        Failing images, then passing ones, if any.
    bases : tuple of str
        Folders that paths may be relative to, besides those of the sets.
    """

    sets: tuple[_Places, ...]
    bases: tuple[str, ...]

    def find(self, cell: str) -> list[int]:
        """Find the images that a cell names, at most one per set; those below a base come last."""
        for text in (cell, *(f"{base}/{cell.strip()}" for base in self.bases)):
            places = [place for images in self.sets if (place := images.find(text)) is not None]
            if places:
                return places
        return []

    def has_file(self, cell: str) -> bool:
        return any(images.has_file(cell) for images in self.sets)


def join_rows(
    file: Path,
    table: Table,
    paths: Sequence[str],
    folder: Path | None = None,
    passing: PassingImages | None = None,
    *,
    shared_are_passing: bool = False,
) -> tuple[dict[int, int], list[tuple[int, str]]]:
    """Find the row of each image, by the path in the first column.

    Paths may be relative to the images' folder or absolute below `folder`, with backslashes or
    "./". With passing images, which may lie elsewhere, they may be relative to either folder or to
    the table's own folder. Time grows with the number of rows and of images.

    Parameters
    ----------
    paths : sequence of str, length n
        Relative paths of images, with forward slashes.
    passing : PassingImages, optional
        Images whose rows are read, too; a missing row is no problem.
    shared_are_passing : bool
        Whether a path that both folders have names the passing image.

    Returns
    -------
    rows : dict of int to int
        The first row of each image, by the image's position in `paths`; those of passing images
        follow.
    remarks : list of tuple of int and str
        Remarks on rows without an image and on second rows of an image. Remarks with line 0 are on
        images without a row, unless the table holds rows of passing images alone. Rows of other
        files of the folders are skipped.

    Raises
    ------
    InputError
        When no row names an image; when the table has no titles, so that its first row would be
        lost.
    """
    images = _find_images(file, paths, folder, passing)
    _check_titles(file, table, images)
    rows, shared, remarks = _match_rows(table, images, shared_are_passing)
    if not rows:
        raise InputError(
            f"{file}: expected paths of the run's images in the first column, such as "
            f"{next(iter(paths), '')!r}, received others, such as {quote_cell(table.rows[0][0])}. "
            "Give the paths relative to the folder of the images."
        )
    if shared:
        whose = "passing" if shared_are_passing else "failing"
        what = f"expected paths of one image, received {shared} of a failing and a passing one"
        remarks.append((0, f"{what}, read as those of the {whose} one{ENDS_USED}"))
    if min(rows) < len(paths):
        remarks += [
            (0, f"expected a row of {path}, received none: the image has no value of this table")
            for place, path in enumerate(paths)
            if place not in rows
        ]
    return rows, remarks


def _check_titles(file: Path, table: Table, images: _Images) -> None:
    """Raise InputError when the row of titles names an image: that row would be lost."""
    first = table.header[0]
    if IMAGE_NAME.search(first) or images.find(first):
        raise InputError(
            f"{file}: expected a row of titles, such as “path” and what the columns hold, received "
            f"{quote_cell(first)} in it, which names an image. Put titles above that row."
        )


def names_image(cell: str, paths: Sequence[str], folder: Path) -> bool:
    """Tell whether a cell is the path of an image, or of another file of its folder."""
    images = _places(paths, folder, 0)
    return images.find(cell) is not None or images.has_file(cell)


def _match_rows(
    table: Table, images: _Images, shared_are_passing: bool
) -> tuple[dict[int, int], int, list[tuple[int, str]]]:
    """Return the row of each image, the number of rows that name two images, and remarks."""
    rows: dict[int, int] = {}
    shared = 0
    remarks = []
    for row, (line, cells) in enumerate(zip(table.lines, table.rows, strict=True)):
        places = images.find(cells[0])
        shared += len(places) > 1
        if not places and images.has_file(cells[0]):
            continue  # an image that did not fail: tables may describe all images
        if not places:
            received = quote_cell(cells[0]) if cells[0].strip() else "an empty cell"
            what = f"expected the path of an image of the run, received {received}{ENDS_LEFT_OUT}"
            remarks.append((line, what))
            continue
        place = places[-1 if shared_are_passing else 0]
        if place in rows:
            first = table.lines[rows[place]]
            what = f"expected one row per image, received the image of row {first} again"
            remarks.append((line, f"{what}{ENDS_LEFT_OUT}"))
        else:
            rows[place] = row
    return rows, shared, remarks


def _find_images(
    file: Path, paths: Sequence[str], folder: Path | None, passing: PassingImages | None
) -> _Images:
    """Return the images that rows may describe; with passing images, more names are recognised."""
    failing = _places(paths, folder, 0)
    if passing is None:
        return _Images((failing,), ())
    others = _places(passing.paths, passing.folder, len(paths))
    beside = file.absolute().parent.as_posix()
    return _Images((failing, others), tuple(dict.fromkeys([*failing.roots, *others.roots, beside])))


def _places(paths: Sequence[str], folder: Path | None, first: int) -> _Places:
    roots = () if folder is None else (folder.absolute().as_posix(), folder.resolve().as_posix())
    return _Places({path: place for place, path in enumerate(paths, first)}, folder, roots)


def _normalised(cell: str, roots: Sequence[str]) -> str:
    path = posixpath.normpath(cell.strip().replace("\\", "/"))
    for root in roots:
        path = path.removeprefix(f"{root.rstrip('/')}/")
    return path
