"""The folders below which a job of the page may read images, wherever links and lists lead.

The page starts its jobs with these folders in their environment; a job that is started on the
command line has none there, and may read whatever its user may.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

ROOTS = "SAFE_TOOL_ROOTS"


def environment(roots: Sequence[Path]) -> dict[str, str]:
    """Return the variables that tell a job its roots; none where there is no limit."""
    return {ROOTS: json.dumps([str(root) for root in roots])} if roots else {}


def is_allowed(target: Path, roots: Sequence[Path] | None = None) -> bool:
    """Tell whether a path, free of links, lies below one of the roots; without roots it may.

    Parameters
    ----------
    roots : sequence of Path, optional
        Resolved folders, empty for no limit; None for those of this job's environment.
    """
    if roots is None:
        named = os.environ.get(ROOTS)
        roots = [Path(root) for root in json.loads(named)] if named else []
    return not roots or any(target.is_relative_to(root) for root in roots)
