"""The one shape of a job: it reads what it names, and writes one run folder.

A job says what it is about, what it reads, what it writes and how it works; `run_job` does for all
of them what must not be done in several ways: it keeps the run folder apart from what is read,
holds it for one writer, writes the manifest, and leaves an earlier run as it was until there are
results to take its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Required, TypedDict, Unpack

from pipelines.runs.errors import InputError
from pipelines.runs.files import Outputs, as_text
from pipelines.runs.folder import Progress, Run, open_run
from pipelines.runs.manifest import Manifest, Part


@dataclass(frozen=True)
class Job:
    """A job that can begin: its options were checked, and nothing is written yet.

    Attributes
    ----------
    name : str
        That of its command.
    folder : Path
        What the run is about: of its images, or of its tables.
    sources : tuple of Path
        All files and folders that are read; none may lie in the run folder or hold it.
    parameters : Part
        The options, given or defaulted, as `run.json` keeps them.
    outputs : mapping of str to Outputs
        What it writes, by its name, and what the jobs write whose runs it may replace: of its own
        run folder it removes these when it overwrites, and not one file more.
    work : callable
        Does the job in the run folder that is open.
    notes : tuple of str
        What the user should know before it begins.
    report : callable, optional
        Writes the report of the run folder, once `run.json` says how the job ended.
    """

    name: str
    folder: Path
    sources: tuple[Path, ...]
    parameters: Part
    outputs: Mapping[str, Outputs]
    work: Callable[[Run], None]
    notes: tuple[str, ...] = field(default=())
    report: Callable[[Path], object] | None = None


def check_apart(source: Path, out: Path) -> None:
    """Raise InputError where what is read lies in the run folder, or holds it.

    A run's pictures are no images to look at, and what is overwritten must not be read.
    """
    inside, outside = source.resolve(), out.resolve()
    if inside.is_relative_to(outside) or outside.is_relative_to(inside):
        raise InputError(
            f"what is read and the run need folders apart; of {source} and {out} one lies inside "
            "the other. Choose another --out."
        )


class Start(TypedDict, total=False):
    """How a job is started: the same for all jobs, whatever they do.

    Attributes
    ----------
    progress : callable
        Told of the job's progress, as `status.json` is.
    command : sequence of str
        What the user typed, for the manifest.
    overwrite : bool
        Whether the run folder may hold an earlier run of the same kind, which is replaced;
        otherwise it has to be new or empty.
    """

    progress: Required[Progress]
    command: Sequence[str]
    overwrite: bool


def run_job(job: Job, out: Path, **start: Unpack[Start]) -> Manifest:
    """Do a job, and write the run folder `out`.

    Parameters
    ----------
    out : Path
        New or empty, or an earlier run of the same kind where `start` says to overwrite it.
    start : Start

    Returns
    -------
    Manifest
        As in `run.json`.

    Raises
    ------
    InputError
        When what is read, or `out`, cannot be used.
    """
    for source in job.sources:
        check_apart(source, out)
    manifest = Manifest(
        job=job.name,
        command=[as_text(word) for word in start.get("command", ())],
        folder=as_text(job.folder.resolve()),
        parameters=job.parameters.entries(),
        notes=list(job.notes),
    )
    overwrite = start.get("overwrite", False)
    with open_run(out, manifest, start["progress"], job.outputs, overwrite=overwrite) as run:
        job.work(run)
    if job.report is not None:
        job.report(out)
    return manifest
