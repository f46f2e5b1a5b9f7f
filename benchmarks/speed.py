"""Speed beside the obvious alternatives: `python -m benchmarks.speed [features] [search] [gif]`.

Every part runs its contestants in turn, and prints medians and ratios. Ratios apply to other
machines, too; seconds do not.

- features: images per second, end to end from 640 x 480 JPEG files, of three contestants: the tool;
  a plain loop of load, resize and `predict` in batches of 32; and the limit that the machine's
  matrix product sets, 31 GFLOP per image at the speed of float32 products of 2048 x 2048 matrices.
- search: seconds for 30 values of eps with a silhouette each, of the tool and of a fresh
  `DBSCAN(eps).fit` and `silhouette_score` for each eps; the labels are compared.
- gif: seconds and PSNR of 100 frames, of the tool and of `imageio.mimsave` with its defaults.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from benchmarks import gif
from pipelines.data.images import ImageFile, check_image, find_files
from pipelines.safe import clustering, dbscan, features, silhouette
from pipelines.safe.recipe import RECIPES
from pipelines.safe.store import open_store
from pipelines.safe.weights import Weights, load_weights

GFLOP_AN_IMAGE = 31.0
LAYERS = RECIPES["default"].layers
MEASUREMENTS = ("features", "search", "gif")
NAIVE_CANDIDATES_AT_MOST = 30


def seconds(function: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def peak_gib() -> float:
    """Return this process's highest resident memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def draw_photographs(folder: Path, count: int) -> None:
    """Write 640 x 480 JPEG files with the detail of photographs."""
    for number in range(count):
        rng = np.random.default_rng(number)
        coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        fine = Image.fromarray(rng.integers(0, 256, (480, 640, 3), dtype=np.uint8))
        picture = coarse.resize((640, 480), Image.Resampling.BICUBIC)
        soft = fine.filter(ImageFilter.GaussianBlur(1))
        Image.blend(picture, soft, 0.3).save(folder / f"{number:04d}.jpg", quality=90)


def build_plain_network(weights: Weights) -> Any:
    """Build Keras' own VGG16 with the tool's weights, and its pooled layers as outputs."""
    import keras
    from keras.applications import VGG16

    base = VGG16(include_top=False, weights=None, input_shape=(224, 224, 3))
    for name, arrays in weights.layers.items():
        base.get_layer(name).set_weights(arrays)
    averages = [keras.ops.mean(base.get_layer(layer).output, axis=(1, 2)) for layer in LAYERS]
    return keras.Model(base.input, averages)


def measure_features(count: int, repeats: int, precisions: list[str]) -> None:
    """Print images a second of the tool, the plain loop and the floor."""
    weights = load_weights(None, top=False)
    networks = {
        precision: features.build_network(weights, LAYERS, features.choose_precision(precision))
        for precision in precisions
    }
    from keras.applications.vgg16 import preprocess_input

    plain = build_plain_network(weights)
    matrix = np.random.default_rng(0).random((2048, 2048), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        images_folder = Path(folder, "images")
        images_folder.mkdir()
        draw_photographs(images_folder, count)
        results = [check_image(images_folder, path) for path in find_files(images_folder)[0]]
        images = [image for image in results if isinstance(image, ImageFile)]

        def plain_loop() -> None:
            for start in range(0, count, 32):
                batch = [
                    np.asarray(
                        Image.open(images_folder / image.path).convert("RGB").resize((224, 224)),
                        dtype=np.float32,
                    )
                    for image in images[start : start + 32]
                ]
                plain.predict(preprocess_input(np.stack(batch)), verbose=0)

        def tool(precision: str) -> None:
            cache = Path(tempfile.mkdtemp(dir=folder))
            width = sum(features.list_widths(LAYERS))
            with open_store(cache, weights.digest, LAYERS, precision, width) as store:
                features.extract(
                    images_folder,
                    images,
                    lambda: networks[precision],
                    store,
                    8,
                    lambda stage, done, total: None,
                )

        def floor() -> None:
            for _ in range(8):
                matrix @ matrix

        contestants: dict[str, tuple[Callable[[], None], float]] = {
            "floor of the matrix product": (floor, 8 * 2 * 2048**3 / 1e9 / GFLOP_AN_IMAGE),
            "plain loop": (plain_loop, float(count)),
        }
        for precision in precisions:
            contestants[f"tool, {precision}"] = (lambda p=precision: tool(p)), float(count)  # type: ignore[misc]
        for function, _ in contestants.values():  # the first call warms up
            function()
        speeds: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(repeats):
            for name, (function, amount) in contestants.items():
                speeds[name].append(amount / seconds(function))
    print(f"features: {count} JPEG files of 640 x 480, {repeats} repeats")
    print_speeds(speeds)


def print_speeds(speeds: dict[str, list[float]]) -> None:
    """Print the medians of images a second, and their ratios to the plain loop and the floor."""
    medians = {name: median(values) for name, values in speeds.items()}
    print(f"{'':<30}{'images/s':>10}{'of plain loop':>15}{'of floor':>10}")
    for name, speed in medians.items():
        to_plain = speed / medians["plain loop"]
        to_floor = speed / medians["floor of the matrix product"]
        print(f"{name:<30}{speed:>10.2f}{to_plain:>15.2f}{to_floor:>10.2f}")
    print(f"peak memory of this process {peak_gib():.2f} GiB")


def measure_search(sizes: list[int], naive_candidates: int) -> None:
    """Print seconds of the eps search and of the naive way, and compare their labels."""
    from sklearn.cluster import DBSCAN
    from sklearn.metrics import silhouette_score

    print("search: images    tool s  naive s  ratio   labels  peak GiB")
    for n in sizes:
        rng = np.random.default_rng(n)
        centres = rng.normal(size=(60, 50))
        spread = 0.35 * rng.uniform(0.5, 2, (n, 1))
        points = (centres[rng.integers(0, 60, n)] + spread * rng.normal(size=(n, 50))).astype("f4")
        start = time.perf_counter()
        distances = dbscan.Distances(points)
        neighbours = dbscan.find_nearest(points, 3)
        values = clustering.propose_eps(neighbours.distances[:, 2])
        values = list(np.interp(np.linspace(0, len(values) - 1, 30), range(len(values)), values))
        tree = dbscan.grow_spanning_tree(distances, neighbours.distances[:, 2])
        labellings = [dbscan.cut(tree, neighbours, eps, 3) for eps in values]
        silhouette.compute_silhouettes(distances, labellings)
        ours, peak = time.perf_counter() - start, peak_gib()
        del distances
        candidates = np.unique(np.linspace(0, 29, naive_candidates).astype(int))
        naive, equal = 0.0, True
        for place in candidates:
            start = time.perf_counter()
            labels = DBSCAN(eps=values[place], min_samples=3).fit(points).labels_
            if 1 < len(set(labels)) < n:
                silhouette_score(points, labels)
            naive += (time.perf_counter() - start) * 30 / len(candidates)
            equal &= bool(np.array_equal(labels, labellings[place]))
        verdict = "equal" if equal else "DIFFER"
        print(f"{n:<16}{ours:>8.2f}{naive:>9.1f}{naive / ours:>7.1f}{verdict:>9}{peak:>10.2f}")


def main() -> None:
    """Run the measurements that are named, all by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "measurements", nargs="*", help=f"of {', '.join(MEASUREMENTS)}; all by default"
    )
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--precisions", nargs="+", default=["float32"])
    parser.add_argument("--sizes", type=int, nargs="+", default=[5000, 20000])
    parser.add_argument("--naive-candidates", type=int, default=NAIVE_CANDIDATES_AT_MOST)
    arguments = parser.parse_args()
    names = arguments.measurements or MEASUREMENTS
    if "search" in names:  # first, so that the peak memory is its own
        measure_search(arguments.sizes, arguments.naive_candidates)
    if "features" in names:
        measure_features(arguments.images, arguments.repeats, arguments.precisions)
    if "gif" in names:
        gif.print_table()


if __name__ == "__main__":
    main()
