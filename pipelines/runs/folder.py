"""The run folder: the contract between a job and the readers of its results.

A job writes one run folder. The page and the report read it. Every file appears as a whole, and
`run.json` says what was analysed, with which options, and how the job ended.
"""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.runs.errors import InputError
from pipelines.runs.files import (
    Outputs,
    check_outputs,
    remove_outputs,
    remove_temporaries,
    write_text,
)
from pipelines.runs.locks import Lock, is_locked
from pipelines.runs.manifest import (
    MANIFEST_FILE,
    STATUS_FILE,
    Manifest,
    NoManifestError,
    Stage,
    Status,
    now,
    read_manifest,
    write_manifest,
)

REJECTED_FILE = "rejected.txt"
PERTURBED_FILE = "perturbed.csv"
"""Table of the perturbed images in a folder, with the original of each."""
LOCK_FILE = ".lock"
NEW_HEATMAPS = ".heatmaps-new"
"""Folder for heatmaps of new images during the comparison."""
PARTIAL_FOLDER = ".partial"
"""Folder in which a job that writes images keeps its files until all of them are finished."""
CLUSTERING_JOBS = ("cluster", "heatmaps")
IMAGE_JOBS = ("perturb", "example")
"""Jobs whose run folder is a folder of images that other jobs read."""
SECONDS_BETWEEN_STATUSES = 0.5
WRITTEN = (
    "another job is writing into {folder}. Wait until it ends, stop it, "
    "or choose another folder for the new job."
)

Progress = Callable[[str, int, int], None]
"""Called as ``progress(stage, done, total)`` while a job works; must return without delay."""


@dataclass
class Run:
    """A run folder that a job is writing. Unlike the job itself, it changes while the job works.

    Attributes
    ----------
    folder : Path
    manifest : Manifest
        Written to `run.json` whenever a stage ends.
    progress : Progress
        Reports to `status.json` and to the job's listener.
    replaces : bool
        Whether the folder still holds the earlier run that this run will replace.
    outdated : Outputs
        The files to remove with the earlier run: the outputs of its job and of this one.
    """

    folder: Path
    manifest: Manifest
    progress: Progress
    replaces: bool
    outdated: Outputs = field(default_factory=Outputs)

    def save(self) -> None:
        """Write `run.json`, unless the folder still holds the earlier run."""
        if not self.replaces:
            write_manifest(self.folder, self.manifest)

    def begin_results(self) -> None:
        """Remove the earlier run: from now on the folder holds this run.

        An error before this call leaves the earlier run unchanged. Files that no job wrote stay.
        """
        if self.replaces:
            self.replaces = False
            self.manifest.replacing = True  # until all is removed, readers refuse the run
            self.save()
            remove_outputs(self.folder, self.outdated, (MANIFEST_FILE, STATUS_FILE))
            # A job that was killed may have left this folder.
            shutil.rmtree(self.folder / NEW_HEATMAPS, ignore_errors=True)
            self.manifest.replacing = False
            self.save()

    @contextmanager
    def partial(self) -> Iterator[Path]:
        """Make a hidden folder in the run folder, for files that move to their places together.

        After the block, the folder and all that is left in it are removed.
        """
        folder = self.folder / PARTIAL_FOLDER
        shutil.rmtree(folder, ignore_errors=True)  # left over if a job was killed
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block, and write its seconds and the peak memory into the manifest."""
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
        # getrusage's figure begins with that of the parent process; this one does not.
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        kib = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):  # not Linux
        kib = _other_peak() // 1024
    return round(kib / 1024, 1)


def _other_peak() -> int:
    """Return the highest resident memory in bytes, on systems without `/proc`."""
    import psutil

    memory = psutil.Process().memory_info()
    if hasattr(memory, "peak_wset"):  # Windows
        return int(memory.peak_wset)
    import resource  # not on Windows; macOS counts bytes, others KiB

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024


def check_run_folder(folder: Path, overwrite: bool) -> bool:
    """Tell whether `folder` holds an earlier run.

    Raises
    ------
    InputError
        When a job may not write into `folder`. It may if the folder is new, holds only hidden
        files, or holds an earlier run and `overwrite` is True.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file; a run needs a folder. Choose a folder.")
        names = [file.name for file in folder.iterdir()] if folder.exists() else []
        if all(name.startswith(".") for name in names):
            return False
        manifest = read_manifest(folder)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be used: {error.strerror}. Choose another folder."
        ) from error
    except NoManifestError as error:
        raise InputError(
            f"{folder} holds files but is not a run folder ({error}); it is not changed. "
            "Choose a new or empty folder."
        ) from error
    if is_written(folder):
        raise InputError(WRITTEN.format(folder=folder))
    if not overwrite:
        ending = "did not end" if manifest.ended == "running" else manifest.ended
        raise InputError(
            f"{folder} holds the run of {manifest.started_at} (it {ending}). Choose another "
            "folder, or give --overwrite to replace that run."
        )
    return True


def lock_folder(folder: Path, names: Iterable[str] = ()) -> Lock:
    """Hold the run folder for one writer, until the lock is closed or the process ends in any way.

    Parameters
    ----------
    names : iterable of str
        The files that it writes; temporary files of them that a killed writer left are removed.

    Raises
    ------
    InputError
        When a job is writing into the folder.
    OSError
        When this process may not write into the folder.
    """
    try:
        lock = Lock(folder / LOCK_FILE)
    except BlockingIOError as error:
        raise InputError(WRITTEN.format(folder=folder)) from error
    try:
        remove_temporaries(folder, names)
    except BaseException:
        lock.close()
        raise
    return lock


@contextmanager
def open_run(
    folder: Path,
    manifest: Manifest,
    listener: Progress,
    outputs: Mapping[str, Outputs] | None = None,
    *,
    overwrite: bool = False,
) -> Iterator[Run]:
    """Open a run folder for a job, and write down how the job ended.

    Parameters
    ----------
    folder : Path
        New, empty, or an earlier run when `overwrite` is True.
    manifest : Manifest
        What is known before the job starts.
    listener : Progress
        Receives the job's progress, in addition to `status.json`.
    outputs : mapping of str to Outputs
        The outputs of this job and of the jobs whose runs it may replace, by the job's name.

    Raises
    ------
    InputError
        When this process may not write into the folder (see `check_run_folder`), or another job is
        writing into it.
    """
    replaces = check_run_folder(folder, overwrite)
    outdated = _outdated(folder, manifest.job, outputs or {}) if replaces else Outputs()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = lock_folder(folder, (MANIFEST_FILE, STATUS_FILE))
    except OSError as error:
        raise InputError(
            f"cannot write into {folder}: {error.strerror}. Choose another folder."
        ) from error
    run = Run(folder, manifest, join_listeners(status_writer(folder), listener), replaces, outdated)
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
        with lock:  # an error of a full disk must not keep the lock
            run.save()
            _write_status(folder, "ended", 0, 0, None, manifest.ended)


def _outdated(folder: Path, job: str, outputs: Mapping[str, Outputs]) -> Outputs:
    """Return the files to remove when a run of `job` replaces the run in `folder`.

    Raises
    ------
    InputError
        When `job` may not replace that run, or a name is taken (see `check_outputs`).
    """
    outputs = {job: Outputs()} | dict(outputs)
    manifest = read_manifest(folder)
    earlier = manifest.job
    if earlier not in outputs:
        raise InputError(
            f"{folder} holds a run of {earlier}, which a run of {job} does not replace: it is not "
            "changed. Choose another folder."
        )
    outdated = outputs[earlier] | outputs[job]
    if manifest.replacing:  # the remaining files may be of any of these jobs
        for others in outputs.values():
            outdated |= others
    check_outputs(folder, outdated)
    return outdated


@contextmanager
def amend_run(
    folder: Path, listener: Progress, names: Sequence[str]
) -> Iterator[tuple[Manifest, Progress]]:
    """Open a run folder for a job that adds to an ended run; `run.json` stays as it is.

    Parameters
    ----------
    names : sequence of str
        The files that the job writes, beside `status.json`; see `lock_folder`.

    Yields
    ------
    Manifest
    Progress
        Reports to `status.json` and to `listener`.

    Raises
    ------
    InputError
        When the folder is not a run folder, cannot be written, or a job is writing into it.
    """
    try:
        manifest = read_manifest(folder)
        lock = lock_folder(folder, (*names, STATUS_FILE))
    except NoManifestError as error:
        raise InputError(f"{folder} is not a run folder: {error}.") from error
    except OSError as error:
        raise InputError(f"cannot write into {folder}: {error.strerror}.") from error
    with lock:
        try:
            yield manifest, join_listeners(status_writer(folder), listener)
        finally:
            _write_status(folder, "ended", 0, 0, None, manifest.ended)


def is_written(folder: Path) -> bool:
    """Tell whether a job is writing into the run folder at this moment."""
    return is_locked(folder / LOCK_FILE)


def join_listeners(first: Progress, second: Progress) -> Progress:
    """Return a listener that passes progress on to two others."""

    def progress(stage: str, done: int, total: int) -> None:
        first(stage, done, total)
        second(stage, done, total)

    return progress


def status_writer(folder: Path) -> Progress:
    """Return a listener that writes `status.json` in `folder`, with the time left of the stage."""
    stage_now, first, started, written = "", 0, 0.0, 0.0

    def progress(stage: str, done: int, total: int) -> None:
        nonlocal stage_now, first, started, written
        moment = time.monotonic()
        if stage != stage_now:
            stage_now, first, written = stage, 0, 0.0
        if not first:  # time before the first step, such as imports, does not predict the rest
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
