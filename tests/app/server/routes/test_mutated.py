"""Whatever a file of a run holds: every view of it answers or refuses, and so does every job."""

import logging
import shutil

import numpy as np
import pytest

from pipelines.clusters.explain import NO_TABLES, explain_run
from pipelines.clusters.results import read_known_clusters
from pipelines.clusters.verdicts import find_earlier_words
from pipelines.retraining.examples import gather_unsafe_set
from pipelines.retraining.report import write_run_report
from pipelines.retraining.sets import read_clustered
from pipelines.runs.errors import InputError
from pipelines.safe import placement
from pipelines.unsafe_set.export import export_unsafe_set
from pipelines.unsafe_set.files import recut
from tests.app.server.small_run import content, quiet
from tests.mutations import mutate, put
from tests.small_runs import choose_unsafe_set

VIEWS = (
    "data", "values/parameters/0", "values/parameters/2", "values/properties/0", "unsafe",
    "report.html", "gifs.zip", "download/unsafe_set.csv",
)  # fmt: skip
FILES = (
    "run.json", "images.csv", "clusters.csv", "explanation.json", "parameters.csv",
    "passing_parameters.csv", "properties.csv", "passing.csv", "labels.txt", "rejected.txt",
    "reduction.npz", "selection.npz", "selection.json", "unsafe_set.csv", "IS_filenames.txt",
    "status.json",
)  # fmt: skip


@pytest.fixture(scope="module")
def run_with_unsafe_set(planted_beside_passing, tmp_path_factory):
    """A copy of the planted run with an unsafe set and all that placing new images takes."""
    run = shutil.copytree(planted_beside_passing, tmp_path_factory.mktemp("chosen") / "run")
    return choose_unsafe_set(run, planted_beside_passing.parent / "passing")


def jobs(run, out):
    """What the commands do with a run, before they compute for long."""
    return {
        "explain": lambda: explain_run(run, NO_TABLES, seed=None, progress=quiet),
        "recut": lambda: recut(run, count=5),
        "export": lambda: export_unsafe_set(run, out, quiet, links=True),
        "retrain": lambda: (
            read_clustered(run),
            gather_unsafe_set(run, {"left"}, lambda *step: None),
        ),
        "report": lambda: write_run_report(run),
        "cluster": lambda: find_earlier_words(run, str(run.parent / "images")),
        "select": lambda: placement._read_run(run, read_known_clusters(run)[0]),
    }


@pytest.mark.parametrize("name", FILES)
def test_a_view_or_job_on_a_damaged_file_answers_or_refuses(
    run_with_unsafe_set, served, client, tmp_path, name, caplog
):
    key, before = served.key(run_with_unsafe_set), content(run_with_unsafe_set)
    refusals = 0
    for what, damage in mutate(run_with_unsafe_set / name, np.random.default_rng(len(name)), 4):
        with put(run_with_unsafe_set / name, damage), caplog.at_level(logging.ERROR):
            for view in VIEWS:
                answer = client.get(f"/run/{key}/{view}")
                assert answer.status_code < 500, (what, view, answer.text, caplog.text)
                refusals += answer.status_code >= 400
            for job, do in jobs(run_with_unsafe_set, tmp_path / "out").items():
                try:
                    do()
                except InputError as error:
                    refusals += 1
                    assert "\n" not in str(error), (what, job)
                shutil.rmtree(tmp_path / "out", ignore_errors=True)
        assert content(run_with_unsafe_set) == before, what
    assert refusals or name in {"labels.txt", "properties.csv", "status.json", "IS_filenames.txt"}
