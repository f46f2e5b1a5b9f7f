"""The small world of spots, in a copy that a test may change."""

import shutil
from dataclasses import replace

import pytest


@pytest.fixture
def world(spots, tmp_path):
    """The world of spots with a run of the test's own."""
    return replace(spots, run=shutil.copytree(spots.run, tmp_path / "run"))
