"""Features of images from VGG16 pre-trained on ImageNet (SAFE, section 2: features extraction).

The network takes images of 224 x 224 pixels with Keras' preprocessing. A convolution or pooling
layer gives one feature per channel, its average over the picture; a dense layer gives its outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Floats
from pipelines.data.images import ImageFile, Rejected
from pipelines.data.pixels import load_pixels
from pipelines.data.prefetch import prefetch
from pipelines.dnn.keras import import_keras
from pipelines.runs.errors import InputError
from pipelines.runs.folder import Progress
from pipelines.safe.store import FeatureStore, open_store
from pipelines.safe.weights import CONVOLUTIONS, DENSES, Weights, cache_folder

SIDE = 224
STAGE = "extracting features"
Precision = Literal["float32", "bfloat16"]
Network = Callable[[NDArray[np.uint8]], Floats]

WIDTHS = {name: shape[-1] for name, shape in (CONVOLUTIONS | DENSES).items()} | {
    "block1_pool": 64,
    "block2_pool": 128,
    "block3_pool": 256,
    "block4_pool": 512,
    "block5_pool": 512,
}
"""Number of features by layer."""
POOLS = ("block1_pool", "block2_pool", "block3_pool", "block4_pool", "block5_pool")
"""Layers that are extracted for every recipe, so that the store serves all recipes; the cost is
negligible."""


def list_widths(layers: Sequence[str]) -> tuple[int, ...]:
    """Return the number of features of each layer.

    Raises
    ------
    InputError
        When VGG16 has no such layer, or `layers` is empty.
    """
    for layer in layers:
        if layer not in WIDTHS:
            raise InputError(
                f"layers: VGG16 has no layer {layer!r}. Choose from {', '.join(WIDTHS)}."
            )
    if not layers:
        raise InputError(
            f"layers: expected at least one, received none. Choose from {', '.join(WIDTHS)}."
        )
    return tuple(WIDTHS[layer] for layer in layers)


def select_columns(vectors: Floats, extracted: Sequence[str], layers: Sequence[str]) -> Floats:
    """Select the features of some layers, concatenated.

    Parameters
    ----------
    vectors : array of float32, shape (n, sum of widths of `extracted`)
    extracted, layers : sequence of str
        `extracted` includes all of `layers`.

    Returns
    -------
    array of float32, shape (n, sum of widths of `layers`)
    """
    return vectors[:, list_columns(extracted, layers)]


def list_columns(extracted: Sequence[str], layers: Sequence[str]) -> NDArray[np.intp]:
    """Return the columns of some layers' features among the features of all extracted layers.

    Raises
    ------
    ValueError
        When a layer is not among `extracted`.
    """
    ends = np.cumsum([0, *list_widths(extracted)])
    parts = [np.arange(ends[i], ends[i + 1]) for i in map(extracted.index, layers)]
    return np.concatenate(parts)


def choose_precision(wanted: str) -> Precision:
    """Choose the precision of the computation; "auto" takes bfloat16 if the CPU supports it.

    Without CPU instructions for it, bfloat16 is emulated and slower than float32.

    Raises
    ------
    InputError
        When `wanted` is not "auto", "float32" or "bfloat16".
    """
    if wanted == "float32":
        return "float32"
    if wanted == "bfloat16":
        return "bfloat16"
    if wanted != "auto":
        raise InputError(f"precision: expected auto, float32 or bfloat16, received {wanted!r}")
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return "float32"
    return "bfloat16" if flags & {"avx512_bf16", "amx_bf16"} else "float32"


def build_network(weights: Weights, layers: Sequence[str], precision: Precision) -> Network:
    """Build VGG16 up to the deepest of `layers`.

    Parameters
    ----------
    weights : Weights
        Including `fc1` and `fc2` if a layer needs them.
    layers : sequence of str
        Layers whose features the network returns, concatenated in this order.

    Returns
    -------
    callable
        Function from uint8 RGB images, shape (n, 224, 224, 3), to float32 features, shape
        (n, sum of widths).
    """
    keras, tf = import_keras()
    preprocess = keras.applications.vgg16.preprocess_input
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    try:
        top = any(layer in DENSES for layer in layers)
        vgg = keras.applications.VGG16(include_top=top, weights=None, input_shape=(SIDE, SIDE, 3))
        outputs = [vgg.get_layer(layer).output for layer in layers]
        network = keras.Model(vgg.input, outputs)
    finally:
        keras.config.set_dtype_policy(policy)
    for name, arrays in weights.layers.items():
        if any(layer.name == name for layer in network.layers):
            network.get_layer(name).set_weights(arrays)

    @tf.function(input_signature=[tf.TensorSpec((None, SIDE, SIDE, 3), tf.uint8)])
    def run(images):  # type: ignore[no-untyped-def]
        pixels = preprocess(tf.cast(images, tf.float32))
        maps = [tf.cast(part, tf.float32) for part in tf.nest.flatten(network(pixels))]
        return tf.concat([tf.reduce_mean(m, (1, 2)) if m.ndim == 4 else m for m in maps], axis=1)

    def features(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = run(images).numpy()
        return result

    return features


@dataclass(frozen=True)
class ExtractedFeatures:
    """Features of the images of a folder.

    Attributes
    ----------
    images : list of ImageFile, length n
        Images that could be decoded.
    rejected : list of Rejected
        Images that could not be decoded.
    vectors : array of float32, shape (n, sum of widths)
    new : int
        Number of files whose features were not in the store before.
    """

    images: list[ImageFile]
    rejected: list[Rejected]
    vectors: NDArray[np.float32]
    new: int


def extract_through_store(
    folder: Path,
    images: Sequence[ImageFile],
    weights: Weights,
    layers: Sequence[str],
    precision: Precision,
    batch_size: int,
    progress: Progress,
) -> ExtractedFeatures:
    """Return the features of images; only those missing in the feature store are extracted.

    Time grows linearly with the number of missing images, memory with that of all images.

    Raises
    ------
    InputError
        When a layer is unknown, or the feature store cannot be used.
    """
    with open_store(
        cache_folder(), weights.digest, layers, precision, sum(list_widths(layers))
    ) as store:
        new, rejected = extract(
            folder,
            images,
            lambda: build_network(weights, layers, precision),
            store,
            batch_size,
            progress,
        )
        bad = {file.path for file in rejected}
        usable = [image for image in images if image.path not in bad]
        return ExtractedFeatures(
            usable, rejected, store.read([image.digest for image in usable]), new
        )


def extract(
    folder: Path,
    images: Sequence[ImageFile],
    network: Callable[[], Network],
    store: FeatureStore,
    batch_size: int,
    progress: Progress,
) -> tuple[int, list[Rejected]]:
    """Extract the features of all images that the store does not hold yet, and store them.

    Threads decode at most two batches ahead of the network. Each batch is stored as soon as it is
    computed.

    The position of an image in `images` determines its batch, because the last bits of an image's
    features depend on the other images of its batch. So a job that was killed and started again
    computes the same batches and features as an uninterrupted job.

    Time grows with the number of images, memory with `batch_size` only.

    Parameters
    ----------
    network : callable
        Builds the network; only called when there are images to extract.
    batch_size : int
        Images per batch; 8 to 16 is fastest on a CPU.

    Returns
    -------
    extracted : int
        Number of files whose features were not in the store before.
    rejected : list of Rejected
        Files with the header of an image whose pixels cannot be decoded.
    """
    missing = store.missing([image.digest for image in images])
    pending = _assign_batches(images, missing, batch_size)
    if not pending:
        return 0, []

    progress(STAGE, 0, len(pending))
    run = network()
    loaded = prefetch(
        lambda item: load_pixels(folder, item[1], (SIDE, SIDE)), pending, ahead=2 * batch_size
    )
    reasons, done = dict[str, str](), 0
    for _, group in groupby(zip(pending, loaded, strict=True), key=lambda entry: entry[0][0]):
        digests, batch = [], []
        for (_, image), pixels in group:
            done += 1
            if isinstance(pixels, Rejected):
                reasons[image.digest] = pixels.reason
            else:
                digests.append(image.digest)
                batch.append(pixels)
        if batch:
            store.write(digests, run(np.stack(batch)))
        progress(STAGE, done, len(pending))
    rejected = [
        Rejected(image.path, reasons[image.digest]) for image in images if image.digest in reasons
    ]
    return done - len(reasons), rejected


def _assign_batches(
    images: Sequence[ImageFile], missing: Collection[str], batch_size: int
) -> list[tuple[int, ImageFile]]:
    """Return the images to decode with their batch numbers; equal files are decoded once."""
    pending: list[tuple[int, ImageFile]] = []
    left = set(missing)
    for place, image in enumerate(images):
        if image.digest in left:
            left.remove(image.digest)
            pending.append((place // batch_size, image))
    return pending
