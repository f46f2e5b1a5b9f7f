"""Digests of the images that the unsafe set was selected from, to notice changed files."""

from __future__ import annotations

from pathlib import Path

from pipelines.unsafe_set.files import Selection, read_measured

NOT_SELECTED = (
    "it changed since it was selected: put the earlier file back, or select the unsafe set again"
)


def read_digests(run: Path, selection: Selection) -> dict[str, str]:
    """Read the SHA-256 that each image of the improvement set had, by path.

    Empty in runs of earlier versions, whose `selection.json` does not name its `selection.npz`.

    Raises
    ------
    InputError
        When `selection.npz` is missing or damaged, or of another selection.
    """
    if not selection.measured:
        return {}
    candidates = read_measured(run, selection)
    return dict(zip(candidates.paths, candidates.digests, strict=True))
