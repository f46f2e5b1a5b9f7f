"""Near-duplicates: groups of pictures that are nearly the same, such as the frames of one track.

Not in SAFE. Frames of a track are not independent images (see `pipelines.data.groups`), and file
names do not always show the track. The features of the deepest pooling layer show it. They depend
strongly on what a picture shows; how it was taken (blur, little light) changes them less than the
features of shallow layers.

Dark pictures of different things are also close to one another, and so are pictures of one kind of
thing. So a distance is compared with the distances to other pictures, and a group must be far from
all images outside. Results of `benchmarks/near_duplicates.py`: no group among independent
photographs with added faults, or among drawn eyes and signs; all pairs of frames of drawn tracks
(68 to 77 % if each frame has strong faults of its own), and no false pair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Floats
from pipelines.data.groups import ALONE, FEWEST_STEMS, LARGEST_SHARE, Groups

RANK = 30
"""The neighbour of this rank counts as independent; so longer tracks may be missed."""
NEAR = 0.25
"""An image is near if its distance is below this share of the distance to that neighbour."""
FARTHEST = 0.1
"""Two pictures at this cosine distance or more are never near."""
ISOLATION = 3.0
"""Smallest ratio of a group's distance to the nearest other image to the distances inside it."""
FEWEST_ISOLATED = 0.5
"""Smallest share of linked images in isolated groups. With fewer, the images are near one another
because they show one kind of thing."""
FEWEST_IMAGES = 0.05
"""Smallest share of all images in groups: with fewer, the set does not consist of tracks."""
BLOCK = 4_000_000
"""Number of distances in memory at a time."""
HOW = "by near-duplicate pictures"


def link_near_pictures(vectors: Floats) -> NDArray[np.int64]:
    """Link pictures that are closer than independent ones, and number the connected components.

    The neighbour of rank `RANK` (or of a tenth of all images, if that is less) counts as
    independent of an image. Two images are linked if their distance is below `FARTHEST`, and below
    the share `NEAR` of the distance from either image to its independent neighbour.

    Time grows with n^2 d, memory with n d and `BLOCK`.

    Parameters
    ----------
    vectors : array of float32, shape (n, d)
        Features of one layer; only their directions count.

    Returns
    -------
    array of int64, shape (n,)
        Number of the image's connected component, from 0.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(vectors)
    numbers = np.arange(n)
    rank = min(RANK, int(LARGEST_SHARE * n) + 1)
    if rank >= n:
        return numbers
    # The image itself has rank 0, at distance 0.
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
    """Measure how far each group is from the other images, relative to the distances within it.

    Time grows with n^2 d, memory with n d and `BLOCK`.

    Parameters
    ----------
    vectors : array of float32, shape (n, d)
    numbers : array of int64, shape (n,)
        0 to k - 1: the group of each image; every number occurs.

    Returns
    -------
    array of float64, shape (k,)
        Smallest distance between an image of the group and an image outside, divided by the largest
        distance between an image of the group and its nearest neighbour in the group; 0 for a group
        of one image.
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
    """Yield blocks of cosine distances to all images, each with the position of its first row."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    rows = max(1, BLOCK // max(1, len(unit)))
    for start in range(0, len(unit), rows):
        yield start, 1 - unit[start : start + rows] @ unit.T


def group_near_duplicates(paths: Sequence[str], vectors: Floats) -> Groups:
    """Group images that are nearly the same picture; `ALONE` unless the set consists of tracks.

    A group is a connected component (`link_near_pictures`) whose isolation is at least `ISOLATION`.
    The set consists of tracks if the groups have at least `FEWEST_ISOLATED` of the linked images
    and `FEWEST_IMAGES` of all images. As for groups by names, there must also be at least
    `FEWEST_STEMS` groups, and none may have more than `LARGEST_SHARE` of all images.

    Time grows with n^2 d, memory with n d.

    Parameters
    ----------
    paths : sequence of str, length n
        A path that occurs twice (in two folders) is ambiguous; its images are in no group.
    vectors : array of float32, shape (n, d)
        See `link_near_pictures`.

    Returns
    -------
    Groups
        Each group has the name of its first image.
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
