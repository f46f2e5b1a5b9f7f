"""Groups of images, told by names, expressions and tables."""

import pytest

from pipelines.data.groups import (
    ALONE,
    describe_groups,
    find_groups,
    find_groups_beside,
    number_groups,
)
from pipelines.runs.errors import InputError

TRACKS = [
    f"{track % 3:05d}/{track:05d}_{frame:05d}.png" for track in range(20) for frame in range(4)
]


def groups(choice, paths, tables=(), folder=None):
    return find_groups(choice, paths, tables, folder)


def test_frames_of_a_track_share_the_stem_before_their_number():
    stems = groups(None, TRACKS)
    assert stems.names["00001/00004_00003.png"] == stems.names["00001/00004_00000.png"]
    assert len(set(stems.names.values())) == 20
    assert "stem" in stems.how
    assert groups("auto", TRACKS) == stems


@pytest.mark.parametrize(
    "paths",
    [
        [f"eye_{number:04d}.jpg" for number in range(200)],  # one stem: images are just numbered
        [f"{kind}/{number}.jpg" for kind in ("bath", "bed") for number in range(100)],
        [f"cat{number}.png" for number in range(50)],
        [f"photo {name}.png" for name in "abcdefghijklmnop"],
        [f"00{track}_{frame}.png" for track in range(3) for frame in range(30)],  # too few tracks
        [*TRACKS, *(f"other {number}.png" for number in range(200))],  # most are none
    ],
)
def test_ordinary_names_are_no_tracks(paths):
    assert groups(None, paths) == ALONE


def test_a_regular_expression_names_the_group_by_its_first_group_or_as_a_whole():
    paths = ["anna/day1/1.png", "anna/day2/2.png", "bob/day1/3.png", "x.png"]
    assert groups(r"^([a-z]+)/", paths).names == {
        "anna/day1/1.png": "anna", "anna/day2/2.png": "anna", "bob/day1/3.png": "bob",
    }  # fmt: skip
    assert set(groups(r"day\d", paths).names.values()) == {"day1", "day2"}


def test_a_column_of_a_table_names_the_group(tmp_path):
    table = tmp_path / "drives.csv"
    table.write_text("path,drive\na.png,7\nb.png,7\nc.png,\n")
    drives = groups("drive", ["a.png", "b.png", "c.png", "d.png"], [table], tmp_path)
    assert drives.names == {"a.png": "7", "b.png": "7"}
    assert drives.how == "by the column drive of drives.csv"
    assert number_groups(drives, ["a.png", "c.png", "b.png", "d.png"]).tolist() == [0, 1, 0, 2]


def test_none_takes_every_image_by_itself():
    assert groups("none", TRACKS) == ALONE
    assert number_groups(ALONE, ["a", "b", "a"]).tolist() == [0, 1, 2]  # of two folders


@pytest.mark.parametrize(
    ("choice", "message"),
    [("[", "regular expression, received"), ("driver", "is no column.*matches none of 80 paths")],
)
def test_what_names_no_group_is_refused(choice, message):
    with pytest.raises(InputError, match=message):
        groups(choice, TRACKS)


@pytest.mark.parametrize(
    "name", ["n{0:08d}/n{0:08d}_{1}.JPEG", "n{0:08d}/ILSVRC2012_val_{1:08d}.JPEG"]
)
def test_names_after_the_class_or_the_set_are_no_tracks(name):
    paths = [name.format(folder, number) for folder in range(20) for number in range(10)]
    assert groups(None, paths) == ALONE


def test_what_an_expression_leaves_empty_is_no_group():
    paths = ["drive7/a.png", "static/b.png", "static/c.png"]
    assert groups(r"drive(\d+)|static", paths).names == {"drive7/a.png": "7"}
    with pytest.raises(InputError, match="matches none of 3 paths"):
        groups(r"\d*$", paths)
    with pytest.raises(InputError, match="matches none of 0 paths"):
        groups(r"x(\d+)", [])


def test_tables_beside_images_name_their_groups(tmp_path):
    paths = ["a.png", "b.png", "c.png"]
    with pytest.raises(InputError, match=r"neither labels.csv nor parameters.csv lies in .*tests?"):
        find_groups_beside("drive", paths, tmp_path / "test")
    (tmp_path / "labels.csv").write_text("path,label\na.png,1\nb.png,2\nc.png,2\n")
    with pytest.raises(InputError, match=r"'drive' is no column of labels.csv, and as a regular"):
        find_groups_beside("drive", paths, tmp_path)
    (tmp_path / "parameters.csv").write_text("path,drive\na.png,7\nc.png,7\n")
    drives = find_groups_beside("drive", paths, tmp_path)
    assert drives.names == {"a.png": "7", "c.png": "7"}
    assert describe_groups(drives, paths) == (
        "3 images in 2 groups, by the column drive of parameters.csv"
    )
    assert find_groups_beside(None, paths, tmp_path) == ALONE
    assert describe_groups(ALONE, paths) == ""


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("[", r"expected auto, none or a regular expression, received '\['"),
        ("driver", "groups: 'driver' as a regular expression matches none of 80 paths"),
    ],
)
def test_where_no_tables_are_taken_none_is_spoken_of(choice, message):
    with pytest.raises(InputError, match=message):
        groups(choice, TRACKS, None)
