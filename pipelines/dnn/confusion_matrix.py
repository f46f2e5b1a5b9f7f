"""A confusion matrix as a picture: expected classes from top to bottom, predicted ones across."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

CELL = 44
SMALL_CELL = 12
MOST_NUMBERED = 30
"""Classes above which cells are small and hold no numbers."""
TEXT = 15
MARGIN = 16
LONGEST = 24
INK, PAPER, FAINT = (31, 41, 55), (255, 255, 255), (229, 231, 235)
RIGHT, WRONG = np.array((37, 99, 235)), np.array((220, 38, 38))


def draw_confusions(matrix: NDArray[np.int64], names: Sequence[str]) -> Image.Image:
    """Draw a confusion matrix; the deeper a cell's colour, the larger its share of its row.

    Parameters
    ----------
    matrix : array of int64, shape (k, k)
        Rows are expected classes.

    Returns
    -------
    Image
        RGB.  Right images are blue, on the diagonal, and wrong ones red.
    """
    font = ImageFont.load_default(TEXT)
    small = ImageFont.load_default(TEXT - 3)
    cell = CELL if len(names) <= MOST_NUMBERED else SMALL_CELL
    shown = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in names]
    ruler = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    widest = int(max(ruler.textlength(name, font) for name in shown))
    step = max(1, -(-TEXT // cell))  # names that would overlap are left out
    left = MARGIN + TEXT + 10 + widest + 8
    top = MARGIN + TEXT + 10 + widest + 8
    side = cell * len(names)
    image = Image.new("RGB", (left + side + MARGIN, top + side + MARGIN), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((left + side / 2, MARGIN), "predicted", INK, font, anchor="mt")
    _draw_upright(image, "expected", font, (MARGIN, top + side // 2))
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    for row, name in enumerate(shown):
        middle = top + cell * row + cell / 2
        if row % step == 0:
            draw.text((left - 8, middle), name, INK, font, anchor="rm")
            _draw_upright(image, name, font, (left + cell * row + cell // 2, top - 8), foot=True)
        for column in range(len(names)):
            x, y = left + cell * column, top + cell * row
            hue = RIGHT if row == column else WRONG
            colour = tuple((255 + (hue - 255) * shares[row, column] ** 0.7).astype(int).tolist())
            draw.rectangle((x, y, x + cell - 1, y + cell - 1), fill=colour, outline=FAINT)
            if cell == CELL and matrix[row, column]:
                ink = PAPER if shares[row, column] > 0.5 else INK
                text = f"{matrix[row, column]}"
                draw.text((x + cell / 2, y + cell / 2), text, ink, small, anchor="mm")
    return image


def _draw_upright(
    image: Image.Image,
    text: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    place: tuple[int, int],
    *,
    foot: bool = False,
) -> None:
    """Draw text from bottom to top: around `place`, or (`foot`) upwards from it."""
    box = ImageDraw.Draw(image).textbbox((0, 0), text, font)
    width, height = int(box[2]) + 2, int(box[3]) + 2
    label = Image.new("L", (width, height), 0)
    ImageDraw.Draw(label).text((0, 0), text, 255, font)
    turned = label.rotate(90, expand=True)
    x, y = place
    corner = (x - height // 2, y - width) if foot else (x, y - width // 2)
    image.paste(INK, corner, turned)
