"""Groups of pictures that are nearly the same, where names tell of none: frames of one track.

Not in SAFE. Frames of a track are no independent images (see `pipelines.data.groups`), and files
are not always named after their track.  What tells is the deepest pooling layer: what a picture
shows moves it far, and how it was taken (blur, little light) less than it moves the shallow
layers.

Dark pictures of different things are near one another, too, and so are pictures of one kind of
thing.  Being near is therefore measured by how near other pictures are, and a group must be far
from all that it does not hold.  Measured by `benchmarks/near_duplicates.py`: of independent
photographs that are spoiled, and of drawn eyes and signs, none are told; of pairs of frames of
drawn tracks all, or 68 to 77 % where each frame was spoiled anew and strongly, and no false pair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Floats
from pipelines.data.groups import ALONE, FEWEST_STEMS, LARGEST_SHARE, Groups

RANK = 30
"""The image of this rank is taken to be independent of an image: longer tracks may be missed."""
NEAR = 0.25
"""Share of the distance to that image, below which another image is near."""
FARTHEST = 0.1
"""Cosine distance from which on two pictures are never near."""
ISOLATION = 3.0
"""How many times farther than its images are from one another the next image is from a group."""
FEWEST_ISOLATED = 0.5
"""Share of the images that are near others: with fewer in isolated groups, all is alike by kind."""
FEWEST_IMAGES = 0.05
"""Share of all images: where fewer are in groups, the set is not one of tracks."""
BLOCK = 4_000_000
"""Distances held at a time."""
HOW = "by near-duplicate pictures"


def link_near_pictures(vectors: Floats) -> NDArray[np.int64]:
    """Link pictures that are nearer than independent ones; number what is connected.

    An image's distance to the image of rank `RANK` (or of a tenth of all images, where these are
    fewer) is one to an independent image.  Two images are linked where their distance is below
    `NEAR` of that of either, and below `FARTHEST`.

    Time grows with n^2 d, memory with n d and `BLOCK`.

    Parameters
    ----------
    vectors : array of float32, shape (n, d)
        Features of one layer; only their directions count.

    Returns
    -------
    array of int64, shape (n,)
        From 0; images of one number are connected.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(vectors)
    numbers = np.arange(n)
    rank = min(RANK, int(LARGEST_SHARE * n) + 1)
    if rank >= n:
        return numbers
    # The image itself is first, at distance 0.
    ranked = [np.partition(distances, rank, axis=1)[:, rank] for _, distances in _rows(vectors)]
    limits = np.minimum(NEAR * np.concatenate(ranked), FARTHEST)
    for start, distances in _rows(vectors):
        own = limits[start : start + len(distances), None]
        rows, columns = np.nonzero(distances < np.minimum(own, limits))
        ends = numbers[rows + start], numbers[columns]
        links = coo_array((np.ones(len(rows), dtype=np.int8), ends), shape=(n, n))
        numbers = connected_components(links, directed=False)[1][numbers].astype(np.int64)
    return np.unique(numbers, return_inverse=True)[1]


def measure_isolation(vectors: Floats, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compare how far the next image is from a group with how near its own images are.

    Time grows with n^2 d, memory with n d and `BLOCK`.

    Parameters
    ----------
    vectors : array of float32, shape (n, d)
    numbers : array of int64, shape (n,)
        0 to k - 1: the group of each image; every number occurs.

    Returns
    -------
    array of float64, shape (k,)
        The smallest distance between an image of the group and one that is not, over the largest
        between an image of it and the nearest other of it; 0 for one image.
    """
    inside = np.zeros(int(numbers.max(initial=-1)) + 1)
    outside = np.full(len(inside), np.inf)
    for start, distances in _rows(vectors):
        own = numbers[start : start + len(distances)]
        same = own[:, None] == numbers
        beyond = np.where(same, np.inf, distances).min(axis=1)
        places = np.arange(len(own))
        distances[places, start + places] = np.inf
        within = np.where(same, distances, np.inf).min(axis=1)
        np.minimum.at(outside, own, beyond)
        np.maximum.at(inside, own, within)
    isolation: NDArray[np.float64] = outside / np.maximum(inside, np.finfo(np.float32).eps)
    isolation[np.bincount(numbers) == 1] = 0
    return isolation


def _rows(vectors: Floats) -> Iterator[tuple[int, Floats]]:
    """Yield cosine distances of some images to all, and the place of the first of them."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    rows = max(1, BLOCK // max(1, len(unit)))
    for start in range(0, len(unit), rows):
        yield start, 1 - unit[start : start + rows] @ unit.T


def group_near_duplicates(paths: Sequence[str], vectors: Floats) -> Groups:
    """Group images that are nearly the same picture; `ALONE` unless the set is one of tracks.

    A group is what is connected (`link_near_pictures`) and isolated by `ISOLATION`. At least
    `FEWEST_ISOLATED` of what is connected must be, and at least `FEWEST_IMAGES` of all images; and
    as by names, there are at least `FEWEST_STEMS` groups, none of more than `LARGEST_SHARE`.

    Parameters
    ----------
    paths : sequence of str, length n
        Those that occur twice (in two folders) name no image, and are left out.
    vectors : array of float32, shape (n, d)
        See `link_near_pictures`.

    Returns
    -------
    Groups
        A group has the name of its first image.
    """
    numbers = link_near_pictures(vectors)
    counts = np.bincount(numbers)
    linked = int(counts[counts > 1].sum())
    if linked < FEWEST_IMAGES * len(paths) or (counts > 1).sum() < FEWEST_STEMS:
        return ALONE
    groups = (counts > 1) & (measure_isolation(vectors, numbers) >= ISOLATION)
    inside = int(counts[groups].sum())
    if inside < max(FEWEST_ISOLATED * linked, FEWEST_IMAGES * len(paths)):
        return ALONE
    if groups.sum() < FEWEST_STEMS or counts[groups].max() > LARGEST_SHARE * len(paths):
        return ALONE
    times, firsts, names = Counter(paths), dict[int, str](), dict[str, str]()
    for path, number in zip(paths, numbers.tolist(), strict=True):
        if groups[number] and times[path] == 1:
            names[path] = firsts.setdefault(number, path)
    return Groups(names, HOW)
