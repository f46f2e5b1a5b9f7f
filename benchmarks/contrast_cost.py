"""Cost of clusters in contrast, beside features: `python -m benchmarks.contrast_cost FOLDER`.

The images are photographs of FOLDER with causes drawn on them, 400 failing and 300 passing. The CPU
time of all threads of this process is measured for three steps: the features of the failing images,
the search for situations, and the count of images in clusters that were computed without them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.photograph_sets import FAILING, PASSING, photographs
from pipelines.data.images import check_images, find_files
from pipelines.safe import features
from pipelines.safe.partition import count_unseen, find_partition
from pipelines.safe.recipe import CONTRAST, RECIPES
from pipelines.safe.search import Search
from pipelines.safe.store import open_store
from pipelines.safe.weights import load_weights


def measure_cpu_seconds(function: Callable[[], object]) -> float:
    """Measure the CPU time of one call."""
    start = time.process_time()
    function()
    return time.process_time() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="any folder of photographs, 700 or more")
    folder = parser.parse_args().folder
    weights, precision = load_weights(None, top=False), features.choose_precision("auto")
    network = features.build_network(weights, features.POOLS, precision)
    width = sum(features.list_widths(features.POOLS))
    with tempfile.TemporaryDirectory() as scratch:
        pictures = Path(scratch, "pictures")
        pictures.mkdir()
        for place, (_, picture) in enumerate(photographs(folder, 0)):
            picture.save(pictures / f"{place:05d}.jpg", quality=95)
        images, _ = check_images(pictures, find_files(pictures)[0], lambda done, total: None)
        with open_store(Path(scratch), weights.digest, features.POOLS, precision, width) as store:
            extraction_seconds = [
                measure_cpu_seconds(
                    lambda part=part: features.extract(
                        pictures, part, lambda: network, store, 8, lambda stage, done, total: None
                    )
                )
                for part in (images[FAILING:], images[:FAILING])  # the first one warms up
            ]
            vectors = store.read([image.digest for image in images])
    layers = RECIPES[CONTRAST].layers
    layer_features = features.select_columns(vectors, features.POOLS, layers)
    failing, passing, search = layer_features[:FAILING], layer_features[FAILING:], Search(CONTRAST)
    partition = find_partition(failing, passing, search)
    alone = np.arange(FAILING + PASSING)
    finding = measure_cpu_seconds(lambda: find_partition(failing, passing, search))
    counting = measure_cpu_seconds(
        lambda: count_unseen(
            failing, passing, partition.labels, search, alone[:FAILING], alone[FAILING:]
        )
    )
    rows = {
        "features of failing images": extraction_seconds[1],
        "search": finding,
        "count": counting,
    }
    print(f"{'':<30}{'CPU s':>10}{'of features':>15}")
    for name, seconds in rows.items():
        print(f"{name:<30}{seconds:>10.2f}{seconds / extraction_seconds[1]:>15.1%}")


if __name__ == "__main__":
    main()
