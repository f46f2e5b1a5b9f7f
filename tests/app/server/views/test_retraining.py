"""What the page receives of a retraining, while it runs and afterwards."""

import shutil

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.server.access import Access
from app.server.routes import ServedRuns
from app.server.views.retraining import describe_retraining
from pipelines.dnn.job import EvaluationOptions
from pipelines.retraining.job import retrain
from pipelines.retraining.results import PROGRESS_FOLDER, read_retraining
from pipelines.retraining.training import Options
from pipelines.runs import folder as run_folder
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv, write_csv
from pipelines.runs.manifest import Manifest


def quiet(stage, done, total):
    """Listen to nothing."""


@pytest.fixture(scope="module")
def retraining(spots, tmp_path_factory):
    """Retrain, and keep what the page receives meanwhile."""
    out, views = tmp_path_factory.mktemp("retrained") / "out", []

    def listen(stage, done, total):
        if stage == "retraining" and done:
            views.append(describe_retraining(out))

    retrain(
        spots.model, spots.train, spots.run, spots.test, out, EvaluationOptions(),
        Options(epochs=3, batch_size=32), progress=listen,
    )  # fmt: skip
    return out, views


def test_the_curve_grows_while_it_trains(retraining):
    out, views = retraining
    assert views[0] == {
        "name": "out", "running": True, "epochs": 3, "history": [], "found": None
    }  # fmt: skip
    lengths = [len(view["history"]) for view in views]
    assert lengths == sorted(lengths)
    assert lengths[-1] == 2
    assert not (out / PROGRESS_FOLDER).exists()


def test_afterwards_every_change_has_its_picture(retraining):
    out, _ = retraining
    view = describe_retraining(out)
    assert (view["running"], len(view["history"])) == (False, 3)
    assert view["found"] == read_retraining(out).model_dump()
    rows = {row["path"]: row for row in read_csv(out / "before_after.csv")}
    pictures = 0
    for cluster, kinds in view["clusters"].items():
        for kind, images in kinds.items():
            for image in images:
                row = rows[image["path"]]
                assert (row["cluster"], row["right before"]) == (cluster, "0")
                assert row["right after"] == ("1" if kind == "repaired" else "0")
                assert (out / image["thumbnail"]).is_file()
                pictures += 1
    for image in view["broken"]:
        row = rows[image["path"]]
        assert (row["right before"], row["right after"]) == ("1", "0")
        assert (out / image["thumbnail"]).is_file()
    assert pictures
    assert len(view["broken"]) == view["found"]["change"]["broken"]


def test_what_is_no_retraining_or_damaged_is_told(retraining, spots, tmp_path):
    with pytest.raises(InputError, match="is no retraining: its job is heatmaps"):
        describe_retraining(spots.run)
    copy = shutil.copytree(retraining[0], tmp_path / "copy")
    (copy / "before_after.csv").write_text("path,expected\na,b\n")
    with pytest.raises(InputError, match=r"before_after\.csv"):
        describe_retraining(copy)


def test_its_report_is_served_only_to_whoever_may_see_the_clusters(retraining, spots, tmp_path):
    out = shutil.copytree(retraining[0], tmp_path / "seen" / "out")
    for roots, status in (((), 200), ((out.parent.resolve(),), 409)):
        served_runs = ServedRuns(Access(roots=roots))
        client = TestClient(
            Starlette(routes=served_runs.routes()), base_url="http://localhost:7860"
        )
        answer = client.get(f"/run/{served_runs.key(out)}/report.html")
        assert answer.status_code == status
    assert "outside the folders that this page may use" in answer.text
    assert client.get(f"/run/{served_runs.key(out)}/retraining").json()["name"] == "out"
    assert client.get(f"/run/{served_runs.key(out)}/download/repairs.csv").status_code == 200
    assert client.get(f"/run/{served_runs.key(out)}/download/retrained.keras").status_code == 404


def test_a_run_that_holds_a_retraining_is_not_replaced_by_clusters(retraining, tmp_path):
    copy = shutil.copytree(retraining[0], tmp_path / "copy")
    manifest = Manifest(job="cluster", command=[], folder="/images", parameters={})
    with (
        pytest.raises(InputError, match="holds a run of retrain"),
        run_folder.open_run(copy, manifest, quiet, overwrite=True),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        (
            "before_after.csv",
            lambda rows: rows[:-1],
            "images are not those that retraining.json counts",
        ),
        ("before_after.csv", lambda rows: [*rows[:-1], rows[0]], "images are not those that"),
        ("before_after.csv", lambda rows: [], "images are not those that"),
        (
            "before_after.csv",
            lambda rows: [*rows[:-1], rows[-1] | {"right after": "yes"}],
            "holds more than 0 and 1",
        ),
        ("history.csv", lambda rows: rows[::-1], "epochs are not 1, 2, 3"),
        ("history.csv", lambda rows: [*rows, rows[0]], "epochs are not 1, 2, 3"),
    ],
)
def test_a_table_of_other_images_or_epochs_is_refused(retraining, tmp_path, name, damage, words):
    run = shutil.copytree(retraining[0], tmp_path / "run")
    rows = read_csv(run / name)
    write_csv(run / name, list(rows[0]), [list(row.values()) for row in damage(rows)])
    with pytest.raises(InputError, match=rf"{name} is not as the tool writes it .*{words}"):
        describe_retraining(run)
