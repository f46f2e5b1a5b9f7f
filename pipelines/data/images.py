"""Find and check the image files of a folder, with digests (SAFE, section 2: data acquisition).

`pixels` decodes them. A file that cannot be used is returned as `Rejected`, with a reason: a bad
file never stops a run.
"""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from pipelines.data.damage import check_damage
from pipelines.data.formats import FORMAT_NAMES, describe_error, open_image, tell_reason
from pipelines.data.prefetch import prefetch
from pipelines.data.roots import is_allowed
from pipelines.runs.errors import InputError
from pipelines.runs.folder import IMAGE_JOBS, PERTURBED_FILE, REJECTED_FILE
from pipelines.runs.manifest import MANIFEST_FILE, STATUS_FILE, NoManifestError, read_manifest

CHECKED_AHEAD = 64
LABELS_TABLE = "labels.csv"
GT_TABLES = "GT-*.csv"
"""Tables of labels in GTSRB's format: one per folder of images, or one for all."""
TABLES = (LABELS_TABLE, "parameters.csv", "unsafe_values.csv")
"""Tables that describe the images of their folder; they are skipped as input."""
BESIDE_IMAGES = (MANIFEST_FILE, STATUS_FILE, REJECTED_FILE, PERTURBED_FILE)
"""Files that the jobs `IMAGE_JOBS` write beside their images. In a folder that such a job wrote,
they are also skipped as input."""
LINE_BREAKS = frozenset("\n\r\t\v\f\x1c\x1d\x1e\x85\u2028\u2029")


@dataclass(frozen=True)
class ImageFile:
    """A file whose header says that it is an image.

    Attributes
    ----------
    path : str
        Relative to the folder, with forward slashes: the key that all files of a run join on.
    digest : str
        SHA-256 of the file's bytes, 64 hexadecimal digits.
    """

    path: str
    digest: str


@dataclass(frozen=True)
class Rejected:
    """A file that cannot be used.

    Attributes
    ----------
    path : str
        Relative to the folder; a name that one line of text cannot hold is quoted, with escapes.
    reason : str
        Why it cannot be used, on one line.
    """

    path: str
    reason: str


def resolve_folder(folder: Path) -> Path:
    """Return the absolute path of a folder, with all symbolic links resolved.

    Raises
    ------
    InputError
        When it is not a folder or cannot be read.
    """
    try:
        root = folder.resolve(strict=True)
    except FileNotFoundError:
        raise InputError(
            f"{folder} does not exist. Give the folder that holds the images."
        ) from None
    except (OSError, RuntimeError) as error:
        raise InputError(f"{folder} cannot be read: {describe_error(error)}.") from error
    if not root.is_dir():
        raise InputError(f"{folder} is not a folder. Give the folder that holds the images.")
    return root


def find_files(folder: Path) -> tuple[list[str], list[Rejected]]:
    """List the files below a folder, except hidden ones and `TABLES`; see `walk_files`.

    Returns
    -------
    paths : list of str
        Relative paths of regular files, sorted.
    rejected : list of Rejected
        The files that cannot be used, sorted by path.

    Raises
    ------
    InputError
        When `folder` is not a folder or cannot be listed.
    """
    files = list(walk_files(folder))
    rejected = [file for file in files if isinstance(file, Rejected)]
    return (
        sorted(file for file in files if isinstance(file, str)),
        sorted(rejected, key=lambda file: file.path),
    )


@dataclass(frozen=True)
class Repeated:
    """A link to a file that already counts by another path; holds the link's relative path."""

    path: str


def walk_files(
    folder: Path, roots: Sequence[Path] | None = None
) -> Iterator[str | Rejected | Repeated]:
    """Go through the files below a folder, except hidden ones and `TABLES`.

    In a folder that `perturb` or `example` wrote, the files of `BESIDE_IMAGES` are skipped, too.

    Links are followed to all targets below the roots. Each folder is entered once, and each file
    counts once: by its own path if it lies in the folder, otherwise by the path of the first link
    to it or to a folder that contains it. A link to a folder that contains the link is not entered,
    because this would never end.

    Parameters
    ----------
    roots : sequence of Path, optional
        See `roots.is_allowed`.

    Yields
    ------
    str, Rejected or Repeated
        The relative path of a regular file. Rejected are links that leave the roots, have no target
        or lead to a folder above, files that are not regular (such as sockets), folders that cannot
        be listed, and names that do not fit on one line of UTF-8 text. Repeated are further links
        to a file, and files of a linked folder to which another link leads, too.

    Raises
    ------
    InputError
        When `folder` is not a folder or cannot be listed.
    """
    # Pillow warns of large images and odd tags; `Rejected` reports what matters.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    walk = _Walk(folder, resolve_folder(folder), roots)
    yield from walk.enter(folder, walk.root)
    while walk.links:  # of two links to a folder or file, always the same one counts
        links, walk.links = sorted(walk.links), []
        for link in links:
            yield from walk.follow(link)
    yield from walk.unlisted


class _Walk:
    """A walk through the files below a folder, and what it has found so far.

    Attributes
    ----------
    folder, root : Path
        The folder with its given name, and with links resolved.
    roots : sequence of Path, optional
    entered : set of Path
        Entered folders, with links resolved.
    linked : set of Path
        Files, with links resolved, that count by the path of a link.
    links : list of Path
        Links to folders that were not followed yet.
    unlisted : list of Rejected
        Folders that cannot be listed.
    """

    def __init__(self, folder: Path, root: Path, roots: Sequence[Path] | None) -> None:
        self.folder, self.root, self.roots = folder, root, roots
        self.entered: set[Path] = set()
        self.linked: set[Path] = set()
        self.links: list[Path] = []
        self.unlisted: list[Rejected] = []

    def enter(self, top: Path, target: Path) -> Iterator[str | Rejected | Repeated]:
        """Go through the files below `top`; `target` is `top` with links resolved."""
        for parent, folders, files in os.walk(top, onerror=self._note):
            real = target / Path(parent).relative_to(top)
            if real in self.entered:
                folders.clear()
                continue
            self.entered.add(real)
            links = [name for name in folders if _is_link(Path(parent, name))]
            folders[:] = sorted(
                name for name in folders if not name.startswith(".") and name not in links
            )
            skipped = _names_to_skip(Path(parent), files)
            for name in sorted([*files, *links]):
                if name.startswith(".") or name in skipped or fnmatchcase(name, GT_TABLES):
                    continue
                file = Path(parent, name)
                outcome = self._judge(file, real / name)
                if outcome is not None:
                    yield outcome

    def follow(self, link: Path) -> Iterator[str | Rejected | Repeated]:
        """Go through the files of a linked folder that was not entered yet."""
        target = link.resolve()
        if target in self.entered:
            return
        if self.root.is_relative_to(target) or link.parent.resolve().is_relative_to(target):
            path = link.relative_to(self.folder).as_posix()
            yield Rejected(path, "a symbolic link to a folder above it: not entered")
            return
        yield from self.enter(link, target)

    def _note(self, error: OSError) -> None:
        closed = Path(error.filename)
        if closed == self.folder:
            raise InputError(f"{self.folder} cannot be listed: {error.strerror}.") from error
        name = one_line(closed.relative_to(self.folder).as_posix())
        self.unlisted.append(Rejected(name, f"folder cannot be listed: {error.strerror}"))

    def _judge(self, file: Path, real: Path) -> str | Rejected | Repeated | None:
        """Return how a file counts; None for a folder. `real` has its folder's links resolved."""
        path = file.relative_to(self.folder).as_posix()
        is_link = _is_link(file)
        reason = tell_unusable(file, self.root, self.roots) if is_link else _tell_irregular(file)
        if one_line(path) != path:
            reason = "its name holds a control character or bytes that are not UTF-8: rename it"
        if reason:
            return Rejected(one_line(path), reason)
        if is_link and file.is_dir():
            self.links.append(file)
            return None
        return (
            Repeated(path) if self._is_repeated(path, file.resolve() if is_link else real) else path
        )

    def _is_repeated(self, path: str, target: Path) -> bool:
        """Tell whether `target` counts by another path, now or later; if not, note it."""
        if target == self.root / path:
            return False
        if target.is_relative_to(self.root):
            own = target.relative_to(self.root).as_posix()
            hidden = any(part.startswith(".") for part in own.split("/"))
            if not hidden and one_line(own) == own:
                return True
        known = target in self.linked
        self.linked.add(target)
        return known


def _names_to_skip(folder: Path, files: Sequence[str]) -> tuple[str, ...]:
    if MANIFEST_FILE in files:
        with suppress(NoManifestError):
            if read_manifest(folder).job in IMAGE_JOBS:
                return (*TABLES, *BESIDE_IMAGES)
    return TABLES


def _is_link(file: Path) -> bool:
    try:
        return file.is_symlink()
    except OSError:  # in a folder that may be listed but not entered
        return False


def tell_unusable(file: Path, root: Path, roots: Sequence[Path] | None = None) -> str:
    """Say why a path below `root` is no file or linked folder that may be read; empty if it is.

    For a link out of the roots, the answer says nothing about its target (see `roots.is_allowed`).
    """
    is_link = _is_link(file)
    try:
        target = file.resolve(strict=is_link)
    except (OSError, RuntimeError):
        return "a symbolic link that leads nowhere"
    if not target.is_relative_to(root) and not is_allowed(target, roots):
        return "a symbolic link that leaves the folders that may be used: not followed"
    return "" if is_link and target.is_dir() else _tell_irregular(file)


def _tell_irregular(file: Path) -> str:
    """Say why a path is no regular file that can be read; empty if it is one."""
    try:
        mode = file.stat().st_mode
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if stat.S_ISREG(mode) else "not a regular file"


def one_line(path: str) -> str:
    """Return a path unchanged if it fits on one line of UTF-8, otherwise quoted, with escapes."""
    escaped = "".join(
        char.encode("unicode_escape").decode()
        if char in LINE_BREAKS or unicodedata.category(char) in {"Cc", "Cs"}
        else char
        for char in path
    )
    return path if escaped == path else f'"{escaped}"'


def check_header(folder: Path, path: str) -> Rejected | None:
    """Read only a file's header; return the reason if the header shows that it cannot be used."""
    try:
        with Path(folder, path).open("rb") as file, open_image(file):
            return None
    except Exception as error:  # see `check_image`
        return Rejected(path, tell_reason(error))


def check_openable(folder: Path, paths: Sequence[str], rejected: Sequence[Rejected]) -> None:
    """Raise InputError unless the header of one file at least is that of an image.

    Files are read up to the first image: of a folder of images, that is one file.

    Parameters
    ----------
    rejected : sequence of Rejected
        Other files of the folder that cannot be used.
    """
    unusable = list(rejected)
    for path in paths:
        reason = check_header(folder, path)
        if reason is None:
            return
        unusable.append(reason)
    raise no_usable_image(folder, unusable)


def check_image(folder: Path, path: str) -> ImageFile | Rejected:
    """Read a file's header and checksums (see `check_damage`), and compute its digest.

    Its pixels are not decoded. Memory does not grow with the size of the file, except of WebP and
    AVIF files, whose readers take them whole. Outside of the job's roots nothing is read: the paths
    may be those of a run that somebody else made.
    """
    try:
        if not is_allowed(Path(folder, path).resolve()):
            return Rejected(path, "lies outside of the folders that may be used")
        with Path(folder, path).open("rb") as file:
            with open_image(file) as image:
                check_damage(image, file)
            file.seek(0)
            return ImageFile(path, hashlib.file_digest(file, "sha256").hexdigest())
    except Exception as error:  # on a damaged file, Pillow's readers may raise any exception
        return Rejected(path, tell_reason(error))


def digest_of_files(paths: Sequence[str], digests: Sequence[str]) -> str:
    """Compute one SHA-256 for many files: that of the lines of `sha256sum`, sorted by path."""
    pairs = sorted(zip(paths, digests, strict=True))
    lines = "".join(f"{digest}  {path}\n" for path, digest in pairs)
    return hashlib.sha256(lines.encode("utf-8")).hexdigest()


def check_images(
    folder: Path, paths: Sequence[str], step: Callable[[int, int], None]
) -> tuple[list[ImageFile], list[Rejected]]:
    """Read the headers, checksums and digests of files, in threads; see `check_image`.

    Parameters
    ----------
    step : callable
        Called after each file with the number of files checked so far and the number of all.
    """
    images: list[ImageFile] = []
    rejected: list[Rejected] = []
    checked = prefetch(lambda path: check_image(folder, path), paths, CHECKED_AHEAD)
    for done, image in enumerate(checked, 1):
        if isinstance(image, Rejected):
            rejected.append(image)
        else:
            images.append(image)
        step(done, len(paths))
    return images, rejected


def no_usable_image(folder: Path, rejected: Sequence[Rejected]) -> InputError:
    """Return the error for a folder that holds no usable image."""
    example = f" ({rejected[0].path}: {rejected[0].reason})" if rejected else ""
    return InputError(
        f"{folder} holds no usable image; files found: {len(rejected)}{example}. "
        f"The tool reads {FORMAT_NAMES} images."
    )
