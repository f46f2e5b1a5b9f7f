"""What the page shows of a run of coverage, as one JSON document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.deepimportance.results import read_coverage
from pipelines.runs.manifest import read_manifest


def describe_coverage(folder: Path) -> dict[str, Any]:
    """Describe a run of coverage for the page: its results, and the model and options.

    Raises
    ------
    InputError
        When it is no such run.
    """
    results = read_coverage(folder)
    manifest = read_manifest(folder)
    return results | {
        "name": folder.name,
        "model": str(manifest.parameters.get("model", "")),
        "rule": str(manifest.parameters.get("rule", "")),
        "class": manifest.parameters.get("class"),
        "notes": manifest.notes,
        "rejected": manifest.images.rejected,
    }
