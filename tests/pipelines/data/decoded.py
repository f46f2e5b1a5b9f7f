"""A picture as it is decoded, for tests that look at it."""

from pathlib import Path

from PIL import Image

from pipelines.data.images import Rejected
from pipelines.data.pixels import use_image


def load_image(folder: Path, path: str, side: int) -> Image.Image | Rejected:
    return use_image(folder, path, side, lambda image: image)
