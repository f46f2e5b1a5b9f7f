"""Findings: parameters that a cluster's images share, in words with figures.

A cluster is compared with a reference: the whole failing set (HUDD, section V-B, RQ1.2), or the
passing images, whose values show what does not make an image fail.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters.variance_reduction import compute_direction
from pipelines.data.arrays import Doubles
from pipelines.data.parameters import Kind, Parameter
from pipelines.runs.wording import MINUS

Reference = Literal["failing images", "passing images"]
PASSING: Reference = "passing images"

LEAST = 0.01
"""Smallest remaining share of the variance that is used; smaller shares count as this one."""
EDGE = 0.05
"""A mean is near the edge of its range if its distance is at most this share of the range."""
MOST_DIGITS = 15


@dataclass(frozen=True)
class Finding:
    """One parameter that a cluster's images share.

    Attributes
    ----------
    parameter : str
    kind : str
        "number", "angle" or "category".
    reduction : float
        For numbers and angles compared with failing images, RR: 1 - variance in the cluster /
        variance in the whole failing set. Compared with passing images, 1 - variance in the
        cluster / mean squared distance of passing images to the cluster's mean (see
        `parameter_contrast`). For a category, its share in the cluster minus that in the reference.
    chance : float
        The value that `reduction` has to exceed to be more than chance.
    figure, overall : float
        Means of the cluster and of the reference (mean directions in degrees, for angles); for a
        category, its shares.
    category : str
        The category that is more frequent in the cluster; empty for numbers and angles.
    words : str
        "head_yaw: variance -96 % (by chance -41 %), mean 218 against 190, near the edge 220 of its
        range", or "head_yaw: mean 212 against 138 of passing images, spread around it -96 % (by
        chance -41 %)", with true minus signs.
    reference : str
        The images that the cluster is compared with.
    """

    parameter: str
    kind: Kind
    reduction: float
    chance: float
    figure: float
    overall: float
    category: str
    words: str
    reference: Reference = "failing images"


@dataclass(frozen=True)
class Samples:
    """The values that a finding is about, none of them nan.

    Attributes
    ----------
    own : array of float64, shape (k,)
        Values of the cluster.
    reference : array of float64, shape (r,)
        Values of the whole failing set, or of the passing images.
    everything : array of float64, shape (a,)
        Values of all images; their range and deviation set the scale.
    against : str
        Name of the reference.
    """

    own: Doubles
    reference: Doubles
    everything: Doubles
    against: Reference


def describe(
    parameter: Parameter, samples: Samples, reduction: float, chance: float
) -> tuple[float, Finding]:
    """Return the strength of a finding, in nats, and the finding with its words.

    The strength is the Kullback-Leibler divergence of the cluster from the reference.

    - Numbers count as Gaussians: 0.5 (v + z^2 - 1 - ln v). v is the cluster's variance over that of
      the reference, at least 0.01. z is the difference of the means in standard deviations of the
      reference, each at least a tenth of the standard deviation of all images.
    - Angles count as von Mises distributions, the Gaussians of the circle.
    - Categories count as Bernoulli distributions of the category that is named.
    """
    match parameter.kind:
        case "category":
            return _describe_category(parameter, samples, reduction, chance)
        case "angle":
            return _describe_angle(parameter, samples, reduction, chance)
    return _describe_number(parameter, samples, reduction, chance)


def _describe_number(
    parameter: Parameter, samples: Samples, reduction: float, chance: float
) -> tuple[float, Finding]:
    own, everything = samples.own, samples.everything
    mean, overall = float(own.mean()), float(samples.reference.mean())
    scale = float(everything.std(ddof=1))
    spread = max(float(samples.reference.std(ddof=1)), math.sqrt(LEAST) * scale)
    remaining = max(float(own.var(ddof=1)) / spread**2, LEAST)
    z = (mean - overall) / spread
    strength = 0.5 * (remaining + z * z - 1 - math.log(remaining))
    # More than three digits if the values vary little for their size, but no digits from rounding.
    ratio = max(abs(mean), abs(overall)) / scale
    digits = 3 + min(12, max(0, math.floor(math.log10(ratio)) - 1)) if ratio else 3
    decimals = 3 - math.floor(math.log10(scale))
    shown, overall_shown = (_number(round(value, decimals), digits) for value in (mean, overall))
    means = f"mean {shown} against {overall_shown}"
    if samples.against == PASSING:
        words = f"{parameter.name}: {means} of passing images, {_spread(reduction, chance)}"
    else:
        words = f"{parameter.name}: {_variance(reduction, chance)}, {means}"
    low, high = float(everything.min()), float(everything.max())
    for edge in (low, high):
        if abs(mean - edge) <= EDGE * (high - low):
            words += f", near the edge {_number(edge, digits)} of its range"
    finding = Finding(
        parameter.name, "number", reduction, chance, mean, overall, "", words, samples.against
    )
    return strength, finding


def _describe_angle(
    parameter: Parameter, samples: Samples, reduction: float, chance: float
) -> tuple[float, Finding]:
    longest = 1 - LEAST * (1 - compute_direction(samples.everything)[1])
    mean, own_length = compute_direction(samples.own)
    overall, length = compute_direction(samples.reference)
    own_length, length = min(own_length, longest), min(length, longest)
    concentration, own_concentration = _concentration(length), _concentration(own_length)
    along = own_concentration - concentration * math.cos(math.radians(mean - overall))
    strength = _log_i0(concentration) - _log_i0(own_concentration) + own_length * along
    shown = _number(mean, 3)
    middle = f"mean direction {'0' if shown == '360' else shown}°"
    if samples.against == PASSING:
        # Passing images often point in all directions; their mean direction then has no meaning.
        words = f"{parameter.name}: {middle}, {_spread(reduction, chance, ' of passing images')}"
    else:
        words = f"{parameter.name}: {_variance(reduction, chance)}, {middle}"
    finding = Finding(
        parameter.name, "angle", reduction, chance, mean, overall, "", words, samples.against
    )
    return strength, finding


def _describe_category(
    parameter: Parameter, samples: Samples, reduction: float, chance: float
) -> tuple[float, Finding]:
    shares, references = (
        _shares(values, len(parameter.categories)) for values in (samples.own, samples.reference)
    )
    code = int(np.argmax(np.round(shares - references, 9)))
    share, overall = float(shares[code]), float(references[code])
    expected = max(
        overall, 0.5 / len(samples.reference)
    )  # a category that no reference image has is rare, but not impossible
    strength = sum(
        own * math.log(own / whole)
        for own, whole in ((share, expected), (1 - share, 1 - expected))
        if own > 0
    )
    category = parameter.categories[code]
    whom = PASSING if samples.against == PASSING else "all"
    in_cluster, by_chance = _percent_apart(share, min(1.0, overall + chance))
    words = (
        f"{parameter.name}: {category} in {in_cluster} against {_percent(overall)} of {whom} "
        f"(by chance {by_chance})"
    )
    finding = Finding(
        parameter.name,
        "category",
        reduction,
        chance,
        share,
        overall,
        category,
        words,
        samples.against,
    )
    return strength, finding


def _shares(codes: Doubles, categories: int) -> NDArray[np.float64]:
    return np.bincount(codes.astype(np.intp), minlength=categories) / len(codes)


def format_means(finding: Finding) -> str:
    """Write the two means of a number, "218 against 190", with enough digits to tell them apart."""
    for digits in range(3, MOST_DIGITS + 1):
        own, other = _number(finding.figure, digits), _number(finding.overall, digits)
        if own != other:
            break
    return f"{own} against {other}"


def _concentration(length: float) -> float:
    """Estimate the concentration of a von Mises distribution (Fisher: *Circular data*, 1993)."""
    if length < 0.53:
        return 2 * length + length**3 + 5 * length**5 / 6
    if length < 0.85:
        return -0.4 + 1.39 * length + 0.43 / (1 - length)
    return 1 / (length**3 - 4 * length**2 + 3 * length)


def _log_i0(concentration: float) -> float:
    from scipy.special import i0e

    return math.log(float(i0e(concentration))) + concentration


def _variance(reduction: float, chance: float) -> str:
    return f"variance {_less(reduction)} (by chance {_less(chance)})"


def _spread(reduction: float, chance: float, whose: str = "") -> str:
    against = f" against that{whose}" if whose else ""
    return f"spread around it {_less(reduction)}{against} (by chance {_less(chance)})"


def _less(share: float) -> str:
    text = _percent(share)
    return text if text == "0 %" else f"{MINUS}{text}"


def _percent(share: float) -> str:
    if 0.0005 <= share < 0.01:
        return f"{100 * share:.1g} %"
    if 0.99 < share < 0.9995:
        return f"{100 * share:.1f} %"
    return f"{100 * share:.0f} %"


def _percent_apart(share: float, chance: float) -> tuple[str, str]:
    """Format two shares, with a decimal if they would look equal without it."""
    words = _percent(share), _percent(chance)
    return words if words[0] != words[1] else (f"{100 * share:.1f} %", f"{100 * chance:.1f} %")


def _number(value: float, digits: int) -> str:
    rounded = float(f"{value:.{digits}g}") + 0.0  # no -0
    text = f"{rounded:g}"
    if 1e-4 <= abs(rounded) < 1e15:
        text = np.format_float_positional(rounded, trim="-")
    return text.replace("-", MINUS)
