"""What the Coverage tab receives of a run, and which of its tables are served."""

import json

from pipelines.runs.folder import open_run
from pipelines.runs.manifest import Manifest
from tests.app.server.small_run import quiet


def test_the_document_and_the_tables_are_served(served, client, tmp_path):
    run = tmp_path / "run"
    manifest = Manifest(job="coverage", command=[], folder="/test", parameters={})
    with open_run(run, manifest, quiet):
        pass
    document = {"schema_version": 1, "tests": [], "criteria": [], "widening": None}
    (run / "coverage.json").write_text(json.dumps(document))
    (run / "criteria.csv").write_text("test_set\n")
    (run / "secret.csv").write_text("no\n")
    key = served.key(run)
    view = client.get(f"/run/{key}/coverage").json()
    assert view["name"] == "run"
    assert view["widening"] is None
    assert client.get(f"/run/{key}/download/criteria.csv").text == "test_set\n"
    assert client.get(f"/run/{key}/download/secret.csv").status_code == 404
    (run / "coverage.json").write_text("{}")
    answer = client.get(f"/run/{key}/coverage")
    assert answer.status_code == 404
    assert "coverage.json is not as the tool writes it" in answer.text
