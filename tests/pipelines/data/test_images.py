"""Finding and checking image files: which are used, and why others are rejected."""

import os
import re
import shutil
import socket
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data.formats import FORMATS
from pipelines.data.images import (
    ImageFile,
    Rejected,
    check_header,
    check_image,
    find_files,
    resolve_folder,
)
from pipelines.runs.errors import InputError
from tests.pipelines.data.decoded import load_image


def reason(folder: Path, path: str) -> str:
    """Return why a file is rejected, whether for its header or for its pixels."""
    answer = check_image(folder, path)
    if isinstance(answer, ImageFile):
        answer = load_image(folder, path, 224)
    assert isinstance(answer, Rejected)
    assert answer.path == path
    assert len(answer.reason.splitlines()) == 1
    return answer.reason


# --- listing files ------------------------------------------------------------------------------


def test_files_of_all_subfolders_are_listed_in_order_of_their_relative_path(tmp_path, draw):
    for name in ("b.png", "a/z.png", "a.png", "a/b/c.png", "B.png"):
        draw(tmp_path / name)
    paths, rejected = find_files(tmp_path)
    assert paths == ["B.png", "a.png", "a/b/c.png", "a/z.png", "b.png"]
    assert rejected == []


def test_hidden_files_and_folders_are_skipped(tmp_path, draw):
    draw(tmp_path / ".hidden.png")
    draw(tmp_path / ".folder" / "inside.png")
    draw(tmp_path / "visible.png")
    assert find_files(tmp_path) == (["visible.png"], [])


def test_the_tables_beside_the_images_are_skipped(tmp_path, draw):
    draw(tmp_path / "a.png")
    for name in ("labels.csv", "parameters.csv", "other.csv"):
        (tmp_path / name).write_text("path,label\n")
    assert find_files(tmp_path)[0] == ["a.png", "other.csv"]


@pytest.mark.parametrize(
    ("name", "quotation"),
    [
        (b"new\nline.png", '"new\\nline.png"'),
        (b"tab\there.png", '"tab\\there.png"'),
        (b"latin\xe9.png", '"latin\\udce9.png"'),
        ("para\u2029graph.png".encode(), '"para\\u2029graph.png"'),
        (b"esc\x1bape.png", '"esc\\x1bape.png"'),
    ],
)
def test_names_that_one_line_of_text_cannot_hold_are_rejected(tmp_path, draw, name, quotation):
    draw(tmp_path / "a.png").rename(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    paths, rejected = find_files(tmp_path)
    assert paths == []
    assert [file.path for file in rejected] == [quotation]
    assert "rename it" in rejected[0].reason


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>.png", "=cmd.png", "é 日本 .png"])
def test_odd_names_are_names_like_any_other(tmp_path, draw, name):
    draw(tmp_path / name)
    assert find_files(tmp_path) == ([name], [])


def test_pipes_and_sockets_are_rejected_without_being_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.png"))
        paths, rejected = find_files(tmp_path)
    assert paths == []
    assert [(file.path, file.reason) for file in rejected] == [
        ("pipe.png", "not a regular file"),
        ("socket.png", "not a regular file"),
    ]


def test_the_error_for_a_missing_folder_or_a_file_names_it(tmp_path, draw):
    with pytest.raises(InputError, match=r"missing does not exist"):
        find_files(tmp_path / "missing")
    with pytest.raises(InputError, match=r"a\.png is not a folder"):
        find_files(draw(tmp_path / "a.png"))


def test_links_in_the_path_of_the_folder_are_resolved(tmp_path):
    (tmp_path / "images" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "images")
    assert resolve_folder(tmp_path / "images") == tmp_path / "images"
    assert resolve_folder(tmp_path / "link" / "sub" / "..") == tmp_path / "images"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "missing does not exist. Give the folder"),
        ("file", "file is not a folder. Give the folder"),
        ("file/sub", "file/sub cannot be read: Not a directory."),
        ("nowhere", "nowhere does not exist"),
        ("loop", "loop cannot be read: "),
        ("x" * 300, "cannot be read: File name too long."),
    ],
)
def test_the_error_says_why_a_path_is_not_a_folder_of_images(tmp_path, name, message):
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(InputError, match=re.escape(message)):
        resolve_folder(tmp_path / name)


def is_true_for_an_ordinary_user(function):
    """Return what a function returns in a child process that may not read every file."""
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            os._exit(0 if function() else 1)
        except BaseException:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_folder_that_may_be_listed_but_not_entered_rejects_its_files(draw):
    folder = Path(tempfile.mkdtemp())
    try:
        draw(folder / "closed" / "a.png")
        draw(folder / "b.png")
        folder.chmod(0o755)
        (folder / "closed").chmod(0o444)
        expected = (["b.png"], [Rejected("closed/a.png", "cannot be read: Permission denied")])
        assert is_true_for_an_ordinary_user(lambda: find_files(folder) == expected)
    finally:
        (folder / "closed").chmod(0o755)
        shutil.rmtree(folder)


# --- files that cannot be used ------------------------------------------------------------------


def test_empty_file(tmp_path):
    (tmp_path / "a.png").touch()
    assert reason(tmp_path, "a.png") == "the file is empty"


def test_text_file(tmp_path):
    (tmp_path / "a.png").write_text("not a picture")
    assert reason(tmp_path, "a.png") == (
        "not an image (JPEG, PNG, BMP, WebP, TIFF, GIF, PPM (with PGM and PBM) and AVIF are read)"
    )


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_truncated_file(tmp_path, draw, kind):
    file = draw(tmp_path / "a", size=(300, 200), format=kind)
    file.write_bytes(file.read_bytes()[:-400])
    assert reason(tmp_path, "a").startswith(("truncated", "damaged", "not an image"))


def test_damaged_pixels(tmp_path, draw):
    file = draw(tmp_path / "a.png", size=(300, 200))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    assert reason(tmp_path, "a.png").startswith(("truncated", "damaged"))


@pytest.mark.parametrize(
    ("kind", "size", "most"),
    [("PNG", (10_000, 5_000), 50), ("BMP", (10_000, 5_000), 50), ("JPEG", (15_000, 10_000), 150)],
)
def test_too_many_pixels_are_noticed_before_decoding(tmp_path, kind, size, most):
    width, height = size
    Image.new("L" if kind == "JPEG" else "1", (width, height + 1)).save(tmp_path / "a", kind)
    expected = f"{width} x {height + 1} pixels, more than {most} million: scale it down"
    assert check_image(tmp_path, "a") == Rejected("a", expected)
    Image.new("L" if kind == "JPEG" else "1", size).save(tmp_path / "b", kind)
    assert isinstance(check_image(tmp_path, "b"), ImageFile)


def test_decompression_bomb(tmp_path):
    Image.new("1", (20_000, 20_000)).save(tmp_path / "a.png")
    assert "million" in reason(tmp_path, "a.png")


def test_32_bit_pixels(tmp_path):
    Image.fromarray(np.full((4, 4), 200, dtype=np.int32)).save(tmp_path / "a.tif")
    Image.fromarray(np.full((4, 4), 0.5, dtype=np.float32)).save(tmp_path / "b.tif")
    assert reason(tmp_path, "a.tif") == "32-bit pixels: save it with 8 or 16 bits"
    assert reason(tmp_path, "b.tif").startswith("32-bit floating-point")


def test_a_file_that_vanished(tmp_path):
    assert reason(tmp_path, "gone.png") == "cannot be read: No such file or directory"


def truncate_header(path):
    path.write_bytes(path.read_bytes()[:9])


def truncate_pixels(path):
    path.write_bytes(path.read_bytes()[:-400])


def empty(path):
    path.write_bytes(b"")


def write_words(path):
    path.write_text("not a picture")


def save_huge(path):
    Image.new("1", (10_000, 5_001)).save(path, "PNG")


def save_other(path):
    Image.new("L", (8, 8)).save(path, "JPEG2000")


def remove(path):
    path.unlink()


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


def leave(path):
    """Change nothing."""


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("kind", sorted(FORMATS))
@pytest.mark.parametrize(
    ("spoil", "usable"),
    [
        (leave, True),
        (truncate_header, False),
        (empty, False),
        (write_words, False),
        (save_huge, False),
        (save_other, False),
        (remove, False),
        (replace_by_folder, False),
    ],
)
def test_reading_only_the_header_gives_the_answer_of_the_check(tmp_path, draw, kind, spoil, usable):
    spoil(draw(tmp_path / "a", size=(300, 200), format=kind))
    by_header, by_check = check_header(tmp_path, "a"), check_image(tmp_path, "a")
    assert by_header == (None if usable else by_check)
    assert isinstance(by_check, ImageFile if usable else Rejected)


REASONS_WITHOUT_DECODING = {"JPEG": "truncated: ", "PNG": "truncated: "}


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_what_is_missing_at_the_end_is_told_by_the_check_or_when_it_is_decoded(
    tmp_path, draw, kind
):
    truncate_pixels(draw(tmp_path / "a", size=(300, 200), format=kind))
    by_header, by_check = check_header(tmp_path, "a"), check_image(tmp_path, "a")
    if kind in REASONS_WITHOUT_DECODING:
        assert by_header is None
        assert by_check.reason.startswith(REASONS_WITHOUT_DECODING[kind])
    else:
        assert by_header == (by_check if isinstance(by_check, Rejected) else None)
    assert reason(tmp_path, "a").startswith(("truncated", "damaged"))
