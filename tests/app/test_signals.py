"""Signals that end a job, as far as the system has them."""

import signal

import pytest

from app.signals import end_signals, stop_signal


@pytest.fixture(autouse=True)
def restore_handlers():
    """Leave the handlers as they were."""
    before = {sign: signal.getsignal(sign) for sign in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for sign, handler in before.items():
        signal.signal(sign, handler)


def test_a_terminal_that_goes_ends_a_job_as_being_told_to_stop_does():
    assert end_signals() == [signal.SIGTERM, signal.SIGHUP]


def test_under_nohup_a_job_outlives_its_terminal():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert end_signals() == [signal.SIGTERM]


def test_a_system_has_other_signals(monkeypatch):
    monkeypatch.delattr(signal, "SIGHUP")
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    monkeypatch.setattr(signal, "CTRL_BREAK_EVENT", signal.SIGUSR2, raising=False)
    assert end_signals() == [signal.SIGTERM, signal.SIGUSR1]
    assert stop_signal() == signal.SIGUSR2


def test_a_child_is_asked_to_stop_by_sigterm():
    assert stop_signal() == signal.SIGTERM
