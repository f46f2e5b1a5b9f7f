"""Tables of parameters with rows of failing and of passing images."""

import numpy as np
import pytest

from pipelines.data.parameter_tables import read_parameters
from pipelines.data.parameters import (
    as_cells,
    join_passing,
    read_parameter_columns,
    take_passing,
    write_parameters,
)
from pipelines.data.table_rows import PassingImages
from pipelines.runs.errors import InputError


@pytest.fixture
def folders(tmp_path):
    """Make a folder of failing and one of passing images; both have a 2.png."""
    for name in ("bad/1.png", "bad/2.png", "good/2.png", "good/3.png", "good/4.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


FAILING, PASSING = ["1.png", "2.png"], ["2.png", "3.png", "4.png"]


def save(file, *lines):
    file.write_text("\n".join(lines) + "\n")
    return file


def read(folders, *files, angles=()):
    passing = PassingImages(folders / "good", PASSING)
    return read_parameters(files, FAILING, angles, folders / "bad", passing)


def cells_of(table):
    """Return the cells of failing and of passing images, by parameter."""
    return {
        parameter.name: (as_cells(parameter), as_cells(take_passing(parameter)))
        for parameter in table.parameters
    }


def problems_of(table):
    return [problem.what for problem in table.problems]


@pytest.mark.parametrize(
    "path",
    ["{root}/good/3.png", "../good/3.png", "good/3.png", "3.png", r".\3.png", "..\\good\\3.png"],
)
def test_a_table_of_both_may_name_passing_images_in_several_ways(folders, path):
    rows = ["1.png,5", "2.png,6", f"{path.format(root=folders)},7"]
    table = read(folders, save(folders / "both.csv", "path,yaw", *rows))
    assert cells_of(table) == {"yaw": ([5, 6], ["", 7, ""])}
    assert table.images_with_values == 2


def test_a_path_of_both_folders_names_the_failing_image_with_a_remark(folders):
    table = read(folders, save(folders / "both.csv", "path,yaw", "1.png,5", "2.png,6", "4.png,8"))
    assert cells_of(table) == {"yaw": ([5, 6], ["", "", 8])}
    (what,) = problems_of(table)
    assert what == (
        "expected paths of one image, received 1 of a failing and a passing one, read as those of "
        "the failing one: used"
    )
    assert table.problems[0].used


@pytest.mark.parametrize("turn", [1, -1])
def test_tables_beside_their_images_are_told_apart_by_their_folders(folders, turn):
    rows = ["2.png,1,rain", "3.png,2,sun", "4.png,3,fog"]
    good = save(folders / "good" / "parameters.csv", "path,yaw,sky", *rows)
    bad = save(folders / "bad" / "parameters.csv", "path,yaw,sky", "1.png,5,sun", "2.png,6,snow")
    table = read(folders, *[bad, good][::turn])
    assert cells_of(table) == {
        "yaw": ([5, 6], [1, 2, 3]),
        "sky": (["sun", "snow"], ["rain", "sun", "fog"]),
    }
    assert table.parameters[1].categories == ("fog", "rain", "snow", "sun")


def test_the_second_table_with_the_same_titles_is_of_passing_images(folders):
    bad = save(folders / "bad.csv", "path,yaw,sky", "1.png,5,a", "2.png,6,b")
    more = save(folders / "more.csv", "path,speed", "1.png,50", "2.png,60")
    good = save(folders / "good.csv", "path,yaw,sky", "2.png,7,a", "3.png,8,b")
    assert cells_of(read(folders, bad, more, good)) == {
        "yaw": ([5, 6], [7, 8, ""]),
        "sky": (["a", "b"], ["a", "b", ""]),
        "speed": ([50, 60], ["", "", ""]),
    }


def test_columns_that_an_earlier_table_has_are_left_out_of_the_later(folders):
    first = save(folders / "first.csv", "path,yaw", "1.png,5", "3.png,7")
    second = save(folders / "second.csv", "path,yaw", "1.png,50", "3.png,70", "4.png,80")
    table = read(folders, first, second)
    assert cells_of(table) == {"yaw": ([5, ""], ["", 7, ""])}
    problem = "expected different titles, received this one again: the later is left out"
    assert problem in problems_of(table)


def test_columns_of_the_second_table_have_the_kinds_of_the_first(folders):
    bad = save(folders / "bad.csv", "path,speed,sky", "1.png,5.5,rain", "2.png,6,sun")
    good = save(folders / "good.csv", "path,speed,sky", "3.png,1,3", "4.png,0,4")
    table = read(folders, bad, good)
    assert [parameter.kind for parameter in table.parameters] == ["number", "category"]
    assert cells_of(table) == {
        "speed": ([5.5, 6], ["", 1, 0]),
        "sky": (["rain", "sun"], ["", "3", "4"]),
    }


def test_angles_of_passing_images_are_wrapped_too(folders):
    rows = ["1.png,-10", "3.png,370", "4.png,x"]
    table = read(folders, save(folders / "both.csv", "path,gaze", *rows), angles=["gaze"])
    assert cells_of(table) == {"gaze": ([350, ""], ["", 10, ""])}
    assert "expected an angle in degrees, received 'x': the image has no value here" in problems_of(
        table
    )


def test_passing_images_without_rows_are_not_a_problem(folders):
    table = read(folders, save(folders / "bad.csv", "path,yaw", "1.png,5"))
    assert problems_of(table) == [
        "expected a row of 2.png, received none: the image has no value of this table"
    ]
    assert np.isnan(table.parameters[0].passing).tolist() == [True] * 3


def test_rows_of_other_files_of_either_folder_are_skipped(folders):
    (folders / "good" / "5.png").write_bytes(b"")
    rows = ["1.png,5", "2.png,6", "5.png,1", "9.png,1"]
    table = read(folders, save(folders / "both.csv", "path,yaw", *rows))
    assert [what for what in problems_of(table) if "received '" in what] == [
        "expected the path of an image of the run, received '9.png': row left out"
    ]


def test_columns_of_only_passing_images_are_left_out(folders):
    bad = save(folders / "bad.csv", "path,yaw", "1.png,5", "2.png,6")
    good = save(folders / "good.csv", "path,speed", "3.png,5", "4.png,6")
    table = read(folders, bad, good)
    assert [parameter.name for parameter in table.parameters] == ["yaw"]
    (problem,) = [problem for problem in table.problems if problem.column == "speed"]
    assert problem.what == "expected values of failing images, received none: column left out"
    with pytest.raises(InputError, match=r"good\.csv: .*expected values of failing images"):
        read(folders, good)


def test_the_table_of_a_test_gives_labels_of_both_and_marks_errors(tmp_path):
    header = "path,expected,predicted,correct,explained output"
    rows = ["a,05,16,0,0", "b,16,05,0,0", "c,05,05,1,0", "d,16,16,1,0"]
    table = save(tmp_path / "testResult.csv", header, *rows)
    both = read_parameters([table], ["a", "b"], [], tmp_path, PassingImages(tmp_path, ["c", "d"]))
    assert cells_of(both) == {
        "label": (["05", "16"], ["05", "16"]),
        "prediction": (["16", "05"], ["05", "16"]),
    }
    rows = ["a,1;2,3;4,0,0,2,2", "b,1;2,4;4,0,0,3,3", "c,1;2,1;2,1,0,0,0", "d,1;2,1;2,1,0,0,0"]
    table = save(tmp_path / "testResult.csv", f"{header},error,error x", *rows)
    both = read_parameters([table], ["a", "b"], [], tmp_path, PassingImages(tmp_path, ["c", "d"]))
    assert cells_of(both) == {"error": ([2, 3], [0, 0]), "error x": ([2, 3], [0, 0])}
    assert all(parameter.outcome for parameter in both.parameters)
    own = save(tmp_path / "own.csv", "path,error", "a,2", "b,3", "c,1")
    assert not read_parameters([own], ["a", "b"], [], tmp_path).parameters[0].outcome


def test_parameters_that_a_run_keeps_are_read_back(folders, tmp_path):
    rows = ["1.png,5,rain", "2.png,,sun", "3.png,7,fog", "4.png,8,"]
    table = read(folders, save(folders / "both.csv", "path,yaw,sky", *rows))
    kinds = [(parameter.name, parameter.kind) for parameter in table.parameters]
    write_parameters(tmp_path / "own.csv", FAILING, table.parameters)
    write_parameters(tmp_path / "others.csv", PASSING, [*map(take_passing, table.parameters)])
    (paths, own), (others_paths, others) = (
        read_parameter_columns(tmp_path / name, kinds) for name in ("own.csv", "others.csv")
    )
    assert (paths, others_paths) == (FAILING, PASSING)
    for before, after in zip(table.parameters, map(join_passing, own, others), strict=True):
        assert (after.name, after.kind, after.categories) == (
            before.name, before.kind, before.categories,
        )  # fmt: skip
        np.testing.assert_array_equal(after.values, before.values)
        np.testing.assert_array_equal(after.passing, before.passing)
