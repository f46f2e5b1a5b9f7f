"""What the page serves of runs: their figures, pictures and downloads, and nothing else of a disk.

It also takes the one thing that the page writes: the words of an engineer on a cluster.

A run is served below a key that cannot be guessed, and that only a page which may see the run is
given.  Originals are never served; of a run folder, only files that the tool itself writes.
"""

from __future__ import annotations

import csv
import math
import os
import re
import secrets
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
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

from pipelines import runs
from pipelines.clusters import (
    CLUSTERS_FILE,
    IMAGES_FILE,
    INSPECTED_PER_CLUSTER,
    LABELS_FILE,
    NOISE,
    VERDICTS,
    WORDS,
    save_words,
)
from pipelines.errors import InputError
from pipelines.files import read_csv, read_pairs
from pipelines.inspection import GIF_FOLDER, THUMBNAIL_FOLDER, gif_name

if TYPE_CHECKING:
    from pipelines.explanation import Explained, Explanation

PICTURES = {
    GIF_FOLDER: (re.compile(r"(cluster_\d+|noise)\.gif"), "image/gif", "no-cache"),
    # A thumbnail is named after what it shows.
    THUMBNAIL_FOLDER: (re.compile(r"[0-9a-f]{24}\.jpg"), "image/jpeg", "private, max-age=86400"),
}
"""By folder of a run: which names are served, as what, and how long a browser may keep them."""
DOWNLOADS = (LABELS_FILE, CLUSTERS_FILE, runs.REJECTED_FILE)
LONGEST = {"name": 200, "note": 20_000, "verdict": 60, "severity": 60, "likelihood": 60}
"""How many characters of an engineer's words are kept."""
REPORT_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'"
)
"""A report is one file: nothing in it may ask for another, or run."""
FIND_AGAIN = "Take the file from a backup, or find the clusters again."
EXPLANATION_FILE = "explanation.json"
VALUE_FILES = {"parameters": "parameters.csv", "properties": "properties.csv"}
"""Where the values of a run's images are, by source; the explanation tells of their columns."""
EXPLAIN_AGAIN = "Take the file from a backup, or explain the run again."
IMAGE_KEYS = ("path", "cluster", "core", "silhouette", "distance", "x", "y", "thumbnail")
CHUNK = 1 << 20
Row = dict[str, Any]
UNTOLD: Row = {
    "families": [],
    "family_share": None,
    "unsafe_values": [],
    "problems": [],
    "parameter_files": [],
    "angles": [],
    "unsafe_values_file": "",
    "colourings": [],
}
"""What is served of a run without an explanation."""


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
            Route("/run/{key}/values/{source}/{index:int}", self._values),
            Route("/run/{key}/report.html", self._report),
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

    def _values(self, request: Request) -> Response:
        folder = self._open(request)
        source, index = request.path_params["source"], request.path_params["index"]
        try:
            return JSONResponse(
                read_values(folder, source, index), headers={"Cache-Control": "no-store"}
            )
        except InputError as error:
            raise HTTPException(404, str(error)) from error

    def _report(self, request: Request) -> Response:
        """Write the report with the words as they are by now, and show it."""
        from pipelines.report import write_report

        folder = self._open(request)
        try:
            with self._saving:  # words that come meanwhile wait
                name = write_report(folder).name
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
                if runs.read_manifest(folder).started_at != started:
                    raise InputError(
                        f"{folder} holds another run by now. Open it again, and type them again."
                    )
                save_words(folder, cluster, words)
        except InputError as error:
            raise HTTPException(409, str(error)) from error
        except OSError as error:
            raise _unwritten(folder, error) from error

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


def _unwritten(folder: Path, error: OSError) -> HTTPException:
    return HTTPException(500, f"{error.filename or folder}: {error.strerror or error}")


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
        noise last, with what the explanation says of each), `images` (columns of `images.csv`),
        `rejected` (pairs of path and reason), and what `_told` returns.  A run that a job is
        writing has none of these yet.

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
    told = None
    if not written:
        with _named(folder / CLUSTERS_FILE):
            clusters = [_cluster(row) for row in _rows(folder, CLUSTERS_FILE)]
        with _named(folder / IMAGES_FILE):
            images = [_image(row) for row in _rows(folder, IMAGES_FILE)]
        with _named(folder / runs.REJECTED_FILE):
            if (folder / runs.REJECTED_FILE).exists():
                rejected = list(read_pairs(_inside(folder, runs.REJECTED_FILE)).items())
        told = _read_explanation(folder) if images else None
    with _named(folder / EXPLANATION_FILE, EXPLAIN_AGAIN):
        explained = _told(told, clusters, len(images))
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
        "verdicts": VERDICTS,
        **explained,
    }


def _rows(folder: Path, name: str) -> list[dict[str, str]]:
    if not (folder / IMAGES_FILE).exists():  # the job ended before it had clusters
        return []
    return read_csv(_inside(folder, name))


@contextmanager
def _named(path: Path, remedy: str = FIND_AGAIN) -> Iterator[None]:
    """Turn whatever a damaged file leads to into an InputError that names it."""
    try:
        yield
    except (OSError, LookupError, ValueError, AttributeError, csv.Error, HTTPException) as error:
        what = error.detail if isinstance(error, HTTPException) else error
        raise InputError(
            f"{path} is not as the tool writes it ({type(error).__name__}: {what}). {remedy}"
        ) from error


def _finite(figure: str | float) -> float:
    number = float(figure)
    if not math.isfinite(number):
        raise ValueError(f"{figure} is no number")
    return number


def _cluster(row: dict[str, str]) -> Row:
    cluster = int(row["cluster"])
    return {
        "cluster": cluster,
        # Runs of older versions have fewer columns.
        **{name: row.get(name, "") for name in WORDS},
        "family": None,
        "size": int(row["size"]),
        "share": _finite(row["share"]),
        "cores": int(row["cores"]),
        "silhouette": _finite(row["silhouette"]) if row["silhouette"] else None,
        "hints": row["hint"].split("; ") if row["hint"] else [],
        "parameters": [],
        "confusions": [],
        "unsafe_values": [],
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


# --- the explanation ----------------------------------------------------------------------------
# The models are imported where they are read: they bring along SciPy, and runs of older versions
# have no explanation.


def _read_explanation(folder: Path) -> Explanation | None:
    """Read `explanation.json`; runs of older versions, and those without clusters, have none."""
    if not os.path.lexists(folder / EXPLANATION_FILE):
        return None
    from pipelines.explanation import read_explanation

    with _named(folder / EXPLANATION_FILE, EXPLAIN_AGAIN):
        _inside(folder, EXPLANATION_FILE)
        return read_explanation(folder)


def _told(told: Explanation | None, clusters: list[Row], images: int) -> Row:
    """Return what an explanation says of a run, and add to `clusters` what it says of each.

    Returns
    -------
    dict
        `families` (largest first), `family_share` of all images when five of each family are
        looked at, `unsafe_values`, `problems` and names of the tables that were given, and
        `colourings`, the columns whose values `read_values` reads.
    """
    if told is None:
        return UNTOLD
    rows = {row["cluster"]: row for row in clusters}
    unsafe = [
        f"{each.parameter} {each.side} {_finite(each.value):.10g}" for each in told.unsafe_values
    ]
    for cluster, said in told.clusters.items():
        rows[cluster] |= _said(said)
        rows[cluster]["unsafe_values"] = [unsafe[position] for position in said.unsafe_values]
    for family in told.families:
        for cluster in family.clusters:
            rows[cluster]["family"] = family.family
    inspected = sum(min(family.size, INSPECTED_PER_CLUSTER) for family in told.families)
    return {
        "families": [
            {
                "family": family.family,
                "clusters": family.clusters,
                "size": family.size,
                **_said(family),
            }
            for family in told.families
        ],
        "family_share": inspected / images,
        "unsafe_values": [
            {
                "words": words,
                "images": each.images,
                "clusters": [rows[cluster]["cluster"] for cluster in each.clusters],
            }
            for words, each in zip(unsafe, told.unsafe_values, strict=True)
        ],
        "problems": [asdict(problem) for problem in told.problems],
        "parameter_files": told.parameter_files,
        "angles": told.angles,
        "unsafe_values_file": told.unsafe_values_file,
        "colourings": _colourings(told),
    }


def _said(said: Explained) -> Row:
    return {
        "hints": [hint.words for hint in said.hints],
        "parameters": [
            {
                "parameter": finding.parameter,
                "kind": finding.kind,
                "reduction": _finite(finding.reduction),
                "chance": _finite(finding.chance),
                "words": finding.words,
            }
            for finding in said.parameters
        ],
        "confusions": [confusion.model_dump() for confusion in said.confusions],
    }


def _colourings(told: Explanation) -> list[Row]:
    from pipelines.properties import PROPERTIES

    columns = [
        ("parameters", index, column.name, column.kind, 360.0 * (column.kind == "angle"))
        for index, column in enumerate(told.parameters)
    ] + [
        ("properties", index, each.figure, "angle" if each.period else "number", each.period)
        for index, each in enumerate(PROPERTIES)
    ]
    keys = ("source", "index", "name", "kind", "period")
    return [dict(zip(keys, column, strict=True)) for column in columns]


def read_values(folder: Path, source: str, index: int) -> Row:
    """Read one of the run's `colourings`.

    Returns
    -------
    dict
        `values`, one an image in the order of `describe`'s, None where none is known; of a
        category, positions in `categories`.

    Raises
    ------
    InputError
        When the run has no such column, or a file of it is not as the tool writes it.
    """
    from pipelines.parameter_files import read_parameter_columns
    from pipelines.properties import PROPERTIES

    told = _read_explanation(folder)
    kinds = [(column.name, column.kind) for column in told.parameters] if told else []
    keys = [each.key for each in PROPERTIES] if told else []
    if index >= {"parameters": len(kinds), "properties": len(keys)}.get(source, 0):
        raise InputError(f"{folder.name} has no column {source}/{index}. Open it again.")
    file = folder / VALUE_FILES[source]
    with _named(folder / IMAGES_FILE):
        paths = [row["path"] for row in _rows(folder, IMAGES_FILE)]
    with _named(file, EXPLAIN_AGAIN):
        _inside(folder, file.name)
        categories: tuple[str, ...] = ()
        if source == "parameters":
            found, parameters = read_parameter_columns(file, kinds)
            categories = parameters[index].categories
            by_path = dict(zip(found, parameters[index].values.tolist(), strict=True))
        else:
            by_path = {row["path"]: float(row[keys[index]] or "nan") for row in read_csv(file)}
        known = [by_path.get(path, math.nan) for path in paths]
        values = [None if math.isnan(value) else _finite(value) for value in known]
    is_category = source == "parameters" and kinds[index][1] == "category"
    return {"values": values} | ({"categories": categories} if is_category else {})
