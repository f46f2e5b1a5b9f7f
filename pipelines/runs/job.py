"""The shape of every job: it reads the files that it names, and writes one run folder.

A `Job` names its subject, its inputs, its outputs, and the function that works. `run_job` does what
all jobs share. It keeps the run folder separate from the inputs, locks it for one writer, and
writes the manifest. It leaves an earlier run unchanged until there are results to replace it.
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
    """A job that is ready to start: its options were checked, and nothing is written yet.

    Attributes
    ----------
    name : str
        Name of its command.
    folder : Path
        The folder of the images or tables that the run is about.
    sources : tuple of Path
        All files and folders that are read. None may lie in the run folder or contain it.
    parameters : Part
        All options, with defaults filled in, in the form of `run.json`.
    outputs : mapping of str to Outputs
        The outputs of this job and of the jobs whose runs it may replace, by the job's name. When
        it overwrites a run, it removes these files and no others.
    work : callable
        Does the job in the open run folder.
    notes : tuple of str
        What the user should know before the job starts.
    report : callable, optional
        Writes the report of the run folder, after `run.json` says how the job ended.
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
    """Raise InputError if the input `source` lies in the run folder or contains it.

    The pictures of a run are not images to analyse, and a job must not overwrite its inputs.
    """
    inside, outside = source.resolve(), out.resolve()
    if inside.is_relative_to(outside) or outside.is_relative_to(inside):
        raise InputError(
            f"what is read and the run need separate folders; of {source} and {out} one lies "
            "inside the other. Choose another --out."
        )


class Start(TypedDict, total=False):
    """The options for starting a job; the same for all jobs.

    Attributes
    ----------
    progress : callable
        Receives the job's progress, in addition to `status.json`.
    command : sequence of str
        The words of the user's command, for the manifest.
    overwrite : bool
        Whether to replace an earlier run of the same kind; otherwise the run folder must be new or
        empty.
    """

    progress: Required[Progress]
    command: Sequence[str]
    overwrite: bool


def run_job(job: Job, out: Path, **start: Unpack[Start]) -> Manifest:
    """Do a job, and write the run folder `out`.

    Parameters
    ----------
    out : Path
        New or empty, or an earlier run of the same kind if `start` says to overwrite it.
    start : Start

    Returns
    -------
    Manifest
        The content of `run.json`.

    Raises
    ------
    InputError
        When a source or `out` cannot be used.
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
