"""Read damaged files in a separate process, and tell whether each is refused or accepted."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipelines.runs.errors import InputError

OUTCOMES = ("refused", "unchanged", "changed", "traceback", "hang")
FAULTS = ("has no attribute", "NoneType", "Traceback", "positional argument", "unhashable")
"""Words of Python's own errors: users do not understand a reason with one of them."""


class Kind(NamedTuple):
    """A kind of file that people hand to the tool.

    Attributes
    ----------
    read : callable
        Reads a file as jobs and page do and returns its content; raises `InputError` to refuse it.
    mutate : callable
        Returns what a damage is called, and the file's content with it.
    has_checksums : bool
        Whether no change of the content may go unnoticed.
    """

    read: Callable[[Path], bytes]
    mutate: Callable[[bytes, np.random.Generator], tuple[str, bytes]]
    has_checksums: bool = False


def read_case(kind: Kind, path: Path) -> tuple[str, str]:
    """Read a file; return one of `OUTCOMES`, and the reason or the digest of the content."""
    try:
        content = kind.read(path)
    except InputError as error:
        reason = str(error)
        # Where two files do not fit together, either may be damaged: the folder's name is enough.
        named = path.name in reason or str(path.parent) in reason
        clear = named and "\n" not in reason
        clear = clear and not any(word in reason for word in FAULTS)
        return "refused" if clear else "traceback", f"refused by: {reason}"
    except BaseException as error:
        return "traceback", f"{error!r:.500}"
    return "changed", hashlib.sha256(content).hexdigest()


def serve(kind: Kind, parent: Connection) -> None:
    """Answer, in a process of its own, what becomes of each file that the parent names."""
    while path := parent.recv():
        parent.send(read_case(kind, Path(path)))


class Reader:
    """A process that reads files of one kind; it is started anew when it hangs or dies.

    A process of many files imports TensorFlow once.
    """

    def __init__(self, kind: Kind, seconds: float) -> None:
        self._start = lambda end: multiprocessing.Process(target=serve, args=(kind, end))
        self._seconds = seconds
        self._process: multiprocessing.Process | None = None

    def read(self, path: Path) -> tuple[str, str]:
        """Return what becomes of a file, and the reason or the digest of its content."""
        fresh = self._process is None
        if self._process is None:
            self._end, end = multiprocessing.Pipe()
            self._process = self._start(end)
            self._process.start()
            end.close()
        self._end.send(str(path))
        try:
            if self._end.poll(self._seconds * (1 + 5 * fresh)):  # imports take long
                return self._end.recv()
            outcome = "hang", f"it took more than {self._seconds} s"
        except EOFError:
            outcome = "traceback", "the process died"
        self._process.kill()
        self._process = None
        return outcome

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._end.send("")
            self._process.join()


def try_mutations(
    kind: Kind, file: Path, number: int, seed: int, seconds: float
) -> Iterator[tuple[str, str, str]]:
    """Damage a file again and again, have it read, and put it right again.

    Yields
    ------
    outcome, damage, reason : str
        One of `OUTCOMES`, what the damage is called, and what the reader said.

    Raises
    ------
    RuntimeError
        When the undamaged file is not accepted.
    """
    random, content = np.random.default_rng(seed), file.read_bytes()
    reader = Reader(kind, seconds)
    try:
        accepted, digest = reader.read(file)
        if accepted != "changed":
            raise RuntimeError(f"{file} is not accepted as it is: {digest}")
        for _ in range(number):
            damage, damaged = kind.mutate(content, random)
            file.write_bytes(damaged)
            outcome, reason = reader.read(file)
            yield "unchanged" if reason == digest else outcome, damage, reason
    finally:
        file.write_bytes(content)
        reader.close()
