"""The run folder: the contract between a job and whoever reads its results.

A job writes one run folder; whoever shows it reads it, and writes no more than the engineer's words
on a cluster.  Every file appears whole or not at all, and `run.json` says what was analysed, with
what, and how it ended.
"""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.runs.errors import InputError
from pipelines.runs.files import Outputs, check_outputs, remove_outputs, write_text
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
"""Of a folder of perturbed images: which there are, and of which originals."""
LOCK_FILE = ".lock"
NEW_HEATMAPS = ".heatmaps-new"
"""Where heatmaps of new images go while they are compared."""
PARTIAL_FOLDER = ".partial"
"""Where files are until all are there, of a job that writes images."""
CLUSTERING_JOBS = ("cluster", "heatmaps")
IMAGE_JOBS = ("perturb", "example")
"""Jobs whose run folder is one of images, which other jobs read."""
SECONDS_BETWEEN_STATUSES = 0.5
WRITTEN = (
    "another job is writing into {folder}. Wait until it ends, stop it, "
    "or choose another folder for the new job."
)

Progress = Callable[[str, int, int], None]
"""Called as ``progress(stage, done, total)`` while a job works; it must return at once."""


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
    outdated : Outputs
        What goes when the earlier run does: what its job writes, and what this one writes.
    """

    folder: Path
    manifest: Manifest
    progress: Progress
    replaces: bool
    outdated: Outputs = field(default_factory=Outputs)

    def save(self) -> None:
        """Write `run.json`, unless that of the earlier run still holds."""
        if not self.replaces:
            write_manifest(self.folder, self.manifest)

    def begin_results(self) -> None:
        """Remove the earlier run: from here on the folder is this run's.

        Whatever goes wrong before leaves the earlier run as it was; files that no job wrote stay.
        """
        if self.replaces:
            self.replaces = False
            self.manifest.replacing = True  # whoever reads a run that is half removed is told so
            self.save()
            remove_outputs(self.folder, self.outdated, (MANIFEST_FILE, STATUS_FILE))
            # Of a job that was killed.
            shutil.rmtree(self.folder / NEW_HEATMAPS, ignore_errors=True)
            self.manifest.replacing = False
            self.save()

    @contextmanager
    def partial(self) -> Iterator[Path]:
        """Make a hidden folder in the run folder, for files that go to their places together.

        After the block it is gone, and what is left in it.
        """
        folder = self.folder / PARTIAL_FOLDER
        shutil.rmtree(folder, ignore_errors=True)  # of a job that was killed
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

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
        kib = _other_peak() // 1024
    return round(kib / 1024, 1)


def _other_peak() -> int:
    """Return the highest resident memory in bytes, where there is no `/proc`."""
    import psutil

    memory = psutil.Process().memory_info()
    if hasattr(memory, "peak_wset"):  # Windows
        return int(memory.peak_wset)
    import resource  # which Windows lacks; macOS counts bytes, others KiB

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024


def check_run_folder(folder: Path, overwrite: bool) -> bool:
    """Tell whether `folder` holds an earlier run.

    Raises
    ------
    InputError
        Unless a job may write into `folder`: it is new, empty but for hidden files, or an earlier
        run and `overwrite` is True.
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
            f"{folder} holds files and is no run folder ({error}); it is left as it is. "
            "Choose a new or empty folder."
        ) from error
    if is_written(folder):
        raise InputError(WRITTEN.format(folder=folder))
    if not overwrite:
        how = "did not end" if manifest.ended == "running" else manifest.ended
        raise InputError(
            f"{folder} holds the run of {manifest.started_at} (it {how}). Choose another folder, "
            "or give --overwrite to replace that run."
        )
    return True


def lock_folder(folder: Path) -> Lock:
    """Hold the run folder for one writer, until the lock is closed or the process ends in any way.

    Raises
    ------
    InputError
        When a job is writing into it.
    OSError
        When the folder may not be written.
    """
    try:
        return Lock(folder / LOCK_FILE)
    except BlockingIOError as error:
        raise InputError(WRITTEN.format(folder=folder)) from error


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
        Told of the job's progress, as `status.json` is.
    outputs : mapping of str to Outputs
        By job, this one among them: what it writes.  Runs of these jobs are of one kind to their
        user, so that one may take the place of another.

    Raises
    ------
    InputError
        When the folder may not be written (see `check_run_folder`), or another job writes into it.
    """
    replaces = check_run_folder(folder, overwrite)
    outdated = _outdated(folder, manifest.job, outputs or {}) if replaces else Outputs()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = lock_folder(folder)
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
        with lock:  # a full disk must not keep it
            run.save()
            _write_status(folder, "ended", 0, 0, None, manifest.ended)


def _outdated(folder: Path, job: str, outputs: Mapping[str, Outputs]) -> Outputs:
    """Return what goes when a run of `job` takes the place of the run in `folder`.

    Raises
    ------
    InputError
        When the two are not of one kind, or something else stands in the way.
    """
    outputs = {job: Outputs()} | dict(outputs)
    manifest = read_manifest(folder)
    earlier = manifest.job
    if earlier not in outputs:
        raise InputError(
            f"{folder} holds a run of {earlier}, which is something else: it is left as it is. "
            "Choose another folder."
        )
    outdated = outputs[earlier] | outputs[job]
    if manifest.replacing:  # what is left may be of any of them
        for others in outputs.values():
            outdated |= others
    check_outputs(folder, outdated)
    return outdated


@contextmanager
def amend_run(folder: Path, listener: Progress) -> Iterator[tuple[Manifest, Progress]]:
    """Open a run folder for a job that adds to a run which has ended; `run.json` stays as it is.

    Yields
    ------
    Manifest
    Progress
        Reports to `status.json` and to `listener`.

    Raises
    ------
    InputError
        When the folder is no run, may not be written, or a job is writing into it.
    """
    try:
        manifest = read_manifest(folder)
        lock = lock_folder(folder)
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
    """Return a listener that tells two others."""

    def progress(stage: str, done: int, total: int) -> None:
        first(stage, done, total)
        second(stage, done, total)

    return progress


def status_writer(folder: Path) -> Progress:
    """Return a listener that keeps `status.json` in `folder`, with the time left of each stage."""
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
