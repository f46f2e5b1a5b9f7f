"""Passing images: where they are found, and how they are sampled."""

from collections import Counter

import numpy as np
import pytest

from pipelines.clusters.passing import (
    find_passing,
    read_passing,
    read_test_images,
    sample_passing,
)
from pipelines.data.groups import ALONE, Groups
from pipelines.data.image_lists import write_image_list
from pipelines.runs.errors import InputError
from pipelines.runs.files import write_csv
from pipelines.runs.folder import open_run
from pipelines.runs.manifest import Manifest


def test_failing_images_among_the_passing_count_as_failing(tmp_path, draw):
    for number in range(6):
        draw(tmp_path / "all" / f"{number}.png", number)
    write_image_list(tmp_path / "failures.txt", tmp_path / "all", ["1.png", "4.png"])
    files = find_passing(tmp_path / "all", tmp_path / "all", ["1.png", "4.png"])
    assert files.paths == ("0.png", "2.png", "3.png", "5.png")
    assert files.notes == (
        "2 images of the passing ones are among the failing: they count as failing.",
    )
    # Another folder's files of the same names are other images.
    assert len(find_passing(tmp_path / "all", tmp_path, ["1.png"]).paths) == 6


def test_a_list_names_passing_images(tmp_path, draw):
    for number in range(3):
        draw(tmp_path / f"{number}.png", number)
    write_image_list(tmp_path / "passing.txt", tmp_path, ["0.png", "2.png", "gone.png"])
    files = find_passing(tmp_path / "passing.txt", tmp_path, [])
    assert files.paths == ("0.png", "2.png")
    assert files.notes == ("1 file of the passing images cannot be used.",)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere does not exist"):
        find_passing(tmp_path / "nowhere", tmp_path, [])


def test_all_are_taken_where_they_are_few_enough():
    paths, weights = sample_passing(["b", "a", "c"], ALONE, 3, 0)
    assert paths == ["a", "b", "c"]
    assert weights.tolist() == [1, 1, 1]


def test_a_sample_is_the_same_for_a_seed_and_stands_for_all():
    paths = [f"{number:04d}" for number in range(1000)]
    sample, weights = sample_passing(paths, ALONE, 100, 3)
    assert (sample, weights.tolist()) == (
        sample_passing(paths, ALONE, 100, 3)[0], [10.0] * 100,
    )  # fmt: skip
    assert sample != sample_passing(paths, ALONE, 100, 4)[0]
    assert len(set(sample)) == 100
    # No part of the list is preferred.
    firsts = Counter(
        int(p) // 250 for seed in range(40) for p in sample_passing(paths, ALONE, 100, seed)[0]
    )
    assert all(800 < count < 1200 for count in firsts.values())


def test_groups_take_turns_and_weights_give_their_sizes_back():
    names = {f"long {n:03d}": "long" for n in range(90)} | {f"short {n}": "short" for n in range(6)}
    names |= {f"tiny {n}": "tiny" for n in range(2)}
    sample, weights = sample_passing(sorted(names), Groups(names, "by hand"), 12, 0)
    counts = Counter(names[path] for path in sample)
    assert counts == {"long": 5, "short": 5, "tiny": 2}
    by_group = {
        group: sum(w for path, w in zip(sample, weights, strict=True) if names[path] == group)
        for group in counts
    }
    assert by_group == pytest.approx({"long": 90, "short": 6, "tiny": 2})
    assert weights.sum() == pytest.approx(98)
    assert np.all(weights > 0)


@pytest.mark.parametrize(
    "content",
    ["", "path,group\na.png\n", "cluster\n1\n", "path,brightness\na.png,inf\n", "path,tilt\na,b\n"],
)
def test_a_damaged_table_of_passing_images_is_named(tmp_path, content):
    (tmp_path / "passing.csv").write_text(content)
    with pytest.raises(InputError, match=r"passing\.csv is not as the tool writes it"):
        read_passing(tmp_path)


def write_test(folder, rows, failures):
    """Write what a test of three images leaves that counted some failures."""
    manifest = Manifest(
        job="test", command=[], folder="/test", parameters={},
        weights={"source": "dnn.keras", "sha256": "0" * 64},
        chosen={"scaling": "none", "task": "classes", "names": ["a", "b"]},
        result={
            "images": 3, "failures": failures,
            "accuracy": 0.67, "accuracy_low": 0.5, "accuracy_high": 0.9,
        },
    )  # fmt: skip
    with open_run(folder, manifest, lambda *step: None):
        pass
    header = ("path", "expected", "predicted", "correct")
    lines = [(path, "a", "b", correct) for path, correct in rows]
    write_csv(folder / "testResult.csv", header, lines)
    return folder


@pytest.mark.parametrize(
    "rows",
    [
        [("a.png", 0), ("b.png", 1)],
        [("a.png", 0), ("b.png", 1), ("b.png", 1)],
        [("a.png", 0), ("b.png", 0), ("c.png", 1)],
        [],
    ],
)
def test_a_test_whose_table_has_other_images_is_refused(tmp_path, rows):
    right = [("a.png", 0), ("b.png", 1), ("c.png", 1)]
    assert read_test_images(write_test(tmp_path / "right", right, 1)).passing == ("b.png", "c.png")
    with pytest.raises(InputError, match=r"testResult\.csv is not .*expected 1 failure of 3"):
        read_test_images(write_test(tmp_path / "test", rows, 1))


def test_a_test_without_failures_has_no_causes(tmp_path):
    rows = [("a.png", 1), ("b.png", 1), ("c.png", 1)]
    with pytest.raises(InputError, match="nothing failed in this test"):
        read_test_images(write_test(tmp_path / "test", rows, 0))
