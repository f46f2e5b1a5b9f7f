"""Work on images in threads, at most a given number of images ahead of the caller."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from PIL import Image

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(
    function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """Map a function over items in order, in threads that run at most `ahead` items ahead.

    Decoding releases Python's lock, so a network that consumes the results need not wait. At most
    `ahead` results are in memory, for any number of items.
    """
    Image.init()  # not in a thread: an interrupt while it imports plugins could leave it waiting
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
