"""Messages of the page on jobs and errors, as HTML in which every name is escaped."""

from __future__ import annotations

import html

from app.server.jobs import Look

STOPPED = "Stopped. What was computed is kept: the same job continues from there."
NOTHING_KEPT = "Stopped. The same job starts from the beginning."
KEEPING = ("cluster", "select", "retrain")
"""Commands that keep their intermediate results when they are stopped."""
EXPLAINED_IN_PART = (
    "Stopped. The earlier explanation may be replaced in part: explain the run again."
)


def notice(text: str, kind: str = "note") -> str:
    """Return a box with a text; `kind` is "note" or "error"."""
    return f'<div class="{kind}" role="status">{html.escape(text)}</div>' if text else ""


def describe(look: Look | None) -> str:
    """Return the line and the progress bar of a job; empty after it has finished."""
    if look is None or look.state == "finished":
        return ""
    if look.state == "stopped":
        command = look.commands[look.step].arguments[0]
        if command == "explain":
            return notice(EXPLAINED_IN_PART)
        return notice(STOPPED if command in KEEPING else NOTHING_KEPT)
    if look.state == "failed":
        return notice(look.message, "error")
    stage, done, total, left = "starting", 0, 0, None
    if look.status is not None and look.status.stage != "ended":
        stage, done, total = look.status.stage, look.status.done, look.status.total
        left = look.status.seconds_left
    if look.stopping:
        stage, left = "stopping", None
    # Screen readers announce only the stage: the other words change twice a second.
    words = [f'<b role="status">{html.escape(stage[0].upper() + stage[1:])}</b>']
    if total:
        words.append(f"{done:,} of {total:,}")
    if left is not None:
        words.append(f"about {_duration(left)} left")
    if len(look.commands) > 1:
        words.append(f"step {look.step + 1} of {len(look.commands)}")
    share = f' value="{done}" max="{total}"' if total else ""
    return (
        f'<div class="job"><p>{" · ".join(words)}</p>'
        f'<progress aria-label="Progress of the job"{share}></progress></div>'
    )


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    if seconds < 3600:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
