"""HUDD, section IV-A, first activity: write the heatmaps of the failing images to files."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from pipelines.data.images import ImageFile, Rejected
from pipelines.dnn.lrp_plan import INPUT
from pipelines.dnn.lrp_rules import Rule
from pipelines.dnn.model import Network, load_batches, scale
from pipelines.dnn.relevance import build_relevance, relevance_layers
from pipelines.hudd.distances import HeatmapWriter, Limits
from pipelines.runs.errors import InputError
from pipelines.runs.files import atomic_write
from pipelines.runs.folder import Progress

BATCH = 16
STAGE = "propagating relevance"
SHARE_OF_DISK = 0.9
"""Share of the free space that heatmaps may take."""
PICTURE_SIDE = 56
PICTURE_RANGE = 0.99

Targets = Mapping[str, int]


@dataclass(frozen=True)
class LayerHeatmaps:
    """The files with the heatmaps of a layer.

    Attributes
    ----------
    file : Path
        Heatmaps, float32, shape (n, d); see `distances.open_heatmaps`.
    shape : tuple of int
        Shape of one heatmap.
    limits : pair of float
        Smallest and largest entry.
    pictures : Path, optional
        Small pictures, int8, shape (n, height, width); None for a layer without feature maps.
    """

    file: Path
    shape: tuple[int, ...]
    limits: Limits
    pictures: Path | None


def choose_layers(network: Network, chosen: Sequence[str]) -> tuple[str, ...]:
    """Return the layers whose heatmaps are clustered: the user's, otherwise all internal ones.

    Input and output are not internal. The relevance of the output layer is one number, that of the
    explained output, so its heatmaps would distinguish only the predicted classes.

    Parameters
    ----------
    chosen : sequence of str
        The user's choice; empty for all internal layers.

    Raises
    ------
    InputError
        When relevance cannot pass through the network, or it has no such layer.
    """
    layers = relevance_layers(network.model)
    if unknown := [name for name in chosen if name not in layers]:
        raise InputError(
            f"--layer: the model has no layer {unknown[0]!r} with heatmaps. Choose among "
            f"{', '.join(layers)}."
        )
    return tuple(chosen) or layers[1:-1] or layers


def write_heatmaps(
    network: Network,
    layers: Sequence[str],
    rule: str,
    folder: Path,
    images: Sequence[ImageFile],
    targets: Targets,
    out: Path,
    progress: Progress,
    *,
    batch_size: int = BATCH,
    on_batch: Callable[[str, NDArray[np.float32]], None] | None = None,
) -> dict[str, LayerHeatmaps]:
    """Write the heatmaps of images at several layers, in the order of the images.

    Time grows linearly with the number of images, memory with a batch, and disk space with the
    number of images times the entries of all layers.

    Parameters
    ----------
    layers : sequence of str
        Some of `dnn.relevance.relevance_layers`.  Heatmaps of the input are summed over channels.
    rule : str
        See `dnn.relevance.build_relevance`.
    images : sequence of ImageFile, length n
        Images that could be decoded before.
    targets : mapping of str to int
        The output to explain, by path; for other paths, that of the predicted class.
    out : Path
        An existing folder for the files.
    on_batch : callable, optional
        Called with the name of a layer and its heatmaps (float32, shape (b, d)), for each batch.

    Raises
    ------
    InputError
        When the disk has too little space, or an image can no longer be decoded.
    """
    # build_relevance refuses an unknown rule.
    propagate = build_relevance(network.model, rule=cast("Rule", rule), layers=tuple(layers))
    files: dict[str, _LayerFiles] = {}
    done = 0
    with ExitStack() as stack:
        for batch in load_batches(network, folder, images, batch_size):
            paths, pixels = _decoded(folder, batch)
            explained = np.array([targets.get(path, -1) for path in paths], np.int32)
            relevances = propagate(scale(network, pixels), explained).layers
            maps = {name: _flat(name, relevances[name]) for name in layers}
            if not files:
                _check_disk(out, len(images), maps)
                for number, name in enumerate(layers):
                    base = out / f"{number:03d}"
                    files[name] = _open_files(stack, base, len(images), maps[name])
            for name, rows in maps.items():
                files[name].append(rows)
                if on_batch:
                    on_batch(name, rows.reshape(len(rows), -1))
            done += len(paths)
            progress(STAGE, done, len(images))
        return {name: layer_files.finish() for name, layer_files in files.items()}


def _decoded(
    folder: Path, batch: Sequence[tuple[ImageFile, NDArray[np.uint8]] | Rejected]
) -> tuple[list[str], NDArray[np.uint8]]:
    """Return paths and pixels; raise InputError when an image can no longer be decoded."""
    paths, pixels = [], []
    for item in batch:
        if isinstance(item, Rejected):
            raise InputError(
                f"{folder / item.path} can no longer be read: {item.reason}. It has changed since "
                "this job started. Restore it, and start the job again."
            )
        paths.append(item[0].path)
        pixels.append(item[1])
    return paths, np.stack(pixels)


@dataclass(frozen=True)
class _LayerFiles:
    """The files of a layer while its heatmaps are written.

    Attributes
    ----------
    file : Path
    shape : tuple of int
        Shape of one heatmap.
    heatmaps : HeatmapWriter
        Writes to `file`.
    pictures : pair of Path and binary file, optional
    """

    file: Path
    shape: tuple[int, ...]
    heatmaps: HeatmapWriter
    pictures: tuple[Path, BinaryIO] | None

    def append(self, maps: NDArray[np.float32]) -> None:
        """Write the next heatmaps and their pictures."""
        self.heatmaps.append(maps)
        if self.pictures is not None:
            self.pictures[1].write(draw_maps(maps).tobytes())

    def finish(self) -> LayerHeatmaps:
        """Return the files, once all heatmaps are written."""
        pictures = self.pictures[0] if self.pictures else None
        return LayerHeatmaps(self.file, self.shape, self.heatmaps.finish(), pictures)


def _open_files(stack: ExitStack, base: Path, count: int, maps: NDArray[np.float32]) -> _LayerFiles:
    """Open the files of a layer for `count` heatmaps of the shape of `maps`, its first batch."""
    file, shape = base.with_name(f"{base.name}.npy"), maps.shape[1:]
    size = int(np.prod(shape))
    heatmaps = HeatmapWriter(stack.enter_context(atomic_write(file)), count, size)
    if len(shape) == 1:
        return _LayerFiles(file, shape, heatmaps, None)
    pictures = base.with_name(f"{base.name}-pictures.npy")
    drawing = stack.enter_context(atomic_write(pictures))
    _write_header(drawing, "|i1", (count, *draw_maps(maps[:1]).shape[1:]))
    return _LayerFiles(file, shape, heatmaps, (pictures, drawing))


def draw_maps(maps: NDArray[np.float32]) -> NDArray[np.int8]:
    """Make small pictures of heatmaps: summed over channels, averaged, scaled one by one.

    Parameters
    ----------
    maps : array of float32, shape (b, height, width) or (b, height, width, channels)

    Returns
    -------
    array of int8, shape (b, h, w)
        -127 to 127; 0 is no relevance. 127 stands for the value that one entry in a hundred
        exceeds; otherwise a single bright spot would darken all others. Sides are at most
        `PICTURE_SIDE`.
    """
    flat = maps.sum(axis=3) if maps.ndim == 4 else maps
    small = flat
    for axis in (1, 2):
        starts = np.arange(0, small.shape[axis], -(-small.shape[axis] // PICTURE_SIDE))
        lengths = np.diff(starts, append=small.shape[axis])
        shape = (1, -1, 1) if axis == 1 else (1, 1, -1)
        small = np.add.reduceat(small, starts, axis=axis) / lengths.reshape(shape)
    amount = np.abs(small).reshape(len(small), -1)
    large = np.quantile(amount, PICTURE_RANGE, axis=1)
    large = np.where(large > 0, large, amount.max(axis=1))[:, None, None]
    scaled = np.clip(small / np.where(large > 0, large, 1), -1, 1)
    return np.round(127 * scaled).astype(np.int8)


def _write_header(file: BinaryIO, kind: str, shape: tuple[int, ...]) -> None:
    header = {"descr": kind, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _flat(name: str, maps: NDArray[np.float32]) -> NDArray[np.float32]:
    return maps.sum(axis=3) if name == INPUT else maps


def _check_disk(out: Path, images: int, maps: Mapping[str, NDArray[np.float32]]) -> None:
    wanted = images * sum(rows.nbytes // len(rows) for rows in maps.values())
    free = shutil.disk_usage(out).free
    if wanted > SHARE_OF_DISK * free:
        raise InputError(
            f"the heatmaps take {wanted / 1e9:.1f} GB in {out}, where {free / 1e9:.1f} GB are "
            "free. Choose fewer layers with --layer, or an --out on another disk."
        )
