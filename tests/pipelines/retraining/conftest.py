"""The small world of spots, in a copy that a test may change."""

import hashlib
import shutil
from dataclasses import replace

import pytest

from pipelines.dnn.job import EvaluationOptions
from tests.pipelines.retraining.retrained import (
    TENS,
    Kill,
    killing,
    run_job,
)


@pytest.fixture
def world(spots, tmp_path):
    """The world of spots with a run of the test's own."""
    return replace(spots, run=shutil.copytree(spots.run, tmp_path / "run"))


@pytest.fixture(scope="session")
def retrained_run(spots, tmp_path_factory):
    out = tmp_path_factory.mktemp("done") / "retrained"
    before = hashlib.sha256(spots.model.read_bytes()).hexdigest()
    run_job(spots, out)
    assert hashlib.sha256(spots.model.read_bytes()).hexdigest() == before
    return out


@pytest.fixture(scope="session")
def run_with_groups(spots, tmp_path_factory):
    """Retrain with groups, from where a job without them was killed."""
    out, batches = tmp_path_factory.mktemp("grouped") / "retrained", []
    with pytest.raises(Kill):
        run_job(spots, out, progress=killing("retraining", 50))

    def listen(stage, done, total):
        if stage == "retraining" and total:
            batches.append(done)

    run_job(spots, out, evaluation=EvaluationOptions(groups=TENS), overwrite=True, progress=listen)
    assert batches[0] > 1
    return out
