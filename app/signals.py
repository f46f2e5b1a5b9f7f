"""The signals that end a process politely, as far as the system has them."""

import signal

NAMES = ("SIGTERM", "SIGHUP", "SIGBREAK")
"""Told to stop; the terminal is gone; Windows' way to tell a process of another group."""


def end_signals() -> list[signal.Signals]:
    """Return the signals that end a process as Ctrl-C does.

    Those that whoever started it lets it ignore stay ignored: so a job outlives its terminal under
    `nohup`.
    """
    known = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    return [sign for sign in known if signal.getsignal(sign) is not signal.SIG_IGN]


def stop_signal() -> signal.Signals:
    """Return the signal by which a child process is asked to stop."""
    sign: signal.Signals = getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM)
    return sign
