"""Draw why passing images matter: `python -m benchmarks.contrast_picture assets/contrast.png`.

The same 600 failing pictures of drawn signs are laid out twice by t-SNE: by appearance, and in
contrast with 300 passing ones. Colours are the nine injected causes; each occurs on eight kinds of
sign.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmarks.photograph_sets import LabelledFeatures, extract, signs
from benchmarks.photographs import layers_of
from pipelines.safe import contrast, features, reduction
from pipelines.safe.recipe import RECIPES

PANEL, MARGIN, KEY = 620, 30, 70
COLOURS = (
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd",
    "#8c564b", "#e377c2", "#7f7f7f", "#17becf",
)  # fmt: skip
TITLES = ("By what they look like", "In contrast with passing images")


def lay_out(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """Lay points out on a plane, 0 to 1."""
    from sklearn.manifold import TSNE

    places = TSNE(perplexity=20, random_state=0, init="pca").fit_transform(points)
    low, high = places.min(axis=0), places.max(axis=0)
    return (places - low) / (high - low)


def both_spaces(images: LabelledFeatures) -> list[NDArray[np.float32]]:
    """Return the failing images' points by appearance and in contrast."""
    plain, against = RECIPES["default"], RECIPES["contrast"]
    vectors, widths = layers_of(images.failing, plain.layers), features.list_widths(plain.layers)
    space = reduction.fit(vectors, widths, components=plain.components, unit_length=True, seed=0)
    failing, passing = (
        layers_of(part, against.layers) for part in (images.failing, images.passing)
    )
    space = contrast.fit(
        failing, passing, features.list_widths(against.layers), components=against.components
    )
    rays = contrast.project(space, failing)
    return [reduction.apply(space, vectors), contrast.compute_directions(space, rays)]


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    images = extract("signs", signs(0))
    causes = sorted(set(images.causes.tolist()))
    font = ImageFont.load_default(18)
    picture = Image.new("RGB", (2 * PANEL + 3 * MARGIN, PANEL + 3 * MARGIN + KEY), "white")
    draw = ImageDraw.Draw(picture)
    for place, points in enumerate(both_spaces(images)):
        left = MARGIN + place * (PANEL + MARGIN)
        draw.text((left, 8), TITLES[place], fill="black", font=font)
        top = MARGIN + 8
        draw.rectangle((left, top, left + PANEL, top + PANEL), outline="#cccccc")
        for (x, y), cause in zip(lay_out(points), images.causes, strict=True):
            middle = left + 10 + x * (PANEL - 20), top + 10 + y * (PANEL - 20)
            box = (middle[0] - 4, middle[1] - 4, middle[0] + 4, middle[1] + 4)
            draw.ellipse(box, fill=COLOURS[causes.index(cause)])
    top = PANEL + 2 * MARGIN
    for number, cause in enumerate(causes):
        x, y = MARGIN + (number % 5) * 250, top + 8 + 30 * (number // 5)
        draw.ellipse((x, y + 4, x + 14, y + 18), fill=COLOURS[number])
        draw.text((x + 22, y), cause, fill="black", font=font)
    picture.quantize(64).save(arguments.file, optimize=True)


if __name__ == "__main__":
    main()
