"""What the Clusters tab receives of a run: what its files hold, in any order of their rows."""

from collections import Counter

import pytest

from app.server.views.clusters import describe
from pipelines.clusters.clusters import (
    read_clusters,
    read_labels,
    save_words,
)
from pipelines.runs import folder as run_folder
from pipelines.runs.errors import InputError
from pipelines.runs.files import write_pairs
from pipelines.runs.manifest import read_manifest, write_manifest
from tests.app.server.small_run import NAMES, manifest, quiet


def test_all_that_is_known_of_a_run_joins_on_the_path(run, client, address):
    view = client.get(f"{address}/data").json()
    images = view["images"]
    assert dict(zip(images["path"], images["cluster"], strict=True)) == read_labels(run)
    sizes = {row["cluster"]: row["size"] for row in view["clusters"]}
    assert sizes == Counter(images["cluster"])
    assert {row["central_image"] for row in view["clusters"]} < set(images["path"])
    assert view["rejected"] == [["notes.txt", "not an image\tnor a table"]]
    assert not set(images["path"]) & {path for path, _ in view["rejected"]}


def test_the_figures_are_those_of_the_files(run, client, address):
    images, clusters = client.get(f"{address}/data").json()["images"], read_clusters(run)
    assert images["path"] == list(clusters.paths) == sorted(NAMES)
    assert images["core"] == clusters.core.astype(int).tolist()
    for name, values in [
        ("silhouette", clusters.silhouettes),
        ("distance", clusters.centre_distances),
        ("x", clusters.places[:, 0]),
        ("y", clusters.places[:, 1]),
    ]:
        assert images[name] == pytest.approx(values.tolist(), abs=1e-6), name


def test_clusters_stand_largest_first_and_noise_last_whatever_their_order(run, client, address):
    header, *rows = (run / "clusters.csv").read_text().splitlines(keepends=True)
    (run / "clusters.csv").write_text("".join([header, *reversed(rows)]))
    clusters = client.get(f"{address}/data").json()["clusters"]
    assert [row["cluster"] for row in clusters] == [0, 1, -1]
    assert [row["size"] for row in clusters] == [5, 3, 2]
    assert [row["share"] for row in clusters] == [0.5, 0.3, 0.2]
    assert [row["cores"] for row in clusters] == [5, 0, 0]
    assert [row["silhouette"] is None for row in clusters] == [False, False, True]


def test_the_words_of_the_engineer_are_served_as_they_were_typed(run, client, address):
    note = 'dark, "mirrored"\n<script>alert(1)</script>'
    save_words(run, 1, {"name": "=sunglasses", "note": note})
    cluster = client.get(f"{address}/data").json()["clusters"][1]
    assert cluster["name"] == "=sunglasses"
    assert cluster["note"] == note


def test_the_manifest_tells_how_the_run_ended(small_run, run, client, address):
    answer = client.get(f"{address}/data")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    view = answer.json()
    assert view["run"] == str(run)
    assert view["name"] == "the run"
    assert view["folder"] == str(small_run.parent / "images")
    assert view["started"] == read_manifest(run).started_at
    assert (view["ended"], view["message"], view["notes"]) == ("finished", "", ["a note"])
    assert view["inspection_share"] == 0.8


def test_a_run_that_failed_has_no_clusters_but_its_rejected_files(tmp_path):
    with pytest.raises(InputError), run_folder.open_run(tmp_path / "run", manifest(), quiet) as job:
        write_pairs(job.folder / "rejected.txt", [("b.txt", "not an image"), ("a", "empty")])
        raise InputError("no usable image")
    view = describe(tmp_path / "run")
    assert (view["ended"], view["message"]) == ("failed", "no usable image")
    assert view["clusters"] == []
    assert set(map(tuple, view["images"].values())) == {()}
    assert view["rejected"] == [("a", "empty"), ("b.txt", "not an image")]


def test_a_run_that_failed_at_once_has_nothing(tmp_path):
    write_manifest(tmp_path, manifest(ended="failed", message="no weights"))
    view = describe(tmp_path)
    assert (view["clusters"], view["rejected"]) == ([], [])
    assert view["message"] == "no weights"


def test_a_run_that_nobody_writes_any_more_was_killed(tmp_path):
    with run_folder.open_run(tmp_path / "run", manifest(), quiet) as job:
        assert describe(job.folder)["ended"] == "running"
    write_manifest(tmp_path / "run", manifest())
    assert read_manifest(tmp_path / "run").ended == "running"
    assert describe(tmp_path / "run")["ended"] == "killed"


def test_a_run_that_a_job_is_writing_has_nothing_to_show_yet(run):
    write_manifest(run, manifest(ended="running"))
    with run_folder.lock_folder(run):
        view = describe(run)
    assert view["ended"] == "running"
    assert (view["clusters"], view["rejected"]) == ([], [])
    assert set(map(tuple, view["images"].values())) == {()}


@pytest.mark.parametrize("ended", ["finished", "failed", "stopped"])
def test_a_run_stays_to_be_seen_while_words_are_saved_and_until_a_job_replaces_it(run, ended):
    write_manifest(run, manifest(ended=ended))
    with run_folder.lock_folder(run):
        view = describe(run)
    assert view["ended"] == ended
    assert len(view["clusters"]) == 3


def test_tables_that_lead_out_of_the_run_are_not_read(tmp_path, run):
    for name in ("clusters.csv", "images.csv", "rejected.txt"):
        (run / name).rename(tmp_path / name)
        (run / name).symlink_to(tmp_path / name)
        with pytest.raises(InputError, match=f"{name} is not as the tool writes it"):
            describe(run)
        (run / name).unlink()
        (tmp_path / name).rename(run / name)
    describe(run)
