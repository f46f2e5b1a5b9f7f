"""Changes that the page makes to a run: an engineer's words, its unsafe set, and its report."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response

from app.numbers import COUNT, read_number
from app.server.access import Access
from app.server.files import find_file
from app.server.views.clusters import LONGEST
from app.server.views.unsafe_set import describe_cut
from pipelines.clusters.clusters import save_words
from pipelines.retraining.manifest import RetrainParameters
from pipelines.runs.errors import InputError
from pipelines.runs.manifest import read_manifest, read_part
from pipelines.unsafe_set.files import read_selection, recut

Sent = TypeVar("Sent")
REPORT_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'"
)
"""A report is one file: nothing in it may load another file, or run code."""


@dataclass(frozen=True)
class SentWords:
    """Words on a cluster, and the start time `started` of the run that the page shows."""

    cluster: int
    started: str
    words: dict[str, str]


@dataclass(frozen=True)
class SentCut:
    """A change of the unsafe set, and the digest `measured` of the set that the page shows."""

    measured: str
    count: int | None
    images: dict[str, bool]
    clusters: dict[int, bool]


class Changes:
    """Writes into run folders, one change after the other.

    Parameters
    ----------
    access : Access
        Which folders may be the subject of reports.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._saving = threading.Lock()

    def save_words(self, folder: Path, body: bytes) -> Response:
        """Save the words on a cluster."""
        sent = _read(body, _read_words, "these are no words")
        with self._saving:
            if read_manifest(folder).started_at != sent.started:
                raise InputError(
                    f"{folder} holds another run by now. Open it again, and type them again."
                )
            save_words(folder, sent.cluster, sent.words)
        return Response(status_code=204)

    def cut(self, folder: Path, body: bytes) -> dict[str, object]:
        """Change the unsafe set; return the changed set as the page shows it."""
        sent = _read(body, _read_cut, "this is no change of an unsafe set")
        with self._saving:
            selection = read_selection(folder)
            if selection is None or selection.measured != sent.measured:
                raise InputError(f"{folder} holds another unsafe set by now. Reload it.")
            changed = recut(folder, count=sent.count, images=sent.images, clusters=sent.clusters)
        return describe_cut(changed)

    def send_report(self, folder: Path) -> Response:
        """Write the report with the current words, and send it."""
        from pipelines.retraining.report import write_run_report

        manifest = read_manifest(folder)
        if manifest.job == "retrain":  # its report is that of the clusters, too
            self._access.resolve(read_part(manifest, RetrainParameters).unsafe)
        with self._saving:  # words that arrive during this time wait
            name = write_run_report(folder).name
        return FileResponse(
            find_file(folder, name),
            media_type="text/html",
            filename=f"{folder.name}-{name}",
            content_disposition_type="inline",
            headers={"Cache-Control": "no-store", "Content-Security-Policy": REPORT_POLICY},
        )


def _read(body: bytes, read: Callable[[dict[str, object]], Sent], otherwise: str) -> Sent:
    """Read what a page sends; answer 400 for other content."""
    try:
        sent = json.loads(body)
        if not isinstance(sent, dict):
            raise TypeError("expected an object")
        return read(sent)
    except InputError as error:
        raise HTTPException(400, str(error)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise HTTPException(400, f"{otherwise}: {error}") from error


def _read_words(sent: dict[str, object]) -> SentWords:
    cluster, started = sent["cluster"], sent["started"]
    if isinstance(cluster, bool) or not isinstance(cluster, int) or not isinstance(started, str):
        raise TypeError("cluster: expected a whole number, started: expected text")
    words = {
        name: _clean(str(sent[name]), longest) for name, longest in LONGEST.items() if name in sent
    }
    return SentWords(cluster, started, words)


def _read_cut(sent: dict[str, object]) -> SentCut:
    count = sent.get("count")
    if isinstance(count, str):  # in the form that the user typed
        count = int(read_number("Images to choose", count, COUNT))
    if isinstance(count, bool) or not isinstance(count, int | None):
        raise TypeError("count: expected a whole number")
    return SentCut(
        measured=str(sent["measured"]),
        count=count,
        images={str(path): bool(chosen) for path, chosen in _pairs(sent, "images")},
        clusters={int(str(name)): bool(chosen) for name, chosen in _pairs(sent, "clusters")},
    )


def _pairs(sent: dict[str, object], name: str) -> list[tuple[object, object]]:
    pairs = sent.get(name, [])
    if not isinstance(pairs, list):
        raise TypeError(f"{name}: expected a list of pairs")
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2:
            raise TypeError(f"{name}: expected pairs")
    return [(pair[0], pair[1]) for pair in pairs]


def _clean(text: str, longest: int) -> str:
    return text[:longest].encode("utf-8", "replace").decode("utf-8")  # may cut a character
