"""A run folder that somebody has edited: page, report and all jobs on it say the same of it."""

import shutil

import pytest

from app.server.views.clusters import describe, read_values
from app.server.views.heatmaps import describe_agreement
from pipelines.clusters.clusters import read_clusters
from pipelines.clusters.explain import NO_TABLES, explain_run
from pipelines.clusters.report.report import write_report
from pipelines.clusters.results import read_results
from pipelines.data.images import find_files
from pipelines.dnn.job import EvaluationOptions
from pipelines.retraining.job import retrain
from pipelines.retraining.training import Options
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv, replace_cells, write_csv
from pipelines.safe.placement import measure
from pipelines.unsafe_set.job import SelectionOptions, select_unsafe_set


def quiet(stage, done, total):
    """Listen to nothing."""


@pytest.fixture
def run(planted_beside_passing, tmp_path):
    return shutil.copytree(planted_beside_passing, tmp_path / "run")


def edit(run, change, name="clusters.csv"):
    rows = change(read_csv(run / name))
    write_csv(run / name, list(rows[0]), [list(row.values()) for row in rows])


def without_column(*names):
    def tamper(run):
        edit(run, lambda rows: [{k: v for k, v in r.items() if k not in names} for r in rows])

    return tamper


def cell(column, value, cluster="3", name="clusters.csv", key="cluster"):
    return lambda run: replace_cells(run / name, key, {cluster: {column: value}})


def without_row(name, at):
    return lambda run: edit(run, lambda rows: [r for i, r in enumerate(rows) if i != at], name)


def twice(name):
    return lambda run: edit(run, lambda rows: [*rows, rows[-1]], name)


LATER = (
    "verdict", "severity", "likelihood", "family", "parameters", "kind", "parts", "groups",
    "failing_images", "passing_images", "failure_rate", "rate_low", "rate_high", "rate_elsewhere",
    "excess_failures", "p_value",
)  # fmt: skip
READABLE = {
    "as it is": lambda run: None,
    "without hint": without_column("hint"),
    "without hint and explanation": lambda run: (
        without_column("hint")(run),
        (run / "explanation.json").unlink(),
    ),
    "without central image": without_column("central_image"),
    "without the engineer's columns": without_column("name", "note"),
    "without what came later": without_column(*LATER),
    "another order": lambda run: edit(run, lambda rows: rows[::-1]),
    "an empty hint": cell("hint", ""),
    "a further column": lambda run: edit(run, lambda rows: [r | {"mine": "x"} for r in rows]),
    "words": cell("note", "mirrored; see ticket 7"),
}
DAMAGES = {
    "a row is missing": ("clusters.csv", without_row("clusters.csv", 2)),
    "the noise is missing": ("clusters.csv", without_row("clusters.csv", -1 + 13)),
    "a row is there twice": ("clusters.csv", twice("clusters.csv")),
    "a size is another": ("clusters.csv", cell("size", "17")),
    "a size is none": ("clusters.csv", cell("size", "")),
    "a size is no whole number": ("clusters.csv", cell("size", "16.5")),
    "a share is none": ("clusters.csv", cell("share", "nan")),
    "a silhouette is none": ("clusters.csv", cell("silhouette", "inf")),
    "a kind is none": ("clusters.csv", cell("kind", "odd")),
    "a family is none": ("clusters.csv", cell("family", "first")),
    "a central image is none": ("clusters.csv", cell("central_image", "nowhere.png")),
    "no sizes": ("clusters.csv", without_column("size")),
    "an image is missing": ("clusters.csv", without_row("images.csv", 4)),
    "an image is there twice": ("clusters.csv", twice("images.csv")),
    "an image has half a cluster": (
        "images.csv", cell("cluster", "1.5", "eye 003.png", "images.csv", "path"),
    ),
    "a place is none": ("images.csv", cell("x", "nan", "eye 003.png", "images.csv", "path")),
    "a silhouette of an image is none": (
        "images.csv", cell("silhouette", "nan", "eye 003.png", "images.csv", "path"),
    ),
    "no clusters": ("clusters.csv", lambda run: (run / "clusters.csv").unlink()),
    "another encoding": (
        "clusters.csv", lambda run: (run / "clusters.csv").write_bytes(b"\xff\xfe\x00a"),
    ),
}  # fmt: skip


def say(what, *arguments, **options):
    """Return what somebody says of a run folder: nothing, or the words of the refusal."""
    try:
        what(*arguments, **options)
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("tamper", READABLE.values(), ids=READABLE)
def test_what_may_be_missing_is_missed_by_nobody(run, tamper):
    before = describe(run)
    tamper(run)
    view = describe(run)
    assert say(write_report, run) == ""
    assert [(row["cluster"], row["size"]) for row in view["clusters"]] == [
        (row["cluster"], row["size"]) for row in before["clusters"]
    ]
    assert [row["central_image"] for row in view["clusters"]] == [
        row["central_image"] for row in before["clusters"]
    ]
    if (run / "explanation.json").exists():
        assert [row["hints"] for row in view["clusters"]] == [
            row["hints"] for row in before["clusters"]
        ]
        assert say(explain_run, run, NO_TABLES, seed=None, progress=quiet) == ""
        assert read_results(run).rows[0].hints == tuple(view["clusters"][0]["hints"])


@pytest.mark.parametrize(("name", "tamper"), DAMAGES.values(), ids=DAMAGES)
def test_what_one_refuses_all_refuse_in_the_same_words(
    run, planted_beside_passing, tmp_path, name, tamper
):
    tamper(run)
    words = say(describe, run)
    assert f"{run / name} is not as the tool writes it" in words
    assert "Take the file from a backup, or" in words
    assert say(write_report, run) == words
    assert say(read_values, run, "properties", 0) == words
    assert say(explain_run, run, NO_TABLES, seed=None, progress=quiet) == words
    assert say(describe_agreement, planted_beside_passing, run) == words
    new = planted_beside_passing.parent / "passing"
    assert find_files(new)[0]
    assert say(select_unsafe_set, run, new, SelectionOptions(), measure, progress=quiet) == words
    folders = (tmp_path / "model.keras", tmp_path / "a", run, tmp_path / "b", tmp_path / "out")
    assert say(retrain, *folders, EvaluationOptions(), Options(), progress=quiet) == words
    assert not (tmp_path / "out").exists()


def test_figures_of_the_page_are_those_of_the_file_and_no_float32(run):
    columns = describe(run)["images"]
    rows = read_csv(run / "images.csv")
    for key, column in (("x", "x"), ("y", "y"), ("distance", "distance_to_centre")):
        assert columns[key] == [float(row[column]) for row in rows]
    assert columns["thumbnail"] == [f"thumbnails/{row['thumbnail']}" for row in rows]
    assert columns["part"] == [int(row["part"]) for row in rows]
    assert columns["path"] == list(read_clusters(run).paths)
