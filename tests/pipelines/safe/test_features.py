"""Features against plain Keras, their extraction, and the store that keeps them."""

import hashlib
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from pipelines.data.images import ImageFile, Rejected, check_image
from pipelines.data.pixels import load_pixels
from pipelines.runs.errors import InputError
from pipelines.safe import features, store
from pipelines.safe.features import STAGE, extract
from pipelines.safe.store import open_store
from pipelines.safe.weights import BASE_DIGEST, Weights, converted_base

ASKED = ("block5_pool", "block2_pool", "block4_pool", "block1_conv1")
ASKED_WIDTHS = (512, 128, 512, 64)


@pytest.fixture(scope="module")
def weights(warm_cache):
    return Weights("the cache", BASE_DIGEST, converted_base(warm_cache))


@pytest.fixture(scope="module")
def network(weights):
    return features.build_network(weights, ASKED, "float32")


@pytest.fixture(scope="module")
def plain(weights):
    """Return a function from one picture to the features that plain Keras gives, by layer."""
    import keras
    from keras.applications import VGG16, vgg16

    base = VGG16(include_top=False, weights=None)
    for name, arrays in weights.layers.items():
        base.get_layer(name).set_weights(arrays)
    model = keras.Model(base.input, [base.get_layer(layer).output for layer in ASKED])

    def run(picture):
        pixels = vgg16.preprocess_input(np.array(picture, dtype=np.float32)[None])
        found = {}
        for layer, output in zip(ASKED, model(pixels), strict=True):
            maps = np.asarray(output)[0].astype(np.float64)
            total = np.zeros(maps.shape[2])
            for row in maps:
                for place in row:
                    total += place
            found[layer] = total / (maps.shape[0] * maps.shape[1])
        return found

    return run


@pytest.fixture(scope="module")
def pictures():
    """Return three pictures of 224 x 224: blocks of colours, noise, and a dark one."""
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.integers(0, 256, (7, 7, 3)), np.ones((32, 32, 1)))
    noise = rng.integers(0, 256, (224, 224, 3))
    dark = np.zeros((224, 224, 3))
    dark[50:90, 20:200] = (40, 10, 0)
    return np.stack([blocks, noise, dark]).astype(np.uint8)


def relative_error(received, expected):
    return np.linalg.norm(received - expected) / np.linalg.norm(expected)


# --- the network ------------------------------------------------------------------------------


def test_features_are_those_of_plain_keras_in_the_order_asked(network, plain, pictures):
    received = network(pictures)
    assert received.dtype == np.float32
    assert received.shape == (3, sum(ASKED_WIDTHS))
    for row, picture in zip(received, pictures, strict=True):
        expected = plain(picture)
        start = 0
        for layer, width in zip(ASKED, ASKED_WIDTHS, strict=True):
            part = row[start : start + width]
            assert expected[layer].shape == (width,)
            assert relative_error(part, expected[layer]) < 1e-4, layer
            floor = 1e-4 * np.abs(expected[layer]).max()
            assert part == pytest.approx(expected[layer], rel=1e-4, abs=floor), layer
            start += width


def test_files_get_the_features_that_plain_keras_gives_their_pictures(
    tmp_path, draw, network, plain, cache
):
    from keras.utils import load_img

    draw(tmp_path / "in" / "wide.png", 1, (300, 180))
    draw(tmp_path / "in" / "small.png", 2, (50, 60))
    images = [check_image(tmp_path / "in", name) for name in ("small.png", "wide.png")]
    with open_store(cache, "w", ASKED, "float32", sum(ASKED_WIDTHS)) as kept:
        assert extract(tmp_path / "in", images, lambda: network, kept, 8, ignore) == (2, [])
        received = kept.read([image.digest for image in images])
    for row, image in zip(received, images, strict=True):
        picture = load_img(
            tmp_path / "in" / image.path, target_size=(224, 224), interpolation="bilinear"
        )
        found = plain(picture)
        expected = np.concatenate([found[layer] for layer in ASKED])
        assert relative_error(row, expected) < 1e-4


def test_bfloat16_points_where_float32_points(weights, network, pictures):
    import keras

    coarse = features.build_network(weights, ("block5_pool",), "bfloat16")
    assert keras.config.dtype_policy().name == "float32"  # others' networks stay as they were
    received = coarse(pictures[:2])
    assert received.dtype == np.float32
    assert received.shape == (2, 512)
    for row, expected in zip(received, network(pictures[:2])[:, :512], strict=True):
        cosine = row @ expected / (np.linalg.norm(row) * np.linalg.norm(expected))
        assert cosine > 0.999
    assert not np.array_equal(received, network(pictures[:2])[:, :512])


# --- layers and precision ---------------------------------------------------------------------


def test_the_width_of_every_layer_is_kerass():
    from keras.applications import VGG16

    base = VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    shapes = {layer.name: layer.output.shape[-1] for layer in base.layers[1:]}
    assert dict(sorted(features.WIDTHS.items())) == dict(
        sorted((shapes | {"fc1": 4096, "fc2": 4096}).items())
    )
    names = list(features.WIDTHS)
    assert features.widths(names) == tuple(features.WIDTHS[name] for name in names)
    assert features.widths(ASKED) == ASKED_WIDTHS


@pytest.mark.parametrize("layers", [("block6_conv1",), ("fc2", "predictions"), ("",), ()])
def test_another_layer_is_refused_with_the_list_of_layers(layers):
    with pytest.raises(InputError) as error:
        features.widths(layers)
    for layer in features.WIDTHS:
        assert layer in str(error.value)
    if layers:
        assert repr(layers[-1]) in str(error.value)


@pytest.mark.parametrize(
    "flags, expected",
    [
        ("fpu avx2 avx512f", "float32"),
        ("fpu avx512_bf16 avx2", "bfloat16"),
        ("fpu amx_bf16", "bfloat16"),
        ("fpu amx_tile avx512_bf16_like", "float32"),
        ("", "float32"),
    ],
)
def test_auto_takes_bfloat16_where_the_cpu_multiplies_it(flags, expected, monkeypatch):
    text = f"processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: {flags}\n"
    monkeypatch.setattr(Path, "read_text", lambda self, **options: text)
    assert features.choose_precision("auto") == expected
    assert features.choose_precision("float32") == "float32"
    assert features.choose_precision("bfloat16") == "bfloat16"


def test_auto_takes_float32_where_the_cpu_does_not_tell(monkeypatch):
    def fail(self, **options):
        raise FileNotFoundError(2, "No such file")

    monkeypatch.setattr(Path, "read_text", fail)
    assert features.choose_precision("auto") == "float32"


@pytest.mark.parametrize("wanted", ["float16", "", "Float32"])
def test_another_precision_is_refused(wanted):
    with pytest.raises(
        InputError, match=f"expected auto, float32 or bfloat16, received '{wanted}'"
    ):
        features.choose_precision(wanted)


# --- extraction -------------------------------------------------------------------------------


def ignore(stage, done, total):
    pass


class Network:
    """A cheap network whose features depend, as VGG16's last bits do, on the whole batch."""

    def __init__(self, fail_at=None):
        self.batches = []
        self.built = 0
        self.fail_at = fail_at

    def __call__(self):
        self.built += 1
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


def listed(folder):
    found = [check_image(folder, path.name) for path in sorted(folder.iterdir())]
    assert all(isinstance(image, ImageFile) for image in found)
    return found


@pytest.fixture
def kept(cache):
    with open_store(cache, "w", ("block1_pool",), "float32", WIDTH) as opened:
        yield opened


def test_every_file_is_extracted_once_in_batches_of_neighbours(folder, kept):
    network, told = Network(), []
    images = listed(folder)
    done = extract(folder, images, network, kept, 4, lambda *args: told.append(args))
    assert done == (11, [])
    assert network.built == 1
    assert network.batches == [4, 4, 3]
    assert told == [(STAGE, 0, 11), (STAGE, 4, 11), (STAGE, 8, 11), (STAGE, 11, 11)]
    rows = kept.read([image.digest for image in images])
    again = Network()
    for start in (0, 4, 8):
        batch = [load_pixels(folder, image, (224, 224)) for image in images[start : start + 4]]
        assert np.array_equal(rows[start : start + 4], again.run(np.stack(batch)))


def test_nothing_is_extracted_twice_and_then_no_network_is_built(folder, kept):
    images = listed(folder)
    extract(folder, images, Network(), kept, 4, ignore)
    before = kept.read([image.digest for image in images])
    assert extract(folder, images, refuse, kept, 3, ignore) == (0, [])
    assert np.array_equal(kept.read([image.digest for image in images]), before)


def test_no_image_needs_no_network(folder, kept):
    assert extract(folder, [], refuse, kept, 4, ignore) == (0, [])


def test_only_added_images_are_extracted(folder, kept, draw):
    images = listed(folder)
    extract(folder, images, Network(), kept, 4, ignore)
    before = kept.read([image.digest for image in images])
    for number in range(3):
        draw(folder / f"05 and {number}.png", 100 + number)
    network = Network()
    assert extract(folder, listed(folder), network, kept, 4, ignore) == (3, [])
    assert sum(network.batches) == 3
    assert np.array_equal(kept.read([image.digest for image in images]), before)


def test_files_of_equal_bytes_are_extracted_once(folder, kept):
    for name in ("00 again.png", "05 again.png", "zz.png"):
        (folder / name).write_bytes((folder / "03.png").read_bytes())
    network = Network()
    images = listed(folder)
    assert len(images) == 14
    assert extract(folder, images, network, kept, 4, ignore) == (11, [])
    assert sum(network.batches) == 11
    rows = kept.read([image.digest for image in images])
    places = [i for i, image in enumerate(images) if image.digest == images[-1].digest]
    assert len(places) == 4
    assert all(np.array_equal(rows[i], rows[places[0]]) for i in places)


def test_a_picture_cut_short_is_rejected_and_its_neighbours_are_extracted(folder, kept, draw):
    content = draw(folder / "big.png", 50, (400, 300)).read_bytes()
    (folder / "big.png").unlink()
    (folder / "05 cut.png").write_bytes(content[: len(content) // 2])
    (folder / "07 cut.png").write_bytes(content[: len(content) // 2])  # the same bytes
    images = listed(folder)
    network, told = Network(), []
    extracted, rejected = extract(folder, images, network, kept, 4, lambda *a: told.append(a))
    assert extracted == 11
    assert [file.path for file in rejected] == ["05 cut.png", "07 cut.png"]
    assert all(isinstance(file, Rejected) and "truncated" in file.reason for file in rejected)
    assert sum(network.batches) == 11
    assert told[-1] == (STAGE, 12, 12)
    good = [image for image in images if "cut" not in image.path]
    (broken,) = {image.digest for image in images if "cut" in image.path}
    assert kept.missing([image.digest for image in images]) == {broken}
    assert np.isfinite(kept.read([image.digest for image in good])).all()
    # A second run looks at it again, and rejects it again.
    assert extract(folder, images, Network(), kept, 4, ignore) == (0, rejected)


def test_a_folder_of_broken_pictures_is_rejected_whole(tmp_path, kept, draw):
    content = draw(tmp_path / "whole.png", 50, (400, 300)).read_bytes()
    (tmp_path / "in").mkdir()
    for number in range(3):
        cut = len(content) // 2 + number
        (tmp_path / "in" / f"{number}.png").write_bytes(content[:cut])
    network = Network()
    extracted, rejected = extract(
        tmp_path / "in", listed(tmp_path / "in"), network, kept, 2, ignore
    )
    assert extracted == 0
    assert [file.path for file in rejected] == ["0.png", "1.png", "2.png"]
    assert network.batches == []


@pytest.mark.parametrize("killed_after", [0, 1, 2, 3])
@pytest.mark.parametrize("disturbed", [False, True])
def test_a_killed_extraction_goes_on_to_the_bits_of_one_that_was_not(
    tmp_path, folder, draw, killed_after, disturbed
):
    if disturbed:  # copies and broken files must not shift the batches either
        (folder / "01 copy.png").write_bytes((folder / "00.png").read_bytes())
        content = draw(tmp_path / "whole.png", 50, (400, 300)).read_bytes()
        (folder / "02 cut.png").write_bytes(content[: len(content) // 2])
        (folder / "09 cut.png").write_bytes(content[: len(content) // 2 + 9])
    images = listed(folder)
    good = [image.digest for image in images if "cut" not in image.path]
    stores = []
    for name in ("straight", "killed"):
        (tmp_path / name).mkdir()
        stores.append(tmp_path / name)

    with open_store(stores[0], "w", ("block1_pool",), "float32", WIDTH) as straight:
        assert extract(folder, images, Network(), straight, 3, ignore)[0] == 11
        expected = straight.read(good)
    with (
        pytest.raises(KeyboardInterrupt),
        open_store(stores[1], "w", ("block1_pool",), "float32", WIDTH) as killed,
    ):
        extract(folder, images, Network(fail_at=killed_after), killed, 3, ignore)
    with open_store(stores[1], "w", ("block1_pool",), "float32", WIDTH) as killed:
        there = 11 - len(killed.missing(good))
        assert (there > 0) == (killed_after > 0)
        assert extract(folder, images, Network(), killed, 3, ignore)[0] == 11 - there
        assert np.array_equal(killed.read(good), expected)


# --- the store --------------------------------------------------------------------------------


def names(*numbers):
    return [hashlib.sha256(bytes([number])).hexdigest() for number in numbers]


def test_features_come_back_bit_for_bit_in_the_order_asked(cache):
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, (6, WIDTH), dtype=np.uint32)
    bits &= np.uint32(0xFF7FFFFF)  # no infinity and no NaN: any other float32, denormal ones too
    rows = bits.view(np.float32)
    with open_store(cache, "w", ("a",), "float32", WIDTH) as kept:
        kept.write(names(*range(6)), rows)
    with open_store(cache, "w", ("a",), "float32", WIDTH) as kept:
        received = kept.read(names(4, 0, 5, 0))
        assert received.dtype == np.float32
        assert np.array_equal(received.view(np.uint32), bits[[4, 0, 5, 0]])
        assert kept.read([]).shape == (0, WIDTH)


def test_what_is_missing_is_told(kept):
    kept.write(names(1, 2), np.ones((2, WIDTH), dtype=np.float32))
    assert kept.missing(names(1, 2, 3, 4, 3)) == set(names(3, 4))
    assert kept.missing([]) == set()


def test_what_was_stored_first_stays(kept):
    kept.write(names(1), np.full((1, WIDTH), 1, dtype=np.float32))
    kept.write(names(1, 2), np.full((2, WIDTH), 2, dtype=np.float32))
    assert kept.read(names(1, 2))[:, 0].tolist() == [1, 2]


def test_weights_layers_and_precisions_are_never_mixed(cache):
    keys = [
        ("w", ("a", "b"), "float32"),
        ("w", ("b", "a"), "float32"),
        ("w", ("a",), "float32"),
        ("w", ("a", "b"), "bfloat16"),
        ("x", ("a", "b"), "float32"),
    ]
    for number, key in enumerate(keys):
        with open_store(cache, *key, WIDTH) as kept:
            assert kept.missing(names(1)) == set(names(1))
            kept.write(names(1), np.full((1, WIDTH), number, dtype=np.float32))
    for number, key in enumerate(keys):
        with open_store(cache, *key, WIDTH) as kept:
            assert kept.missing(names(1)) == set()
            assert kept.read(names(1)).tolist() == [[number] * WIDTH]
    assert store.STORE_FILE in {path.name for path in cache.iterdir()}


@pytest.mark.parametrize("width", [1, WIDTH - 1, WIDTH + 1, 2 * WIDTH])
def test_features_of_another_width_cannot_go_unnoticed(cache, width):
    with pytest.raises(ValueError), open_store(cache, "w", ("a",), "float32", WIDTH) as kept:
        kept.write(names(1), np.ones((1, width), dtype=np.float32))
        kept.read(names(1))


def test_a_batch_that_fails_half_way_leaves_none_of_its_rows(cache):
    with open_store(cache, "w", ("a",), "float32", WIDTH) as kept:
        kept.write(names(1), np.ones((1, WIDTH), dtype=np.float32))
    with sqlite3.connect(cache / store.STORE_FILE) as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON features "
            f"WHEN NEW.image = '{names(4)[0]}' BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    connection.close()
    with (
        pytest.raises(InputError, match="disk full"),
        open_store(cache, "w", ("a",), "float32", WIDTH) as kept,
    ):
        kept.write(names(2, 3, 4, 5), np.ones((4, WIDTH), dtype=np.float32))
    with open_store(cache, "w", ("a",), "float32", WIDTH) as kept:
        assert kept.missing(names(1, 2, 3, 4, 5)) == set(names(2, 3, 4, 5))


def test_more_names_than_rows_store_nothing(kept):
    with pytest.raises(ValueError):
        kept.write(names(1, 2, 3), np.ones((2, WIDTH), dtype=np.float32))
    assert kept.missing(names(1, 2, 3)) == set(names(1, 2, 3))


def test_an_error_of_the_caller_is_passed_on(cache):
    with (
        pytest.raises(ZeroDivisionError),
        open_store(cache, "w", ("a",), "float32", WIDTH) as kept,
    ):
        kept.write(names(1), np.full((1, WIDTH), 1 // len(kept.missing([])), dtype=np.float32))


def assert_names_the_store(error, cache):
    assert str(cache / store.STORE_FILE) in str(error.value)
    assert "SAFE_CACHE" in str(error.value)


@pytest.mark.parametrize("damage", ["garbage", "cut short", "overwritten inside", "another table"])
def test_a_damaged_store_is_named(cache, damage):
    path = cache / store.STORE_FILE
    many = [f"{number:064x}" for number in range(300)]
    with open_store(cache, "w", ("a",), "float32", WIDTH) as kept:
        kept.write(many, np.ones((300, WIDTH), dtype=np.float32))
    content = path.read_bytes()
    assert len(content) > 40_000
    if damage == "garbage":
        path.write_bytes(b"no database at all " * 100)
    elif damage == "cut short":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "overwritten inside":
        path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    else:
        path.unlink()
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE features (name TEXT)")
        connection.close()
    with (
        pytest.raises(InputError) as error,
        open_store(cache, "w", ("a",), "float32", WIDTH) as kept,
    ):
        kept.missing(many)
        kept.read(many)
    assert_names_the_store(error, cache)


def test_a_store_in_a_folder_that_is_not_there_is_named(tmp_path):
    with (
        pytest.raises(InputError) as error,
        open_store(tmp_path / "nowhere", "w", ("a",), "float32", WIDTH),
    ):
        pass
    assert_names_the_store(error, tmp_path / "nowhere")
