"""Thumbnails of the images of an improvement set, drawn when the page first shows them."""

from __future__ import annotations

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.server.access import Access
from app.server.files import PICTURES, send_picture
from pipelines.data.images import ImageFile, Rejected
from pipelines.data.thumbnails import THUMBNAIL_FOLDER, draw_thumbnail, thumbnail_name
from pipelines.runs.errors import InputError
from pipelines.unsafe_set.digests import NOT_SELECTED
from pipelines.unsafe_set.files import read_candidates, read_selection


class NewImages:
    """The improvement set that was used last.

    Parameters
    ----------
    access : Access
        From which images thumbnails may be drawn.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._measured: tuple[str, list[ImageFile]] = ("", [])

    def send_thumbnail(self, folder: Path, position: int, name: str) -> Response:
        """Send the thumbnail of an image of a run's improvement set; the first request draws it."""
        pattern, media_type, cache = PICTURES[THUMBNAIL_FOLDER]
        if not pattern.fullmatch(name):
            raise HTTPException(404, f"{name} is not served")
        if (folder / THUMBNAIL_FOLDER / name).is_file():
            return send_picture(folder, THUMBNAIL_FOLDER, name)
        images, known = self._find(folder)
        if position >= len(known) or thumbnail_name(known[position].digest) != name:
            raise HTTPException(404, f"{name} cannot be drawn: there is no such new image")
        image = known[position]
        try:
            self._find_image(images, image.path)
        except (OSError, ValueError, InputError) as error:
            raise HTTPException(404, f"{name} cannot be drawn: {error}") from error
        drawn = draw_thumbnail(images, image, folder, NOT_SELECTED)
        if isinstance(drawn, Rejected):
            raise HTTPException(404, f"{drawn.path}: {drawn.reason}")
        return Response(drawn, media_type=media_type, headers={"Cache-Control": cache})

    def _find_image(self, images: Path, path: str) -> Path:
        """Return the file of a new image below its folder; links may lead where the page may."""
        file = images / path
        if ".." in Path(path).parts or not file.is_relative_to(images):
            raise ValueError("it lies outside of the folder of new images")
        if not file.is_file():
            raise FileNotFoundError("no such file")
        return self._access.resolve(str(file))

    def _find(self, folder: Path) -> tuple[Path, list[ImageFile]]:
        """Return the improvement set of a run: its folder, and its images by position."""
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
