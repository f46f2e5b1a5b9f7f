"""Stop a job, but only at the points where it reports its progress."""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.signals import end_signals

SECONDS_TO_A_REPORT = 5.0


@contextmanager
def stops(first: Callable[[], object] | None = None) -> Iterator[Callable[[], None]]:
    """Let signals and Ctrl-C stop a job where it calls the function that is yielded.

    An exception at any other point could leave a lock taken that threads of the job wait for, and
    the job would never end. There are two exceptions, in which the job is interrupted at any point:
    the function is not called for `SECONDS_TO_A_REPORT`, or the user asks once more.

    Parameters
    ----------
    first : callable, optional
        Called at the first request instead of stopping the job, if the job can end early with a
        result.

    Yields
    ------
    callable
        Raises KeyboardInterrupt after a request to stop.
    """
    waiting: threading.Timer | None = None

    def request(number: int, frame: object) -> None:
        nonlocal waiting, first
        if first is not None:
            call, first = first, None
            call()
        elif waiting is not None:
            raise KeyboardInterrupt
        else:
            waiting = threading.Timer(SECONDS_TO_A_REPORT, _signal_main_thread, [number])
            waiting.daemon = True
            waiting.start()

    def check() -> None:
        if waiting is not None:
            waiting.cancel()  # cleaning up from here on may take its time
            raise KeyboardInterrupt

    for sign in (signal.SIGINT, *end_signals()):
        signal.signal(sign, request)
    try:
        yield check
    finally:
        if waiting is not None:
            waiting.cancel()


def _signal_main_thread(number: int) -> None:
    """Send a signal to the main thread: Python handles it there even while it waits for a lock."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, number)
    else:  # on Windows
        _thread.interrupt_main(signal.Signals(number))
