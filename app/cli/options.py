"""How every command runs its job."""

from __future__ import annotations

import errno
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import typer

from app.cli.stopping import stops
from app.exit_codes import ERROR, FAULT, STOPPED

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from app.commands.cluster import ClusterOptions, ExplainOptions
    from app.commands.dnn import HeatmapsOptions, TestOptions
    from app.commands.retrain import RetrainOptions
    from pipelines.clusters.explanation_tables import TableFiles
    from pipelines.data.images import Rejected
    from pipelines.dnn.job import EvaluationOptions
    from pipelines.runs.folder import Progress
    from pipelines.runs.job import Start
    from pipelines.runs.manifest import Manifest

MOST_PROBLEMS = 5
FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
"""Errors of the system when it can write no more: no space, or a limit of the user's."""
START_AGAIN = "Nothing was written; start again with --overwrite."
Options = TypeVar("Options", bound="DataclassInstance")


class Overwriting(Protocol):
    """Options of a command that may replace an earlier run."""

    @property
    def overwrite(self) -> bool:
        """Whether the command replaces it."""


@contextmanager
def job(again: str = START_AGAIN, first: Callable[[], object] | None = None) -> Iterator[Progress]:
    """Run a job with progress bars; signals stop it like Ctrl-C, and an input error takes one line.

    Parameters
    ----------
    again : str
        Printed when the user stops the job: which results are kept, and how to continue.
    first : callable, optional
        Called at the first Ctrl-C instead of stopping the job, if the job can end early with a
        result.
    """
    from pipelines.runs.errors import InputError

    try:
        with stops(first) as check, _bars() as bars:

            def report(stage: str, done: int, total: int) -> None:
                check()
                bars(stage, done, total)

            yield report
    except KeyboardInterrupt:
        print("Stopped.", again)
        raise typer.Exit(STOPPED) from None
    except InputError as error:
        print(f"{ERROR}{error}", file=sys.stderr)
        raise typer.Exit(1) from None
    except OSError as error:  # a full disk, a folder that may not be read
        print(f"{ERROR}{describe_refusal(error)}", file=sys.stderr)
        raise typer.Exit(1) from None
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except Exception as error:
        traceback.print_exc()
        print(
            f"{ERROR}{FAULT}: {type(error).__name__}: {error}. What was computed is kept. Please "
            "send the lines above, from Traceback on, and the run's run.json to the maintainers of "
            "the tool.",
            file=sys.stderr,
        )
        raise typer.Exit(1) from None


def describe_refusal(error: OSError) -> str:
    """Say what the system refuses; for a full disk, which folder is on it."""
    if error.errno not in FULL or not error.filename:
        return f"{error.filename or 'a file'}: {error.strerror or error}"
    from pipelines.safe.weights import cache_folder

    folder = Path(os.fsdecode(error.filename)).absolute().parent
    in_cache = folder.is_relative_to(cache_folder().absolute())
    what = "the cache folder" if in_cache else "the folder"
    way_out = "set SAFE_CACHE to a folder" if in_cache else "choose an --out"
    return (
        f"the disk of {what} {folder} is full ({error.strerror}). Make room there, or {way_out} "
        "on another disk."
    )


@contextmanager
def _bars() -> Iterator[Progress]:
    from tqdm import tqdm

    # tqdm's own lock imports multiprocessing in the middle of a job, where an interrupt can leave
    # Python's import lock taken.
    tqdm.set_lock(threading.RLock())
    bar: tqdm[None] | None = None
    stage_now = ""

    def progress(stage: str, done: int, total: int) -> None:
        nonlocal bar, stage_now
        if stage != stage_now:
            if bar is not None:
                bar.close()
            bar, stage_now = None, stage
        if total and bar is None:
            pause = 0.1 if sys.stderr.isatty() else 5.0  # a log file gets only a few lines
            bar = tqdm(desc=stage[0].upper() + stage[1:], total=total, mininterval=pause)
        if bar is not None:
            bar.update(done - bar.n)

    try:
        yield progress
    finally:
        if bar is not None:
            bar.close()


def print_clusters(manifest: Manifest, out: Path) -> None:
    """Print the summary of a job that found clusters."""
    from pipelines.clusters.explanation import read_explanation
    from pipelines.clusters.report.headline import write_headline

    counts = manifest.images
    for sentence in write_headline(manifest, counts.used):
        print(sentence)
    if counts.rejected:
        print(f"Files that could not be used: {counts.rejected}, see {out / 'rejected.txt'}")
    explanation = read_explanation(out)
    for note in [*manifest.notes, *(explanation.notes if explanation else ())]:
        print(f"Note: {note}")
    print(f"Look at {out / 'report.html'} first, and at {out / 'gifs'}.")


def print_left_out(files: Sequence[Rejected], what: str) -> None:
    """Print the first files that a job could not use, and the number of further ones."""
    for file in files[:MOST_PROBLEMS]:
        print(f"{what}: {file.path}: {file.reason}")
    if len(files) > MOST_PROBLEMS:
        print(f"and {len(files) - MOST_PROBLEMS:,} more.")


def print_rest(manifest: Manifest, out: Path) -> None:
    """Print the number of files that a job could not use, and its notes."""
    from pipelines.runs.folder import REJECTED_FILE

    if manifest.images.rejected:
        print(
            f"Files that could not be used: {manifest.images.rejected:,}, see {out / REJECTED_FILE}"
        )
    for note in manifest.notes:
        print(f"Note: {note}")


def take_start(options: Overwriting, progress: Progress) -> Start:
    """Return the settings with which a command starts its job."""
    return {"progress": progress, "command": sys.argv[1:], "overwrite": options.overwrite}


def take_options(kind: type[Options], options: object, **others: object) -> Options:
    """Return the options of a job: those of the command with the same names, and `others`.

    Parameters
    ----------
    others : any
        Options of the job that the command has under another name or in another form, or not at
        all.

    Raises
    ------
    AttributeError
        When an option of the job is in neither.
    """
    names = [field.name for field in fields(kind) if field.name not in others]
    return kind(**{name: getattr(options, name) for name in names}, **others)


def take_tables(options: ClusterOptions | ExplainOptions | HeatmapsOptions) -> TableFiles:
    """Return the tables on images that a command takes."""
    from pipelines.clusters.explanation_tables import TableFiles

    return take_options(TableFiles, options)


def take_evaluation(options: TestOptions | RetrainOptions) -> EvaluationOptions:
    """Return a command's options on a model's input and labels."""
    from pipelines.dnn.job import EvaluationOptions

    return take_options(EvaluationOptions, options, trust=options.trust_model)
