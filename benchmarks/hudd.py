"""HUDD beside a direct implementation of the paper: `python -m benchmarks.hudd [MEASUREMENT ...]`.

- clusters: seconds from 500 heatmaps to the clusters of a layer. The tool, with the heatmaps in
  memory and in a file, is compared with the published method: a loop over pairs of normalised
  heatmaps that are all in memory, and WICD computed from scratch for each number of clusters. Both
  run in one process, in turn; distances and clusters (by the adjusted Rand index) are compared.
- memory: the same for 5,000 heatmaps in a file, of the tool alone, in a process of its own: seconds
  of each step and peak memory.
- lrp: the cost of the relevance of all layers, in plain forward passes of the same batch.
- example: on the example, the share of clusters that have a parameter with RR above 0.5 and 0.9,
  both as in the paper and beyond chance; HUDD's clusters and SAFE's side by side.

In the first two, heatmaps are drawn: 20 patterns, each varied; one image in a hundred is nearly the
same as another.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.metrics import adjusted_rand_score

from examples.eyes import FAILURES, write_example
from examples.gaze_dnn import build_dnn
from examples.sampling import ANGLES
from pipelines.clusters.clusters import read_clusters
from pipelines.clusters.explanation_tables import TableFiles, read_tables
from pipelines.clusters.shared_parameters import find_parameters
from pipelines.clusters.variance_reduction import compute_reductions
from pipelines.dnn.keras import import_keras
from pipelines.dnn.relevance import PREDICTED, build_relevance
from pipelines.hudd import clustering, distances, wicd
from pipelines.hudd.job import Options, find_clusters_by_heatmaps
from pipelines.safe.job import find_root_cause_clusters
from pipelines.safe.recipe import Options as SafeOptions

CONVOLUTION = 169 * 256
"""Entries of a heatmap of AlexNet's eighth layer, as the paper counts them."""
LINEAR = 4096
"""Of its tenth."""
PATTERNS = 20
BATCH = 250
IMAGES, MANY_IMAGES = 500, 5000


def seconds_since(start: float) -> float:
    """Return the seconds since a reading of the clock."""
    return time.perf_counter() - start


def peak_gib() -> float:
    """Return this process's highest resident memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def write_heatmaps(path: Path, n: int, d: int) -> None:
    """Draw heatmaps into a file: many entries near 0 and few large ones, as relevance is."""
    rng = np.random.default_rng(0)
    patterns = rng.gamma(0.3, 1, (PATTERNS, d)).astype(np.float32)
    with path.open("wb") as file:
        writer = distances.HeatmapWriter(file, n, d)
        for start in range(0, n, BATCH):
            count = min(BATCH, n - start)
            batch = patterns[rng.integers(0, PATTERNS, count)]
            batch *= rng.gamma(4, 0.25, (count, d)).astype(np.float32)
            for place in range(1, count, 100):
                batch[place] = batch[place - 1] * np.float32(1.001)
            writer.append(batch)
        writer.finish()


def measure_published_distances(heatmaps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normalise all heatmaps, and go through their pairs (Equations 1 to 4)."""
    lowest, highest = heatmaps.min(), heatmaps.max()
    entries = (heatmaps - lowest) / (highest - lowest)
    result = np.zeros((len(heatmaps), len(heatmaps)), dtype=np.float32)
    for first, second in combinations(range(len(heatmaps)), 2):
        distance = np.linalg.norm(entries[first] - entries[second])
        result[first, second] = result[second, first] = distance
    return result


def compute_published_wicd(between: list[list[float]], labels: list[int]) -> float:
    """Go through the pairs of every cluster (Equations 5 and 6)."""
    total = 0.0
    for cluster in set(labels):
        members = [image for image, label in enumerate(labels) if label == cluster]
        pairs = list(combinations(members, 2))
        if pairs:
            mean = sum(between[first][second] for first, second in pairs) / len(pairs)
            total += mean * len(members) / len(labels)
    return total / len(set(labels))


def find_published_clusters(between: NDArray[np.float32]) -> NDArray[np.int32]:
    """Cut the dendrogram at every number of clusters, and take the one at the knee."""
    merges = linkage(squareform(between), "ward")
    numbers = range(2, wicd.limit_clusters(len(between)) + 1)
    labellings = [fcluster(merges, number, "maxclust") for number in numbers]
    rows = between.tolist()
    curve = np.array([compute_published_wicd(rows, labels.tolist()) for labels in labellings])
    labels: NDArray[np.int32] = labellings[wicd.choose_number(curve) - 2]
    return labels


def print_clusters(n: int, repeats: int) -> None:
    """Print seconds of the tool and of the published way, and compare what they find."""
    print(f"clusters: {n} heatmaps, the fastest of {repeats} turns each")
    print("entries  contestant         distances s  clusters s   all s   times the published way")
    for d in (LINEAR, CONVOLUTION):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "heatmaps.npy")
            write_heatmaps(path, n, d)
            file_heatmaps = distances.open_heatmaps(path)
            heatmaps = np.array(file_heatmaps)
            ways = {
                "tool, in memory": (
                    lambda heatmaps=heatmaps: distances.measure_distances(heatmaps),
                    lambda between: clustering.cluster_layer("layer", between).labels,
                ),
                "tool, from a file": (
                    lambda heatmaps=file_heatmaps: distances.measure_distances(heatmaps),
                    lambda between: clustering.cluster_layer("layer", between).labels,
                ),
                "published way": (
                    lambda heatmaps=heatmaps: measure_published_distances(heatmaps),
                    find_published_clusters,
                ),
            }
            clustering.cluster_layer("warm", distances.measure_distances(heatmaps[:50]))
            times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
            outcomes = {}
            for _ in range(repeats):
                for name, (measure, cluster) in ways.items():
                    start = time.perf_counter()
                    between = measure()
                    first = seconds_since(start)
                    labels = cluster(between)
                    times[name].append((first, seconds_since(start)))
                    outcomes[name] = between, labels
        whole = {name: min(total for _, total in pairs) for name, pairs in times.items()}
        for name, pairs in times.items():
            first = min(first for first, _ in pairs)
            print(
                f"{d:>7}  {name:<18}{first:>12.3f}{whole[name] - first:>12.3f}"
                f"{whole[name]:>8.3f}{whole['published way'] / whole[name]:>10.1f}"
            )
        published_distances, published_labels = outcomes["published way"]
        for name in list(ways)[:-1]:
            ours, labels = outcomes[name]
            apart = float(np.abs(ours - published_distances).max())
            same = adjusted_rand_score(labels, published_labels)
            print(
                f"{d:>7}  {name}: distances at most {apart:.1e} apart, the largest is "
                f"{published_distances.max():.2f}; {labels.max() + 1} clusters, Rand index "
                f"{same:.3f}"
            )


def print_memory(n: int) -> None:
    """Measure `n` heatmaps in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "heatmaps.npy")
        write_heatmaps(path, n, CONVOLUTION)
        command = [sys.executable, "-m", "benchmarks.hudd", "--file", str(path)]
        subprocess.run(command, check=True)


def measure_file(path: Path) -> None:
    """Print seconds and memory from a file of heatmaps to all that is shown of the clusters."""
    heatmaps = distances.open_heatmaps(path)
    n, d = heatmaps.shape
    size = path.stat().st_size / 2**30
    print(f"memory: {n:,} heatmaps of {d:,} entries, a file of {size:.2f} GiB; ", end="")
    print(f"{peak_gib():.2f} GiB before", flush=True)
    start = time.perf_counter()
    between = distances.measure_distances(heatmaps)
    print(f"distances    {seconds_since(start):>7.1f} s, peak {peak_gib():.2f} GiB", flush=True)
    start = time.perf_counter()
    layer_clusters = clustering.cluster_layer("layer", between)
    print(f"clusters     {seconds_since(start):>7.1f} s, peak {peak_gib():.2f} GiB", flush=True)
    start = time.perf_counter()
    clustering.measure_centre_distances(between, layer_clusters.labels)
    clustering.compute_silhouettes(between, layer_clusters.labels)
    clustering.map_places(between)
    print(f"what is shown{seconds_since(start):>7.1f} s, peak {peak_gib():.2f} GiB", flush=True)
    start = time.perf_counter()
    nearest = distances.measure_cluster_distances(heatmaps, heatmaps, layer_clusters.labels)
    right = (nearest.argmin(axis=1) == layer_clusters.labels).mean()
    print(
        f"as new images{seconds_since(start):>7.1f} s, peak {peak_gib():.2f} GiB; "
        f"{100 * right:.1f} % go to their own cluster of {layer_clusters.clusters}"
    )


def print_relevance() -> None:
    """Print how many forward passes one pass of relevance costs, the median of nine turns."""
    keras, tf = import_keras()
    layers = keras.layers
    blocks = [
        layer
        for filters in (32, 64, 128)
        for layer in (
            layers.Conv2D(filters, 3, padding="same", activation="relu"),
            layers.Conv2D(filters, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
        )
    ]
    end = [layers.Flatten(), layers.Dense(128, "relu"), layers.Dense(10, "softmax")]
    networks = {
        "the example's DNN, 160 x 120": build_dnn(),
        "six convolutions, 64 x 64": keras.Sequential([keras.Input((64, 64, 3)), *blocks, *end]),
    }
    for name, model in networks.items():
        shape = (32, *model.input_shape[1:])
        images = np.random.default_rng(0).uniform(0, 1, shape).astype(np.float32)
        targets = np.full(len(images), PREDICTED, dtype=np.int32)
        forward = tf.function(lambda values, model=model: model(values, training=False))
        propagate = build_relevance(model)
        ratios = []
        for turn in range(10):
            start = time.perf_counter()
            forward(images).numpy()
            middle = time.perf_counter()
            propagate(images, targets)
            if turn:  # the first compiles
                ratios.append(seconds_since(middle) / (middle - start))
        print(f"lrp: {name}, 32 images: {np.median(ratios):.1f} forward passes, all layers")


def print_example(seeds: int) -> None:
    """Print how far parameters are reduced in HUDD's and in SAFE's clusters."""
    best: dict[str, list[float]] = {"HUDD": [], "SAFE": []}
    significant: dict[str, list[float]] = {"HUDD": [], "SAFE": []}
    layers = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            example = Path(folder, f"example {seed}")
            write_example(example, seed=seed)
            failures = example / FAILURES
            heat, safe = Path(folder, f"heatmaps {seed}"), Path(folder, f"clusters {seed}")
            model = example / "model.keras"
            manifest = find_clusters_by_heatmaps(model, failures, heat, Options(), progress=quiet)
            layers.append(manifest.chosen["layer"])
            find_root_cause_clusters(failures, safe, SafeOptions(), progress=quiet)
            for name, run in (("HUDD", heat), ("SAFE", safe)):
                clusters = read_clusters(run)
                table_files = TableFiles((failures / "parameters.csv",), tuple(ANGLES))
                tables = read_tables(table_files, failures, clusters.paths)
                parameters = tables.table.parameters
                rates: dict[int, list[float]] = {}
                for parameter in parameters:
                    for cluster, (rate, _) in compute_reductions(
                        parameter, clusters.labels
                    ).items():
                        rates.setdefault(cluster, []).append(rate)
                best[name] += [max(rates_of_cluster) for rates_of_cluster in rates.values()]
                for findings in find_parameters(parameters, clusters.labels, seed=0).values():
                    significant[name].append(
                        max((finding.reduction for finding in findings), default=0.0)
                    )
    print(f"example, {seeds} seeds; layers chosen: {', '.join(layers)}")
    for name, largest in best.items():
        print(f"{name}: {len(largest)} clusters with a parameter whose RR is")
        for what, rates in (("whatever chance", largest), ("beyond chance", significant[name])):
            shares = [
                f"above {least}: {np.mean(np.array(rates) > least):.0%}" for least in (0.5, 0.9)
            ]
            print(f"  {what}, {', '.join(shares)}")


def quiet(stage: str, done: int, total: int) -> None:
    """Listen to nothing."""


MEASUREMENTS = {
    "clusters": lambda arguments: print_clusters(arguments.images, arguments.repeats),
    "memory": lambda arguments: print_memory(arguments.many_images),
    "lrp": lambda arguments: print_relevance(),
    "example": lambda arguments: print_example(arguments.seeds),
}


def main() -> None:
    """Print the measurements that are named, all by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "measurements", nargs="*", metavar="MEASUREMENT", help=f"of {', '.join(MEASUREMENTS)}"
    )
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--many-images", type=int, default=MANY_IMAGES)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.file:
        measure_file(arguments.file)
        return
    for measurement in arguments.measurements or MEASUREMENTS:
        MEASUREMENTS[measurement](arguments)


if __name__ == "__main__":
    main()
