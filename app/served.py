"""What the page serves of runs: their figures, pictures and downloads, and nothing else of a disk.

A run is served below a key that cannot be guessed, and that only a page which may see the run is
given.  Originals are never served; of a run folder, only files that the tool itself writes.
"""

from __future__ import annotations

import csv
import re
import secrets
import tempfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from pipelines import runs
from pipelines.clusters import CLUSTERS_FILE, IMAGES_FILE, LABELS_FILE, NOISE
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
IMAGE_KEYS = ("path", "cluster", "core", "silhouette", "distance", "x", "y", "thumbnail")
Row = dict[str, Any]


class ServedRuns:
    """The run folders that pages have open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
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
            Route("/run/{key}/gifs.zip", self._gifs),
            Route("/run/{key}/download/{name}", self._download),
            Route("/run/{key}/{folder}/{name}", self._picture),
        ]

    def _open(self, request: Request) -> Path:
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
        with tempfile.NamedTemporaryFile(suffix=".zip", delete=False) as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:  # GIFs are compressed
                for gif in sorted((folder / GIF_FOLDER).glob("*.gif")):
                    if pattern.fullmatch(gif.name):
                        archive.write(_inside(folder, f"{GIF_FOLDER}/{gif.name}"), gif.name)
            return FileResponse(
                file.name,
                media_type="application/zip",
                filename=f"{folder.name}-gifs.zip",
                headers={"Cache-Control": "no-store"},
                background=BackgroundTask(Path(file.name).unlink),
            )


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
        `manifest` (how it ended, notes, counts), `clusters` (the rows of `clusters.csv`, largest
        first, noise last), `images` (columns of `images.csv`), `rejected` (pairs of path, reason).

    Raises
    ------
    InputError
        When the folder is no run, or a file of it is not as the tool writes it.
    """
    try:
        manifest = runs.read_manifest(folder)
    except runs.NoManifestError as error:
        raise InputError(f"{folder} is not a run folder: {error}.") from error
    clusters: list[Row] = []
    images: list[Row] = []
    if (folder / IMAGES_FILE).is_file():
        clusters = _read(folder / CLUSTERS_FILE, _cluster)
        images = _read(folder / IMAGES_FILE, _image)
        clusters.sort(key=lambda row: (row["cluster"] == NOISE, row["cluster"]))
    rejected = folder / runs.REJECTED_FILE
    written = runs.is_written(folder)
    return {
        "run": str(folder),
        "name": folder.name,
        "folder": manifest.folder,
        "started_at": manifest.started_at,
        "ended": "killed" if manifest.ended == "running" and not written else manifest.ended,
        "message": manifest.message,
        "notes": manifest.notes,
        "result": manifest.result,
        "clusters": clusters,
        "images": {key: [image[key] for image in images] for key in IMAGE_KEYS},
        "rejected": list(read_pairs(rejected).items()) if rejected.is_file() else [],
    }


def _read(path: Path, convert: Callable[[dict[str, str]], Row]) -> list[Row]:
    try:
        return [convert(row) for row in read_csv(path)]
    except (OSError, KeyError, ValueError, AttributeError, csv.Error) as error:
        raise InputError(
            f"{path} is not as the tool writes it ({type(error).__name__}: {error}). "
            "Take the file from a backup, or find the clusters again."
        ) from error


def _cluster(row: dict[str, str]) -> Row:
    cluster = int(row["cluster"])
    return {
        "cluster": cluster,
        "name": row["name"],
        "note": row["note"],
        "size": int(row["size"]),
        "share": float(row["share"]),
        "cores": int(row["cores"]),
        "silhouette": float(row["silhouette"]) if row["silhouette"] else None,
        "hint": row["hint"],
        "central_image": row["central_image"],
        "gif": f"{GIF_FOLDER}/{gif_name(cluster)}",
    }


def _image(row: dict[str, str]) -> Row:
    return {
        "path": row["path"],
        "cluster": int(row["cluster"]),
        "core": int(row["core"]),
        "silhouette": float(row["silhouette"]),
        "distance": float(row["distance_to_centre"]),
        "x": float(row["x"]),
        "y": float(row["y"]),
        "thumbnail": f"{THUMBNAIL_FOLDER}/{row['thumbnail']}",
    }
