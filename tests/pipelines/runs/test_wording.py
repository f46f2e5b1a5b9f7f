"""How figures are written: "1 image", "2 images", in every message of the tool."""

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest

from pipelines.runs.wording import count_of

ROOT = Path(__file__).parents[3]
NOUN = re.compile(r" (?:[a-z]+ ){0,2}?(?!is\b|has\b|was\b|as\b|this\b|its\b)[a-z]{2,}s\b")
"""What follows a figure where its noun is in the plural whatever the figure is."""
MANY = {
    "{most:,} bytes", "{len(names)} classes", "{len(shapes)} tensors", "{size:,} bytes",
    "{unpacked:,} bytes", "{count} times", "{count} classes",
    "{csv.field_size_limit():,} characters",
    "{len(known)} heatmaps", "{known.shape[1]} entries", "{len(labels)} images",
    "{len(clusters.paths)} pictures", "{len(categories)} different ones",
}  # fmt: skip
"""Figures that are never 1 where the message appears."""


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 times"), (1, "1 time"), (2, "2 times"), (2400, "2,400 times")]
)
def test_a_count_has_its_noun_in_the_right_number(number, words):
    assert count_of(number, "time") == words
    assert count_of(1, "class", "classes") == "1 class"


def counts_in(file):
    """Go through the figures of a module's texts that stand before a noun in the plural."""
    for text in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        values = text.values if isinstance(text, ast.JoinedStr) else []
        for figure, after in pairwise(values):
            if not isinstance(figure, ast.FormattedValue) or not isinstance(after, ast.Constant):
                continue
            code = ast.unparse(ast.JoinedStr([figure]))[2:-1]
            noun = NOUN.match(after.value)
            is_count = "len(" in code or ":," in code or re.match(r"{(n|count|times)}", code)
            if noun and is_count and "count_of(" not in code and not code[1].isupper():
                yield f"{code}{noun[0]}"


def test_no_message_says_1_images():
    files = [file for room in ("app", "pipelines") for file in (ROOT / room).rglob("*.py")]
    unsure = {count for file in files for count in counts_in(file)}
    assert unsure - MANY == set()
