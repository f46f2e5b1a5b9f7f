"""The parts that all tabs share: the open run, and the one job, from its start to its end.

A tab passes its buttons, form and results to `wire`. `Following` has the parts of the page that
show the job; all tabs update them with the lists that `state`, `say`, `skip` and `start` return.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

import gradio as gr
from gradio.blocks import Block

from app.page.context import Page
from app.page.form import Entries, Form
from app.page.notices import describe, notice
from app.server.jobs import Command, Look
from pipelines.runs.errors import InputError

SECONDS_BETWEEN_LOOKS = 0.5


class Hidden(TypedDict):
    """The way Gradio shows that an event is being answered: no sign."""

    show_progress: Literal["hidden"]


HIDDEN: Hidden = {"show_progress": "hidden"}

Turn = tuple[str, bool]
"""The job and its state as text, and whether this page saw the job begin or end."""


@dataclass(frozen=True)
class Following:
    """The parts of the page that show the open run and the job.

    Attributes
    ----------
    opened : gr.Dropdown
        The open run.
    seen : gr.State
        The `Look` that is shown, as text.
    turn : gr.State
        A `Turn`. It changes when a job begins or ends, which enables or disables buttons.
    timer : gr.Timer
        Polls the job while it runs.
    stop : gr.Button
        Stops the job.
    message : gr.HTML
        The line about the job, or another message.
    """

    opened: gr.Dropdown
    seen: gr.State
    turn: gr.State
    timer: gr.Timer
    stop: gr.Button
    message: gr.HTML

    def outputs(self) -> list[Block]:
        """Return the parts that `state`, `say` and `start` update, in the order of their lists."""
        return [self.seen, self.turn, self.timer, self.stop, self.message]


@dataclass(frozen=True)
class Action:
    """A button that starts a job.

    Attributes
    ----------
    button : gr.Button
    form : Form
        The fields with the job's options.
    commands : callable
        Returns the commands of the job; raises InputError if the form cannot be used.
    begun : callable, optional
        Returns the updates of the tab's results when this job has started.
    """

    button: gr.Button
    form: Form
    commands: Callable[[Entries], list[Command]]
    begun: Callable[[Entries], list[object]] | None = None


Turned = Callable[[Look, Entries], list[object] | None]
"""Returns the message and the updates of a tab's results when a job begins or has ended."""


def wire(
    page: Page,
    parts: Following,
    actions: Sequence[Action],
    line: gr.Textbox,
    results: Sequence[Block],
    turned: Turned,
    *,
    buttons: Sequence[gr.Button] = (),
) -> None:
    """Connect a tab: its buttons, the command line that it shows, and the end of its jobs.

    Parameters
    ----------
    actions : sequence of Action
        The command line is that of the first action's form.
    results : sequence
        The parts of the page that show a job's results.
    turned : callable
        Called with the job and the entries of the first action's form when a job begins or ends,
        but not when the page was just loaded. None changes nothing.
    buttons : sequence
        More buttons that are disabled while a job runs.
    """
    first = actions[0]
    fields = list(first.form.fields.values())
    waiting = [*(action.button for action in actions), *buttons]

    def turn_all(turn: Turn, *values: object) -> list[object]:
        updates = [gr.Button(interactive=not is_running(page)) for _ in waiting]
        look = page.jobs.look()
        shown = turned(look, first.form.entries(values)) if look is not None and turn[1] else None
        return [*updates, *(shown or [gr.skip()] * (1 + len(results)))]

    def show_line(*values: object) -> gr.Textbox:
        return command_lines(first.commands, first.form.entries(values))

    for action in actions:
        inputs = list(action.form.fields.values())
        started = [*parts.outputs(), *results]
        action.button.click(_starting(page, action, len(results)), inputs, started, **HIDDEN)
    parts.turn.change(
        turn_all, [parts.turn, *fields], [*waiting, parts.message, *results], **HIDDEN
    )
    changes = [field.change for field in fields]
    gr.on(changes, show_line, fields, line, trigger_mode="always_last", **HIDDEN)


def command_lines(commands: Callable[[Entries], list[Command]], entries: Entries) -> gr.Textbox:
    """Show the command lines of a form; empty if it cannot be used (its button says why)."""
    try:
        lines = "\n".join(command.line() for command in commands(entries))
        return gr.Textbox(lines, visible=True)
    except InputError:
        return gr.Textbox("", visible=False)


def _starting(page: Page, action: Action, results: int) -> Callable[..., list[object]]:
    def press(*values: object) -> list[object]:
        entries = action.form.entries(values)
        nothing = [gr.skip()] * results
        try:
            commands = action.commands(entries)
        except InputError as error:
            return [*say(str(error)), *nothing]
        busy = is_running(page)  # another page has started a job: show that job
        updates = start(page, commands)
        return [*updates, *(nothing if busy or action.begun is None else action.begun(entries))]

    return press


def create(page: Page, opened: gr.Dropdown) -> Following:
    """Make the parts that show the job, and keep them up to date."""
    with gr.Row(elem_id="following"):
        message = gr.HTML(elem_id="job", padding=False)
        stop = gr.Button(
            "Stop", variant="stop", visible=False, elem_id="stop", scale=0, min_width=90
        )
    timer = gr.Timer(SECONDS_BETWEEN_LOOKS, active=False)
    parts = Following(opened, gr.State(""), gr.State(("", False)), timer, stop, message)

    def follow(seen: str) -> list[object]:
        look = page.jobs.look()
        return skip() if look is None or repr(look) == seen else state(look)

    def stop_job() -> list[object]:
        page.jobs.stop()
        return follow("")

    timer.tick(follow, parts.seen, parts.outputs(), **HIDDEN)
    stop.click(stop_job, None, parts.outputs(), **HIDDEN)
    return parts


def state(look: Look | None, *, arrived: bool = False) -> list[object]:
    """Return the updates of `Following.outputs`; `arrived` means that the page was just loaded."""
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


def skip() -> list[object]:
    """Return updates that change nothing."""
    return [gr.skip()] * 5


def say(text: str, kind: str = "error") -> list[object]:
    """Return updates that show a message instead of the job's line."""
    return [*skip()[:-1], notice(text, kind)]


def start(page: Page, commands: list[Command]) -> list[object]:
    """Start a job; if another page has started one, show that one."""
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
    """Tell whether the last command of a job is one of `jobs`."""
    return look is not None and look.commands[-1].arguments[0] in jobs
