"""SAFE, steps 3 and 4, from end to end on real pictures with the real network."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from examples.eye_drawing import draw_eye
from examples.sampling import sample_eyes
from pipelines.clusters.clusters import NOISE, read_labels
from pipelines.data.images import Rejected, check_image
from pipelines.retraining.examples import gather_unsafe_set
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv, replace_cells
from pipelines.runs.folder import lock_folder, open_run
from pipelines.runs.manifest import Manifest, read_manifest, write_manifest
from pipelines.safe.job import find_root_cause_clusters
from pipelines.safe.placement import measure
from pipelines.safe.recipe import Options
from pipelines.unsafe_set.digests import NOT_SELECTED
from pipelines.unsafe_set.export import export_unsafe_set
from pipelines.unsafe_set.files import read_candidates, read_selection
from pipelines.unsafe_set.job import SelectionOptions, select_unsafe_set

KINDS = ("dim", "noisy", "ordinary")


def quiet(stage, done, total):
    """Listen to nothing."""


def draw(folder, seed, counts):
    """Draw eyes that are dim, noisy, or neither."""
    eyes = sample_eyes(sum(counts), seed=seed, complete=False)
    kinds = [kind for kind, count in zip(KINDS, counts, strict=True) for _ in range(count)]
    for place, (kind, sample) in enumerate(zip(kinds, eyes, strict=True)):
        light = 0.06 if kind == "dim" else 1.0
        eye = replace(sample, light=light, openness=32.0, head_yaw=190.0)
        pixels = draw_eye(eye, seed=[seed, place]).astype(float)
        if kind == "noisy":
            pixels += np.random.default_rng(place).normal(0, 45, pixels.shape)
        file = folder / kind / f"{seed}_{place:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file)
    return folder


@pytest.fixture(scope="module")
def improvement(tmp_path_factory):
    folder = draw(tmp_path_factory.mktemp("improvement"), 2, (8, 8, 14))
    shutil.copy(folder / "dim" / "2_00.png", folder / "dim" / "copy of 2_00.png")
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.fixture(scope="module")
def original_run(store, tmp_path_factory):
    images = draw(tmp_path_factory.mktemp("failures"), 1, (12, 12, 0))
    out = tmp_path_factory.mktemp("runs") / "run"
    find_root_cause_clusters(images, out, Options(), progress=quiet)
    return out


@pytest.fixture
def run(original_run, tmp_path):
    shutil.copytree(original_run, tmp_path / "run")
    return tmp_path / "run"


def select(run, improvement, *, overwrite=False, **options):
    return select_unsafe_set(
        run, improvement, SelectionOptions(**options), measure, progress=quiet, overwrite=overwrite
    )


def rows_of(run):
    return read_csv(run / "unsafe_set.csv")


@pytest.mark.parametrize("ranking", ["distance", "contrast"])
def test_images_of_the_causes_are_chosen_for_their_clusters(run, improvement, ranking):
    selection = select(run, improvement, count=10, ranking=ranking)
    assert (selection.images, selection.rejected, selection.chosen) == (31, 1, 10)
    kind_of = {label: path.split("/")[0] for path, label in read_labels(run).items()}
    rows = rows_of(run)
    assert [row["path"].split("/")[0] for row in rows] == [
        kind_of[int(row["cluster"])] for row in rows
    ]
    assert len({row["path"] for row in rows}) == 10
    assert {row["path"].split("/")[0] for row in rows} == {"dim", "noisy"}
    assert (run / "IS_filenames.txt").read_text().splitlines() == [row["path"] for row in rows]


def test_distances_are_those_of_the_runs_own_features(run, improvement):
    select(run, improvement, count=40)
    candidates = read_candidates(run)
    with np.load(run / "reduction.npz") as arrays:
        points, labels, core = arrays["points"], arrays["labels"], arrays["core"]
    for cluster in range(labels.max() + 1):
        cores = points[(labels == cluster) & core]
        naive = [min(np.linalg.norm(cores - point, axis=1)) for point in candidates.points]
        assert candidates.distances[:, cluster] == pytest.approx(np.array(naive), abs=1e-4)
    assert NOISE not in {int(row["cluster"]) for row in rows_of(run)}


def test_the_failing_images_themselves_are_chosen_for_their_own_clusters(run):
    selection = select(run, Path(read_manifest(run).folder), count=30)
    assert any("is the folder of the failing images" in note for note in selection.notes)
    labels = {path: label for path, label in read_labels(run).items() if label != NOISE}
    own = {row["path"]: int(row["cluster"]) for row in rows_of(run) if row["path"] in labels}
    assert own == labels


def test_a_copy_counts_once_unless_it_is_asked_for(run, improvement):
    selection = select(run, improvement, count=31)
    copies = {"dim/2_00.png", "dim/copy of 2_00.png"}
    assert selection.same == 1
    assert len(copies & {row["path"] for row in rows_of(run)}) == 1
    assert select(run, improvement, count=31, duplicates=True).same == 0
    assert copies < {row["path"] for row in rows_of(run)}


def test_groups_come_by_turns_and_a_wrong_expression_is_told_before_the_work(run, improvement):
    selection = select(run, improvement, count=6, groups=r"2_\d")
    groups = [row["group"] for row in rows_of(run)]
    assert groups == [
        row["path"].split("/")[1].removeprefix("copy of ")[:3] for row in rows_of(run)
    ]
    assert any(f"6 images of {len(set(groups))} groups" in remark for remark in selection.remarks())
    alone = select(run, improvement, count=6, groups="none")
    assert not any("groups" in remark for remark in alone.remarks())
    with pytest.raises(InputError, match="groups: 'drive' as a regular expression"):
        select_unsafe_set(run, improvement, SelectionOptions(groups="drive"), None, progress=quiet)


@pytest.mark.parametrize(
    ("choices", "count", "words"),
    [
        ({}, 3, "10 % of the improvement set, as neither"),
        ({"test_images": 100, "accuracy": 0.8}, 6, "100 test images x selection factor 0.3"),
        ({"test_images": 100, "accuracy": 0.8, "selection_factor": 0.5}, 10, "factor 0.5"),
        ({"count": 4, "test_images": 100, "accuracy": 0.8}, 4, "as asked for"),
    ],
)
def test_how_many_are_chosen_and_why(run, improvement, choices, count, words):
    selection = select(run, improvement, **choices)
    assert (selection.count, selection.chosen) == (count, count)
    assert words in selection.counted


def test_labels_stay_with_their_images(run, improvement, tmp_path):
    select(run, improvement, count=6)
    path = rows_of(run)[3]["path"]
    replace_cells(run / "unsafe_set.csv", "path", {path: {"label": "TopLeft"}})
    select(run, improvement, count=12)
    assert {row["path"]: row["label"] for row in rows_of(run)}[path] == "TopLeft"
    last = rows_of(run)[-1]["path"]
    replace_cells(run / "unsafe_set.csv", "path", {last: {"label": "kept"}})
    selection = select(run, improvement, count=6)
    assert last not in {row["path"] for row in rows_of(run)}
    assert selection.set_aside == {last: "kept"}
    assert any(
        "1 label of images that are not in the unsafe set now" in w for w in selection.remarks()
    )
    select(run, improvement, count=12)
    assert rows_of(run)[-1] | {"label": "kept"} == rows_of(run)[-1]
    other = draw(tmp_path / "other", 3, (2, 2, 0))
    with pytest.raises(InputError, match=r"with 2 labels, which would be lost"):
        select(run, other, count=2)
    assert {row["path"]: row["label"] for row in rows_of(run)}[path] == "TopLeft"
    select(run, other, count=2, overwrite=True)
    assert len(rows_of(run)) == 2


def test_labels_are_not_lost_when_the_run_is_found_again(run, improvement):
    images = Path(read_manifest(run).folder)
    select(run, improvement, count=2)
    path = rows_of(run)[0]["path"]
    replace_cells(run / "unsafe_set.csv", "path", {path: {"label": "TopLeft"}})
    with pytest.raises(InputError, match="has 1 label: they would be lost"):
        find_root_cause_clusters(images, run, Options(), progress=quiet, overwrite=True)
    assert read_selection(run).chosen == 2
    replace_cells(run / "unsafe_set.csv", "path", {path: {"label": ""}})
    find_root_cause_clusters(images, run, Options(), progress=quiet, overwrite=True)
    assert read_selection(run) is None  # of other clusters


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"count": 0}, "count: expected a number of images, 1 or more, received 0"),
        ({"accuracy": 1.2, "test_images": 5}, "accuracy: expected a share, 0 to 1, received 1.2"),
        ({"accuracy": 0.5}, "give both or neither"),
        ({"test_images": 5}, "give both or neither"),
        ({"selection_factor": 0.0}, "selection factor: expected more than 0"),
        ({"allocation": "even"}, "allocation: expected uniform or proportional, received 'even'"),
        ({"ranking": "best"}, "ranking: expected contrast or distance, received 'best'"),
    ],
)
def test_options_that_cannot_be_used(run, improvement, choices, words):
    with pytest.raises(InputError, match=words):
        select(run, improvement, **choices)
    assert read_selection(run) is None


def test_more_than_there_are_takes_all_and_says_so(run, improvement):
    selection = select(run, improvement, count=500, duplicates=True)
    assert selection.chosen == 31
    assert any("Wanted: 500 images; there are 31" in note for note in selection.remarks())


def test_runs_and_folders_that_cannot_be_used(run, improvement, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no usable image; files found: 0"):
        select(run, tmp_path / "empty")
    with pytest.raises(InputError, match="does not exist"):
        select(run, tmp_path / "missing")
    with pytest.raises(InputError, match="is not a run folder"):
        select(tmp_path / "empty", improvement)
    with lock_folder(run), pytest.raises(InputError, match="another job is writing"):
        select(run, improvement)
    manifest = read_manifest(run)
    manifest.weights["sha256"] = "0" * 64
    write_manifest(run, manifest)
    with pytest.raises(InputError, match=r"made with other weights .* Put those back"):
        select(run, improvement)
    manifest.ended = "stopped"
    write_manifest(run, manifest)
    with pytest.raises(InputError, match="its job stopped"):
        select(run, improvement)
    bare = Manifest(job="cluster", command=[], folder="/images", parameters={})
    with open_run(tmp_path / "bare", bare, quiet):
        pass
    with pytest.raises(InputError, match=r"bare has no clusters: it has no images\.csv"):
        select(tmp_path / "bare", improvement)


# --- on the way to a labelling tool -------------------------------------------------------------


@pytest.mark.parametrize("links", [False, True])
def test_chosen_images_lie_in_a_folder_a_cluster(run, improvement, tmp_path, links):
    select(run, improvement, count=6)
    out = tmp_path / "to label"
    assert export_unsafe_set(run, out, quiet, links=links) == (len(rows_of(run)), [])
    rows = rows_of(run)
    for row in rows:
        file = out / f"cluster_{int(row['cluster']):03d}" / row["path"]
        assert file.is_symlink() == links
        assert file.read_bytes() == (improvement / row["path"]).read_bytes()
    assert sum(1 for file in out.rglob("*.png")) == 6
    tasks = json.loads((out / "label_studio.json").read_text())
    assert [task["data"]["path"] for task in tasks] == [row["path"] for row in rows]
    assert tasks[0]["data"]["image"].startswith("/data/local-files/?d=cluster_")
    coco = json.loads((out / "coco.json").read_text())
    assert [image["id"] for image in coco["images"]] == [1, 2, 3, 4, 5, 6]
    assert all((out / image["file_name"]).is_file() for image in coco["images"])
    assert {(image["width"], image["height"]) for image in coco["images"]} == {(160, 120)}
    assert (coco["annotations"], coco["categories"]) == ([], [])


def test_what_cannot_be_exported(run, improvement, tmp_path):
    with pytest.raises(InputError, match="no unsafe set to export"):
        export_unsafe_set(run, tmp_path / "out", quiet)
    select(run, improvement, count=3)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="not a new or empty folder"):
        export_unsafe_set(run, tmp_path / "full", quiet)
    with pytest.raises(InputError, match="lies inside the images"):
        export_unsafe_set(run, improvement / "out", quiet)
    name = rows_of(run)[1]["path"]
    other_place = tmp_path / "moved.png"
    (improvement / name).rename(other_place)
    try:
        _, (missing,) = export_unsafe_set(run, tmp_path / "out", quiet)
    finally:
        other_place.rename(improvement / name)
    assert missing.path == name
    assert len(json.loads((tmp_path / "out" / "coco.json").read_text())["images"]) == 2


def test_an_image_that_changed_since_it_was_selected_is_neither_exported_nor_trained_with(
    run, improvement, tmp_path
):
    select(run, improvement, count=3)
    path = rows_of(run)[1]["path"]
    before = (improvement / path).read_bytes()
    try:
        Image.new("RGB", (160, 120), "red").save(improvement / path)
        now = check_image(improvement, path)
        _, (changed,) = export_unsafe_set(run, tmp_path / "out", quiet)
        rejected = gather_unsafe_set(run, set(KINDS), lambda *step: None).rejected
        selection = json.loads((run / "selection.json").read_text())
        del selection["measured"]  # as earlier versions wrote it: they cannot tell
        (run / "selection.json").write_text(json.dumps(selection))
        assert export_unsafe_set(run, tmp_path / "earlier", quiet) == (3, [])
    finally:
        (improvement / path).write_bytes(before)
    expected = hashlib.sha256(before).hexdigest()
    assert changed.path == path
    assert changed.reason == (
        f"another file than before (expected SHA-256 {expected[:12]}..., received "
        f"{now.digest[:12]}...): {NOT_SELECTED}"
    )
    assert rejected == [Rejected(f"unsafe/{path}", changed.reason)]
    assert not list((tmp_path / "out").rglob(Path(path).name))
