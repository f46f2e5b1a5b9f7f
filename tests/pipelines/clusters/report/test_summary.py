"""What stands first in a report, and lists that are cut and counted."""

import shutil

import pytest

from pipelines.clusters.clusters import (
    NOISE,
)
from pipelines.clusters.explanation import (
    write_explanation,
)
from pipelines.clusters.report.summary import MOST_PROBLEMS, MOST_REJECTED
from pipelines.data.parameters import Problem
from pipelines.runs import folder as run_folder
from pipelines.runs.files import write_pairs
from tests.pipelines.clusters.report.reported import (
    REJECTED_FILES,
    explanation_of,
    report,
    write_run,
)


def test_figures_of_the_run_come_first(run):
    words = report(run).part("SAFE tool:", "Overview Family")
    for text in (
        "the run",
        "Folder analysed /data/my failures",
        "Job cluster",
        "Started 2026-01-02 03:04:05 UTC",
        "Ended 2026-01-02 03:14:15 UTC (finished)",
        "images used, of 19 found; 2 rejected 17",
        "root cause clusters 3",
        "families 2",
        "noise (2 images) 11.8 %",
        "of the images, when 5 of each cluster are inspected 70.6 %",
        "of the images, when 5 of each family are inspected 52.9 %",
        "clusters have a verdict: plausible cause 1 1 of 3",
        "mean silhouette; single clusters: \u22120.03 to 0.45 0.12",
        "Take them as places to look at.",
        "No verdict yet: 2 of 3 clusters (1, 2).",
        "Not covered by any cluster: 1 of 3 unsafe values.",
    ):
        assert text in words


def test_unsafe_values_that_are_not_covered_come_first_and_others_are_told_apart(run):
    page = report(run)
    words = page.part("Covered: 1 of 3 unsafe values", "What could not be used")
    assert "Not covered, although failing images lie next to them: 1." in words
    assert "Without a failing image next to them, so that no cluster can cover them: 1." in words
    assert words.endswith(
        "pitch at most \u22129.5 4 not covered "
        "glare at least 0.25 0 no failing image next to it "
        "head_yaw near 220 7 0, 1 covered"
    )
    gaps = [row for row in page.all("tr") if row.get("class") == "not-covered"]
    assert len(gaps) == 1


def test_without_unsafe_values_there_is_no_section_on_them(run):
    explanation = explanation_of().model_copy(update={"unsafe_values": []})
    for entry in (*explanation.clusters.values(), *explanation.families):
        entry.unsafe_values = []
    write_explanation(run, explanation)
    page = report(run)
    assert "unsafe-values" not in page.ids()
    assert "Unsafe" not in page.part("Summary Images")


def test_what_could_not_be_used_is_listed(run):
    words = report(run).part("2 files could not be used.", "How to reproduce")
    for path, reason in REJECTED_FILES:
        assert f"{path} {' '.join(reason.split())}" in words
    assert (
        "1 entry of the parameter files could not be used; the rest of these files was used."
        in words
    )
    assert "parameters.csv 14 head_yaw expected a number, received 'n/a'" in words


def test_long_lists_are_cut_and_counted(run):
    rejected = [(f"no {place:04d}.txt", "not an image") for place in range(MOST_REJECTED + 1)]
    write_pairs(run / run_folder.REJECTED_FILE, rejected)
    explanation = explanation_of()
    explanation.problems = [
        Problem("parameters.csv", row, "", f"problem {row:04d}") for row in range(MOST_PROBLEMS + 1)
    ]
    write_explanation(run, explanation)
    words = report(run).words()
    assert f"{MOST_REJECTED + 1} files could not be used; the first {MOST_REJECTED} are" in words
    assert "run.json counts 2." in words
    assert words.count("not an image") == MOST_REJECTED
    problems = f"{MOST_PROBLEMS + 1} entries of the parameter files could not be used; the first"
    assert problems in words
    assert f"problem {MOST_PROBLEMS - 1:04d}" in words
    assert f"problem {MOST_PROBLEMS:04d}" not in words


@pytest.mark.parametrize(
    ("ended", "message", "expected"),
    [
        ("failed", "MemoryError: no <room>", "The run failed: MemoryError: no <room>"),
        ("stopped", "stopped by the user", "The run was stopped by the user"),
        ("running", "", "The run was killed"),
    ],
)
def test_a_run_that_ended_without_clusters(tmp_path, ended, message, expected):
    run = write_run(tmp_path / "the run", ended=ended, message=message, ended_at="")
    for name in ("images.csv", "clusters.csv", "labels.txt"):
        (run / name).unlink()
    shutil.rmtree(run / "thumbnails")
    page = report(run)
    assert expected in page.words()
    assert "This report shows the results up to then." in page.words()
    assert "The run ended before it had clusters." in page.words()
    assert "Ended not known" in page.words()
    assert "torn.jpg" in page.words()
    assert {f"#{name}" for name in page.ids()} == {link["href"] for link in page.all("a")}


def test_a_run_that_was_killed_while_it_wrote_its_clusters(tmp_path):
    run = write_run(tmp_path / "the run", ended="running")
    (run / "clusters.csv").unlink()
    assert "The run ended before it had clusters." in report(run).words()


def test_a_run_that_was_stopped_with_clusters_shows_them(tmp_path):
    run = write_run(tmp_path / "the run", ended="stopped")
    shutil.rmtree(run / "thumbnails")
    page = report(run)
    assert "The run was stopped by the user" in page.words()
    assert "cluster-0" in page.ids()


def test_a_finished_run_from_which_the_clusters_were_taken(tmp_path):
    run = write_run(tmp_path / "the run")
    for name in ("images.csv", "clusters.csv"):
        (run / name).unlink()
    assert "images.csv and clusters.csv are missing, although" in report(run).words()


def test_a_run_of_noise_alone(tmp_path):
    page = report(write_run(tmp_path / "the run", [NOISE] * 3))
    assert "No root cause cluster was found: every image that was used is noise." in page.words()
    assert "noise (3 images) 100.0 %" in page.words()
    assert "noise" in page.ids()
    assert len(page.all("img")) == 3


def test_a_run_of_one_cluster(tmp_path):
    page = report(write_run(tmp_path / "the run", [0] * 3, result={}))
    assert "Silhouette not defined" in page.words()
    assert "mean silhouette" not in page.words()
    assert "when 5 of each cluster are inspected 100.0 %" in page.words()
