"""Operations of TensorFlow in files of Keras 2 compute what NumPy does; others are refused."""

import copy

import numpy as np
import pytest

from pipelines.dnn.keras import import_keras
from pipelines.dnn.keras2_operations import mend_operation
from pipelines.dnn.model import load_network
from pipelines.runs.errors import InputError
from tests.pipelines.dnn.networks import randomise
from tests.pipelines.dnn.old_files import save_old

keras, _ = import_keras()
L, ops = keras.layers, keras.ops
SHAPE = (12, 16, 3)
MEAN = [103.939, 116.779, 123.68]
ELLIPSIS = {"class_name": "__ellipsis__"}
BACKWARDS = {"start": None, "stop": None, "step": -1}
FIRST_TWO = {"start": None, "stop": 2, "step": None}
ALL = {"start": None, "stop": None, "step": None}
PICTURES = np.random.default_rng(0).uniform(0, 255, (2, *SHAPE)).astype(np.float32)


def slicing(*slices):
    return ("SlicingOpLambda", "__operators__.getitem", {"slice_spec": list(slices)})


def operation(function, **arguments):
    return ("TFOpLambda", function, {"name": None} | arguments)


def softmax(x):
    shares = np.exp(x - x.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


CASES = {
    "x[..., ::-1]": (
        lambda x: x[..., ::-1], [slicing(ELLIPSIS, BACKWARDS)], lambda x: x[..., ::-1]
    ),
    "x[:, :2, :2]": (
        lambda x: x[:, :2, :2], [slicing(ALL, FIRST_TWO, FIRST_TWO)], lambda x: x[:, :2, :2]
    ),
    "x[..., None][..., 0]": (
        lambda x: x[..., None][..., 0],
        [slicing(ELLIPSIS, None), slicing(ELLIPSIS, 0)], lambda x: x,
    ),
    "caffe": (
        lambda x: x[..., ::-1] + np.float32(np.negative(MEAN)),
        [
            slicing(ELLIPSIS, BACKWARDS),
            operation("nn.bias_add", bias=[-m for m in MEAN], data_format="NHWC"),
        ],
        lambda x: x[..., ::-1] - np.float32(MEAN),
    ),
    "x - m": (
        lambda x: x - np.float32(MEAN), [operation("math.subtract", y=MEAN)],
        lambda x: x - np.float32(MEAN),
    ),
    "x / m": (
        lambda x: x / np.float32(MEAN), [operation("math.truediv", y=MEAN)],
        lambda x: x / np.float32(MEAN),
    ),
    "x * m": (
        lambda x: x * np.float32(MEAN), [operation("math.multiply", y=MEAN)],
        lambda x: x * np.float32(MEAN),
    ),
    "255 - x": (
        lambda x: 255 - x, [operation("math.subtract", first=255)], lambda x: 255 - x
    ),
    "x + x": (
        lambda x: x + x, [operation("math.add", second=True)], lambda x: x + x
    ),
    "maximum": (
        lambda x: ops.maximum(x, 9.0), [operation("math.maximum", y=9.0)],
        lambda x: np.maximum(x, 9),
    ),
    "mean, kept": (
        lambda x: ops.mean(x, axis=[1, 2], keepdims=True),
        [operation("math.reduce_mean", axis=[1, 2], keepdims=True)],
        lambda x: x.mean((1, 2), keepdims=True),
    ),
    "cast": (lambda x: ops.cast(x, "float32"), [operation("cast", dtype="float32")], lambda x: x),
    "reshape": (
        lambda x: ops.reshape(x, (-1, 16, 12, 3)), [operation("reshape", shape=[-1, 16, 12, 3])],
        lambda x: x.reshape(-1, 16, 12, 3),
    ),
    "concat": (
        lambda x: ops.concatenate([x, x], -1), [operation("concat", axis=-1)],
        lambda x: np.concatenate([x, x], -1),
    ),
    "softmax": (
        lambda x: ops.softmax(x / 255, -1),
        [operation("math.truediv", y=255.0), operation("nn.softmax", axis=-1)],
        lambda x: softmax(x / 255),
    ),
    "relu": (
        lambda x: ops.relu(x - 99.0), [operation("math.subtract", y=99.0), operation("nn.relu")],
        lambda x: np.maximum(x - 99, 0),
    ),
    "sigmoid": (
        lambda x: ops.sigmoid(x / 99),
        [operation("math.divide", y=99.0), operation("math.sigmoid")],
        lambda x: 1 / (1 + np.exp(-x / 99)),
    ),
}  # fmt: skip
"""Of each: with Keras 3, as Keras 2 describes it, and with NumPy."""


def save(tmp_path, suffix, compute, layers, name="dnn"):
    """Save a model as Keras 2 does, its operations described so; return file and weights."""
    image = keras.Input(SHAPE)
    averages = L.GlobalAveragePooling2D()(compute(image))
    model = randomise(keras.Model(image, L.Dense(4)(averages)))
    waiting = list(layers)

    def describe(entry):
        if not str(entry.get("module", "")).startswith("keras.src.ops"):
            return
        kind, function, arguments = copy.deepcopy(waiting.pop(0))
        first, second = arguments.pop("first", None), arguments.pop("second", None)
        references = entry["inbound_nodes"][0]
        source = references[0][:3]
        if first is not None:
            arguments["y"], source = source, ["_CONSTANT_VALUE", -1, first]
        if second:
            arguments["y"] = source
        call = [*source, arguments]
        if function == "concat":
            call = [[*reference[:3], arguments] for reference in references]
        entry |= {"class_name": kind, "registered_name": kind, "inbound_nodes": [call]}
        entry["module"] = "keras.src.layers.core.tf_op_layer"
        entry["config"] = {
            "name": entry["config"]["name"], "trainable": True, "dtype": "float32",
            "function": function,
        }  # fmt: skip

    file = save_old(model, tmp_path / f"{name}{suffix}", describe)
    assert not waiting
    return file, model.get_weights()


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("case", CASES)
def test_an_operation_computes_what_numpy_does(tmp_path, case, suffix):
    with_keras, layers, with_numpy = CASES[case]
    file, (kernel, bias) = save(tmp_path, suffix, with_keras, layers)
    network = load_network(file, "none")
    expected = with_numpy(PICTURES).mean((1, 2)) @ kernel + bias
    outputs = np.asarray(network.model(PICTURES, training=False))
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_the_preprocessing_of_caffe_is_seen_as_a_rescaling(tmp_path, suffix):
    file, _ = save(tmp_path, suffix, *CASES["caffe"][:2])
    network = load_network(file)
    assert network.scaling == "none"
    assert network.rescaling.startswith("add")
    file, _ = save(tmp_path, suffix, *CASES["x[..., ::-1]"][:2], "backwards")
    with pytest.raises(InputError, match="does not say how its input is scaled"):
        load_network(file)


UNKNOWN = {
    "function": operation("image.per_image_standardization"),
    "argument": operation("math.reduce_mean", axis=[1, 2], keepdims=True, invented=1),
    "setting": operation("reshape", shape=[-1, ["tf.shape", 0, 0], 12, 3]),
    "numbers": operation("math.subtract", y=["a", "b"]),
    "order of axes": operation("nn.bias_add", bias=MEAN, data_format="NCHW"),
    "slice": slicing(ELLIPSIS, {"start": None, "stop": None, "step": ["tf.shape", 0, 0]}),
    "no slice": slicing("first"),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_is_not_known_stays_and_is_refused_by_name(tmp_path, case):
    file, _ = save(tmp_path, ".keras", ops.relu, [UNKNOWN[case]])
    words = r"class (TF|Slicing)OpLambda of its layer 'relu(_\d+)?'.*Put"
    with pytest.raises(InputError, match=words):
        load_network(file, "none")


@pytest.mark.parametrize(
    "calls", [None, [], [1], [[]], [["a", 0, 0]], [["a", 0, 0, 1]], [[["a", 0, 0, {}], 1]], [{}]]
)
def test_a_damaged_description_stays_as_it_is(calls):
    settings = {"name": "a", "function": "nn.relu"}
    entry = {"class_name": "TFOpLambda", "config": settings, "inbound_nodes": calls}
    before = dict(entry)
    mend_operation(entry)
    assert entry == before
