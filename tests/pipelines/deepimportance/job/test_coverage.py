"""Coverage from end to end: real pictures, a small DNN, and the files of a run."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data.images import check_image
from pipelines.deepimportance import criteria
from pipelines.deepimportance.coverage import find_combinations
from pipelines.deepimportance.quantisation import quantise
from pipelines.deepimportance.results import CRITERIA, export_widening
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv, read_pairs, write_csv
from pipelines.runs.manifest import read_manifest
from tests.foreign import find_undeclared, read_files, write_foreign
from tests.heights import quiet
from tests.pipelines.deepimportance.measured import document_of, measure, regions_of


def test_the_layer_is_the_last_but_one_and_its_neurons_those_of_most_relevance(
    coverage_run, measurements
):
    manifest = read_manifest(coverage_run)
    assert manifest.job == "coverage"
    assert manifest.ended == "finished"
    assert manifest.chosen["layer"] == "hidden"
    total = measurements["training"][3].sum(axis=0)
    assert manifest.chosen["neurons"] == np.argsort(-total, kind="stable")[:4].tolist()
    rows = read_csv(coverage_run / "neurons.csv")
    assert len(rows) == sum(manifest.chosen["clusters"])
    for row in rows:
        assert float(row["relevance"]) == pytest.approx(total[int(row["neuron"])], rel=1e-4)
        values = measurements["training"][2]["hidden"][:, int(row["neuron"])]
        regions = quantise(values)
        place = int(row["region"]) - 1
        assert float(row["centroid"]) == pytest.approx(regions.centroids[place], rel=1e-4)
        assert int(row["training_images"]) == regions.sizes[place]


def test_coverage_is_measured_on_the_layer_that_was_quantised(coverage_run, measurements):
    rows, clusters = regions_of(coverage_run, measurements)
    document = document_of(coverage_run)
    assert [test["name"] for test in document["tests"]] == ["test", "test (2)"]
    for name, test in zip(("test", "other/test"), document["tests"], strict=True):
        test_combinations = find_combinations(rows[name])
        assert test["covered"] == len(test_combinations.rows)
        assert test["coverage"] == pytest.approx(
            len(test_combinations.rows) / np.prod(clusters), rel=1e-5
        )
        combinations = [
            row
            for row in read_csv(coverage_run / "combinations.csv")
            if row["test_set"] == test["name"]
        ]
        covered_rows = {row["combination"]: row for row in combinations if row["covered"] == "1"}
        for row, count, first in zip(
            test_combinations.rows,
            test_combinations.counts,
            test_combinations.first,
            strict=True,
        ):
            line = covered_rows[" ".join(str(r + 1) for r in row)]
            assert int(line["images"]) == count
            assert line["example"] == measurements[name][0][first]
        assert len(covered_rows) == len(test_combinations.rows)
        assert len(combinations) == np.prod(clusters)  # few enough to list all
        alone = {contributor["path"] for contributor in test["contributors"]}
        keys = [tuple(row) for row in rows[name].tolist()]
        assert alone == {
            path
            for path, key in zip(measurements[name][0], keys, strict=True)
            if keys.count(key) == 1
        }
        growth = [
            row for row in read_csv(coverage_run / "growth.csv") if row["test_set"] == test["name"]
        ]
        assert [row["path"] for row in growth] == measurements[name][0]
        assert int(growth[-1]["combinations"]) == len(test_combinations.rows)
    assert read_manifest(coverage_run).result["coverage"] == document["tests"][0]["coverage"]


def test_every_criterion_of_every_set_and_added_to_the_first(coverage_run, measurements):
    rows = {
        (row["test_set"], row["criterion"]): row for row in read_csv(coverage_run / "criteria.csv")
    }
    assert {criterion for _, criterion in rows} == set(CRITERIA)
    training, test, other = (measurements[name] for name in ("training", "test", "other/test"))

    def bits(measurement):
        bits_of_layers = {name: [] for name in ("NC", "KMNC", "NBC", "SNAC", "TKNC")}
        for layer, values in measurement[2].items():
            training_values = criteria.extend_range(None, training[2][layer])
            bits_of_layers["NC"].append(criteria.neuron_coverage(values))
            bits_of_layers["KMNC"].append(
                criteria.multisection_coverage(values, training_values).ravel()
            )
            bits_of_layers["NBC"].append(
                criteria.boundary_coverage(values, training_values).ravel()
            )
            bits_of_layers["SNAC"].append(criteria.boundary_coverage(values, training_values)[:, 1])
            bits_of_layers["TKNC"].append(criteria.top_coverage(values))
        coverage_bits = {
            name: np.concatenate(layer_bits) for name, layer_bits in bits_of_layers.items()
        }
        classes = training[1].argmax(axis=1).astype(np.int32)
        inputs = measurement[2]["hidden"], measurement[1].argmax(axis=1).astype(np.int32)
        training_values = training[2]["hidden"], classes
        coverage_bits["LSC"] = criteria.surprise_coverage(
            criteria.likelihood_surprise(*inputs, *training_values), 2000
        )
        coverage_bits["DSC"] = criteria.surprise_coverage(
            criteria.distance_surprise(*inputs, *training_values), 2
        )
        return coverage_bits

    first_bits, second_bits = bits(test), bits(other)
    for name in first_bits:
        assert float(rows["test", name]["value"]) == pytest.approx(
            first_bits[name].mean(), rel=1e-4
        )
        assert rows["test", name]["added_to_the_first"] == ""
        sum_of_both = float(rows["test (2)", name]["added_to_the_first"])
        assert sum_of_both == pytest.approx((first_bits[name] | second_bits[name]).mean(), rel=1e-4)
    regions_by_set, clusters = regions_of(coverage_run, measurements)
    union = np.unique(
        np.concatenate([regions_by_set["test"], regions_by_set["other/test"]]), axis=0
    )
    assert float(rows["test (2)", "IDC"]["added_to_the_first"]) == pytest.approx(
        len(union) / np.prod(clusters), rel=1e-4
    )


def test_new_images_add_the_combinations_that_the_table_lists(
    coverage_run, folders, measurements, tmp_path
):
    regions_by_set, _ = regions_of(coverage_run, measurements)
    combinations = set(map(tuple, regions_by_set["test"].tolist()))
    keys = dict(
        zip(measurements["new"][0], map(tuple, regions_by_set["new"].tolist()), strict=True)
    )
    rows = read_csv(coverage_run / "widening.csv")
    assert {row["path"] for row in rows} == {
        path for path, k in keys.items() if k not in combinations
    }
    assert rows
    for row in rows:
        assert (row["adds"] == "1") == (keys[row["path"]] not in combinations)
        combinations.add(keys[row["path"]])
    adds = [row["path"] for row in rows if row["adds"] == "1"]
    count, missing = export_widening(coverage_run, tmp_path / "out", quiet)
    assert (count, missing) == (len(adds), [])
    export_folder = tmp_path / "out" / "new combinations"
    assert {f.relative_to(export_folder).as_posix() for f in export_folder.rglob("*.png")} == set(
        adds
    )
    for path in adds:
        assert (export_folder / path).read_bytes() == (folders / "new" / path).read_bytes()
    tasks = json.loads((tmp_path / "out" / "label_studio.json").read_text())
    assert [task["data"]["path"] for task in tasks] == adds
    coco = json.loads((tmp_path / "out" / "coco.json").read_text())
    assert {image["file_name"] for image in coco["images"]} == {
        f"new combinations/{path}" for path in adds
    }
    export_widening(coverage_run, tmp_path / "linked", quiet, links=True, count=1)
    (link,) = (tmp_path / "linked" / "new combinations").rglob("*.png")
    assert link.is_symlink()
    with pytest.raises(InputError, match="not a new or empty folder"):
        export_widening(coverage_run, tmp_path / "out", quiet)
    with pytest.raises(InputError, match="--count: expected a number of images"):
        export_widening(coverage_run, tmp_path / "more", quiet, count=0)


def test_a_new_image_that_changed_since_it_was_measured_is_not_exported(
    coverage_run, folders, tmp_path
):
    rows = read_csv(coverage_run / "widening.csv")
    path = rows[0]["path"]
    assert rows[0]["sha256"] == check_image(folders / "new", path).digest
    shutil.copytree(coverage_run, tmp_path / "run")
    shutil.copytree(folders / "new", tmp_path / "new")
    with (tmp_path / "new" / path).open("ab") as file:
        file.write(b"more")
    document = document_of(tmp_path / "run")
    document["widening"]["folder"] = str(tmp_path / "new")
    (tmp_path / "run" / "coverage.json").write_text(json.dumps(document))
    count, (changed,) = export_widening(tmp_path / "run", tmp_path / "out", quiet)
    assert count > 1
    assert changed.path == path
    assert "measure the coverage again" in changed.reason
    assert not (tmp_path / "out" / "new combinations" / path).exists()
    # As an earlier version wrote the table, there is nothing to tell it by.
    lines = [[row[name] for name in row if name != "sha256"] for row in rows]
    write_csv(tmp_path / "run" / "widening.csv", [n for n in rows[0] if n != "sha256"], lines)
    assert export_widening(tmp_path / "run", tmp_path / "earlier", quiet) == (count, [])


def test_folders_are_named_in_full(model, folders, tmp_path, monkeypatch):
    monkeypatch.chdir(folders)
    measure(model, Path(), tmp_path / "run", neurons=4, new=True)
    document = document_of(tmp_path / "run")
    assert document["training"]["folder"] == str(folders / "training")
    assert document["tests"][0]["folder"] == str(folders / "test")
    monkeypatch.chdir(tmp_path)  # where the export is started does not matter
    count, missing = export_widening(tmp_path / "run", tmp_path / "out", quiet)
    assert (count > 0, missing) == (True, [])


def test_a_folder_whose_name_is_no_text(model, folders, tmp_path):
    odd = tmp_path / os.fsdecode(b"test \xff")
    shutil.copytree(folders / "test", odd)
    shutil.copytree(folders / "training", tmp_path / "training")
    measure(model, tmp_path, tmp_path / "run", (odd.name,))
    assert document_of(tmp_path / "run")["tests"][0]["folder"].endswith("test \\xff")


def test_new_images_may_wait_for_their_labels(model, folders, tmp_path):
    for name in ("training", "test", "new"):
        shutil.copytree(folders / name, tmp_path / name)
    paths = sorted(p.relative_to(tmp_path / "new") for p in (tmp_path / "new").rglob("*.png"))
    rows = [(path.as_posix(), "") for path in paths]
    write_csv(tmp_path / "new" / "labels.csv", ("path", "label"), rows)
    manifest = measure(model, tmp_path, tmp_path / "run", new=True)
    assert manifest.result["new_images"] == 40


def test_files_of_the_run(coverage_run):
    assert read_pairs(coverage_run / "rejected.txt").keys() == {"test/left/bad.png"}
    assert find_undeclared(coverage_run, "coverage") == set()
    document = document_of(coverage_run)
    thumbnails = [row["thumbnail"] for test in document["tests"] for row in test["table"]]
    thumbnails += [row["thumbnail"] for row in document["widening"]["rows"]]
    for name in thumbnails:
        with Image.open(coverage_run / name) as picture:
            assert max(picture.size) == 160
    assert read_manifest(coverage_run).images.model_dump() == {
        "found": 157,
        "used": 156,
        "rejected": 1,
    }


def test_overwriting_coverage_removes_no_file_that_it_did_not_write(
    coverage_run, model, folders, tmp_path
):
    out = shutil.copytree(coverage_run, tmp_path / "run")
    foreign = write_foreign(out, "coverage")
    measure(model, folders, out, neurons=4, overwrite=True)
    assert read_files(out, foreign) == foreign
    assert not (out / "widening.csv").exists()


def test_the_same_input_gives_the_same_files(coverage_run, model, folders, tmp_path):
    measure(model, folders, tmp_path / "again", ("test", "other/test"), neurons=4, new=True)
    for file in coverage_run.rglob("*"):
        if file.is_file() and file.name not in {"run.json", "status.json"}:
            other = tmp_path / "again" / file.relative_to(coverage_run)
            assert file.read_bytes() == other.read_bytes()
