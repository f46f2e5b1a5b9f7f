"""How well the clusters are the injected root causes: `python -m benchmarks.quality`.

Draws 600 failing eye images with ten injected scenarios for each seed, and prints for the tool's
default, for the paper's choices on the same network, and for UMAP + DBSCAN (the best of 99
pipelines in a study of 2024 by SAFE's authors):

- purity: share of a cluster's images that are of its main scenario, mean over images and clusters;
- coverage: share of scenarios that are the main one of a cluster of purity 0.9 or more;
- noise: share of images in no cluster;
- inspect: share of images to inspect, five per cluster.

A second table takes every third image: rare causes have four or five images there.  `--grid` prints
the coverage of other settings of the denoising instead.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.scenarios import SCENARIOS, draw_failing_set
from pipelines.clusters.clusters import NOISE, compute_inspection_share
from pipelines.data.arrays import Floats
from pipelines.data.images import ImageFile, check_image, find_files
from pipelines.safe import clustering, features, reduction
from pipelines.safe.denoising import denoise
from pipelines.safe.recipe import RECIPES
from pipelines.safe.store import open_store
from pipelines.safe.weights import cache_folder, load_weights

LAYERS = RECIPES["default"].layers
LAST = "block5_pool"
PURE = 0.9
GRID_NEIGHBOURS = (3, 5, 7, 10, 15)
GRID_STEPS = (0, 2, 4, 8, 16)

Labels = NDArray[np.int32]


@dataclass(frozen=True)
class Quality:
    """The figures of one labelling, as the module's docstring defines them."""

    purity_images: float
    purity_clusters: float
    coverage: float
    noise: float
    clusters: float
    inspect: float


def judge(labels: Labels, scenarios: Sequence[str]) -> Quality:
    """Compare a labelling with the injected scenarios."""
    truth = np.array(scenarios)
    purities, sizes, main_causes = [], [], set()
    for cluster in range(labels.max() + 1):
        inside = truth[labels == cluster]
        main, count = Counter(inside).most_common(1)[0]
        purities.append(count / len(inside))
        sizes.append(len(inside))
        if purities[-1] >= PURE:
            main_causes.add(main)
    return Quality(
        purity_images=float(np.average(purities, weights=sizes)) if sizes else 0.0,
        purity_clusters=float(np.mean(purities)) if sizes else 0.0,
        coverage=len(main_causes) / len(set(scenarios)),
        noise=float((labels == NOISE).mean()),
        clusters=len(sizes),
        inspect=compute_inspection_share(labels),
    )


def extract(folder: Path) -> tuple[list[str], Floats]:
    """Return relative paths and the features of both pooling layers, through the feature store."""
    images = [check_image(folder, path) for path in find_files(folder)[0]]
    images = [image for image in images if isinstance(image, ImageFile)]
    weights = load_weights(None, top=False)
    width = sum(features.list_widths(LAYERS))
    with (
        open_store(cache_folder(), weights.digest, LAYERS, "float32", width) as store,
        tqdm(total=len(images), desc=folder.name) as bar,
    ):
        features.extract(
            folder,
            images,
            lambda: features.build_network(weights, LAYERS, "float32"),
            store,
            8,
            lambda stage, done, total: bar.update(done - bar.n),
        )
        return [image.path for image in images], store.read([image.digest for image in images])


def reduce_features(vectors: Floats, seed: int) -> Floats:
    """Reduce features in the same way as the tool."""
    components = RECIPES["default"].components
    widths = features.list_widths(LAYERS)
    space = reduction.fit(vectors, widths, components=components, unit_length=True, seed=seed)
    return reduction.apply(space, vectors)


def tool_default(vectors: Floats, seed: int) -> Labels:
    """Cluster in the same way as the tool."""
    points = denoise(reduce_features(vectors, seed))
    return clustering.search(points, largest_share=RECIPES["default"].largest_share).labels


def paper_choices(vectors: Floats, seed: int) -> Labels:
    """Cluster by the paper's choices: last layer alone, no unit length, PCA 256, all points."""
    width = features.WIDTHS[LAST]
    last = vectors[:, -width:]
    space = reduction.fit(last, [width], components=256, unit_length=False, seed=seed)
    points = reduction.apply(space, last)
    return clustering.search(points, noise_is_a_cluster=True).labels


def umap_dbscan(vectors: Floats, seed: int) -> Labels:
    """Cluster the tool's scaled features by UMAP, with the settings of its guide, and DBSCAN."""
    from umap import UMAP

    unit_vectors = reduction.scale_to_unit_length(vectors, features.list_widths(LAYERS))
    reducer = UMAP(n_components=10, n_neighbors=15, min_dist=0.0, random_state=seed, n_jobs=1)
    return clustering.search(
        np.asarray(reducer.fit_transform(unit_vectors), dtype=np.float32)
    ).labels


METHODS = {
    "default": tool_default,
    "paper's choices": paper_choices,
    "UMAP + DBSCAN": umap_dbscan,
}


def print_grid(sets: Sequence[tuple[Floats, list[str]]]) -> None:
    """Print mean and worst coverage by number of neighbours and of steps of the denoising."""
    recipe = RECIPES["default"]
    print(f"coverage, mean (worst) of {len(sets)} seeds")
    print("neighbours" + "".join(f"{steps:>8} steps" for steps in GRID_STEPS))
    for neighbours in GRID_NEIGHBOURS:
        cells = []
        for steps in GRID_STEPS:
            coverages = []
            for vectors, truth in sets:
                points = denoise(reduce_features(vectors, 0), neighbours, steps)
                labels = clustering.search(points, largest_share=recipe.largest_share).labels
                coverages.append(judge(labels, truth).coverage)
            cells.append(f"{np.mean(coverages):.2f} ({min(coverages):.2f})")
        print(f"{neighbours:<10}" + "".join(f"{cell:>14}" for cell in cells))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--grid", action="store_true")
    arguments = parser.parse_args()
    sets = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.seeds):
            images = Path(folder, f"seed {seed}")
            scenario_of = draw_failing_set(images, seed)
            paths, vectors = extract(images)
            sets.append((vectors, [scenario_of[path] for path in paths]))
    if arguments.grid:
        print_grid(sets)
    else:
        print_table(sets)


def print_table(sets: Sequence[tuple[Floats, list[str]]]) -> None:
    """Print the quality of every method, for all images and for every third."""
    qualities: dict[tuple[int, str], list[Quality]] = {}
    for seed, (vectors, truth) in enumerate(sets):
        for every in (1, 3):
            for name, method in METHODS.items():
                quality = judge(method(vectors[::every], seed), truth[::every])
                qualities.setdefault((len(truth[::every]), name), []).append(quality)
    columns = list(Quality.__dataclass_fields__)
    print(f"{len(SCENARIOS)} scenarios, {len(sets)} seeds: mean (worst)")
    print(f"{'images, method':<21}" + "".join(f"{column:>17}" for column in columns))
    for (images_of_set, name), rows in sorted(qualities.items(), key=lambda item: -item[0][0]):
        cells = []
        for column in columns:
            values = [getattr(row, column) for row in rows]
            worst = min(values) if column.startswith(("purity", "coverage")) else max(values)
            digits = 1 if column == "clusters" else 3
            cells.append(f"{np.mean(values):.{digits}f} ({worst:.{digits}f})")
        print(f"{images_of_set} {name:<17}" + "".join(f"{cell:>17}" for cell in cells))


if __name__ == "__main__":
    main()
