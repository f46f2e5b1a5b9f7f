"""What the images of each cluster share, from files on the disk."""

import csv
import hashlib

import numpy as np
import pytest
from PIL import Image

from pipelines.clusters import explain as explain_module
from pipelines.clusters.clusters import RootCauseClusters, read_clusters, save_words, write_clusters
from pipelines.clusters.explain import MOST_HINTS, STAGE, explain_run
from pipelines.clusters.explanation import read_explanation, read_properties
from pipelines.clusters.explanation_tables import NO_TABLES, TableFiles, read_tables
from pipelines.data.images import Rejected
from pipelines.data.pixels import upright_size
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv
from pipelines.runs.folder import lock_folder, open_run
from pipelines.runs.manifest import Manifest, read_status


def quiet(stage, done, total):
    """Listen to nothing."""


def clusters_of(folder, paths, labels):
    count = len(paths)
    return RootCauseClusters(
        paths=tuple(paths),
        digests=tuple(hashlib.sha256((folder / path).read_bytes()).hexdigest() for path in paths),
        labels=np.array(labels, dtype=np.int32),
        core=np.ones(count, np.bool_),
        silhouettes=np.zeros(count, np.float32),
        centre_distances=np.arange(count, dtype=np.float32),
        places=np.zeros((count, 2), np.float32),
    )


def explain(folder, clusters, progress=quiet, table_files=NO_TABLES, families=None):
    values = explain_module.measure_images(folder, clusters.paths, clusters.digests, progress)
    tables = read_tables(table_files, folder, clusters.paths)
    return explain_module.explain(clusters, values, tables, families or {}, seed=0)


def hints(explanation):
    return {
        cluster: "; ".join(hint.words for hint in cluster_explanation.hints)
        for cluster, cluster_explanation in explanation.clusters.items()
    }


@pytest.fixture
def images(tmp_path):
    """Draw 60 textured pictures: the first 15 dim, the next 15 noisy, and the rest like neither."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "images"
    folder.mkdir()
    labels = [0] * 15 + [1] * 15 + [-1] * 30
    for number, label in enumerate(labels):
        blocks = rng.integers(60, 256, (6, 8, 3), dtype=np.uint8)
        picture = np.asarray(
            Image.fromarray(blocks).resize((200, 150), Image.Resampling.BICUBIC), dtype=float
        )
        picture = picture * (0.15 if label == 0 else 1) + (label == 1) * rng.normal(
            0, 40, picture.shape
        )
        jpeg = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
        jpeg.save(folder / f"{number:02d}.jpg", quality=95)
    return folder, [f"{number:02d}.jpg" for number in range(60)], labels


def test_each_cluster_is_told_apart_by_its_own_property(images):
    folder, paths, labels = images
    steps = []
    explanation = explain(
        folder, clusters_of(folder, paths, labels), lambda *step: steps.append(step)
    )
    hint_of = hints(explanation)
    assert set(hint_of) == {0, 1}
    assert "darker than the rest: mean brightness 0." in hint_of[0].split("; ")[0]
    assert "noisier than the rest: noise" in hint_of[1].split("; ")[0]
    assert all(len(cluster.hints) <= MOST_HINTS for cluster in explanation.clusters.values())
    assert steps == [(STAGE, count, 60) for count in range(1, 61)]


def test_clusters_at_random_are_told_apart_by_nothing(images):
    folder, paths, _ = images
    labels = np.random.default_rng(1).integers(0, 3, 60)
    assert hints(explain(folder, clusters_of(folder, paths, labels))) == {0: "", 1: "", 2: ""}


def test_a_picture_that_cannot_be_read_any_more_changes_no_words_of_others(images):
    folder, paths, labels = images
    clusters = clusters_of(folder, paths, labels)
    before = hints(explain(folder, clusters))
    (folder / "59.jpg").unlink()
    (folder / "58.jpg").write_bytes((folder / "58.jpg").read_bytes()[:5000])
    (folder / "57.jpg").write_bytes((folder / "00.jpg").read_bytes())  # another picture by now
    after = hints(explain(folder, clusters))
    for cluster, words in before.items():
        assert after[cluster].split(":")[0] == words.split(":")[0]


def test_sizes_are_those_of_the_files_though_they_are_decoded_smaller(tmp_path):
    labels = [0] * 8 + [-1] * 20
    for number, label in enumerate(labels):
        side = 1200 if label == 0 else 900
        picture = Image.effect_noise((side, side), 60).convert("RGB")
        picture.save(tmp_path / f"{number:02d}.jpg")
    paths = [f"{number:02d}.jpg" for number in range(28)]
    assert (
        "width 1200 px against 900 px"
        in hints(explain(tmp_path, clusters_of(tmp_path, paths, labels)))[0]
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_upright_size_is_that_of_the_picture_turned_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (40, 30)).save(tmp_path / "a.jpg", exif=exif)
    expected = (30, 40) if orientation >= 5 else (40, 30)
    assert upright_size(tmp_path, "a.jpg") == expected


def test_the_size_of_a_file_that_is_no_image_is_its_reason(tmp_path):
    (tmp_path / "a.jpg").write_text("text")
    assert isinstance(upright_size(tmp_path, "a.jpg"), Rejected)
    assert isinstance(upright_size(tmp_path, "missing.jpg"), Rejected)


# --- families, parameters and unsafe values together ----------------------------------------------


@pytest.fixture
def table_files(images, tmp_path):
    """Write tables for the images: heads of cluster 0 are turned, cluster 1 is confused."""
    _, paths, labels = images
    rng = np.random.default_rng(3)
    with (tmp_path / "parameters.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "yaw", "turn", "label", "prediction"])
        for path, label in zip(paths, labels, strict=True):
            yaw = 218 + rng.normal() if label == 0 else rng.uniform(160, 220)
            turn = (5 * rng.normal()) % 360 if label == 1 else rng.uniform(0, 360)
            writer.writerow([path, yaw, turn, "up", "down" if label == 1 else "left"])
    (tmp_path / "unsafe.csv").write_text("parameter,value,side\nyaw,220,near\nyaw,160,near\n")
    return TableFiles((tmp_path / "parameters.csv",), ("turn",), tmp_path / "unsafe.csv")


@pytest.fixture
def run(images, tmp_path):
    """Write a run of the images as a job does, but for what explains it."""
    folder, paths, labels = images
    manifest = Manifest(job="cluster", command=[], folder=str(folder), parameters={"seed": 0})
    clusters = clusters_of(folder, paths, labels)
    with open_run(tmp_path / "run", manifest, quiet) as new_run:
        write_clusters(new_run.folder, clusters, {0: {"family": 0}, 1: {"family": 0}})
    return tmp_path / "run"


def test_all_that_is_known_of_clusters_and_families(images, table_files):
    folder, paths, labels = images
    explanation = explain(
        folder, clusters_of(folder, paths, labels), table_files=table_files, families={0: 0, 1: 0}
    )
    first, second = explanation.clusters[0], explanation.clusters[1]
    assert [finding.parameter for finding in first.parameters] == ["yaw", "prediction"]
    assert {finding.parameter for finding in second.parameters} == {"turn", "prediction"}
    assert [tuple(confusion.model_dump().values()) for confusion in second.confusions] == [
        ("up", "down", 15)
    ]
    assert [(value.value, value.clusters) for value in explanation.unsafe_values] == [
        (220, [0]),
        (160, []),
    ]
    assert (first.unsafe_values, second.unsafe_values) == ([0], [])
    (family,) = explanation.families
    assert (family.clusters, family.size, family.unsafe_values) == ([0, 1], 30, [0])
    assert {(confusion.prediction, confusion.images) for confusion in family.confusions} == {
        ("down", 15),
        ("left", 15),
    }
    assert explanation.images_with_parameters == 60
    assert [(parameter.name, parameter.kind) for parameter in explanation.parameters] == [
        ("yaw", "number"),
        ("turn", "angle"),
        ("label", "category"),
        ("prediction", "category"),
    ]


def test_a_run_is_explained_afterwards_and_its_words_stay(run, table_files):
    save_words(run, 0, {"name": "turned", "verdict": "plausible cause"})
    explanation = explain_run(run, table_files, seed=None, progress=quiet)
    assert read_explanation(run) == explanation
    first, second, noise = read_csv(run / "clusters.csv")
    assert (first["name"], first["verdict"], first["family"]) == ("turned", "plausible cause", "0")
    assert "darker than the rest" in first["hint"]
    assert first["parameters"].startswith("yaw: variance")
    assert "noisier than the rest" in second["hint"]
    assert (noise["hint"], noise["parameters"]) == ("", "")
    assert {row["family"] for row in read_csv(run / "clusters.csv") if row["cluster"] != "-1"} == {
        "0"
    }
    yaws = [row["yaw"] for row in read_csv(run / "parameters.csv")]
    assert len(yaws) == 60
    assert read_status(run).stage == "ended"


def test_what_is_measured_is_not_measured_again(run, images, table_files):
    explain_run(run, NO_TABLES, seed=None, progress=quiet)
    before = (run / "properties.csv").read_bytes()
    for file in images[0].iterdir():
        file.unlink()
    steps = []
    explain_run(run, table_files, seed=None, progress=lambda *step: steps.append(step))
    assert steps == []
    assert (run / "properties.csv").read_bytes() == before


def test_without_tables_those_of_before_are_used_again(run, table_files):
    before = explain_run(run, table_files, seed=None, progress=quiet)
    for file in (*table_files.parameters, table_files.unsafe_values):
        file.unlink()
    again = explain_run(run, NO_TABLES, seed=None, progress=quiet)
    assert again == before
    other = explain_run(run, NO_TABLES, seed=1, progress=quiet)
    assert other.clusters[0].parameters[0].chance != before.clusters[0].parameters[0].chance
    (run / "parameters.csv").unlink()
    with pytest.raises(InputError, match=r"parameters\.csv: .* with its tables"):
        explain_run(run, NO_TABLES, seed=None, progress=quiet)


def test_pictures_that_are_away_are_measured_when_they_are_back(run, images):
    folder, _, _ = images
    folder.rename(folder.with_name("away"))
    hint = read_csv(run / "clusters.csv")[0]["hint"]
    with pytest.raises(InputError, match="expected the images of the run, received none"):
        explain_run(run, NO_TABLES, seed=None, progress=quiet)
    assert read_csv(run / "clusters.csv")[0]["hint"] == hint
    folder.with_name("away").rename(folder)
    content = (folder / "59.jpg").read_bytes()
    (folder / "59.jpg").unlink()
    (problem,) = explain_run(run, NO_TABLES, seed=None, progress=quiet).problems
    assert (problem.count, problem.used) == (1, False)
    (folder / "59.jpg").write_bytes(content)
    assert explain_run(run, NO_TABLES, seed=None, progress=quiet).problems == []


def test_the_same_input_gives_the_same_files(run, table_files):
    names = ("explanation.json", "clusters.csv", "properties.csv", "parameters.csv")
    explain_run(run, table_files, seed=None, progress=quiet)
    before = [(run / name).read_bytes() for name in names]
    explain_run(run, table_files, seed=None, progress=quiet)
    assert [(run / name).read_bytes() for name in names] == before


def test_properties_come_back_as_they_were(run, images):
    folder, paths, _ = images
    explain_run(run, NO_TABLES, seed=None, progress=quiet)
    digests = read_clusters(run).digests
    properties = explain_module.measure_images(folder, paths, digests, quiet)
    assert read_properties(run, paths) == pytest.approx(properties, abs=1e-9, nan_ok=True)
    assert read_properties(run, [*paths, "other.jpg"]) is None


def test_a_run_of_an_earlier_version_is_explained(run):
    lines = [row | {"name": "old"} for row in read_csv(run / "clusters.csv")]
    columns = ["cluster", "name", "note", "size", "share", "cores", "silhouette", "hint"]
    with (run / "clusters.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(lines)
    explanation = explain_run(run, NO_TABLES, seed=None, progress=quiet)
    assert explanation.families == []
    rows = read_csv(run / "clusters.csv")
    assert "darker" in rows[0]["hint"]
    assert {row["name"] for row in rows} == {"old"}


@pytest.mark.parametrize(
    ("table_files", "words"),
    [
        (TableFiles(angles=("yaw",)), "--angles speaks of parameters"),
        (TableFiles(unsafe_values="x.csv"), "--unsafe-values speaks of parameters"),
    ],
)
def test_options_that_need_parameters(run, table_files, words):
    before = (run / "clusters.csv").read_bytes()
    with pytest.raises(InputError, match=words):
        explain_run(run, table_files, seed=None, progress=quiet)
    assert (run / "clusters.csv").read_bytes() == before


def test_a_run_that_is_written_or_is_none_is_refused(run, tmp_path):
    with lock_folder(run), pytest.raises(InputError, match="another job is writing"):
        explain_run(run, NO_TABLES, seed=None, progress=quiet)
    with pytest.raises(InputError, match=r"not a run folder: it has no run\.json"):
        explain_run(tmp_path / "none", NO_TABLES, seed=None, progress=quiet)
    (run / "images.csv").unlink()
    with pytest.raises(InputError, match="no clusters to explain: its job finished"):
        explain_run(run, NO_TABLES, seed=None, progress=quiet)


@pytest.mark.parametrize("text", ["", "{", '{"seed": "x"}', '{"seed": 0, "more": 1}'])
def test_a_damaged_explanation_names_the_file_and_the_way_out(run, text):
    (run / "explanation.json").write_text(text)
    with pytest.raises(InputError, match=r"explanation\.json does not match schema .* explain"):
        read_explanation(run)
