"""How well new images are chosen, at what cost: `python -m benchmarks.selection [MEASUREMENT ...]`.

- quality: on the example, for five seeds. How much more often is the DNN wrong on the chosen images
  than on all images of the improvement set, at 5, 10 and 20 % of the set? Which of the situations
  that the training set leaves out are among them at 10 %? The tool's default is compared with
  SAFE's and HUDD's rules, and with methods that need the DNN: the default and HUDD's rule on
  clusters of heatmaps, and least confidence. Random choice is 1.
  "labels known" is the most that the same features allow: the same classifier knows of all other
  new images whether the DNN is wrong on them, and chooses without regard to clusters.
- cost: seconds and memory for 10,000 and 100,000 new images, of drawn features.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.svm import SVC

from examples.eye import Eye
from examples.eyes import FAILURES, write_example
from examples.sampling import DIRECTIONS, situations
from pipelines.clusters.clusters import REDUCTION_FILE
from pipelines.dnn.keras import import_keras
from pipelines.hudd.job import Options as HeatmapOptions
from pipelines.hudd.job import find_clusters_by_heatmaps
from pipelines.hudd.placement import measure as measure_heatmaps
from pipelines.runs.files import read_csv
from pipelines.safe.job import find_root_cause_clusters
from pipelines.safe.placement import measure
from pipelines.safe.recipe import Options
from pipelines.unsafe_set.allocation import cluster_distances, compute_reaches
from pipelines.unsafe_set.contrast import FOLDS, contrast
from pipelines.unsafe_set.cut import Candidates, cut
from pipelines.unsafe_set.files import read_candidates
from pipelines.unsafe_set.job import SelectionOptions, select_unsafe_set

SHARES = (0.05, 0.1, 0.2)
RULES = {
    "default": ("uniform", "contrast"),
    "contrast, by size": ("proportional", "contrast"),
    "SAFE's": ("uniform", "distance"),
    "HUDD's": ("proportional", "distance"),
}
SIZES = (10_000, 100_000)
FAILING, CLUSTERS, WIDTH = 2000, 50, 50


def _quiet(stage: str, done: int, total: int) -> None:
    pass


def choose(candidates: Candidates, count: int, rule: str) -> NDArray[np.intp]:
    """Choose images by one of the rules."""
    allocation, ranking = RULES[rule]
    return cut(  # type: ignore[no-any-return]
        candidates, count, allocation=allocation, ranking=ranking, same_distance=0.0
    ).images


def predict(dnn: Path, folder: Path, paths: Sequence[str]) -> NDArray[np.float32]:
    """Return the DNN's shares of the classes for each image."""
    keras, _ = import_keras()
    model = keras.models.load_model(dnn)
    batches = [paths[start : start + 64] for start in range(0, len(paths), 64)]
    return np.concatenate(
        [
            model.predict_on_batch(np.stack([np.asarray(Image.open(folder / p)) for p in batch]))
            for batch in batches
        ]
    )


def score_with_labels(
    candidates: Candidates, failing: NDArray[np.float32], wrong: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Score new images by a classifier that knows of all others whether the DNN is wrong."""
    scores = np.zeros(len(wrong))
    folds = np.array_split(np.random.default_rng(0).permutation(len(wrong)), FOLDS)
    for place, fold in enumerate(folds):
        others = np.concatenate(folds[:place] + folds[place + 1 :])
        points = np.concatenate([failing, candidates.points[others]])
        kinds = np.concatenate([np.ones(len(failing), np.bool_), wrong[others]])
        machine = SVC(class_weight="balanced").fit(points, kinds)
        scores[fold] = machine.decision_function(candidates.points[fold])
    return scores


def print_quality(folder: Path, seeds: int) -> None:
    """Print mean and worst of all seeds, a line a rule."""
    gains: dict[tuple[str, float], list[float]] = {}
    counts: dict[str, list[str]] = {}
    for seed in range(seeds):
        example, run = folder / f"example {seed}", folder / f"run {seed}"
        write_example(example, seed=seed)
        find_root_cause_clusters(example / FAILURES, run, Options(), progress=_quiet)
        images = example / "improvement"
        select_unsafe_set(run, images, SelectionOptions(), measure, progress=_quiet)
        candidates = read_candidates(run)
        heat = folder / f"heatmaps {seed}"
        dnn = example / "model.keras"
        find_clusters_by_heatmaps(dnn, example / FAILURES, heat, HeatmapOptions(), progress=_quiet)
        select_unsafe_set(heat, images, SelectionOptions(), measure_heatmaps, progress=_quiet)
        by_heatmaps = read_candidates(heat)
        shares = predict(dnn, images, candidates.paths)
        label = {row["path"]: row["label"] for row in read_csv(images / "labels.csv")}
        truth = np.array([DIRECTIONS.index(label[path]) for path in candidates.paths])
        wrong = shares.argmax(axis=1) != truth
        with np.load(run / REDUCTION_FILE) as arrays:
            scores = score_with_labels(candidates, arrays["points"], wrong)
        eyes = {
            row.pop("path"): Eye(**{name: float(value) for name, value in row.items()})
            for row in read_csv(images / "parameters.csv")
        }
        of = [set(situations(eyes[path])) for path in candidates.paths]
        there = set().union(*(s for s, is_wrong in zip(of, wrong, strict=True) if is_wrong))
        for share in SHARES:
            count = round(share * len(wrong))
            choices = {rule: choose(candidates, count, rule) for rule in RULES}
            for rule in ("default", "HUDD's"):
                choices[f"{rule}, heatmaps"] = choose(by_heatmaps, count, rule)
            choices["labels known"] = np.argsort(-scores)[:count]
            choices["least confidence"] = np.argsort(shares.max(axis=1))[:count]
            for rule, places in choices.items():
                gains.setdefault((rule, share), []).append(wrong[places].mean() / wrong.mean())
                if share == 0.1:
                    covered_situations = (
                        set().union(*(of[place] for place in places if wrong[place])) & there
                    )
                    counts.setdefault(rule, []).append(f"{len(covered_situations)} of {len(there)}")
    print(f"{seeds} seeds, times random choice: mean (worst); situations at 10 %, by seed")
    for rule, counts_by_seed in counts.items():
        cells = [f"{np.mean(gains[rule, s]):.2f} ({min(gains[rule, s]):.2f})" for s in SHARES]
        print(f"{rule:<20}" + "".join(f"{cell:>15}" for cell in cells), counts_by_seed)


def print_cost(count: int) -> None:
    """Print what selecting from `count` images of drawn features takes, in this process."""
    rng = np.random.default_rng(0)
    middles = rng.normal(0, 3, (CLUSTERS, WIDTH))
    labels = rng.integers(0, CLUSTERS, FAILING).astype(np.int32)
    labels[:CLUSTERS] = np.arange(CLUSTERS)
    failing = (middles[labels] + rng.normal(0, 1, (FAILING, WIDTH))).astype(np.float32)
    new = rng.normal(0, 3, (count, WIDTH)).astype(np.float32)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.perf_counter()
    core = np.ones(FAILING, np.bool_)
    candidates = Candidates(
        paths=tuple(map(str, range(count))),
        digests=tuple(map(str, range(count))),
        points=new,
        distances=cluster_distances(new, failing, labels),
        reaches=compute_reaches(failing, labels, core),
        scores=contrast(new, failing, seed=0),
        sizes=np.bincount(labels),
    )
    middle = time.perf_counter()
    cut(candidates, count // 10, allocation="uniform", ranking="contrast", same_distance=0.1)
    end = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{count:,} images: distances and contrast {middle - start:.1f} s, a cut of a tenth "
        f"{end - middle:.1f} s, peak memory {peak:,.0f} MiB ({before:,.0f} before)",
        flush=True,
    )


def main() -> None:
    """Print the measurements that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("measurements", nargs="*", metavar="MEASUREMENT", help="quality, cost")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.count:
        print_cost(arguments.count)
        return
    if not arguments.measurements or "cost" in arguments.measurements:
        for count in SIZES:  # each in a process of its own, for its memory
            command = [sys.executable, "-m", "benchmarks.selection", "--count", str(count)]
            subprocess.run(command, check=True)
    if not arguments.measurements or "quality" in arguments.measurements:
        with tempfile.TemporaryDirectory() as folder:
            print_quality(Path(folder), arguments.seeds)


if __name__ == "__main__":
    main()
