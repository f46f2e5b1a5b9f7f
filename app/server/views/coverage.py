"""The JSON document of a run of coverage for the page."""

from __future__ import annotations

from pathlib import Path

from pipelines.deepimportance.manifest import CoverageParameters
from pipelines.deepimportance.results import read_coverage
from pipelines.runs.manifest import read_manifest, read_part


def describe_coverage(folder: Path) -> dict[str, object]:
    """Describe a run of coverage for the page: its results, and the model and options.

    Raises
    ------
    InputError
        When it is no such run.
    """
    results = read_coverage(folder)
    manifest = read_manifest(folder)
    parameters = read_part(manifest, CoverageParameters)
    return results.model_dump() | {
        "name": folder.name,
        "model": parameters.model,
        "rule": parameters.rule,
        "class": parameters.class_,
        "notes": manifest.notes,
        "rejected": manifest.images.rejected,
    }
