"""Columns of a table: numbers, categories, or columns that are left out."""

import numpy as np
import pytest

from pipelines.data.columns import parse_number, read_column


def read(cells, **options):
    column = read_column(cells, **options)
    if column.categories:
        values = [None if np.isnan(v) else column.categories[int(v)] for v in column.values]
        assert list(column.categories) == sorted({value for value in values if value})
        return values
    return [None if np.isnan(value) else value for value in column.values]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "-2.5", "3e2"], [1, -2.5, 300]),
        (["1", "x", "2", ""], [1, None, 2, None]),
        (["1", "x"], [1, None]),
        (["1", "x", "y"], ["1", "x", "y"]),
        (["0", "1", "1", ""], ["0", "1", "1", None]),
        (["0.0", "1.0", "nan"], ["0", "1", None]),
        (["-0", "0"], ["0", "0"]),
        (["0", "1", "2"], [0, 1, 2]),
        (["0", "1", "1", "x"], [0, 1, 1, None]),
        (["True", "FALSE", "true"], ["true", "false", "true"]),
        (["Yes", "no", ""], ["yes", "no", None]),
        (["Yes", "no", "Perhaps"], ["Yes", "no", "Perhaps"]),
        (["rain", "snow", "NaN", "a  b\nc"], ["rain", "snow", None, "a b c"]),
        (["inf", "2", "-inf", "nan", "3", "1e400", "1e200"], [None, 2, None, None, 3, None, None]),
        (["1_0", "2_0", "x"], ["1_0", "2_0", "x"]),
        (["1,5", "2", "2,5"], ["1,5", "2", "2,5"]),
    ],
)
def test_kinds(cells, values):
    assert read(cells) == values


@pytest.mark.parametrize(
    ("cells", "values", "has_remark"),
    [
        (["1,5", "2", "2,5"], [1.5, 2, 2.5], True),
        (["1,5", "2,5", "1.500"], [1.5, 2.5, None], True),  # which may be 1500
        (["1.5", "2", "2.5", "3,5"], [1.5, 2, 2.5, None], False),
        (["1", "2", "x"], [1, 2, None], False),
    ],
)
def test_decimal_commas(cells, values, has_remark):
    assert read(cells, decimal_commas=True) == values
    problems = read_column(cells, decimal_commas=True).problems
    assert (
        (-1, "expected decimal points, received decimal commas: used") in problems
    ) == has_remark


def test_every_cell_without_a_value_is_a_problem():
    column = read_column(["1", "", "inf", "x\ty", "2", "3"])
    assert column.problems == [
        (1, "expected a number, received an empty cell: the image has no value here"),
        (2, "expected a number, received 'inf': the image has no value here"),
        (3, "expected a number, received 'x y': the image has no value here"),
    ]
    what = read_column(["1", "2", "3", "x" * 500]).problems[0][1]
    assert len(what) < 150


def test_a_column_that_can_only_hold_numbers():
    column = read_column(["north", "south", "0", "x"], numeric="an angle in degrees")
    assert column.values.tolist()[2] == 0
    assert column.categories == ()
    assert [row for row, _ in column.problems] == [0, 1, 3]
    assert "expected an angle in degrees, received 'north'" in column.problems[0][1]
    column = read_column(["north", "south"], numeric="an angle in degrees")
    assert not column.usable
    assert [row for row, _ in column.problems] == [-1, 0, 1]


def test_columns_without_a_value():
    assert read_column(["", ""]).problems == [
        (-1, "expected values, received only empty cells: column left out")
    ]
    column = read_column(["nan", "inf"])
    assert not column.usable
    assert np.isnan(column.values).all()


@pytest.mark.parametrize(
    ("different", "rows", "usable"),
    [(100, 100, True), (101, 101, False), (101, 201, False), (101, 202, True)],
)
def test_texts_that_only_identify_images(different, rows, usable):
    cells = [f"id {number % different}" for number in range(rows)] + [""] * 5
    column = read_column(cells)
    assert column.usable == usable
    if not usable:
        what = f"received {different} different ones in {rows} rows: column left out"
        assert [(row, what in problem) for row, problem in column.problems] == [(-1, True)]


def test_numbers_may_all_differ():
    assert read_column([str(number) for number in range(500)]).usable


def test_numbers_that_python_writes_are_read_back():
    for value in np.random.default_rng(0).normal(size=200) * 10.0 ** np.arange(-100, 100):
        assert parse_number(repr(float(value))) == value
