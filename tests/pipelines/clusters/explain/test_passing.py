"""What clusters share against passing images."""

import json
import re
import shutil

import pytest

from pipelines.clusters.explain import explain_run
from pipelines.clusters.explanation import read_explanation
from pipelines.clusters.explanation_tables import NO_TABLES, TableFiles
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv
from pipelines.runs.manifest import read_manifest, write_manifest
from tests.pipelines.clusters.explain.test_failing import quiet
from tests.planted import USUAL


@pytest.fixture
def contrast_run(planted_beside_passing, tmp_path):
    """Copy a run of planted clusters with passing images; cluster 2 has the yaw of these."""
    shutil.copytree(planted_beside_passing.parent, tmp_path / "copy")
    return tmp_path / "copy" / "run"


def yaws(explanation):
    """Return what is said of the yaw, by cluster."""
    return {
        cluster: finding.words
        for cluster, cluster_explanation in explanation.clusters.items()
        for finding in cluster_explanation.parameters
        if finding.parameter == "yaw"
    }


def test_a_parameter_that_passing_images_share_is_not_said(contrast_run):
    explanation = read_explanation(contrast_run)
    assert explanation.clusters.keys() - yaws(explanation).keys() == {USUAL}
    for cluster, words in yaws(explanation).items():
        means = re.match(r"yaw: mean (\S+) against (\S+) of passing images, spread ar", words)
        own, passing = (float(mean.replace("\u2212", "-")) for mean in means.groups())
        assert own == pytest.approx(10 * cluster, abs=1)
        assert passing == pytest.approx(20, abs=0.2)
    assert explanation.notes == [
        "gaze_angle, label, prediction: no values of passing images; compared with the other "
        "failing images."
    ]
    assert {
        family.family: yaws(explanation).get(family.family) for family in explanation.families
    } == {
        family.family: next((f.words for f in family.parameters if f.parameter == "yaw"), None)
        for family in explanation.families
    }


def test_unsafe_values_and_confusions_do_not_depend_on_passing_images(contrast_run, planted):
    alone = read_explanation(planted)
    explanation = read_explanation(contrast_run)
    assert explanation.unsafe_values == alone.unsafe_values
    assert USUAL in yaws(alone)
    assert "of passing images" not in yaws(alone)[0]
    assert alone.notes == []
    for cluster, cluster_explanation in alone.clusters.items():
        assert explanation.clusters[cluster].confusions == cluster_explanation.confusions


def test_passing_parameters_are_kept_for_the_next_time(contrast_run):
    before = read_explanation(contrast_run)
    names = ("parameters.csv", "passing_parameters.csv", "explanation.json", "clusters.csv")
    files = [(contrast_run / name).read_bytes() for name in names]
    for table in contrast_run.parent.glob("*/*.csv"):
        if table.parent != contrast_run:
            table.unlink()
    assert explain_run(contrast_run, NO_TABLES, seed=None, progress=quiet) == before
    assert [(contrast_run / name).read_bytes() for name in names] == files
    rows = read_csv(contrast_run / "passing_parameters.csv")
    assert [row["path"] for row in rows] == [f"passing {place:03d}.png" for place in range(150)]
    (contrast_run / "passing_parameters.csv").write_text("path,yaw\n")
    with pytest.raises(InputError, match=r"passing_parameters\.csv: .* with its tables"):
        explain_run(contrast_run, NO_TABLES, seed=None, progress=quiet)


def test_tables_that_come_afterwards_are_compared_with_passing_images_too(contrast_run):
    folder = contrast_run.parent
    alone = explain_run(
        contrast_run, TableFiles((folder / "images" / "parameters.csv",)), seed=None, progress=quiet
    )
    assert USUAL in yaws(alone)
    assert alone.notes[0].startswith("yaw, gaze_angle: no values of passing images; compared")
    assert not (contrast_run / "passing_parameters.csv").exists()
    tables = tuple(folder / name / "parameters.csv" for name in ("passing", "images"))
    both = explain_run(contrast_run, TableFiles(tables), seed=None, progress=quiet)
    assert yaws(both).keys() == both.clusters.keys() - {USUAL}
    lines = tables[0].read_text().splitlines()
    tables[0].write_text("\n".join(lines[:10]) + "\n")
    few = explain_run(contrast_run, TableFiles(tables), seed=None, progress=quiet)
    assert few.notes[0].startswith("yaw: values of fewer than 10 passing images; compared with")
    assert USUAL in yaws(few)


def test_a_run_of_an_earlier_version_names_its_passing_folder_otherwise(contrast_run):
    manifest = read_manifest(contrast_run)
    del manifest.result["passing_folder"]
    manifest.parameters["passing"] = str(contrast_run.parent / "passing")
    write_manifest(contrast_run, manifest)
    (contrast_run / "passing_parameters.csv").unlink()
    explanation = json.loads((contrast_run / "explanation.json").read_text())
    for entry in (*explanation["clusters"].values(), *explanation["families"]):
        for finding in entry["parameters"]:
            del finding["reference"]
    for column in explanation["parameters"]:
        del column["outcome"]
    del explanation["notes"]
    (contrast_run / "explanation.json").write_text(json.dumps(explanation))
    again = explain_run(contrast_run, NO_TABLES, seed=None, progress=quiet)
    assert USUAL in yaws(again)
    assert again.notes[0].startswith("yaw, gaze_angle, label, prediction: no values of passing")
    table = contrast_run.parent / "both.csv"
    rows = [f"{contrast_run.parent}/passing/passing {place:03d}.png,20" for place in range(150)]
    rows += (contrast_run.parent / "images" / "parameters.csv").read_text().splitlines()[1:]
    table.write_text("\n".join(["path,yaw", *(",".join(row.split(",")[:2]) for row in rows)]))
    assert (
        "of passing images"
        in yaws(explain_run(contrast_run, TableFiles((table,)), seed=None, progress=quiet))[0]
    )


def test_no_explanation_is_none(tmp_path):
    assert read_explanation(tmp_path) is None
