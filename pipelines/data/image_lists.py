"""Lists of images: the images that a job reads from a folder or from a list.

`test` and `inspect` write lists of images. Every job that reads a folder also reads a list.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.data.images import (
    LABELS_TABLE,
    ImageFile,
    Rejected,
    Repeated,
    check_images,
    no_usable_image,
    one_line,
    resolve_folder,
    tell_unusable,
    walk_files,
)
from pipelines.data.roots import is_allowed
from pipelines.data.tables import ENDS_LEFT_OUT, read_table
from pipelines.runs.errors import InputError
from pipelines.runs.files import as_text, write_text
from pipelines.runs.folder import Progress
from pipelines.runs.wording import count_of

CHECKING = "checking images"
PATH_TITLES = ("path", "file", "filename", "image")
"""Titles of the column of paths in a table, in upper or lower case; the first one counts."""
OUTSIDE = "lies outside of the images' folder"
NOT_ALLOWED = "lies outside of the folders that may be used"


@dataclass(frozen=True)
class ListedImages:
    """The paths of the images of a folder or of a list, before any image is opened.

    Attributes
    ----------
    source : Path
        The folder or the list, as the user named it.
    folder : Path
        The folder that the paths are relative to.
    paths : tuple of str
        Sorted. Each file counts once, even if it is named several times or by links.
    rejected : tuple of Rejected
        Files that cannot be used.
    notes : tuple of str
        What the user should know: which images were named several times, which folder the paths are
        relative to, which rows of a table were left out.
    part_of_folder : bool
        Whether the images come from a list that names its folder. The folder's other images then
        also say which classes there are.
    """

    source: Path
    folder: Path
    paths: tuple[str, ...]
    rejected: tuple[Rejected, ...]
    notes: tuple[str, ...] = ()
    part_of_folder: bool = False


@dataclass(frozen=True)
class _List:
    """The content of a list: the folder that it names, if any, and its paths in order."""

    folder: Path | None
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    first: str = ""


def list_images(source: Path, roots: Sequence[Path] | None = None) -> ListedImages:
    """List the images of a folder or of a list.

    A list has one path per line, or is a table with a column of `PATH_TITLES`. Paths are absolute,
    or relative to the folder in the list's first line (“# FOLDER”, as in `failures.txt`). Without
    that line they are relative to the list's own folder, and the images may lie anywhere; their
    folder is then their common folder. Time grows linearly with the number of files.

    Parameters
    ----------
    roots : sequence of Path, optional
        Folders outside of which no image may lie; see `roots.is_allowed`.

    Raises
    ------
    InputError
        When `source` is neither a folder nor a list, or the list names no image.
    """
    if not source.is_file():
        return _list_folder(source, roots)
    listing = _read_list(source)
    if not listing.names:
        raise InputError(f"{source} names no image: there are no failures to look at.")
    if listing.folder is not None:
        check_folder(listing.folder, roots)
    base = listing.folder or source.resolve().parent
    entries = [_find(base, name, listing.folder, roots) for name in listing.names]
    unusable = {entry for entry in entries if isinstance(entry, Rejected)}
    files, repeats = _keep_once(source, [entry for entry in entries if isinstance(entry, _Named)])
    if listing.folder is not None:
        folder, notes = listing.folder, (*listing.notes, *repeats)
    elif not files:
        raise _no_list(source, listing.first, min(unusable, key=lambda file: file.path).reason)
    else:
        folder = _common_folder(files, base)
        about = (
            f"All paths are relative to {folder}, the common folder of the images that "
            f"{source.name} names. A first line “# FOLDER” would name another."
        )
        notes = (about, *listing.notes, *repeats)
    return ListedImages(
        source,
        folder,
        tuple(sorted(file.relative_to(folder).as_posix() for file in files)),
        tuple(sorted(unusable, key=lambda file: file.path)),
        notes,
        listing.folder is not None,
    )


def _list_folder(folder: Path, roots: Sequence[Path] | None) -> ListedImages:
    check_folder(folder, roots)
    files = list(walk_files(folder, roots))
    rejected = [file for file in files if isinstance(file, Rejected)]
    return ListedImages(
        folder,
        folder,
        tuple(sorted(file for file in files if isinstance(file, str))),
        tuple(sorted(rejected, key=lambda file: file.path)),
        _repeated_links([file.path for file in files if isinstance(file, Repeated)]),
    )


def check_folder(folder: Path, roots: Sequence[Path] | None) -> None:
    """Raise InputError when a folder of images lies outside of the roots; see `is_allowed`."""
    if not is_allowed(resolve_folder(folder), roots):
        raise InputError(f"{folder} {NOT_ALLOWED}. Choose another, or ask who serves the page.")


def find_image_folder(source: Path, roots: Sequence[Path] | None = None) -> Path:
    """Return the folder `source`, or the folder of the list `source`, with links resolved.

    Raises
    ------
    InputError
        When there is no such folder or list.
    """
    if not source.is_file():
        return resolve_folder(source)
    return _read_list(source).folder or list_images(source, roots).folder


def write_image_list(file: Path, folder: Path, paths: Sequence[str]) -> None:
    """Write a list of images: their folder in a comment, then one relative path per line."""
    write_text(file, "".join(f"{line}\n" for line in (f"# {as_text(folder.resolve())}", *paths)))


def _read_list(source: Path) -> _List:
    try:
        text = source.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        detail = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{source} is not a list of images in UTF-8: {detail}.") from error
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if lines[0].startswith("# "):
        folder = _resolve_named(source, lines[0].removeprefix("# "))
        return _List(folder, tuple(line for line in lines[1:] if line.strip()))
    lines = [line for line in lines if line.strip()]
    first = lines[0] if lines else ""
    titles = [cell.strip(" \"'").lower() for cell in re.split(r"[,;\t|]", first)]
    if not set(titles) & set(PATH_TITLES) or (source.parent / first).is_file():
        return _List(None, tuple(lines), first=first)
    if len(titles) == 1:
        return _List(None, tuple(_unquote(line) for line in lines[1:]), first=first)
    return _read_table_of_paths(source, first)


def _resolve_named(source: Path, folder: str) -> Path:
    """Return the folder that the first line of a list names, without links."""
    try:
        if one_line(folder) != folder:
            raise InputError("its name has a control character.")
        return resolve_folder(source.parent / folder)
    except InputError as error:
        raise InputError(
            f"The first line of {source} names a folder that cannot be used: {error}"
        ) from error


def _read_table_of_paths(source: Path, first: str) -> _List:
    """Read the paths of a table; the notes name the rows that were left out."""
    table = read_table(source)
    titles = [title.lower() for title in table.header]
    title = next(title for title in PATH_TITLES if title in titles)
    names = tuple(row[titles.index(title)] for row in table.rows)
    notes = []
    if others := [other for other in PATH_TITLES if other in titles and other != title]:
        notes.append(
            f"Paths are taken from the column {title} of {source.name}, not from "
            f"{' or '.join(others)}."
        )
    left_out = [remark for remark in table.remarks if remark[1].endswith(ENDS_LEFT_OUT)]
    left_out += [
        (line, f"expected a path, received an empty cell{ENDS_LEFT_OUT}")
        for line, name in zip(table.lines, names, strict=True)
        if not name.strip()
    ]
    if left_out:
        line, remark = left_out[0]
        notes.append(
            f"{count_of(len(left_out), 'row')} of {source.name} cannot be used (line {line}: "
            f"{remark})."
        )
    return _List(None, tuple(name for name in names if name.strip()), tuple(notes), first)


def _unquote(cell: str) -> str:
    text = cell.strip()
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return text[1:-1].replace('""', '"') if quoted else cell


@dataclass(frozen=True)
class _Named:
    """A file that a list names.

    Attributes
    ----------
    name : str
        The name in the list.
    file : Path
        Absolute, without “..”; its folder has no links, the file itself may be a link.
    target : Path
        The file with links resolved. Two names with the same target are one image.
    """

    name: str
    file: Path
    target: Path


def _find(
    base: Path, name: str, folder: Path | None, roots: Sequence[Path] | None
) -> _Named | Rejected:
    """Find the file that a line names; it must lie in `folder` if the list names that."""
    if one_line(name) != name:
        return Rejected(one_line(name), "its name holds a control character: rename it")
    texts = (name, name.strip(), name.strip().replace("\\", "/"))  # as Windows writes them
    named = next((base / text for text in texts if os.path.lexists(base / text)), base / name)
    try:
        file = named.parent.resolve() / named.name
        target = file.resolve()
    except (OSError, RuntimeError):
        return Rejected(name, "a symbolic link that leads nowhere")
    if folder is not None and not file.is_relative_to(folder):
        file = target
        if not file.is_relative_to(folder):
            file = named  # below a linked folder, it is found by the path of the link
        if ".." in file.parts or not file.is_relative_to(folder):
            return Rejected(name, OUTSIDE)
    if not is_allowed(target, roots) and not (folder is not None and target.is_relative_to(folder)):
        return Rejected(name, NOT_ALLOWED)
    if reason := tell_unusable(file, folder or target.parent, roots):
        inside = folder is not None and file.is_relative_to(folder)
        key = file.relative_to(folder or "/").as_posix() if inside else os.path.normpath(name)
        return Rejected(key, reason)
    if file.is_dir():
        return Rejected(name, "not a regular file")
    return _Named(name, file, target)


def _keep_once(source: Path, named: Sequence[_Named]) -> tuple[list[Path], tuple[str, ...]]:
    """Return each file once, the file itself rather than a link, and a note on repetitions."""
    kept: dict[Path, _Named] = {}
    repeated = []
    for entry in named:
        known = kept.setdefault(entry.target, entry)
        if known is not entry:
            repeated.append(entry.name)
            # The choice does not depend on the order of the lines.
            kept[entry.target] = min(
                known, entry, key=lambda one: (one.file != one.target, one.file)
            )
    files = [entry.file for entry in kept.values()]
    if not repeated:
        return files, ()
    count = len(repeated)
    return files, (
        f"{count_of(count, 'line')} of {source.name} {'names' if count == 1 else 'name'} an image "
        f"that an earlier line names, too (such as {repeated[0]}): each image counts once.",
    )


def _repeated_links(paths: Sequence[str]) -> tuple[str, ...]:
    if not paths:
        return ()
    what = "link leads" if len(paths) == 1 else "links lead"
    return (
        f"{len(paths)} symbolic {what} to an image that is there by another path, too (such as "
        f"{min(paths)}): each image counts once.",
    )


def _common_folder(files: Sequence[Path], base: Path) -> Path:
    """Return the common folder of files, or the nearest folder above it with a `labels.csv`.

    Folders above the list's own folder are not searched.
    """
    common = Path(os.path.commonpath([file.parent for file in files]))
    if common.is_relative_to(base):
        for folder in (common, *common.parents):
            if (folder / LABELS_TABLE).is_file():
                return folder
            if folder == base:
                break
    return common


def _no_list(source: Path, first: str, reason: str) -> InputError:
    """Return the error for a file that is no list of images."""
    *titles, last = PATH_TITLES
    return InputError(
        f"{source} is neither a folder nor a list of images: expected “# FOLDER” in its first "
        f"line, the path of an image a line, or a table with a column {', '.join(titles)} or "
        f"{last}, received {first[:80]!r}; no file that it names can be used ({reason})."
    )


def check_listed(
    listed: ListedImages, progress: Progress
) -> tuple[list[ImageFile], list[Rejected]]:
    """Read the headers and digests of all images, as the stage `CHECKING`.

    Returns
    -------
    images : list of ImageFile
    rejected : list of Rejected
        All files that cannot be used.

    Raises
    ------
    InputError
        When no image can be used.
    """
    images, unusable = check_images(
        listed.folder, list(listed.paths), lambda done, total: progress(CHECKING, done, total)
    )
    rejected = [*listed.rejected, *unusable]
    if not images:
        raise no_usable_image(listed.folder, rejected)
    return images, rejected
