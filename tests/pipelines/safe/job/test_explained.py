"""Explanations of the clusters of a job, and an engineer's words that stay."""

import pytest

from pipelines.clusters.clusters import read_labels, save_words
from pipelines.clusters.explanation import read_explanation
from pipelines.clusters.explanation_tables import TableFiles
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv
from pipelines.runs.manifest import read_manifest
from tests.pipelines.safe.job_runs import find

pytestmark = pytest.mark.usefixtures("store")


def test_clusters_are_put_into_families_and_reported(run):
    explanation = read_explanation(run)
    clusters = [row for row in read_csv(run / "clusters.csv") if row["cluster"] != "-1"]
    together = {c: family.family for family in explanation.families for c in family.clusters}
    assert {int(row["cluster"]): int(row["family"]) for row in clusters} == together
    manifest = read_manifest(run)
    assert manifest.result["families"] == len(explanation.families) <= len(clusters)
    sizes = [min(5, family.size) for family in explanation.families]
    assert manifest.result["family_inspection_share"] == pytest.approx(sum(sizes) / 31, abs=1e-4)
    report = (run / "report.html").read_text(encoding="utf-8")
    for row in clusters:
        assert row["hint"].split(";")[0].split(":")[0] in report
    assert manifest.ended in report


def test_parameters_are_read_with_the_images(run, failures, store, tmp_path):
    table = tmp_path / "table.csv"
    lit = {
        path: 1.0 if path.startswith(("blurred", "noisy")) else 0.06 for path in read_labels(run)
    }
    lines = [f"{path},{light},0" for path, light in lit.items()]
    table.write_text("\n".join(["image,light,noise", *lines, "elsewhere.png,1,1"]))
    (tmp_path / "unsafe.csv").write_text("parameter,value,side\nlight,0.1,at most\n")
    table_files = TableFiles((table,), (), tmp_path / "unsafe.csv")
    manifest = find(failures, tmp_path / "run", table_files=table_files)
    assert manifest.parameters["parameters"] == [str(table)]
    assert manifest.parameters["unsafe_values"] == str(tmp_path / "unsafe.csv")
    labels, explanation = read_labels(tmp_path / "run"), read_explanation(tmp_path / "run")
    assert labels == read_labels(run)
    dim = {label for path, label in labels.items() if path.startswith("dim")} - {-1}
    (unsafe_value,) = explanation.unsafe_values
    assert set(unsafe_value.clusters) == dim
    assert [problem.row for problem in explanation.problems] == [33]
    assert any("1 entry could not be used" in note for note in manifest.notes)
    assert "light: variance" in read_csv(tmp_path / "run" / "clusters.csv")[min(dim)]["parameters"]


def test_a_table_that_cannot_be_used_is_said_before_anything_is_written(failures, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("image,light\nelsewhere.png,1\n")
    with pytest.raises(InputError, match=r"table\.csv"):
        find(failures, tmp_path / "run", table_files=TableFiles((table,)))
    assert not (tmp_path / "run").exists()


def test_words_stay_with_their_images_when_they_are_clustered_again(failures, store, tmp_path):
    out = tmp_path / "run"
    find(failures, out)
    labels = read_labels(out)
    noisy = labels["noisy/eye_25.png"]
    save_words(out, noisy, {"name": "noisy", "verdict": "plausible cause", "severity": "S1"})
    before = {path for path, label in labels.items() if label == noisy}
    for folder, overwrite in ((out, True), (tmp_path / "beside", False)):
        manifest = find(failures, folder, overwrite=overwrite, components=20)
        (row,) = (row for row in read_csv(folder / "clusters.csv") if row["name"] == "noisy")
        assert (row["verdict"], row["severity"]) == ("plausible cause", "S1")
        after = {
            path for path, label in read_labels(folder).items() if label == int(row["cluster"])
        }
        assert len(before & after) / len(before | after) > 0.5
        assert any("1 cluster has the words" in note for note in manifest.notes)


def test_words_survive_a_job_that_is_stopped_in_between(failures, store, tmp_path, monkeypatch):
    out = tmp_path / "run"
    find(failures, out)
    label = read_labels(out)["noisy/eye_25.png"]
    save_words(out, label, {"name": "noisy", "verdict": "plausible cause"})

    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.clusters.write.write_clusters", stop)
        with pytest.raises(KeyboardInterrupt):
            find(failures, out, overwrite=True)
    assert not (out / "clusters.csv").exists()
    find(failures, out, overwrite=True)
    assert "noisy" in {row["name"] for row in read_csv(out / "clusters.csv")}
    assert not (out / "earlier_words.json").exists()
