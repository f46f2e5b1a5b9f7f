"""The DNN under analysis: which files are loaded, which are refused, what goes in and comes out."""

import json
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from pipelines.data.images import check_image
from pipelines.dnn.keras import import_keras
from pipelines.dnn.model import CAFFE_MEAN, fix_size, load_network, predict, scale
from pipelines.runs.errors import InputError


def quiet(stage, done, total):
    """Listen to nothing."""


def save(path, *stack, shape=(12, 16, 3), outputs=4, activation="softmax"):
    keras, _ = import_keras()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    end = [layers.Flatten(), layers.Dense(outputs, activation=activation, name="end")]
    keras.Sequential([keras.Input(shape), *stack, *end]).save(path)
    return path


@pytest.fixture(scope="module")
def keras():
    return import_keras()[0]


@pytest.fixture
def model(tmp_path, keras):
    return save(tmp_path / "dnn.keras", keras.layers.Rescaling(1 / 255))


@pytest.mark.parametrize("name", ["dnn.keras", "dnn.h5"])
def test_a_model_file_is_loaded_and_described(tmp_path, keras, name):
    file = save(tmp_path / name, keras.layers.Rescaling(1 / 255))
    network = load_network(file)
    assert (network.size, network.channels, network.outputs) == ((16, 12), 3, 4)
    assert (network.activation, network.scaling) == ("softmax", "none")
    assert len(network.digest) == 64


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [
        ("none", lambda p: p),
        ("0-1", lambda p: p / 255),
        ("-1-1", lambda p: p / 127.5 - 1),
        ("caffe", lambda p: p[..., [2, 1, 0]] - CAFFE_MEAN),
        ("torch", lambda p: (p / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]),
    ],
)
def test_pixels_are_scaled_as_keras_scales_them(tmp_path, keras, scaling, expected):
    network = load_network(save(tmp_path / "dnn.keras"), scaling)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 12, 16, 3), dtype=np.uint8)
    inputs = scale(network, pixels)
    assert inputs.dtype == np.float32
    assert np.allclose(inputs, expected(pixels.astype(float)), atol=1e-4)
    modes = {"-1-1": "tf", "caffe": "caffe", "torch": "torch"}
    if scaling in modes:
        own = keras.applications.imagenet_utils.preprocess_input(
            pixels.astype(np.float32), data_format="channels_last", mode=modes[scaling]
        )
        assert np.allclose(inputs, own, atol=1e-4)


def test_predictions_are_the_models_own(tmp_path, keras, draw):
    file = save(tmp_path / "dnn.keras")
    names = [f"{seed}.png" for seed in range(7)]
    for seed, name in enumerate(names):
        draw(tmp_path / "images" / name, seed, size=(16, 12) if seed else (40, 30))
    (tmp_path / "images" / "bad.png").write_bytes(b"\x89PNG")
    images = [check_image(tmp_path / "images", name) for name in names]
    predictions = predict(
        load_network(file, "0-1"), tmp_path / "images", images, quiet, batch_size=3
    )
    pixels = [
        np.asarray(Image.open(tmp_path / "images" / name).resize((16, 12), Image.BILINEAR))
        for name in names
    ]
    expected = keras.models.load_model(file).predict(np.stack(pixels) / 255, verbose=0)
    assert np.allclose(predictions.outputs, expected, atol=1e-5)
    assert (predictions.resized, predictions.rejected, predictions.images) == (1, [], images)


def test_a_grey_model_takes_the_luminance_of_colour_images(tmp_path, draw):
    file = save(tmp_path / "grey.keras", shape=(12, 16, 1))
    draw(tmp_path / "a.png", 1, size=(16, 12))
    image = check_image(tmp_path, "a.png")
    predictions = predict(load_network(file, "0-1"), tmp_path, [image], quiet)
    grey = np.asarray(Image.open(tmp_path / "a.png").convert("L"))[None, :, :, None]
    expected = import_keras()[0].models.load_model(file).predict(grey / 255, verbose=0)
    assert np.allclose(predictions.outputs, expected, atol=1e-5)


def test_an_image_that_changed_meanwhile_is_rejected(model, tmp_path, draw):
    draw(tmp_path / "a.png", 1)
    draw(tmp_path / "b.png", 2)
    images = [check_image(tmp_path, name) for name in ("a.png", "b.png")]
    draw(tmp_path / "a.png", 3)
    predictions = predict(load_network(model), tmp_path, images, quiet)
    assert [file.path for file in predictions.rejected] == ["a.png"]
    assert len(predictions.outputs) == 1


def test_a_model_of_any_size_takes_that_of_the_first_image(tmp_path, keras, draw):
    layers = keras.layers
    stack = [keras.Input((None, None, 3)), layers.Conv2D(2, 3), layers.GlobalAveragePooling2D()]
    keras.Sequential([*stack, layers.Dense(2)]).save(tmp_path / "any.keras")
    draw(tmp_path / "a.png", 1, size=(20, 18))
    draw(tmp_path / "b.png", 2, size=(40, 36))
    images = [check_image(tmp_path, name) for name in ("a.png", "b.png")]
    network = load_network(tmp_path / "any.keras", "0-1")
    assert (network.size, network.activation) == ((None, None), "linear")
    network_of_size = fix_size(network, tmp_path, images)
    assert network_of_size.size == (20, 18)
    predictions = predict(network_of_size, tmp_path, images, quiet)
    assert (predictions.outputs.shape, predictions.resized) == ((2, 2), 1)
    assert fix_size(network, tmp_path, images, [33, 44]).size == (33, 44)
    stack[0] = keras.Input((None, 64, 3))
    keras.Sequential([*stack, layers.Dense(2)]).save(tmp_path / "wide.keras")
    half = fix_size(load_network(tmp_path / "wide.keras", "0-1"), tmp_path, images)
    assert half.size == (64, 18)
    assert predict(half, tmp_path, images, quiet).outputs.shape == (2, 2)


def test_another_file_than_expected_is_not_even_looked_into(tmp_path, keras):
    mark = tmp_path / "ran"
    source = f"lambda x: (open({str(mark)!r}, 'w').close(), x)[1]"
    file = save(tmp_path / "code.keras", keras.layers.Lambda(eval(source)))
    mark.unlink(missing_ok=True)
    with pytest.raises(InputError, match="is another model than before"):
        load_network(file, "0-1", trust=True, digest="0" * 64)
    assert not mark.exists()


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["code.keras", "code.h5"])
def test_code_in_a_file_does_not_run_unless_it_is_trusted(tmp_path, keras, name):
    mark = tmp_path / "ran"
    source = f"lambda x: (open({str(mark)!r}, 'w').close(), x)[1]"
    file = save(tmp_path / name, keras.layers.Lambda(eval(source), name="sneaky"))
    mark.unlink(missing_ok=True)  # it ran when it was saved
    with pytest.raises(InputError, match=r"'sneaky' is a Lambda layer.*--trust-model"):
        load_network(file, "0-1")
    assert not mark.exists()
    assert load_network(file, "0-1", trust=True).outputs == 4
    assert mark.exists()


def test_classes_from_elsewhere_are_refused_by_name(model, tmp_path):
    with zipfile.ZipFile(model) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    layer = config["config"]["layers"][-1]
    layer |= {"module": "os", "class_name": "system", "registered_name": "system"}
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        for name, content in (members | {"config.json": json.dumps(config)}).items():
            archive.writestr(name, content)
    with pytest.raises(InputError, match="'end' is of the class system of os"):
        load_network(tmp_path / "other.keras", trust=True)


def test_files_that_are_no_keras_model(model, tmp_path):
    text = tmp_path / "text.keras"
    text.write_text("not a model")
    with pytest.raises(InputError, match=r"text.keras is no Keras model file.*b'not a mo'"):
        load_network(text)
    shutil.copy(model, tmp_path / "net.pt")
    with pytest.raises(InputError, match="it is a file of PyTorch"):
        load_network(tmp_path / "net.pt")
    with pytest.raises(InputError, match=r"missing\.keras cannot be read"):
        load_network(tmp_path / "missing.keras")
    with pytest.raises(InputError, match="is a folder: expected a Keras model file"):
        load_network(tmp_path)
    half = tmp_path / "half.keras"
    half.write_bytes(model.read_bytes()[:500])
    with pytest.raises(InputError, match=r"half.keras holds no whole Keras model"):
        load_network(half)
    import h5py

    with h5py.File(tmp_path / "weights.h5", "w") as archive:
        archive["a"] = [1.0]
    with pytest.raises(InputError, match="weights alone are not enough"):
        load_network(tmp_path / "weights.h5")


def test_inputs_and_outputs_that_are_none_of_an_image_classifier(tmp_path, keras):
    layers = keras.layers
    first, second = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    flat = layers.Flatten()(layers.Add()([first, second]))
    keras.Model([first, second], layers.Dense(2)(flat)).save(tmp_path / "two.keras")
    with pytest.raises(InputError, match="expected one input of shape"):
        load_network(tmp_path / "two.keras", "0-1")
    keras.Sequential([keras.Input((5,)), layers.Dense(2)]).save(tmp_path / "row.keras")
    with pytest.raises(InputError, match=r"expected one input .* received \(5,\)"):
        load_network(tmp_path / "row.keras", "0-1")
    keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(2, 3)]).save(tmp_path / "map.keras")
    with pytest.raises(InputError, match=r"expected one output.*\(6, 6, 2\)"):
        load_network(tmp_path / "map.keras", "0-1")


def test_scaling_is_asked_for_where_the_model_does_not_tell(tmp_path):
    file = save(tmp_path / "dnn.keras")
    with pytest.raises(InputError, match="does not say how its input is scaled"):
        load_network(file)
    with pytest.raises(InputError, match="scaling: expected none, 0-1, -1-1, caffe, torch"):
        load_network(file, "0-2")
    grey = save(tmp_path / "grey.keras", shape=(12, 16, 1))
    with pytest.raises(InputError, match="scaling caffe: needs colour images"):
        load_network(grey, "caffe")


def test_outputs_that_are_no_numbers_name_the_image(tmp_path, keras, draw):
    file = save(tmp_path / "dnn.keras", activation=None)
    model = keras.models.load_model(file)
    kernel, bias = model.get_layer("end").get_weights()
    model.get_layer("end").set_weights([kernel, np.full_like(bias, np.nan)])
    model.save(file)
    draw(tmp_path / "a.png", 1)
    image = check_image(tmp_path, "a.png")
    with pytest.raises(InputError, match=r"its output for a.png is not a number"):
        predict(load_network(file, "0-1"), tmp_path, [image], quiet)
