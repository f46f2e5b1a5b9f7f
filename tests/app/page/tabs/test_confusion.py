"""What the Confusion and bias tab asks for."""

import pytest

from app.page.tabs import confusion
from pipelines.data.images import write_failures
from pipelines.runs.manifest import Manifest, write_manifest


@pytest.mark.parametrize("changes", [{"key": "of another"}, {"changed": "earlier"}, {}])
def test_the_causes_are_those_of_the_inspection_that_the_pane_shows(page, monkeypatch, changes):
    started = []
    monkeypatch.setattr(confusion.wiring, "start", lambda _, jobs: started.extend(jobs) or [])
    run = page.runs / "inspection"
    (run / "pairs").mkdir(parents=True)
    manifest = Manifest(job="inspect", command=[], folder="", parameters={})
    write_manifest(run, manifest)
    write_failures(run / "pairs" / "2-3.txt", page.access.roots[0] / "images", ["a.png"])
    asked = {**confusion._show(page, str(run)), "a": 3, "b": 2, **changes}
    told = confusion._find_causes(page, str(run), asked)
    if changes:
        assert not started
        assert any("Another inspection is open now" in str(part) for part in told)
    else:
        assert started[0].arguments[:2] == ("cluster", str(run / "pairs" / "2-3.txt"))
