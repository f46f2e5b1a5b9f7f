"""Work on images in threads, a bounded number of them ahead of whoever takes the results."""

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
