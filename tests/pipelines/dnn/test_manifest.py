"""What a test of the DNN writes into `run.json`, read back: as it is, older, and edited."""

import json

import pytest

from pipelines.dnn.job import EvaluationOptions, read_test, test_model
from pipelines.dnn.manifest import (
    DnnTestChoices,
    DnnTestFigures,
    DnnTestParameters,
    ModelWeights,
)
from pipelines.runs.errors import InputError
from pipelines.runs.manifest import read_manifest, read_part
from tests.edited import ABSENT, check_refusal, copy_and_edit, edit_part

test_model.__test__ = False  # a job, not a test


@pytest.fixture
def evaluation_run(model, images, tmp_path):
    """Return the run folder of a test."""
    run = tmp_path / "tested"
    test_model(model, images, run, EvaluationOptions(groups=r"(\d)"), progress=lambda *step: None)
    return run


def test_each_part_is_all_that_the_job_wrote(evaluation_run, model, images):
    manifest, document = (
        read_manifest(evaluation_run),
        json.loads((evaluation_run / "run.json").read_text()),
    )
    for kind in (DnnTestParameters, ModelWeights, DnnTestChoices, DnnTestFigures):
        part = read_part(manifest, kind)
        entries = json.loads(part.model_dump_json(exclude_unset=True))
        assert list(entries.items()) == list(document[kind.part].items())
    parameters = read_part(manifest, DnnTestParameters)
    assert (parameters.model, parameters.images) == (str(model), str(images))
    choices = read_part(manifest, DnnTestChoices)
    assert (choices.input_size, choices.task) == ((16, 12), "classes")
    assert choices.names == ["bright", "dark"]
    figures = read_part(manifest, DnnTestFigures)
    assert (figures.images, figures.failures, figures.accuracy) == (26, 3, 23 / 26)


def test_an_older_test_is_read(evaluation_run, tmp_path):
    edit_part(evaluation_run, "chosen", input_size=ABSENT)
    edit_part(evaluation_run, "result", groups=ABSENT)
    edit_part(evaluation_run, "parameters", groups=ABSENT, key_points=ABSENT)
    manifest = read_manifest(evaluation_run)
    assert read_part(manifest, DnnTestChoices).input_size is None
    assert read_part(manifest, DnnTestFigures).groups is None
    assert read_part(manifest, DnnTestParameters).key_points is False
    assert read_test(evaluation_run) == (26, 23 / 26)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (DnnTestFigures, "images", "all"),
        (DnnTestFigures, "images", ABSENT),
        (DnnTestFigures, "accuracy", None),
        (DnnTestFigures, "accuracy_low", [0.5]),
        (DnnTestFigures, "failures", 2.5),
        (DnnTestChoices, "scaling", 1),
        (DnnTestChoices, "scaling", ABSENT),
        (DnnTestChoices, "task", "guess"),
        (DnnTestChoices, "names", "bright"),
        (DnnTestChoices, "input_size", [16]),
        (DnnTestParameters, "model", ["a.keras"]),
        (ModelWeights, "sha256", ABSENT),
        (ModelWeights, "sha256", 7),
    ],
)
def test_an_edited_test_is_refused_by_file_and_field(evaluation_run, tmp_path, kind, field, value):
    check_refusal(evaluation_run, tmp_path / "edited", kind, field, value)


def test_what_reads_the_accuracy_names_the_file(evaluation_run, tmp_path):
    copy = copy_and_edit(evaluation_run, tmp_path / "edited", "result", accuracy="high")
    with pytest.raises(InputError, match=r"edited/run.json .*result\.accuracy: "):
        read_test(copy)
