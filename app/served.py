"""What the page serves of runs: their figures, pictures and downloads, and nothing else of a disk.

It also takes the one thing that the page writes: the words of an engineer on a cluster.

A run is served below a key that cannot be guessed, and that only a page which may see the run is
given.  Originals are never served; of a run folder, only files that the tool itself writes.
"""

from __future__ import annotations

import csv
import math
import re
import secrets
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from pipelines import runs
from pipelines.clusters import CLUSTERS_FILE, IMAGES_FILE, LABELS_FILE, NOISE, save_words
from pipelines.errors import InputError
from pipelines.files import read_csv, read_pairs
from pipelines.inspection import GIF_FOLDER, THUMBNAIL_FOLDER, gif_name

PICTURES = {
    GIF_FOLDER: (re.compile(r"(cluster_\d+|noise)\.gif"), "image/gif", "no-cache"),
    # A thumbnail is named after what it shows.
    THUMBNAIL_FOLDER: (re.compile(r"[0-9a-f]{24}\.jpg"), "image/jpeg", "private, max-age=86400"),
}
"""By folder of a run: which names are served, as what, and how long a browser may keep them."""
DOWNLOADS = (LABELS_FILE, CLUSTERS_FILE, runs.REJECTED_FILE)
LONGEST = {"name": 200, "note": 20_000}
"""How many characters of an engineer's words are kept."""
IMAGE_KEYS = ("path", "cluster", "core", "silhouette", "distance", "x", "y", "thumbnail")
CHUNK = 1 << 20
Row = dict[str, Any]


class ServedRuns:
    """The run folders that pages have open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._saving = threading.Lock()
        self._folders: dict[str, Path] = {}

    def key(self, folder: Path) -> str:
        """Return the key of a run folder: the same for as long as the server lives."""
        with self._lock:
            for key, known in self._folders.items():
                if known == folder:
                    return key
            key = secrets.token_urlsafe(16)
            self._folders[key] = folder
            return key

    def folder(self, key: str) -> Path:
        """Return the run folder of a key.

        Raises
        ------
        InputError
            When no page has opened it.
        """
        try:
            return self._folders[key]
        except KeyError:
            raise InputError("the page's server was restarted. Reload the page.") from None

    def routes(self) -> list[Route]:
        """Return what answers below ``/run/KEY/``."""
        return [
            Route("/run/{key}/data", self._data),
            Route("/run/{key}/words", self._words, methods=["POST"]),
            Route("/run/{key}/gifs.zip", self._gifs),
            Route("/run/{key}/download/{name}", self._download),
            Route("/run/{key}/{folder}/{name}", self._picture),
        ]

    def _open(self, request: Request) -> Path:
        if not _logged_in(request):
            raise HTTPException(401, "Log in, and reload the page.")
        try:
            return self.folder(request.path_params["key"])
        except InputError as error:
            raise HTTPException(404, str(error)) from error

    def _data(self, request: Request) -> Response:
        folder = self._open(request)
        try:
            return JSONResponse(describe(folder), headers={"Cache-Control": "no-store"})
        except InputError as error:
            raise HTTPException(404, str(error)) from error

    async def _words(self, request: Request) -> Response:
        """Save the words on a cluster of the run that `started` then."""
        folder = self._open(request)
        try:
            sent = await request.json()
            cluster, started = sent["cluster"], sent["started"]
            if type(cluster) is not int or type(started) is not str:
                raise TypeError("cluster: expected a whole number, started: expected text")
            words = {
                name: _clean(str(sent[name]), longest)
                for name, longest in LONGEST.items()
                if name in sent
            }
        except (ValueError, KeyError, TypeError) as error:
            raise HTTPException(400, f"these are no words: {error}") from error
        await run_in_threadpool(self._save, folder, started, cluster, words)
        return Response(status_code=204)

    def _save(self, folder: Path, started: str, cluster: int, words: dict[str, str]) -> None:
        try:
            with self._saving:
                if runs.read_manifest(folder).started_at != started:
                    raise InputError(
                        f"{folder} holds another run by now. Open it again, and type them again."
                    )
                save_words(folder, cluster, words)
        except InputError as error:
            raise HTTPException(409, str(error)) from error
        except OSError as error:
            where = error.filename or folder
            raise HTTPException(500, f"{where}: {error.strerror or error}") from error

    def _picture(self, request: Request) -> Response:
        folder, inside, name = (
            self._open(request),
            request.path_params["folder"],
            request.path_params["name"],
        )
        pattern, media_type, cache = PICTURES.get(inside, (None, "", ""))
        if pattern is None or not pattern.fullmatch(name):
            raise HTTPException(404, f"{inside}/{name} is not served")
        file = _inside(folder, f"{inside}/{name}")
        return FileResponse(file, media_type=media_type, headers={"Cache-Control": cache})

    def _download(self, request: Request) -> Response:
        folder, name = self._open(request), request.path_params["name"]
        if name not in DOWNLOADS:
            raise HTTPException(404, f"{name} is not served")
        return FileResponse(
            _inside(folder, name),
            media_type="application/octet-stream",
            filename=name,
            headers={"Cache-Control": "no-store"},
        )

    def _gifs(self, request: Request) -> Response:
        folder = self._open(request)
        pattern = PICTURES[GIF_FOLDER][0]
        names = sorted(file.name for file in (folder / GIF_FOLDER).glob("*.gif"))
        gifs = [
            _inside(folder, f"{GIF_FOLDER}/{name}") for name in names if pattern.fullmatch(name)
        ]
        # Without a name on the disk: it goes when it is closed, whoever breaks off.
        file = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:  # GIFs are packed
                for gif in gifs:
                    archive.write(gif, gif.name)
        except OSError as error:
            file.close()
            raise HTTPException(500, f"the ZIP cannot be written: {error}") from error
        size = file.tell()
        file.seek(0)
        name = quote(f"{folder.name}-gifs.zip")
        return StreamingResponse(
            _chunks(file),
            media_type="application/zip",
            headers={
                "Cache-Control": "no-store",
                "Content-Length": str(size),
                "Content-Disposition": f"attachment; filename*=utf-8''{name}",
            },
        )


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK):
            yield chunk


def _logged_in(request: Request) -> bool:
    """Tell whether Gradio's login, where there is one, lets this browser in."""
    app = request.app
    if getattr(app, "auth", None) is None:
        return True
    names = (f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}")
    return any(request.cookies.get(name) in app.tokens for name in names)


def _clean(text: str, longest: int) -> str:
    return text[:longest].encode("utf-8", "replace").decode("utf-8")  # half a character may come


def _inside(folder: Path, name: str) -> Path:
    """Return a file of a run folder; whoever made the folder may have put links into it."""
    file = (folder / name).resolve()
    if not file.is_relative_to(folder.resolve()) or not file.is_file():
        raise HTTPException(404, f"{folder.name} has no {name}")
    return file


def describe(folder: Path) -> Row:
    """Read all that the page shows of a run.

    Time, memory and the size of the result grow linearly with the number of images.

    Returns
    -------
    dict
        How the run ended and its notes; `clusters` (the rows of `clusters.csv`, largest first,
        noise last), `images` (columns of `images.csv`), `rejected` (pairs of path and reason).  A
        run that a job is writing has none of these yet.

    Raises
    ------
    InputError
        When the folder is no run, or a file of it is not as the tool writes it.
    """
    try:
        manifest = runs.read_manifest(folder)
        written = manifest.ended == "running" and runs.is_written(folder)
        if manifest.ended == "running" and not written:
            manifest = runs.read_manifest(folder)  # the job may have ended in between
    except runs.NoManifestError as error:
        raise InputError(f"{folder} is not a run folder: {error}.") from error
    clusters: list[Row] = []
    images: list[Row] = []
    rejected: list[tuple[str, str]] = []
    if not written:
        with _named(folder / CLUSTERS_FILE):
            clusters = [_cluster(row) for row in _rows(folder, CLUSTERS_FILE)]
        with _named(folder / IMAGES_FILE):
            images = [_image(row) for row in _rows(folder, IMAGES_FILE)]
        with _named(folder / runs.REJECTED_FILE):
            if (folder / runs.REJECTED_FILE).exists():
                rejected = list(read_pairs(_inside(folder, runs.REJECTED_FILE)).items())
    clusters.sort(key=lambda row: (row["cluster"] == NOISE, row["cluster"]))
    return {
        "run": str(folder),
        "name": folder.name,
        "folder": manifest.folder,
        "started": manifest.started_at,
        "ended": "killed" if manifest.ended == "running" and not written else manifest.ended,
        "message": manifest.message,
        "notes": manifest.notes,
        "inspection_share": manifest.result.get("inspection_share"),
        "clusters": clusters,
        "images": {key: [image[key] for image in images] for key in IMAGE_KEYS},
        "rejected": rejected,
        "longest": LONGEST,
    }


def _rows(folder: Path, name: str) -> list[dict[str, str]]:
    if not (folder / IMAGES_FILE).exists():  # the job ended before it had clusters
        return []
    return read_csv(_inside(folder, name))


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn whatever a damaged file leads to into an InputError that names it."""
    try:
        yield
    except (OSError, LookupError, ValueError, AttributeError, csv.Error, HTTPException) as error:
        what = error.detail if isinstance(error, HTTPException) else error
        raise InputError(
            f"{path} is not as the tool writes it ({type(error).__name__}: {what}). "
            "Take the file from a backup, or find the clusters again."
        ) from error


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number")
    return number


def _cluster(row: dict[str, str]) -> Row:
    cluster = int(row["cluster"])
    return {
        "cluster": cluster,
        "name": row["name"],
        "note": row["note"],
        "size": int(row["size"]),
        "share": _finite(row["share"]),
        "cores": int(row["cores"]),
        "silhouette": _finite(row["silhouette"]) if row["silhouette"] else None,
        "hint": row["hint"],
        "central_image": row["central_image"],
        "gif": f"{GIF_FOLDER}/{gif_name(cluster)}",
    }


def _image(row: dict[str, str]) -> Row:
    return {
        "path": row["path"],
        "cluster": int(row["cluster"]),
        "core": int(row["core"]),
        "silhouette": _finite(row["silhouette"]),
        "distance": _finite(row["distance_to_centre"]),
        "x": _finite(row["x"]),
        "y": _finite(row["y"]),
        "thumbnail": f"{THUMBNAIL_FOLDER}/{row['thumbnail']}",
    }
