"""Waiting for what another process does: for a condition, with an end that none should reach."""

import time

SECONDS = 600
"""More than anything takes here, on a machine that is busy with something else, too."""


def until(condition, *, describe=lambda: "the condition did not come true", pause=0.02):
    """Return the first true value that `condition` gives.

    Raises
    ------
    AssertionError
        With what `describe` says, when none has come within `SECONDS`.
    """
    deadline = time.monotonic() + SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, f"after {SECONDS} s: {describe()}"
        time.sleep(pause)
    return value
