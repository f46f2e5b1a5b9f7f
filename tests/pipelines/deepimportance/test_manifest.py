"""What runs of coverage and of perturbed images write into `run.json`, read back."""

import json
import shutil

import pytest

from app.server.views.coverage import describe_coverage
from pipelines.deepimportance.manifest import (
    CoverageFigures,
    CoverageParameters,
    PerturbFigures,
    PerturbParameters,
)
from pipelines.dnn.manifest import ModelWeights
from pipelines.runs.errors import InputError
from pipelines.runs.manifest import Manifest, read_manifest, read_part, write_manifest
from tests.edited import ABSENT, check_refusal, edit_part


@pytest.fixture
def run(coverage_run, tmp_path):
    return shutil.copytree(coverage_run, tmp_path / "run")


def test_each_part_is_all_that_the_job_wrote(run, model, folders):
    manifest, document = read_manifest(run), json.loads((run / "run.json").read_text())
    for kind in (CoverageParameters, ModelWeights, CoverageFigures):
        part = read_part(manifest, kind)
        entries = json.loads(part.model_dump_json(exclude_unset=True, by_alias=True))
        assert list(entries.items()) == list(document[kind.part].items())
    parameters = read_part(manifest, CoverageParameters)
    assert (parameters.model, parameters.training) == (str(model), str(folders / "training"))
    assert parameters.class_ is None
    assert read_part(manifest, CoverageFigures).new_images > 0


def test_an_older_run_is_read(run):
    edit_part(run, "parameters", **{"class": ABSENT, "candidates": ABSENT})
    edit_part(run, "result", new_images=ABSENT, new_combinations=ABSENT)
    assert read_part(read_manifest(run), CoverageFigures).new_images is None
    assert describe_coverage(run)["class"] is None


def test_the_class_keeps_its_name(run):
    edit_part(run, "parameters", **{"class": "left"})
    assert read_part(read_manifest(run), CoverageParameters).class_ == "left"
    assert describe_coverage(run)["class"] == "left"


def test_combinations_beyond_the_numbers_of_json_are_digits(run):
    edit_part(run, "result", combinations="1" * 40)
    assert read_part(read_manifest(run), CoverageFigures).combinations == "1" * 40


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (CoverageParameters, "model", 1),
        (CoverageParameters, "training", None),
        (CoverageParameters, "class", 4),
        (CoverageParameters, "tests", "test"),
        (CoverageFigures, "coverage", ABSENT),
        (CoverageFigures, "coverage", "all"),
        (CoverageFigures, "combinations", 1.5),
        (CoverageFigures, "images", None),
    ],
)
def test_an_edited_run_is_refused_by_file_and_field(run, tmp_path, kind, field, value):
    check_refusal(run, tmp_path / "edited", kind, field, value)


def test_the_page_names_file_and_field(run):
    edit_part(run, "parameters", rule=["epsilon"])
    with pytest.raises(InputError, match=r"run\.json .*parameters\.rule: "):
        describe_coverage(run)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (PerturbFigures, "images", ABSENT),
        (PerturbFigures, "unchanged", "none"),
        (PerturbFigures, "labels", None),
        (PerturbParameters, "strength", "strong"),
    ],
)
def test_edited_figures_of_perturbed_images_are_refused(tmp_path, kind, field, value):
    folder = tmp_path / "perturbed"
    folder.mkdir()
    result = {"images": 4, "unchanged": 0, "labels": "class folders"}
    parameters = {"model": "/dnn.keras", "how": "noise", "strength": 0.1}
    manifest = Manifest(
        job="perturb", command=[], folder="/images", parameters=parameters, result=result
    )
    write_manifest(folder, manifest)
    assert read_part(read_manifest(folder), PerturbFigures).model_dump() == result
    check_refusal(folder, tmp_path / "edited", kind, field, value)
