"""An engineer's words on clusters outlive a new clustering of the same images.

A verdict is evidence for a safety case: it moves to the new cluster that holds the same images, and
where there is none, it is told and not lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipelines.clusters import NOISE, RootCauseClusters, read_clusters, read_words
from pipelines.runs import NoManifestError, list_runs, read_manifest

SAME = 0.5
"""Share of common images of all images of both above which two clusters are the same situation."""

Image = tuple[str, str]
"""Relative path and digest: other bytes under the same name are another image."""


@dataclass(frozen=True)
class EarlierWords:
    """The words on an earlier run's clusters.

    Attributes
    ----------
    run : str
        Name of its folder.
    words : dict
        By cluster and column.
    cluster_of : dict
        Cluster by image, noise included.
    """

    run: str
    words: dict[int, dict[str, str]]
    cluster_of: dict[Image, int]


def find_earlier_words(out: Path, images: str) -> EarlierWords | None:
    """Find the words on the latest run of the same images: that in `out`, or one beside it.

    Parameters
    ----------
    out : Path
        The run folder to be; it may hold a run that is replaced.
    images : str
        The folder of images, as manifests name it.
    """
    for folder in _earlier_runs(out, images):
        # A damaged run, or one from which files were taken, has nothing to hand on.
        with suppress(OSError, LookupError, ValueError, TypeError):
            if words := read_words(folder):
                clusters = read_clusters(folder)
                return EarlierWords(folder.name, words, _cluster_of(clusters))
    return None


def _earlier_runs(out: Path, images: str) -> Iterator[Path]:
    with suppress(NoManifestError):
        if read_manifest(out).folder == images:
            yield out
    for folder, manifest in list_runs(out.parent):
        if manifest.folder == images and folder != out:
            yield folder


def _cluster_of(clusters: RootCauseClusters) -> dict[Image, int]:
    images = zip(clusters.paths, clusters.digests, strict=True)
    return dict(zip(images, clusters.labels.tolist(), strict=True))


def hand_on(
    earlier: EarlierWords, clusters: RootCauseClusters
) -> tuple[dict[int, dict[str, str]], list[int]]:
    """Give each new cluster the words on the earlier one that holds the same images.

    Of the images that both runs know, more than half of those in either cluster have to be in
    both, so that no words go to two clusters, and none of two go to one.  Time grows linearly with
    the number of images.

    Returns
    -------
    words : dict
        By new cluster and column.
    lost : list of int
        Earlier clusters with words that no new cluster took.
    """
    both: dict[tuple[int, int], int] = {}
    old_sizes: dict[int, int] = {}
    new_sizes: dict[int, int] = {}
    for image, new in _cluster_of(clusters).items():
        if image in earlier.cluster_of:
            old = earlier.cluster_of[image]
            both[old, new] = both.get((old, new), 0) + 1
            old_sizes[old] = old_sizes.get(old, 0) + 1
            new_sizes[new] = new_sizes.get(new, 0) + 1
    taken = {
        old: new
        for (old, new), common in both.items()
        if old in earlier.words and common / (old_sizes[old] + new_sizes[new] - common) > SAME
    }
    words = {new: earlier.words[old] for old, new in taken.items()}
    return words, sorted(set(earlier.words) - set(taken))


def tell(earlier: EarlierWords, kept: int, lost: list[int]) -> list[str]:
    """Say what became of earlier words, in sentences for the run's notes; lost ones whole."""
    notes = []
    if kept:
        noun = "cluster has" if kept == 1 else "clusters have"
        notes.append(f"{kept} {noun} the words (name, note, verdict) of the run {earlier.run}.")
    for cluster in lost:
        words = ", ".join(f"{name}: {text}" for name, text in earlier.words[cluster].items())
        which = "the noise" if cluster == NOISE else f"cluster {cluster}"
        notes.append(
            f"The words on {which} of the run {earlier.run} fit no cluster any more ({words})."
        )
    return notes
