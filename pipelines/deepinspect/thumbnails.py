"""The images that the page shows for a class or a pair: their lists and thumbnails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from pipelines.data.arrays import Bools
from pipelines.data.images import ImageFile, Rejected
from pipelines.data.labels import SEPARATOR
from pipelines.data.pair_lists import PairList
from pipelines.data.prefetch import prefetch
from pipelines.data.thumbnails import DRAWING, THUMBNAIL_FOLDER, draw_thumbnail, thumbnail_name
from pipelines.deepinspect.findings import Findings, Truths
from pipelines.deepinspect.predictions import InspectedImages
from pipelines.deepinspect.ranking import pairs_of
from pipelines.runs.folder import Progress

OF_A_CLASS = 12
"""Number of images of a class that get thumbnails."""
OF_A_PAIR = 24
"""Number of confused images of a pair that get thumbnails."""
CLOSEST = 12
"""Number of thumbnails without labels: images with the smallest margin between two classes."""
MOST_LISTS = 1000
"""Largest number of pairs whose confused images are listed."""
DRAWN_AHEAD = 32


def _ranks(findings: Findings) -> dict[tuple[int, int], tuple[int, bool]]:
    """Return, for each pair, its rank by NAPVD, from 1, and whether a ranking reports it."""
    first, second = pairs_of(len(findings.names))
    reported = np.logical_or.reduce([ranking.one_sd for ranking in findings.rankings.values()])
    order = findings.rankings["confusion"].order
    return {
        (int(first[pair]), int(second[pair])): (rank, bool(reported[pair]))
        for rank, pair in enumerate(order.tolist(), 1)
    }


def choose_lists(findings: Findings, truths: Truths, files: Sequence[ImageFile]) -> list[PairList]:
    """Choose the pairs whose confused images are listed: reported pairs first, most images first.

    Parameters
    ----------
    files : sequence of ImageFile
        All inspected images.
    """
    ranks = _ranks(findings)
    lists = [
        PairList(
            *pair,
            (findings.names[pair[0]], findings.names[pair[1]]),
            None if np.isnan(findings.distances[pair]) else ranks[pair][0],
            [files[image].path for image in images],
        )
        for pair, images in truths.images.items()
    ]
    lists.sort(
        key=lambda pair_list: (
            not ranks[pair_list.first, pair_list.second][1],
            -len(pair_list.images),
            ranks[pair_list.first, pair_list.second][0],
        )
    )
    return lists[:MOST_LISTS]


def draw_images(
    run: Path,
    folder: Path,
    images: InspectedImages,
    truths: Truths | None,
    lists: Sequence[PairList],
    progress: Progress,
) -> dict[int, str]:
    """Draw thumbnails of the images that the page shows.

    For each class, images with correct predictions are drawn first; for each list, its first
    images. Without labels, the images with the smallest margin between two classes are drawn.

    Parameters
    ----------
    run, folder : Path
        The run folder, and the folder of the images.

    Returns
    -------
    dict of int to str
        Names of the thumbnails, by position of the image.
    """
    wanted: dict[int, None] = {}
    right = np.ones(len(images.files), np.bool_)
    if images.truth is not None:
        right = images.labelled & (images.truth == images.predicted).all(axis=1)
    for place in range(images.predicted.shape[1]):
        members = np.flatnonzero(images.predicted[:, place])
        best = members[np.argsort(~right[members], kind="stable")][:OF_A_CLASS]
        wanted |= dict.fromkeys(best.tolist())
    if truths is not None:
        for pair_list in lists:
            confused = truths.images[pair_list.first, pair_list.second]
            wanted |= dict.fromkeys(confused[:OF_A_PAIR])
    else:
        wanted |= dict.fromkeys(_closest(images))
    places = sorted(wanted)
    (run / THUMBNAIL_FOLDER).mkdir(exist_ok=True)
    drawn: dict[int, str] = {}
    pictures = prefetch(
        lambda place: draw_thumbnail(folder, images.files[place], run), places, DRAWN_AHEAD
    )
    for done, (place, picture) in enumerate(zip(places, pictures, strict=True), 1):
        if not isinstance(picture, Rejected):
            drawn[place] = thumbnail_name(images.files[place].digest)
        progress(DRAWING, done, len(places))
    return drawn


def _closest(images: InspectedImages) -> list[int]:
    """Return the positions of the images with the smallest margin between each two classes."""
    if (images.runner_up < 0).any():
        return []
    best = images.predicted.argmax(axis=1)
    by_pair: dict[tuple[int, int], list[int]] = {}
    for place in np.argsort(images.margin, kind="stable").tolist():
        one, other = int(best[place]), int(images.runner_up[place])
        closest = by_pair.setdefault((min(one, other), max(one, other)), [])
        if len(closest) < CLOSEST:
            closest.append(place)
    return [place for closest in by_pair.values() for place in closest]


def prediction_rows(
    images: InspectedImages, names: Sequence[str], drawn: Mapping[int, str]
) -> Iterator[tuple[object, ...]]:
    """Yield the rows of `predictions.csv`, one for each image.

    Parameters
    ----------
    names : sequence of str
        Names of the classes.
    drawn : mapping of int to str
        Names of the thumbnails, by position of the image.
    """

    def join_names(row: Bools) -> str:
        return SEPARATOR.join(names[place] for place in np.flatnonzero(row).tolist())

    for place, image in enumerate(images.files):
        second = int(images.runner_up[place])
        yield (
            image.path,
            join_names(images.predicted[place]),
            "" if images.truth is None else join_names(images.truth[place]),
            "" if second < 0 else names[second],
            "" if second < 0 else round(float(images.margin[place]), 4),
            drawn.get(place, ""),
        )
