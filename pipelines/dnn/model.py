"""The DNN under analysis: a Keras model file, loaded without running code from inside it.

The DNN takes one image, grey or colour, and returns scores of classes or labels, or numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Floats
from pipelines.data.images import ImageFile, Rejected
from pipelines.data.pixels import load_pixels, upright_size
from pipelines.data.prefetch import prefetch
from pipelines.dnn.graph import Layer, Model
from pipelines.dnn.keras import import_keras
from pipelines.dnn.loading import check_model, find_reason, load_model
from pipelines.dnn.rescaling import find_rescaling
from pipelines.runs.errors import InputError
from pipelines.runs.folder import Progress

Scaling = Literal["none", "0-1", "-1-1", "caffe", "torch"]
SCALINGS: tuple[str, ...] = get_args(Scaling)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
CAFFE_MEAN = (103.939, 116.779, 123.68)  # blue, green, red
BATCH = 32
STAGE = "predicting"
LOADING = "loading the model"
"""The stage of a job in which it loads a model."""

Size = tuple[int | None, int | None]


@dataclass(frozen=True)
class Network:
    """A DNN under analysis.

    Attributes
    ----------
    model : keras.Model
    file : Path
    digest : str
        SHA-256 of the file.
    size : tuple of int or None
        Width and height of the input in px; None for a side that may have any length.
    channels : int
        1 (grey) or 3 (RGB).
    outputs : int
        Number of outputs.
    activation : str
        Activation of the last layer: "softmax", "sigmoid", "linear" or another.
    scaling : str
        How pixels of 0 to 255 are scaled for the network: "none" (not at all), "0-1", "-1-1", or in
        one of the ways of networks trained on ImageNet: "caffe" (BGR, mean subtracted) or "torch"
        (0 to 1, mean subtracted, divided by the standard deviation).
    rescaling : str
        Name of the layer or operation of the model that rescales its input; empty for none.
    """

    model: Model
    file: Path
    digest: str
    size: Size
    channels: int
    outputs: int
    activation: str
    scaling: Scaling
    rescaling: str = ""


@dataclass(frozen=True)
class Predictions:
    """The outputs of a network for the images of a folder.

    Attributes
    ----------
    images : list of ImageFile, length n
        The images that could be decoded.
    rejected : list of Rejected
        The images that could not be decoded.
    outputs : array of float32, shape (n, outputs)
    resized : int
        Number of images whose size differs from the network's input.
    """

    images: list[ImageFile]
    rejected: list[Rejected]
    outputs: Floats
    resized: int


def check_network(
    file: Path, scaling: str | None = None, *, trust: bool = False, digest: str | None = None
) -> None:
    """Check a model for `load_network`, as far as that is possible without Keras.

    Time grows with the size of the file, which is read twice.

    Raises
    ------
    InputError
        When the file is no Keras model, has another digest or holds code that is not trusted, or
        there is no such scaling.
    """
    if scaling is not None:
        _check_scaling(scaling)
    check_model(file, trust=trust, digest=digest)


def _check_scaling(scaling: str) -> None:
    if scaling not in SCALINGS:
        raise InputError(f"scaling: expected {', '.join(SCALINGS)}, received {scaling!r}")


def load_network(
    file: Path, scaling: str | None = None, *, trust: bool = False, digest: str | None = None
) -> Network:
    """Load a Keras model file: `.keras`, or HDF5 of older versions.

    Parameters
    ----------
    scaling : str, optional
        One of `SCALINGS`. If None, the model must have a layer that rescales its input; the scaling
        is then "none".
    trust : bool
        Whether the code of Lambda layers inside the file may run.
    digest : str, optional
        SHA-256 that the file must have, so that code of another file never runs.

    Raises
    ------
    InputError
        When the file is no Keras model or has another digest; when it holds code that is not
        trusted; when the model does not take one image and return one vector; when `scaling` is
        None and the model does not rescale its input.
    """
    if scaling is not None:
        _check_scaling(scaling)
    loaded = load_model(file, trust=trust, digest=digest)
    model = loaded.model
    size, channels = _check_input(file, model)
    outputs = _check_output(file, model)
    inside = find_rescaling(model)
    if scaling is None and not inside:
        raise InputError(
            f"{file} does not say how its input is scaled: nothing between the input and the "
            "first weights rescales it. Give --scaling: none (pixels of 0 to 255), 0-1, -1-1, or "
            "caffe or torch (the scalings of networks trained on ImageNet)."
        )
    checked = cast(Scaling, scaling or "none")
    if checked in {"caffe", "torch"} and channels == 1:
        raise InputError(
            f"scaling {checked}: needs colour images, and {file} takes grey ones. Choose another "
            "scaling."
        )
    activation = _find_activation(model)
    digest = loaded.digest
    network = Network(model, file, digest, size, channels, outputs, activation, checked, inside)
    if None not in size:
        _check_call(network)
    return network


def _check_call(network: Network) -> None:
    """Raise InputError unless the model can be run on an image of the size of its input."""
    width, height = network.size
    picture = np.zeros((1, height or 1, width or 1, network.channels), dtype=np.float32)
    try:
        network.model(picture, training=False)
    except Exception as error:  # layers may raise anything
        crops = any(type(layer).__name__ == "RandomCrop" for layer in iterate_layers(network.model))
        hint = " Outside training, RandomCrop of Keras 3 does not crop: put CenterCrop there."
        raise InputError(
            f"{network.file} cannot be run on an image of {width} x {height}: "
            f"{find_reason(error)}{hint if crops else ''}"
        ) from error


def _check_input(file: Path, model: Model) -> tuple[Size, int]:
    """Return size and channels of the input; raise InputError unless it is one image."""
    inputs = getattr(model, "inputs", None) or []
    shapes = [tuple(tensor.shape) for tensor in inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][3] not in {1, 3}:
        raise InputError(
            f"{file}: expected one input of shape (height, width, 1 or 3), received "
            f"{', '.join(str(shape[1:]) for shape in shapes) or 'none'}."
        )
    _, height, width, channels = shapes[0]
    return (width, height), int(channels)


def _check_output(file: Path, model: Model) -> int:
    """Return the number of outputs; raise InputError unless they are one vector."""
    shapes = [tuple(tensor.shape) for tensor in model.outputs]
    if len(shapes) != 1 or len(shapes[0]) != 2 or not shapes[0][1]:
        raise InputError(
            f"{file}: expected one output, a vector of scores or numbers, received shapes "
            f"{', '.join(str(shape[1:]) for shape in shapes)}."
        )
    return int(shapes[0][1])


def iterate_layers(model: Model) -> Iterator[Layer]:
    """Iterate over the layers of a model and of its nested models."""
    for layer in model.layers:
        if getattr(layer, "layers", None):
            yield from iterate_layers(cast(Model, layer))
        else:
            yield layer


def _find_activation(model: Model) -> str:
    last = list(iterate_layers(model))[-1]
    if type(last).__name__ == "Softmax":
        return "softmax"
    function = getattr(last, "activation", None)
    return str(getattr(function, "__name__", "linear"))


def scale(network: Network, pixels: NDArray[np.uint8] | Floats) -> Floats:
    """Scale pixels by the network's scaling.

    Parameters
    ----------
    pixels : array of uint8 or float32, shape (n, height, width, channels)
        0 to 255.

    Returns
    -------
    array of float32, shape (n, height, width, channels)
    """
    values: Floats = pixels.astype(np.float32)
    if network.scaling == "0-1":
        values /= 255
    elif network.scaling == "-1-1":
        values = values / np.float32(127.5) - np.float32(1)
    elif network.scaling == "caffe":
        values = values[..., ::-1] - np.array(CAFFE_MEAN, dtype=np.float32)
    elif network.scaling == "torch":
        mean, deviation = (np.array(c, np.float32) for c in (IMAGENET_MEAN, IMAGENET_DEVIATION))
        values = (values / np.float32(255) - mean) / deviation
    return values


def load_batches(
    network: Network, folder: Path, images: Sequence[ImageFile], batch_size: int = BATCH
) -> Iterator[list[tuple[ImageFile, NDArray[np.uint8]] | Rejected]]:
    """Decode images to the size of the network's input, batch by batch, in threads.

    Memory depends only on the size of a batch.

    Yields
    ------
    list
        For each image: its ImageFile with its pixels (uint8, shape (height, width, channels)), or
        Rejected.

    Raises
    ------
    ValueError
        When the network's input has no fixed size; see `fix_size`.
    """
    width, height = network.size
    if width is None or height is None:
        raise ValueError("the size of the network's input is open: fix it first")
    size = (width, height)

    def load(image: ImageFile) -> tuple[ImageFile, NDArray[np.uint8]] | Rejected:
        pixels = load_pixels(folder, image, size, grey=network.channels == 1)
        return pixels if isinstance(pixels, Rejected) else (image, pixels)

    batch: list[tuple[ImageFile, NDArray[np.uint8]] | Rejected] = []
    for loaded in prefetch(load, images, ahead=2 * batch_size):
        batch.append(loaded)
        if len(batch) == batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


def fix_size(
    network: Network, folder: Path, images: Sequence[ImageFile], size: Sequence[int] | None = None
) -> Network:
    """Set the size of an input that may have any size to that of the first usable image.

    Parameters
    ----------
    size : sequence of int, optional
        Width and height that an earlier run used; they replace those of the first image.

    Raises
    ------
    InputError
        When the model cannot be run on images of that size.
    """
    width, height = network.size
    if width is not None and height is not None:
        return network
    first = (size[0], size[1]) if size else _first_size(folder, images)
    fixed = replace(network, size=(width or first[0], height or first[1]))
    _check_call(fixed)
    return fixed


def _first_size(folder: Path, images: Sequence[ImageFile]) -> tuple[int, int]:
    """Return width and height of the first usable image, in px; 1 x 1 if there is none."""
    for image in images:
        size = upright_size(folder, image.path)
        if not isinstance(size, Rejected):
            return size
    return 1, 1


def predict(
    network: Network,
    folder: Path,
    images: Sequence[ImageFile],
    progress: Progress,
    batch_size: int = BATCH,
) -> Predictions:
    """Run the network over the images of a folder; time grows linearly with their number.

    Raises
    ------
    InputError
        When an output is not a finite number; the message names the image.
    """
    kept: list[ImageFile] = []
    rejected: list[Rejected] = []
    parts: list[Floats] = []
    _, tf = import_keras()
    run = tf.function(lambda values: network.model(values, training=False), reduce_retracing=True)
    for batch in load_batches(network, folder, images, batch_size):
        usable = [item for item in batch if not isinstance(item, Rejected)]
        rejected += [item for item in batch if isinstance(item, Rejected)]
        if usable:
            values = scale(network, np.stack([pixels for _, pixels in usable]))
            outputs = np.asarray(run(tf.constant(values)), dtype=np.float32)
            if not np.isfinite(outputs).all():
                place = int(np.flatnonzero(~np.isfinite(outputs).all(axis=1))[0])
                raise InputError(
                    f"{network.file}: its output for {usable[place][0].path} is not a number: "
                    f"{outputs[place]}. Check that --scaling {network.scaling} is right."
                )
            parts.append(outputs)
            kept += [image for image, _ in usable]
        progress(STAGE, len(kept) + len(rejected), len(images))
    sizes = prefetch(lambda image: upright_size(folder, image.path), kept, ahead=64)
    resized = sum(1 for size in sizes if size != network.size)
    empty = np.empty((0, network.outputs), dtype=np.float32)
    return Predictions(kept, rejected, np.concatenate(parts) if parts else empty, resized)
