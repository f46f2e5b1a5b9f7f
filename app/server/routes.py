"""What the page serves of runs: their figures, pictures and downloads, and nothing else of a disk.

It also takes what the page writes: an engineer's words on a cluster, and changes of an unsafe set.

A run is served below a key that cannot be guessed, and that only a page which may see the run is
given.  Originals are never served, thumbnails of them are; of a run folder, only files that the
tool itself writes.
"""

from __future__ import annotations

import re
import secrets
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from app.numbers import COUNT, read_number
from app.server.access import Access, logged_in
from app.server.refusals import Endpoint, guarded
from app.server.views.clusters import LONGEST, describe, read_values
from app.server.views.confusion import describe_inspection, describe_pair
from app.server.views.coverage import describe_coverage
from app.server.views.heatmaps import describe_agreement, describe_heatmaps, describe_layers
from app.server.views.retraining import describe_retraining
from app.server.views.unsafe_set import describe_cut
from pipelines.clusters.clusters import CLUSTERS_FILE, LABELS_FILE, save_words
from pipelines.clusters.pictures import GIF_FOLDER, GIF_NAMES
from pipelines.data.images import ImageFile, Rejected
from pipelines.data.thumbnails import (
    THUMBNAIL_FOLDER,
    THUMBNAIL_NAMES,
    draw_thumbnail,
    thumbnail_name,
)
from pipelines.deepimportance.results import TABLES
from pipelines.dnn.job import PICTURE_FILE
from pipelines.retraining.results import CHANGES_FILE, REPAIRS_FILE
from pipelines.runs import folder as run_folder
from pipelines.runs.errors import InputError
from pipelines.runs.guard import find_file_inside
from pipelines.runs.manifest import read_manifest
from pipelines.unsafe_set.files import (
    FILENAMES_FILE,
    UNSAFE_SET_FILE,
    read_candidates,
    read_current_set,
    read_selection,
    recut,
)

PICTURES = {
    GIF_FOLDER: (re.compile(GIF_NAMES), "image/gif", "no-cache"),
    # A thumbnail is named after what it shows.
    THUMBNAIL_FOLDER: (re.compile(THUMBNAIL_NAMES), "image/jpeg", "private, max-age=86400"),
}
"""By folder of a run: which names are served, as what, and how long a browser may keep them."""
DOWNLOADS = (
    LABELS_FILE,
    CLUSTERS_FILE,
    run_folder.REJECTED_FILE,
    FILENAMES_FILE,
    UNSAFE_SET_FILE,
    CHANGES_FILE,
    REPAIRS_FILE,
    *TABLES,
)
REPORT_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'"
)
"""A report is one file: nothing in it may ask for another, or run."""
FRESH = {"Cache-Control": "no-store"}
CHUNK = 1 << 20


class ServedRuns:
    """The run folders that pages have open.

    Parameters
    ----------
    access : Access
        Which images thumbnails may be drawn of.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._measured: tuple[str, list[ImageFile]] = ("", [])  # of the last unsafe set asked for
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
        answers: dict[str, Endpoint] = {
            "data": self._data,
            "words": self._words,
            "values/{source}/{index:int}": self._values,
            "unsafe": self._unsafe,
            "recut": self._recut,
            "new/{position:int}/{name}": self._new_picture,
            "heatmaps/{cluster:int}": self._heatmaps,
            "layers": self._layers,
            "coverage": self._coverage,
            "compare/{other}": self._compare,
            "confusion.png": self._confusion,
            "retraining": self._retraining,
            "inspection": self._inspection,
            "pair/{a:int}/{b:int}": self._pair,
            "report.html": self._report,
            "gifs.zip": self._gifs,
            "download/{name}": self._download,
            "{folder}/{name}": self._picture,
        }
        return [
            Route(
                f"/run/{{key}}/{tail}",
                guarded(answer),
                methods=["POST"] if answer in (self._words, self._recut) else None,
            )
            for tail, answer in answers.items()
        ]

    def _open(self, request: Request) -> Path:
        if not logged_in(request):
            raise HTTPException(401, "Log in, and reload the page.")
        return self.folder(request.path_params["key"])

    def _data(self, request: Request) -> Response:
        folder = self._open(request)
        return JSONResponse(describe(folder), headers=FRESH)

    def _values(self, request: Request) -> Response:
        folder = self._open(request)
        source, index = request.path_params["source"], request.path_params["index"]
        values = read_values(folder, source, index, request.query_params.get("name"))
        return JSONResponse(values, headers=FRESH)

    def _report(self, request: Request) -> Response:
        """Write the report with the words as they are by now, and show it."""
        from pipelines.retraining.report import write_run_report

        folder = self._open(request)
        try:
            manifest = read_manifest(folder)
            if manifest.job == "retrain":  # its report is that of the clusters, too
                self._access.resolve(str(manifest.parameters.get("unsafe", "")))
            with self._saving:  # words that come meanwhile wait
                name = write_run_report(folder).name
        except InputError as error:  # plain, for it is what the new tab shows
            return PlainTextResponse(str(error), 409)
        except OSError as error:
            return PlainTextResponse(_unwritten(folder, error).detail, 500)
        return FileResponse(
            _inside(folder, name),
            media_type="text/html",
            filename=f"{folder.name}-{name}",
            content_disposition_type="inline",
            headers={"Cache-Control": "no-store", "Content-Security-Policy": REPORT_POLICY},
        )

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
                if read_manifest(folder).started_at != started:
                    raise InputError(
                        f"{folder} holds another run by now. Open it again, and type them again."
                    )
                save_words(folder, cluster, words)
        except InputError as error:
            raise HTTPException(409, str(error)) from error
        except OSError as error:
            raise _unwritten(folder, error) from error

    def _unsafe(self, request: Request) -> Response:
        folder = self._open(request)
        return JSONResponse(describe_cut(read_current_set(folder)), headers=FRESH)

    async def _recut(self, request: Request) -> Response:
        """Change the unsafe set that was `measured` so; answer with the set as it is then."""
        folder = self._open(request)
        try:
            sent = await request.json()
            if not isinstance(sent, dict):
                raise TypeError("expected an object")
            measured, count = str(sent["measured"]), sent.get("count")
            if type(count) is str:  # as it was typed
                count = int(read_number("Images to choose", count, COUNT))
            if count is not None and type(count) is not int:
                raise TypeError("count: expected a whole number")
            images = {str(path): bool(chosen) for path, chosen in sent.get("images", ())}
            clusters = {int(cluster): bool(chosen) for cluster, chosen in sent.get("clusters", ())}
        except InputError as error:
            raise HTTPException(400, str(error)) from error
        except (ValueError, KeyError, TypeError) as error:
            raise HTTPException(400, f"this is no change of an unsafe set: {error}") from error

        def change() -> Response:
            try:
                with self._saving:
                    selection = read_selection(folder)
                    if selection is None or selection.measured != measured:
                        raise InputError(f"{folder} holds another unsafe set by now. Reload it.")
                    made = recut(folder, count=count, images=images, clusters=clusters)
                return JSONResponse(describe_cut(made), headers=FRESH)
            except InputError as error:
                raise HTTPException(409, str(error)) from error
            except OSError as error:
                raise _unwritten(folder, error) from error

        return await run_in_threadpool(change)

    def _new_picture(self, request: Request) -> Response:
        """Answer the thumbnail of an image of the improvement set; draw it, the first time."""
        folder, name = self._open(request), request.path_params["name"]
        pattern, media_type, cache = PICTURES[THUMBNAIL_FOLDER]
        if not pattern.fullmatch(name):
            raise HTTPException(404, f"{name} is not served")
        if (folder / THUMBNAIL_FOLDER / name).is_file():
            file = _inside(folder, f"{THUMBNAIL_FOLDER}/{name}")
            return FileResponse(file, media_type=media_type, headers={"Cache-Control": cache})
        images, known = self._improvement(folder)
        position = request.path_params["position"]
        if position >= len(known) or thumbnail_name(known[position].digest) != name:
            raise HTTPException(404, f"{name} cannot be drawn: there is no such new image")
        image = known[position]
        try:
            find_file_inside(images, image.path)
        except (OSError, ValueError) as error:
            raise HTTPException(404, f"{name} cannot be drawn: {error}") from error
        drawn = draw_thumbnail(images, image, folder)
        if isinstance(drawn, Rejected):
            raise HTTPException(404, f"{drawn.path}: {drawn.reason}")
        return Response(drawn, media_type=media_type, headers={"Cache-Control": cache})

    def _improvement(self, folder: Path) -> tuple[Path, list[ImageFile]]:
        """Return the improvement set of a run: its folder, and its images by their position."""
        selection = read_selection(folder)
        if selection is None:
            raise InputError(f"{folder} has no unsafe set")
        measured, known = self._measured
        if measured != selection.measured:
            candidates = read_candidates(folder)
            pairs = zip(candidates.paths, candidates.digests, strict=True)
            known = [ImageFile(path, digest) for path, digest in pairs]
            self._measured = (selection.measured, known)
        return self._access.resolve(selection.folder), known

    def _layers(self, request: Request) -> Response:
        folder = self._open(request)
        return JSONResponse(describe_layers(folder), headers=FRESH)

    def _coverage(self, request: Request) -> Response:
        folder = self._open(request)
        return JSONResponse(describe_coverage(folder), headers=FRESH)

    def _heatmaps(self, request: Request) -> Response:
        folder = self._open(request)
        layer = request.query_params.get("layer", "")
        return JSONResponse(
            describe_heatmaps(folder, layer, request.path_params["cluster"]), headers=FRESH
        )

    def _compare(self, request: Request) -> Response:
        folder = self._open(request)
        other = self.folder(request.path_params["other"])
        return JSONResponse(describe_agreement(folder, other), headers=FRESH)

    def _retraining(self, request: Request) -> Response:
        folder = self._open(request)
        return JSONResponse(describe_retraining(folder), headers=FRESH)

    def _confusion(self, request: Request) -> Response:
        file = _inside(self._open(request), PICTURE_FILE)
        return FileResponse(file, media_type="image/png", headers=FRESH)

    def _inspection(self, request: Request) -> Response:
        folder = self._open(request)
        return JSONResponse(describe_inspection(folder), headers=FRESH)

    def _pair(self, request: Request) -> Response:
        folder = self._open(request)
        a, b = request.path_params["a"], request.path_params["b"]
        return JSONResponse(describe_pair(folder, a, b), headers=FRESH)

    def _picture(self, request: Request) -> Response:
        folder, within, name = (
            self._open(request),
            request.path_params["folder"],
            request.path_params["name"],
        )
        pattern, media_type, cache = PICTURES.get(within, (None, "", ""))
        if pattern is None or not pattern.fullmatch(name):
            raise HTTPException(404, f"{within}/{name} is not served")
        file = _inside(folder, f"{within}/{name}")
        return FileResponse(file, media_type=media_type, headers={"Cache-Control": cache})

    def _download(self, request: Request) -> Response:
        folder, name = self._open(request), request.path_params["name"]
        if name not in DOWNLOADS:
            raise HTTPException(404, f"{name} is not served")
        return FileResponse(
            _inside(folder, name),
            media_type="application/octet-stream",
            filename=name,
            headers=FRESH,
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


def _unwritten(folder: Path, error: OSError) -> HTTPException:
    return HTTPException(500, f"{error.filename or folder}: {error.strerror or error}")


def _clean(text: str, longest: int) -> str:
    return text[:longest].encode("utf-8", "replace").decode("utf-8")  # half a character may come


def _inside(folder: Path, name: str) -> Path:
    try:
        return find_file_inside(folder, name)
    except (OSError, ValueError) as error:
        raise HTTPException(404, f"{folder.name} has no {name}") from error
