"""Parameters are written into a table, and read back."""

import numpy as np
import pytest

from pipelines.data.parameters import (
    Parameter,
    read_parameter_columns,
    write_parameters,
)
from pipelines.runs.errors import InputError
from tests.pipelines.data.saved import PATHS, save


def random_parameters(rng, count):
    words = ["=1+1", "'quoted'", "'", "-", "a,b", 'say "x"', "two words", "\u00fc", "nan", "0"]
    parameters = []
    for number, kind in enumerate(["number", "angle", "category"] * 2):
        values = rng.normal(size=count) * 10.0 ** rng.integers(-20, 20, count)
        values[::7] = np.rint(values[::7] % 1000)
        if kind == "angle":
            values %= 360
        categories = ()
        if kind == "category":
            categories = tuple(sorted(words))
            values = rng.permutation(np.arange(count) % len(words)).astype(float)
        values[rng.random(count) < 0.1] = np.nan
        if kind == "category":  # all of them occur
            values[: len(words)] = np.arange(len(words))
        parameters.append(
            Parameter(f"{['=', 'p', chr(39)][number % 3]}{number}", kind, values, categories)
        )
    return parameters


@pytest.mark.parametrize("seed", range(5))
def test_parameters_are_read_back_as_written(tmp_path, seed):
    rng = np.random.default_rng(seed)
    paths = [
        f"{start}{number}.png" for number, start in enumerate(["=", "'", "a", "\u00fc", "-"] * 8)
    ]
    parameters = random_parameters(rng, len(paths))
    file = tmp_path / "parameters.csv"
    write_parameters(file, paths, parameters)
    kinds = [(parameter.name, parameter.kind) for parameter in parameters]
    read_paths, read = read_parameter_columns(file, kinds)
    assert read_paths == paths
    for own, other in zip(parameters, read, strict=True):
        assert (own.name, own.kind, own.categories) == (other.name, other.kind, other.categories)
        np.testing.assert_array_equal(own.values, other.values)
    assert file.read_text().startswith("path,'=0,")  # no formula, not even as a title


def test_numbers_are_written_short(tmp_path):
    values = np.array([218.0, -0.1, np.nan, 1e22])
    write_parameters(tmp_path / "p.csv", PATHS, [Parameter("x", "number", values)])
    assert (
        tmp_path / "p.csv"
    ).read_text() == "path,x\na.png,218\nb.png,-0.1\nc.png,\nd/e.png,1e+22\n"


def test_a_table_without_images_is_read_back(tmp_path):
    write_parameters(tmp_path / "p.csv", [], [Parameter("x", "number", np.zeros(0))])
    paths, (parameter,) = read_parameter_columns(tmp_path / "p.csv", [("x", "number")])
    assert paths == []
    assert parameter.values.shape == (0,)


@pytest.mark.parametrize(
    "text", ["", "path,y\na.png,1\n", "path,x\na.png,one\n", "path,x\na.png\n", "path,x\n\xff,1"]
)
def test_a_file_that_was_changed_is_refused(tmp_path, text):
    file = save(tmp_path, text.encode("latin-1"))
    with pytest.raises(InputError, match="expected the parameters of the run"):
        read_parameter_columns(file, [("x", "number")])
    with pytest.raises(InputError, match="expected the parameters of the run"):
        read_parameter_columns(tmp_path / "missing.csv", [("x", "number")])
