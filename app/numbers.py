"""Numbers as a person types them, on the page and on the command line.

The decimal sign is a point. A comma is refused, because it is ambiguous: 1,5 and 1,000 mean one
thing in Germany and France and another in Britain. A number that is misread would change a result
without anybody noticing.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal

from pipelines.runs.errors import InputError

LARGEST_SEED = 2**32 - 1
PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
SPACED = re.compile(r"[+-]?\d{1,3}([ \u00a0\u202f]\d{3})+", re.ASCII)
"""Thousands separated by spaces, as in ISO 80000-1: no country reads them in another way."""
AMBIGUOUS = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}", re.ASCII)
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3}){2,}|[+-]?\d{1,3}(\.\d{3}){2,}", re.ASCII)
BOTH = re.compile(r"[+-]?\d{1,3}((,\d{3})+\.\d*|(\.\d{3})+,\d*)", re.ASCII)
DECIMAL_COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d{1,3})?", re.ASCII)
LONGEST = 40
"""Largest number of characters of a number: nobody types a longer one."""


@dataclass(frozen=True)
class Numbers:
    """The numbers that a field or an option takes.

    Attributes
    ----------
    low, high : float, optional
        The smallest and the largest.
    open_low, open_high : bool
        Whether `low`, or `high`, itself is refused.
    whole : bool
        Whether it has to be a whole number.
    percent : str
        What a percent sign does: "no" (it is refused), "share" (93 % is 0.93) or "dropped" (the
        number is a percentage with or without the sign).
    """

    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False
    whole: bool = False
    percent: str = "no"

    def __str__(self) -> str:
        kind = {"share": "a share", "dropped": "a percentage"}.get(self.percent, "a number")
        if self.whole:
            kind = "a whole number"
        if self.low is None:
            return kind
        if self.high is None:
            return (
                f"{kind} above {self.low:.10g}" if self.open_low else f"{kind}, {self.low} or more"
            )
        if not self.open_low and not self.open_high:
            return f"{kind}, {self.low:.10g} to {self.high:.10g}"
        low = f"above {self.low:.10g}" if self.open_low else f"of {self.low:.10g} or more"
        high = f"{'below' if self.open_high else 'at most'} {self.high:.10g}"
        return f"{kind} {low} and {high}"

    def holds(self, value: float) -> bool:
        """Tell whether a number is in the range."""
        if self.low is not None and (value < self.low or (self.open_low and value == self.low)):
            return False
        return self.high is None or not (
            value > self.high or (self.open_high and value == self.high)
        )


NUMBER = Numbers()
COUNT = Numbers(low=1, whole=True)
SEED = Numbers(low=0, high=LARGEST_SEED, whole=True)
POSITIVE = Numbers(low=0, open_low=True)
SHARE = Numbers(low=0, high=1, percent="share")
"""From 0 to 1, both included."""
PART = Numbers(low=0, high=1, open_low=True, percent="share")
"""Above 0, at most 1."""
INNER_PART = Numbers(low=0, high=1, open_low=True, open_high=True, percent="share")
"""Above 0 and below 1."""
ACTIVATION = Numbers(low=0, high=1, open_high=True)
PERCENTAGE = Numbers(low=0, high=100, open_low=True, percent="dropped")
PORT = Numbers(low=1, high=65535, whole=True)
REGIONS = Numbers(low=2, high=255, whole=True)
CLUSTER = Numbers(low=0, whole=True)


def parse_number(text: str, numbers: Numbers) -> float:
    """Return the number that a person typed; an int if it has to be whole.

    Raises
    ------
    ValueError
        When it is not one of `numbers`. The message says what was expected, what was received, and
        what to type instead.
    """
    bare = text.strip()
    has_percent = bare.endswith("%") and numbers.percent != "no"
    if has_percent:
        bare = bare[:-1].rstrip()
    if SPACED.fullmatch(bare):
        bare = re.sub(r"\s", "", bare)
    wanted = WHOLE if numbers.whole else PLAIN
    if wanted.fullmatch(bare) and len(bare) <= LONGEST:
        value = Decimal(bare) / (100 if has_percent and numbers.percent == "share" else 1)
        number = int(value) if numbers.whole else float(value)
        if math.isfinite(number) and numbers.holds(number):
            return number
    raise ValueError(f"expected {numbers}, received {text!r}.{_advise(bare, numbers)}")


def _advise(bare: str, numbers: Numbers) -> str:
    """Say what to type instead; empty if the text allows no guess."""
    if len(bare) > LONGEST:
        return ""
    if bare.endswith("%"):
        return f" Write it without %{'' if numbers.whole else ', as a number'}."
    if AMBIGUOUS.fullmatch(bare) and ("," in bare or numbers.whole):
        large, small = re.sub("[.,]", "", bare), float(bare.replace(",", "."))
        if not numbers.whole:
            return f" Write {large} or {small}: a comma means either."
        also = f" or {small:.0f}: it may mean either" if small.is_integer() else ""
        return f" Write {large}{also}."
    if THOUSANDS.fullmatch(bare):
        return f" Write {re.sub('[.,]', '', bare)}."
    if BOTH.fullmatch(bare):
        whole, part = re.split("[.,](?=[^.,]*$)", bare)
        bare = f"{re.sub('[.,]', '', whole)}.{part}"
        return "" if numbers.whole else f" Write {bare}."
    if DECIMAL_COMMA.fullmatch(bare) and not numbers.whole:
        return f" Write a decimal point: {bare.replace(',', '.')}."
    if numbers.whole and PLAIN.fullmatch(bare) and not WHOLE.fullmatch(bare):
        value = Decimal(bare)
        plain = value.adjusted() < LONGEST and value == value.to_integral_value()
        return f" Write {int(value)}." if plain else ""
    if numbers.percent == "share" and PLAIN.fullmatch(bare) and 1 < Decimal(bare) <= 100:
        return f" Write {Decimal(bare) / 100:f} or {bare} %."
    return ""


def read_number(label: str, text: str, numbers: Numbers) -> float:
    """Return the number in a field of the page; an int if it has to be whole.

    Raises
    ------
    InputError
        When `parse_number` refuses the text; the message starts with the field's name.
    """
    try:
        return parse_number(text, numbers)
    except ValueError as error:
        raise InputError(f"{label}: {error}") from None


def write_number(number: float) -> str:
    """Return the shortest text that is read as the same number."""
    return repr(number).removesuffix(".0")
