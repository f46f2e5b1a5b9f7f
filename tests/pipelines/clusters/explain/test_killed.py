"""Explaining a run anew, killed before every rename and removal."""

import shutil

import numpy as np
import pytest

from pipelines.clusters.clusters import RootCauseClusters, write_clusters
from pipelines.clusters.explain import WRITTEN, explain_run
from pipelines.clusters.explanation_tables import NO_TABLES, TableFiles
from pipelines.clusters.report.report import write_report
from pipelines.clusters.results import read_results
from pipelines.data.images import check_image
from pipelines.runs.errors import InputError
from pipelines.runs.folder import open_run
from pipelines.runs.manifest import Manifest
from tests.killed import kill_before

LABELS = (0, 0, 0, 0, 0, 1, 1, 1, 1, 1)


def quiet(*progress):
    """Listen to nothing."""


def explain(run, table_files):
    explain_run(run, table_files, seed=None, progress=quiet)
    write_report(run)


@pytest.fixture
def tables(tmp_path):
    """Write two tables of the images: in the first, a parameter tells the clusters apart."""
    tables = []
    for name, step in (("yaw", 90), ("pitch", 0)):
        rows = [f"{place}.png,{place + step * label}" for place, label in enumerate(LABELS)]
        (tmp_path / f"{name}.csv").write_text("\n".join([f"path,{name}", *rows]))
        tables.append(TableFiles((tmp_path / f"{name}.csv",)))
    return tables


@pytest.fixture
def run(tmp_path, draw, tables):
    """Write an explained run of few images."""
    images, out = tmp_path / "images", tmp_path / "run"
    paths = tuple(draw(images / f"{place}.png", place).name for place in range(len(LABELS)))
    numbers = np.arange(len(paths), dtype=np.float32)
    clusters = RootCauseClusters(
        paths=paths,
        digests=tuple(check_image(images, path).digest for path in paths),
        labels=np.array(LABELS, dtype=np.int32),
        core=np.ones(len(paths), np.bool_),
        silhouettes=numbers / 10,
        centre_distances=numbers,
        places=np.stack([numbers, numbers], axis=1),
    )
    manifest = Manifest(job="cluster", command=[], folder=str(images), parameters={"seed": 0})
    with open_run(out, manifest, quiet):
        write_clusters(out, clusters, {0: {"family": 0}, 1: {"family": 1}})
    explain(out, tables[0])
    return out


def kills(run, table_files):
    """Yield copies of a run, each killed before the next change of being explained."""
    step = 0
    while True:
        run_after_kill = shutil.copytree(run, run.with_name("killed"))
        if not kill_before(step, lambda folder=run_after_kill: explain(folder, table_files)):
            break
        yield run_after_kill
        shutil.rmtree(run_after_kill)
        step += 1
    shutil.rmtree(run_after_kill)


def files_of(run):
    return {name: (run / name).read_bytes() for name in WRITTEN if (run / name).exists()}


@pytest.mark.parametrize("other_tables", [False, True])
def test_a_kill_leaves_one_explanation_or_a_refusal(run, tables, other_tables, tmp_path):
    if other_tables:
        table_files = tables[1]
    else:  # the same tables, and words that an older version had written
        table_files = NO_TABLES
        text = (run / "clusters.csv").read_text()
        (run / "clusters.csv").write_text(text.replace("yaw: ", "older yaw: "))
    whole = shutil.copytree(run, tmp_path / "whole")
    explain(whole, table_files)
    before, after = files_of(run), files_of(whole)
    report = (run / "report.html").read_bytes()
    states = []
    for run_after_kill in kills(run, table_files):
        try:
            read_results(run_after_kill)
        except InputError as error:
            states.append("refused")
            assert "parts of two explanations: `explain` ended while" in str(error)
            with pytest.raises(InputError, match="parts of two explanations"):
                write_report(run_after_kill)
        else:
            states.append("old" if files_of(run_after_kill) == before else "new")
            assert files_of(run_after_kill) in (before, after)
        if (run_after_kill / "report.html").exists() and (
            run_after_kill / "report.html"
        ).read_bytes() == report:
            assert states[-1] == "old"
        explain(run_after_kill, table_files)
        assert files_of(run_after_kill) == after
        assert not list(run_after_kill.glob(".*.tmp"))
    assert states == sorted(states, key=("old", "refused", "new").index)
    assert {*states} == {"old", "refused", "new"}


def test_tables_that_were_half_replaced_have_to_be_given_again(run, tables):
    refusals = []
    for run_after_kill in kills(run, tables[1]):
        try:
            explain(run_after_kill, NO_TABLES)
        except InputError as error:
            refusals.append(str(error))
        else:
            read_results(run_after_kill)
    assert refusals
    assert all("Explain the run again, with its tables" in refusal for refusal in refusals)
    assert "replacing" not in (run / "explanation.json").read_text()
