"""The folders from which a job of the page may read images, even through links and lists.

The page passes these folders to its jobs in environment variables. A job started on the command
line has no such variable, and may read what its user may read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

ROOTS = "SAFE_TOOL_ROOTS"


def environment(roots: Sequence[Path]) -> dict[str, str]:
    """Return the environment variables that limit a job to its roots; none without a limit."""
    return {ROOTS: json.dumps([str(root) for root in roots])} if roots else {}


def is_allowed(target: Path, roots: Sequence[Path] | None = None) -> bool:
    """Tell whether a path without links lies below one of the roots; True if there are no roots.

    Parameters
    ----------
    roots : sequence of Path, optional
        Resolved folders; empty for no limit; None for those in this process's environment.
    """
    if roots is None:
        named = os.environ.get(ROOTS)
        roots = [Path(root) for root in json.loads(named)] if named else []
    return not roots or any(target.is_relative_to(root) for root in roots)
