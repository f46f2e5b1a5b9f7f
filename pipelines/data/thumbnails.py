"""Thumbnails: small JPEG files of images, named after the digest of the image file."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

from PIL import Image

from pipelines.data.gif import fit
from pipelines.data.images import ImageFile, Rejected
from pipelines.data.pixels import RUN_AGAIN, use_unchanged
from pipelines.runs.files import atomic_write


def thumbnail_name(digest: str) -> str:
    """Return the name of an image's thumbnail; files with equal bytes share one."""
    return f"{digest[:24]}.jpg"


DRAWING = "drawing thumbnails"
"""The stage of a job in which it draws them."""
THUMBNAIL_FOLDER = "thumbnails"
THUMBNAIL_NAMES = r"[0-9a-f]{24}\.jpg"
THUMBNAIL_SIDE = 160
DECODED_AHEAD = 16


def _thumbnail(image: Image.Image) -> bytes:
    thumbnail = io.BytesIO()
    fit(image, THUMBNAIL_SIDE).save(thumbnail, "JPEG", quality=85)
    return thumbnail.getvalue()


def draw_thumbnail(
    folder: Path, image: ImageFile, run: Path, advice: str = RUN_AGAIN
) -> bytes | Rejected:
    """Draw the thumbnail of one new image, and save it in the run folder if that is writable.

    Returns
    -------
    bytes or Rejected
        A JPEG file; Rejected when the image file has changed since its digest was taken.
    """
    thumbnail = use_unchanged(folder, image, THUMBNAIL_SIDE, _thumbnail, advice)
    if isinstance(thumbnail, Rejected):
        return thumbnail
    with (
        suppress(OSError),
        atomic_write(run / THUMBNAIL_FOLDER / thumbnail_name(image.digest)) as f,
    ):
        f.write(thumbnail)
    return thumbnail
