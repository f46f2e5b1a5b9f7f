"""The report as the browser gets it."""

import html

from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.server.access import Access, middleware
from pipelines.runs import folder as run_folder

POLICY = "content-security-policy"


def test_the_report_is_a_page_that_may_ask_for_nothing(explained_run, run, client, address):
    answer = client.get(f"{address}/report.html")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-disposition"].startswith("inline;")
    assert answer.headers["cache-control"] == "no-store"
    policy = dict(part.split(" ", 1) for part in answer.headers[POLICY].split("; "))
    assert policy == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": "'unsafe-inline'",
        "frame-ancestors": "'none'",
    }
    assert answer.content == (run / "report.html").read_bytes()


def test_the_policy_of_the_page_leaves_the_reports_own(explained_run, served, address):
    app = Starlette(routes=served.routes(), middleware=middleware(Access()))
    client = TestClient(app, base_url="http://localhost:7860")
    assert "script-src" in client.get(f"{address}/data").headers[POLICY]
    assert "script-src" not in client.get(f"{address}/report.html").headers[POLICY]


def test_the_report_has_the_words_as_they_are_by_now(explained_run, save, client, address):
    for name in ("<b>dim light</b>", "dim light, once more"):
        save(cluster=0, name=name, verdict="unclear", severity="S2")
        assert html.escape(name) in client.get(f"{address}/report.html").text


def test_a_report_while_a_job_is_writing_is_refused(explained_run, run, client, address):
    with run_folder.lock_folder(run):
        answer = client.get(f"{address}/report.html")
    assert answer.status_code == 409
    assert "another job is writing" in answer.text
    assert not (run / "report.html").exists()


def test_a_report_of_a_damaged_run_is_refused_with_what_to_do(explained_run, run, client, address):
    (run / "explanation.json").write_text("{}")
    answer = client.get(f"{address}/report.html")
    assert answer.status_code == 409
    assert "explanation.json" in answer.text


def test_a_report_that_cannot_be_written_is_said(tmp_path, explained_run, run, client, address):
    (tmp_path / "precious").write_text("precious")
    (run / ".lock").unlink(missing_ok=True)
    (run / ".lock").symlink_to(tmp_path / "precious")
    assert client.get(f"{address}/report.html").status_code == 500
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_link_in_the_place_of_the_report_is_replaced(
    tmp_path, explained_run, run, client, address
):
    (tmp_path / "precious").write_text("precious")
    (run / "report.html").symlink_to(tmp_path / "precious")
    assert "precious" not in client.get(f"{address}/report.html").text
    assert (tmp_path / "precious").read_text() == "precious"
