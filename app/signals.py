"""The signals that end a process gently, as far as the system has them."""

import signal

NAMES = ("SIGTERM", "SIGHUP", "SIGBREAK")
"""In order: request to end; loss of the terminal; Windows' signal for another process group."""


def end_signals() -> list[signal.Signals]:
    """Return the signals that end a process as Ctrl-C does.

    Signals that were ignored when the process started stay ignored: so a job survives its terminal
    under `nohup`.
    """
    known = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    return [sign for sign in known if signal.getsignal(sign) is not signal.SIG_IGN]


def stop_signal() -> signal.Signals:
    """Return the signal that asks a child process to stop."""
    sign: signal.Signals = getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM)
    return sign
