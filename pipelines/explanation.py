"""What the images of each cluster share, in words (SAFE, section 2, step 2, helped along)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters import RootCauseClusters
from pipelines.hints import find_hints
from pipelines.images import Rejected, load_image, prefetch, upright_size
from pipelines.properties import LONGEST_SIDE, PROPERTIES, measure
from pipelines.runs import Progress

STAGE = "explaining clusters"
MEASURED_AHEAD = 16
MOST_HINTS = 3


def explain(
    images: Path, clusters: RootCauseClusters, progress: Progress, *, seed: int
) -> dict[int, str]:
    """Say of each cluster what sets its pictures apart from all others.

    Every picture is decoded and measured once, in threads; see `find_hints` for the rest.

    Parameters
    ----------
    images : Path
        The folder that the clusters' paths are relative to; never written to.
    seed : int
        Of the random groups against which hints are tested.

    Returns
    -------
    dict
        By cluster, its strongest hints, at most three, with semicolons between; "" for none.
    """
    values = np.empty((len(clusters.paths), len(PROPERTIES)))
    measured = prefetch(lambda path: _measure(images, path), clusters.paths, MEASURED_AHEAD)
    for done, row in enumerate(measured, 1):
        values[done - 1] = row
        progress(STAGE, done, len(clusters.paths))
    hints = find_hints(values, clusters.labels, seed=seed)
    return {
        cluster: "; ".join(hint.words for hint in found[:MOST_HINTS])
        for cluster, found in hints.items()
    }


def _measure(folder: Path, path: str) -> NDArray[np.float64]:
    """Measure a picture; nothing is known of one that cannot be read any more."""
    image, size = load_image(folder, path, LONGEST_SIDE), upright_size(folder, path)
    if isinstance(image, Rejected) or isinstance(size, Rejected):
        return np.full(len(PROPERTIES), np.nan)
    return measure(image, size)
