"""Files of a run that the page receives: pictures and downloads that the tool itself writes."""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response, StreamingResponse

from app.server.answers import FRESH
from pipelines.clusters.clusters import CLUSTERS_FILE, LABELS_FILE
from pipelines.clusters.pictures import GIF_FOLDER, GIF_NAMES
from pipelines.data.thumbnails import THUMBNAIL_FOLDER, THUMBNAIL_NAMES
from pipelines.deepimportance.results import TABLES
from pipelines.dnn.job import PICTURE_FILE
from pipelines.retraining.results import CHANGES_FILE, REPAIRS_FILE
from pipelines.runs.folder import REJECTED_FILE
from pipelines.runs.guard import find_file_inside
from pipelines.unsafe_set.files import FILENAMES_FILE
from pipelines.unsafe_set.rows import UNSAFE_SET_FILE

PICTURES = {
    GIF_FOLDER: (re.compile(GIF_NAMES), "image/gif", "no-cache"),
    # A thumbnail is named after its content, so browsers may cache it.
    THUMBNAIL_FOLDER: (re.compile(THUMBNAIL_NAMES), "image/jpeg", "private, max-age=86400"),
}
"""By folder of a run: which names are served, with which type, and how long browsers cache them."""
DOWNLOADS = (
    LABELS_FILE,
    CLUSTERS_FILE,
    REJECTED_FILE,
    FILENAMES_FILE,
    UNSAFE_SET_FILE,
    CHANGES_FILE,
    REPAIRS_FILE,
    *TABLES,
)
CHUNK = 1 << 20


def send_picture(folder: Path, within: str, name: str) -> Response:
    """Send a GIF or a thumbnail of a run."""
    pattern, media_type, cache = PICTURES.get(within, (None, "", ""))
    if pattern is None or not pattern.fullmatch(name):
        raise HTTPException(404, f"{within}/{name} is not served")
    file = find_file(folder, f"{within}/{name}")
    return FileResponse(file, media_type=media_type, headers={"Cache-Control": cache})


def send_confusions(folder: Path) -> Response:
    """Send the picture of a test's confusions."""
    return FileResponse(find_file(folder, PICTURE_FILE), media_type="image/png", headers=FRESH)


def send_download(folder: Path, name: str) -> Response:
    """Send one of `DOWNLOADS`, as a file to save."""
    if name not in DOWNLOADS:
        raise HTTPException(404, f"{name} is not served")
    return FileResponse(
        find_file(folder, name),
        media_type="application/octet-stream",
        filename=name,
        headers=FRESH,
    )


def send_gifs(folder: Path) -> Response:
    """Send all GIFs of a run as one ZIP."""
    pattern = PICTURES[GIF_FOLDER][0]
    names = sorted(file.name for file in (folder / GIF_FOLDER).glob("*.gif"))
    gifs = [find_file(folder, f"{GIF_FOLDER}/{name}") for name in names if pattern.fullmatch(name)]
    # An unnamed file: it disappears when it is closed, even if the transfer breaks off.
    file = tempfile.TemporaryFile()  # noqa: SIM115
    try:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:  # GIFs are compressed
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


def find_file(folder: Path, name: str) -> Path:
    """Return a file of a run; answer 404 if it does not exist, or is a link out of the run."""
    try:
        return find_file_inside(folder, name)
    except (OSError, ValueError) as error:
        raise HTTPException(404, f"{folder.name} has no {name}") from error
