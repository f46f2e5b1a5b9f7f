"""A fault of the tool is reported as one, and logged; a damaged file is named, and is no fault."""

import logging
import shutil
import signal

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.cli.options import job
from app.exit_codes import ERROR, FAULT
from app.server import changes, jobs, new_images, routes
from app.server.access import Access
from app.server.routes import ServedRuns
from app.server.views import clusters
from app.signals import end_signals
from pipelines.clusters import results
from pipelines.clusters.report import report


@pytest.fixture
def run(planted, tmp_path):
    return shutil.copytree(planted, tmp_path / "run")


@pytest.fixture
def ask(run):
    runs = ServedRuns(Access())
    client = TestClient(Starlette(routes=runs.routes()), base_url="http://localhost:7860")
    address = f"/run/{runs.key(run)}"

    def ask(tail, body=None):
        if body is not None:
            return client.post(f"{address}/{tail}", json=body)
        return client.get(f"{address}/{tail}")

    return ask


def fail(*arguments, **options):
    """Fail as code does that takes nothing for something."""
    return None.words


WORDS = {"cluster": 0, "started": "2026-01-01T00:00:00+00:00", "name": "x"}
SHORT_DOCUMENT = {"measured": "x", "count": 3}
FAULTS = [
    ("data", None, clusters, "_cluster"),
    ("data", None, clusters, "_describe_explanation"),
    ("data", None, results, "_row"),
    ("data", None, routes, "describe"),
    ("values/properties/0", None, routes, "read_values"),
    ("unsafe", None, routes, "read_current_set"),
    ("heatmaps/0", None, routes, "describe_heatmaps"),
    ("layers", None, routes, "describe_layers"),
    ("coverage", None, routes, "describe_coverage"),
    ("retraining", None, routes, "describe_retraining"),
    ("inspection", None, routes, "describe_inspection"),
    ("pair/0/1", None, routes, "describe_pair"),
    ("report.html", None, report, "_render"),
    ("report.html", None, results, "_row"),
    ("new/0/0123456789abcdef01234567.jpg", None, new_images, "read_selection"),
    ("words", WORDS, changes, "read_manifest"),
    ("recut", SHORT_DOCUMENT, changes, "read_selection"),
]


@pytest.mark.parametrize(("tail", "body", "module", "name"), FAULTS)
def test_a_fault_of_the_tool_blames_no_file(
    run, ask, monkeypatch, caplog, tail, body, module, name
):
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    monkeypatch.setattr(module, name, fail)
    with caplog.at_level(logging.ERROR):
        answer = ask(tail, body)
    assert answer.status_code == 500
    assert FAULT in answer.text
    assert "'NoneType' object has no attribute 'words'" in answer.text
    assert "Please send" in answer.text
    for wrong in ("as the tool writes it", "backup"):
        assert wrong not in answer.text
    assert "Traceback" in caplog.text
    assert "in fail" in caplog.text
    assert {f: f.read_bytes() for f in before} == before


@pytest.mark.parametrize("name", ["clusters.csv", "images.csv", "explanation.json"])
@pytest.mark.parametrize(("tail", "status"), [("data", 404), ("report.html", 409)])
def test_a_damaged_file_is_named_and_nothing_is_logged(run, ask, caplog, name, tail, status):
    (run / name).write_bytes((run / name).read_bytes()[:-100] + b"\xff\x00")
    with caplog.at_level(logging.ERROR):
        answer = ask(tail)
    assert answer.status_code == status
    assert str(run / name) in answer.text
    assert FAULT not in answer.text
    assert caplog.text == ""


def test_a_fault_of_a_job_is_told_with_its_traceback(capsys, tmp_path):
    before = {number: signal.getsignal(number) for number in (*end_signals(), signal.SIGINT)}
    try:
        with pytest.raises(BaseException) as exit_error, job("again"):
            fail()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert exit_error.value.exit_code == 1
    output = capsys.readouterr().err
    assert output.index("Traceback") < output.index(f"{ERROR}{FAULT}: AttributeError")
    (tmp_path / "log").write_text(output)
    reason = jobs._reason(1, tmp_path / "log")
    assert reason.startswith(FAULT)
    assert "in fail" in reason
    (tmp_path / "log").write_text(f"some lines\n{ERROR}the folder is empty\n")
    assert jobs._reason(1, tmp_path / "log") == "the folder is empty"
