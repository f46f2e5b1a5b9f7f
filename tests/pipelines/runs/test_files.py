"""Files are written whole or not at all, and read back as they were written."""

import csv
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.runs import files


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


def test_a_full_disk_is_named_and_leaves_the_old_file(full_disk):
    files.write_text(full_disk / "labels.txt", "old")
    with pytest.raises(OSError, match="No space left") as error:
        files.write_text(full_disk / "labels.txt", "x" * 200_000)
    assert (error.value.errno, error.value.filename) == (
        errno.ENOSPC,
        str(full_disk / "labels.txt"),
    )
    assert (full_disk / "labels.txt").read_text() == "old"
    assert [file.name for file in full_disk.iterdir()] == ["labels.txt"]


def test_a_limit_of_the_file_size_is_named(tmp_path):
    code = (
        "import resource, sys; from pathlib import Path; from pipelines.runs import files\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: files.write_text(Path(sys.argv[1]), 'x' * 5000)\n"
        "except OSError as error: print(error.filename)"
    )
    file = tmp_path / "a.txt"
    result = subprocess.run(
        [sys.executable, "-c", code, str(file)], text=True, capture_output=True, check=True
    )
    assert result.stdout.strip() == str(file)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_somebody_reads_is_replaced_a_moment_later(tmp_path, monkeypatch):
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")
    replace, refusals = Path.replace, [PermissionError(13, "being read")] * 2

    def busy(self, target):
        if refusals:
            raise refusals.pop()
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", busy)
    monkeypatch.setattr(files, "SECONDS_BETWEEN_TRIES", 0)
    with pytest.raises(PermissionError):
        files.replace_file(tmp_path / "new", tmp_path / "old", tries=1)
    files.replace_file(tmp_path / "new", tmp_path / "old", tries=3)
    assert (tmp_path / "old").read_text() == "new"
    assert not (tmp_path / "new").exists()


def test_a_cell_of_any_length_comes_back(tmp_path):
    note = "a long note, " * 20_000
    before = csv.field_size_limit()
    files.write_csv(tmp_path / "clusters.csv", ["cluster", "note"], [[0, note]])
    assert files.read_csv(tmp_path / "clusters.csv") == [{"cluster": "0", "note": note}]
    files.replace_cells(tmp_path / "clusters.csv", "cluster", {"0": {"note": note + "b"}})
    assert files.read_csv(tmp_path / "clusters.csv")[0]["note"] == note + "b"
    assert csv.field_size_limit() == before


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


def test_pairs_are_sorted_and_read_back(tmp_path):
    pairs = {"b c.png": "1", "a.png": "-1", "=é.png": "0"}
    files.write_pairs(tmp_path / "labels.txt", pairs.items())
    text = (tmp_path / "labels.txt").read_text(encoding="utf-8")
    assert text == "=é.png\t0\na.png\t-1\nb c.png\t1\n"
    assert files.read_pairs(tmp_path / "labels.txt") == pairs


def test_without_pairs_the_file_is_empty(tmp_path):
    files.write_pairs(tmp_path / "rejected.txt", [])
    assert (tmp_path / "rejected.txt").read_bytes() == b""
    assert files.read_pairs(tmp_path / "rejected.txt") == {}


@pytest.mark.parametrize(
    "text", ["=cmd|x", "+1", "-1", "@a", "'quoted", "a,b", 'say "x"', "a\nb", ""]
)
def test_no_cell_is_a_formula_and_all_are_read_back(tmp_path, text):
    files.write_csv(tmp_path / "a.csv", ["name", "size"], [[text, -5]])
    assert files.read_csv(tmp_path / "a.csv") == [{"name": text, "size": "-5"}]
    cell = (tmp_path / "a.csv").read_text(encoding="utf-8").split("\n")[1]
    assert not cell.startswith(("=", "+", "-", "@"))


# --- cells --------------------------------------------------------------------------------------

HEADER = ["cluster", "name", "note", "size", "central image"]
ROWS = [
    [0, "dim, or dark", 'the "lamp"', 12, "=1+1.png"],
    [1, "'quoted", "two\nlines\n", -5, "-dash.png"],
    [-1, "noise", "", 3, "é 日本, .png"],
]


@pytest.fixture
def table(tmp_path):
    files.write_csv(tmp_path / "clusters.csv", HEADER, ROWS)
    return tmp_path / "clusters.csv"


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize(
    "words",
    [
        {"name": "sunglasses"},
        {"note": "=cmd|' /C calc'!A0"},
        {"name": "-5", "note": "+1"},
        {"name": "'quoted'", "note": '@a\n,"b"'},
        {"name": "", "note": ""},
        {"note": "\n\n", "name": " é 日本 "},
    ],
)
def test_cells_are_replaced_and_all_other_bytes_stay(tmp_path, table, place, words):
    rows = [list(row) for row in ROWS]
    for name, text in words.items():
        rows[place][HEADER.index(name)] = text
    files.write_csv(tmp_path / "anew.csv", HEADER, rows)
    files.replace_cells(table, "cluster", {str(ROWS[place][0]): words})
    assert table.read_bytes() == (tmp_path / "anew.csv").read_bytes()
    row = files.read_csv(table)[place]
    assert {name: row[name] for name in words} == words


def test_replacing_cells_by_equal_ones_changes_no_byte(table):
    before = table.read_bytes()
    for number, name, note, *_ in ROWS:
        files.replace_cells(table, "cluster", {str(number): {"name": name, "note": note}})
        assert table.read_bytes() == before


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\ta", "'a"])
def test_a_replaced_cell_is_not_a_formula(table, text):
    files.replace_cells(table, "cluster", {"0": {"name": text}})
    assert table.read_text(encoding="utf-8").split("\n")[1].startswith(f"0,'{text},")
    assert files.read_csv(table)[0]["name"] == text


@pytest.mark.parametrize("text", ["a\rb", "a\r", "\ra", "a\r\nb", "\r\n", "\r=1"])
def test_a_carriage_return_in_a_cell_becomes_a_newline(table, text):
    before = files.read_csv(table)
    files.replace_cells(table, "cluster", {"0": {"note": text}})
    after = files.read_csv(table)
    assert after[0]["note"] == text.replace("\r\n", "\n").replace("\r", "\n")
    assert after[1:] == before[1:]


def test_cells_of_several_rows_and_of_new_columns_are_replaced(tmp_path, table):
    cells = {"-1": {"family": 3, "name": "odd"}, "0": {"hint": "=dark", "family": 0}}
    files.replace_cells(table, "cluster", cells)
    rows = [[*ROWS[0], 0, "=dark"], [*ROWS[1], "", ""], [*ROWS[2], 3, ""]]
    rows[2][1] = "odd"
    files.write_csv(tmp_path / "anew.csv", [*HEADER, "family", "hint"], rows)
    order = files.read_csv(table)[0].keys()
    assert set(order) == {*HEADER, "family", "hint"}
    assert files.read_csv(table) == files.read_csv(tmp_path / "anew.csv")


@pytest.mark.parametrize("row", ["1,2", "1,2,3,4,5,6"])
def test_a_row_of_another_length_is_an_error(table, row):
    with table.open("a") as file:
        file.write(row + "\n")
    with pytest.raises(ValueError, match="zip"):
        files.read_csv(table)


@pytest.mark.parametrize(
    ("key", "cells"),
    [
        ("cluster", {"2": {"name": "x"}}),
        ("cluster", {"cluster": {"name": "x"}}),
        ("cluster", {"": {"name": "x"}}),
        ("number", {"0": {"name": "x"}}),
        ("cluster", {"0": {"name": "x"}, "2": {"name": "x"}}),
    ],
)
def test_an_unknown_row_or_key_is_an_error_and_changes_nothing(table, key, cells):
    before = table.read_bytes()
    with pytest.raises(KeyError):
        files.replace_cells(table, key, cells)
    assert table.read_bytes() == before
    assert list(table.parent.iterdir()) == [table]


def test_a_link_under_a_temporary_name_is_not_followed(tmp_path, monkeypatch):
    (tmp_path / "outside.txt").write_text("mine")
    monkeypatch.setattr(files.secrets, "token_hex", lambda length: "0" * length)
    name = f".run.json.{os.getpid()}.{'0' * 4}.tmp"
    (tmp_path / name).symlink_to(tmp_path / "outside.txt")
    with pytest.raises(OSError, match="exists"):
        files.write_text(tmp_path / "run.json", "theirs")
    assert (tmp_path / "outside.txt").read_text() == "mine"
