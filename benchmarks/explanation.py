"""How well hints name the injected root causes: `python -m benchmarks.explanation`.

Draws 600 failing eye images with ten injected scenarios for each seed, takes the true scenarios as
clusters, and prints for each scenario its first hint (of the first seed), the share of seeds in
which the first hint names the cause, and the share in which there is any.  Causes that are no
property of pixels have nothing to be named; there, what a hint says has to be true, and no hint is
better than nonsense.  Also prints how long measuring a picture takes, and finding hints.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from benchmarks.scenarios import SCENARIOS, draw_failing_set
from pipelines.hints import Hint, find_hints
from pipelines.images import Rejected, load_image
from pipelines.properties import LONGEST_SIDE, PROPERTIES, measure

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


def find_true_hints(folder: Path, seed: int) -> dict[str, list[Hint]]:
    """Draw a failing set and find the hints of its scenarios."""
    truth = draw_failing_set(folder, seed)
    values = []
    for path in tqdm(truth, desc=f"seed {seed}"):
        image = load_image(folder, path, LONGEST_SIDE)
        if isinstance(image, Rejected):
            raise ValueError(f"{path}: {image.reason}")
        values.append(measure(image))
    names = [scenario.name for scenario in SCENARIOS]
    labels = np.array([names.index(scenario) for scenario in truth.values()], dtype=np.int32)
    hints = find_hints(np.array(values), labels, seed=seed)
    return {names[cluster]: found for cluster, found in hints.items()}


def print_table(sets: list[dict[str, list[Hint]]]) -> None:
    """Print a line a scenario, and the share of clusters whose cause is named."""
    print(f"{'scenario':<15}{'named':>6}{'any':>6}  first hint of the first seed")
    named_of_all = []
    for scenario in SCENARIOS:
        firsts = [hints[scenario.name][:1] for hints in sets]
        shares = f"{np.mean([bool(first) for first in firsts]):>6.0%}"
        causes = NAMES_THE_CAUSE.get(scenario.name)
        if causes:
            named = [
                bool({(hint.key, np.sign(hint.effect)) for hint in f} & causes) for f in firsts
            ]
            named_of_all += named
            shares = f"{np.mean(named):>6.0%}" + shares
        else:
            shares = f"{'':>6}" + shares
        words = firsts[0][0].words if firsts[0] else "-"
        print(f"{scenario.name:<15}{shares}  {words}")
    print(f"causes that are a property of pixels, named first: {np.mean(named_of_all):.0%}")
    print("first hints elsewhere, all seeds:")
    for scenario in SCENARIOS:
        if scenario.name not in NAMES_THE_CAUSE:
            for hints in sets:
                for hint in hints[scenario.name][:1]:
                    print(f"    {scenario.name}: {hint.words} (delta {hint.effect:.2f})")


def print_times() -> None:
    """Print the time of measuring a decoded picture, and of finding hints."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8))
    picture = coarse.resize((640, 480), Image.Resampling.BICUBIC)
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        measure(picture)
        seconds.append(time.perf_counter() - start)
    print(f"measure, 640 x 480 px: {1000 * np.median(seconds):.1f} ms (median of {REPEATS})")
    for clusters in (10, 100):
        values = rng.normal(size=(5000, len(PROPERTIES)))
        labels = rng.integers(-1, clusters, 5000).astype(np.int32)
        start = time.perf_counter()
        find_hints(values, labels, seed=0)
        print(f"find_hints, 5,000 images, {clusters} clusters: {time.perf_counter() - start:.2f} s")


def main() -> None:
    """Print the table and the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    arguments = parser.parse_args()
    sets = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            sets.append(find_true_hints(Path(folder, f"seed {seed}"), seed))
    print_table(sets)
    print_times()


if __name__ == "__main__":
    main()
