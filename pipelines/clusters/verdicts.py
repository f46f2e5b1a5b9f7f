"""An engineer's words on clusters outlive a new clustering of the same images.

A verdict is evidence for a safety case: it moves to the new cluster that holds the same images, and
where there is none, it is told, and kept for the clusterings to come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, TypeAdapter

from pipelines.clusters.clusters import (
    CLUSTERS_FILE,
    NOISE,
    RootCauseClusters,
    read_clusters,
    read_words,
)
from pipelines.runs.errors import InputError
from pipelines.runs.files import write_text
from pipelines.runs.guard import SAVE_AGAIN, name_damaged_file
from pipelines.runs.manifest import NoManifestError, list_runs, read_manifest

KEPT_FILE = "earlier_words.json"
"""Words that fit no cluster of a run; unlike results, it stays when the run is overwritten."""
SAME = 0.5
"""Share of common images of all images of both above which two clusters are the same situation."""
FEWEST = 3
"""Common images below which no words move, unless a cluster has fewer."""

Image = tuple[str, str]
"""Relative path and digest: other bytes under the same name are another image."""


class EarlierWords(BaseModel):
    """The words on an earlier run's clusters.

    Attributes
    ----------
    run : str
        Name of its folder.
    words : dict
        By cluster and column.
    images : list of (path, digest, cluster)
        All of that run, noise included.
    """

    run: str
    words: dict[int, dict[str, str]]
    images: list[tuple[str, str, int]]


_KEPT = TypeAdapter(list[EarlierWords])


def find_earlier_words(out: Path, images: str) -> list[EarlierWords]:
    """Find the words on the latest run of the same images: that in `out`, or one beside it.

    Parameters
    ----------
    out : Path
        The run folder to be; it may hold a run that is replaced.
    images : str
        The folder of images, as manifests name it.

    Returns
    -------
    list of EarlierWords
        The run's own, and those that fitted no cluster of it.

    Raises
    ------
    InputError
        When the words in `out` cannot be read: they would be lost.
    """
    with suppress(NoManifestError):
        if read_manifest(out).folder == images and (found := _read(out)):
            return found
    for folder, manifest in list_runs(out.parent):
        if manifest.folder == images and folder != out:
            # A damaged run has nothing to hand on, and loses nothing.
            with suppress(InputError):
                if found := _read(folder):
                    return found
    return []


def _read(folder: Path) -> list[EarlierWords]:
    found = []
    if (folder / CLUSTERS_FILE).exists():
        with name_damaged_file(folder / CLUSTERS_FILE, SAVE_AGAIN):
            words = read_words(folder)
        if words:
            with name_damaged_file(folder / CLUSTERS_FILE, "put its images.csv back"):
                clusters = read_clusters(folder)
            found.append(EarlierWords(run=folder.name, words=words, images=_images(clusters)))
    if (folder / KEPT_FILE).exists():
        with name_damaged_file(folder / KEPT_FILE, "delete it"):
            found += _KEPT.validate_json((folder / KEPT_FILE).read_bytes())
    return found


def _images(clusters: RootCauseClusters) -> list[tuple[str, str, int]]:
    columns = (clusters.paths, clusters.digests, clusters.labels.tolist())
    return list(zip(*columns, strict=True))


def keep_words(folder: Path, words: Sequence[EarlierWords]) -> None:
    """Keep words in a run folder, whatever becomes of its results; none takes the file away."""
    if words:
        write_text(folder / KEPT_FILE, _KEPT.dump_json(list(words)).decode("utf-8") + "\n")
    else:
        (folder / KEPT_FILE).unlink(missing_ok=True)


def carry_over(
    earlier: Sequence[EarlierWords], clusters: RootCauseClusters
) -> tuple[dict[int, dict[str, str]], list[EarlierWords]]:
    """Give each new cluster the words on the earlier one that holds the same images.

    Of the images that both runs know, more than half of those in either cluster have to be in
    both, so that no words go to two clusters; and these have to be at least half of the earlier
    cluster, and three, so that no verdict stands on a few images.  Words of earlier entries come
    first.  Time grows linearly with the number of images.

    Returns
    -------
    words : dict
        By new cluster and column.
    left : list of EarlierWords
        Those that no new cluster took.
    """
    new_of = {(path, digest): label for path, digest, label in _images(clusters)}
    words: dict[int, dict[str, str]] = {}
    left = []
    for run in earlier:
        rest = dict(run.words)
        for old, new in _pairs(run, new_of):
            if old in rest and new not in words:
                words[new] = rest.pop(old)
        if rest:
            left.append(run.model_copy(update={"words": rest}))
    return words, left


def _pairs(run: EarlierWords, new_of: dict[Image, int]) -> Iterator[tuple[int, int]]:
    """Yield an earlier and a new cluster that are the same situation."""
    old_of = {(path, digest): cluster for path, digest, cluster in run.images}
    whole = Counter(old_of.values())
    both = Counter((old, new_of[image]) for image, old in old_of.items() if image in new_of)
    old_sizes: Counter[int] = Counter()
    new_sizes: Counter[int] = Counter()
    for (old, new), common in both.items():
        old_sizes[old] += common
        new_sizes[new] += common
    for (old, new), common in both.items():
        union = old_sizes[old] + new_sizes[new] - common
        enough = 2 * common >= whole[old] and common >= min(FEWEST, whole[old])
        if enough and common > SAME * union:
            yield old, new


def describe_carried(
    earlier: Sequence[EarlierWords], kept: int, left: Sequence[EarlierWords]
) -> list[str]:
    """Say what became of earlier words, in sentences for the run's notes; those left whole."""
    notes = []
    if kept:
        noun = "cluster has" if kept == 1 else "clusters have"
        notes.append(f"{kept} {noun} the words (name, note, verdict) of the run {earlier[0].run}.")
    for run in left:
        for cluster, said in run.words.items():
            which = "the noise" if cluster == NOISE else f"cluster {cluster}"
            words = ", ".join(f"{name}: {text}" for name, text in said.items())
            notes.append(
                f"The words on {which} of the run {run.run} fit no cluster now ({words}). "
                f"{KEPT_FILE} keeps them for the next clustering."
            )
    return notes
