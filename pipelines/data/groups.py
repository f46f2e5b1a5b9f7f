"""Groups of images: frames of one track, drive or person are not independent images.

Thirty frames of one sign fail together. Counts, tests and pages therefore need to know which images
belong to one group. The group comes from a column of a table, from a part of the path, or from the
part of the file name before the frame number, the stem. (`safe.near_duplicates` compares pixels
instead.)
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.data.table_rows import join_rows
from pipelines.data.tables import clean, read_table
from pipelines.runs.errors import InputError
from pipelines.runs.wording import count_of

AUTO, NONE = "auto", "none"
FRAME = re.compile(r"(?P<stem>.*\d.*[_\-. ]|.*\d[a-z]+)(?P<number>\d+)", re.IGNORECASE)
"""A file's name without its extension: a stem that contains a number, then the frame number."""
FEWEST_STEMS = 10
"""If fewer stems have several images, stems are not tracks."""
LARGEST_SHARE = 0.1
"""If one stem has a larger share of all images, stems are not tracks."""
EXAMPLES = 3
"""Number of stems that a description lists."""
GROUP_TABLES = ("labels.csv", "parameters.csv")
"""Tables beside the images that may have a column with the groups."""


@dataclass(frozen=True)
class Groups:
    """The group of each image.

    Attributes
    ----------
    names : dict of str to str
        The group of each image, by path; an image that is not in it is a group of its own.
    how : str
        How the groups were found, in words; empty when every image is a group of its own.
    """

    names: Mapping[str, str]
    how: str


ALONE = Groups({}, "")


def find_groups(
    wanted: str | None,
    paths: Sequence[str],
    tables: Sequence[Path] | None,
    folder: Path,
    without: str = "no table is given by --parameters",
) -> Groups:
    """Find the groups of images.

    Parameters
    ----------
    wanted : str, optional
        "auto" or None: the stem of the file name, if there are enough stems with several frames.
        "none": every image is a group of its own. Otherwise a column of one of the tables, or a
        regular expression whose first group (or whole match) in the path is the group.
    paths : sequence of str
        Relative paths of all images, failing and passing.
    tables : sequence of Path, optional
        The first column is the relative path; None when the job reads no tables.
    folder : Path
        The folder of the images.
    without : str
        Why there are no tables, for the message.

    Raises
    ------
    InputError
        When `wanted` is neither a column nor a regular expression that matches a path.
    """
    if wanted == NONE:
        return ALONE
    if wanted in (None, AUTO):
        return _by_stem(paths)
    for file in tables or ():
        names = _by_column(wanted, file, paths, folder)
        if names is not None:
            return Groups(names, f"by the column {wanted} of {file.name}")
    names = _by_pattern(wanted, paths, tables, without)
    return Groups(names, f"by the part of their paths that matches {wanted!r}")


def _by_column(
    wanted: str, file: Path, paths: Sequence[str], folder: Path
) -> dict[str, str] | None:
    """Return the cells of a column by path; None when the table has no such column."""
    table = read_table(file)
    titles = [clean(title) for title in table.header]
    if clean(wanted) not in titles[1:]:
        return None
    column = titles.index(clean(wanted), 1)
    rows, _ = join_rows(file, table, paths, folder)
    cells = {paths[image]: clean(table.rows[row][column]) for image, row in rows.items()}
    return {path: cell for path, cell in cells.items() if cell}


def _by_pattern(
    wanted: str, paths: Sequence[str], tables: Sequence[Path] | None, without: str
) -> dict[str, str]:
    """Return the part of each path that a regular expression matches, by path."""
    try:
        pattern = re.compile(wanted)
    except re.error as error:
        kinds = "auto, none or" if tables is None else "auto, none, a column of the tables or"
        raise InputError(
            f"groups: expected {kinds} a regular expression, received {wanted!r} ({error})."
        ) from error
    matches = {path: pattern.search(path) for path in paths}
    parts = {path: match[min(1, pattern.groups)] for path, match in matches.items() if match}
    names = {path: part for path, part in parts.items() if part}
    if not names:
        column = ""
        if tables is not None:
            columns = (
                f" of {', '.join(file.name for file in tables)}" if tables else f" ({without})"
            )
            column = f"is no column{columns}, and "
        raise InputError(
            f"groups: {wanted!r} {column}as a regular expression matches none of "
            f"{count_of(len(paths), 'path')}, such as {next(iter(paths), '')!r}. Give another, "
            "or auto or none."
        )
    return names


def find_groups_beside(wanted: str | None, paths: Sequence[str], folder: Path) -> Groups:
    """Find the groups of images with the `GROUP_TABLES` in their folder; see `find_groups`."""
    tables = [folder / name for name in GROUP_TABLES if (folder / name).is_file()]
    without = f"neither {' nor '.join(GROUP_TABLES)} lies in {folder}"
    return find_groups(wanted, paths, tables, folder, without)


def _by_stem(paths: Sequence[str]) -> Groups:
    """Group names such as `00012_00003.png` by stem, if enough stems have several frames."""
    stems = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        if match := FRAME.fullmatch(name.rpartition(".")[0]):
            stems[path] = f"{folder}/{match['stem']}"
    counts = Counter(stems.values())
    several = {stem for stem, count in counts.items() if count > 1}
    frames = sum(counts[stem] for stem in several)
    if len(several) < FEWEST_STEMS or 2 * frames < len(paths):
        return ALONE
    if max(counts.values()) > LARGEST_SHARE * len(paths):
        return ALONE
    # If each folder has one stem, it is the name of a class (n01440764_10026.JPEG), not of a track.
    folders = Counter(stem.rpartition("/")[0] for stem in several)
    if len(folders) > 1 and max(folders.values()) == 1:
        return ALONE
    examples = ", ".join(repr(stem.rpartition("/")[2]) for stem in sorted(several)[:EXAMPLES])
    names = {path: stem for path, stem in stems.items() if stem in several}
    return Groups(names, f"by the stem before the frame number in their names ({examples}, ...)")


def number_groups(groups: Groups, paths: Sequence[str]) -> NDArray[np.int64]:
    """Return the number of each image's group.

    Returns
    -------
    array of int64, shape (n,)
        Groups are numbered from 0 in the order in which they first occur.
    """
    numbers: dict[str | int, int] = {}
    # A failing and a passing image may have equal paths; they differ in their positions.
    keys = [groups.names.get(path, place) for place, path in enumerate(paths)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def describe_groups(groups: Groups, paths: Sequence[str]) -> str:
    """Describe the number of images and groups, and how these were found; "" without groups."""
    if not groups.how:
        return ""
    count = len(np.unique(number_groups(groups, paths)))
    return f"{count_of(len(paths), 'image')} in {count_of(count, 'group')}, {groups.how}"
