"""The commands `select`, `recut` and `export` as a user meets them."""

import pytest

from tests.app.cli.command import tool

SELECT_OPTIONS = (
    "count test-images accuracy selection-factor allocation ranking duplicates groups overwrite "
    "export link"
)


@pytest.mark.parametrize("option", SELECT_OPTIONS.split())
def test_help_of_select_lists_every_option(option):
    assert f"--{option}" in tool("select", "--help").stdout


def test_select_ends_with_a_summary(images, cache, tmp_path, draw):
    assert tool("cluster", images, "--out", tmp_path / "run").returncode == 0
    for seed in range(20, 26):
        draw(tmp_path / "new" / f"{seed}.png", seed)
    arguments = ["--count", 3, "--export", tmp_path / "to label"]
    result = tool("select", tmp_path / "run", tmp_path / "new", *arguments)
    assert result.returncode == 0, result.stderr
    assert "3 of 6 images chosen (as asked for)" in result.stdout
    assert str(tmp_path / "run" / "unsafe_set.csv") in result.stdout
    assert len((tmp_path / "run" / "IS_filenames.txt").read_text().splitlines()) == 3
    assert (tmp_path / "to label" / "coco.json").is_file()
    again = tool("select", tmp_path / "run", tmp_path / "new", *arguments)
    assert again.returncode == 1
    assert again.stderr.count("Error: ") == 1
    assert "not a new or empty folder" in again.stderr
    first, *others = (tmp_path / "run" / "IS_filenames.txt").read_text().splitlines()
    fewer = tool("recut", tmp_path / "run", "--without", first)
    assert fewer.returncode == 0, fewer.stderr
    sentence = (
        "2 of 6 images chosen (3 were wanted, as asked for; images that are taken out are not"
    )
    assert sentence in fewer.stdout
    assert "Images that are taken out: 1." in fewer.stdout
    assert (tmp_path / "run" / "IS_filenames.txt").read_text().splitlines() == others
    export = tool("export", tmp_path / "run", tmp_path / "again", "--link")
    assert f"2 images in {tmp_path / 'again'}" in export.stdout
    nothing = [word for name in others for word in ("--without", name)]
    assert tool("recut", tmp_path / "run", *nothing).returncode == 0
    empty = tool("export", tmp_path / "run", tmp_path / "nothing")
    assert (empty.returncode, (tmp_path / "nothing").exists()) == (1, False)
    assert "there is no image to export: none is chosen. Nothing was written." in empty.stderr
    none = tool("recut", tmp_path / "run", "--without-cluster", 99)
    assert none.returncode == 1
    assert "has no cluster 99" in none.stderr
