"""The run folder: the contract between a job and whoever reads its results.

A job writes one run folder; the page and the command line only read it.  Every file appears
whole or not at all, and `run.json` says what was analysed, with what, and how it ended.
"""

from __future__ import annotations

import csv
import fcntl
import io
import os
import platform
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.errors import InputError

MANIFEST_FILE = "run.json"
STATUS_FILE = "status.json"
REJECTED_FILE = "rejected.txt"
LOCK_FILE = ".lock"
OUTPUTS = (
    MANIFEST_FILE,
    STATUS_FILE,
    REJECTED_FILE,
    "labels.txt",
    "clusters.csv",
    "images.csv",
    "reduction.npz",
    "gifs",
    "thumbnails",
)
"""All that a job writes into a run folder, and so all that overwriting one removes."""

SECONDS_BETWEEN_STATUSES = 0.5
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "'")

Progress = Callable[[str, int, int], None]
"""Called as ``progress(stage, done, total)`` while a job works; it must return at once."""


def now() -> str:
    """Return the present moment in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that decide the result."""
    libraries = ("tensorflow", "keras", "scikit-learn", "numpy", "scipy", "pillow", "kneed")
    return {"python": platform.python_version()} | {name: version(name) for name in libraries}


class NoManifestError(InputError):
    """The folder has no `run.json` that this version of the tool can read."""


class Stage(BaseModel):
    """What one stage of a job cost.

    Attributes
    ----------
    name : str
    seconds : float
        Wall-clock time.
    peak_memory_mb : float
        Highest resident memory of the process from its start to the end of this stage, in MiB.
    """

    name: str
    seconds: float
    peak_memory_mb: float


class ImageCounts(BaseModel):
    """How many files were found below the folder, and what became of them."""

    found: int = 0
    used: int = 0
    rejected: int = 0


class Manifest(BaseModel):
    """`run.json`: everything needed to judge a run, and to repeat it.

    Attributes
    ----------
    ended : str
        "running", "finished", "stopped" (by the user) or "failed" (`message` says why).  A run
        that says "running" although its process is gone was killed.
    command : list of str
        The arguments that started the job, to be given to `SAFE_Tool.py` again.
    parameters : dict
        Every option of the job, given or defaulted.
    weights : dict
        Recipe, source, layers and digest of the network that extracted the features.
    chosen : dict
        What the job settled on by itself: precision, components, eps, min_samples, ...
    result : dict
        Counts and scores of the outcome.
    notes : list of str
        What the user should know about this run, in sentences.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = 1
    job: str
    ended: Literal["running", "finished", "stopped", "failed"] = "running"
    message: str = ""
    started_at: str = Field(default_factory=now)
    ended_at: str = ""
    command: list[str]
    folder: str
    parameters: dict[str, Any]
    images: ImageCounts = ImageCounts()
    weights: dict[str, Any] = {}
    chosen: dict[str, Any] = {}
    result: dict[str, Any] = {}
    notes: list[str] = []
    stages: list[Stage] = []
    versions: dict[str, str] = Field(default_factory=versions)


class Status(BaseModel):
    """`status.json`: where a running job is.

    Attributes
    ----------
    stage : str
    done, total : int
        Steps of the stage; `total` is 0 while it is not known.
    seconds_left : float or None
        Estimate for this stage; None while there is none.
    pid : int
        Of the process that does the job.
    """

    stage: str
    done: int
    total: int
    seconds_left: float | None
    message: str
    pid: int
    updated_at: str


# --- files ----------------------------------------------------------------------------------


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a binary file that takes the place of `path` when the block ends without an error.

    Readers see the old file or the new one, never a part: the bytes go to a temporary name in the
    same folder, reach the disk, and are renamed.  After an error the temporary file is gone.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with its line ends as they are, whole or not at all."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8"))


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file (UTF-8, commas, newlines), whole or not at all.

    Text that a spreadsheet would run as a formula (it starts with ``=``, ``+``, ``-``, ``@``, a
    tab or a carriage return) gets an apostrophe in front; `read_csv` takes it off again.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_guarded(cell) for cell in row] for row in rows)
    write_text(path, text.getvalue())


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a CSV file that `write_csv` wrote: one dict a row, every value as text."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {name: cell.removeprefix("'") for name, cell in row.items()}
            for row in csv.DictReader(file)
        ]


def _guarded(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell


def write_pairs(path: Path, pairs: Iterable[tuple[str, object]]) -> None:
    """Write lines of ``<relative path> TAB <value>``, sorted by path."""
    write_text(path, "".join(f"{name}\t{value}\n" for name, value in sorted(pairs)))


def read_pairs(path: Path) -> dict[str, str]:
    """Read what `write_pairs` wrote: value by relative path."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return dict(line.split("\t", 1) for line in lines)


# --- the folder -----------------------------------------------------------------------------


@dataclass
class Run:
    """A run folder that a job is writing; the one thing about a job that changes as it works.

    Attributes
    ----------
    folder : Path
    manifest : Manifest
        Written to `run.json` whenever a stage ends.
    progress : Progress
        Reports to `status.json` and to the listener that the job was given.
    replaces : bool
        Whether the folder still holds the earlier run that this one is to replace.
    """

    folder: Path
    manifest: Manifest
    progress: Progress
    replaces: bool

    def save(self) -> None:
        """Write `run.json`, unless that of the earlier run still holds."""
        if not self.replaces:
            write_manifest(self.folder, self.manifest)

    def begin_results(self) -> None:
        """Remove the earlier run: from here on the folder is this run's.

        Whatever goes wrong before leaves the earlier run as it was.
        """
        if self.replaces:
            self.replaces = False
            self.save()
            for name in OUTPUTS:
                if name not in {MANIFEST_FILE, STATUS_FILE}:
                    _remove(self.folder / name)
            for file in self.folder.glob(".*.tmp"):  # of a run that was killed
                _remove(file)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block, and keep its seconds and the peak memory in the manifest."""
        self.progress(name, 0, 0)
        start = time.perf_counter()
        yield
        self.manifest.stages.append(
            Stage(
                name=name,
                seconds=round(time.perf_counter() - start, 3),
                peak_memory_mb=peak_memory_mb(),
            )
        )
        self.save()


def peak_memory_mb() -> float:
    """Return the highest resident memory of this process so far, in MiB."""
    try:
        # Unlike getrusage's figure, it does not begin with that of the process that started us.
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        kib = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):  # not Linux
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        kib = peak // 1024 if sys.platform == "darwin" else peak
    return round(kib / 1024, 1)


def check_folder(folder: Path, overwrite: bool) -> bool:
    """Tell whether `folder` holds an earlier run.

    Raises
    ------
    InputError
        Unless a job may write into `folder`: it is new, empty but for hidden files, or an earlier
        run and `overwrite` is True.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file; a run needs a folder. Choose another --out.")
        names = [file.name for file in folder.iterdir()] if folder.exists() else []
        if all(name.startswith(".") for name in names):
            return False
        manifest = read_manifest(folder)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be used: {error.strerror}. Choose another --out."
        ) from error
    except NoManifestError as error:
        raise InputError(
            f"{folder} holds files and is no run folder ({error}); it is left as it is. "
            "Choose a new or empty folder for --out."
        ) from error
    if not overwrite:
        how = "did not end" if manifest.ended == "running" else manifest.ended
        raise InputError(
            f"{folder} holds the run of {manifest.started_at} (it {how}). Choose another folder "
            "for --out, or give --overwrite to replace that run."
        )
    return True


def _lock(folder: Path) -> IO[str]:
    """Hold the folder for one job, until the file is closed or the process ends in any way."""
    lock = (folder / LOCK_FILE).open("w", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise InputError(
            f"another job is writing into {folder}. Wait for it, stop it, or choose another --out."
        ) from None
    return lock


@contextmanager
def open_run(
    folder: Path, manifest: Manifest, listener: Progress, *, overwrite: bool = False
) -> Iterator[Run]:
    """Open a run folder for a job, and write down how the job ended.

    Parameters
    ----------
    folder : Path
        New, empty, or an earlier run when `overwrite` is True.
    manifest : Manifest
        What is known before the job starts.
    listener : Progress
        Told of the job's progress, as `status.json` is.

    Raises
    ------
    InputError
        When the folder may not be written (see `check_folder`), or another job writes into it.
    """
    replaces = check_folder(folder, overwrite)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = _lock(folder)
    except OSError as error:
        raise InputError(
            f"cannot write into {folder}: {error.strerror}. Choose another --out."
        ) from error
    run = Run(folder, manifest, _both(_status_writer(folder), listener), replaces)
    try:
        run.save()
        yield run
        manifest.ended = "finished"
    except KeyboardInterrupt:
        manifest.ended, manifest.message = "stopped", "stopped by the user"
        raise
    except BaseException as error:
        name = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        manifest.ended, manifest.message = "failed", f"{name}{error}"
        raise
    finally:
        manifest.ended_at = now()
        run.save()
        _write_status(folder, "ended", 0, 0, None, manifest.ended)
        lock.close()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `run.json`."""
    write_text(folder / MANIFEST_FILE, manifest.model_dump_json(indent=2) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """Read `run.json`.

    Raises
    ------
    NoManifestError
        When there is none, or this version of the tool cannot read it.
    """
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise NoManifestError(f"it has no {MANIFEST_FILE}")
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise NoManifestError(
            f"{path} is not a manifest of schema version 1: {where}: {first['msg']}"
        ) from error


def _both(first: Progress, second: Progress) -> Progress:
    def progress(stage: str, done: int, total: int) -> None:
        first(stage, done, total)
        second(stage, done, total)

    return progress


def _status_writer(folder: Path) -> Progress:
    stage_now, first, started, written = "", 0, 0.0, 0.0

    def progress(stage: str, done: int, total: int) -> None:
        nonlocal stage_now, first, started, written
        moment = time.monotonic()
        if stage != stage_now:
            stage_now, first, written = stage, 0, 0.0
        if (
            not first
        ):  # what comes before the first step, such as an import, says nothing of the rest
            first, started = done, moment
        if moment - written < SECONDS_BETWEEN_STATUSES and done < total:
            return
        written = moment
        left = None
        if done > first:
            left = (moment - started) / (done - first) * (total - done)
        _write_status(folder, stage, done, total, left, "")

    return progress


def _write_status(
    folder: Path, stage: str, done: int, total: int, left: float | None, message: str
) -> None:
    status = Status(
        stage=stage,
        done=done,
        total=total,
        seconds_left=None if left is None else round(left, 1),
        message=message,
        pid=os.getpid(),
        updated_at=now(),
    )
    write_text(folder / STATUS_FILE, status.model_dump_json(indent=2) + "\n")
