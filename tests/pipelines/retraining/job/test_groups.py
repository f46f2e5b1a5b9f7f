"""Groups of test images in retraining: which count together."""

import itertools
import json
import shutil
from collections import Counter

import numpy as np
import pytest

from app.server.views.retraining import describe_retraining
from pipelines.data.intervals import accuracy_interval
from pipelines.dnn.job import EvaluationOptions
from pipelines.retraining.results import read_retraining
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv
from pipelines.runs.manifest import read_manifest
from tests.pipelines.retraining.retrained import TENS, run_job


def count_signs(rows):
    """Return the share of all signs of the groups' changes that change as much as was seen."""
    changes = Counter()
    for row in rows:
        changes[row["group"]] += int(row["right after"]) - int(row["right before"])
    values = list(changes.values())
    ways = itertools.product((1, -1), repeat=len(values))
    sums = [abs(sum(s * v for s, v in zip(way, values, strict=True))) for way in ways]
    return sum(total >= abs(sum(values)) for total in sums) / len(sums)


def test_images_of_one_group_count_together(run_with_groups, retrained_run):
    rows, alone = (read_csv(out / "before_after.csv") for out in (run_with_groups, retrained_run))
    assert [row["group"] for row in rows] == [row["path"].split("_")[2][:2] for row in rows]
    assert {row["group"] for row in alone} == {""}
    assert [row | {"group": ""} for row in rows] == alone
    retraining, manifest = read_retraining(run_with_groups), read_manifest(run_with_groups)
    change = retraining.change
    assert change.p == pytest.approx(count_signs(rows), rel=1e-3)
    changed_groups = {row["group"] for row in rows if row["right before"] != row["right after"]}
    assert (change.groups, change.groups_changed) == (8, len(changed_groups))
    groups = np.array([int(row["group"]) for row in rows])
    after = np.array([row["right after"] == "1" for row in rows])
    low, high = accuracy_interval(after, groups)
    assert (change.after.low, change.after.high) == (round(low, 4), round(high, 4))
    for class_change in retraining.classes:
        inside = [row for row in rows if row["expected"] == class_change.name]
        assert class_change.p == pytest.approx(count_signs(inside), rel=1e-3)
        assert class_change.groups == len({row["group"] for row in inside})
    failing = [row for row in rows if row["right before"] == "0" and row["cluster"]]
    for repair in read_csv(run_with_groups / "repairs.csv"):
        own = {row["group"] for row in failing if row["cluster"] == repair["cluster"]}
        assert int(repair["groups"]) == len(own)
    assert [int(row["groups"]) for row in read_csv(run_with_groups / "classes.csv")] == [8, 8]
    assert (manifest.parameters["groups"], manifest.result["groups"]) == (TENS, 8)


def test_page_and_report_name_the_groups_and_the_test(run_with_groups, retrained_run):
    words = "80 images in 8 groups, by the part of their paths that matches"
    document, text = (
        describe_retraining(run_with_groups),
        (run_with_groups / "report.html").read_text(),
    )
    assert words in document["found"]["groups"]
    assert any(words in note for note in document["notes"])
    assert words in text
    for prose in (document["sentence"], text):
        assert "80 test images in 8 groups" in prose
        assert "exact sign-flip test of the groups" in prose
        assert "McNemar" not in prose
    assert read_retraining(retrained_run).groups == ""
    assert "none: images count as independent" in (retrained_run / "report.html").read_text()


def test_groups_that_no_path_has_are_refused_before_training(spots, tmp_path):
    stages = []
    with pytest.raises(InputError, match=r"groups: 'drive' is no column.*none of 80 paths"):
        run_job(
            spots, tmp_path / "out", evaluation=EvaluationOptions(groups="drive"),
            progress=lambda stage, done, total: stages.append(stage),
        )  # fmt: skip
    assert stages == []
    assert not (tmp_path / "out").exists()


def test_a_retraining_from_before_there_were_groups_still_opens(retrained_run, tmp_path):
    copy = shutil.copytree(retrained_run, tmp_path / "copy")
    document = json.loads((copy / "retraining.json").read_text())
    del document["groups"]
    for part in (document["change"], *document["classes"], *document["repairs"]):
        part.pop("groups")
        part.pop("groups_changed", None)
    (copy / "retraining.json").write_text(json.dumps(document))
    assert read_retraining(copy) == read_retraining(retrained_run)
    assert describe_retraining(copy)["sentence"] == describe_retraining(retrained_run)["sentence"]
