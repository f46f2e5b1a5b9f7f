"""Lists of images: one key for each image, however a line names it."""

import pytest
from PIL import Image

from pipelines.data.image_lists import (
    NOT_ALLOWED,
    OUTSIDE,
    ListedImages,
    find_image_folder,
    list_images,
    write_image_list,
)
from pipelines.data.images import Rejected
from pipelines.runs.errors import InputError


@pytest.fixture
def images(tmp_path):
    """Draw images in class folders, a link to one of them, and an image elsewhere."""
    for name in ("set/cat/a.png", "set/cat/b.png", "set/dog/c.png", "elsewhere/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    (tmp_path / "set" / "link.png").symlink_to(tmp_path / "set" / "cat" / "a.png")
    (tmp_path / "set" / "away.png").symlink_to(tmp_path / "elsewhere" / "d.png")
    (tmp_path / "other name").symlink_to(tmp_path / "set")
    return tmp_path / "set"


def write(tmp_path, *lines, name="list.txt"):
    (tmp_path / name).write_text(
        "".join(f"{line}\n" for line in lines).replace("{}", str(tmp_path))
    )
    return list_images(tmp_path / name)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("cat/a.png", "cat/a.png"),
        ("./cat/a.png", "cat/a.png"),
        ("cat//a.png", "cat/a.png"),
        ("dog/../cat/a.png", "cat/a.png"),
        ("missing/../cat/a.png", "cat/a.png"),
        ("{}/set/cat/a.png", "cat/a.png"),
        ("{}/set/dog/../cat/./a.png", "cat/a.png"),
        ("{}/other name/cat/a.png", "cat/a.png"),
        ("../other name/cat/a.png", "cat/a.png"),
        ("../set/cat/a.png", "cat/a.png"),
        ("  cat/a.png ", "cat/a.png"),
        ("cat\\a.png", "cat/a.png"),
        (".\\cat\\a.png\r", "cat/a.png"),
        ("link.png", "link.png"),
        ("away.png", "away.png"),
    ],
)
def test_every_way_to_name_an_image_is_one_key(tmp_path, images, line, key):
    alone = write(tmp_path, "# set", line)
    assert alone == ListedImages(tmp_path / "list.txt", images, (key,), (), (), True)
    beside = write(tmp_path, "# set", line, "dog/c.png", "cat/a.png", "./cat/b.png")
    images_of = ("cat/a.png", "cat/b.png", "dog/c.png")
    assert beside.paths == tuple(sorted({*images_of, key} - {"link.png"}))
    if key != "away.png":  # listed twice
        assert beside.rejected == ()
        assert beside.notes[0].startswith("1 line of list.txt names an image that an earlier line")


def test_of_forty_images_that_are_listed_twice_forty_count(tmp_path):
    (tmp_path / "set").mkdir()
    names = [f"{number:02d}.png" for number in range(40)]
    for name in names:
        Image.new("RGB", (4, 4)).save(tmp_path / "set" / name)
    lines = [f"./{name}" for name in names] + ["{}/set/" + name for name in names]
    image_list = write(tmp_path, "# set", *lines)
    assert image_list.paths == tuple(names)
    assert image_list.notes == (
        "40 lines of list.txt name an image that an earlier line names, too (such as "
        f"{tmp_path}/set/00.png): each image counts once.",
    )


def test_a_real_file_counts_rather_than_a_link_to_it_in_any_order(tmp_path, images):
    for lines in (["link.png", "cat/a.png"], ["cat/a.png", "link.png"]):
        assert write(tmp_path, "# set", *lines).paths == ("cat/a.png",)


def test_what_a_list_names_outside_of_its_folder_is_rejected_once(tmp_path, images):
    image_list = write(
        tmp_path, "# set", "cat/a.png", "gone.png", "./gone.png", "cat", "{}/elsewhere/d.png"
    )
    assert image_list.paths == ("cat/a.png",)
    assert image_list.rejected == (
        Rejected(f"{tmp_path}/elsewhere/d.png", "lies outside of the images' folder"),
        Rejected("cat", "not a regular file"),
        Rejected("gone.png", "cannot be read: No such file or directory"),
    )


def test_what_a_plain_list_names_and_is_not_there_is_rejected_once(tmp_path, images):
    image_list = write(tmp_path, "set/cat/a.png", "./gone.png", "gone.png", "set/../gone.png")
    assert [file.path for file in image_list.rejected] == ["gone.png"]


@pytest.mark.parametrize(
    ("lines", "folder", "paths"),
    [
        (["set/cat/a.png", "set/dog/c.png"], "set", ["cat/a.png", "dog/c.png"]),
        (["{}/set/cat/a.png", "./set/dog/c.png"], "set", ["cat/a.png", "dog/c.png"]),
        (["set/cat/a.png", "{}/elsewhere/d.png"], "", ["elsewhere/d.png", "set/cat/a.png"]),
        (["", "set/cat/a.png", "", "set/cat/b.png", ""], "set/cat", ["a.png", "b.png"]),
        (["path", "set/cat/a.png", '"set/dog/c.png"'], "set", ["cat/a.png", "dog/c.png"]),
        (["path,label", "set/cat/a.png,1", "set/dog/c.png,2"], "set", ["cat/a.png", "dog/c.png"]),
        (["id;Filename", "1;set/cat/a.png", "2;set/cat/b.png"], "set/cat", ["a.png", "b.png"]),
        (["IMAGE\tweight", "{}/set/dog/c.png\t1"], "set/dog", ["c.png"]),
        (['"file","label"', '"set/dog/c.png","x, y"'], "set/dog", ["c.png"]),
    ],
)
def test_plain_lists_and_tables_are_read(tmp_path, images, lines, folder, paths):
    image_list = write(tmp_path, *lines)
    assert (image_list.folder, image_list.rejected) == (tmp_path / folder, ())
    assert image_list.paths == tuple(paths)
    assert image_list.notes == (
        f"All paths are relative to {tmp_path / folder}, the common folder of the images that "
        "list.txt names. A first line “# FOLDER” would name another.",
    )
    assert find_image_folder(tmp_path / "list.txt") == tmp_path / folder
    assert not image_list.part_of_folder


def test_labels_above_the_common_folder_are_found_up_to_that_of_the_list(tmp_path, images):
    lines = ["set/cat/a.png", "set/cat/b.png"]
    (images / "labels.csv").write_text("path,label\ncat/a.png,1\n")
    assert write(tmp_path, *lines).paths == ("cat/a.png", "cat/b.png")
    lines = ["../cat/a.png", "../cat/b.png"]
    assert write(images / "dog", *lines).paths == ("a.png", "b.png")


def test_the_notes_tell_which_rows_and_columns_of_a_table_are_left_out(tmp_path, images):
    lines = ["image,path", "1,set/cat/a.png", "2,", "3,set/cat/b.png,more", "4,set/dog/c.png"]
    image_list = write(tmp_path, *lines)
    assert image_list.paths == ("cat/a.png", "dog/c.png")
    assert image_list.notes[1:] == (
        "Paths are taken from the column path of list.txt, not from image.",
        "2 rows of list.txt cannot be used (line 4: expected 2 cells, received 3: row left out).",
    )


@pytest.mark.parametrize("lines", [[], [""], ["# set"], ["# set", " "], ["path"]])
def test_a_list_that_names_nothing_is_refused(tmp_path, images, lines):
    with pytest.raises(InputError, match="names no image"):
        write(tmp_path, *lines)


@pytest.mark.parametrize(
    "lines", [["set/gone.png"], ["some words"], ["a.png,cat", "b.png,dog"], ["set"], ["path", "x"]]
)
def test_a_file_that_is_no_list_is_refused_with_what_was_expected(tmp_path, images, lines):
    words = "expected “# FOLDER” in its first line, the path of an image a line, or a table with a"
    with pytest.raises(InputError, match=f"{words} column path, file, filename or image"):
        write(tmp_path, *lines)


def test_bytes_that_are_no_text_are_no_list(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(InputError, match="is not a list of images in UTF-8"):
        list_images(tmp_path / "list.txt")


def test_with_roots_no_image_outside_is_listed_and_nothing_is_told_of_it(tmp_path, images):
    roots = [images]
    lines = ["set/cat/a.png", "elsewhere/d.png", "elsewhere/gone.png", "/etc/passwd"]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    image_list = list_images(tmp_path / "list.txt", roots)
    assert (image_list.folder, image_list.paths) == (images / "cat", ("a.png",))
    reason = "lies outside of the folders that may be used"
    assert image_list.rejected == tuple(Rejected(path, reason) for path in sorted(lines[1:]))
    (tmp_path / "list.txt").write_text("# set\naway.png\nlink.png\n")
    image_list = list_images(tmp_path / "list.txt", roots)
    assert (image_list.paths, image_list.rejected) == (
        ("link.png",),
        (Rejected("away.png", reason),),
    )
    for source in ("elsewhere", "list.txt"):
        (tmp_path / "list.txt").write_text("# elsewhere\nd.png\n")
        with pytest.raises(InputError, match="elsewhere lies outside of the folders that may be"):
            list_images(tmp_path / source, roots)


def test_a_list_names_images_of_a_linked_folder(tmp_path, images):
    (tmp_path / "set" / "more").symlink_to(tmp_path / "elsewhere")
    folder = list_images(tmp_path / "set")
    assert "away.png" in folder.paths  # which is more/d.png, too
    (tmp_path / "set" / "away.png").unlink()
    paths = list_images(tmp_path / "set").paths
    assert "more/d.png" in paths
    write_image_list(tmp_path / "list.txt", tmp_path / "set", paths)
    new_list = list_images(tmp_path / "list.txt")
    assert (new_list.paths, new_list.rejected) == (paths, ())
    outside = list_images(tmp_path / "list.txt", [tmp_path / "set"])
    assert outside.rejected == (Rejected("more/d.png", NOT_ALLOWED),)
    (tmp_path / "list.txt").write_text("# set\ncat/a.png\nmore/../../elsewhere/d.png\n")
    assert list_images(tmp_path / "list.txt").rejected[0].reason == OUTSIDE


def test_a_folder_of_links_is_a_folder_of_images(tmp_path, images):
    (tmp_path / "links").mkdir()
    for name in ("cat/a.png", "dog/c.png"):
        (tmp_path / "links" / name.replace("/", "-")).symlink_to(images / name)
    assert list_images(tmp_path / "links").paths == ("cat-a.png", "dog-c.png")
    (tmp_path / "links" / "again.png").symlink_to(images / "dog" / "c.png")
    image_list = list_images(tmp_path / "links")
    assert image_list.paths == ("again.png", "cat-a.png")
    assert image_list.notes == (
        "1 symbolic link leads to an image that is there by another path, too (such as "
        "dog-c.png): each image counts once.",
    )


@pytest.mark.parametrize("folder", ["gone", "a\0b", "x" * 5000, "a\tb"])
def test_a_first_line_that_names_no_folder_is_told_with_the_list(tmp_path, folder):
    (tmp_path / "failures.txt").write_text(f"# {folder}\na.png\n")
    with pytest.raises(
        InputError, match=r"first line of .*failures\.txt names a folder that"
    ) as no:
        list_images(tmp_path / "failures.txt")
    assert "\n" not in str(no.value)
