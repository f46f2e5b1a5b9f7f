"""What the images of each cluster share, from files on the disk."""

import numpy as np
import pytest
from PIL import Image

from pipelines.clusters import RootCauseClusters, write_clusters
from pipelines.explanation import MOST_HINTS, STAGE, explain
from pipelines.files import read_csv
from pipelines.images import Rejected, upright_size


def clusters_of(paths, labels):
    count = len(paths)
    return RootCauseClusters(
        paths=tuple(paths),
        digests=tuple(f"{number:064x}" for number in range(count)),
        labels=np.array(labels, dtype=np.int32),
        core=np.ones(count, np.bool_),
        silhouettes=np.zeros(count, np.float32),
        centre_distances=np.arange(count, dtype=np.float32),
        places=np.zeros((count, 2), np.float32),
    )


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
            Image.fromarray(blocks).resize((640, 480), Image.Resampling.BICUBIC), dtype=float
        )
        picture = picture * (0.15 if label == 0 else 1) + (label == 1) * rng.normal(
            0, 40, picture.shape
        )
        saved = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
        saved.save(folder / f"{number:02d}.jpg", quality=95)
    return folder, [f"{number:02d}.jpg" for number in range(60)], labels


def test_each_cluster_is_told_apart_by_its_own_property(images):
    folder, paths, labels = images
    heard = []
    hints = explain(folder, clusters_of(paths, labels), lambda *step: heard.append(step), seed=0)
    assert set(hints) == {0, 1}
    assert "darker than the rest: mean brightness 0." in hints[0].split("; ")[0]
    assert "noisier than the rest: noise" in hints[1].split("; ")[0]
    assert all(len(hint.split("; ")) <= MOST_HINTS for hint in hints.values())
    assert heard == [(STAGE, done, 60) for done in range(1, 61)]


def test_clusters_at_random_are_told_apart_by_nothing(images):
    folder, paths, _ = images
    labels = np.random.default_rng(1).integers(0, 3, 60)
    hints = explain(folder, clusters_of(paths, labels), lambda *step: None, seed=0)
    assert hints == {0: "", 1: "", 2: ""}


def test_a_picture_that_cannot_be_read_any_more_changes_no_words_of_others(images):
    folder, paths, labels = images
    before = explain(folder, clusters_of(paths, labels), lambda *step: None, seed=0)
    (folder / "59.jpg").unlink()
    (folder / "58.jpg").write_bytes((folder / "58.jpg").read_bytes()[:5000])
    after = explain(folder, clusters_of(paths, labels), lambda *step: None, seed=0)
    for cluster, words in before.items():
        assert after[cluster].split(":")[0] == words.split(":")[0]


def test_sizes_are_those_of_the_files_though_they_are_decoded_smaller(tmp_path):
    labels = [0] * 8 + [-1] * 20
    for number, label in enumerate(labels):
        side = 1200 if label == 0 else 900
        picture = Image.effect_noise((side, side), 60).convert("RGB")
        picture.save(tmp_path / f"{number:02d}.jpg")
    paths = [f"{number:02d}.jpg" for number in range(28)]
    words = explain(tmp_path, clusters_of(paths, labels), lambda *step: None, seed=0)[0]
    assert "width 1200 px against 900 px" in words


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


def test_hints_are_written_beside_their_clusters(tmp_path):
    clusters = clusters_of(["a", "b", "c", "d"], [0, 0, 1, -1])
    write_clusters(tmp_path, clusters, {0: "darker, much: 0.1; noisier", 1: ""})
    rows = {row["cluster"]: row["hint"] for row in read_csv(tmp_path / "clusters.csv")}
    assert rows == {"0": "darker, much: 0.1; noisier", "1": "", "-1": ""}
