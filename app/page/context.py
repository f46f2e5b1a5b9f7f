"""What every tab of the page is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.server.access import Access
from app.server.jobs import Jobs
from app.server.routes import ServedRuns


@dataclass(frozen=True)
class Page:
    """One page server.

    Attributes
    ----------
    access : Access
        Who may reach it, and which paths they may name.
    jobs : Jobs
    served : ServedRuns
    runs : Path
        The folder that holds the runs made on the page; resolved.
    """

    access: Access
    jobs: Jobs
    served: ServedRuns
    runs: Path
