"""Whatever a file of a run holds: every view of it answers or refuses, and so does every job."""

import logging
import shutil

import numpy as np
import pytest

from pipelines.clusters.clusters import read_clusters
from pipelines.clusters.explain import NO_TABLES, explain_run
from pipelines.clusters.results import read_known_clusters
from pipelines.clusters.verdicts import find_earlier_words
from pipelines.data.images import check_image
from pipelines.retraining.examples import gather_unsafe_set
from pipelines.retraining.report import write_run_report
from pipelines.retraining.sets import read_clustered
from pipelines.runs.errors import InputError
from pipelines.safe import placement
from pipelines.unsafe_set.cut import Candidates
from pipelines.unsafe_set.export import export_unsafe_set
from pipelines.unsafe_set.files import Selection, recut, write_candidates, write_unsafe_set
from tests.app.server.small_run import content, quiet
from tests.mutations import mutate, put

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
    images = planted_beside_passing.parent / "passing"
    paths = tuple(sorted(file.name for file in images.glob("*.png")))[:40]
    rng = np.random.default_rng(0)
    candidates = Candidates(
        paths,
        tuple(check_image(images, path).digest for path in paths),
        *(rng.random((40, width), dtype=np.float32) for width in (4, 12)),
        np.full(12, 0.3, np.float32),
        rng.random(40, dtype=np.float32),
        np.arange(5, 17),
    )
    selection = Selection(
        folder=str(images), images=40, rejected=0, inside=5, count=8, counted="as asked for",
        allocation="uniform", ranking="contrast", same_distance=0.1, seed=0,
        measured=write_candidates(run, candidates),
    )  # fmt: skip
    write_unsafe_set(run, selection, candidates, {paths[0]: "left"})
    clusters = read_clusters(run)
    count = len(clusters.paths)
    np.savez(
        run / "reduction.npz",
        widths=np.array([6]), paths=np.array(clusters.paths), labels=clusters.labels,
        core=clusters.labels >= 0, points=rng.random((count, 3), dtype=np.float32),
        passing_points=rng.random((9, 3), dtype=np.float32), length=np.array(1.0),
        mean=rng.random(6, dtype=np.float32), scale=np.ones(6, np.float32),
        axes=rng.random((3, 6), dtype=np.float32),
    )  # fmt: skip
    placement._read_run(run, clusters)
    return run


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
