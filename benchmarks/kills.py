"""Killed jobs: what they leave, and whether the same command then ends as if nothing had been.

Run from the repository's root: ``python -m benchmarks.kills [--moments 20] [--job NAME ...]``.

`cluster`, `select` and `retrain` are killed by SIGKILL at random moments, and before every rename
and every removal of a file; into a fresh folder, and over an older result of other images. After
each kill the tool's own readers and commands look at what is left:

- old, new: it is the older or the new result, whole;
- nothing: there is no result, or what there is of it is said to be of a job that was killed;
- refused: one line says why, and what to do;
- torn: a traceback, a refusal without advice, or a part of a result that passes for the whole;
- mixed: files of the older and of the new result, accepted together.

Then the command is given again, with --overwrite where that is asked for; "unequal" counts results
that are not those of an undisturbed process, byte for byte, or files that were left over. Apart are
the times in `run.json`, `status.json`, `report.html` and `history.csv`, and the date in a model
file. What is torn, mixed or unequal makes the exit code 1.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from PIL import Image

from benchmarks.killed_commands import Ended, fork_command, load_tool, run_command
from pipelines.clusters.results import read_results
from pipelines.retraining.results import read_retraining
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv
from pipelines.runs.manifest import NoManifestError, read_manifest
from pipelines.unsafe_set.files import read_current_set

STATES = ("old", "new", "nothing", "refused", "torn", "mixed")
TIMES = {"run.json", "status.json", "report.html", ".lock"}
KEPT = ".retraining"
"""Folder from which `retrain` goes on; it is no result."""
ADVICE = re.compile(r"--overwrite|again|[Cc]hoose|Find |first|Give |Take |Name ")
NO_RESULT = re.compile(r"is not a run folder|no unsafe set|has no clusters|no finished retraining")
SITUATIONS = {"both": (False, True), "fresh": (False,), "older": (True,)}
"""Whether --overwrite is given: over an older result."""
SIZE = (24, 20)
Content = dict[str, bytes]


@dataclass(frozen=True)
class Job:
    """A command that is killed.

    Attributes
    ----------
    words : tuple of str
        The command, without --overwrite; it writes into the run folder.
    earlier : tuple of str
        The same with other images: what the older result is made by.
    base : Path or None
        What the run folder holds before either; None for nothing.
    read : callable
        Reads the result back.
    looks : callable
        The commands that look at the run folder, from its copy.
    """

    words: tuple[str, ...]
    earlier: tuple[str, ...]
    base: Path | None
    read: Callable[[Path], object]
    looks: Callable[[Path], tuple[tuple[str, ...], ...]]


@dataclass
class Row:
    """What the kills of a job in one situation left."""

    states: Counter[str] = field(default_factory=Counter)
    unequal: int = 0
    faults: int = 0

    def add_fault(self, text: str) -> None:
        """Count a fault, and print it at once."""
        self.faults += 1
        print(text, file=sys.stderr, flush=True)


# --- the images and the DNN -----------------------------------------------------------------------


def draw_spots(folder: Path, seed: int, count: int, dark: bool) -> Path:
    """Draw spots in two folders of classes: left or right of the middle."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    for number in range(count):
        left = number % 2 == 0
        middle = rng.uniform(2, 9) if left else rng.uniform(14, 21), rng.uniform(3, 16)
        spot = 200 * np.exp(-((x - middle[0]) ** 2 + (y - middle[1]) ** 2) / 8)
        ground = rng.normal(30, 8, spot.shape)
        pixels = np.clip(255 - spot - ground if dark else spot + ground, 0, 255).astype(np.uint8)
        file = folder / ("left" if left else "right") / f"{seed}_{number:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.repeat(pixels[..., None], 3, 2)).save(file)
    return folder


def write_dnn(file: Path) -> None:
    """Write a small network that knows nothing yet; called in a process of its own."""
    from pipelines.dnn.keras import import_keras

    keras, _ = import_keras()
    keras.utils.set_random_seed(1)
    layers = keras.layers
    dnn = keras.Sequential(
        [
            keras.Input((SIZE[1], SIZE[0], 3)),
            layers.Rescaling(1 / 255),
            layers.Flatten(),
            layers.Dense(8, activation="relu"),
            layers.Dense(2, activation="softmax"),
        ]
    )
    dnn.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    dnn.save(file)


def make_jobs(world: Path, run: Path, images: int) -> dict[str, Job]:
    """Draw all inputs, and return the jobs, which write into the folder `run`."""
    failing, others = (draw_spots(world / f"failing {s}", s, images, True) for s in (1, 2))
    new, more = (draw_spots(world / f"new {s}", s, images, True) for s in (3, 4))
    training, test = (draw_spots(world / f"labelled {s}", s, 2 * images, False) for s in (5, 6))
    model, clustered, unsafe = world / "dnn.keras", world / "clustered", world / "unsafe"
    classes = world / "classes.txt"
    classes.write_text("left\nright\n")
    child = os.fork()
    if not child:
        write_dnn(model)
        os._exit(0)
    os.waitpid(child, 0)
    shared = ("--min-samples", "3", "--eps", "0.8")
    _succeed(world, ("cluster", str(failing), "--out", str(clustered), *shared))
    shutil.copytree(clustered, unsafe)
    count = ("--count", str(images // 3))
    _succeed(world, ("select", str(unsafe), str(new), *count))

    def retrain(images: Path) -> tuple[str, ...]:
        options = {"training": training, "unsafe": unsafe, "test": images, "out": run}
        options |= {"classes": classes}
        words = [word for name, path in options.items() for word in (f"--{name}", str(path))]
        return ("retrain", str(model), *words, "--epochs", "3", "--batch-size", "16")

    return {
        "cluster": Job(
            ("cluster", str(failing), "--out", str(run), *shared),
            ("cluster", str(others), "--out", str(run), *shared),
            None,
            read_results,
            lambda copy: (("report", str(copy)),),
        ),
        "select": Job(
            ("select", str(run), str(new), *count),
            ("select", str(run), str(more), *count),
            clustered,
            read_current_set,
            lambda copy: (
                ("export", str(copy), str(copy.with_name("exported"))),
                ("recut", str(copy)),
            ),
        ),
        "retrain": Job(
            retrain(test), retrain(failing), None, read_retraining,
            lambda copy: (("report", str(copy)),),
        ),
    }  # fmt: skip


def _succeed(world: Path, words: tuple[str, ...]) -> Ended:
    ended = run_command(words, world / "log")
    if ended.code:
        raise SystemExit(f"{' '.join(words)} failed:\n{ended.output}")
    return ended


# --- what is left ---------------------------------------------------------------------------------


def read_content(run: Path, *, hidden: bool) -> Content:
    """Return the files of a run, without times.

    Parameters
    ----------
    hidden : bool
        Whether hidden files, which are no results, count as well.
    """
    content = {}
    for file in sorted(run.rglob("*")) if run.is_dir() else ():
        name = file.relative_to(run)
        shown = not any(part.startswith(".") for part in name.parts)
        if file.is_file() and file.name not in TIMES and (shown or hidden):
            content[name.as_posix()] = _without_times(file)
    return content


def _without_times(file: Path) -> bytes:
    if file.name == "history.csv":
        return repr([row | {"seconds": ""} for row in read_csv(file)]).encode()
    if file.suffix == ".keras" and zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            names = sorted({*archive.namelist()} - {"metadata.json"})
            return b"".join(archive.read(name) for name in names)
    return file.read_bytes()


def judge(job: Job, run: Path, old: Content, new: Content) -> tuple[str, str]:
    """Return what a kill left, one of `STATES`, and the words that say so."""
    left = read_content(run, hidden=False)
    refusals = []
    try:
        job.read(run)
    except InputError as error:
        refusals.append(str(error))
    except Exception as error:
        return "torn", f"reading: {error!r}"
    for words in _looks(job, run):
        ended = fork_command(words, run.with_name("log"))
        if "Traceback" in ended.output or (ended.code and not ended.error):
            return "torn", f"{words[0]}: {ended.output[-500:]}"
        if ended.code and words[0] != "recut":
            refusals.append(ended.error)
    if refusals:
        if unclear := [text for text in refusals if "\n" in text or not ADVICE.search(text)]:
            return "torn", unclear[0]
        return ("nothing" if NO_RESULT.search(refusals[0]) else "refused"), refusals[0]
    of_old = {name for name in left if left[name] == old.get(name) != new.get(name)}
    of_new = {name for name in left if left[name] == new.get(name) != old.get(name)}
    if of_old and of_new:
        return "mixed", f"{sorted(of_old)} and {sorted(of_new)}"
    if not left:
        return "nothing", "no file of a result"
    if left in (old, new):
        return ("old" if left == old else "new"), ""
    if _is_said_to_be_killed(run):
        return "nothing", "said to be killed"
    return "torn", f"accepted without {sorted({*new} - {*left})[:5]}"


def _looks(job: Job, run: Path) -> Iterator[tuple[str, ...]]:
    """Yield the commands that look at what is left, each with a copy of its own."""
    copy = run.with_name("copy")
    for words in job.looks(copy):
        for folder in (copy, run.with_name("exported")):
            shutil.rmtree(folder, ignore_errors=True)
        if run.is_dir():
            shutil.copytree(run, copy)
        yield words


def _is_said_to_be_killed(run: Path) -> bool:
    """Tell whether `run.json` and the report that was drawn from what is left say it."""
    try:
        killed = read_manifest(run).ended == "running"
    except NoManifestError:
        return False
    report = run.with_name("copy") / "report.html"
    return killed and report.is_file() and "was killed" in report.read_text(encoding="utf-8")


# --- kills ----------------------------------------------------------------------------------------


def kill_job(job: Job, run: Path, overwrite: bool, moments: int, seed: int) -> Row:
    """Kill a job in one situation at random moments and before every change; judge each kill."""
    words = (*job.words, "--overwrite") if overwrite else job.words
    start, log = job.base, run.with_name("log")
    if overwrite:
        start = run.with_name("start")
        _put(job.base, run)
        _succeed(run.parent, job.earlier)
        _put(run, start)
    old = read_content(start, hidden=False) if start else {}
    _put(start, run)
    _succeed(run.parent, words)
    new, whole = (read_content(run, hidden=hidden) for hidden in (False, True))
    _put(start, run)
    seconds = fork_command(words, log).seconds
    row = Row()
    if read_content(run, hidden=True) != whole:
        row.add_fault("a fork does not give the bytes of a process of its own")
        row.unequal += 1

    def look(kill: str, **options: float | int) -> bool:
        _put(start, run)
        ended = fork_command(words, log, **options)  # type: ignore[arg-type]
        if not ended.killed:
            return False
        state, text = judge(job, run, old, new)
        row.states[state] += 1
        if state in ("torn", "mixed"):
            row.add_fault(f"{words[0]}, {kill}: {state}: {text}")
        if difference := _do_again(words, run, log, whole):
            row.unequal += 1
            row.add_fault(f"{words[0]}, {kill}: unequal: {difference}")
        return True

    rng = np.random.default_rng(seed)
    for moment in rng.uniform(0, seconds, moments):
        look(f"after {moment:.2f} s", seconds=float(moment))
    change = 0
    while look(f"before change {change}", change=change):
        change += 1
    return row


def _put(source: Path | None, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    if source is not None and source.is_dir():
        shutil.copytree(source, target)


def _do_again(words: tuple[str, ...], run: Path, log: Path, whole: Content) -> str:
    """Give the command again; return in what the result differs from an undisturbed one."""
    ended = fork_command(words, log)
    if ended.code and "--overwrite" in ended.error:
        ended = fork_command((*words, "--overwrite"), log)
    if ended.code:
        return f"it fails: {ended.output[-500:]}"
    content = read_content(run, hidden=True)
    names = sorted(name for name in {*content, *whole} if content.get(name) != whole.get(name))
    return ", ".join(names[:5])


def main() -> None:
    """Kill the jobs, print the table and the faults."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--job", action="append", choices=("cluster", "select", "retrain"))
    parser.add_argument("--folder", choices=tuple(SITUATIONS), default="both")
    arguments = parser.parse_args()
    load_tool()
    faults = 0
    print("| job | folder | kills | old | new | nothing | refused | torn | mixed | unequal |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(prefix="safe-kills-") as name:
        world = Path(name)
        os.environ["SAFE_CACHE"] = str(world / "cache")
        jobs = make_jobs(world, world / "run", arguments.images)
        for job in arguments.job or jobs:
            for overwrite in SITUATIONS[arguments.folder]:
                row = kill_job(jobs[job], world / "run", overwrite, arguments.moments, seed=0)
                cells = [job, "--overwrite" if overwrite else "fresh", row.states.total()]
                cells += [*(row.states[state] for state in STATES), row.unequal]
                print(f"| {' | '.join(map(str, cells))} |", flush=True)
                faults += row.faults
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
