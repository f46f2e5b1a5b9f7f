"""Damaged files of a run: named by the server, with what to do."""

import pytest

from app.server.views.clusters import describe
from pipelines.runs.errors import InputError
from pipelines.runs.files import replace_cells


@pytest.mark.parametrize("text", [None, "{}", "not json", '{"schema_version": 99}'])
def test_a_folder_that_is_no_run_is_named(tmp_path, text):
    (tmp_path / "my run").mkdir()
    if text is not None:
        (tmp_path / "my run" / "run.json").write_text(text)
    with pytest.raises(InputError, match=r"my run is not a run folder: .*run\.json"):
        describe(tmp_path / "my run")


def no_column(text):
    return text.replace("core", "kern", 1)


def words_for_a_number(text):
    first, *rest = text.splitlines()
    return "\n".join([first, *(row.replace(",0.", ",zero.") for row in rest)]) + "\n"


def short_line(text):
    return text + "7\n"


def long_line(text):
    return text + "7," * 30 + "\n"


DAMAGES = [no_column, words_for_a_number, short_line, long_line]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["clusters.csv", "images.csv"])
def test_a_damaged_table_is_named_with_what_to_do(run, client, address, name, damage):
    text = (run / name).read_text()
    (run / name).write_text(damage(text))
    assert (run / name).read_text() != text
    with pytest.raises(InputError, match=rf"{name} is not as the tool writes it .*backup"):
        describe(run)
    answer = client.get(f"{address}/data")
    assert answer.status_code == 404
    assert f"{name} is not as the tool writes it" in answer.text


@pytest.mark.parametrize("name", ["clusters.csv", "images.csv"])
def test_a_table_of_another_encoding_is_named(run, name):
    (run / name).write_bytes((run / name).read_bytes() + b"\xff\xfe")
    with pytest.raises(InputError, match=f"{name} is not as the tool writes it"):
        describe(run)


@pytest.mark.parametrize("size", ["1.5", "", "five"])
def test_a_size_that_is_no_whole_number_is_named(run, size):
    replace_cells(run / "clusters.csv", "cluster", {"0": {"size": size}})
    with pytest.raises(InputError, match=r"clusters\.csv is not as .*ValueError"):
        describe(run)


def test_a_missing_table_is_named(run):
    (run / "clusters.csv").unlink()
    with pytest.raises(InputError, match=r"clusters\.csv is not as the tool writes it"):
        describe(run)


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    ("name", "key", "value", "column"),
    [
        *(
            ("images.csv", "path", "eye 3.png", column)
            for column in ("silhouette", "distance_to_centre", "x", "y")
        ),
        ("clusters.csv", "cluster", "1", "share"),
        ("clusters.csv", "cluster", "1", "silhouette"),
    ],
)
def test_what_is_no_number_of_json_is_named(run, client, address, name, key, value, column, number):
    text = (run / name).read_text()
    replace_cells(run / name, key, {value: {column: number}})
    (run / name).write_text((run / name).read_text().replace("'-inf", "-inf"))
    assert (run / name).read_text() != text
    answer = client.get(f"{address}/data")
    assert answer.status_code == 404
    assert f"{name} is not as the tool writes it" in answer.text


@pytest.mark.parametrize("content", [b"no tab\n", b"a\t\xff\n"])
def test_damaged_rejected_files_are_named(run, content):
    (run / "rejected.txt").write_bytes(content)
    with pytest.raises(InputError, match=r"rejected\.txt is not as the tool writes it"):
        describe(run)
