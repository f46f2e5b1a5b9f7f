"""Reading manifests and status back, and listing runs."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from pydantic import Field

from pipelines.runs import folder as run_folder
from pipelines.runs.errors import InputError
from pipelines.runs.manifest import (
    Part,
    find_part,
    list_runs,
    read_manifest,
    read_part,
    read_status,
    write_manifest,
    write_part,
)
from tests.pipelines.runs.test_folder import manifest, quiet


def test_runs_are_listed_with_the_latest_first(tmp_path):
    starts = {
        "b": "2026-01-02T10:00:00+00:00",
        "a": "2026-01-03T09:59:59+00:00",
        "c": "2025-12-31T23:00:00+00:00",
        "d": "2026-01-02T10:00:00+00:00",
        ".hidden": "2024-01-01T00:00:00+00:00",
    }
    for name, start in starts.items():
        (tmp_path / name).mkdir()
        write_manifest(tmp_path / name, manifest(started_at=start, folder=f"/{name}"))
    runs = list_runs(tmp_path)
    assert [folder for folder, _ in runs] == [
        tmp_path / name for name in ("a", "d", "b", "c", ".hidden")
    ]
    assert [run.folder for _, run in runs] == [
        "/a",
        "/d",
        "/b",
        "/c",
        "/.hidden",
    ]


def test_folders_that_are_not_runs_are_not_listed(tmp_path):
    (tmp_path / "run" / "inner").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "run", tmp_path / "run" / "inner"):
        write_manifest(folder, manifest())
    later = json.dumps(json.loads(manifest().model_dump_json()) | {"schema_version": 2})
    without_date = manifest().model_dump_json().replace('"started_at":"', '"started_at":"in ')
    for name, text in {
        "damaged": "{",
        "foreign": '{"name": "x"}',
        "later": later,
        "undated": without_date,
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(text)
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder" / "run.json").mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    assert [folder for folder, _ in list_runs(tmp_path)] == [tmp_path / "run"]


def test_runs_are_listed_however_they_ended(tmp_path):
    for ended in ("running", "finished", "stopped", "failed"):
        (tmp_path / ended).mkdir()
        write_manifest(tmp_path / ended, manifest(ended=ended))
    runs = list_runs(tmp_path)
    assert {folder.name: run.ended for folder, run in runs} == {
        name: name for name in ("running", "finished", "stopped", "failed")
    }


def test_a_missing_folder_a_file_and_an_empty_folder_have_no_runs(tmp_path):
    (tmp_path / "file").touch()
    assert list_runs(tmp_path / "missing") == []
    assert list_runs(tmp_path / "file") == []
    assert list_runs(tmp_path) == []


def test_a_folder_that_may_not_be_entered_hides_no_run():
    folder = Path(tempfile.mkdtemp())
    try:
        for name in ("closed", "open"):
            (folder / name).mkdir()
            write_manifest(folder / name, manifest())
        folder.chmod(0o755)
        (folder / "closed").chmod(0)
        child = os.fork()
        if child == 0:
            try:
                if os.geteuid() == 0:
                    os.setuid(65534)
                runs = [path.name for path, _ in list_runs(folder)]
                os._exit(0 if runs == ["open"] else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        (folder / "closed").chmod(0o755)
        shutil.rmtree(folder)


def test_the_status_is_read_while_a_job_works_and_after(tmp_path):
    with run_folder.open_run(tmp_path / "run", manifest(), quiet) as run:
        run.progress("drawing", 3, 3)
        status = read_status(run.folder)
        assert (status.stage, status.done, status.total) == ("drawing", 3, 3)
        assert status.pid == os.getpid()
    status = read_status(tmp_path / "run")
    assert (status.stage, status.message) == ("ended", "finished")


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[]", b"\xff\xfe", b'{"stage": "drawing"}'])
def test_a_status_that_cannot_be_read_is_none(tmp_path, content):
    assert read_status(tmp_path / "missing") is None
    assert read_status(tmp_path) is None
    (tmp_path / "status.json").write_bytes(content)
    assert read_status(tmp_path) is None


def test_a_status_that_is_a_folder_is_none(tmp_path):
    (tmp_path / "status.json").mkdir()
    assert read_status(tmp_path) is None


class ImageCount(Part):
    """Two figures, and one that a later version added."""

    part = "result"
    images: int
    share: float = Field(alias="in all")
    later: tuple[str, ...] = ()


def test_a_part_is_read_as_it_was_written(tmp_path):
    run_manifest = manifest(result={"earlier": 1})
    write_part(run_manifest, ImageCount(share=0.5, images=3))
    assert list(run_manifest.result.items()) == [("earlier", 1), ("images", 3), ("in all", 0.5)]
    write_manifest(tmp_path, run_manifest)
    part = read_part(read_manifest(tmp_path), ImageCount)
    assert (part.images, part.share, part.later) == (3, 0.5, ())
    write_part(run_manifest, part.model_copy(update={"later": ("a", "b")}))
    write_manifest(tmp_path, run_manifest)
    assert read_part(read_manifest(tmp_path), ImageCount).later == ("a", "b")


def test_a_part_that_the_job_did_not_reach_is_none():
    assert find_part(manifest(), ImageCount) is None
    assert find_part(manifest(result={"later": ["a"]}), ImageCount) is None
    assert find_part(manifest(result={"images": 1, "in all": 1}), ImageCount).images == 1


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"images": 1}, "result.in all: Field required"),
        ({"in all": 0.5}, "result.images: Field required"),
        ({"images": "many", "in all": 0.5}, "result.images: Input should be a valid integer"),
        ({"images": 1.5, "in all": 0.5}, "result.images: Input should be a valid integer"),
        ({"images": 1, "in all": None}, "result.in all: Input should be a valid number"),
        ({"images": 1, "in all": 1, "later": "a"}, "result.later: Input should be a valid tuple"),
    ],
)
def test_a_part_that_was_edited_is_refused_by_file_and_field(tmp_path, result, words):
    write_manifest(tmp_path, manifest(result=result))
    for read in (read_part, find_part):
        with pytest.raises(InputError) as refusal:
            read(read_manifest(tmp_path), ImageCount)
        assert str(refusal.value).startswith(f"{tmp_path / 'run.json'} is not as the tool writes")
        assert words in str(refusal.value)
        assert str(refusal.value).endswith(
            "Take the file from a backup, or run its job (cluster) again."
        )
