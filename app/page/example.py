"""The page's example: from nothing to situations with failure rates, in three commands."""

from __future__ import annotations

from pathlib import Path

from app.commands.cluster import ClusterOptions, ExampleOptions
from app.commands.dnn import TestOptions
from app.page.context import Page
from app.page.folders import EXAMPLE_RUN, EXAMPLE_TEST
from app.page.form import build_command
from app.server.jobs import Command
from examples.eyes import COMPLETE, FAILURES, MODEL
from examples.sampling import ANGLES
from pipelines.runs.errors import InputError
from pipelines.runs.manifest import Manifest, read_manifest

IMAGES = "example-eyes"
OLDER_IMAGES = "example-images"
"""What earlier versions drew, without sunglasses, glare, fog and bars."""
SAMPLE = 300
"""Passing images that are looked at, of some 850: enough for rates of four situations, and features
of the others would take longer than all else."""


def run_of_example(page: Page) -> Path | None:
    """Return the run to open, also one of an earlier version; None where it is still to be found.

    The words on a run would be lost if it were replaced by one on other images.
    """
    run = page.runs / EXAMPLE_RUN
    known = {str(page.runs / IMAGES / "test"), str(page.runs / OLDER_IMAGES / FAILURES)}
    manifest = _manifest(run)
    is_found = manifest and manifest.ended == "finished" and manifest.folder in known
    return run if is_found else None


def commands(page: Page) -> list[Command]:
    """Return what is to be done to find the example's situations: what is there already is kept."""
    images, tested, run = (page.runs / name for name in (IMAGES, EXAMPLE_TEST, EXAMPLE_RUN))
    test = images / "test"
    steps = []
    if not (images / COMPLETE).is_file():
        drawing = ExampleOptions(folder=images, overwrite=bool(_manifest(images)))
        steps.append(build_command("example", drawing, images))
    earlier = _manifest(tested)
    if steps or not earlier or (earlier.ended, earlier.folder) != ("finished", str(test)):
        options = TestOptions(
            model=images / MODEL, images=test, out=tested, overwrite=bool(earlier)
        )
        steps.append(build_command("test", options))
    clustering = ClusterOptions(
        test_run=tested,
        out=run,
        overwrite=bool(_manifest(run)),
        sample=SAMPLE,
        parameters=(test / "parameters.csv",),
        angles=tuple(ANGLES),
        unsafe_values=test / "unsafe_values.csv",
    )
    return [*steps, build_command("cluster", clustering)]


def _manifest(run: Path) -> Manifest | None:
    try:
        return read_manifest(run)
    except InputError:
        return None
