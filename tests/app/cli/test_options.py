"""How a command says what the system refuses."""

import errno
import os

import pytest

from app.cli.options import describe_refusal


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SAFE_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize(
    ("name", "what", "way_out"),
    [
        ("run/labels.txt", "the disk of the folder {}/run is full", "choose an --out"),
        ("cache/a.npz", "the disk of the cache folder {}/cache is full", "set SAFE_CACHE"),
    ],
)
def test_a_full_disk_is_said_with_its_folder_and_the_way_out(
    cache, tmp_path, number, name, what, way_out
):
    text = describe_refusal(OSError(number, os.strerror(number), str(tmp_path / name)))
    assert text.startswith(what.format(tmp_path))
    assert way_out in text
    assert os.strerror(number) in text


def test_any_other_refusal_names_the_file():
    assert describe_refusal(PermissionError(errno.EACCES, "denied", "a.png")) == "a.png: denied"
    assert describe_refusal(OSError(errno.ENOSPC, "full")) == "a file: full"
