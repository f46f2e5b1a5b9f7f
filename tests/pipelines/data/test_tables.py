"""Tables that people and programs save, in every delimiter and encoding; what is refused."""

import csv

import numpy as np
import pytest

from pipelines.data.table_rows import join_rows
from pipelines.data.tables import read_table
from pipelines.runs.errors import InputError

PLAIN = "path,yaw,sky\na.png,1.5,grey\nb/ü.png,2,blue\n"
CELLS = [["a.png", "1.5", "grey"], ["b/ü.png", "2", "blue"]]


def save(tmp_path, content, name="parameters.csv"):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def test_a_plain_table(tmp_path):
    table = read_table(save(tmp_path, PLAIN))
    assert (table.header, table.rows) == (["path", "yaw", "sky"], CELLS)
    assert (table.header_line, table.lines, table.remarks) == (1, [2, 3], [])


@pytest.mark.parametrize("ends", ["\r\n", "\r"])
def test_line_ends_of_other_systems(tmp_path, ends):
    table = read_table(save(tmp_path, PLAIN.replace("\n", ends)))
    assert (table.rows, table.lines) == (CELLS, [2, 3])


@pytest.mark.parametrize(
    ("delimiter", "word"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")]
)
def test_other_delimiters_are_remarked(tmp_path, delimiter, word):
    table = read_table(save(tmp_path, PLAIN.replace(",", delimiter)))
    assert (table.delimiter, table.rows) == (delimiter, CELLS)
    assert table.remarks == [(0, f"expected commas between cells, received {word}: used")]


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("path,sky (grey; blue; red; none)\na.png,blue\n", ","),
        ("path;x, in m;y, in m\na.png;1,5;2,5\n", ";"),
        ("path;yaw\na.png;1,5\n", ";"),
        ("path,tags (a;b)\na.png,1;2\n", ","),
        ('"path, as is","a;b;c"\n"a,b.png",1\n', ","),
        ('path;"yaw"\na.png;"1;2"\n', ";"),
    ],
)
def test_the_delimiter_is_found_despite_a_title_with_another_one(tmp_path, text, delimiter):
    assert read_table(save(tmp_path, text)).delimiter == delimiter


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_unicode_with_and_without_a_byte_order_mark(tmp_path, encoding):
    table = read_table(save(tmp_path, PLAIN.encode(encoding)))
    assert (table.header[0], table.rows, table.remarks) == ("path", CELLS, [])


def test_windows_1252_is_remarked(tmp_path):
    table = read_table(save(tmp_path, PLAIN.encode("cp1252")))
    assert table.rows == CELLS
    assert len(table.remarks) == 1
    assert "Windows-1252" in table.remarks[0][1]


def test_lines_are_counted_as_in_an_editor(tmp_path):
    text = '\npath,"title\non two lines",x\na,"1\n\n2",3\n\n,,\n  \nb,4,5\nc,6\nd,7,8,9\ne,1,2,,\n'
    table = read_table(save(tmp_path, text))
    assert (table.header, table.header_line) == (["path", "title on two lines", "x"], 2)
    assert table.rows == [["a", "1\n\n2", "3"], ["b", "4", "5"], ["c", "6", ""], ["e", "1", "2"]]
    assert table.lines == [4, 10, 11, 13]
    assert [text.splitlines()[line - 1][0] for line in table.lines] == ["a", "b", "c", "e"]
    assert table.remarks == [
        (11, "expected 3 cells, received 2: those missing are empty"),
        (12, "expected 3 cells, received 4: row left out"),
    ]


def test_apostrophes_before_formulas_are_removed(tmp_path):
    table = read_table(save(tmp_path, "path,'=x\n'-a.png,''b\n'c.png,'d\n"))
    assert table.header == ["path", "=x"]
    assert table.rows == [["-a.png", "'b"], ["'c.png", "'d"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected two columns or more.*received an empty file"),
        (b"\n\n \n", "received an empty file"),
        (b"path\na.png\n", "expected two columns or more.*received one, 'path'"),
        (b"path:yaw\na.png:1\n", "received one, 'path:yaw'"),
        (b"path,yaw\n", "expected rows below the titles, received none"),
        (b"path,yaw\n\n,\n", "expected rows below the titles, received none"),
        (b"yaw,sky\na.png,1,2\nb.png,1,2\n", "none that can be used .expected 2 cells, received 3"),
        (b"path,yaw\na.png,1\0\n", "expected text, received NUL bytes"),
        (b"PK\3\4\x14\0\x06\0\xff\x81,", "expected text, received other bytes"),
        (b"path,yaw\n\x81\x8d,1\n", "expected text, received other bytes"),
        (PLAIN.encode("utf-32"), "expected text, received NUL bytes"),
        (PLAIN.encode("utf-16")[:-1], "expected text, received other bytes"),
        (b'path,yaw\na.png,1\nb.png,"2\nc.png,3\n', "below line 2: .*quotation marks.*end of data"),
        (b'path,yaw\na.png,"1"2\n', "below line 1: .*quotation marks"),
        (b"path,yaw\na.png," + b"1" * 200_000, "at most 131,072 characters"),
        (b"path," + b"y" * 200_000 + b"\na.png,1\n", "at most 131,072 characters"),
    ],
)
def test_a_file_that_is_not_a_table_is_refused(tmp_path, content, message):
    file = save(tmp_path, content)
    with pytest.raises(InputError, match=f"(?s){message}") as refusal:
        read_table(file)
    assert str(file) in str(refusal.value)
    assert "expected" in str(refusal.value)
    assert len(str(refusal.value)) < 1000


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"there is no such file\. Check the path"):
        read_table(tmp_path / "parameters.csv")
    with pytest.raises(InputError, match="received no regular file"):
        read_table(tmp_path)
    with pytest.raises(InputError, match="Check the path"):
        read_table(tmp_path / "\0")


def test_any_bytes_are_read_or_refused(tmp_path):
    rng = np.random.default_rng(0)
    alphabet = [b"a.png", b"1", b",", b",", b";", b"\n", b"\n", b"\r", b'"', b"'", b"=", b"\xe4"]
    alphabet += [b"\xff\xfe", b"\t", b"|", b" ", b"\x1a", b"\xe2\x80\xa8", b"-", b"nan", b"\x0c"]
    for _ in range(300):
        tokens = rng.integers(0, len(alphabet), rng.integers(0, 40))
        file = save(tmp_path, b"".join(alphabet[token] for token in tokens))
        try:
            table = read_table(file)
        except InputError:
            continue
        assert {len(row) for row in table.rows} == {len(table.header)}
        assert table.lines == sorted(set(table.lines))


def test_rows_join_on_the_path(tmp_path):
    rng = np.random.default_rng(0)
    paths = sorted(f"{chr(97 + number % 5)}/{number}.png" for number in range(50))
    row_paths = [paths[place] for place in rng.permutation(50)[:30]]
    row_paths += ["z/1.png", "z/2.png", row_paths[3]]
    with (tmp_path / "parameters.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "x"], *([path, "1"] for path in row_paths)])
    table = read_table(tmp_path / "parameters.csv")
    rows, remarks = join_rows(tmp_path / "parameters.csv", table, paths)
    assert {paths[place]: row for place, row in rows.items()} == {
        path: row for row, path in enumerate(row_paths[:30])
    }
    assert [line for line, _ in remarks] == [32, 33, 34, *[0] * 20]
    assert "received 'z/1.png': row left out" in remarks[0][1]
    assert "received the image of row 5 again" in remarks[2][1]
    missing = [path for path in paths if path not in row_paths]
    assert [what for _, what in remarks[3:]] == [
        f"expected a row of {path}, received none: the image has no value of this table"
        for path in missing
    ]


def test_ways_to_write_a_path(tmp_path):
    folder = tmp_path / "images"
    paths = ["a.png", "b.png", "c/d.png", "e/f.png", "g h.png", "i\\j.png", " k.png"]
    cells = ["./a.png", f"{folder}/b.png", "c\\d.png", f"{tmp_path}/x/../images/e//f.png"]
    cells += ["  g h.png ", "i\\j.png", " k.png"]
    file = save(tmp_path, "path,x\n" + "".join(f"{cell},1\n" for cell in cells))
    rows, remarks = join_rows(file, read_table(file), paths, folder)
    assert rows == {place: place for place in range(7)}
    assert remarks == []


def test_paths_below_a_linked_folder(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "images")
    file = save(tmp_path, f"path,x\n{tmp_path}/images/a.png,1\n{tmp_path}/link/b.png,1\n")
    rows, _ = join_rows(file, read_table(file), ["a.png", "b.png"], tmp_path / "link")
    assert rows == {0: 0, 1: 1}


def test_a_table_of_other_images_shows_one_path_of_each(tmp_path):
    file = save(tmp_path, "path,x\nfailures/a.png,1\n")
    with pytest.raises(InputError) as refusal:
        join_rows(file, read_table(file), ["a.png"], tmp_path)
    assert f"{file}: expected paths" in str(refusal.value)
    assert "such as 'a.png', received others, such as 'failures/a.png'" in str(refusal.value)
