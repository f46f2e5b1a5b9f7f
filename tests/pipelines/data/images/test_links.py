"""Links in a folder of images: what is followed, and what counts once."""

import pytest

from pipelines.data.images import (
    ImageFile,
    Rejected,
    Repeated,
    check_image,
    find_files,
    tell_unusable,
    walk_files,
)
from pipelines.data.roots import environment


def test_links_to_files_are_followed_and_each_file_counts_once(tmp_path, draw):
    folder, outside = tmp_path / "images", tmp_path / "outside"
    draw(folder / "sub" / "a.png")
    draw(folder / ".store" / "c.png")
    draw(outside / "b.png")
    (folder / "hidden.png").symlink_to(folder / ".store" / "c.png")
    (folder / "other name.png").symlink_to(outside / "b.png")
    (folder / "inside.png").symlink_to(folder / "sub" / "a.png")
    (folder / "leaves.png").symlink_to(outside / "b.png")
    (folder / "again").symlink_to(folder)
    (folder / "nowhere.png").symlink_to(folder / "missing.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    paths, rejected = find_files(folder)
    assert paths == ["hidden.png", "leaves.png", "sub/a.png"]
    assert {file.path: file.reason for file in rejected} == {
        "loop.png": "a symbolic link that leads nowhere",
        "nowhere.png": "a symbolic link that leads nowhere",
    }
    repetitions = {file.path for file in walk_files(folder) if isinstance(file, Repeated)}
    assert repetitions == {"inside.png", "other name.png"}


ABOVE = "a symbolic link to a folder above it: not entered"
LINKS = {
    "a folder elsewhere": ({"there": "out"}, ["own.png", "there/b.png", "there/sub/c.png"], {}, []),
    "one of the folder's own": ({"sub/link": "images/sub2"}, ["own.png", "sub2/d.png"], {}, []),
    "a hidden one": ({"link": "images/.store"}, ["link/e.png", "own.png"], {}, []),
    "the folder itself": ({"link": "images"}, ["own.png"], {}, []),
    "a folder above": ({"link": ""}, ["own.png"], {"link": ABOVE}, []),
    "the root of all": ({"link": "/"}, ["own.png"], {"link": ABOVE}, []),
    "one folder twice": (
        {"two": "out", "one": "out"}, ["one/b.png", "one/sub/c.png", "own.png"], {}, []
    ),
    "a folder, and one in it": (
        {"a": "out/sub", "b": "out"}, ["a/c.png", "b/b.png", "own.png"], {}, []
    ),
    "a circle elsewhere": (
        {"x": "out", "../out/back": "out", "../out/up": "", "../out/home": "images"},
        ["own.png", "x/b.png", "x/sub/c.png"], {"x/up": ABOVE}, [],
    ),
    "a chain of links": (
        {"x": "far", "../far/on": "out"}, ["own.png", "x/on/b.png", "x/on/sub/c.png"], {}, []
    ),
    "a link to a link": (
        {"x": "link", "../link": "out"}, ["own.png", "x/b.png", "x/sub/c.png"], {}, []
    ),
    "a folder, and a file in it": (
        {"b.png": "out/b.png", "x": "out"}, ["b.png", "own.png", "x/sub/c.png"], {}, ["x/b.png"]
    ),
    "a folder with a link to a file that counts": (
        {"x": "far", "../far/own.png": "images/own.png"}, ["own.png"], {}, ["x/own.png"]
    ),
}  # fmt: skip
"""Links in a folder: what they lead to, which files count, which are rejected, which repeated."""


@pytest.mark.parametrize(("links", "paths", "rejected", "repetitions"), LINKS.values(), ids=LINKS)
def test_linked_folders_are_entered_once(tmp_path, draw, links, paths, rejected, repetitions):
    folder = tmp_path / "images"
    for name in ("images/own.png", "out/b.png", "out/sub/c.png"):
        draw(tmp_path / name)
    if "images/sub2" in links.values():
        draw(folder / "sub2" / "d.png")
    if "images/.store" in links.values():
        draw(folder / ".store" / "e.png")
    for name in ("images/sub", "far"):
        (tmp_path / name).mkdir(exist_ok=True)
    for name, target in links.items():
        (folder / name).symlink_to(tmp_path / target)
    files = list(walk_files(folder))
    assert sorted(file for file in files if isinstance(file, str)) == paths
    assert {f.path: f.reason for f in files if isinstance(f, Rejected)} == rejected
    assert [file.path for file in files if isinstance(file, Repeated)] == repetitions
    assert all(isinstance(check_image(folder, path), ImageFile) for path in paths)


def test_on_the_page_linked_folders_are_entered_below_the_roots_alone(tmp_path, draw):
    folder, roots = tmp_path / "a" / "images", [tmp_path / "a"]
    for name in ("a/images/own.png", "a/more/b.png", "c/c.png"):
        draw(tmp_path / name)
    (folder / "more").symlink_to(tmp_path / "a" / "more")
    (folder / "away").symlink_to(tmp_path / "c")
    (tmp_path / "a" / "more" / "away").symlink_to(tmp_path / "c")
    reason = "a symbolic link that leaves the folders that may be used: not followed"
    assert list(walk_files(folder, roots)) == [
        Rejected("away", reason), "own.png", Rejected("more/away", reason), "more/b.png",
    ]  # fmt: skip
    # As a run of somebody else may name it.
    for path in ("away/c.png", "more/away/c.png"):
        assert tell_unusable(folder / path, folder, roots) == reason


@pytest.mark.parametrize("place_of_roots", ["as a parameter", "in the environment"])
def test_a_link_that_leaves_the_roots_is_not_followed(tmp_path, draw, place_of_roots, monkeypatch):
    folder, roots = tmp_path / "a" / "images", [tmp_path / "a", tmp_path / "b"]
    draw(tmp_path / "b" / "b.png")
    draw(tmp_path / "secret.png")
    folder.mkdir(parents=True)
    (folder / "b.png").symlink_to(tmp_path / "b" / "b.png")
    (folder / "c.png").symlink_to(tmp_path / "secret.png")
    (folder / "folder").symlink_to(tmp_path)
    if place_of_roots == "in the environment":
        for name, value in environment(roots).items():
            monkeypatch.setenv(name, value)
        for path in ("c.png", "../../secret.png"):  # as a run of somebody else may name it
            outside = Rejected(path, "lies outside of the folders that may be used")
            assert check_image(folder, path) == outside
        assert isinstance(check_image(folder, "b.png"), ImageFile)
    files = list(walk_files(folder, roots if place_of_roots == "as a parameter" else None))
    reason = "a symbolic link that leaves the folders that may be used: not followed"
    assert files == ["b.png", Rejected("c.png", reason), Rejected("folder", reason)]
