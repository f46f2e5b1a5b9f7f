"""Which images stand for a class or a pair: their lists and thumbnails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from pipelines.data.image_lists import PairList
from pipelines.data.images import ImageFile, Rejected
from pipelines.data.labels import SEPARATOR
from pipelines.data.prefetch import prefetch
from pipelines.data.thumbnails import THUMBNAIL_FOLDER, draw_thumbnail, thumbnail_name
from pipelines.deepinspect.activation import Bools
from pipelines.deepinspect.findings import Findings, Truths
from pipelines.deepinspect.predictions import Images
from pipelines.deepinspect.ranking import pairs_of
from pipelines.runs.folder import Progress

STAGE = "drawing thumbnails"
OF_A_CLASS = 12
"""Images of a class that have thumbnails."""
OF_A_PAIR = 24
"""Confused images of a pair that have."""
CLOSEST = 12
"""Images that are nearly a tie between two classes, and have, where no labels are known."""
MOST_LISTS = 1000
"""Pairs whose confused images are listed, of those that have any."""
DRAWN_AHEAD = 32


def _ranks(found: Findings) -> dict[tuple[int, int], tuple[int, bool]]:
    """Return the rank of each pair by NAPVD, from 1, and whether it is reported at all."""
    first, second = pairs_of(len(found.names))
    reported = np.logical_or.reduce([each.one_sd for each in found.rankings.values()])
    order = found.rankings["confusion"].order
    return {
        (int(first[pair]), int(second[pair])): (rank, bool(reported[pair]))
        for rank, pair in enumerate(order.tolist(), 1)
    }


def choose_lists(found: Findings, truths: Truths, files: Sequence[ImageFile]) -> list[PairList]:
    """Choose the pairs whose confused images are listed: those reported, then the largest."""
    ranks = _ranks(found)
    lists = [
        PairList(
            *pair,
            (found.names[pair[0]], found.names[pair[1]]),
            None if np.isnan(found.distances[pair]) else ranks[pair][0],
            [files[image].path for image in images],
        )
        for pair, images in truths.images.items()
    ]
    lists.sort(
        key=lambda each: (
            not ranks[each.first, each.second][1],
            -len(each.images),
            ranks[each.first, each.second][0],
        )
    )
    return lists[:MOST_LISTS]


def draw_images(
    run: Path,
    folder: Path,
    images: Images,
    truths: Truths | None,
    lists: Sequence[PairList],
    progress: Progress,
) -> dict[int, str]:
    """Draw thumbnails of the images that the page shows; return their names by position.

    Of each class right images first; of each list the first ones; without labels, images that are
    nearly a tie between two classes.

    Parameters
    ----------
    run, folder : Path
        The run folder, and that of the images.
    """
    wanted: dict[int, None] = {}
    right = np.ones(len(images.files), np.bool_)
    if images.truth is not None:
        right = images.labelled & (images.truth == images.predicted).all(axis=1)
    for place in range(images.predicted.shape[1]):
        seen = np.flatnonzero(images.predicted[:, place])
        best = seen[np.argsort(~right[seen], kind="stable")][:OF_A_CLASS]
        wanted |= dict.fromkeys(best.tolist())
    if truths is not None:
        for each in lists:
            confused = truths.images[each.first, each.second]
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
        progress(STAGE, done, len(places))
    return drawn


def _closest(images: Images) -> list[int]:
    """Return, for every two classes, the images that are nearly a tie between them."""
    if (images.runner_up < 0).any():
        return []
    best = images.predicted.argmax(axis=1)
    by_pair: dict[tuple[int, int], list[int]] = {}
    for place in np.argsort(images.margin, kind="stable").tolist():
        one, other = int(best[place]), int(images.runner_up[place])
        found = by_pair.setdefault((min(one, other), max(one, other)), [])
        if len(found) < CLOSEST:
            found.append(place)
    return [place for found in by_pair.values() for place in found]


def prediction_rows(
    images: Images, names: Sequence[str], drawn: Mapping[int, str]
) -> Iterator[tuple[object, ...]]:
    """Yield the rows of `predictions.csv`, an image each.

    Parameters
    ----------
    drawn : mapping of int to str
        Names of thumbnails, by position.
    """

    def said(row: Bools) -> str:
        return SEPARATOR.join(names[place] for place in np.flatnonzero(row).tolist())

    for place, image in enumerate(images.files):
        second = int(images.runner_up[place])
        yield (
            image.path,
            said(images.predicted[place]),
            "" if images.truth is None else said(images.truth[place]),
            "" if second < 0 else names[second],
            "" if second < 0 else round(float(images.margin[place]), 4),
            drawn.get(place, ""),
        )
