"""Find, check, digest and load the image files of a folder (SAFE, section 2: data acquisition).

No file can stop a run: whatever cannot be used comes back as `Rejected`, with a reason.
"""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from pipelines.runs.errors import InputError
from pipelines.runs.files import as_text, write_text

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")
MAX_PIXELS = 50_000_000
CHECKED_AHEAD = 64
TABLES = ("labels.csv", "parameters.csv", "unsafe_values.csv")
"""Tables that may stand beside the images and say something of them; they are no input."""
LINE_BREAKS = frozenset("\n\r\t\v\f\x1c\x1d\x1e\x85\u2028\u2029")

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class ImageFile:
    """A file that is an image as far as its header tells.

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
        Relative to the folder; a name that no text line can hold is quoted, with escapes.
    reason : str
        One line.
    """

    path: str
    reason: str


def check_folder(folder: Path) -> Path:
    """Return the folder free of links.

    Raises
    ------
    InputError
        When it is no folder or cannot be read.
    """
    try:
        root = folder.resolve(strict=True)
    except FileNotFoundError:
        raise InputError(
            f"{folder} does not exist. Give the folder that holds the images."
        ) from None
    except (OSError, RuntimeError) as error:
        raise InputError(f"{folder} cannot be read: {_detail(error)}.") from error
    if not root.is_dir():
        raise InputError(f"{folder} is not a folder. Give the folder that holds the images.")
    return root


def find_files(folder: Path) -> tuple[list[str], list[Rejected]]:
    """List every file below a folder, hidden ones and `TABLES` left out; see `walk_files`.

    Returns
    -------
    paths : list of str
        Relative paths of regular files, sorted.
    rejected : list of Rejected
        The others, sorted by path.

    Raises
    ------
    InputError
        When `folder` is no folder or cannot be listed.
    """
    paths: list[str] = []
    rejected: list[Rejected] = []
    for found in walk_files(folder):
        if isinstance(found, Rejected):
            rejected.append(found)
        else:
            paths.append(found)
    return sorted(paths), sorted(rejected, key=lambda file: file.path)


def write_failures(file: Path, folder: Path, paths: Sequence[str]) -> None:
    """Write a list of images: their folder in a comment, then a relative path a line."""
    write_text(file, "".join(f"{line}\n" for line in (f"# {as_text(folder.resolve())}", *paths)))


def find_images(source: Path) -> tuple[Path, list[str], list[Rejected]]:
    """Find the images of a folder, or those that a list such as `failures.txt` names.

    Returns
    -------
    folder : Path
    paths : list of str
    rejected : list of Rejected
        As `find_files`; of a list, what it names that is no usable file.

    Raises
    ------
    InputError
        When there is neither, or the list does not begin with its images' folder.
    """
    if not source.is_file():
        return source, *find_files(source)
    root, lines = _read_list(source)
    paths, rejected = [], []
    named = sorted({line for line in lines if line.strip()})
    if not named:
        raise InputError(f"{source} names no image: there are no failures to look at.")
    for name in named:
        file = root / name
        inside = one_line(name) == name and file.resolve().is_relative_to(root)
        reason = _unusable(file, root) if inside else "lies outside of the images' folder"
        if reason:
            rejected.append(Rejected(one_line(name), reason))
        else:
            paths.append(name)
    return root, paths, rejected


def folder_of(source: Path) -> Path:
    """Return the folder of images that is named: `source`, or that of a list; free of links.

    Raises
    ------
    InputError
        When there is no such folder or list.
    """
    return _read_list(source)[0] if source.is_file() else check_folder(source)


def _read_list(source: Path) -> tuple[Path, list[str]]:
    try:
        text = source.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{source} is no list of images: {_detail(error)}.") from error
    first, *lines = [line.removesuffix("\r") for line in text.split("\n")]
    if not first.startswith("# "):
        raise InputError(
            f"{source} is no folder, and no list of images: expected “# FOLDER” in its first line, "
            f"received {first[:80]!r}."
        )
    return check_folder(source.parent / first.removeprefix("# ")), lines


def walk_files(folder: Path) -> Iterator[str | Rejected]:
    """Go through every file below a folder, hidden ones and `TABLES` left out.

    Links to files inside the folder count as files; links that leave the folder are rejected.
    Linked folders are never entered: inside the folder they would count the same files twice.

    Yields
    ------
    str or Rejected
        The relative path of a regular file; or a link that leaves the folder or leads nowhere, a
        socket and the like, a folder that may not be listed, a name that one line of UTF-8 text
        cannot hold.

    Raises
    ------
    InputError
        When `folder` is no folder or cannot be listed.
    """
    # Pillow warns of large pictures and odd tags, file by file; `Rejected` says what matters.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    root = check_folder(folder)
    unlisted: list[Rejected] = []

    def note(error: OSError) -> None:
        where = Path(error.filename)
        if where == folder:
            raise InputError(f"{folder} cannot be listed: {error.strerror}.") from error
        name = one_line(where.relative_to(folder).as_posix())
        unlisted.append(Rejected(name, f"folder cannot be listed: {error.strerror}"))

    for parent, folders, files in os.walk(folder, onerror=note):
        links = [name for name in folders if _is_link(Path(parent, name))]
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in [*files, *links]:
            if name.startswith(".") or name in TABLES:
                continue
            file = Path(parent, name)
            path = file.relative_to(folder).as_posix()
            reason = _unusable(file, root)
            if one_line(path) != path:
                reason = "its name holds a control character or bytes that are not UTF-8: rename it"
            if reason:
                yield Rejected(one_line(path), reason)
            elif not file.is_dir():
                yield path
    yield from unlisted


def _is_link(file: Path) -> bool:
    try:
        return file.is_symlink()
    except OSError:  # in a folder that may be listed but not entered
        return False


def _unusable(file: Path, root: Path) -> str:
    if _is_link(file):
        try:
            target = file.resolve(strict=True)
        except (OSError, RuntimeError):
            return "a symbolic link that leads nowhere"
        if not target.is_relative_to(root):
            return "a symbolic link that leaves the folder: not followed"
        if target.is_dir():
            return ""
    try:
        mode = file.stat().st_mode
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if stat.S_ISREG(mode) else "not a regular file"


def one_line(path: str) -> str:
    """Return a path as it is if one line of UTF-8 text can hold it, else quoted, with escapes."""
    escaped = "".join(
        char.encode("unicode_escape").decode()
        if char in LINE_BREAKS or unicodedata.category(char) in {"Cc", "Cs"}
        else char
        for char in path
    )
    return path if escaped == path else f'"{escaped}"'


def check_header(folder: Path, path: str) -> Rejected | None:
    """Read a file's header alone: tell what makes the file unusable, as far as that shows it."""
    try:
        with Path(folder, path).open("rb") as file, _open_image(file):
            return None
    except Exception as error:  # as below
        return Rejected(path, _reason(error))


def check_image(folder: Path, path: str) -> ImageFile | Rejected:
    """Read a file's header and digest; pixels are not decoded yet.

    Memory does not grow with the size of the file.
    """
    try:
        with Path(folder, path).open("rb") as file:
            with _open_image(file):
                pass
            file.seek(0)
            return ImageFile(path, hashlib.file_digest(file, "sha256").hexdigest())
    except Exception as error:  # Pillow's readers raise whatever a damaged file leads them to
        return Rejected(path, _reason(error))


def digest_of_files(paths: Sequence[str], digests: Sequence[str]) -> str:
    """Compute one SHA-256 of many files: of what `sha256sum` prints for them, sorted by path."""
    pairs = sorted(zip(paths, digests, strict=True))
    lines = "".join(f"{digest}  {path}\n" for path, digest in pairs)
    return hashlib.sha256(lines.encode("utf-8")).hexdigest()


def check_images(
    folder: Path, paths: Sequence[str], step: Callable[[int, int], None]
) -> tuple[list[ImageFile], list[Rejected]]:
    """Read the headers and digests of files, in threads; see `check_image`.

    Parameters
    ----------
    step : callable
        Called with how many are done, and of how many.
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


def none_usable(folder: Path, rejected: Sequence[Rejected]) -> InputError:
    """Return the error that a folder holds no usable image."""
    example = f" ({rejected[0].path}: {rejected[0].reason})" if rejected else ""
    return InputError(
        f"{folder} holds no usable image; files found: {len(rejected)}{example}. "
        f"{', '.join(FORMATS)} images are read."
    )


def load_image(folder: Path, path: str, side: int) -> Image.Image | Rejected:
    """Decode a file to 8-bit RGB, upright.

    Parameters
    ----------
    side : int
        JPEG files much larger than `side` x `side` px are decoded at a half, a quarter or an eighth
        of their size, which is several times faster; both sides stay at least `side` px long.

    Returns
    -------
    Image or Rejected
        The picture (its size is the file's own, or a fraction as said above).  Grey, palette, CMYK
        and 16-bit pictures become RGB; transparent parts become white.
    """
    try:
        with Path(folder, path).open("rb") as file, _open_image(file) as image:
            image.draft("RGB", (side, side))
            return _to_rgb(_upright(image))
    except Exception as error:  # as above
        return Rejected(path, _reason(error))


def upright_size(folder: Path, path: str) -> tuple[int, int] | Rejected:
    """Read a picture's width and height from its header, in px, as it stands upright."""
    try:
        with Path(folder, path).open("rb") as file, _open_image(file) as image:
            width, height = image.size
            turned = image.getexif().get(ExifTags.Base.Orientation) in {5, 6, 7, 8}
            return (height, width) if turned else (width, height)
    except Exception as error:  # as above
        return Rejected(path, _reason(error))


def load_pixels(
    folder: Path, image: ImageFile, size: tuple[int, int], *, grey: bool = False
) -> NDArray[np.uint8] | Rejected:
    """Decode a file and scale it to a network's input, as SAFE does (section 2).

    Parameters
    ----------
    size : tuple of int
        Width and height in px.
    grey : bool
        Whether one channel is wanted, of luminance, instead of RGB.

    Returns
    -------
    array of uint8, shape (height, width, 3 or 1), or Rejected
        The aspect ratio is not kept, as in the paper.  A file that has changed since it was
        checked is rejected, so that no digest ever stands for other pixels.
    """
    loaded = load_image(folder, image.path, max(size))
    if isinstance(loaded, Rejected):
        return loaded
    if check_image(folder, image.path) != image:
        return Rejected(image.path, "changed while the job ran: run it again")
    if grey:
        loaded = loaded.convert("L")
    pixels = np.asarray(loaded.resize(size, Image.Resampling.BILINEAR))
    return pixels[..., None] if grey else pixels


class _UnusableError(Exception):
    """Carries a reason for people."""


def _open_image(file: IO[bytes]) -> Image.Image:
    if not os.fstat(file.fileno()).st_size:
        raise _UnusableError("the file is empty")
    image = Image.open(file, formats=FORMATS)
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _UnusableError(
            f"{width} x {height} pixels, more than {MAX_PIXELS // 1_000_000} million: scale it down"
        )
    return image


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a damaged tag is no reason to lose a picture
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise _UnusableError("32-bit floating-point pixels: save it with 8 or 16 bits")
    if image.mode == "I":
        raise _UnusableError("32-bit pixels: save it with 8 or 16 bits")
    if image.mode.startswith("I;16"):
        grey = np.asarray(image) // 257
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _detail(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())


def _reason(error: Exception) -> str:
    detail = _detail(error)
    match error:
        case _UnusableError():
            return detail
        case UnidentifiedImageError():
            return f"not an image ({', '.join(FORMATS)} are read)"
        case Image.DecompressionBombError():
            return f"more than {MAX_PIXELS // 1_000_000} million pixels: scale it down"
        case MemoryError():
            return "too large for this machine's memory"
        case OSError() if error.errno:
            return f"cannot be read: {detail}"
        case EOFError() | OSError() if "truncated" in detail or isinstance(error, EOFError):
            return f"truncated: {detail}"
    return f"damaged: {detail}"


def prefetch(
    function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """Map a function over items in order, in threads that run at most `ahead` items ahead.

    Decoding releases Python's lock, so a network that consumes the results need not wait, and
    at most `ahead` results are in memory whatever the number of items.
    """
    Image.init()  # here: an interrupt while a thread imports its plugins could leave it waiting
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as threads:
        try:
            for item in items:
                pending.append(threads.submit(function, item))
                if len(pending) >= ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
