"""Confusion and bias: `python -m benchmarks.inspection [MEASUREMENT ...]`.

- digits: a small CNN is trained on scikit-learn's digits, enlarged, with 30 % of the training
  labels of two classes swapped, another two for each seed; the other half of the digits is
  inspected.  Which rank the pair has, and how good the rankings are, which use no labels.
- loop: average bias of drawn classes by arrays and by the triple loop of the formula: seconds, and
  whether the values are the same.
- classes: average bias of 1,000 drawn classes in a process of its own: seconds and peak memory; and
  the whole way from P(n|c) of 26,560 neurons (as of ResNet-50) to the ranked pairs.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.deepinspect.bias import DRIVERS, average_bias, filter_threshold
from pipelines.deepinspect.confusion import napvd
from pipelines.deepinspect.findings import find_pairs
from pipelines.deepinspect.job import Options, inspect_model
from pipelines.dnn.keras import import_keras
from pipelines.runs.files import read_csv

SWAPPED_SHARE = 0.3
SIDE = 24
EPOCHS = 30
PAIRS = ((0, 7), (3, 5), (1, 6), (2, 9), (4, 8))
LOOP, MANY = 300, 1000
DIMENSIONS = 8
NEURONS_OF_RESNET = 26_560


def quiet(stage: str, done: int, total: int) -> None:
    """Listen to nothing."""


def write_digits(folder: Path, seed: int, pair: tuple[int, int] | None) -> Path:
    """Train a CNN on one half of the digits, and write the model and the other half.

    Parameters
    ----------
    pair : tuple of int, optional
        Classes of which 30 % of the training labels are swapped.
    """
    from sklearn.datasets import load_digits

    keras, _ = import_keras()
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    digits = load_digits()
    pictures = np.stack(
        [
            np.asarray(
                Image.fromarray((picture * 255 / 16).astype(np.uint8)).resize((SIDE, SIDE)),
            )
            for picture in digits.images
        ]
    )
    order = rng.permutation(len(pictures))
    half = len(order) // 2
    train, test = order[:half], order[half:]
    labels = digits.target[train].copy()
    for digit, confused_digit in (pair, pair[::-1]) if pair else ():
        members = np.flatnonzero(digits.target[train] == digit)
        labels[rng.permutation(members)[: round(SWAPPED_SHARE * len(members))]] = confused_digit
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(pictures[train][..., None], labels, batch_size=32, epochs=EPOCHS, verbose=0)
    model.save(folder / "dnn.keras")
    for place in test:
        file = folder / "images" / str(digits.target[place]) / f"{place:04d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pictures[place]).save(file)
    return folder


def print_digits(seeds: int) -> None:
    """Print the rank of the pair that was confused, and how good the rankings are."""
    print("digits: rank of the confused pair of 45; gain over random of AUCEC (the most possible)")
    print("seed  pair   right  rank  confusion: errors  gain  most    bias: errors  gain  most")
    gains: dict[str, list[float]] = {"confusion": [], "bias": []}
    ranks = []
    for seed in range(seeds):
        pair = PAIRS[seed % len(PAIRS)]
        with tempfile.TemporaryDirectory() as name:
            folder = write_digits(Path(name), seed, pair)
            run = folder / "run"
            inspect_model(folder / "dnn.keras", folder / "images", run, Options(), progress=quiet)
            rows = read_csv(run / "confusion.csv")
            predictions = read_csv(run / "predictions.csv")
            evaluation = json.loads((run / "evaluation.json").read_text())
        right = np.mean([row["expected"] == row["predicted"] for row in predictions])
        names = {str(digit) for digit in pair}
        rank = next(int(row["rank"]) for row in rows if {row["class_a"], row["class_b"]} == names)
        ranks.append(rank)
        cells = []
        for kind in ("confusion", "bias"):
            ranking = evaluation[kind]
            if ranking is None:
                cells.append(f"{'none':>17}{'':>14}")
                continue
            gains[kind].append(ranking["aucec_gain_over_random"])
            most = 2 * ranking["aucec_optimum"] - 1
            cells.append(
                f"{ranking['errors']:>17}{ranking['aucec_gain_over_random']:>7.0%}{most:>7.0%}"
            )
        print(f"{seed:>4}  {pair[0]}, {pair[1]}{right:>8.1%}{rank:>6}{cells[0]}{cells[1]}")
    print(f"first in {sum(rank == 1 for rank in ranks)} of {seeds}; ", end="")
    for kind, gains_of_kind in gains.items():
        if gains_of_kind:
            least = min(gains_of_kind)
            print(f"{kind}: mean gain {np.mean(gains_of_kind):.0%} (least {least:.0%}); ", end="")
    print()


def draw_distances(k: int, seed: int = 0) -> NDArray[np.float64]:
    """Draw classes as points, and return their distances: every sixth one or so is a near one."""
    points = np.random.default_rng(seed).normal(size=(k, DIMENSIONS))
    return np.sqrt(((points[:, None] - points) ** 2).sum(axis=2))


def draw_probabilities(k: int, neurons: int, seed: int = 0) -> NDArray[np.float32]:
    """Draw P(n|c): classes of a group share most of their neurons."""
    rng = np.random.default_rng(seed)
    groups = rng.beta(0.3, 0.6, (neurons, max(2, k // 10))).astype(np.float32)
    matrix = groups[:, rng.integers(0, groups.shape[1], k)]
    matrix += rng.normal(0, 0.1, matrix.shape).astype(np.float32)
    return np.clip(matrix, 0, 1)


def loop_bias(distances: list[list[float]], threshold: float) -> list[list[float]]:
    """Go through all triplets (Equations 3 and 4, and the filter of section IV-C)."""
    count = len(distances)
    result = [[float("nan")] * count for _ in range(count)]
    for a in range(count):
        for b in range(a + 1, count):
            total = 0.0
            for c in range(count):
                if c in (a, b):
                    continue
                near, far = distances[c][a], distances[c][b]
                if near > threshold and far > threshold:
                    continue
                if near + far:
                    total += abs(near - far) / (near + far)
            result[a][b] = result[b][a] = total / (count - 2)
    return result


def print_loop(k: int) -> None:
    """Print how much faster arrays are than the triple loop, and how far apart the values."""
    distances = draw_distances(k)
    start = time.perf_counter()
    reference = np.array(loop_bias(distances.tolist(), filter_threshold(distances)))
    slow = time.perf_counter() - start
    apart, times = 0.0, {}
    for drivers in (0, DRIVERS):
        turns = []
        for _ in range(9):
            start = time.perf_counter()
            bias = average_bias(distances, drivers=drivers).average
            turns.append(time.perf_counter() - start)
        times[drivers] = min(turns)
        apart = max(apart, float(np.nanmax(np.abs(bias - reference))))
    share = (distances <= filter_threshold(distances)).mean()
    print(
        f"loop: {k} classes, {share:.0%} of the distances near: triple loop {slow:.2f} s; arrays "
        f"{times[0]:.3f} s, {slow / times[0]:.0f} times faster; with the third classes that drive "
        f"each pair {times[DRIVERS]:.3f} s, {slow / times[DRIVERS]:.0f} times faster; values at "
        f"most {apart:.1e} apart"
    )


def measure_classes(k: int, whole: bool) -> None:
    """Print seconds and peak memory of bias, or of all that follows from P(n|c)."""
    if whole:
        matrix = draw_probabilities(k, NEURONS_OF_RESNET)
        start = time.perf_counter()
        distances = napvd(matrix)
        first = time.perf_counter() - start
        find_pairs(tuple(map(str, range(k))), distances, 1)
        what = f"{NEURONS_OF_RESNET:,} neurons to ranked pairs (NAPVD {first:.1f} s)"
    else:
        distances = draw_distances(k)
        start = time.perf_counter()
        average_bias(distances)
        what = "average bias"
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"classes: {k:,}, {what}: {seconds:.1f} s, peak memory {peak:.2f} GiB", flush=True)


def print_classes(k: int) -> None:
    """Measure many classes, each time in a process of its own."""
    for part in ("bias", "whole"):
        command = [sys.executable, "-m", "benchmarks.inspection", "--measure", part]
        subprocess.run([*command, "--many-classes", str(k)], check=True)


MEASUREMENTS = {
    "digits": lambda arguments: print_digits(arguments.seeds),
    "loop": lambda arguments: print_loop(arguments.classes),
    "classes": lambda arguments: print_classes(arguments.many_classes),
}


def main() -> None:
    """Print the measurements that are named, all by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "measurements", nargs="*", metavar="MEASUREMENT", help=f"of {', '.join(MEASUREMENTS)}"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--classes", type=int, default=LOOP)
    parser.add_argument("--many-classes", type=int, default=MANY)
    parser.add_argument("--measure", choices=("bias", "whole"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure_classes(arguments.many_classes, arguments.measure == "whole")
        return
    for measurement in arguments.measurements or MEASUREMENTS:
        MEASUREMENTS[measurement](arguments)


if __name__ == "__main__":
    main()
