"""Damage to files that the tool reads: to their bytes, and to what they say.

Every kind is drawn from a seed, so that what fails can be seen again.
"""

import csv
import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

Damage = tuple[str, bytes]
"""What a damage is called, and the file with it."""

CELLS = ("", "nan", "-inf", "1e999", "-7", "1.5", "9" * 30, "9" * 5000, "text", "'", "a;b", "\x00",
         "x" * 200_000, "=1+1", "../../a.png", "a\nb", '"')  # fmt: skip
VALUES = (None, "text", "nan", float("nan"), float("inf"), 1e999, -7, 1.5, 10**30, True, [], {},
          [[]], "", "x" * 10**6)  # fmt: skip
DEEP = 1000
"""Levels of nesting; as many again are beyond what Python's own reader takes."""


def mutate(path: Path, rng: np.random.Generator, most: int) -> Iterator[tuple[str, bytes | None]]:
    """Yield what a damage is called, and the file with it; None for a folder in its place.

    Parameters
    ----------
    most : int
        Number of damages to bytes, and of those to what the file says.
    """
    content = path.read_bytes()
    yield "a folder", None
    yield "empty", b""
    for _ in range(most):
        if content:
            yield damage_bytes(content, rng)
        yield damage_structure(path, content, rng)


def damage_bytes(content: bytes, rng: np.random.Generator) -> Damage:
    """Flip bits, cut the file short, blank, insert, remove or swap blocks, anywhere in it."""
    start = int(rng.integers(len(content)))
    length = int(min(1 + rng.integers(64), len(content) - start))
    end = start + length
    before, block, after = content[:start], content[start:end], content[end:]
    noise = rng.bytes(length)
    other = int(rng.integers(len(after) + 1))
    changes = {
        "a bit flipped": before + bytes([block[0] ^ 1 << start % 8]) + block[1:] + after,
        "all bits of a byte flipped": before + bytes([block[0] ^ 0xFF]) + block[1:] + after,
        "cut short": before,
        "blanked": before + bytes(length) + after,
        "noise": before + noise + after,
        "inserted": before + noise + block + after,
        "removed": before + after,
        "swapped": before + after[other : other + length] + after[:other] + block
        + after[other + length :],
    }  # fmt: skip
    what = list(changes)[int(rng.integers(len(changes)))]
    return f"{what} at {start}, {length} bytes", changes[what]


def damage_structure(path: Path, content: bytes, rng: np.random.Generator) -> Damage:
    """Change what a file says: its rows, entries or arrays."""
    kinds = {
        ".csv": damage_table, ".json": damage_document, ".npz": damage_archive,
        ".npy": _damage_array,
    }  # fmt: skip
    return kinds.get(path.suffix, _damage_lines)(content, rng)


def draw_from(choices, rng):
    """Return one of some choices."""
    return choices[int(rng.integers(len(choices)))]


# --- text ---------------------------------------------------------------------------------------


def damage_table(content: bytes, rng: np.random.Generator) -> Damage:
    """Change cells, rows, columns, delimiters or the encoding of a table."""
    text = content.decode("utf-8-sig")
    delimiter = ";" if text.partition("\n")[0].count(";") else ","
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    line, column = int(rng.integers(len(rows))), int(rng.integers(len(rows[0])))
    where = f"{rows[0][column]} of line {line + 1}"
    if rng.random() < 0.6:
        cell = draw_from(CELLS, rng)
        rows[line] = [*rows[line][:column], cell, *rows[line][column + 1 :]]
        return f"{where}: {cell[:12]!r}", _table(rows, delimiter)
    header, below = rows[0], rows[1:]
    changes = {
        "no rows": lambda: _table([header], delimiter),
        "no titles": lambda: _table(below, delimiter),
        "without a row": lambda: _table([*rows[:line], *rows[line + 1 :]], delimiter),
        "a row twice": lambda: _table([*rows, rows[line]], delimiter),
        "the titles twice": lambda: _table([*rows, header], delimiter),
        "the other way round": lambda: _table([header, *below[::-1]], delimiter),
        "a cell too many": lambda: _table([*rows[:line], [*rows[line], "7"], *rows[line + 1 :]],
                                          delimiter),
        "a cell too few": lambda: _table([*rows[:line], rows[line][:-1], *rows[line + 1 :]],
                                         delimiter),
        "without a column": lambda: _table([r[:column] + r[column + 1 :] for r in rows], delimiter),
        "a column twice": lambda: _table([[*r, *r[column : column + 1]] for r in rows], delimiter),
        "tabs": lambda: _table(rows, "\t"),
        "semicolons": lambda: _table(rows, ";"),
        "a quotation mark": lambda: content + b'"',
    }  # fmt: skip
    changes |= _encodings(text)
    what = draw_from(list(changes), rng)
    return f"{what} ({where})", changes[what]()


def _encodings(text):
    return {
        "UTF-16": lambda: text.encode("utf-16"),
        "UTF-32": lambda: text.encode("utf-32"),
        "with a byte order mark": lambda: text.encode("utf-8-sig"),
        "Windows-1252": lambda: text.replace("e", "é").encode("cp1252", "replace"),
        "old line ends": lambda: text.replace("\n", "\r").encode(),
        "twice": (text + text).encode,
    }


def _table(rows, delimiter):
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n", delimiter=delimiter).writerows(rows)
    return text.getvalue().encode()


def _damage_lines(content, rng):
    lines = content.splitlines(keepends=True)
    changes = {
        "twice": lambda: content + content,
        "no tabs": lambda: content.replace(b"\t", b" "),
        "not UTF-8": lambda: content + b"\xff\xfe\n",
        "a long line": lambda: content + b"x" * 10**6 + b"\n",
        "half": lambda: b"".join(lines[::2]),
        "a line of nothing but a NUL": lambda: content + b"\0\n",
    } | _encodings(content.decode())
    what = draw_from(list(changes), rng)
    return what, changes[what]()


# --- documents ----------------------------------------------------------------------------------


def damage_document(content: bytes, rng: np.random.Generator) -> Damage:
    """Change, remove or rename entries of a JSON document, its depth or its encoding."""
    document = json.loads(content)
    place = draw_from(list(places(document)) if rng.random() < 0.3 else kinds_of_places(document),
                      rng)  # fmt: skip
    if rng.random() < 0.6:
        value = draw_from(VALUES, rng)
        return f"{place}: {value!r:.12}", edit(content, place, value)
    deep = "[" * DEEP + "]" * DEEP
    changes = {
        f"without {place}": lambda: edit(content, place, gone=True),
        f"{place} renamed": lambda: _rename(content, place),
        f"{place}: deep": lambda: edit(content, place, "DEEP").replace(b'"DEEP"', deep.encode()),
        f"{place}: a list of it": lambda: edit(content, place, [_value(document, place)]),
        f"{place}: twice": lambda: edit(content, place, _twice(_value(document, place))),
        f"{place}: as text": lambda: edit(content, place, json.dumps(_value(document, place))),
        "a list": lambda: b"[]",
        "a number": lambda: b"7",
        "deep and open": lambda: b"[" * 100_000,
        "nothing in it": lambda: b"{}",
        "entries twice": lambda: content.rstrip().removesuffix(b"}") + b"," + content.lstrip()[1:],
    } | _encodings(content.decode())
    what = draw_from(list(changes), rng)
    return what, changes[what]()


def places(document, above=()):
    """Yield the keys that lead to each value of a document, one tuple a value."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        yield (*above, key)
        if isinstance(value, dict | list):
            yield from places(value, (*above, key))


def kinds_of_places(document):
    """Return one place of each kind: the rows of a list are all of one kind."""
    shapes = {tuple(0 if isinstance(s, int) else s for s in at): at for at in places(document)}
    return list(shapes.values())


def edit(content, place, value=None, *, gone=False):
    """Return a document in which the value at a place is another one, or is gone."""
    document = json.loads(content)
    inner = _value(document, place[:-1])
    if gone:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return json.dumps(document).encode()


def _value(document, place):
    for step in place:
        document = document[step]
    return document


def _twice(value):
    return value * 2 if isinstance(value, str | list) else [value, value]


def _rename(content, place):
    document = json.loads(content)
    inner = _value(document, place[:-1])
    if isinstance(inner, dict):
        inner[f"{place[-1]}s"] = inner.pop(place[-1])
    else:
        inner.append(inner[place[-1]])
    return json.dumps(document).encode()


# --- arrays -------------------------------------------------------------------------------------


def damage_archive(content: bytes, rng: np.random.Generator) -> Damage:
    """Change, remove or resize an array of an archive, or its header."""
    with np.load(io.BytesIO(content)) as archive:
        arrays = {name: archive[name] for name in archive.files}
    name = draw_from(list(arrays), rng)
    array = arrays[name]
    changes = {
        "gone": None,
        "objects": np.array([{}], dtype=object),
        "text": array.astype(np.str_),
        "flat": array.ravel(),
        "a number": np.array(7),
        "short": array[:-1] if array.ndim else array,
        "empty": array[:0] if array.ndim else array,
        "reversed": array[::-1] if array.ndim else array,
        "transposed": array.T,
        "complex": np.zeros(array.shape, np.complex64),
        "huge": np.full(array.shape, 2**62 if array.dtype.kind == "i" else 7),
    }
    if array.dtype.kind == "i":
        changes |= {"negative": -array - 5, "unsigned": array.astype(np.uint64)}
    if array.dtype.kind == "f":
        changes |= {
            "nan": array * np.nan, "infinite": array + np.inf, "double": array * 2.0,
            "largest": np.full(array.shape, np.finfo(array.dtype).max),
        }  # fmt: skip
    what = draw_from([*changes, "a long header", "packed", "of another version"], rng)
    if what in changes:
        changed = {key: value for key, value in arrays.items() if key != name}
        file = io.BytesIO()
        np.savez(file, **changed, **({} if changes[what] is None else {name: changes[what]}))
        return f"{name}: {what}", file.getvalue()
    return f"{name}: {what}", _repack(content, f"{name}.npy", what)


def _repack(content, wanted, what):
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
        for member in old.namelist():
            held, packing = old.read(member), zipfile.ZIP_STORED
            if member == wanted and what == "a long header":
                header = io.BytesIO()
                lie = {"descr": "<f4", "fortran_order": False, "shape": (10**13,)}
                np.lib.format.write_array_header_1_0(header, lie)
                held = header.getvalue()
            elif member == wanted and what == "packed":
                held, packing = held + bytes(10**7), zipfile.ZIP_DEFLATED
            elif member == wanted:
                held = held[:6] + b"\x09" + held[7:]
            new.writestr(member, held, packing)
    return file.getvalue()


def _damage_array(content, rng):
    array = np.load(io.BytesIO(content))
    changes = {
        "short": array[:-1],
        "double": array.astype(np.float64),
        "flat": array.ravel(),
        "objects": np.array([{}], dtype=object),
        "nan": array * np.float32(np.nan),
    }
    what = draw_from(list(changes), rng)
    file = io.BytesIO()
    np.save(file, changes[what])
    return what, file.getvalue()


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
