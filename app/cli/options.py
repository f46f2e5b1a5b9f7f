"""How every command runs its job, and the options that several commands share."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic_core import PydanticCustomError

from app.exit_codes import ERROR, FAULT, STOPPED
from app.numbers import NUMBER, Numbers, parse_number

if TYPE_CHECKING:
    from pipelines.runs.folder import Progress
    from pipelines.runs.manifest import Manifest

MOST_PROBLEMS = 5


def number_option(numbers: Numbers, help: str, metavar: str | None = None) -> Any:
    """Return an option whose number is read as that of a field of the page."""

    def parse(value: Any) -> Any:
        if not isinstance(value, str):  # a default
            return value
        try:
            return parse_number(value, numbers)
        except ValueError as error:
            # Of a ValueError, the words would begin with "Value error".
            raise PydanticCustomError("number", "{words}", {"words": str(error)}) from None

    return typer.Option(
        min=None if numbers.open_low else numbers.low,
        max=None if numbers.open_high else numbers.high,
        parser=parse,
        metavar=metavar or ("INTEGER" if numbers.whole else "FLOAT"),
        help=help,
    )


ParameterFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--parameters",
        metavar="CSV",
        help="CSV file of parameters of the images, first column the relative path; repeat for "
        "several. Columns label and prediction give confusions. Where passing images have rows, "
        "too, clusters are compared with these.",
    ),
]
Angles = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Parameter that is an angle in degrees; repeat for several."),
]
UnsafeValues = Annotated[
    Path | None,
    typer.Option(
        metavar="CSV",
        help="CSV file of parameter, value and side (near, at most, at least): where failures are "
        "likely.",
    ),
]
ModelFile = Annotated[
    Path, typer.Argument(help="Keras model file of the DNN under analysis (.keras, .h5).")
]
ScalingOption = Annotated[
    str | None,
    typer.Option(
        help="How pixels go into the model: none (0 to 255), 0-1, -1-1, caffe or torch. (default: "
        "none for a model that rescales them itself; else it must be given)"
    ),
]
TrustOption = Annotated[
    bool,
    typer.Option("--trust-model", help="Run code that the model file holds (Lambda layers)."),
]
ClassesOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Names of the classes, one a line, in the order of the model's outputs. "
        "(default: sorted)",
    ),
]
TaskOption = Annotated[
    str | None,
    typer.Option(
        help="What the model predicts: classes (one an image), several (labels), or numbers. "
        "(default: as labels and model tell)"
    ),
]
ThresholdOption = Annotated[
    float | None,
    number_option(
        NUMBER,
        help="Of numbers: mean error (of key points: mean distance) above which an image counts "
        "as failed.",
    ),
]
KeyPointsOption = Annotated[
    bool,
    typer.Option(
        "--key-points",
        help="The numbers are places, x and y by turns. (default: if they are named so)",
    ),
]
GroupsOption = Annotated[
    str | None,
    typer.Option(
        "--groups",
        metavar="COLUMN|REGEX|auto|none",
        help="Which test images are of one track, drive or person, and count as one in intervals "
        "and tests: a column of labels.csv or parameters.csv beside them, or a regular expression "
        "whose first group in the path names it. auto: by the stem that names share before a frame "
        "number. (default: auto)",
    ),
]
FailingImages = Annotated[
    Path,
    typer.Argument(
        help="Folder of images on which the DNN failed, failures.txt of a test, or a pair's list "
        "of inspect; read only."
    ),
]
RunFolder = Annotated[Path, typer.Option(help="Run folder to write: new, or empty.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the run that --out holds.")]


@contextmanager
def job(again: str, first: Callable[[], object] | None = None) -> Iterator[Progress]:
    """Run a job with progress bars; SIGTERM ends it as Ctrl-C does; input errors take one line.

    `again` tells who stopped the job how to go on.  `first` is called instead, the first time, by a
    job that comes to a good end of its own.
    """
    from pipelines.runs.errors import InputError

    asked = False

    def stop(number: int, frame: object) -> None:
        nonlocal asked, first
        if first is not None:
            call, first = first, None
            call()
            return
        asked = True
        raise KeyboardInterrupt

    def heard(stage: str, done: int, total: int) -> None:
        if asked:  # a library swallowed the interrupt
            raise KeyboardInterrupt
        bars(stage, done, total)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        with _bars() as bars:
            yield heard
    except KeyboardInterrupt:
        print("Stopped.", again)
        raise typer.Exit(STOPPED) from None
    except InputError as error:
        print(f"{ERROR}{error}", file=sys.stderr)
        raise typer.Exit(1) from None
    except OSError as error:  # a full disk, a folder that may not be read
        print(f"{ERROR}{error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        raise typer.Exit(1) from None
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except Exception as error:
        traceback.print_exc()
        print(
            f"{ERROR}{FAULT}: {type(error).__name__}: {error}. What was computed is kept. Please "
            "send whoever looks after the tool the lines above, from Traceback on, and the run's "
            "run.json.",
            file=sys.stderr,
        )
        raise typer.Exit(1) from None


@contextmanager
def _bars() -> Iterator[Progress]:
    import threading

    from tqdm import tqdm

    # Its own lock imports multiprocessing in the middle of a job, where an interrupt can leave
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
            pause = 0.1 if sys.stderr.isatty() else 5.0  # a log file gets a few lines
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
    from pipelines.clusters.report.headline import headline

    counts = manifest.images
    for sentence in headline(manifest.result, counts.used):
        print(sentence)
    if counts.rejected:
        print(f"Files that could not be used: {counts.rejected}, see {out / 'rejected.txt'}")
    explanation = read_explanation(out)
    for note in [*manifest.notes, *(explanation.notes if explanation else ())]:
        print(f"Note: {note}")
    print(f"Look at {out / 'report.html'} first, and at {out / 'gifs'}.")
