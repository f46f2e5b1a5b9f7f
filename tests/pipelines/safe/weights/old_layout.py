"""Weights in the layout of 2016, and how they are compared."""

from importlib.metadata import PackageNotFoundError

import h5py
import numpy as np

from pipelines.safe import weights

CHANNELS = {
    1: (3, 64, 64),
    2: (64, 128, 128),
    3: (128, 256, 256, 256),
    4: (256, 512, 512, 512),
    5: (512, 512, 512, 512),
}
SMALL_DENSES = {"fc1": (6, 4), "fc2": (4, 5)}


def write_old_layout(path, layers, prefix=""):
    """Write the layout of Keras' own weights files of 2016."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        for name, (kernel, bias) in layers.items():
            file[f"{prefix}{name}/{name}_W_1:0"] = kernel
            file[f"{prefix}{name}/{name}_b_1:0"] = bias
    return path


def assert_same(layers, expected):
    assert list(layers) == list(expected)
    for name, arrays in expected.items():
        for array, other in zip(layers[name], arrays, strict=True):
            assert array.dtype == np.float32
            assert np.array_equal(array, other), name


def without_package(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(weights, "distribution", missing)
