"""What an inspection writes into `run.json`, read back: as it is, older, and edited."""

import json
import shutil

import pytest

from app.server.views.confusion import describe_inspection, describe_pair
from pipelines.deepinspect.exported_job import inspect_exported
from pipelines.deepinspect.job import Options
from pipelines.deepinspect.manifest import (
    ExportedParameters,
    InspectionChoices,
    InspectionFigures,
    InspectParameters,
    read_options,
)
from pipelines.dnn.manifest import ModelWeights
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv, write_csv
from pipelines.runs.manifest import read_manifest, read_part
from tests.edited import ABSENT, check_refusal, edit_part
from tests.pipelines.deepinspect.colours import NAMES, quiet


@pytest.fixture
def run(inspection, tmp_path):
    return shutil.copytree(inspection[0], tmp_path / "run")


@pytest.fixture
def exported_run(inspection, tmp_path):
    """Return the inspection of distances without labels."""
    rows = [
        (r["class_a"], r["class_b"], r["napvd"]) for r in read_csv(inspection[0] / "confusion.csv")
    ]
    table = tmp_path / "tables" / "distances.csv"
    table.parent.mkdir()
    write_csv(table, ("class", "class", "distance"), rows)
    inspect_exported(table, tmp_path / "exported", Options(top_percent=7), progress=quiet)
    return tmp_path / "exported"


def test_each_part_is_as_the_job_wrote_it(run, model, images):
    manifest, document = read_manifest(run), json.loads((run / "run.json").read_text())
    for kind in (InspectParameters, ModelWeights, InspectionChoices):
        entries = json.loads(read_part(manifest, kind).model_dump_json(exclude_unset=True))
        assert list(entries.items()) == list(document[kind.part].items())
    options = read_options(manifest)
    assert (options.model, options.images, options.top_percent) == (str(model), str(images), 20)
    choices = read_part(manifest, InspectionChoices)
    assert (choices.task, list(choices.layers)) == ("classes", ["maps", "end"])
    figures = read_part(manifest, InspectionFigures)
    assert (figures.classes, figures.pairs) == (len(NAMES), 10)
    assert figures.confusion.model_dump() == document["result"]["confusion"]
    assert figures.bias.model_dump() == document["result"]["bias"]


def test_exported_distances_have_options_of_their_own(exported_run):
    options = read_options(read_manifest(exported_run))
    assert isinstance(options, ExportedParameters)
    assert (options.labels, options.predictions, options.top_percent) == (None, None, 7)
    assert read_part(read_manifest(exported_run), InspectionChoices).task is None
    assert read_part(read_manifest(exported_run), InspectionFigures).confused_images is None


def test_an_older_inspection_is_read(run):
    edit_part(run, "result", predicted_classes=ABSENT, confused_images=ABSENT, bias=ABSENT)
    edit_part(run, "chosen", input_size=ABSENT)
    edit_part(run, "parameters", normalise=ABSENT, batch_size=ABSENT)
    assert read_part(read_manifest(run), InspectionFigures).bias is None
    assert describe_inspection(run)["parameters"]["top_percent"] == 20


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (InspectParameters, "model", ABSENT),
        (InspectParameters, "top_percent", "most"),
        (InspectParameters, "labels", "labels.csv"),
        (InspectionChoices, "task", "numbers"),
        (InspectionChoices, "layers", ["end"]),
        (InspectionFigures, "pairs", ABSENT),
        (InspectionFigures, "classes", "five"),
        (InspectionFigures, "confusion", 3),
        (InspectionFigures, "bias", {"one_sd": 1, "top_percent": 1}),
    ],
)
def test_an_edited_inspection_is_refused_by_file_and_field(run, tmp_path, kind, field, value):
    check_refusal(run, tmp_path / "edited", kind, field, value)
    edit_part(run, kind.part, **{field: value})
    for read in (describe_inspection, lambda folder: describe_pair(folder, 0, 1)):
        with pytest.raises(InputError, match=rf"run\.json .*{kind.part}\.{field}"):
            read(run)


def test_edited_options_of_exported_distances_are_refused(exported_run, tmp_path):
    for number, (field, value) in enumerate([("top_percent", ABSENT), ("distances", 5)]):
        check_refusal(exported_run, tmp_path / str(number), ExportedParameters, field, value)
