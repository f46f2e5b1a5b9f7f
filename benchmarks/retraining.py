"""The effect of retraining: `python -m benchmarks.retraining [MEASUREMENT ...]`.

The whole way through the tool: a test of a DNN, its root cause clusters, the unsafe set, and
retraining with `--compare`. The same number of labels is used for our selection, for the wrong ones
of a random subset (B1), for random images (B2), and for those of least confidence; ten repeats. The
number of labels is the papers' estimate, or --count.

- signs: traffic signs. The DNN was trained on good pictures; a quarter of the test and of the
  improvement set is spoiled in one of nine ways.
- eyes: the example, as `SAFE_Tool.py example` draws it.
- ceiling: the example's network trained again with all new images labelled: the largest possible
  gain.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.signs import KINDS, SIDE, SIGN_SCENARIOS, draw_sign, sample_sign
from examples.eyes import write_example
from examples.gaze_dnn import build_dnn
from examples.sampling import DIRECTIONS
from pipelines.dnn.job import FAILURES_FILE, EvaluationOptions, read_test, test_model
from pipelines.dnn.keras import import_keras
from pipelines.hudd.job import Options as HeatmapOptions
from pipelines.hudd.job import find_clusters_by_heatmaps
from pipelines.hudd.placement import measure as measure_heatmaps
from pipelines.retraining.job import retrain
from pipelines.retraining.results import read_retraining
from pipelines.retraining.training import Options as TrainingOptions
from pipelines.runs.files import read_csv, write_csv
from pipelines.safe.job import find_root_cause_clusters
from pipelines.safe.placement import measure
from pipelines.safe.recipe import Options
from pipelines.unsafe_set.job import SelectionOptions, select_unsafe_set

TRAIN, TEST, IMPROVEMENT = 1600, 1600, 1600
SPOILT = 0.25
EPOCHS = 12
REPEATS = 10
CEILINGS = 3


@dataclass(frozen=True)
class Case:
    """A DNN with its three sets of labelled images."""

    model: Path
    train: Path
    test: Path
    improvement: Path


def _quiet(stage: str, done: int, total: int) -> None:
    pass


def draw_signs(folder: Path, count: int, spoilt: float, seed: int) -> None:
    """Draw signs with `labels.csv`; a share of them is spoilt, in each way as often."""
    folder.mkdir(parents=True)
    labels, ways = [], []
    for place in range(count):
        rng = np.random.default_rng([seed, place])
        sign = sample_sign(rng)
        path, way = f"sign_{place:05d}.jpg", ""
        if rng.random() < spoilt:
            scenario = SIGN_SCENARIOS[rng.integers(len(SIGN_SCENARIOS))]
            sign, way = scenario.pose(sign, rng), scenario.name
            image, _ = scenario.spoil(draw_sign(sign, rng), rng)
        else:
            image = draw_sign(sign, rng)
        image.save(folder / path, quality=95)
        labels.append((path, sign.kind.name))
        ways.append((path, way))
    write_csv(folder / "labels.csv", ("path", "label"), labels)
    write_csv(folder / "parameters.csv", ("path", "spoilt"), ways)


def train_signs(folder: Path, file: Path, seed: int) -> None:
    """Train a small convolutional network on signs."""
    keras, tf = import_keras()
    from keras import layers
    from PIL import Image

    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    rows = read_csv(folder / "labels.csv")
    names = sorted(kind.name for kind in KINDS)
    pixels = np.stack([np.asarray(Image.open(folder / row["path"])) for row in rows])
    targets = np.array([names.index(row["label"]) for row in rows])
    stack: list[Any] = [keras.Input((SIDE, SIDE, 3)), layers.Rescaling(1 / 255)]
    for filters, kernel, step in ((16, 5, 4), (32, 3, 1), (32, 3, 1)):
        stack.append(layers.Conv2D(filters, kernel, step, padding="same", activation="relu"))
        stack.append(layers.MaxPooling2D())
    stack += [layers.Flatten(), layers.Dense(64, activation="relu")]
    model = keras.Sequential([*stack, layers.Dense(len(names), activation="softmax")])
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(pixels, targets, 32, EPOCHS, verbose=0)
    model.save(file)


def make_signs(folder: Path, seed: int) -> Case:
    """Draw the signs, and train their DNN."""
    case = Case(folder / "model.keras", folder / "train", folder / "test", folder / "improvement")
    for place, (images, count, spoilt) in enumerate(
        (
            (case.train, TRAIN, 0.0),
            (case.test, TEST, SPOILT),
            (case.improvement, IMPROVEMENT, SPOILT),
        )
    ):
        draw_signs(images, count, spoilt, seed=100 * seed + place)
    train_signs(case.train, case.model, seed)
    return case


def make_eyes(folder: Path, seed: int) -> Case:
    """Draw the example."""
    write_example(folder, seed=seed)
    return Case(folder / "model.keras", folder / "train", folder / "test", folder / "improvement")


def compare(case: Case, folder: Path, name: str, count: int | None, repeats: int) -> None:
    """Go all the way with both kinds of clusters, and print what came out."""
    test_run = folder / "tested"
    manifest = test_model(case.model, case.test, test_run, EvaluationOptions(), progress=_quiet)
    print(
        f"{name}: right on {manifest.result['accuracy']:.1%} of {manifest.result['images']}",
        flush=True,
    )
    failures = test_run / FAILURES_FILE
    selection = SelectionOptions(count) if count else SelectionOptions(None, *read_test(test_run))
    find_root_cause_clusters(failures, folder / "safe", Options(), progress=_quiet)
    find_clusters_by_heatmaps(
        case.model, failures, folder / "hudd", HeatmapOptions(), progress=_quiet
    )
    for kind, way in (("safe", measure), ("hudd", measure_heatmaps)):
        run, out = folder / kind, folder / f"{kind} retrained"
        select_unsafe_set(run, case.improvement, selection, way, progress=_quiet)
        retrain(
            case.model, case.train, run, case.test, out, EvaluationOptions(), TrainingOptions(),
            repeats=repeats, progress=_quiet,
        )  # fmt: skip
        retraining = read_retraining(out)
        comparison, change = retraining.comparison, retraining.change
        assert comparison is not None
        states = Counter(repair.state for repair in retraining.repairs if repair.cluster >= 0)
        print(
            f"  clusters of {kind}: {change.before.share:.1%} to {change.after.share:.1%}, "
            f"{change.repaired} repaired, {change.broken} broken, p = {change.p:.1g}; clusters: "
            f"{dict(states)}"
        )
        print(f"    {comparison.labels} labels, {comparison.trained} with duplicates")
        for method in comparison.methods:
            versus = f"A12 {method.a12:.2f} p {method.p:.2g}" if method.a12 is not None else ""
            print(f"    {method.name:<36}{method.mean:.2%} +- {method.deviation:.2%}  {versus}")
        print(f"    ours less the best baseline: {100 * comparison.difference:+.2f} points",
              flush=True)  # fmt: skip


def print_ceiling(seed: int) -> None:
    """Print how good the example's network gets with all new images in its training set."""
    from PIL import Image

    keras, _ = import_keras()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_example(folder, seed=seed)
        sets = {}
        for name in ("train", "improvement", "test"):
            rows = read_csv(folder / name / "labels.csv")
            pixels = [np.asarray(Image.open(folder / name / row["path"])) for row in rows]
            sets[name] = np.stack(pixels), [DIRECTIONS.index(row["label"]) for row in rows]
    pixels = np.concatenate([sets["train"][0], sets["improvement"][0]])
    targets = np.array([*sets["train"][1], *sets["improvement"][1]])
    for again in range(CEILINGS):
        keras.utils.set_random_seed(again)
        model = build_dnn()
        model.fit(pixels, targets, 32, 20, verbose=0)
        right = model.predict(sets["test"][0], verbose=0).argmax(axis=1) == sets["test"][1]
        print(f"all new images labelled, trained anew ({again}): {right.mean():.1%}", flush=True)


def main() -> None:
    """Run the measurements that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "measurements", nargs="*", choices=["signs", "eyes", "ceiling", []], default=[]
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--count", type=int)
    arguments = parser.parse_args()
    for name, make in (("signs", make_signs), ("eyes", make_eyes)):
        if not arguments.measurements or name in arguments.measurements:
            with tempfile.TemporaryDirectory() as place:
                folder = Path(place)
                case = make(folder / "images", arguments.seed)
                compare(case, folder, name, arguments.count, arguments.repeats)
    if not arguments.measurements or "ceiling" in arguments.measurements:
        print_ceiling(arguments.seed)


if __name__ == "__main__":
    main()
