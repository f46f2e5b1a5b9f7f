"""The pictures of a run: one GIF a cluster, one thumbnail an image."""

import numpy as np
import pytest
from PIL import Image

from pipelines.clusters import pictures
from pipelines.clusters.clusters import RootCauseClusters
from pipelines.clusters.pictures import draw_clusters, gif_name
from pipelines.data.gif import STRIP_HEIGHT
from pipelines.data.images import Rejected, check_image
from pipelines.data.thumbnails import thumbnail_name


def clusters_of(folder, paths, labels, distances=None):
    n = len(paths)
    return RootCauseClusters(
        paths=tuple(paths),
        digests=tuple(check_image(folder, path).digest for path in paths),
        labels=np.array(labels, dtype=np.int32),
        core=np.ones(n, dtype=bool),
        silhouettes=np.zeros(n, dtype=np.float32),
        centre_distances=np.array(distances or range(n), dtype=np.float32),
        places=np.zeros((n, 2), dtype=np.float32),
    )


@pytest.fixture
def colours(tmp_path):
    """Write images of one colour each; return their folder."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name, colour in {"a": "red", "b": "lime", "c": "blue", "d": "white", "e": "black"}.items():
        Image.new("RGB", (64, 48), colour).save(folder / f"{name}.png")
    return folder


def middles(gif):
    """Return the colour in the middle of each frame."""
    with Image.open(gif) as image:
        frames = []
        for number in range(image.n_frames):
            image.seek(number)
            frames.append(image.convert("RGB").getpixel((160, 120)))
        return frames


def test_one_gif_a_cluster_with_its_images_most_central_first(tmp_path, colours):
    clusters = clusters_of(
        colours, ["a.png", "b.png", "c.png", "d.png", "e.png"], [0, 0, 0, -1, -1], [3, 1, 2, 9, 8]
    )
    steps = []
    unreadable = draw_clusters(colours, clusters, tmp_path, lambda *step: steps.append(step))
    assert unreadable == []
    assert sorted(file.name for file in (tmp_path / "gifs").iterdir()) == [
        "cluster_000.gif",
        "noise.gif",
    ]
    close = pytest.approx
    assert [close(colour, abs=6) for colour in middles(tmp_path / "gifs" / "cluster_000.gif")] == [
        (0, 255, 0),
        (0, 0, 255),
        (255, 0, 0),
    ]
    assert [close(colour, abs=6) for colour in middles(tmp_path / "gifs" / "noise.gif")] == [
        (0, 0, 0),
        (255, 255, 255),
    ]
    assert steps[-1] == (pictures.STAGE, 5, 5)


def test_a_frame_is_fitted_to_320_px_and_has_a_strip_below(tmp_path, colours):
    draw_clusters(colours, clusters_of(colours, ["a.png"], [0]), tmp_path, lambda *step: None)
    with Image.open(tmp_path / "gifs" / "cluster_000.gif") as image:
        assert image.size == (320, 240 + STRIP_HEIGHT)
        assert image.info["duration"] == 600


def test_a_gif_is_capped_and_every_image_has_a_thumbnail(tmp_path, colours, monkeypatch):
    monkeypatch.setattr(pictures, "GIF_FRAMES", 2)
    clusters = clusters_of(colours, ["a.png", "b.png", "c.png"], [0, 0, 0])
    draw_clusters(colours, clusters, tmp_path, lambda *step: None)
    assert len(middles(tmp_path / "gifs" / "cluster_000.gif")) == 2
    for digest, colour in zip(
        clusters.digests, [(254, 0, 0), (0, 255, 1), (0, 0, 254)], strict=True
    ):
        with Image.open(tmp_path / "thumbnails" / thumbnail_name(digest)) as thumbnail:
            assert thumbnail.size == (160, 120)
            assert thumbnail.format == "JPEG"
            assert thumbnail.getpixel((80, 60)) == pytest.approx(colour, abs=3)


def test_an_image_that_vanished_is_left_out_and_named(tmp_path, colours):
    clusters = clusters_of(colours, ["a.png", "b.png", "c.png"], [0, 0, 1])
    (colours / "b.png").unlink()
    unreadable = draw_clusters(colours, clusters, tmp_path, lambda *step: None)
    assert [file.path for file in unreadable] == ["b.png"]
    assert len(middles(tmp_path / "gifs" / "cluster_000.gif")) == 1
    assert len(middles(tmp_path / "gifs" / "cluster_001.gif")) == 1


def test_an_image_that_changed_is_left_out_and_named_with_what_to_do(tmp_path, colours):
    clusters = clusters_of(colours, ["a.png", "b.png"], [0, 0])
    Image.new("RGB", (64, 48), "yellow").save(colours / "b.png")
    now = check_image(colours, "b.png").digest
    reason = (
        f"another file than before (expected SHA-256 {clusters.digests[1][:12]}..., received "
        f"{now[:12]}...): it changed while the job ran: run it again"
    )
    unreadable = draw_clusters(colours, clusters, tmp_path, lambda *step: None)
    assert unreadable == [Rejected("b.png", reason)]
    assert middles(tmp_path / "gifs" / "cluster_000.gif") == [pytest.approx((255, 0, 0), abs=6)]
    drawn = [file.name for file in (tmp_path / "thumbnails").iterdir()]
    assert drawn == [thumbnail_name(clusters.digests[0])]


def test_gif_names():
    assert [gif_name(cluster) for cluster in (0, 12, 1234, -1)] == [
        "cluster_000.gif",
        "cluster_012.gif",
        "cluster_1234.gif",
        "noise.gif",
    ]
