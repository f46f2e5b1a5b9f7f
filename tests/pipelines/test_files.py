"""Files that appear whole or not at all, and come back as they were written."""

import os

import pytest

from pipelines import files


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    file = tmp_path / "labels.txt"
    with files.atomic_write(file) as stream:
        stream.write(b"old")
    with pytest.raises(ZeroDivisionError), files.atomic_write(file) as stream:
        stream.write(b"new, but only ha")
        stream.flush()
        assert file.read_bytes() == b"old"
        _ = 1 / 0
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_what_is_written_is_on_the_disk_before_it_takes_the_name(tmp_path, monkeypatch):
    events = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: (events.append("fsync"), fsync(number)))
    replace = type(tmp_path).replace
    monkeypatch.setattr(
        type(tmp_path), "replace", lambda self, to: (events.append("replace"), replace(self, to))
    )
    files.write_text(tmp_path / "a.txt", "a")
    assert events == ["fsync", "replace"]


def test_pairs_are_sorted_and_come_back(tmp_path):
    pairs = {"b c.png": "1", "a.png": "-1", "=é.png": "0"}
    files.write_pairs(tmp_path / "labels.txt", pairs.items())
    text = (tmp_path / "labels.txt").read_text(encoding="utf-8")
    assert text == "=é.png\t0\na.png\t-1\nb c.png\t1\n"
    assert files.read_pairs(tmp_path / "labels.txt") == pairs


def test_no_pair_is_an_empty_file(tmp_path):
    files.write_pairs(tmp_path / "rejected.txt", [])
    assert (tmp_path / "rejected.txt").read_bytes() == b""
    assert files.read_pairs(tmp_path / "rejected.txt") == {}


@pytest.mark.parametrize(
    "text", ["=cmd|x", "+1", "-1", "@a", "'quoted", "a,b", 'say "x"', "a\nb", ""]
)
def test_no_cell_is_a_formula_and_all_come_back(tmp_path, text):
    files.write_csv(tmp_path / "a.csv", ["name", "size"], [[text, -5]])
    assert files.read_csv(tmp_path / "a.csv") == [{"name": text, "size": "-5"}]
    cell = (tmp_path / "a.csv").read_text(encoding="utf-8").split("\n")[1]
    assert not cell.startswith(("=", "+", "-", "@"))


# --- the folder ---------------------------------------------------------------------------------
