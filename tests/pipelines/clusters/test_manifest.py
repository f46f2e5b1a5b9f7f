"""What a search for clusters writes into `run.json`, read back: as it is, older, and edited."""

import json
import re
import shutil
from pathlib import Path

import pytest

from app.server.views.clusters import describe
from pipelines.clusters.explain import explain_run
from pipelines.clusters.explanation_tables import NO_TABLES, find_passing_folder
from pipelines.clusters.manifest import (
    ChosenLayer,
    ClusterFigures,
    ClusterParameters,
    ExplanationFigures,
    FeaturePrecision,
    FeatureWeights,
    HeatmapChoices,
    HeatmapsParameters,
    PassingFigures,
    read_search,
)
from pipelines.clusters.report.headline import describe_situations, write_headline
from pipelines.clusters.report.report import write_report
from pipelines.runs.errors import InputError
from pipelines.runs.manifest import Manifest, find_part, read_manifest, read_part, write_manifest
from tests.edited import ABSENT, check_refusal, edit_part


@pytest.fixture
def run(planted_beside_passing, tmp_path):
    return shutil.copytree(planted_beside_passing, tmp_path / "run")


@pytest.fixture
def by_heatmaps(tmp_path):
    """Return a folder with the manifest of a run of `heatmaps`, as a job writes it."""
    folder = tmp_path / "by_heatmaps"
    folder.mkdir()
    manifest = Manifest(
        job="heatmaps", command=[], folder="/images",
        parameters={"model": "/dnn.keras", "rule": "z+", "seed": 4, "batch_size": 16},
        chosen={"scaling": "none", "explained": 3, "input_size": [12, 16], "layer": "conv"},
        weights={"recipe": "contrast", "source": "a.h5", "layers": ["fc2"], "sha256": "0"},
    )  # fmt: skip
    write_manifest(folder, manifest)
    return folder


def test_each_figure_is_as_the_job_wrote_it(run):
    manifest, document = read_manifest(run), json.loads((run / "run.json").read_text())
    read = {}
    for kind in (ClusterFigures, PassingFigures, ExplanationFigures):
        read |= json.loads(read_part(manifest, kind).model_dump_json(exclude_unset=True))
    assert list(read.items()) == list(document["result"].items())
    assert read_search(manifest).seed == document["parameters"]["seed"]
    assert str(find_passing_folder(manifest)) == document["result"]["passing_folder"]


def test_a_run_without_passing_images_has_no_figures_of_them(planted):
    manifest = read_manifest(planted)
    assert find_part(manifest, PassingFigures) is None
    assert describe_situations(manifest, 10) == []
    assert re.match(r"\d+ root cause clusters of 10 images; ", write_headline(manifest, 10)[0])


def test_an_older_run_is_read(run, by_heatmaps, tmp_path):
    edit_part(
        run, "result", passing_folder=ABSENT, groups=ABSENT, silhouette=ABSENT, explained=ABSENT
    )
    edit_part(run, "parameters", seed=ABSENT)
    manifest = read_manifest(run)
    assert read_part(manifest, PassingFigures).passing_folder is None
    assert read_part(manifest, ClusterFigures).silhouette is None
    assert find_passing_folder(manifest) == Path(manifest.folder)
    edit_part(run, "parameters", passing=str(tmp_path))
    assert find_passing_folder(read_manifest(run)) == tmp_path
    assert read_search(manifest).seed == 0
    assert write_report(run).is_file()
    assert describe(run)["headline"][0] in (run / "report.html").read_text()
    edit_part(by_heatmaps, "chosen", input_size=ABSENT)
    assert read_part(read_manifest(by_heatmaps), HeatmapChoices).input_size is None


def test_a_run_that_was_broken_off_has_no_figures(tmp_path):
    manifest = Manifest(job="cluster", command=[], folder="/images", parameters={})
    for kind in (ClusterFigures, PassingFigures, ExplanationFigures, FeatureWeights):
        assert find_part(manifest, kind) is None


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (ClusterFigures, "clusters", "many"),
        (ClusterFigures, "noise", ABSENT),
        (ClusterFigures, "noise_share", "x"),
        (ClusterFigures, "inspection_share", None),
        (ClusterFigures, "silhouette", [0.2]),
        (PassingFigures, "passing", ABSENT),
        (PassingFigures, "situations", 1.5),
        (PassingFigures, "failing_sha256", 5),
        (PassingFigures, "failure_rate", "5 %"),
        (PassingFigures, "passing_folder", ["a"]),
        (ExplanationFigures, "families", ABSENT),
        (ExplanationFigures, "family_inspection_share", {}),
        (ClusterParameters, "seed", "first"),
        (ClusterParameters, "passing", 7),
        (ClusterParameters, "test", "tested"),
    ],
)
def test_an_edited_run_is_refused_by_file_and_field(run, tmp_path, kind, field, value):
    check_refusal(run, tmp_path / "edited", kind, field, value)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (HeatmapsParameters, "model", ABSENT),
        (HeatmapsParameters, "rule", 3),
        (HeatmapsParameters, "batch_size", ABSENT),
        (HeatmapChoices, "scaling", ABSENT),
        (HeatmapChoices, "explained", [3]),
        (HeatmapChoices, "input_size", [None, 16]),
        (ChosenLayer, "layer", None),
        (FeatureWeights, "layers", "fc2"),
        (FeatureWeights, "sha256", ABSENT),
        (FeaturePrecision, "precision", 16),
    ],
)
def test_edited_heatmaps_and_weights_are_refused(by_heatmaps, tmp_path, kind, field, value):
    check_refusal(by_heatmaps, tmp_path / "edited", kind, field, value)


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("result", {"situations": "many"}),
        ("result", {"noise": ABSENT}),
        ("result", {"inspection_share": "half"}),
    ],
)
def test_page_and_report_refuse_in_the_same_words(run, part, changes):
    edit_part(run, part, **changes)
    refusals = []
    for read in (describe, write_report):
        with pytest.raises(InputError, match=f"{part}.{next(iter(changes))}: ") as refusal:
            read(run)
        refusals.append(str(refusal.value))
    assert refusals[0] == refusals[1]
    assert str(run / "run.json") in refusals[0]


def test_a_seed_that_is_none_is_refused_before_anything_is_explained(run):
    edit_part(run, "parameters", seed="first")
    before = (run / "clusters.csv").read_bytes()
    with pytest.raises(InputError, match=r"run\.json .*parameters\.seed: "):
        explain_run(run, NO_TABLES, seed=None, progress=lambda *step: None)
    assert (run / "clusters.csv").read_bytes() == before
