"""What all tabs share: the run that is open, and the one job, from its start to its end."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app.page.context import Page
from app.page.notices import describe, notice
from app.server.jobs import Command, Look
from pipelines.runs.errors import InputError

SECONDS_BETWEEN_LOOKS = 0.5
HIDDEN: dict[str, Any] = {"show_progress": "hidden"}

Turn = tuple[str, bool]
"""What job there is and whether it runs, and whether this page saw it begin or end."""


@dataclass(frozen=True)
class Following:
    """The parts of the page that tell of the open run and of the job.

    Attributes
    ----------
    opened : gr.Dropdown
        The run that is open.
    seen : gr.State
        The look that is shown, as text.
    turn : gr.State
        A `Turn`: changes when a job begins or ends, and with it what the tabs allow.
    timer : gr.Timer
    stop : gr.Button
    told : gr.HTML
        The line on the job, or what there is to say otherwise.
    """

    opened: gr.Dropdown
    seen: gr.State
    turn: gr.State
    timer: gr.Timer
    stop: gr.Button
    told: gr.HTML

    def outputs(self) -> list[Any]:
        """Return what `state`, `say` and `start` fill."""
        return [self.seen, self.turn, self.timer, self.stop, self.told]


def create(page: Page, opened: gr.Dropdown) -> Following:
    """Make the parts that tell of the job, and follow it with them."""
    with gr.Row(elem_id="following"):
        told = gr.HTML(elem_id="job", padding=False)
        stop = gr.Button(
            "Stop", variant="stop", visible=False, elem_id="stop", scale=0, min_width=90
        )
    timer = gr.Timer(SECONDS_BETWEEN_LOOKS, active=False)
    parts = Following(opened, gr.State(""), gr.State(("", False)), timer, stop, told)

    def follow(seen: str) -> list[Any]:
        look = page.jobs.look()
        return skip() if look is None or repr(look) == seen else state(look)

    def stop_job() -> list[Any]:
        page.jobs.stop()
        return follow("")

    timer.tick(follow, parts.seen, parts.outputs(), **HIDDEN)
    stop.click(stop_job, None, parts.outputs(), **HIDDEN)
    return parts


def state(look: Look | None, *, arrived: bool = False) -> list[Any]:
    """Return what depends on the job alone; `arrived` where the page was just loaded."""
    running = look is not None and look.state == "running"
    stopping = look is not None and look.stopping
    job = "" if look is None else f"{look.number} {look.state}"
    return [
        repr(look),
        (job, not arrived),
        gr.Timer(active=running),
        gr.Button("Kill" if stopping else "Stop", visible=running),
        describe(look),
    ]


def skip() -> list[Any]:
    """Return what leaves the job's parts as they are."""
    return [gr.skip()] * 5


def say(text: str, kind: str = "error") -> list[Any]:
    """Return what tells the user something in the place of the job's line."""
    return [*skip()[:-1], notice(text, kind)]


def start(page: Page, commands: list[Command]) -> list[Any]:
    """Start a job; where another page started one meanwhile, follow that."""
    try:
        page.jobs.start(commands)
    except InputError as error:
        gr.Warning(html.escape(str(error)))
    return state(page.jobs.look())


def is_running(page: Page) -> bool:
    """Tell whether a job runs."""
    look = page.jobs.look()
    return look is not None and look.state == "running"


def is_run(page: Page, named: str | None, folder: Path) -> bool:
    """Tell whether the path that a user named is that of a folder."""
    try:
        return bool(named) and page.access.resolve(named or "") == folder
    except InputError:
        return False


def does(look: Look | None, *jobs: str) -> bool:
    """Tell whether the last command of a job is one of those named."""
    return look is not None and look.commands[-1].arguments[0] in jobs
