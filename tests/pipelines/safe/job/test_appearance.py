"""SAFE, steps 1 and 2, from end to end on real pictures with the real network."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from examples.eye_drawing import draw_eye
from examples.sampling import sample_eyes
from pipelines.clusters.clusters import read_clusters, read_labels
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv, read_pairs
from pipelines.runs.manifest import read_manifest
from tests.foreign import find_undeclared, read_files, write_foreign
from tests.pipelines.safe.job_runs import files_of, find
from tests.waiting import until

ROOT = Path(__file__).parents[4]
GOLDEN = Path(__file__).with_name("golden_labels.txt")

pytestmark = pytest.mark.usefixtures("store")


def test_the_golden_run(run):
    assert (run / "labels.txt").read_text() == GOLDEN.read_text()


def test_the_causes_are_the_clusters(run):
    clusters = {}
    for path, label in read_labels(run).items():
        if label >= 0:
            clusters.setdefault(label, set()).add(path.split("/")[0].split(" ")[0])
    assert all(len(causes - {"copy"}) == 1 for causes in clusters.values())
    assert set.union(*clusters.values()) >= {"dim", "blurred", "noisy"}


def test_every_cluster_says_what_sets_it_apart(run):
    words = {"dim": "darker", "copy of eye 00.png": "darker"}
    words |= {"blurred": "blurrier", "noisy": "noisier"}
    rows = [row for row in read_csv(run / "clusters.csv") if row["cluster"] != "-1"]
    for row in rows:
        assert words[row["central_image"].split("/")[0]] in row["hint"]
    assert read_manifest(run).result["explained"] == len(rows)


def test_every_file_is_in_a_cluster_or_noise_or_rejected_and_only_once(run, failures):
    labels, rejected = read_labels(run), read_pairs(run / "rejected.txt")
    assert not set(labels) & set(rejected)
    files = {
        file.relative_to(failures).as_posix() for file in failures.rglob("*") if not file.is_dir()
    }
    assert set(labels) | set(rejected) == files
    assert list(labels) == sorted(labels)
    manifest = read_manifest(run)
    assert manifest.images.model_dump() == {"found": 36, "used": 31, "rejected": 5}


def test_rejected_files_have_their_reasons(run):
    reasons = read_pairs(run / "rejected.txt")
    assert reasons["empty.png"] == "the file is empty"
    assert reasons["notes.txt"].startswith("not an image")
    assert reasons["truncated.png"].startswith("truncated")
    assert "more than 50 million" in reasons["huge.png"]
    assert reasons["nowhere.png"] == "a symbolic link that leads nowhere"


def test_all_files_join_on_the_relative_path(run):
    labels, clusters = read_labels(run), read_clusters(run)
    assert dict(zip(clusters.paths, clusters.labels.tolist(), strict=True)) == labels
    with np.load(run / "reduction.npz", allow_pickle=False) as arrays:
        assert dict(zip(arrays["paths"].tolist(), arrays["labels"].tolist(), strict=True)) == labels
        assert arrays["points"].shape == (31, len(arrays["components"]))
    sizes = {int(row["cluster"]): int(row["size"]) for row in read_csv(run / "clusters.csv")}
    assert sizes == {label: list(labels.values()).count(label) for label in set(labels.values())}
    gifs = {file.name for file in (run / "gifs").iterdir()}
    cluster_names = {f"cluster_{label:03d}.gif" for label in sizes if label >= 0}
    assert gifs == cluster_names | ({"noise.gif"} if -1 in sizes else set())
    for row in read_csv(run / "images.csv"):
        assert (run / "thumbnails" / row["thumbnail"]).is_file()


def test_equal_files_share_features_label_and_thumbnail(run):
    rows = {row["path"]: row for row in read_csv(run / "images.csv")}
    copy, original = rows["copy of eye 00.png"], rows["dim/eye_00.png"]
    assert {**copy, "path": ""} == {**original, "path": ""}


def test_the_manifest_says_what_was_chosen(run):
    manifest = read_manifest(run)
    assert manifest.ended == "finished"
    assert manifest.parameters["seed"] == 0
    assert manifest.weights["layers"] == ["block3_pool", "block4_pool", "block5_pool"]
    assert len(manifest.weights["sha256"]) == 64
    assert manifest.chosen["precision"] in {"float32", "bfloat16"}
    assert manifest.chosen["components"] == 31
    assert manifest.chosen["gif_frames_at_most"] == 100
    settings = [(c["eps"], c["min_samples"]) for c in manifest.chosen["candidates"]]
    assert (manifest.chosen["eps"], manifest.chosen["min_samples"]) in settings
    assert manifest.result["extracted"] == 30
    assert [stage.name for stage in manifest.stages] == [
        "checking images",
        "loading weights",
        "extracting features",
        "clustering",
        "measuring clusters",
        "explaining clusters",
        "drawing clusters",
    ]


def test_a_second_run_extracts_nothing_and_gives_the_same_bytes(run, failures, tmp_path):
    manifest = find(failures, tmp_path / "again")
    assert manifest.result["extracted"] == 0
    assert files_of(tmp_path / "again") == files_of(run)


def test_added_images_alone_are_extracted(run, failures, tmp_path):
    more = tmp_path / "more"
    more.mkdir()
    for file in (failures / "noisy").iterdir():
        (more / file.name).write_bytes(file.read_bytes())
    eyes = sample_eyes(2, seed=8)
    for place, eye in enumerate(eyes):
        Image.fromarray(draw_eye(eye, seed=[8, place])).save(more / f"new_{place}.png")
    manifest = find(more, tmp_path / "run")
    assert manifest.result["extracted"] == 2
    assert manifest.images.used == 12


def test_a_killed_run_goes_on_and_gives_the_same_bytes(run, failures, warm_cache, tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    for file in warm_cache.iterdir():
        os.link(file, cache / file.name)
    out = tmp_path / "killed"
    command = [sys.executable, "SAFE_Tool.py", "cluster", str(failures), "--out", str(out)]
    environment = os.environ | {"SAFE_CACHE": str(cache)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as job:
        status = out / "status.json"

        def extracting():
            now = json.loads(status.read_text()) if status.is_file() else {}
            return now.get("stage") == "extracting features" and now["done"] in range(8, 25)

        until(extracting)
        job.send_signal(signal.SIGKILL)
    assert job.returncode == -signal.SIGKILL
    assert read_manifest(out).ended == "running"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAFE_CACHE", str(cache))
        manifest = find(failures, out, overwrite=True)
    assert 0 < manifest.result["extracted"] < 30
    assert files_of(out) == files_of(run)


def test_an_overwritten_run_leaves_nothing_of_the_old(run, failures, tmp_path):
    out = tmp_path / "run"
    find(failures, out, eps=1e-6)
    assert read_manifest(out).result["clusters"] == 0
    with pytest.raises(InputError, match="--overwrite"):
        find(failures, out)
    find(failures, out, overwrite=True)
    assert files_of(out) == files_of(run)


def test_overwriting_clusters_removes_no_file_that_the_job_did_not_write(run, failures, tmp_path):
    assert find_undeclared(run, "cluster") == set()
    out = shutil.copytree(run, tmp_path / "run")
    foreign = write_foreign(out, "cluster")
    find(failures, out, overwrite=True)
    assert read_files(out, foreign) == foreign
    assert find_undeclared(out, "cluster") == {name for name in foreign if not name.startswith(".")}


def test_fixed_options_are_taken_as_they_are(failures, store, tmp_path):
    manifest = find(
        failures, tmp_path / "run", eps=0.5, min_samples=4, components=5, layers=("block5_pool",)
    )
    choices = manifest.chosen
    assert (choices["eps"], choices["min_samples"], choices["components"]) == (0.5, 4, 5)
    assert manifest.weights["layers"] == ("block5_pool",)
    assert len(choices["candidates"]) == 1


def test_few_images_are_one_cluster_with_a_note(failures, store, tmp_path):
    few = tmp_path / "few"
    few.mkdir()
    for place in range(4):
        name = f"eye_{place:02d}.png"
        (few / name).write_bytes((failures / "dim" / name).read_bytes())
    manifest = find(few, tmp_path / "run")
    assert set(read_labels(tmp_path / "run").values()) == {0}
    assert any("too few" in note for note in manifest.notes)
    assert any("4 principal components instead of" in note for note in manifest.notes)


def test_one_image_is_enough(failures, store, tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "a.png").write_bytes((failures / "dim" / "eye_00.png").read_bytes())
    find(folder, tmp_path / "run")
    assert read_labels(tmp_path / "run") == {"a.png": 0}


def test_equal_images_are_one_cluster_with_a_note(failures, store, tmp_path):
    same = tmp_path / "same"
    same.mkdir()
    for place in range(12):
        (same / f"{place}.png").write_bytes((failures / "dim" / "eye_00.png").read_bytes())
    manifest = find(same, tmp_path / "run")
    assert set(read_labels(tmp_path / "run").values()) == {0}
    assert any("look the same" in note for note in manifest.notes)


def test_no_usable_image_is_an_error_that_leaves_no_run_folder(store, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.png").write_text("no picture")
    with pytest.raises(InputError, match=r"no usable image; files found: 1 \(a\.png: not"):
        find(folder, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_images_that_only_turn_out_bad_when_decoded_leave_no_image(failures, store, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.png").write_bytes((failures / "truncated.png").read_bytes())
    with pytest.raises(InputError, match=r"truncated"):
        find(folder, tmp_path / "run")


def test_the_run_folder_may_not_lie_among_the_images(failures, store):
    with pytest.raises(InputError, match="lies inside the other"):
        find(failures, failures / "run")
    assert not (failures / "run").exists()


def test_a_run_folder_around_the_images_is_refused_and_they_live(run, failures, store):
    thumbnails = run / "thumbnails"
    before = sorted(thumbnails.iterdir())
    with pytest.raises(InputError, match="lies inside the other"):
        find(thumbnails, run, overwrite=True)
    assert sorted(thumbnails.iterdir()) == before


def test_weights_that_cannot_be_used_leave_the_earlier_run(run, failures, store, tmp_path):
    (tmp_path / "text.h5").write_text("no weights")
    before = files_of(run) | {"run.json": (run / "run.json").read_bytes()}
    with pytest.raises(InputError, match="no HDF5 file"):
        find(failures, run, overwrite=True, weights=tmp_path / "text.h5")
    assert files_of(run) | {"run.json": (run / "run.json").read_bytes()} == before


def test_images_without_any_common_cause_come_with_a_warning(store, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for seed in range(20):
        pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 48)).save(folder / f"{seed:02d}.png")
    manifest = find(folder, tmp_path / "run")
    assert manifest.result["clusters"] < 2 or any(
        "not clearly separated" in note for note in manifest.notes
    )


def test_clear_causes_come_without_a_warning(run):
    manifest = read_manifest(run)
    assert manifest.result["silhouette"] > 0.15
    assert not any("not clearly separated" in note for note in manifest.notes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"recipe": "other"},
            "recipe: expected contrast or appearance or default or paper, received 'other'",
        ),
        ({"layers": ("block9",)}, "no layer 'block9'"),
        ({"eps": 0.0}, "eps: expected a positive number, received 0.0"),
        ({"eps": float("nan")}, "eps"),
        ({"eps": float("inf")}, "eps"),
        ({"seed": 2**32}, "seed: expected 0 to 4294967295"),
        ({"components": 0}, "components"),
        ({"batch_size": 0}, "batch_size"),
        ({"precision": "int8"}, "precision: expected auto, float32 or bfloat16, received 'int8'"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(failures, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        find(failures, tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_the_images_are_never_written_to(failures, run):
    names = {file.name for file in failures.iterdir()}
    assert names == {
        "dim",
        "blurred",
        "noisy",
        "copy of eye 00.png",
        "truncated.png",
        "empty.png",
        "notes.txt",
        "huge.png",
        "nowhere.png",
    }
