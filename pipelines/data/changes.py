"""Notice a file that changed since its digest was computed."""

from __future__ import annotations

from pathlib import Path

from pipelines.data.images import ImageFile, Rejected, check_image


def check_unchanged(folder: Path, image: ImageFile, advice: str) -> Rejected | None:
    """Return None if a file still has its digest; otherwise the reason to reject it.

    Parameters
    ----------
    advice : str
        What to do about a changed file, such as "run the job again".
    """
    now = check_image(folder, image.path)
    return now if isinstance(now, Rejected) else tell_changed(image, now.digest, advice)


def tell_changed(image: ImageFile, digest: str, advice: str) -> Rejected | None:
    """Compare as `check_unchanged` does, if the present digest of the file is known."""
    if digest == image.digest:
        return None
    return Rejected(
        image.path,
        f"another file than before (expected SHA-256 {image.digest[:12]}..., received "
        f"{digest[:12]}...): {advice}",
    )
