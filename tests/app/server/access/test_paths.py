"""The paths that users name: below the roots, with links resolved."""

from pathlib import Path

import pytest

from app.server.access import Access
from pipelines.runs.errors import InputError


@pytest.fixture
def access(tmp_path):
    for name in ("root", "other", "root-2", "secret"):
        (tmp_path / name).mkdir()
    return Access(roots=(tmp_path / "root", tmp_path / "other"))


@pytest.mark.parametrize(
    ("text", "relative"),
    [
        ("{}/root", "root"),
        ("{}/root/sub/a.png", "root/sub/a.png"),
        (" {}/root/sub\n", "root/sub"),
        ("{}/root/sub/../..//root/b", "root/b"),
        ("{}/other/x", "other/x"),
    ],
)
def test_a_path_below_a_root_is_resolved(tmp_path, access, text, relative):
    assert access.resolve(text.format(tmp_path)) == tmp_path / relative


@pytest.mark.parametrize(
    "path",
    ["secret", "", "root-2", "root/../secret", "root/missing/../../secret", "root/.."],
)
def test_a_path_outside_the_roots_is_refused_and_the_roots_are_named(tmp_path, access, path):
    with pytest.raises(InputError, match=f"below {tmp_path / 'root'}, {tmp_path / 'other'}"):
        access.resolve(f"{tmp_path}/{path}")


def test_a_link_that_leads_out_of_the_root_is_refused(tmp_path, access):
    (tmp_path / "root" / "out").symlink_to(tmp_path / "secret")
    for path in ("root/out", "root/out/file", "root/out/../root-2"):
        with pytest.raises(InputError, match="lies outside"):
            access.resolve(f"{tmp_path}/{path}")


def test_a_link_from_one_root_to_another_is_followed(tmp_path, access):
    (tmp_path / "root" / "link").symlink_to(tmp_path / "other")
    assert access.resolve(f"{tmp_path}/root/link/a") == tmp_path / "other" / "a"


def test_a_tilde_is_the_home_folder_which_has_to_lie_below_a_root(tmp_path, access, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "root" / "home"))
    assert access.resolve("~/images") == tmp_path / "root" / "home" / "images"
    monkeypatch.setenv("HOME", str(tmp_path / "secret"))
    with pytest.raises(InputError, match="secret lies outside"):
        access.resolve("~")


def test_a_relative_path_begins_where_the_server_was_started(tmp_path, access, monkeypatch):
    monkeypatch.chdir(tmp_path / "root")
    assert access.resolve("images") == tmp_path / "root" / "images"
    with pytest.raises(InputError, match="lies outside"):
        access.resolve("../secret")


@pytest.mark.parametrize("limit", [True, False])
@pytest.mark.parametrize(
    "text", ["{root}/a\0b", "\0", "~nobody-of-this-name/a", "{root}/\ud800", "{root}/\udcff"]
)
def test_text_that_is_not_a_path_is_refused(tmp_path, access, text, limit):
    path = text.format(root=tmp_path / "root")
    with pytest.raises(InputError, match="is not a path"):
        (access if limit else Access()).resolve(path)


def test_without_roots_every_path_may_be_named(tmp_path):
    assert Access().resolve(f"{tmp_path}/a/../b") == tmp_path / "b"
    assert Access().resolve("/") == Path("/")
