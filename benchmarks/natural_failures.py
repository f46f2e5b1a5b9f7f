"""How well new images are chosen for a DNN whose failures nobody injected.

`python -m benchmarks.natural_failures FOLDER`: a folder of photographs with one folder per class.
Photographs of the same subject (a house) have the same file name.

For each seed the subjects are divided at random. A small network is trained on four tenths of them
to classify the photographs and tested on three tenths; new images are chosen from the rest.  The
output is the lift: how many times more often the network is wrong on the chosen images than on all
new images, mean (worst) over the seeds, at 5, 10 and 20 %.

- `contrast`: the tool's default with the test's passing images;
- `appearance`: the tool's default without passing images;
- heatmaps: the default on clusters of heatmaps;
- least confidence: by the network's largest share alone.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.selection import SHARES, choose
from pipelines.data.image_lists import list_images
from pipelines.dnn.job import EvaluationOptions, test_model
from pipelines.dnn.keras import import_keras
from pipelines.hudd.job import Options as HeatmapOptions
from pipelines.hudd.job import find_clusters_by_heatmaps
from pipelines.hudd.placement import measure as measure_heatmaps
from pipelines.runs.files import read_csv
from pipelines.safe.job import find_root_cause_clusters
from pipelines.safe.placement import measure
from pipelines.safe.recipe import Options
from pipelines.unsafe_set.files import read_candidates
from pipelines.unsafe_set.job import SelectionOptions, select_unsafe_set

SET_SHARES = {"train": 0.4, "test": 0.3, "new": 0.3}
SIDE, EPOCHS = 64, 15


def _quiet(stage: str, done: int, total: int) -> None:
    pass


def share_out(source: Path, target: Path, seed: int) -> None:
    """Copy the photographs to one folder per part; those of one subject stay together."""
    photographs = sorted(path for path in source.glob("*/*") if path.is_file())
    subjects = sorted({path.name for path in photographs})
    order = np.random.default_rng(seed).permutation(len(subjects))
    ends = np.cumsum([round(share * len(subjects)) for share in SET_SHARES.values()])[:-1]
    part_of = {
        subjects[place]: part
        for part, places in zip(SET_SHARES, np.split(order, ends), strict=True)
        for place in places
    }
    for path in photographs:
        folder = target / part_of[path.name] / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / path.name)


def train(folder: Path, seed: int) -> Any:
    """Train a small network on a folder of class folders."""
    keras, _ = import_keras()
    keras.utils.set_random_seed(seed)
    images = keras.utils.image_dataset_from_directory(
        folder, image_size=(SIDE, SIDE), batch_size=32, seed=seed, verbose=False
    )
    model = keras.Sequential([keras.Input((SIDE, SIDE, 3)), keras.layers.Rescaling(1 / 255)])
    for width in (16, 32, 64):
        model.add(keras.layers.Conv2D(width, 3, padding="same", activation="relu"))
        model.add(keras.layers.MaxPooling2D())
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dropout(0.3))
    model.add(keras.layers.Dense(64, activation="relu"))
    model.add(keras.layers.Dense(len(images.class_names), activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(images, epochs=EPOCHS, verbose=0)
    return model


def read_outcomes(
    test_run: Path, paths: tuple[str, ...]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return whether the network is wrong on each image, and its largest share of a class."""
    rows = {row["path"]: row for row in read_csv(test_run / "testResult.csv")}
    wrong = np.array([rows[path]["correct"] == "0" for path in paths])
    scores = [name for name in rows[paths[0]] if name.startswith("score ")]
    return wrong, np.array([max(float(rows[path][name]) for name in scores) for path in paths])


def measure_lifts(source: Path, folder: Path, seed: int) -> dict[str, list[float]]:
    """Return the lift of each way of choosing, at each of `SHARES`."""
    share_out(source, folder, seed)
    dnn = folder / "dnn.keras"
    train(folder / "train", seed).save(dnn)
    for part in ("test", "new"):
        test_model(dnn, folder / part, folder / f"{part} run", EvaluationOptions(), progress=_quiet)
    test_run = folder / "test run"
    failures, new = test_run / "failures.txt", folder / "new"
    runs = {
        "contrast": Options(test_run=test_run),
        "appearance": Options(),
        "heatmaps": HeatmapOptions(),
    }
    lifts: dict[str, list[float]] = {}
    for name, options in runs.items():
        run = folder / name
        if isinstance(options, HeatmapOptions):
            find_clusters_by_heatmaps(dnn, failures, run, options, progress=_quiet)
        else:
            images = failures if options.test_run is None else None
            find_root_cause_clusters(images, run, options, progress=_quiet)
        place = measure_heatmaps if name == "heatmaps" else measure
        select_unsafe_set(run, new, SelectionOptions(), place, progress=_quiet)
        candidates = read_candidates(run)
        wrong, confidence = read_outcomes(folder / "new run", candidates.paths)
        counts = [round(share * len(wrong)) for share in SHARES]
        picks = [choose(candidates, count, "default") for count in counts]
        lifts[name] = [wrong[places].mean() / wrong.mean() for places in picks]
    picks = [np.argsort(confidence)[:count] for count in counts]
    lifts["least confidence"] = [wrong[places].mean() / wrong.mean() for places in picks]
    failing = len(list_images(failures).paths)
    print(
        f"seed {seed}: {failing} failing test images, {wrong.mean():.0%} of new images", flush=True
    )
    return lifts


def main() -> None:
    """Print the lifts on a folder of photographs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    lifts = []
    for seed in range(arguments.seeds):
        with tempfile.TemporaryDirectory() as folder:
            lifts.append(measure_lifts(arguments.folder, Path(folder), seed))
    for name in lifts[0]:
        by_seed = np.array([lift[name] for lift in lifts])
        cells = zip(by_seed.mean(axis=0), by_seed.min(axis=0), strict=True)
        print(
            f"{name:<20}" + "".join(f"{f'{mean:.2f} ({worst:.2f})':>15}" for mean, worst in cells)
        )


if __name__ == "__main__":
    main()
