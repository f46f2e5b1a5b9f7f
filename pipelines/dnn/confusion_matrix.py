"""A picture of a confusion matrix: a row per expected class, a column per predicted class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

CELL = 44
SMALL_CELL = 12
MAX_LARGE_CELLS = 30
"""With more classes, cells are small and have no numbers."""
TEXT = 15
MARGIN = 16
MAX_NAME_LENGTH = 24
"""Longer names of classes are cut."""
INK, PAPER, FAINT = (31, 41, 55), (255, 255, 255), (229, 231, 235)
RIGHT, WRONG = np.array((37, 99, 235)), np.array((220, 38, 38))


def draw_confusions(matrix: NDArray[np.int64], names: Sequence[str]) -> Image.Image:
    """Draw a confusion matrix; a cell with a larger share of its row has a deeper colour.

    Parameters
    ----------
    matrix : array of int64, shape (k, k)
        Rows are expected classes.
    names : sequence of str, length k

    Returns
    -------
    Image
        RGB. Cells of correct predictions, on the diagonal, are blue; the others are red.
    """
    font = ImageFont.load_default(TEXT)
    small = ImageFont.load_default(TEXT - 3)
    cell = CELL if len(names) <= MAX_LARGE_CELLS else SMALL_CELL
    labels = [
        name if len(name) <= MAX_NAME_LENGTH else f"{name[: MAX_NAME_LENGTH - 1]}…"
        for name in names
    ]
    ruler = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    widest = int(max(ruler.textlength(name, font) for name in labels))
    step = max(1, -(-TEXT // cell))  # if names would overlap, only every step-th is drawn
    left = MARGIN + TEXT + 10 + widest + 8
    top = MARGIN + TEXT + 10 + widest + 8
    side = cell * len(names)
    image = Image.new("RGB", (left + side + MARGIN, top + side + MARGIN), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((left + side / 2, MARGIN), "predicted", INK, font, anchor="mt")
    _draw_upright(image, "expected", font, (MARGIN, top + side // 2))
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    for row, name in enumerate(labels):
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
    position: tuple[int, int],
    *,
    foot: bool = False,
) -> None:
    """Draw text that reads upwards: centred on `position`, or starting there (`foot`)."""
    box = ImageDraw.Draw(image).textbbox((0, 0), text, font)
    width, height = int(box[2]) + 2, int(box[3]) + 2
    label = Image.new("L", (width, height), 0)
    ImageDraw.Draw(label).text((0, 0), text, 255, font)
    turned = label.rotate(90, expand=True)
    x, y = position
    corner = (x - height // 2, y - width) if foot else (x, y - width // 2)
    image.paste(INK, corner, turned)
