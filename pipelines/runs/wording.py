"""Write figures as text: ranges, counts, shares and decimals."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

MINUS = "\N{MINUS SIGN}"
SPACE = "\N{NO-BREAK SPACE}"
NOT_GIVEN = "not given"
Facts = tuple[tuple[str, str], ...]
"""Pairs of the name of a figure and its text."""


def write_ranges(numbers: Sequence[int]) -> str:
    """Write sorted whole numbers: 0 to 4, 7, 9."""
    parts = []
    for _, pairs in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        run = [number for _, number in pairs]
        if len(run) > 2:
            parts.append(f"{run[0]} to {run[-1]}")
        else:
            parts += [str(number) for number in run]
    return ", ".join(parts)


def count_of(number: int, word: str, plural: str = "") -> str:
    """Write a count with its noun: "1 image", "2,400 images"."""
    return f"{number:,} {word if number == 1 else plural or f'{word}s'}"


def percent(share: float) -> str:
    """Write a share, 0 to 1, as a percentage with one decimal."""
    return f"{100 * share:.1f}{SPACE}%"


def decimal(value: float) -> str:
    """Write a number with two decimals and a true minus sign."""
    return f"{value:.2f}".replace("-", MINUS)
