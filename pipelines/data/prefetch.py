"""Process images in threads, a limited number of images ahead of the consumer.

The memory in which all threads of the process decode at a time is limited, too.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from PIL import Image

Item = TypeVar("Item")
Result = TypeVar("Result")


class MemoryBudget:
    """Memory that threads may use at a time.

    Attributes
    ----------
    size : int
        Bytes; an image that takes more waits until no other image is decoded.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._free = size
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Wait until that many bytes are free, and reserve them until the context ends.

        A thread that holds some must not ask for more: two such threads could wait for each other.
        """
        held = min(size, self.size)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= held)
            self._free -= held
        try:
            yield
        finally:
            with self._changed:
                self._free += held
                self._changed.notify_all()


# One budget per process, as threads share memory: the page's threads decode beside `prefetch`.
DECODING = MemoryBudget(450_000_000)


def prefetch(
    function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """Map a function over items in order, in threads that run at most `ahead` items ahead.

    Decoding releases Python's lock, so a network that consumes the results does not wait. At most
    `ahead` results are in memory, for any number of items.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")  # as `walk_files` does, for lists of images
    Image.init()  # not in a thread: an interrupt during the import of plugins could block it
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
