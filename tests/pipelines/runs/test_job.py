"""What `run_job` does for every job, with a job that writes one file."""

from pathlib import Path

import pytest

from pipelines.runs.errors import InputError
from pipelines.runs.files import Outputs
from pipelines.runs.job import Job, check_apart, run_job
from pipelines.runs.manifest import Part, read_manifest, read_status

OUTPUTS = {"count": Outputs(("count.txt",))}


def silent(stage, done, total):
    pass


class FolderCount(Part):
    """The folder whose files are counted."""

    part = "parameters"
    images: str


def counting(folder: Path, *sources: Path, **changes) -> Job:
    """Return a job that counts the files of a folder."""

    def work(run):
        with run.stage("counting"):
            count = len(list(folder.iterdir()))
        run.begin_results()
        (run.folder / "count.txt").write_text(str(count))
        run.manifest.result = {"count": count}

    fields = {
        "name": "count",
        "folder": folder,
        "sources": (folder, *sources),
        "parameters": FolderCount(images=str(folder)),
        "outputs": OUTPUTS,
        "work": work,
    }
    return Job(**fields | changes)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"a")
    return folder


def test_the_manifest_says_what_was_done(images, tmp_path):
    job = counting(images, notes=("One image alone.",))
    manifest = run_job(job, tmp_path / "run", progress=silent, command=["count", "a\udcff"])
    assert read_manifest(tmp_path / "run") == manifest
    assert manifest.ended == "finished"
    assert manifest.command == ["count", "a\\xff"]
    assert (manifest.job, manifest.folder) == ("count", str(images))
    assert manifest.parameters == {"images": str(images)}
    assert manifest.result == {"count": 1}
    assert manifest.notes == ["One image alone."]
    assert [stage.name for stage in manifest.stages] == ["counting"]
    assert read_status(tmp_path / "run").message == "finished"


@pytest.mark.parametrize("out", ["images", "images/run", "."])
def test_sources_and_run_must_lie_apart_or_nothing_is_written(images, tmp_path, out):
    before = sorted(tmp_path.rglob("*"))
    for job in (counting(images), counting(tmp_path / "other", images)):
        with pytest.raises(InputError, match=r"need separate folders.*Choose another --out"):
            run_job(job, tmp_path / out, progress=silent, overwrite=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_folders_inside_one_another_are_refused_also_through_a_link(images, tmp_path):
    (tmp_path / "link").symlink_to(images)
    with pytest.raises(InputError, match="need separate folders"):
        check_apart(images, tmp_path / "link" / "run")
    with pytest.raises(InputError, match="need separate folders"):
        check_apart(tmp_path / "link", images / "run")
    check_apart(images, tmp_path / "images-run")


def test_a_file_that_is_read_may_not_lie_in_the_run_that_is_overwritten(images, tmp_path):
    run = tmp_path / "run"
    run_job(counting(images), run, progress=silent)
    model = run / "model.keras"
    model.write_bytes(b"weights")
    with pytest.raises(InputError, match=r"model\.keras and"):
        run_job(counting(images, model), run, progress=silent, overwrite=True)
    assert model.read_bytes() == b"weights"
    assert (run / "count.txt").read_text() == "1"


def test_a_job_that_fails_leaves_the_earlier_run(images, tmp_path):
    run = tmp_path / "run"
    run_job(counting(images), run, progress=silent)
    before = {file.name: file.read_bytes() for file in run.iterdir() if file.name != "status.json"}

    def fail(run_folder):
        raise InputError("no image is left")

    with pytest.raises(InputError, match="no image is left"):
        run_job(counting(images, work=fail), run, progress=silent, overwrite=True)
    after = {file.name: file.read_bytes() for file in run.iterdir() if file.name != "status.json"}
    assert after == before


def test_the_report_is_written_once_the_manifest_says_how_the_job_ended(images, tmp_path):
    endings = []
    job = counting(images, report=lambda folder: endings.append(read_manifest(folder).ended))
    run_job(job, tmp_path / "run", progress=silent)
    assert endings == ["finished"]

    def stop(run):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(
            counting(images, work=stop, report=lambda folder: endings.append("reported")),
            tmp_path / "stopped",
            progress=silent,
        )
    assert endings == ["finished"]
    assert read_manifest(tmp_path / "stopped").ended == "stopped"
