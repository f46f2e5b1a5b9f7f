"""Downloads: the file byte for byte, and the GIFs in one archive."""

import io
import tempfile
import zipfile

import pytest

from pipelines.runs.manifest import write_manifest
from tests.app.server.small_run import manifest


@pytest.mark.parametrize("name", ["labels.txt", "clusters.csv", "rejected.txt"])
def test_a_download_is_the_file_byte_for_byte(run, client, address, name):
    answer = client.get(f"{address}/download/{name}")
    assert answer.content == (run / name).read_bytes()
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["cache-control"] == "no-store"


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_the_zip_holds_every_gif_and_leaves_no_temporary_file(run, client, address, temporary):
    for name in ("page.html", "mine.gif", ".cluster_000.gif", ".cluster_000.gif.12.tmp"):
        (run / "gifs" / name).write_text("secret")
    answer = client.get(f"{address}/gifs.zip")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert "the%20run-gifs.zip" in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        contents = {name: archive.read(name) for name in archive.namelist()}
    names = ("cluster_000.gif", "cluster_001.gif", "noise.gif")
    assert contents == {name: (run / "gifs" / name).read_bytes() for name in names}
    assert list(temporary.iterdir()) == []


def test_the_zip_of_a_run_without_gifs_is_empty(tmp_path, served, client, temporary):
    write_manifest(tmp_path, manifest(ended="failed"))
    answer = client.get(f"/run/{served.key(tmp_path)}/gifs.zip")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == []
    assert list(temporary.iterdir()) == []


def test_a_zip_that_is_refused_leaves_no_temporary_file(tmp_path, run, client, address, temporary):
    (tmp_path / "secret").touch()
    (run / "gifs" / "cluster_009.gif").symlink_to(tmp_path / "secret")
    assert client.get(f"{address}/gifs.zip").status_code == 404
    assert list(temporary.iterdir()) == []
