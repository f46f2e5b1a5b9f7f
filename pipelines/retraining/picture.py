"""Before and after as a picture: bars for all test images, and one for each root cause cluster."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from pipelines.clusters.clusters import NOISE
from pipelines.retraining.results import Accuracy, Repair, Retraining
from pipelines.runs.wording import count_of

WIDTH, ROW, MARGIN, BAR = 900, 26, 20, 420
TEXT = 15
MOST = 60
"""Largest number of clusters that are drawn; the largest clusters come first."""
LONGEST = 30
INK, FAINT, PAPER = (31, 41, 55), (107, 114, 128), (255, 255, 255)
EMPTY, RIGHT, BEFORE = (229, 231, 235), (37, 99, 235), (156, 163, 175)


def draw_repairs(retraining: Retraining) -> Image.Image:
    """Draw the accuracy before and after, and the share of each cluster's images now correct.

    A line through the end of a bar shows the 95 % interval.
    """
    repairs = retraining.repairs[:MOST]
    rows = len(repairs) + (5 if repairs else 3)
    image = Image.new("RGB", (WIDTH, 2 * MARGIN + ROW * rows), PAPER)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(TEXT)
    top = MARGIN
    title = f"Right of {count_of(retraining.change.before.images, 'test image')}"
    draw.text((MARGIN, top), title, INK, font)
    for name, accuracy, colour in (
        ("before", retraining.change.before, BEFORE),
        ("after", retraining.change.after, RIGHT),
    ):
        top += ROW
        _bar(draw, font, top, name, accuracy, colour)
    if repairs:
        top += 2 * ROW
        draw.text((MARGIN, top), "Right now of what failed in each cluster", INK, font)
    for repair in repairs:
        top += ROW
        _bar(draw, font, top, name_cluster(repair), repair.after, RIGHT)
    return image


def name_cluster(repair: Repair) -> str:
    """Return the number of a cluster with the engineer's name for it, if any."""
    number = "noise" if repair.cluster == NOISE else f"cluster {repair.cluster}"
    named = repair.name and repair.name != number
    return f"{repair.cluster}: {repair.name}" if named and repair.cluster != NOISE else number


def _bar(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    top: int,
    name: str,
    accuracy: Accuracy,
    colour: tuple[int, int, int],
) -> None:
    left = WIDTH - MARGIN - BAR - 160
    shown = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
    draw.text((left - 12, top + ROW / 2), shown, INK, font, anchor="rm")
    draw.rectangle((left, top + 4, left + BAR, top + ROW - 5), fill=EMPTY)
    draw.rectangle((left, top + 4, left + round(BAR * accuracy.share), top + ROW - 5), fill=colour)
    middle = top + ROW // 2
    draw.line(
        (left + BAR * accuracy.low, middle, left + BAR * accuracy.high, middle), fill=INK, width=2
    )
    words = f"{100 * accuracy.share:.1f} %   {accuracy.right:,} of {accuracy.images:,}"
    draw.text((left + BAR + 12, middle), words, FAINT, font, anchor="lm")
