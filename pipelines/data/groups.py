"""Groups of images: frames of one track, drive or person are no independent images.

Thirty frames of one sign fail together. What is counted, tested and shown therefore knows which
images belong to one group: by a column of a table, by a part of their names, or by the stem that
frames of a track share before their number. (`safe.near_duplicates` looks at the pictures.)
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.data.tables import clean, join_rows, read_table
from pipelines.runs.errors import InputError
from pipelines.runs.wording import count_of

AUTO, NONE = "auto", "none"
FRAME = re.compile(r"(?P<stem>.*\d.*[_\-. ]|.*\d[a-z]+)(?P<number>\d+)", re.IGNORECASE)
"""A file's name without its ending: something that holds a number of its own, then the frame's."""
FEWEST_STEMS = 10
LARGEST_SHARE = 0.1
"""Stems that fewer share, or of which one is shared by more of all images, name no tracks."""
SHOWN = 3
BESIDE = ("labels.csv", "parameters.csv")
"""Tables beside images, of which a column may name the groups."""


@dataclass(frozen=True)
class Groups:
    """The group of each image.

    Attributes
    ----------
    names : dict of str to str
        Group by path; an image that is not in it is a group of its own.
    how : str
        How they were told, for the user; empty where every image is its own.
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
        "auto" (also where None): by a stem that names share before a frame number, if there are
        such stems. "none": every image is its own. Else a column of one of the tables, or else a
        regular expression, whose first group (or whole match) in the path names the group.
    paths : sequence of str
        Relative paths of all images, failing and passing.
    tables : sequence of Path, optional
        Their first column is the relative path; None where the job takes no tables.
    folder : Path
        Of the images.
    without : str
        What to say where there are no tables.

    Raises
    ------
    InputError
        When it is neither a column nor a regular expression that matches any path.
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
    """Return the cells of a column by path; None where the table has no such column."""
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
    """Return what a regular expression matches by path."""
    try:
        pattern = re.compile(wanted)
    except re.error as error:
        kinds = "auto, none or" if tables is None else "auto, none, a column of the tables or"
        raise InputError(
            f"groups: expected {kinds} a regular expression, received {wanted!r} ({error})."
        ) from error
    matches = {path: pattern.search(path) for path in paths}
    named = {path: found[min(1, pattern.groups)] for path, found in matches.items() if found}
    names = {path: name for path, name in named.items() if name}
    if not names:
        column = ""
        if tables is not None:
            columns = (
                f" of {', '.join(file.name for file in tables)}" if tables else f" ({without})"
            )
            column = f"is no column{columns}, and "
        raise InputError(
            f"groups: {wanted!r} {column}as a regular expression matches none of {len(paths)} "
            f"paths, such as {next(iter(paths), '')!r}."
        )
    return names


def find_groups_beside(wanted: str | None, paths: Sequence[str], folder: Path) -> Groups:
    """Find the groups of labelled images, by the tables that lie beside them; see `find_groups`."""
    tables = [folder / name for name in BESIDE if (folder / name).is_file()]
    without = f"neither {' nor '.join(BESIDE)} lies in {folder}"
    return find_groups(wanted, paths, tables, folder, without)


def _by_stem(paths: Sequence[str]) -> Groups:
    """Group names such as `00012_00003.png`, where enough different stems have several frames."""
    stems = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        if found := FRAME.fullmatch(name.rpartition(".")[0]):
            stems[path] = f"{folder}/{found['stem']}"
    counts = Counter(stems.values())
    several = {stem for stem, count in counts.items() if count > 1}
    frames = sum(counts[stem] for stem in several)
    if len(several) < FEWEST_STEMS or 2 * frames < len(paths):
        return ALONE
    if max(counts.values()) > LARGEST_SHARE * len(paths):
        return ALONE
    # One stem a folder names the folder's class (n01440764_10026.JPEG), and no track.
    folders = Counter(stem.rpartition("/")[0] for stem in several)
    if len(folders) > 1 and max(folders.values()) == 1:
        return ALONE
    examples = ", ".join(repr(stem.rpartition("/")[2]) for stem in sorted(several)[:SHOWN])
    names = {path: stem for path, stem in stems.items() if stem in several}
    return Groups(names, f"by the stem before the frame number in their names ({examples}, ...)")


def number_groups(groups: Groups, paths: Sequence[str]) -> NDArray[np.int64]:
    """Return a number a group: images of one group share it.

    Returns
    -------
    array of int64, shape (n,)
        From 0, in the order of first occurrence.
    """
    numbers: dict[str | int, int] = {}
    # Images of two folders may have the same path: without a group each is its own.
    keys = [groups.names.get(path, place) for place, path in enumerate(paths)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def describe_groups(groups: Groups, paths: Sequence[str]) -> str:
    """Say how many images come in how many groups, and how that was told; empty without groups."""
    if not groups.how:
        return ""
    count = len(np.unique(number_groups(groups, paths)))
    return f"{count_of(len(paths), 'image')} in {count_of(count, 'group')}, {groups.how}"
