"""How well clusters are explained: `python -m benchmarks.explanation [MEASUREMENT ...]`.

- hints: finds the clusters of 600 failing eye images with ten injected causes, and checks the first
  hint of each pure cluster. If the cause is a property of pixels, the hint should name the cause.
  If not, the hint should be true: the cause must have produced the property. To check this, the
  same eyes are drawn without their causes; the difference has to be noticeable, and in the
  direction that the hint names.
- parameters: in the same clusters, with the drawn parameters, how far variances are reduced.
- families: of signs of eight kinds with nine causes, and of the eyes.
- unsafe: which unsafe values of the example lie next to a cluster, beside random clusters.
- times: of measuring pictures and of all tests against random groups.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.quality import PURE, judge
from benchmarks.scenarios import SCENARIOS, draw_failing_set
from benchmarks.signs import draw_failing_signs
from examples.eyes import FAILURES, write_example
from examples.sampling import ANGLES, UNSAFE_VALUES
from pipelines.clusters.clusters import RootCauseClusters, read_clusters
from pipelines.clusters.explain import MOST_HINTS, measure_images
from pipelines.clusters.explanation import read_properties
from pipelines.clusters.explanation_tables import TableFiles, Tables, read_tables
from pipelines.clusters.families import label_families
from pipelines.clusters.hints import Hint, find_hints
from pipelines.clusters.results import collect_families, read_known_clusters
from pipelines.clusters.shared_parameters import find_parameters
from pipelines.clusters.unsafe_values import UnsafeValue, find_coverage
from pipelines.clusters.variance_reduction import compute_reductions
from pipelines.data.images import ImageFile, check_image
from pipelines.data.parameters import Parameter
from pipelines.data.properties import PROPERTIES, measure
from pipelines.safe.job import find_root_cause_clusters
from pipelines.safe.recipe import Options
from pipelines.safe.weights import read_converted_base

NAMES_THE_CAUSE = {
    "dim light": {("brightness", -1)},
    "blur": {("sharpness", -1)},
    "sensor noise": {("noise", 1)},
    "glare": {("highlights", 1), ("brightness", 1)},
    # A black lens on skin: dark parts, in a picture of strong contrast.
    "sunglasses": {("shadows", 1), ("brightness", -1), ("contrast", 1)},
    # Blended with a light grey: it takes contrast and colour away, and adds light.
    "fog": {("contrast", -1), ("colourfulness", -1), ("brightness", 1)},
}
"""Property and sign of the difference; scenarios that are missing are no property of pixels."""
REPEATS = 50
SHUFFLES = 20
SHARE_IMAGES = 1000
TEST_SIZES = (1200, 12_000)

Draw = Callable[[Path, int], dict[str, str]]


@dataclass(frozen=True)
class Failing:
    """A failing set whose causes are known, and its run.

    Attributes
    ----------
    truth : array of str, shape (n,)
        Cause of each image.
    families : array of int32, shape (n,)
    values : array of float64, shape (n, p)
        Pixel properties.
    """

    folder: Path
    clusters: RootCauseClusters
    truth: NDArray[np.str_]
    families: NDArray[np.int32]
    values: NDArray[np.float64]

    def pure_clusters(self) -> list[tuple[int, str]]:
        """Return the clusters of which nine tenths have one cause, and that cause."""
        clusters = []
        for cluster in range(int(self.clusters.labels.max()) + 1):
            names, counts = np.unique(
                self.truth[self.clusters.labels == cluster], return_counts=True
            )
            if counts.max() / counts.sum() >= PURE:
                clusters.append((cluster, str(names[counts.argmax()])))
        return clusters


def find(folder: Path, draw: Draw, seed: int) -> Failing:
    """Draw a failing set and find its clusters, by the tool's own job."""
    images, run = folder / f"{draw.__name__} {seed}", folder / f"run {draw.__name__} {seed}"
    causes = draw(images, seed)
    find_root_cause_clusters(images, run, Options(), progress=_quiet)
    clusters = read_clusters(run)
    values = read_properties(run, clusters.paths)
    assert values is not None
    return Failing(
        images,
        clusters,
        np.array([causes[path] for path in clusters.paths]),
        label_families(collect_families(read_known_clusters(run)[1]), clusters.labels),
        values,
    )


def _quiet(stage: str, done: int, total: int) -> None:
    pass


def print_hints(sets: Sequence[Failing]) -> None:
    """Print a line a cause, and the shares of clusters whose first hint is right or wrong."""
    right: dict[str, list[bool]] = {}
    false: dict[str, list[bool]] = {}
    examples: dict[str, list[str]] = {}
    for seed, failing in enumerate(sets):
        twins = Path(f"{failing.folder} without causes")
        draw_failing_set(twins, seed, injected=False)
        paths = failing.clusters.paths
        files = [check_image(twins, path) for path in paths]
        digests = [file.digest for file in files if isinstance(file, ImageFile)]
        without = measure_images(twins, paths, digests, _quiet)
        hints = find_hints(failing.values, failing.clusters.labels, seed=0)
        for cluster, cause in failing.pure_clusters():
            first = hints[cluster][:1]
            examples.setdefault(cause, []).extend(hint.words for hint in first)
            if cause in NAMES_THE_CAUSE:
                findings = {(hint.key, int(np.sign(hint.effect))) for hint in first}
                right.setdefault(cause, []).append(bool(findings & NAMES_THE_CAUSE[cause]))
            else:
                inside = failing.clusters.labels == cluster
                wrong = [
                    not _comes_from_cause(hint, failing.values[inside], without[inside])
                    for hint in first
                ]
                false.setdefault(cause, []).append(any(wrong))
    print(f"{len(sets)} seeds, first hints of pure clusters")
    print(f"{'cause':<15}{'clusters':>9}{'named':>7}{'false':>7}  example")
    for scenario in SCENARIOS:
        outcomes = right.get(scenario.name, false.get(scenario.name, []))
        shares = ["", ""]
        if outcomes:
            shares[scenario.name in false] = f"{np.mean(outcomes):.0%}"
        words = (examples.get(scenario.name) or ["-"])[0]
        print(f"{scenario.name:<15}{len(outcomes):>9}{shares[0]:>7}{shares[1]:>7}  {words}")
    for what, outcomes_by_cause in (("named, of pixel causes", right), ("false, of others", false)):
        everything = list(chain(*outcomes_by_cause.values()))
        print(f"{what}: {sum(everything)} of {len(everything)} ({np.mean(everything):.0%})")


def _comes_from_cause(hint: Hint, own: NDArray[np.float64], without: NDArray[np.float64]) -> bool:
    """Tell whether the property in a hint comes from the cause of the pictures."""
    place = [quality.key for quality in PROPERTIES].index(hint.key)
    quality = PROPERTIES[place]
    gap = own[:, place] - without[:, place]
    if quality.period:
        turns = 2j * np.pi * gap[~np.isnan(gap)] / quality.period
        gap = np.angle(np.exp(turns).mean()) * quality.period / (2 * np.pi)
        return bool(abs(gap) >= quality.noticeable)
    return bool(np.nanmedian(gap) * np.sign(hint.effect) >= quality.noticeable)


def print_parameters(sets: Sequence[Failing]) -> None:
    """Print which share of the clusters has a parameter whose variance is reduced, and how far."""
    significant, largest, own = [], [], []
    for failing in sets:
        tables = _tables(failing.folder, failing.clusters, unsafe=False)
        labels = failing.clusters.labels
        best: dict[int, float] = {}
        for parameter in tables.table.parameters:
            for cluster, (rate, _) in compute_reductions(parameter, labels).items():
                best[cluster] = max(rate, best.get(cluster, 0.0))
        largest += best.values()
        findings_by_cluster = find_parameters(tables.table.parameters, labels, seed=0)
        strength = {scenario.name: scenario.strength for scenario in SCENARIOS}
        strength |= {"dim light": "light", "half-closed": "openness"}
        strength |= {"turned left": "head_yaw", "turned right": "head_yaw"}
        for findings in findings_by_cluster.values():
            significant.append(max((finding.reduction for finding in findings), default=0.0))
        for cluster, cause in failing.pure_clusters():
            first = [finding.parameter for finding in findings_by_cluster[cluster]]
            own.append(strength[cause] in first[:MOST_HINTS])
    print(f"{len(significant)} clusters with a parameter whose RR is")
    for what, rates in (("named beyond chance", significant), ("whatever chance", largest)):
        shares = [f"above {limit}: {np.mean(np.array(rates) > limit):.0%}" for limit in (0.5, 0.9)]
        print(f"  {what}, {', '.join(shares)}")
    print(f"the cause's own parameter among the first {MOST_HINTS}: {np.mean(own):.0%}")


def _tables(images: Path, clusters: RootCauseClusters, *, unsafe: bool) -> Tables:
    table_files = TableFiles(
        (images / "parameters.csv",), ANGLES, images / "unsafe_values.csv" if unsafe else None
    )
    return read_tables(table_files, images, clusters.paths)


def print_families(name: str, sets: Sequence[Failing]) -> None:
    """Print the quality of clusters and of families, a line a seed."""
    print(f"{name:<6}{'':<5}clusters: number, inspect   families: number, inspect, purity, causes")
    for seed, failing in enumerate(sets):
        causes = [str(cause) for cause in failing.truth]
        before = judge(failing.clusters.labels, causes)
        after = judge(failing.families, causes)
        whole = len(set(causes))
        print(
            f"seed {seed:<6}{before.clusters:>16.0f}{before.inspect:>10.3f}"
            f"{after.clusters:>20.0f}{after.inspect:>10.3f}{after.purity_images:>8.3f}"
            f"{round(after.coverage * whole):>5} of {whole}"
        )


def print_unsafe(folder: Path) -> None:
    """Print which unsafe values of the example are covered, for a small and a large test set."""
    for test in TEST_SIZES:
        example, run = folder / f"example {test}", folder / f"run {test}"
        write_example(example, test=test, improvement=1)
        failures = example / FAILURES
        find_root_cause_clusters(failures, run, Options(), progress=_quiet)
        clusters = read_clusters(run)
        tables = _tables(failures, clusters, unsafe=True)
        parameters, rng = tables.table.parameters, np.random.default_rng(0)

        def count_covered(
            labels: NDArray[np.int32],
            unsafe: Sequence[UnsafeValue] = tables.unsafe_values,
            parameters: Sequence[Parameter] = parameters,
        ) -> tuple[int, int]:
            coverage = [
                value for value in find_coverage(unsafe, parameters, labels) if value.images
            ]
            return sum(1 for value in coverage if value.clusters), len(coverage)

        count, total = count_covered(clusters.labels)
        chance = [count_covered(rng.permutation(clusters.labels))[0] for _ in range(SHUFFLES)]
        print(
            f"{test} test images, {len(clusters.paths)} failures, {clusters.labels.max() + 1} "
            f"clusters: {count} of {total} unsafe values covered ({len(UNSAFE_VALUES)} in all), "
            f"{np.mean(chance):.1f} by as large clusters at random"
        )


def print_times() -> None:
    """Print the time of measuring a decoded picture, and of finding hints and parameters."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8))
    picture = coarse.resize((640, 480), Image.Resampling.BICUBIC)
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        measure(picture)
        seconds.append(time.perf_counter() - start)
    print(f"measure, 640 x 480 px: {1000 * np.median(seconds):.1f} ms (median of {REPEATS})")
    values = rng.normal(size=(5000, len(PROPERTIES)))
    parameters = [Parameter(f"p{k}", "number", rng.normal(size=5000)) for k in range(15)]
    others = [replace(parameter, passing=rng.normal(size=2000)) for parameter in parameters]
    for clusters in (10, 100):
        labels = rng.integers(-1, clusters, 5000).astype(np.int32)
        start = time.perf_counter()
        find_hints(values, labels, seed=0)
        middle = time.perf_counter()
        find_parameters(parameters, labels, seed=0)
        end = time.perf_counter()
        find_parameters(others, labels, seed=0)
        last = time.perf_counter()
        print(
            f"5,000 images, {clusters} clusters: hints {middle - start:.2f} s, "
            f"15 parameters {end - middle:.2f} s, against 2,000 passing images {last - end:.2f} s"
        )


def _cache(folder: Path) -> Path:
    """Make a cache that holds the converted weights, and no features."""
    folder.mkdir()
    read_converted_base(folder)
    return folder


def print_share(folder: Path) -> None:
    """Print what explaining costs beside extracting features, from 640 x 480 JPEG files."""
    images = folder / "large"
    images.mkdir()
    rng = np.random.default_rng(0)
    for number in range(SHARE_IMAGES):
        coarse = Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8))
        coarse.resize((640, 480), Image.Resampling.BICUBIC).save(images / f"{number}.jpg")
    for precision in ("float32", "bfloat16"):
        run, options = folder / f"run {precision}", Options(precision=precision)
        with patch.dict(os.environ, {"SAFE_CACHE": str(_cache(folder / precision))}):
            manifest = find_root_cause_clusters(images, run, options, progress=_quiet)
        seconds = {stage.name: stage.seconds for stage in manifest.stages}
        explaining, extracting = seconds["explaining clusters"], seconds["extracting features"]
        print(
            f"{SHARE_IMAGES} pictures of 640 x 480 px: explaining {explaining:.1f} s, extracting "
            f"features ({precision}) {extracting:.1f} s: {explaining / extracting:.1%}"
        )


MEASUREMENTS = ("hints", "parameters", "families", "unsafe", "times")


def main() -> None:
    """Print the measurements that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "measurements", nargs="*", metavar="MEASUREMENT", help=", ".join(MEASUREMENTS)
    )
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    names = set(arguments.measurements or MEASUREMENTS)
    if names - set(MEASUREMENTS):
        parser.error(
            f"expected {', '.join(MEASUREMENTS)}, received {' '.join(arguments.measurements)}"
        )
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        eyes: list[Failing] = []
        if names & {"hints", "parameters", "families"}:
            eyes = [find(folder, draw_failing_set, seed) for seed in range(arguments.seeds)]
        if "hints" in names:
            print_hints(eyes)
        if "parameters" in names:
            print_parameters(eyes)
        if "families" in names:
            print_families("eyes", eyes)
            signs = [find(folder, draw_failing_signs, seed) for seed in range(arguments.seeds)]
            print_families("signs", signs)
        if "unsafe" in names:
            print_unsafe(folder)
        if "times" in names:
            print_times()
            print_share(folder)


if __name__ == "__main__":
    main()
