"""Extraction: every file once, in batches, and what was extracted stays."""

import numpy as np
import pytest

from pipelines.data.images import ImageFile, Rejected, check_image
from pipelines.data.pixels import load_pixels
from pipelines.safe.features import STAGE, extract
from pipelines.safe.store import open_store
from tests.undecodable import undecodable_png


def ignore(stage, done, total):
    pass


class Network:
    """A cheap network whose features depend, as VGG16's last bits do, on the whole batch."""

    def __init__(self, fail_at=None):
        self.batches = []
        self.builds = 0
        self.fail_at = fail_at

    def __call__(self):
        self.builds += 1
        return self.run

    def run(self, images):
        assert images.dtype == np.uint8
        assert images.shape[1:] == (224, 224, 3)
        if len(self.batches) == self.fail_at:
            raise KeyboardInterrupt
        self.batches.append(len(images))
        own = images.astype(np.float64).mean(axis=(1, 2))
        place = np.arange(len(images))
        all_of_batch = np.full(len(images), images.sum(dtype=np.float64) % 997)
        return np.column_stack([own, place, all_of_batch]).astype(np.float32)


WIDTH = 5


def refuse():
    raise AssertionError("the network was built for nothing")


@pytest.fixture
def folder(tmp_path, draw):
    """Return a folder of 11 pictures."""
    for number in range(11):
        draw(tmp_path / "in" / f"{number:02d}.png", number)
    return tmp_path / "in"


def list_usable(folder):
    images = [check_image(folder, path.name) for path in sorted(folder.iterdir())]
    assert all(isinstance(image, ImageFile) for image in images)
    return images


def test_every_file_is_extracted_once_in_batches_of_neighbours(folder, feature_store):
    network, steps = Network(), []
    images = list_usable(folder)
    outcome = extract(folder, images, network, feature_store, 4, lambda *args: steps.append(args))
    assert outcome == (11, [])
    assert network.builds == 1
    assert network.batches == [4, 4, 3]
    assert steps == [(STAGE, 0, 11), (STAGE, 4, 11), (STAGE, 8, 11), (STAGE, 11, 11)]
    rows = feature_store.read([image.digest for image in images])
    again = Network()
    for start in (0, 4, 8):
        batch = [load_pixels(folder, image, (224, 224)) for image in images[start : start + 4]]
        assert np.array_equal(rows[start : start + 4], again.run(np.stack(batch)))


def test_nothing_is_extracted_twice_and_then_no_network_is_built(folder, feature_store):
    images = list_usable(folder)
    extract(folder, images, Network(), feature_store, 4, ignore)
    before = feature_store.read([image.digest for image in images])
    assert extract(folder, images, refuse, feature_store, 3, ignore) == (0, [])
    assert np.array_equal(feature_store.read([image.digest for image in images]), before)


def test_no_image_needs_no_network(folder, feature_store):
    assert extract(folder, [], refuse, feature_store, 4, ignore) == (0, [])


def test_only_added_images_are_extracted(folder, feature_store, draw):
    images = list_usable(folder)
    extract(folder, images, Network(), feature_store, 4, ignore)
    before = feature_store.read([image.digest for image in images])
    for number in range(3):
        draw(folder / f"05 and {number}.png", 100 + number)
    network = Network()
    assert extract(folder, list_usable(folder), network, feature_store, 4, ignore) == (3, [])
    assert sum(network.batches) == 3
    assert np.array_equal(feature_store.read([image.digest for image in images]), before)


def test_files_of_equal_bytes_are_extracted_once(folder, feature_store):
    for name in ("00 again.png", "05 again.png", "zz.png"):
        (folder / name).write_bytes((folder / "03.png").read_bytes())
    network = Network()
    images = list_usable(folder)
    assert len(images) == 14
    assert extract(folder, images, network, feature_store, 4, ignore) == (11, [])
    assert sum(network.batches) == 11
    rows = feature_store.read([image.digest for image in images])
    places = [i for i, image in enumerate(images) if image.digest == images[-1].digest]
    assert len(places) == 4
    assert all(np.array_equal(rows[i], rows[places[0]]) for i in places)


def test_a_picture_without_pixels_is_rejected_and_its_neighbours_are_extracted(
    folder, feature_store
):
    (folder / "05 bare.png").write_bytes(undecodable_png())
    (folder / "07 bare.png").write_bytes(undecodable_png())  # the same bytes
    images = list_usable(folder)
    network, steps = Network(), []
    count, rejected = extract(folder, images, network, feature_store, 4, lambda *a: steps.append(a))
    assert count == 11
    assert [file.path for file in rejected] == ["05 bare.png", "07 bare.png"]
    assert all(isinstance(file, Rejected) and "broken data" in file.reason for file in rejected)
    assert sum(network.batches) == 11
    assert steps[-1] == (STAGE, 12, 12)
    good = [image for image in images if "bare" not in image.path]
    (bare_digest,) = {image.digest for image in images if "bare" in image.path}
    assert feature_store.missing([image.digest for image in images]) == {bare_digest}
    assert np.isfinite(feature_store.read([image.digest for image in good])).all()
    # A second run looks at it again, and rejects it again.
    assert extract(folder, images, Network(), feature_store, 4, ignore) == (0, rejected)


def test_a_folder_of_broken_pictures_is_rejected_whole(tmp_path, feature_store):
    (tmp_path / "in").mkdir()
    for number in range(3):
        (tmp_path / "in" / f"{number}.png").write_bytes(undecodable_png(bytes([number])))
    network = Network()
    count, rejected = extract(
        tmp_path / "in", list_usable(tmp_path / "in"), network, feature_store, 2, ignore
    )
    assert count == 0
    assert [file.path for file in rejected] == ["0.png", "1.png", "2.png"]
    assert network.batches == []


@pytest.mark.parametrize("fail_at", [0, 1, 2, 3])
@pytest.mark.parametrize("has_copies", [False, True])
def test_a_killed_extraction_goes_on_to_the_bits_of_one_that_was_not(
    tmp_path, folder, fail_at, has_copies
):
    if has_copies:  # copies and broken files must not shift the batches either
        (folder / "01 copy.png").write_bytes((folder / "00.png").read_bytes())
        (folder / "02 bare.png").write_bytes(undecodable_png(b"one"))
        (folder / "09 bare.png").write_bytes(undecodable_png(b"another"))
    images = list_usable(folder)
    good = [image.digest for image in images if "bare" not in image.path]
    stores = []
    for name in ("straight", "killed"):
        (tmp_path / name).mkdir()
        stores.append(tmp_path / name)

    with open_store(stores[0], "w", ("block1_pool",), "float32", WIDTH) as straight:
        assert extract(folder, images, Network(), straight, 3, ignore)[0] == 11
        expected = straight.read(good)
    with (
        pytest.raises(KeyboardInterrupt),
        open_store(stores[1], "w", ("block1_pool",), "float32", WIDTH) as store_after_kill,
    ):
        extract(folder, images, Network(fail_at=fail_at), store_after_kill, 3, ignore)
    with open_store(stores[1], "w", ("block1_pool",), "float32", WIDTH) as store_after_kill:
        there = 11 - len(store_after_kill.missing(good))
        assert (there > 0) == (fail_at > 0)
        assert extract(folder, images, Network(), store_after_kill, 3, ignore)[0] == 11 - there
        assert np.array_equal(store_after_kill.read(good), expected)
