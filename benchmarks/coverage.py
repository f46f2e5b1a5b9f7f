"""Importance-Driven Coverage beside the paper and the usual way: `python -m benchmarks.coverage`.

- table: the paper's Tables 3 and 4, on a LeNet-5 that is trained on scikit-learn's digits, enlarged
  to 28 x 28. It shows the coverage of a test set, and of the test set with added images: with noise
  on random and on relevant pixels (U_O+S, U_O+DI), or adversarial. Coverage is IDC for several m,
  and the other criteria. The figures are means over seeds, each with its own network and several
  draws of noise. It also shows by how much relevant pixels raise IDC more than random ones, for two
  rules of relevance.
- time: the cost of the analysis of 10,000 images, in plain predictions of the same files.
- quantise: regions of a neuron on 10,000 and 50,000 images, beside scikit-learn's k-means and
  silhouette.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.metrics import silhouette_score

from pipelines.data.image_lists import list_images
from pipelines.data.images import ImageFile, check_images
from pipelines.deepimportance.coverage import (
    compute_coverage,
    count_combinations,
    find_combinations,
)
from pipelines.deepimportance.criteria import Range, extend_range
from pipelines.deepimportance.importance import choose_important, sum_relevance
from pipelines.deepimportance.job import Options, measure_coverage
from pipelines.deepimportance.measurement import (
    ImageActivations,
    TrainingMeasurements,
    cover_surprises,
    measure_images,
    measure_training,
)
from pipelines.deepimportance.perturbation_job import Options as Perturbing
from pipelines.deepimportance.perturbation_job import perturb_images
from pipelines.deepimportance.quantisation import find_regions, quantise
from pipelines.dnn.activations import build_activations, neuron_layers
from pipelines.dnn.keras import import_keras
from pipelines.dnn.model import BATCH, Network, load_network, predict
from pipelines.dnn.relevance import PREDICTED, build_relevance

SIDE = 28
LAYER = "dense_84"
NUMBERS = (6, 8, 10, 12)
TRAINING_IMAGES, EPOCHS, DRAWS = 1200, 30, 5
SETS = {
    "U_O+S": Perturbing("gaussian-random"),
    "U_O+DI": Perturbing("gaussian"),
    "+FGSM": Perturbing("fgsm", 0.3),
    "+BIM": Perturbing("bim", 0.3),
    "+FGSM 0.1": Perturbing("fgsm", 0.1),
    "+BIM 0.1": Perturbing("bim", 0.1),
}
"""Strengths of adversarial sets: CleverHans' for MNIST, which the paper used, and the tool's."""
CRITERIA = ("NC", "KMNC", "NBC", "SNAC", "TKNC", "LSC", "DSC")


def quiet(stage: str, done: int, total: int) -> None:
    """Ignore progress."""


def write_digits(folder: Path, pictures: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
    """Write digits as PNG files in class folders."""
    for number, (picture, label) in enumerate(zip(pictures, labels.tolist(), strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / str(label) / f"{number:05d}.png")


def enlarge_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return scikit-learn's digits at 28 x 28, grey levels 0 to 255, and their labels."""
    digits = load_digits()
    pictures = [
        np.asarray(
            Image.fromarray((image * 255 / 16).astype(np.uint8)).resize(
                (SIDE, SIDE), Image.Resampling.BICUBIC
            )
        )
        for image in digits.images
    ]
    return np.stack(pictures), digits.target


def train_lenet(pictures: NDArray[np.uint8], labels: NDArray[np.int64], seed: int) -> Any:
    """Train a LeNet-5 with ReLU."""
    keras, _ = import_keras()
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    dnn = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(6, 5, padding="same", activation="relu", name="conv_6"),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 5, activation="relu", name="conv_16"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(120, activation="relu", name="dense_120"),
            layers.Dense(84, activation="relu", name=LAYER),
            layers.Dense(10, activation="softmax", name="end"),
        ]
    )
    dnn.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    dnn.fit(pictures[..., None], labels, batch_size=64, epochs=EPOCHS, verbose=0)
    return dnn


def read_images(folder: Path) -> list[ImageFile]:
    """List the images of a folder."""
    return check_images(folder, list_images(folder).paths, lambda done, total: None)[0]


def learn(
    network: Network, folder: Path, rule: str = "epsilon", layer: str = LAYER
) -> TrainingMeasurements:
    """Measure the training images."""
    layers = tuple(neuron_layers(network.model))
    return measure_training(
        network, layers, layer, folder, read_images(folder), quiet, stage="", rule=rule, targets={}
    )


def look(
    network: Network, folder: Path, learnt: TrainingMeasurements, layer: str = LAYER
) -> ImageActivations:
    """Measure a test set, with all other criteria."""
    activations = measure_images(
        network, layer, folder, read_images(folder), quiet, stage="", ranges=learnt.ranges
    )
    classes, predicted = (m.outputs.argmax(axis=1) for m in (learnt.measured, activations))
    activations.covered.update(
        cover_surprises(activations, predicted, learnt.measured, classes, True)
    )
    return activations


def measure_idc(learnt: TrainingMeasurements, sets: list[ImageActivations], m: int) -> float:
    """Compute IDC of the union of test sets."""
    neurons = choose_important(learnt.cumulative, m, LAYER)
    regions = [quantise(learnt.measured.values[:, neuron]) for neuron in neurons.tolist()]
    rows = np.concatenate([find_regions(images.values[:, neurons], regions) for images in sets])
    combinations = find_combinations(rows)
    return compute_coverage(len(combinations.rows), [len(region.centroids) for region in regions])


def prepare(root: Path, seed: int) -> tuple[Network, Path, dict[str, list[Path]]]:
    """Train a LeNet-5, and write its training set, its test set and those made of it.

    Noise is drawn several times: with 597 test images, one draw alone says little.
    """
    pictures, labels = enlarge_digits()
    order = np.random.default_rng(seed).permutation(len(labels))
    train, test = order[:TRAINING_IMAGES], order[TRAINING_IMAGES:]
    dnn = train_lenet(pictures[train], labels[train], seed)
    dnn.save(root / "lenet.keras")
    write_digits(root / "training", pictures[train], labels[train])
    write_digits(root / "U_O", pictures[test], labels[test])
    folders = {"U_O": [root / "U_O"]}
    for name, options in SETS.items():
        folders[name] = []
        for draw in range(DRAWS if options.how.startswith("gaussian") else 1):
            folders[name].append(root / f"{name} {draw}")
            seeded_options = replace(options, seed=DRAWS * seed + draw)
            out = folders[name][-1]
            perturb_images(root / "lenet.keras", root / "U_O", out, seeded_options, progress=quiet)
    return load_network(root / "lenet.keras"), root / "training", folders


def compute_accuracy(activations: ImageActivations) -> float:
    """Return the share of images that are right, in class folders."""
    labels = [int(image.path.split("/")[0]) for image in activations.images]
    return float((activations.outputs.argmax(axis=1) == np.array(labels)).mean())


def print_table(seeds: int) -> None:
    """Print coverage by each criterion of each test set, and what relevant pixels add."""
    rows: dict[str, dict[str, list[float]]] = {}
    gains: dict[tuple[str, int], list[float]] = {}
    sizes: list[str] = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            network, training, folders = prepare(Path(folder), seed)
            learnt = {rule: learn(network, training, rule) for rule in ("epsilon", "z+")}
            activations = {
                name: [look(network, folder, learnt["epsilon"]) for folder in folders_of_set]
                for name, folders_of_set in folders.items()
            }
        (base,) = activations["U_O"]
        for name, draws in activations.items():
            column = rows.setdefault(name, {})
            keep(column, "accuracy", [compute_accuracy(draw) for draw in draws])
            for m in NUMBERS:
                values = [measure_idc(learnt["epsilon"], [base, draw], m) for draw in draws]
                keep(column, f"IDC {m}", values)
            for criterion in CRITERIA:
                bits = [base.covered[criterion] | draw.covered[criterion] for draw in draws]
                keep(column, criterion, [float(bit.mean()) for bit in bits])
        for rule, measurements in learnt.items():
            for m in NUMBERS:
                random, relevant = (
                    np.mean(
                        [measure_idc(measurements, [base, draw], m) for draw in activations[name]]
                    )
                    for name in ("U_O+S", "U_O+DI")
                )
                gains.setdefault((rule, m), []).append(100 * float(relevant - random))
        neurons = choose_important(learnt["epsilon"].cumulative, max(NUMBERS), LAYER).tolist()
        values = learnt["epsilon"].measured.values
        numbers = [len(quantise(values[:, neuron]).centroids) for neuron in neurons]
        sizes.append(
            f"{min(numbers)} to {max(numbers)} regions, "
            f"{', '.join(f'{count_combinations(numbers[:m]):,}' for m in NUMBERS)} combinations"
        )
    print(f"table: LeNet-5 on digits, {seeds} seeds, mean (deviation) in %; added to U_O")
    print(f"{'':<10}", *(f"{name:>13}" for name in rows))
    for criterion in rows["U_O"]:
        cells = (rows[name][criterion] for name in rows)
        texts = (f"{100 * np.mean(cell):.1f} ({100 * np.std(cell):.1f})" for cell in cells)
        print(f"{criterion:<10}", *(f"{text:>13}" for text in texts))
    print("IDC of U_O+DI minus that of U_O+S, in points, mean and the least of all seeds")
    for (rule, m), values in gains.items():
        print(f"neurons by {rule:<8} m = {m:>2}: {np.mean(values):>6.2f} ({min(values):.2f})")
    print("\n".join(sizes))


def keep(column: dict[str, list[float]], name: str, draws: list[float]) -> None:
    """Keep the mean over draws of noise."""
    column.setdefault(name, []).append(float(np.mean(draws)))


def print_time(images: int, repeats: int) -> None:
    """Print seconds of the analysis of many images, beside plain predictions of the same files."""
    pictures, labels = enlarge_digits()
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(labels), images)
    noise = rng.integers(-20, 20, (images, SIDE, SIDE))
    many = np.clip(pictures[rows].astype(int) + noise, 0, 255).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        train_lenet(pictures[:TRAINING_IMAGES], labels[:TRAINING_IMAGES], 0).save(
            root / "lenet.keras"
        )
        write_digits(root / "many", many, labels[rows])
        write_digits(root / "training", pictures[:TRAINING_IMAGES], labels[:TRAINING_IMAGES])
        network = load_network(root / "lenet.keras")
        files = read_images(root / "many")
        few = learn(network, root / "training")
        ways: dict[str, Any] = {
            "plain predictions, from files": lambda: predict(network, root / "many", files, quiet),
            "training images: relevance, regions of 6 neurons": lambda: regions_of(
                learn(network, root / "many")
            ),
            "test images: combinations of 6, NC, KMNC, NBC, SNAC, TKNC, LSC, DSC": lambda: (
                measure_idc(few, [look(network, root / "many", few)], 6)
            ),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(repeats + 1):
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                if turn:  # the first warms up
                    seconds[name].append(time.perf_counter() - start)
        plain = np.median(seconds["plain predictions, from files"])
        print(f"time: {images:,} images of 28 x 28, the median of {repeats} turns each")
        for name, repetitions in seconds.items():
            print(
                f"{np.median(repetitions):>7.2f} s  {np.median(repetitions) / plain:>5.2f}  {name}"
            )
        pixels = many[..., None].astype(np.float32)
        pairs: list[tuple[float, float]] = []
        for _ in range(repeats + 1):  # the first compiles
            start = time.perf_counter()
            network.model.predict(pixels, verbose=0)
            middle = time.perf_counter()
            analyse(network, pixels)
            pairs.append((middle - start, time.perf_counter() - middle))
        predicting, explaining = np.median(pairs[1:], axis=0)
        print(f"{predicting:>7.2f} s   1.00  Keras' predict, of images that are in memory")
        print(
            f"{explaining:>7.2f} s  {explaining / predicting:>5.2f}  relevance, ranges of all "
            "neurons and regions of 6, of the same"
        )
        print_whole_job(root, plain)


def print_whole_job(root: Path, plain: float) -> None:
    """Print seconds of a job that measures coverage, and its ratio to plain predictions."""
    start = time.perf_counter()
    measure_coverage(
        root / "lenet.keras",
        root / "many",
        [root / "training"],
        root / "run",
        Options(),
        progress=quiet,
    )
    whole = time.perf_counter() - start
    print(f"{whole:>7.2f} s  {whole / plain:>5.2f}  the whole job, files and thumbnails written")


def analyse(network: Network, images: NDArray[np.float32]) -> None:
    """Do what is done of training images, but for their files."""
    layers = tuple(neuron_layers(network.model))
    activate = build_activations(network.model, layers)
    explain = build_relevance(network.model, rule="epsilon", layers=(LAYER,))
    ranges: dict[str, Range] = {}
    total, values = np.zeros(84), []
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        _, neurons = activate(batch)
        relevance = explain(batch, np.full(len(batch), PREDICTED, np.int32))
        total += sum_relevance(relevance.layers[LAYER])
        ranges |= {name: extend_range(ranges.get(name), layer) for name, layer in neurons.items()}
        values.append(neurons[LAYER])
    together = np.concatenate(values)
    for neuron in choose_important(total, 6, LAYER).tolist():
        quantise(together[:, neuron])


def regions_of(learnt: TrainingMeasurements) -> None:
    """Find the regions of the six most important neurons."""
    for neuron in choose_important(learnt.cumulative, 6, LAYER).tolist():
        quantise(learnt.measured.values[:, neuron])


def print_quantise(images: int, more: int) -> None:
    """Print seconds and sums of squares of regions, beside scikit-learn's."""
    for n in (images, more):
        values = np.maximum(np.random.default_rng(0).normal(0, 1, n), 0).astype(np.float32)
        start = time.perf_counter()
        ours = quantise(values)
        seconds = time.perf_counter() - start
        print(f"quantise: {n:,} images, {seconds:.3f} s, {len(ours.centroids)} regions", end="")
        if n > images:
            print(" (scikit-learn's silhouette of so many is left out)")
            continue
        start = time.perf_counter()
        column = values[:, None]
        scores, spreads = {}, {}
        for k in (2, 3, 4):
            means = KMeans(k, n_init=10, random_state=0).fit(column)
            scores[k] = silhouette_score(column, means.labels_, metric="l1")
            spreads[k] = means.inertia_
        other = time.perf_counter() - start
        apart = max(abs(scores[k] - ours.scores[k]) for k in scores)
        print(f"; scikit-learn {other:.1f} s, {other / seconds:.0f} times; ", end="")
        print(f"silhouettes at most {apart:.1e} apart")


MEASUREMENTS = {
    "table": lambda arguments: print_table(arguments.seeds),
    "time": lambda arguments: print_time(arguments.images, arguments.repeats),
    "quantise": lambda arguments: print_quantise(arguments.images, 50_000),
}


def main() -> None:
    """Print the measurements that are named, all by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "measurements", nargs="*", metavar="MEASUREMENT", help=f"of {', '.join(MEASUREMENTS)}"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    for measurement in arguments.measurements or MEASUREMENTS:
        MEASUREMENTS[measurement](arguments)


if __name__ == "__main__":
    main()
