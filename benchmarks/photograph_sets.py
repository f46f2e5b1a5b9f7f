"""The pictures that `benchmarks.photographs` clusters, and their features."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from benchmarks.composing import compose, find_backgrounds, find_stamps
from benchmarks.scenarios import draw_failing_set
from benchmarks.signs import draw_failing_signs, draw_sign, sample_sign
from benchmarks.spoiling import CAUSES
from pipelines.data.arrays import Floats
from pipelines.data.images import ImageFile, check_image, find_files
from pipelines.safe import features
from pipelines.safe.store import open_store
from pipelines.safe.weights import cache_folder, load_weights

FAILING, PASSING = 400, 300


@dataclass(frozen=True)
class LabelledFeatures:
    """Failing images with their causes, and passing ones: all pooling layers' features."""

    failing: Floats
    causes: NDArray[np.str_]
    passing: Floats


def causes_of(count: int) -> list[int]:
    """Return the cause of each image, by its share; the first gets the remaining ones."""
    sizes = [max(3, round(cause.share * count)) for cause in CAUSES]
    sizes[0] += count - sum(sizes)
    return [place for place, size in enumerate(sizes) for _ in range(size)]


def photographs(
    folder: Path, seed: int, failures: int = FAILING, others: int = PASSING
) -> Iterable[tuple[str, Image.Image]]:
    """Draw causes on some photographs of a folder, and leave others unchanged."""
    files = [folder / path for path in find_files(folder)[0]]
    order = np.random.default_rng([seed, 11]).permutation(len(files))
    failing = min(failures, len(files) * failures // (failures + others))
    for place, (number, cause) in enumerate(zip(order, causes_of(failing), strict=False)):
        with Image.open(files[number]) as file:
            image = CAUSES[cause].spoil(file.convert("RGB"), np.random.default_rng([seed, place]))
        yield CAUSES[cause].name, image
    for number in order[failing : failing + others]:
        with Image.open(files[number]) as file:
            yield "", file.convert("RGB")


def compose_pictures(seed: int) -> Iterable[tuple[str, Image.Image]]:
    """Draw causes on composed pictures of some hundred classes."""
    stamps, scenes = find_stamps(), find_backgrounds()
    causes = causes_of(600)
    for place in range(len(causes) + PASSING):
        rng = np.random.default_rng([seed, place, 12])
        picture = compose(stamps[rng.integers(len(stamps))], scenes[rng.integers(len(scenes))], rng)
        if place < len(causes):
            cause = CAUSES[causes[place]]
            yield cause.name, cause.spoil(picture, rng)
        else:
            yield "", picture


def signs(seed: int) -> Iterable[tuple[str, Image.Image]]:
    """Draw signs with nine causes, and signs without."""
    with tempfile.TemporaryDirectory() as folder:
        causes = draw_failing_signs(Path(folder), seed)
        for path, cause in sorted(causes.items()):
            with Image.open(Path(folder, path)) as file:
                yield cause, file.convert("RGB")
    for place in range(PASSING):
        rng = np.random.default_rng([seed, place, 9])
        yield "", draw_sign(sample_sign(rng), rng)


def eyes(seed: int) -> Iterable[tuple[str, Image.Image]]:
    """Draw eyes with ten causes, and eyes without."""
    with tempfile.TemporaryDirectory() as folder:
        causes = draw_failing_set(Path(folder, "failing"), seed)
        draw_failing_set(Path(folder, "passing"), seed + 1000, injected=False)
        for path, cause in sorted(causes.items()):
            with Image.open(Path(folder, "failing", path)) as file:
                yield cause, file.convert("RGB")
        names = sorted(file.name for file in Path(folder, "passing").glob("*.jpg"))
        for number in np.random.default_rng(seed).permutation(len(names))[:PASSING]:
            with Image.open(Path(folder, "passing", names[number])) as file:
                yield "", file.convert("RGB")


def extract(name: str, pictures: Iterable[tuple[str, Image.Image]]) -> LabelledFeatures:
    """Save pictures and extract their features through the store: a second time costs little."""
    weights, precision = load_weights(None, top=False), features.choose_precision("auto")
    width = sum(features.list_widths(features.POOLS))
    with (
        tempfile.TemporaryDirectory() as folder,
        open_store(cache_folder(), weights.digest, features.POOLS, precision, width) as store,
        tqdm(desc=name) as bar,
    ):
        causes = []
        for place, (cause, picture) in enumerate(pictures):
            picture.save(Path(folder, f"{place:05d}.jpg"), quality=95)
            causes.append(cause)
        images = [check_image(Path(folder), path) for path in find_files(Path(folder))[0]]
        usable = [image for image in images if isinstance(image, ImageFile)]
        features.extract(
            Path(folder),
            usable,
            lambda: features.build_network(weights, features.POOLS, precision),
            store,
            8,
            lambda stage, done, total: bar.update(done - bar.n),
        )
        vectors = store.read([image.digest for image in usable])
    names = np.array(causes)
    return LabelledFeatures(vectors[names != ""], names[names != ""], vectors[names == ""])
