"""Weights of VGG16 in its formats, and a network small enough to damage."""

from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest

from pipelines.safe import weights
from tests.pipelines.safe.weights.old_layout import SMALL_DENSES


@pytest.fixture(scope="session")
def onnx_file():
    return Path(str(distribution(weights.ONNX_PACKAGE).locate_file(weights.ONNX_FILE)))


@pytest.fixture(scope="session")
def base_layers(onnx_file):
    return weights.read_onnx(onnx_file)


@pytest.fixture(scope="session")
def onnx_convolutions(onnx_file):
    """Return (kernel, bias) of the file's Conv nodes, as the nodes name them, out x in x h x w."""
    import onnx

    graph = onnx.load(onnx_file).graph
    arrays = {
        tensor.name: np.frombuffer(tensor.raw_data, dtype="<f4").reshape(tuple(tensor.dims))
        for tensor in graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and tensor.raw_data
    }
    nodes = [node for node in graph.node if node.op_type == "Conv"]
    return [(arrays[node.input[1]], arrays[node.input[2]]) for node in nodes]


@pytest.fixture(scope="session")
def keras_network(base_layers):
    """Return plain Keras' VGG16 for small pictures, with the converted weights."""
    from keras.applications import VGG16

    network = VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    for name, arrays in base_layers.items():
        network.get_layer(name).set_weights(arrays)
    return network


@pytest.fixture
def small(monkeypatch):
    """Shrink the tables of shapes, and return layers of random values that fit them."""
    names = list(weights.CONVOLUTIONS)
    shapes = {name: (3, 3, 3 if name == names[0] else 2, 2) for name in names}
    monkeypatch.setattr(weights, "CONVOLUTIONS", shapes)
    monkeypatch.setattr(weights, "DENSES", SMALL_DENSES)
    rng = np.random.default_rng(5)
    return {
        name: (rng.normal(size=shape).astype("f4"), rng.normal(size=shape[-1]).astype("f4"))
        for name, shape in (shapes | SMALL_DENSES).items()
    }
