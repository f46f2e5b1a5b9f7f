"""A page that may use one folder, with what the forms of its tabs name."""

import pytest

from app.page.context import Page
from app.server.access import Access
from app.server.jobs import Jobs
from app.server.routes import ServedRuns


@pytest.fixture
def page(tmp_path):
    root = tmp_path / "root"
    for name in ("runs", "images"):
        (root / name).mkdir(parents=True)
    (root / "dnn.keras").write_bytes(b"")
    (tmp_path / "secret").mkdir()
    access = Access(roots=(root.resolve(),))
    page = Page(access, Jobs(), ServedRuns(access), root.resolve() / "runs")
    yield page
    page.jobs.close()
