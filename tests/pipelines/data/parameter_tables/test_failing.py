"""Tables of parameters: which values are used, and which problems are listed."""

import numpy as np
import pytest

from pipelines.data.parameter_tables import read_parameters
from pipelines.data.parameters import (
    count_left_out,
    read_parameter_columns,
    write_parameters,
)
from pipelines.runs.errors import InputError
from tests.pipelines.data.saved import GOOD, PATHS, save


def plain(parameter):
    """Return a parameter's values as Python objects: numbers, words, None."""
    return [
        None
        if np.isnan(value)
        else parameter.categories[int(value)]
        if parameter.kind == "category"
        else value
        for value in parameter.values.tolist()
    ]


def columns(table):
    return {parameter.name: plain(parameter) for parameter in table.parameters}


YAW, SKY = [1, 2, 3, 4], ["grey", "blue", "grey", "grey"]


def test_a_good_table_has_no_problem(tmp_path):
    table = read_parameters([save(tmp_path, GOOD)], PATHS, [])
    assert columns(table) == {"yaw": YAW, "sky": SKY}
    assert [(parameter.kind, parameter.categories) for parameter in table.parameters] == [
        ("number", ()),
        ("category", ("blue", "grey")),
    ]
    assert (table.images_with_values, table.problems) == (4, ())


def test_rows_in_any_order(tmp_path):
    header, *rows = GOOD.splitlines()
    for seed in range(5):
        shuffle = [rows[place] for place in np.random.default_rng(seed).permutation(4)]
        table = read_parameters([save(tmp_path, "\n".join([header, *shuffle]))], PATHS, [])
        assert columns(table) == {"yaw": YAW, "sky": SKY}


@pytest.mark.parametrize(
    ("original", "replacement", "problems", "yaw", "sky"),
    [
        ("b.png,2,blue\n", "", [(0, "", "a row of b.png")], [1, None, 3, 4], ["grey", None]),
        ("b.png", "z.png", [(0, "", "of b.png"), (3, "", "'z.png'")], [1, None, 3, 4], None),
        ("b.png", "", [(0, "", "of b.png"), (3, "", "an empty cell")], [1, None, 3, 4], None),
        ("c.png", "b.png", [(0, "", "c.png"), (4, "", "of row 3 again")], [1, 2, None, 4], None),
        ("2", "", [(3, "yaw", "expected a number, received an empty")], [1, None, 3, 4], SKY),
        ("2", "two", [(3, "yaw", "a number, received 'two'")], [1, None, 3, 4], SKY),
        ("2", "nan", [(3, "yaw", "a number, received 'nan'")], [1, None, 3, 4], SKY),
        ("2", "-inf", [(3, "yaw", "a number, received '-inf'")], [1, None, 3, 4], SKY),
        ("2", "1e999", [(3, "yaw", "a number, received '1e999'")], [1, None, 3, 4], SKY),
        ("blue", " ", [(3, "sky", "expected a value, received an empty")], YAW, ["grey", None]),
        ("2,blue", "2", [(3, "", "expected 3 cells, received 2"), (3, "sky", "empty")], YAW, None),
        ("2,blue", "2,5,blue", [(0, "", "of b.png"), (3, "", "received 4")], [1, None, 3, 4], None),
        ("2,blue", "2,blue,,", [], YAW, SKY),
        ("b.png", "\n\n,,\nb.png", [], YAW, SKY),
        ("b.png", "\n\nb.png", [], YAW, SKY),
        ("2,blue", '2,"light\nblue"', [], YAW, ["grey", "light blue"]),
        ("c.png,3", "c.png,x", [(4, "yaw", "'x'")], [1, 2, None, 4], SKY),
        ("b.png,2,blue\nc.png,3", 'b.png,2,"b\n\n"\nc.png,x', [(6, "yaw", "'x'")], None, None),
        ("yaw", "", [(1, "", "a title of column 2")], None, SKY),
        ("yaw", "sky", [(1, "sky", "this one again: the later is left out")], None, None),
        ("yaw", "path", [(1, "path", "this one again")], None, SKY),
        ("blue", "gr\u00fcn", [], YAW, ["grey", "gr\u00fcn"]),
        ("blue", b"gr\xfcn", [(0, "", "Windows-1252")], YAW, ["grey", "gr\u00fcn"]),
        (",", ";", [(0, "", "received semicolons: used")], YAW, SKY),
        (",", "\t", [(0, "", "received tabs: used")], YAW, SKY),
        ("b.png", ".\\b.png", [], YAW, SKY),
    ],
)
def test_what_is_wrong_is_a_problem_and_the_rest_is_used(
    tmp_path, original, replacement, problems, yaw, sky
):
    new = replacement if isinstance(replacement, bytes) else replacement.encode()
    table = read_parameters(
        [save(tmp_path, GOOD.encode().replace(original.encode(), new))], PATHS, []
    )
    assert [(problem.file, problem.row, problem.column) for problem in table.problems] == [
        ("parameters.csv", row, column) for row, column, _ in problems
    ]
    for problem, (_, _, what) in zip(table.problems, problems, strict=True):
        assert what in problem.what
        assert "expected" in problem.what
    values = columns(table)
    if yaw:
        assert values["yaw"] == yaw
    if sky:
        assert values["sky"][: len(sky)] == sky


def test_columns_without_information_are_left_out(tmp_path):
    paths = [f"{number:03d}.png" for number in range(120)]
    text = "path,empty,id,yaw\n" + "".join(f"{path},,i{path},1.5\n" for path in paths)
    table = read_parameters([save(tmp_path, text)], paths, [])
    assert columns(table) == {"yaw": [1.5] * 120}
    assert [(problem.row, problem.column) for problem in table.problems] == [
        (0, "empty"),
        (0, "id"),
    ]


def test_the_columns_of_all_tables_are_read(tmp_path):
    first = save(tmp_path, GOOD, "first.csv")
    second = save(tmp_path, "image\tyaw\tlight\nb.png\t7\t0,5\na.png\t8\t0,25\n", "second.csv")
    table = read_parameters([first, second], PATHS, [])
    assert columns(table) == {"yaw": YAW, "sky": SKY, "light": [0.25, 0.5, None, None]}
    assert [(problem.file, problem.row, problem.column) for problem in table.problems] == [
        ("second.csv", 0, ""),
        ("second.csv", 0, ""),
        ("second.csv", 0, ""),
        ("second.csv", 0, "light"),
        ("second.csv", 1, "yaw"),
    ]


def test_tables_of_the_same_name_are_told_apart(tmp_path):
    (tmp_path / "x").mkdir()
    files = [save(tmp_path, GOOD), save(tmp_path / "x", "path,light\na.png,1\n")]
    table = read_parameters(files, PATHS, [])
    assert {problem.file for problem in table.problems} == {str(files[1])}


def test_images_with_a_value_are_counted(tmp_path):
    table = read_parameters([save(tmp_path, "path,x,y\na.png,1,\nb.png,,\nc.png,,2\n")], PATHS, [])
    assert table.images_with_values == 2


def test_angles_in_degrees(tmp_path):
    text = "path,gaze,yaw\na.png,-90,0\nb.png,360,1\nc.png,x,0\nd/e.png,-1e-20,1\n"
    table = read_parameters([save(tmp_path, text)], PATHS, ["gaze"])
    assert [parameter.kind for parameter in table.parameters] == ["angle", "category"]
    assert columns(table)["gaze"] == [270, 0, None, 0]
    assert "expected an angle in degrees, received 'x'" in table.problems[0].what
    only = read_parameters([save(tmp_path, "path,on\na.png,0\nb.png,1\n")], PATHS, [" on "])
    assert only.parameters[0].kind == "angle"


def test_every_cell_of_an_angle_that_is_text_is_a_problem(tmp_path):
    table = read_parameters([save(tmp_path, GOOD)], PATHS, ["sky"])
    assert columns(table) == {"yaw": YAW}
    assert [(problem.row, problem.column) for problem in table.problems] == [
        (row, "sky") for row in (0, 2, 3, 4, 5)
    ]


def test_an_angle_that_no_table_has(tmp_path):
    with pytest.raises(InputError, match=r"angles: expected columns .*yaw, sky.* received 'gaze'"):
        read_parameters([save(tmp_path, GOOD)], PATHS, ["gaze", "yaw"])
    with pytest.raises(InputError, match=r"there is none.* received 'gaze'"):
        read_parameters([], PATHS, ["gaze"])


def test_no_table():
    table = read_parameters([], PATHS, [])
    assert (table.parameters, table.images_with_values, table.problems) == ((), 0, ())


def test_absolute_paths_and_guarded_ones(tmp_path):
    text = f"path,yaw\n{tmp_path}/a.png,1\n'-b.png,2\n"
    table = read_parameters([save(tmp_path, text)], ["-b.png", "a.png"], [], tmp_path)
    assert columns(table) == {"yaw": [2, 1]}
    assert table.problems == ()


def test_the_first_hundred_of_many_similar_problems_are_listed(tmp_path):
    rows = [f"{number}.png,{'x' if number < 130 else number}" for number in range(300)]
    file = tmp_path / "table.csv"
    file.write_text("\n".join(["path,yaw", *rows, *(f"z{n}.png,1" for n in range(250))]))
    table = read_parameters([file], [f"{number}.png" for number in range(300)], [])
    texts = [problem for problem in table.problems if problem.column == "yaw"]
    assert [problem.row for problem in texts[:-1]] == list(range(2, 102))
    assert (texts[-1].row, texts[-1].what) == (0, "and 30 more like these")
    strangers = [problem for problem in table.problems if not problem.column]
    assert len(strangers) == 101
    assert strangers[-1].what == "and 150 more like these"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("sep=;\npath;yaw\na.png;1\nb.png;2\n", [1, 2]),
        ("path,yaw\na.png,3\nb.png,NA\n", [3, None]),
        ("path,yaw\na.png,n/a\nb.png,2\n", [None, 2]),
    ],
)
def test_tables_of_spreadsheets_and_data_frames_are_read(tmp_path, text, values):
    (tmp_path / "table.csv").write_text(text)
    table = read_parameters([tmp_path / "table.csv"], ["a.png", "b.png"], [])
    (parameter,) = table.parameters
    numbers = [None if np.isnan(value) else value for value in parameter.values.tolist()]
    assert (parameter.kind, numbers) == ("number", values)
    assert [problem.row for problem in table.problems if not problem.used] == [
        2 + place for place, value in enumerate(values) if value is None
    ]


def test_numbers_with_other_marks_are_a_problem(tmp_path):
    (tmp_path / "table.csv").write_text('path,yaw\na.png,"1,5"\nb.png,"2,5"\nc.png,"1,5"\n')
    table = read_parameters([tmp_path / "table.csv"], ["a.png", "b.png", "c.png"], [])
    assert table.parameters[0].kind == "category"
    (problem,) = table.problems
    assert "received numbers with other marks, such as '1,5'" in problem.what


def test_a_table_without_a_usable_column_is_refused(tmp_path):
    (tmp_path / "table.csv").write_text("path,yaw\na.png,\nb.png,\n")
    with pytest.raises(InputError, match=r"table\.csv: expected a column of numbers .* \(yaw: "):
        read_parameters([tmp_path / "table.csv"], ["a.png", "b.png"], [])


def test_oddities_that_are_used_do_not_count_as_left_out(tmp_path):
    (tmp_path / "table.csv").write_bytes(
        "path;yaw\na.png;1,5\nb.png;2,5\né.png;3\n".encode("cp1252")
    )
    table = read_parameters([tmp_path / "table.csv"], ["a.png", "b.png", "é.png"], [])
    assert [problem.used for problem in table.problems] == [True, True, True]
    assert count_left_out(table.problems) == 0


def test_class_names_made_of_digits_are_categories_and_keep_their_zeros(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("path,label,Prediction,class,speed\na.png,05,16,05,5\nb.png,16,05,1,16\n")
    read = read_parameters([table], ["a.png", "b.png"], ())
    kinds = {
        parameter.name: (parameter.kind, parameter.categories) for parameter in read.parameters
    }
    assert kinds == {
        "label": ("category", ("05", "16")),
        "Prediction": ("category", ("05", "16")),
        "class": ("category", ("05", "1")),
        "speed": ("number", ()),
    }
    write_parameters(tmp_path / "kept.csv", ["a.png", "b.png"], read.parameters)
    names = [(parameter.name, parameter.kind) for parameter in read.parameters]
    _, again = read_parameter_columns(tmp_path / "kept.csv", names)
    assert [parameter.categories for parameter in again] == [
        parameter.categories for parameter in read.parameters
    ]


def test_the_result_of_a_test_gives_labels_and_predictions_and_no_scores(tmp_path):
    table = tmp_path / "testResult.csv"
    table.write_text(
        "path,expected,predicted,correct,explained output,score 05,score 16\n"
        "a.png,05,16,0,1,0.25,0.75\nb.png,16,16,1,1,0.1,0.9\n"
    )
    read = read_parameters([table], ["a.png", "b.png"], ())
    assert [(parameter.name, parameter.kind) for parameter in read.parameters] == [
        ("label", "category"),
        ("prediction", "category"),
    ]
    assert not read.problems


def test_the_result_of_a_test_of_numbers_gives_errors(tmp_path):
    table = tmp_path / "testResult.csv"
    table.write_text(
        "path,expected,predicted,correct,explained output,error,error yaw,error pitch\n"
        "a.png,1;2,3;4,0,0,2,2,2.5\nb.png,1;2,1;2,1,0,0,0,0.5\n"
    )
    names = [
        parameter.name for parameter in read_parameters([table], ["a.png", "b.png"], ()).parameters
    ]
    assert names == ["error", "error yaw", "error pitch"]
