"""Root cause clusters of failing images, and the files of their run."""

from pipelines.safe.job import find_root_cause_clusters
from pipelines.safe.recipe import Options

TIMES = ("run.json", "status.json", "report.html")


def quiet(stage, done, total):
    """Listen to nothing."""


def find(folder, out, *, overwrite=False, **options):
    return find_root_cause_clusters(
        folder, out, Options(**options), progress=quiet, overwrite=overwrite
    )


def files_of(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in TIMES
    }
