"""The page's example: three commands draw it, test its DNN, and find where the DNN fails."""

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
"""Folder of the example in earlier versions, without sunglasses, glare, fog and bars."""
SAMPLE = 300
"""Number of passing images that are used, of about 850: enough for the failure rates of four
situations. The features of the others would take longer than all other steps."""


def run_of_example(page: Page) -> Path | None:
    """Return the example's run, even of an earlier version; None if there is none.

    A run of an earlier version is not replaced by a run on other images, because the engineer's
    words on it would be lost.
    """
    run = page.runs / EXAMPLE_RUN
    known = {str(page.runs / IMAGES / "test"), str(page.runs / OLDER_IMAGES / FAILURES)}
    manifest = _manifest(run)
    is_finished = manifest and manifest.ended == "finished" and manifest.folder in known
    return run if is_finished else None


def commands(page: Page) -> list[Command]:
    """Return the commands that find the example's situations, without finished steps."""
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
