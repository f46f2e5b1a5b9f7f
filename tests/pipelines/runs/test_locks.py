"""Locks between processes: held until they are closed or the process is gone."""

import os
import subprocess
import sys
import threading

import pytest

from pipelines.runs.locks import Lock, is_locked


def test_a_lock_keeps_others_out_until_it_is_closed(tmp_path):
    file = tmp_path / ".lock"
    with Lock(file):
        with pytest.raises(BlockingIOError):
            Lock(file, 0)
        assert is_locked(file)
    assert not is_locked(file)
    Lock(file, 0).close()


def test_looking_makes_no_file(tmp_path):
    assert not is_locked(tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []


def test_a_lock_ends_with_its_process_however_that_ends(tmp_path):
    file = tmp_path / ".lock"
    code = (
        "import sys; from pathlib import Path; from pipelines.runs.locks import Lock\n"
        "held = Lock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline().strip() == b"held"
        assert is_locked(file)
        process.kill()
        process.wait()
    assert not is_locked(file)


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / ".lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match=os.strerror(40)):
        Lock(tmp_path / ".lock")
    assert not (tmp_path / "precious").exists()


def test_whoever_looks_keeps_nobody_from_locking(tmp_path):
    file = tmp_path / ".lock"
    end = threading.Event()

    def look():
        while not end.is_set():
            is_locked(file)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(100):
            Lock(file).close()
    finally:
        end.set()
        looking.join()
