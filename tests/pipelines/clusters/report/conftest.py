"""Runs to report on."""

import pytest

from pipelines.clusters.clusters import (
    save_words,
)
from pipelines.clusters.explanation import (
    write_explanation,
)
from pipelines.runs.files import read_csv, write_csv
from tests.pipelines.clusters.report.reported import explanation_of, write_run


@pytest.fixture
def old(tmp_path):
    """Write a run as older versions did: no explanation, no columns for verdicts and families."""
    run = write_run(tmp_path / "the run")
    rows = read_csv(run / "clusters.csv")
    columns = ["cluster", "name", "note", "size", "share", "cores", "silhouette", "hint"]
    for row in rows:
        row["hint"] = "darker than the rest: 0.1; blurrier: 0.2" if row["cluster"] == "0" else ""
    write_csv(run / "clusters.csv", columns, [[row[name] for name in columns] for row in rows])
    return run


@pytest.fixture
def run(tmp_path):
    """Write a run with families, words and all else."""
    run = write_run(tmp_path / "the run")
    write_explanation(run, explanation_of())
    save_words(
        run,
        0,
        {
            "name": "Head turned right",
            "note": "first line\n  second line\n\nthird",
            "verdict": "plausible cause",
            "severity": "S2",
            "likelihood": "E3",
        },
    )
    return run
