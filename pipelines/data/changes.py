"""Notice a file that is another one than when its digest was taken (SAFE, section 2)."""

from __future__ import annotations

from pathlib import Path

from pipelines.data.images import ImageFile, Rejected, check_image


def check_unchanged(folder: Path, image: ImageFile, advice: str) -> Rejected | None:
    """Return None where a file still has its digest; otherwise the reason why not.

    Parameters
    ----------
    advice : str
        What to do where the file is another one by now: "run the job again", for example.
    """
    now = check_image(folder, image.path)
    return now if isinstance(now, Rejected) else tell_changed(image, now.digest, advice)


def tell_changed(image: ImageFile, digest: str, advice: str) -> Rejected | None:
    """Do as `check_unchanged` does, for a file whose digest of now is known."""
    if digest == image.digest:
        return None
    return Rejected(
        image.path,
        f"another file than before (expected SHA-256 {image.digest[:12]}..., received "
        f"{digest[:12]}...): {advice}",
    )
