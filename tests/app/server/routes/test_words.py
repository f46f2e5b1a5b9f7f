"""The words of an engineer on their way into the run."""

import pytest

from app.server.views.clusters import LONGEST, describe
from pipelines.clusters.clusters import (
    VERDICTS,
)
from pipelines.runs import folder as run_folder
from pipelines.runs.files import read_csv
from pipelines.runs.manifest import read_manifest
from tests.app.server.small_run import content, words


def test_words_are_saved_and_all_else_stays(run, save):
    others = content(run)
    answer = save(cluster=1, name="=sunglasses", note='dark, "mirrored"\nglass')
    assert (answer.status_code, answer.content) == (204, b"")
    assert words(run) == [("", ""), ("=sunglasses", 'dark, "mirrored"\nglass'), ("noise", "")]
    save(cluster=1, note="")
    save(cluster=-1, note="odd ones")
    assert words(run) == [("", ""), ("=sunglasses", ""), ("noise", "odd ones")]
    files = content(run)
    assert files.keys() == others.keys()
    assert {name for name in others if others[name] != files[name]} == {"clusters.csv"}


def test_other_columns_are_no_words(run, save):
    before = read_csv(run / "clusters.csv")
    assert save(cluster=0, size="99", hint="x", cluster_="1").status_code == 204
    assert read_csv(run / "clusters.csv") == before


def test_words_of_any_length_and_half_characters_damage_nothing(run, save):
    free = {name: longest for name, longest in LONGEST.items() if name != "verdict"}
    long = {name: "=" * (longest + 1) for name, longest in free.items()}
    assert save(cluster=0, **long).status_code == 204
    row = read_csv(run / "clusters.csv")[0]
    assert {name: len(row[name]) for name in free} == free
    assert save(cluster=0, name="\ud83d", note="a\rb\0c").status_code == 204
    assert words(run)[0] == ("?", "a\nb\0c")
    assert len(describe(run)["clusters"]) == 3


def test_verdict_severity_and_likelihood_are_words_too(run, save, client, address):
    texts = {"verdict": "several causes", "severity": "S3", "likelihood": "<E2>"}
    assert save(cluster=1, **texts).status_code == 204
    cluster = client.get(f"{address}/data").json()["clusters"][1]
    assert {name: cluster[name] for name in texts} == texts
    assert save(cluster=1, verdict="").status_code == 204
    assert client.get(f"{address}/data").json()["clusters"][1]["verdict"] == ""


def test_a_verdict_that_is_none_is_refused(run, save, client, address):
    before = content(run)
    for verdict in ("perhaps", "Plausible cause", "=unclear", 7, None):
        answer = save(cluster=0, name="x", verdict=verdict)
        assert answer.status_code == 409, verdict
        assert "plausible cause, several causes, unclear" in answer.text
    assert content(run) == before
    assert client.get(f"{address}/data").json()["verdicts"] == list(VERDICTS)


def test_words_on_a_run_that_another_replaced_are_refused(run, save):
    before = content(run)
    answer = save(cluster=0, name="x", started="2020-01-01T00:00:00+00:00")
    assert answer.status_code == 409
    assert "holds another run by now" in answer.text
    assert content(run) == before


def test_words_on_an_unknown_cluster_are_refused(run, save):
    before = content(run)
    answer = save(cluster=7, name="x")
    assert answer.status_code == 409
    assert "clusters.csv has no cluster 7" in answer.text
    assert content(run) == before


def test_words_while_a_job_is_writing_are_refused(run, save):
    with run_folder.lock_folder(run):
        answer = save(cluster=0, name="x")
    assert answer.status_code == 409
    assert "another job is writing" in answer.text
    assert words(run)[0] == ("", "")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no json",
        "[]",
        "5",
        "null",
        "{}",
        '{"cluster": 0}',
        '{"started": "x"}',
        '{"cluster": "x", "started": "x"}',
        '{"cluster": null, "started": "x"}',
        '{"cluster": 1e999, "started": "x"}',
        '{"cluster": 1.5, "started": "x"}',
        '{"cluster": true, "started": "x"}',
        b"\xff",
    ],
)
def test_what_are_no_words_is_refused(run, client, address, body):
    before = content(run)
    assert client.post(f"{address}/words", content=body).status_code == 400
    assert content(run) == before


def test_words_are_not_saved_by_a_link(run, client, address):
    before = content(run)
    started_at = read_manifest(run).started_at
    answer = client.get(
        f"{address}/words", params={"cluster": 0, "name": "x", "started": started_at}
    )
    assert answer.status_code in {404, 405}
    assert content(run) == before


def test_words_do_not_reach_out_of_the_run(tmp_path, run, save):
    (tmp_path / "precious").write_text("precious")
    (run / ".lock").unlink(missing_ok=True)
    (run / ".lock").symlink_to(tmp_path / "precious")
    assert save(cluster=0, name="x").status_code == 500
    assert (tmp_path / "precious").read_text() == "precious"
    assert words(run)[0] == ("", "")
