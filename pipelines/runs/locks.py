"""Files that processes lock against each other, on every system."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

SECONDS_TO_LOCK = 0.2
SECONDS_TO_LOOK = 0.05
"""Seconds to wait for a lock: a process that tests a lock holds it for a moment."""
SECONDS_BETWEEN_TRIES = 0.02


class Lock:
    """A file that this process has locked, until `close` or until the process ends in any way.

    Raises
    ------
    BlockingIOError
        When another process holds it.
    OSError
        When it is not writable, or is a link: the author of the folder could make a link lead
        anywhere.
    """

    def __init__(self, file: Path, seconds: float = SECONDS_TO_LOCK) -> None:
        if file.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(file))
        self._lock = FileLock(file, thread_local=False)
        try:
            self._lock.acquire(timeout=seconds, poll_interval=SECONDS_BETWEEN_TRIES)
        except Timeout as error:
            raise BlockingIOError(f"{file} is locked") from error

    def close(self) -> None:
        """Release the lock, so that others can have it."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def is_locked(file: Path) -> bool:
    """Tell whether a process holds a file at this moment; False if that cannot be determined."""
    if not file.is_file():  # testing must not create it
        return False
    try:
        Lock(file, SECONDS_TO_LOOK).close()
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
