"""Lists of the images that a DNN confuses between two classes.

`inspect` writes them. `cluster` and `heatmaps` read them, and say which confusion they come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.data.image_lists import write_image_list
from pipelines.runs.files import read_csv, write_csv
from pipelines.runs.guard import name_damaged_file
from pipelines.runs.wording import count_of

PAIR_FOLDER = "pairs"
PAIRS_TABLE = "pairs.csv"
PAIR_COLUMNS = ("list", "class_a", "class_b", "rank", "images")
PAIR_NAMES = r"\d+-\d+\.txt|pairs\.csv"


@dataclass(frozen=True)
class PairList:
    """The images that a DNN confuses between two classes.

    Attributes
    ----------
    first, second : int
        Positions of the classes.
    names : tuple of str
        Names of the classes.
    rank : int or None
        Rank of the pair by NAPVD, from 1; None if it is not known.
    images : sequence of str
        Paths, relative to the folder of the images.
    """

    first: int
    second: int
    names: tuple[str, str]
    rank: int | None
    images: Sequence[str]


def list_name(first: int, second: int) -> str:
    """Return the file name of a pair's list, made of positions: class names may hold any text."""
    return f"{PAIR_FOLDER}/{min(first, second)}-{max(first, second)}.txt"


def write_pair_lists(run: Path, folder: Path, lists: Sequence[PairList]) -> None:
    """Write one list per pair into a run folder, and a table that describes the lists.

    Parameters
    ----------
    folder : Path
        The folder of the images.
    """
    if not lists:
        return
    (run / PAIR_FOLDER).mkdir(exist_ok=True)
    rows = []
    for pair in lists:
        name = list_name(pair.first, pair.second)
        write_image_list(run / name, folder, sorted(pair.images))
        rank = "" if pair.rank is None else pair.rank
        rows.append((name.rpartition("/")[2], *pair.names, rank, len(pair.images)))
    write_csv(run / PAIR_FOLDER / PAIRS_TABLE, PAIR_COLUMNS, rows)


def describe_source(source: Path) -> list[str]:
    """Describe the confusion that the images of a list come from.

    Returns
    -------
    list of str
        One sentence; empty when `source` is not a list that `inspect` wrote.

    Raises
    ------
    InputError
        When the table beside the list is damaged.
    """
    table = source.parent / PAIRS_TABLE
    if source.parent.name != PAIR_FOLDER or not source.is_file() or not table.is_file():
        return []
    with name_damaged_file(table, "inspect the model again"):
        rows = read_csv(table, PAIR_COLUMNS)
        counts = {row["list"]: int(row["images"]) for row in rows}
    return [
        f"The images come from one confusion: {count_of(counts[row['list']], 'image')} that the "
        f"DNN confuses between “{row['class_a']}” and “{row['class_b']}”"
        + (f", which ranks {row['rank']} by NAPVD" if row["rank"] else "")
        + f" (inspection {source.resolve().parent.parent.name})."
        for row in rows
        if row["list"] == source.name
    ]
