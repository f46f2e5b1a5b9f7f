"""Whether clusters are causes on real photographs: `python -m benchmarks.photographs FOLDER`.

Eleven causes of mixed strength (`benchmarks.spoiling`) are drawn on photographs of FOLDER, and on
pictures composed from two Debian packages (`benchmarks.composing`, if these are installed). The
drawn eyes and signs come with passing sets of their own. The figures of each set are means over
seeds:

- purity: share of the clustered images that are of their cluster's main cause;
- covered: causes that are at least 0.9 of a cluster of 3 images or more;
- noise: share of images in no cluster;
- inspect: share of images to inspect, five per cluster;
- clusters: number of clusters (situations, for `contrast`).

`rates` draws whole test sets instead: of each cause, some images fail and some pass; two causes
fail no more often than all images do. It measures how often the failure rate of a pure cluster is
within its 95 % interval, and how often these two causes are marked as common.

`hints` measures the pictures themselves, with the true causes as clusters: how often one of the
first three hints is right, and how often the first one names a property that is not there.

Layers, ridge, components and the search were chosen on seeds 0 to 2; 3 and 4 check them.
"""

from __future__ import annotations

import argparse
import io
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from benchmarks.composing import find_backgrounds, find_stamps
from benchmarks.photograph_sets import (
    LabelledFeatures,
    compose_pictures,
    extract,
    eyes,
    photographs,
    signs,
)
from benchmarks.quality import judge
from benchmarks.spoiling import CAUSES
from pipelines.clusters.families import find_families, label_families
from pipelines.clusters.hints import find_hints
from pipelines.clusters.rates import AS_COMMON, classify_clusters, estimate_rates
from pipelines.data.arrays import Floats
from pipelines.data.properties import measure
from pipelines.safe import clustering, contrast, features, reduction
from pipelines.safe.denoising import denoise
from pipelines.safe.extraction import CONDITIONS
from pipelines.safe.partition import count_unseen, find_partition
from pipelines.safe.recipe import RECIPES
from pipelines.safe.search import Search

SPOILT, CLEAN = 700, 1300
"""Photographs of the test sets that failure rates are estimated on."""
RATES = (0.9, 0.75, 0.6, 0.45)
BASE = 0.04
"""Share of the photographs without a cause that nevertheless fail."""
DECOYS = ("fog", "noise")
PURE = 0.9
COLUMNS = ("purity", "covered", "noise", "inspect", "clusters")

Labels = NDArray[np.int32]
Random = np.random.Generator


# --- methods ------------------------------------------------------------------------------------


def layers_of(vectors: Floats, layers: Sequence[str]) -> Floats:
    """Return the features of some layers."""
    return features.select_columns(vectors, features.POOLS, layers)


def by_recipe(name: str) -> Callable[[LabelledFeatures, int], Labels]:
    """Return the tool's own search by one of its recipes."""

    def method(images: LabelledFeatures, seed: int) -> Labels:
        layers = RECIPES[name].layers
        failing, passing = (layers_of(part, layers) for part in (images.failing, images.passing))
        return find_partition(failing, passing, Search(name, seed=seed)).labels

    return method


def families(images: LabelledFeatures, seed: int) -> Labels:
    """Put the clusters of the default recipe into families."""
    labels = by_recipe("default")(images, seed)
    conditions = layers_of(images.failing, (CONDITIONS,))
    unit = reduction.scale_to_unit_length(conditions, [conditions.shape[1]])
    return label_families(find_families(unit, labels), labels)


def papers_choices(images: LabelledFeatures, seed: int) -> Labels:
    """Cluster by the paper's choices on the same network's last pooling layer."""
    last = layers_of(images.failing, ("block5_pool",))
    space = reduction.fit(last, [last.shape[1]], components=256, unit_length=False, seed=seed)
    return clustering.search(reduction.apply(space, last), noise_is_a_cluster=True).labels


def contrast_points(images: LabelledFeatures) -> Floats:
    """Return the denoised directions of failing images, the first input of the tool's search."""
    recipe = RECIPES["contrast"]
    failing, passing = (layers_of(p, recipe.layers) for p in (images.failing, images.passing))
    widths = features.list_widths(recipe.layers)
    space = contrast.fit(failing, passing, widths, components=recipe.components)
    return denoise(contrast.compute_directions(space, contrast.project(space, failing)))


def directions_dbscan(images: LabelledFeatures, seed: int) -> Labels:
    """Cluster directions by DBSCAN alone, without splitting or joining."""
    return clustering.search(contrast_points(images), largest_share=0.25).labels


def directions_hdbscan(images: LabelledFeatures, seed: int) -> Labels:
    """Cluster directions by HDBSCAN."""
    from sklearn.cluster import HDBSCAN

    model = HDBSCAN(min_cluster_size=5, min_samples=3, copy=True)
    return clustering.tidy(model.fit(contrast_points(images)).labels_.astype(np.int32))


def directions_ward(images: LabelledFeatures, seed: int) -> Labels:
    """Cut Ward's tree of the directions into as many clusters as there are causes."""
    from sklearn.cluster import AgglomerativeClustering

    count = len(set(images.causes.tolist()))
    model = AgglomerativeClustering(n_clusters=count)
    return clustering.tidy(model.fit(contrast_points(images)).labels_.astype(np.int32))


def umap_dbscan(images: LabelledFeatures, seed: int) -> Labels:
    """Cluster unit-length features by UMAP, with the settings of its guide, and DBSCAN."""
    from umap import UMAP

    layers = RECIPES["default"].layers
    unit_vectors = reduction.scale_to_unit_length(
        layers_of(images.failing, layers), features.list_widths(layers)
    )
    reducer = UMAP(n_components=10, n_neighbors=15, min_dist=0.0, random_state=seed, n_jobs=1)
    return clustering.search(
        np.asarray(reducer.fit_transform(unit_vectors), dtype=np.float32)
    ).labels


METHODS: dict[str, Callable[[LabelledFeatures, int], Labels]] = {
    "contrast": by_recipe("contrast"),
    "appearance": by_recipe("appearance"),
    "default": by_recipe("default"),
    "default, families": families,
    "paper's choices": papers_choices,
    "directions, DBSCAN": directions_dbscan,
    "directions, HDBSCAN": directions_hdbscan,
    "directions, Ward (k told)": directions_ward,
    "UMAP + DBSCAN": umap_dbscan,
}


def figures(labels: Labels, causes: NDArray[np.str_]) -> dict[str, float]:
    """Compare a labelling with the causes, as the module's docstring defines it."""
    quality = judge(labels, causes.tolist())
    return {
        "purity": quality.purity_images,
        "covered": quality.coverage * len(set(causes.tolist())),
        "noise": quality.noise,
        "inspect": quality.inspect,
        "clusters": quality.clusters,
    }


def print_table(name: str, sets: Sequence[LabelledFeatures], skip: Sequence[str]) -> None:
    """Print every method's figures on one kind of pictures, mean (worst) over seeds."""
    causes = len(set(sets[0].causes.tolist()))
    print(f"\n{name}: {len(sets[0].failing)} failing, {len(sets[0].passing)} passing, "
          f"{causes} causes, {len(sets)} seeds: mean (worst)")  # fmt: skip
    print(f"{'':<27}" + "".join(f"{column:>16}" for column in COLUMNS))
    for method, find in METHODS.items():
        if any(word in method for word in skip):
            continue
        rows = [figures(find(images, seed), images.causes) for seed, images in enumerate(sets)]
        cells = []
        for column in COLUMNS:
            values = [row[column] for row in rows]
            worst = min(values) if column in {"purity", "covered"} else max(values)
            digits = 1 if column in {"covered", "clusters"} else 3
            cells.append(f"{np.mean(values):.{digits}f} ({worst:.{digits}f})")
        print(f"{method:<27}" + "".join(f"{cell:>16}" for cell in cells), flush=True)


# --- failure rates ------------------------------------------------------------------------------


def draw_test_set(images: LabelledFeatures, seed: int) -> dict[str, Any]:
    """Draw a test set with known rates: which images fail, and how often each cause does."""
    rng = np.random.default_rng([seed, 31])
    names = [cause.name for cause in CAUSES]
    rates = {name: RATES[place % len(RATES)] for place, name in enumerate(names)}
    clean = len(images.passing)
    causes = np.concatenate([images.causes, np.full(clean, "")])
    usual = [rates[cause] if cause else BASE for cause in causes if cause not in DECOYS]
    rates |= dict.fromkeys(DECOYS, float(np.mean(usual)))
    failures = rng.random(len(causes)) < [rates[cause] if cause else BASE for cause in causes]
    return {
        "vectors": np.concatenate([images.failing, images.passing]),
        "causes": causes,
        "failed": failures,
    }


def judge_rates(test_set: dict[str, Any], seed: int) -> Counter[str]:
    """Count pure clusters, intervals that hold the true rate, and decoys that are marked."""
    layers = RECIPES["contrast"].layers
    vectors, failures, causes = (test_set[key] for key in ("vectors", "failed", "causes"))
    layer_features, search = layers_of(vectors, layers), Search("contrast", seed=seed)
    failing, passing = layer_features[failures], layer_features[~failures]
    partition = find_partition(failing, passing, search)
    alone = np.arange(len(failures))
    groups = alone[: len(failing)], alone[len(failing) :]
    unseen = count_unseen(failing, passing, partition.labels, search, *groups)
    ids = range(int(partition.labels.max()) + 1)
    rates = estimate_rates(*unseen, np.ones(len(passing)), *groups, ids)
    kinds, counts = classify_clusters(rates, {}), Counter[str]()
    for cluster, rate in rates.items():
        inside = causes[failures][partition.labels == cluster]
        main, size = Counter(inside.tolist()).most_common(1)[0]
        if size < PURE * len(inside):
            continue
        true = float(failures[causes == main].mean())
        counts["told"] += rate.testable
        counts["pure"] += 1
        if not rate.testable:
            continue
        counts["held"] += rate.low <= true <= rate.high
        if main in DECOYS:
            counts["decoys"] += 1
            counts["marked"] += kinds[cluster] == AS_COMMON
        elif main:
            counts["causes"] += 1
            counts["higher"] += rate.is_higher
    return counts


def print_rates(sets: Sequence[LabelledFeatures], draws: int) -> None:
    """Print how good failure rates are."""
    counts = Counter[str]()
    for seed, images in enumerate(sets):
        for draw in range(draws):
            counts += judge_rates(draw_test_set(images, 100 * seed + draw), seed)
    print(f"{counts['pure']} pure clusters, {counts['told']} of enough images to tell: true rate "
          f"within its interval in {counts['held'] / max(1, counts['told']):.1%}")  # fmt: skip
    print(f"{counts['decoys']} of causes that fail no more often: marked as common "
          f"{counts['marked'] / max(1, counts['decoys']):.1%}")  # fmt: skip
    print(f"{counts['causes']} of other causes: said to fail more often "
          f"{counts['higher'] / max(1, counts['causes']):.1%}")  # fmt: skip


# --- hints --------------------------------------------------------------------------------------

RIGHT = {
    "blur": {"sharpness"},
    "low light": {"brightness", "shadows"},
    "noise": {"noise"},
    "fog": {"contrast", "colourfulness", "brightness"},
    "rain": {"streaks"},
    "JPEG": {"blockiness"},
    "occlusion": {"flat_area"},
    "over-exposure": {"highlights", "brightness"},
    "rotation": {"tilt"},
    "colour cast": {"cast", "hue"},
    "lens dirt": {"dirt"},
}
BLEMISHES = {"flat_area", "blockiness", "streaks", "tilt", "dirt", "cast"}


def measure_pictures(
    pictures: Iterable[tuple[str, Image.Image]],
) -> tuple[list[str], NDArray[np.float64]]:
    """Return the causes of pictures, and their properties as files on disk have them."""
    causes, values = [], []
    for cause, picture in pictures:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=95)
        causes.append(cause)
        values.append(measure(Image.open(io.BytesIO(file.getvalue())).convert("RGB")))
    return causes, np.array(values)


def print_hints(kinds: dict[str, list[Iterable[tuple[str, Image.Image]]]]) -> None:
    """Print how often hints are right and false, by kind of pictures and cause."""
    for kind, sets in kinds.items():
        right, false, clusters = Counter[str](), Counter[str](), 0
        for seed, pictures in enumerate(sets):
            causes, values = measure_pictures(tqdm(pictures, desc=kind))
            truth = np.array(causes)
            failing, names = values[truth != ""], sorted(set(causes) - {""})
            labels = np.array([names.index(cause) for cause in truth[truth != ""]], np.int32)
            hints = find_hints(failing, labels, seed=seed, passing=values[truth == ""])
            for number, name in enumerate(names):
                keys = [hint.key for hint in hints[number][:3]]
                right[name] += bool(RIGHT[name] & {*keys})
                false[name] += bool(keys and keys[0] in BLEMISHES - RIGHT[name])
                clusters += 1
        print(f"{kind}: right in {sum(right.values()) / clusters:.1%}, the first false in "
              f"{sum(false.values()) / clusters:.1%} of {clusters} clusters")  # fmt: skip
        for name in RIGHT:
            print(f"  {name:<15}{right[name]} of {len(sets)}, false {false[name]}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="any folder of photographs, a thousand or more")
    parser.add_argument(
        "what", nargs="?", choices=("clusters", "rates", "hints"), default="clusters"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--skip", nargs="*", default=[], help="methods whose name has a word")
    parser.add_argument("--draws", type=int, default=5, help="test sets a seed, for rates")
    arguments = parser.parse_args()
    if not arguments.folder.is_dir():
        parser.exit(1, f"{arguments.folder} is not there: give a folder of photographs.\n")
    if arguments.what == "hints":
        kinds = {"photographs": [photographs(arguments.folder, seed) for seed in arguments.seeds]}
        if find_stamps() and find_backgrounds():
            kinds["composed"] = [compose_pictures(seed) for seed in arguments.seeds]
        print_hints(kinds)
        return
    if arguments.what == "rates":
        pictures = [photographs(arguments.folder, seed, SPOILT, CLEAN) for seed in arguments.seeds]
        print_rates(
            [extract("test sets", pictures_of_seed) for pictures_of_seed in pictures],
            arguments.draws,
        )
        return
    own = [extract(f"photographs {s}", photographs(arguments.folder, s)) for s in arguments.seeds]
    print_table("photographs", own, arguments.skip)
    if find_stamps() and find_backgrounds():
        composed_sets = [
            extract(f"composed {seed}", compose_pictures(seed)) for seed in arguments.seeds
        ]
        print_table("composed", composed_sets, arguments.skip)
    else:
        print("\ncomposed: apt install tuxpaint-stamps-default mate-backgrounds")
    for name, draw in (("signs", signs), ("eyes", eyes)):
        feature_sets = [extract(f"{name} {seed}", draw(seed)) for seed in arguments.seeds]
        print_table(name, feature_sets, arguments.skip)


if __name__ == "__main__":
    main()
