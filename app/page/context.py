"""The objects that all tabs of the page share."""

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
        Who may access the page, and which paths the page may use.
    jobs : Jobs
        The job that the page runs.
    served : ServedRuns
        The runs that are open on pages.
    runs : Path
        Folder of the runs made on the page; resolved.
    """

    access: Access
    jobs: Jobs
    served: ServedRuns
    runs: Path
