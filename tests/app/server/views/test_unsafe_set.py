"""What the Unsafe set tab is told, and how it changes the set."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.server.access import Access
from app.server.routes import ServedRuns
from pipelines.data.images import check_image
from pipelines.runs import folder as run_folder
from pipelines.runs.files import read_csv
from pipelines.unsafe_set.cut import Candidates
from pipelines.unsafe_set.files import (
    Selection,
    read_candidates,
    read_selection,
    write_candidates,
    write_unsafe_set,
)
from tests.app.server.small_run import content


@pytest.fixture
def selection_run(run, draw, tmp_path):
    """Select six new images of eight for the two clusters of the run."""
    new = tmp_path / "new"
    names = [f"{number} <i>new.png" for number in range(8)]
    for number, name in enumerate(names):
        draw(new / name, 100 + number)
    rng = np.random.default_rng(0)
    candidates = Candidates(
        paths=tuple(names),
        digests=tuple(check_image(new, name).digest for name in names),
        points=rng.normal(size=(8, 4)).astype(np.float32),
        distances=rng.uniform(0, 1, (8, 2)).astype(np.float32),
        reaches=np.array([0.6, 0.6], np.float32),
        scores=rng.normal(size=8).astype(np.float32),
        sizes=np.array([5, 3]),
    )
    selection = Selection(
        folder=str(new), images=8, rejected=0, inside=int(candidates.inside().sum()), count=6,
        counted="as asked for", allocation="uniform", ranking="contrast", same_distance=0.0,
        seed=0, measured=write_candidates(run, candidates),
    )  # fmt: skip
    write_unsafe_set(run, selection, candidates, {})
    return run


def recut_of(client, address, **changes):
    return client.post(f"{address}/recut", json=changes)


def test_the_unsafe_set_is_told_as_its_files_say(selection_run, client, address):
    view = client.get(f"{address}/unsafe").json()
    rows = read_csv(selection_run / "unsafe_set.csv")
    for name in ("path", "cluster", "distance"):
        assert [str(value) for value in view["rows"][name]] == [row[name] for row in rows]
    assert [str(int(is_out)) for is_out in view["rows"]["outside"]] == [r["outside"] for r in rows]
    assert (view["chosen"], view["images"], view["count"]) == (6, 8, 6)


def test_a_thumbnail_of_a_new_image_is_drawn_once_and_kept(selection_run, client, address):
    thumbnail = client.get(f"{address}/unsafe").json()["rows"]["thumbnail"][0]
    thumbnail_file = selection_run / "thumbnails" / thumbnail.split("/")[1]
    assert not thumbnail_file.exists()
    answer = client.get(f"{address}/new/{thumbnail}")
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).size == (160, 120)
    assert thumbnail_file.read_bytes() == answer.content
    for file in Path(read_selection(selection_run).folder).iterdir():
        file.unlink()
    assert client.get(f"{address}/new/{thumbnail}").content == answer.content


def test_no_thumbnail_is_drawn_of_an_image_outside_of_the_roots(selection_run, tmp_path):
    served_runs = ServedRuns(Access(roots=(selection_run,)))
    client = TestClient(Starlette(routes=served_runs.routes()), base_url="http://localhost:7860")
    address = f"/run/{served_runs.key(selection_run)}"
    thumbnail = client.get(f"{address}/unsafe").json()["rows"]["thumbnail"][0]
    answer = client.get(f"{address}/new/{thumbnail}")
    assert answer.status_code == 404
    assert "outside the folders that this page may use" in answer.text


def test_a_thumbnail_is_drawn_of_a_linked_image_where_the_page_may_look(
    selection_run, client, address, tmp_path
):
    columns = client.get(f"{address}/unsafe").json()["rows"]
    image = Path(read_selection(selection_run).folder) / columns["path"][0]
    image.rename(tmp_path / "elsewhere.png")
    image.symlink_to(tmp_path / "elsewhere.png")
    answer = client.get(f"{address}/new/{columns['thumbnail'][0]}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")


def test_no_thumbnail_is_drawn_of_a_file_beside_the_improvement_set(
    selection_run, client, address, draw
):
    new = Path(read_selection(selection_run).folder)
    secret = draw(new.parent / "secret.png", 777)
    candidates = read_candidates(selection_run)
    digest = check_image(new.parent, "secret.png").digest
    other_candidates = replace(
        candidates,
        paths=("../secret.png", *candidates.paths[1:]),
        digests=(digest, *candidates.digests[1:]),
    )
    measured = write_candidates(selection_run, other_candidates)
    text = read_selection(selection_run).model_copy(update={"measured": measured}).model_dump_json()
    (selection_run / "selection.json").write_text(text)
    assert secret.exists()
    answer = client.get(f"{address}/new/0/{digest[:24]}.jpg")
    assert answer.status_code == 404


def test_the_unsafe_set_is_changed_as_asked(selection_run, client, address):
    before = client.get(f"{address}/unsafe").json()
    path = before["rows"]["path"][0]
    measured = before["measured"]
    view = recut_of(client, address, measured=measured, images=[[path, False]]).json()
    assert view == client.get(f"{address}/unsafe").json()
    assert path not in (selection_run / "IS_filenames.txt").read_text().splitlines()
    assert view["rows"]["out"] == [True, *[False] * 5]
    recut_of(client, address, measured=measured, clusters=[[1, False]], images=[[path, True]])
    assert {row["cluster"] for row in read_csv(selection_run / "unsafe_set.csv")} == {"0"}
    after = recut_of(client, address, measured=measured, clusters=[[1, True]], count=8).json()
    assert (after["chosen"], after["counted"]) == (8, "as asked for")
    assert recut_of(client, address, measured=measured, count=" 7 ").json()["chosen"] == 7


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"count": 3}, 400, "measured"),
        ({"measured": "x", "count": 3}, 409, "another unsafe set by now"),
        ({"count": 0, "measured": None}, 409, "1 or more, received 0"),
        ({"count": [3], "measured": None}, 400, "expected a whole number"),
        ({"count": 2.5, "measured": None}, 400, "expected a whole number"),
        (
            {"count": "1,5", "measured": None},
            400,
            "Images to choose: expected a whole number, 1 or more, received '1,5'.",
        ),
        ({"count": True, "measured": None}, 400, "expected a whole number"),
        ({"images": [["../x", False]], "measured": None}, 409, "had no image '../x'"),
        ({"images": 7, "measured": None}, 400, "no change of an unsafe set"),
        ({"clusters": [[9, False]], "measured": None}, 409, "has no cluster 9"),
    ],
)
def test_a_change_that_means_nothing_changes_nothing(
    selection_run, client, address, changes, status, words
):
    if changes.get("measured", "") is None:
        changes = changes | {"measured": read_selection(selection_run).measured}
    before = content(selection_run)
    answer = recut_of(client, address, **changes)
    assert answer.status_code == status
    assert words in answer.text
    assert content(selection_run) == before


def test_no_change_while_a_job_writes_into_the_run(selection_run, client, address):
    measured = read_selection(selection_run).measured
    with run_folder.lock_folder(selection_run):
        answer = recut_of(client, address, measured=measured, count=2)
    assert answer.status_code == 409
    assert "another job is writing" in answer.text


def test_a_run_without_an_unsafe_set_says_so(run, client, address):
    answer = client.get(f"{address}/unsafe")
    assert answer.status_code == 404
    assert "has no unsafe set: select one first" in answer.text
    assert client.get(f"{address}/new/0/{'0' * 24}.jpg").status_code == 404
