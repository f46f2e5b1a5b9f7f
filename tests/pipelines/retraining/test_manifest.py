"""What a retraining writes into `run.json`, read back: as it is, older, and edited."""

import json
import shutil

import pytest

from app.server.views.retraining import describe_retraining
from pipelines.clusters.manifest import HeatmapChoices
from pipelines.dnn.manifest import ModelWeights
from pipelines.retraining.manifest import RetrainParameters
from pipelines.runs.errors import InputError
from pipelines.runs.manifest import read_manifest, read_part
from tests.edited import ABSENT, check_refusal, edit_part
from tests.pipelines.retraining.retrained import run_job


@pytest.fixture
def run(retrained_run, tmp_path):
    return shutil.copytree(retrained_run, tmp_path / "retrained")


def test_each_part_is_all_that_the_job_wrote(run, spots):
    manifest, document = read_manifest(run), json.loads((run / "run.json").read_text())
    for kind in (RetrainParameters, ModelWeights):
        entries = json.loads(read_part(manifest, kind).model_dump_json(exclude_unset=True))
        assert list(entries.items()) == list(document[kind.part].items())
    parameters = read_part(manifest, RetrainParameters)
    places = (parameters.model, parameters.training, parameters.unsafe, parameters.test)
    assert places == tuple(map(str, (spots.model, spots.train, spots.run, spots.test)))


def test_an_older_retraining_is_read(run):
    edit_part(run, "parameters", groups=ABSENT, repeats=ABSENT, key_points=ABSENT, epochs=ABSENT)
    assert read_part(read_manifest(run), RetrainParameters).groups is None
    assert describe_retraining(run)["epochs"] is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", ABSENT),
        ("unsafe", ABSENT),
        ("unsafe", ["run"]),
        ("test", 5),
        ("epochs", "many"),
        ("scaling", 1),
        ("augment", "perhaps"),
    ],
)
def test_an_edited_retraining_is_refused_by_file_and_field(run, tmp_path, field, value):
    check_refusal(run, tmp_path / "edited", RetrainParameters, field, value)
    edit_part(run, "parameters", **{field: value})
    with pytest.raises(InputError, match=rf"run\.json .*parameters\.{field}: "):
        describe_retraining(run)


def test_edited_clusters_are_refused_before_anything_is_trained(world, tmp_path):
    edit_part(world.run, "chosen", scaling="none", input_size="large")
    with pytest.raises(InputError, match=rf"run\.json .*{HeatmapChoices.part}\.input_size: "):
        run_job(world, tmp_path / "out")
    assert not (tmp_path / "out").exists()
