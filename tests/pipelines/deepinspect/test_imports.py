"""CSV files of another framework: what is read, and what is refused with which words."""

import numpy as np
import pytest

from pipelines.deepinspect.imports import as_matrix, join_labels, read_distances, read_labels
from pipelines.runs.errors import InputError

PAIRS = ["object,object,neuron distance", "cat,dog,0.5", "dog,bird,1.5", "bird,cat,2"]


def write(path, lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_distances_are_read_once_or_both_ways(tmp_path):
    names, distances = read_distances(write(tmp_path / "d.csv", PAIRS))
    assert names == ("bird", "cat", "dog")
    np.testing.assert_array_equal(distances, [[0, 2, 1.5], [2, 0, 0.5], [1.5, 0.5, 0]])
    both = [*PAIRS, "dog,cat,0.5", "bird,dog,1.5000000001", "cat,bird,2", "cat,cat,0"]
    again = read_distances(write(tmp_path / "d.csv", both))[1]
    np.testing.assert_allclose(again, distances)


def test_numbers_are_sorted_as_numbers(tmp_path):
    lines = ["a;b;d", "10;2;0,25", "2;9;1", "9;10;1"]
    names, distances = read_distances(write(tmp_path / "d.csv", lines))
    assert names == ("2", "9", "10")
    assert distances[0, 2] == 0.25


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (PAIRS[:3], "received none for 'bird' and 'cat'; pairs without one: 1"),
        ([*PAIRS, "dog,cat,0.7"], "row 5: expected one distance between 'dog' and 'cat'"),
        ([*PAIRS, "cat,cat,1"], "expected 0 as the distance of 'cat' to itself"),
        ([*PAIRS[:3], "bird,cat,near"], "row 4: expected a distance, a number of at least 0, rec"),
        ([*PAIRS[:3], "bird,cat,-1"], "expected a distance, a number of at least 0"),
        ([*PAIRS[:3], "bird,cat,nan"], "expected a distance, a number of at least 0"),
        ([*PAIRS[:3], "bird,,2"], "row 4: expected two classes"),
        (["a,b", "c,d"], "expected three columns"),
        (["a,b,c", "cat,cat,0"], "expected two classes or more, received cat."),
        (["cat,dog,0.5", *PAIRS[1:]], "expected titles in the first row, received 'cat,dog,0.5'"),
        ([*PAIRS, "big, red cat,dog,1"], "row 5: expected 3 cells, received 4. Put cells with a"),
    ],
)
def test_distances_that_cannot_be_used(tmp_path, lines, words):
    file = write(tmp_path / "d.csv", lines)
    with pytest.raises(InputError) as error:
        read_distances(file)
    assert words in str(error.value)
    assert str(file) in str(error.value)


def test_labels_are_read_and_joined_on_the_image(tmp_path):
    names = ("bird", "cat", "dog")
    labels = read_labels(
        write(tmp_path / "l.csv", ["image,labels", "1.png,cat;dog", "2.png,bird", "3.png,"]),
        "--labels",
        names,
    )
    assert labels == {"1.png": ("cat", "dog"), "2.png": ("bird",), "3.png": ()}
    images = join_labels(labels, {"3.png": ("cat",), "1.png": ("dog",), "4.png": ()})
    assert images == ("1.png", "3.png")
    matrix = as_matrix([labels[image] for image in images], names)
    assert matrix.tolist() == [[False, True, True], [False, False, False]]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["image,labels", "1,cow"], "row 2: the class 'cow' has no distances"),
        (["image,labels", "1,cat", "1,cat"], "row 3: expected one row per image"),
        (["image,a,b", "1,cat,dog"], "expected two columns, image and labels, received 3"),
        # Without it, images with one label alone would be left.
        (["image;labels", "1;cat", "2;dog;cat"], "row 3: expected 2 cells, received 3. Put cells"),
        (["1,cat;dog", "2,dog"], "expected titles in the first row, received '1,cat;dog'"),
    ],
)
def test_labels_that_cannot_be_used(tmp_path, lines, words):
    with pytest.raises(InputError) as error:
        read_labels(write(tmp_path / "l.csv", lines), "--labels", ("cat", "dog"))
    assert words in str(error.value)
    assert "--labels" in str(error.value)


def test_labels_and_predictions_of_other_images_are_refused():
    with pytest.raises(InputError, match=r"no image in common.*'a'.*'b'"):
        join_labels({"a": ("cat",)}, {"b": ("cat",)})
