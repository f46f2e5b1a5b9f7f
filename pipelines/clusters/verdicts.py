"""Keep engineers' words on clusters (name, note, verdict) when images are clustered again.

A verdict is evidence for a safety case. So it moves to the new cluster that holds the same images.
If there is no such cluster, a note says so, and a file keeps the words for later clusterings.
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
from pipelines.runs.files import remove_temporaries, write_text
from pipelines.runs.guard import SAVE_AGAIN, name_damaged_file
from pipelines.runs.manifest import NoManifestError, list_runs, read_manifest

KEPT_FILE = "earlier_words.json"
"""File for words that fit no cluster of a run; it is kept when the run is overwritten."""
SAME = 0.5
"""Two clusters are the same situation if they share more than this fraction of their images."""
FEWEST = 3
"""Smallest number of shared images for words to move, unless the earlier cluster has fewer."""

Image = tuple[str, str]
"""Relative path and digest: with other bytes, a file of the same path is another image."""


class EarlierWords(BaseModel):
    """The words on the clusters of an earlier run.

    Attributes
    ----------
    run : str
        Name of the run folder.
    words : dict of int to dict of str to str
        Words by cluster and column of `clusters.csv`.
    images : list of (path, digest, cluster)
        All images of that run, noise included.
    """

    run: str
    words: dict[int, dict[str, str]]
    images: list[tuple[str, str, int]]


_KEPT = TypeAdapter(list[EarlierWords])


def find_earlier_words(out: Path, images: str) -> list[EarlierWords]:
    """Find the words on the latest run of the same images: the run in `out`, or a run beside it.

    Parameters
    ----------
    out : Path
        The run folder that the job will write; it may hold the run to be replaced.
    images : str
        The folder of images, as in manifests.

    Returns
    -------
    list of EarlierWords
        The words on the run's clusters, and words of earlier runs that fitted no cluster.

    Raises
    ------
    InputError
        When the words in `out` cannot be read: they would be lost.
    """
    with suppress(NoManifestError):
        if read_manifest(out).folder == images and (words := _read(out)):
            return words
    for folder, manifest in list_runs(out.parent):
        if manifest.folder == images and folder != out:
            # A damaged run beside `out` is skipped: nothing in it is overwritten.
            with suppress(InputError):
                if words := _read(folder):
                    return words
    return []


def _read(folder: Path) -> list[EarlierWords]:
    """Read the words on a run's clusters and the words kept from earlier runs, each only once."""
    earlier, removed = [], False
    with suppress(NoManifestError):
        # If the run was removed only in part, `KEPT_FILE` already has the words.
        removed = read_manifest(folder).replacing
    if not removed and (folder / CLUSTERS_FILE).exists():
        with name_damaged_file(folder / CLUSTERS_FILE, SAVE_AGAIN):
            words = read_words(folder)
        if words:
            with name_damaged_file(folder / CLUSTERS_FILE, "put its images.csv back"):
                clusters = read_clusters(folder)
            earlier.append(EarlierWords(run=folder.name, words=words, images=_images(clusters)))
    if (folder / KEPT_FILE).exists():
        with name_damaged_file(folder / KEPT_FILE, "delete it"):
            kept = _KEPT.validate_json((folder / KEPT_FILE).read_bytes())
        # A job that was killed may leave the words in both places.
        earlier += [entry for entry in kept if entry not in earlier]
    return earlier


def _images(clusters: RootCauseClusters) -> list[tuple[str, str, int]]:
    columns = (clusters.paths, clusters.digests, clusters.labels.tolist())
    return list(zip(*columns, strict=True))


def keep_words(folder: Path, words: Sequence[EarlierWords]) -> None:
    """Write words into the run folder's `KEPT_FILE`; remove the file if there are none."""
    remove_temporaries(folder, (KEPT_FILE,))
    if words:
        write_text(folder / KEPT_FILE, _KEPT.dump_json(list(words)).decode("utf-8") + "\n")
    else:
        (folder / KEPT_FILE).unlink(missing_ok=True)


def carry_over(
    earlier: Sequence[EarlierWords], clusters: RootCauseClusters
) -> tuple[dict[int, dict[str, str]], list[EarlierWords]]:
    """Carry the words on earlier clusters over to the new clusters that hold the same images.

    Count only images that both runs have and that are in either cluster. A new cluster takes the
    words of an earlier one if the two share more than half of these images, so words never go to
    two clusters. The shared images must also be at least half of the earlier cluster, and at least
    three: no verdict rests on a few images. Words of earlier entries of the list come first. Time
    grows linearly with the number of images.

    Returns
    -------
    words : dict of int to dict of str to str
        Words by new cluster and column.
    left : list of EarlierWords
        Words that no new cluster took.
    """
    new_of = {(path, digest): label for path, digest, label in _images(clusters)}
    words: dict[int, dict[str, str]] = {}
    left = []
    for run in earlier:
        rest = dict(run.words)
        for old, new in _pairs(run, new_of):
            if old in rest and words.setdefault(new, rest[old]) == rest[old]:
                del rest[old]
        if rest:
            left.append(run.model_copy(update={"words": rest}))
    return words, left


def _pairs(run: EarlierWords, new_of: dict[Image, int]) -> Iterator[tuple[int, int]]:
    """Yield pairs of an earlier and a new cluster that are the same situation."""
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
    """Return notes on earlier words: how many clusters have them, and which fit no cluster.

    Parameters
    ----------
    kept : int
        Number of new clusters that have earlier words.
    """
    notes = []
    if kept:
        noun = "cluster has" if kept == 1 else "clusters have"
        notes.append(f"{kept} {noun} the words (name, note, verdict) of the run {earlier[0].run}.")
    for run in left:
        for cluster, texts in run.words.items():
            which = "the noise" if cluster == NOISE else f"cluster {cluster}"
            words = ", ".join(f"{name}: {text}" for name, text in texts.items())
            notes.append(
                f"The words on {which} of the run {run.run} fit no cluster now ({words}). "
                f"{KEPT_FILE} keeps them for the next clustering."
            )
    return notes
