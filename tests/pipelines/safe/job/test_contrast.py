"""Root cause clusters in contrast with passing images, from end to end with the real network."""

import shutil

import numpy as np
import pytest

from pipelines.clusters.clusters import read_clusters
from pipelines.clusters.explain import explain_run
from pipelines.clusters.explanation import read_explanation
from pipelines.clusters.explanation_tables import NO_TABLES, TableFiles
from pipelines.data.image_lists import write_image_list
from pipelines.data.images import digest_of_files
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv, write_csv
from pipelines.runs.folder import open_run
from pipelines.runs.manifest import Manifest, read_manifest
from pipelines.safe.placement import measure
from pipelines.unsafe_set.job import SelectionOptions, select_unsafe_set
from tests.causes import CAUSES, draw_eyes
from tests.pipelines.safe.job_runs import files_of, find, quiet
from tests.undecodable import undecodable_png

NEW_COLUMNS = (
    "kind", "parts", "groups", "failing_images", "passing_images", "failure_rate", "rate_low",
    "rate_high", "rate_elsewhere", "excess_failures", "p_value",
)  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Draw a test set in one folder: 36 failing images, 81 that pass, five of these dim."""
    folder = tmp_path_factory.mktemp("contrast") / "test"
    failing = [n for k, cause in enumerate(CAUSES) for n in draw_eyes(folder, 12, 20 + k, cause)]
    passing = draw_eyes(folder, 76, 30) + draw_eyes(folder, 5, 31, "dim", 100)
    write_image_list(folder.parent / "failures.txt", folder, sorted(failing))
    write_image_list(folder.parent / "passing.txt", folder, sorted(passing))
    return folder.parent


@pytest.fixture(scope="module")
def run(world, store):
    out = world / "run"
    find(world / "failures.txt", out, passing=world / "passing.txt")
    return out


def write_test(folder, images, failing):
    """Write what `test` leaves of a test of a classifier, as its manifest and table say it."""
    paths = sorted(file.name for file in images.glob("*.png"))
    manifest = Manifest(
        job="test", command=[], folder=str(images), parameters={},
        weights={"source": "dnn.keras", "sha256": "0" * 64},
        chosen={"scaling": "none", "task": "classes", "names": ["05", "16"]},
        result={
            "images": len(paths), "failures": len(failing),
            "accuracy": 0.64, "accuracy_low": 0.5, "accuracy_high": 0.75,
        },
    )  # fmt: skip
    rows = [(p, "05", "16" if p in failing else "05", int(p not in failing), 0) for p in paths]
    with open_run(folder, manifest, quiet):
        header = ("path", "expected", "predicted", "correct", "explained output")
        write_csv(folder / "testResult.csv", header, rows)
    return folder


def causes_of(run):
    clusters = read_clusters(run)
    by_cluster = {}
    for path, label in zip(clusters.paths, clusters.labels.tolist(), strict=True):
        by_cluster.setdefault(label, set()).add(path.split(" ")[0])
    by_cluster.pop(-1, None)
    return by_cluster


def test_the_situations_are_the_causes(run):
    causes = causes_of(run)
    assert sorted(map(tuple, causes.values())) == [("blurred",), ("dim",), ("noisy",)]
    assert (read_clusters(run).labels >= 0).mean() > 0.85
    manifest = read_manifest(run)
    assert manifest.weights["recipe"] == "contrast"
    assert manifest.result["situations"] + manifest.result["as_common"] == 3


def test_failure_rates_count_failing_and_passing_images_of_a_situation(run):
    causes, clusters = causes_of(run), read_clusters(run)
    rows = {int(row["cluster"]): row for row in read_csv(run / "clusters.csv")}
    passing = read_csv(run / "passing.csv")
    assert len(passing) == 81
    for cluster, (cause,) in causes.items():
        row = rows[cluster]
        failing, size = int(row["failing_images"]), int((clusters.labels == cluster).sum())
        assert size - 3 <= failing <= size + 1
        members = [image["path"] for image in passing if image["cluster"] == str(cluster)]
        assert int(row["passing_images"]) == len(members)
        assert float(row["failure_rate"]) == pytest.approx(
            failing / (failing + len(members)), abs=1e-4
        )
        assert float(row["rate_low"]) <= float(row["failure_rate"]) <= float(row["rate_high"])
        if cause == "dim":
            assert len(members) >= 4
            assert all(path.startswith("dim") for path in members)
        else:
            assert len(members) <= 1
            assert row["kind"] == "situation"
    excess = [
        float(rows[c]["excess_failures"]) for c in sorted(causes) if rows[c]["kind"] == "situation"
    ]
    assert excess == sorted(excess, reverse=True)


def test_new_columns_stand_at_the_end(run):
    columns = list(read_csv(run / "clusters.csv")[0])
    assert tuple(columns[-len(NEW_COLUMNS) :]) == NEW_COLUMNS
    assert columns[columns.index("central_image") + 1] == NEW_COLUMNS[0]
    assert list(read_csv(run / "images.csv")[0])[-2:] == ["part", "group"]


def test_the_manifest_tells_both_sets_by_their_digests(run, world):
    clusters, manifest = read_clusters(run), read_manifest(run)
    passing = read_csv(run / "passing.csv")
    expected = digest_of_files(clusters.paths, clusters.digests)
    assert manifest.result["failing_sha256"] == expected
    digests = [row["path"] for row in passing], [row["sha256"] for row in passing]
    assert manifest.result["passing_sha256"] == digest_of_files(*digests)
    assert manifest.parameters["passing"] == str(world / "passing.txt")
    assert (manifest.result["passing"], manifest.result["passing_sample"]) == (81, 81)


def test_hints_compare_with_passing_images_also_when_they_are_found_anew(run, tmp_path):
    again = tmp_path / "run"
    shutil.copytree(run, again)
    explain_run(again, NO_TABLES, seed=None, progress=quiet)
    for folder in (run, again):
        hints = [row["hint"] for row in read_csv(folder / "clusters.csv") if row["kind"]]
        assert all("than passing images" in hint for hint in hints)
        assert not any("than the rest" in hint for hint in hints)
    assert read_explanation(again) == read_explanation(run)


def test_a_test_gives_both_sets_and_confusions(world, store, tmp_path):
    failing = (world / "failures.txt").read_text().splitlines()[1:]
    test = write_test(tmp_path / "test", world / "test", failing)
    out = tmp_path / "run"
    find(None, out, test_run=test)
    run_of_lists = tmp_path / "listed"
    find(world / "failures.txt", run_of_lists, passing=world / "passing.txt")
    for name in ("labels.txt", "passing.csv"):
        assert (out / name).read_bytes() == (run_of_lists / name).read_bytes()
    manifest = read_manifest(out)
    assert manifest.parameters["test"]["accuracy"] == 0.64
    assert manifest.parameters["test"]["network"] == "dnn.keras"
    explanation = read_explanation(out)
    confusions = explanation.clusters[0].confusions
    assert [(c.label, c.prediction) for c in confusions] == [("05", "16")]
    assert explanation.notes == []
    for cluster in explanation.clusters.values():
        (finding,) = cluster.parameters
        assert finding.words.startswith("prediction: 16 in 100 % against 0 % of passing images (")


def test_labels_are_compared_with_those_of_passing_images_of_the_test(world, store, tmp_path):
    failing = (world / "failures.txt").read_text().splitlines()[1:]
    test = write_test(tmp_path / "test", world / "test", failing)
    # Dim images are all of class 16, as nine in ten passing ones are; blurred ones of class 05.
    rows = read_csv(test / "testResult.csv")
    for place, row in enumerate(rows):
        rare = row["path"].startswith("blurred") or (row["correct"] == "1" and place % 10 == 0)
        row["expected"] = "05" if rare else "16"
        row["predicted"] = row["expected"] if row["correct"] == "1" else "07"
    write_csv(test / "testResult.csv", list(rows[0]), [list(row.values()) for row in rows])
    find(None, tmp_path / "run", test_run=test)
    causes, explanation = causes_of(tmp_path / "run"), read_explanation(tmp_path / "run")
    shares = [row["expected"] == "05" for row in rows if row["correct"] == "1"]
    for cluster, (cause,) in causes.items():
        labels = [f for f in explanation.clusters[cluster].parameters if f.parameter == "label"]
        assert len(labels) == (cause == "blurred")
        for finding in labels:
            assert finding.words.startswith("label: 05 in 100 % against ")
            assert finding.overall == pytest.approx(np.mean(shares))


def test_few_passing_images_with_tables_of_their_own_stop_nothing(world, store, tmp_path):
    names = (world / "passing.txt").read_text().splitlines()
    few, table = tmp_path / "few.txt", tmp_path / "table.csv"
    few.write_text("\n".join(names[:8]) + "\n")
    failing = (world / "failures.txt").read_text().splitlines()[1:]
    table.write_text("\n".join(["path,yaw", *(f"{n},{k}" for k, n in enumerate(failing))]))
    other = tmp_path / "other.csv"
    other.write_text("\n".join(["path,yaw", *(f"{name},{k}" for k, name in enumerate(names[1:8]))]))
    out = tmp_path / "run"
    find(world / "failures.txt", out, passing=few, table_files=TableFiles((table, other)))
    assert not (out / "passing_parameters.csv").exists()
    assert read_explanation(out).notes == []
    assert [parameter.name for parameter in read_explanation(out).parameters] == ["yaw"]


def test_new_images_are_selected_in_the_same_space(run, store, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    new = tmp_path / "new"
    draw_eyes(new, 20, 40)
    for k, cause in enumerate(CAUSES):
        draw_eyes(new, 4, 41 + k, cause)
    selection = select_unsafe_set(copy, new, SelectionOptions(count=9), measure, progress=quiet)
    names = (copy / "IS_filenames.txt").read_text().splitlines()
    assert len(names) == selection.count == 9
    assert sum(not name.startswith("plain") for name in names) >= 8


def test_the_same_input_gives_the_same_files(run, world, store, tmp_path):
    find(world / "failures.txt", tmp_path / "again", passing=world / "passing.txt")
    first, second = files_of(run), files_of(tmp_path / "again")
    for files in (first, second):
        files.pop("reduction.npz")
    assert first == second


def test_groups_are_told_and_one_subject_is_no_situation(world, store, tmp_path):
    manifest = find(
        world / "failures.txt",
        tmp_path / "run",
        passing=world / "passing.txt",
        groups=r"^(dim|blurred 00|noisy|plain \d+|blurred 01)",
    )
    assert manifest.result["one_subject"] == 2
    assert any("by the part of their paths" in note for note in manifest.notes)
    rows = {row["cluster"]: row for row in read_csv(tmp_path / "run" / "clusters.csv")}
    kinds = {
        next(iter(causes)): rows[str(c)]["kind"]
        for c, causes in causes_of(tmp_path / "run").items()
    }
    assert kinds["dim"] == kinds["noisy"] == "one subject"
    assert kinds["blurred"] != "one subject"
    assert rows["0"]["groups"] == "2"


# --- what cannot be used ------------------------------------------------------------------------


def test_too_few_passing_images_are_left_out_and_said(world, store, tmp_path):
    few = tmp_path / "few.txt"
    names = (world / "passing.txt").read_text().splitlines()
    few.write_text("\n".join(names[:8]) + "\n")
    manifest = find(world / "failures.txt", tmp_path / "run", passing=few)
    assert manifest.weights["recipe"] == "appearance"
    assert "situations" not in manifest.result
    assert any("7 passing images of" in note and "not used" in note for note in manifest.notes)
    assert not (tmp_path / "run" / "passing.csv").exists()
    with pytest.raises(InputError, match="a comparison needs at least 10"):
        find(world / "failures.txt", tmp_path / "other", passing=few, recipe="contrast")


def test_few_passing_images_are_used_with_a_note(world, store, tmp_path):
    few = tmp_path / "few.txt"
    few.write_text("\n".join((world / "passing.txt").read_text().splitlines()[:31]) + "\n")
    manifest = find(world / "failures.txt", tmp_path / "run", passing=few)
    assert manifest.weights["recipe"] == "contrast"
    assert any(note.startswith("30 passing images: fewer") for note in manifest.notes)


def test_copies_of_failing_images_and_broken_files_are_no_passing_images(world, store, tmp_path):
    passing = tmp_path / "passing"
    draw_eyes(passing, 20, 50)
    shutil.copy(world / "test" / "dim 003.png", passing / "copy.png")
    (passing / "broken.png").write_bytes(b"no image")
    manifest = find(world / "failures.txt", tmp_path / "run", passing=passing)
    notes = "\n".join(manifest.notes)
    assert (
        "1 image of the passing ones has the same bytes as a failing one: it counts as failing"
        in notes
    )
    assert "1 passing image could not be used (broken.png:" in notes
    assert manifest.result["passing_sample"] == 20


def test_without_passing_images_a_note_says_what_they_would_give(world, store, tmp_path):
    manifest = find(world / "failures.txt", tmp_path / "run")
    assert manifest.weights["recipe"] == "appearance"
    assert any("--passing" in note and "--test-run" in note for note in manifest.notes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipe": "contrast"}, "recipe contrast: expected passing images, received none"),
        ({"passing": "passing.txt", "test_run": "run"}, "--passing or --test-run, received both"),
        ({"sample": 0, "passing": "passing.txt"}, "sample: expected a positive number"),
        ({"passing": "nowhere"}, "nowhere does not exist"),
        ({"test_run": "run"}, "give either .*failures.txt or --test-run"),
    ],
)
def test_options_that_do_not_go_together_are_refused(world, tmp_path, options, message):
    options_with_paths = {
        k: world / v if k in {"passing", "test_run"} else v for k, v in options.items()
    }
    with pytest.raises(InputError, match=message):
        find(world / "failures.txt", tmp_path / "run", **options_with_paths)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.unlink(), "testResult.csv is not as the tool writes it.*test the model"),
        (lambda file: file.write_text("path,right\na.png,1\n"), "testResult.csv.*KeyError"),
        (
            lambda file: file.write_text(file.read_text().replace(",0,0", ",1,0")),
            "expected 1 failure",
        ),
    ],
)
def test_a_test_that_cannot_be_read_is_refused(world, tmp_path, damage, message):
    test = write_test(tmp_path / "test", world / "test", ["dim 003.png"])
    damage(test / "testResult.csv")
    with pytest.raises(InputError, match=message):
        find(None, tmp_path / "run", test_run=test)


def test_a_run_is_no_test(run, tmp_path):
    with pytest.raises(InputError, match="holds no finished test: its job, cluster"):
        find(None, tmp_path / "run", test_run=run)


def test_points_that_are_kept_are_directions(run):
    with np.load(run / "reduction.npz") as arrays:
        lengths = np.linalg.norm(arrays["points"], axis=1)
        assert (lengths < 1).all()
        assert arrays["passing_points"].shape == (81, arrays["points"].shape[1])


def test_a_run_inside_the_passing_folder_is_refused(world, store, tmp_path):
    passing = tmp_path / "passing"
    draw_eyes(passing, 12, 60)
    with pytest.raises(InputError, match="need separate folders"):
        find(world / "failures.txt", passing / "run", passing=passing)


def test_passing_images_that_cannot_be_decoded_are_named(world, store, tmp_path):
    passing = tmp_path / "passing"
    names = draw_eyes(passing, 14, 61)
    for name in names[:2]:
        (passing / name).write_bytes(undecodable_png())
    manifest = find(world / "failures.txt", tmp_path / "run", passing=passing)
    assert any("2 passing images could not be decoded" in note for note in manifest.notes)
    assert manifest.result["passing_sample"] == 12
    for name in names[2:6]:
        (passing / name).write_bytes(undecodable_png())
    with pytest.raises(InputError, match="pixels can be decoded, received 8"):
        find(world / "failures.txt", tmp_path / "other", passing=passing)
