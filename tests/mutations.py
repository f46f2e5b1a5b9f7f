"""Damage to the files of a run folder: cut short, emptied, of wrong types, NaN, huge.

Every kind is drawn from a seed, so that a test that fails says how to see it again.
"""

import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

CELLS = ("", "nan", "-inf", "1e999", "-7", "1.5", "9" * 30, "9" * 5000, "text", "'", "a;b", "\x00",
         "x" * 200_000)  # fmt: skip
VALUES = (
    None,
    "text",
    "nan",
    float("nan"),
    1e999,
    -7,
    1.5,
    10**30,
    True,
    [],
    {},
    [[]],
    "x" * 10**6,
)


def mutate(path: Path, rng: np.random.Generator, most: int) -> Iterator[tuple[str, bytes | None]]:
    """Yield what a damage is called, and the file with it; None for a folder in its place.

    Parameters
    ----------
    most : int
        Most kinds of damage that depend on what the file holds.
    """
    content = path.read_bytes()
    yield "a folder", None
    yield "empty", b""
    for offset in rng.integers(0, len(content), 3 if content else 0).tolist():
        yield f"cut at {offset}", content[:offset]
        yield (
            f"bits of byte {offset}",
            content[:offset] + bytes([content[offset] ^ 0xFF]) + content[offset + 1 :],
        )
    kinds = {".csv": _tables, ".json": _documents, ".npz": _archives, ".npy": _arrays}
    damages = list(kinds.get(path.suffix, _lines)(content, rng))
    for place in sorted(rng.permutation(len(damages))[:most].tolist()):
        yield damages[place]


def _tables(content, rng):
    header, *rows = content.decode().splitlines()
    yield "no rows", (header + "\n").encode()
    for name in range(header.count(",") + 1):
        for cell in CELLS:
            line = int(rng.integers(0, max(1, len(rows))))
            cells = [row.split(",") for row in rows]
            if rows and name < len(cells[line]):
                cells[line][name] = cell
            text = "\n".join([header, *(",".join(row) for row in cells)])
            yield f"{header.split(',')[name]} of line {line}: {cell[:9]}", f"{text}\n".encode()
    yield "no column", b"\n".join(line.rpartition(b",")[0] for line in content.splitlines())


def edit(content, place, value=None, *, gone=False):
    """Return a document in which the value at a place is another one, or is gone."""
    document = json.loads(content)
    inner = document
    for step in place[:-1]:
        inner = inner[step]
    if gone:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return json.dumps(document).encode()


def kinds_of_places(document):
    """Return one place of each kind: the rows of a list are all of one kind."""
    shapes = {tuple(0 if isinstance(s, int) else s for s in at): at for at in places(document)}
    return list(shapes.values())


def _documents(content, rng):
    for place in places(json.loads(content)):
        for value in VALUES:
            yield f"{place}: {value!r:.9}", edit(content, place, value)
        yield f"without {place}", edit(content, place, gone=True)
    yield "deep", b"[" * 100_000
    yield "a number", b"7"


def places(document, above=()):
    """Yield the keys that lead to each value of a document, one tuple a value."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        yield (*above, key)
        if isinstance(value, dict | list):
            yield from places(value, (*above, key))


def _archives(content, rng):
    with np.load(io.BytesIO(content)) as archive:
        arrays = {name: archive[name] for name in archive.files}
    for name, array in arrays.items():
        changes = {
            "gone": None,
            "objects": np.array([{}], dtype=object),
            "text": array.astype(np.str_),
            "flat": array.ravel(),
            "a number": np.array(7),
            "short": array[:-1] if array.ndim else array,
            "empty": array[:0] if array.ndim else array,
            "complex": np.zeros(array.shape, np.complex64),
            "huge": np.full(array.shape, 2**62 if array.dtype.kind == "i" else 7),
        }
        if array.dtype.kind == "f":
            changes |= {"nan": array * np.nan, "infinite": array + np.inf, "double": array * 2.0}
        for what, change in changes.items():
            other_arrays = {key: value for key, value in arrays.items() if key != name}
            file = io.BytesIO()
            np.savez(file, **other_arrays, **({} if change is None else {name: change}))
            yield f"{name}: {what}", file.getvalue()
        yield f"{name}: a long header", _lie(content, name)


def _lie(content, name):
    """Say in the header of an array that it is longer than any memory."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
        for member in old.namelist():
            member_content = old.read(member)
            if member == f"{name}.npy":
                header = io.BytesIO()
                lie = {"descr": "<f4", "fortran_order": False, "shape": (10**13,)}
                np.lib.format.write_array_header_1_0(header, lie)
                member_content = header.getvalue()
            new.writestr(member, member_content)
    return file.getvalue()


def _arrays(content, rng):
    array = np.load(io.BytesIO(content))
    for what, change in (
        ("short", array[:-1]),
        ("double", array.astype(np.float64)),
        ("flat", array.ravel()),
        ("objects", np.array([{}], dtype=object)),
        ("nan", array * np.float32(np.nan)),
    ):
        file = io.BytesIO()
        np.save(file, change)
        yield what, file.getvalue()


def _lines(content, rng):
    lines = content.splitlines(keepends=True)
    yield "twice", content + content
    yield "no tabs", content.replace(b"\t", b" ")
    yield "not UTF-8", content + b"\xff\xfe\n"
    yield "a long line", content + b"x" * 10**6 + b"\n"
    yield "half", b"".join(lines[::2])


@contextmanager
def put(path: Path, content: bytes | None):
    """Put other content, or a folder, in the place of a file; what is changed comes back."""
    contents = {file: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
    path.unlink()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    try:
        yield
    finally:
        if path.is_dir():
            shutil.rmtree(path)
        for file in [file for file in path.parent.iterdir() if file.is_file()]:
            if file not in contents:
                file.unlink()
        for file, before in contents.items():
            if not file.is_file() or file.read_bytes() != before:
                file.write_bytes(before)
