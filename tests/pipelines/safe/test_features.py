"""Features of VGG16 against plain Keras."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.data.images import check_image
from pipelines.runs.errors import InputError
from pipelines.safe import features
from pipelines.safe.features import extract
from pipelines.safe.store import open_store
from pipelines.safe.weights import BASE_DIGEST, Weights, read_converted_base

LAYERS = ("block5_pool", "block2_pool", "block4_pool", "block1_conv1")
WIDTHS = (512, 128, 512, 64)


@pytest.fixture(scope="module")
def weights(warm_cache):
    return Weights("the cache", BASE_DIGEST, read_converted_base(warm_cache))


@pytest.fixture(scope="module")
def network(weights):
    return features.build_network(weights, LAYERS, "float32")


@pytest.fixture(scope="module")
def plain(weights):
    """Return a function from one picture to the features that plain Keras gives, by layer."""
    import keras
    from keras.applications import VGG16, vgg16

    base = VGG16(include_top=False, weights=None)
    for name, arrays in weights.layers.items():
        base.get_layer(name).set_weights(arrays)
    model = keras.Model(base.input, [base.get_layer(layer).output for layer in LAYERS])

    def run(picture):
        pixels = vgg16.preprocess_input(np.array(picture, dtype=np.float32)[None])
        averages = {}
        for layer, output in zip(LAYERS, model(pixels), strict=True):
            maps = np.asarray(output)[0].astype(np.float64)
            total = np.zeros(maps.shape[2])
            for row in maps:
                for place in row:
                    total += place
            averages[layer] = total / (maps.shape[0] * maps.shape[1])
        return averages

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


def relative_error(values, expected):
    return np.linalg.norm(values - expected) / np.linalg.norm(expected)


# --- the network ----------------------------------------------------------------------------------


def test_features_are_those_of_plain_keras_in_the_order_asked(network, plain, pictures):
    vectors = network(pictures)
    assert vectors.dtype == np.float32
    assert vectors.shape == (3, sum(WIDTHS))
    for row, picture in zip(vectors, pictures, strict=True):
        expected = plain(picture)
        start = 0
        for layer, width in zip(LAYERS, WIDTHS, strict=True):
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
    with open_store(cache, "w", LAYERS, "float32", sum(WIDTHS)) as store:
        assert extract(tmp_path / "in", images, lambda: network, store, 8, lambda *step: None) == (
            2,
            [],
        )
        vectors = store.read([image.digest for image in images])
    for row, image in zip(vectors, images, strict=True):
        picture = load_img(
            tmp_path / "in" / image.path, target_size=(224, 224), interpolation="bilinear"
        )
        averages = plain(picture)
        expected = np.concatenate([averages[layer] for layer in LAYERS])
        assert relative_error(row, expected) < 1e-4


def test_bfloat16_points_where_float32_points(weights, network, pictures):
    import keras

    coarse = features.build_network(weights, ("block5_pool",), "bfloat16")
    assert keras.config.dtype_policy().name == "float32"  # others' networks stay as they were
    vectors = coarse(pictures[:2])
    assert vectors.dtype == np.float32
    assert vectors.shape == (2, 512)
    for row, expected in zip(vectors, network(pictures[:2])[:, :512], strict=True):
        cosine = row @ expected / (np.linalg.norm(row) * np.linalg.norm(expected))
        assert cosine > 0.999
    assert not np.array_equal(vectors, network(pictures[:2])[:, :512])


# --- layers and precision -------------------------------------------------------------------------


def test_the_width_of_every_layer_is_kerass():
    from keras.applications import VGG16

    base = VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    shapes = {layer.name: layer.output.shape[-1] for layer in base.layers[1:]}
    assert dict(sorted(features.WIDTHS.items())) == dict(
        sorted((shapes | {"fc1": 4096, "fc2": 4096}).items())
    )
    names = list(features.WIDTHS)
    assert features.list_widths(names) == tuple(features.WIDTHS[name] for name in names)
    assert features.list_widths(LAYERS) == WIDTHS


@pytest.mark.parametrize("layers", [("block6_conv1",), ("fc2", "predictions"), ("",), ()])
def test_another_layer_is_refused_with_the_list_of_layers(layers):
    with pytest.raises(InputError) as error:
        features.list_widths(layers)
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


@pytest.mark.parametrize("precision", ["float16", "", "Float32"])
def test_another_precision_is_refused(precision):
    with pytest.raises(
        InputError, match=f"expected auto, float32 or bfloat16, received '{precision}'"
    ):
        features.choose_precision(precision)
