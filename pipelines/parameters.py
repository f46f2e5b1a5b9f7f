"""Which parameters the images of a cluster share (HUDD, section V-B, RQ1.2), beyond chance.

Of many parameters one is always reduced in variance; what is named has to be more than chance. So
comes the minP procedure of Westfall and Young (*Resampling-based multiple testing*, 1993): 2,000
random groups of the cluster's size give each parameter a distribution of its own, and in each of
them the smallest p-value over all parameters. The 5 % quantile of these is the common level at
which each parameter is tested against its own distribution. So of clusters that share nothing, at
most one in twenty gets any parameter. The largest reduction over all parameters would keep to that
as well, but one parameter with heavy tails (zero for nearly all images, so that small random groups
often have RR 1) would then silence all others. Here it silences itself alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.parameter_files import Kind, Parameter, as_cells
from pipelines.variance import (
    HIGH_REDUCTION,
    Floats,
    Positions,
    Prepared,
    direction,
    figures,
    groups_of,
    prepare,
    with_values,
)

DRAWS = 2000
DRAWS_A_PARAMETER = 40
"""At least: with fewer, hardly any p-value of very many parameters could be small enough."""
LEVEL = 0.05
BLOCK = 250_000
"""Images of random groups at a time: temporary arrays stay in the cache."""
NOTICEABLE = {"number": HIGH_REDUCTION, "angle": HIGH_REDUCTION, "category": 0.1}
"""Figure up to which nothing is said, however sure it is: large groups differ a little in much."""
LEAST = 0.01
"""Share of the variance that remains, below which a cluster counts as no more surprising."""
EDGE = 0.05
"""Share of its range within which a mean is near the edge."""
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Finding:
    """One parameter that a cluster's images share.

    Attributes
    ----------
    parameter : str
    kind : str
        "number", "angle" or "category".
    reduction : float
        Of numbers and angles, RR: 1 - variance in the cluster / variance in the whole failing set.
        Of a category, its share in the cluster less that in the whole set.
    chance : float
        What `reduction` has to exceed to be more than chance.
    figure, overall : float
        Means of the cluster and of the whole set (mean directions of angles, in degrees); of a
        category, its shares.
    category : str
        Which one; empty for numbers and angles.
    words : str
        "head_yaw: variance -96 % (by chance -41 %), mean 218 against 190, near the edge 220 of its
        range", with true minus signs.
    """

    parameter: str
    kind: Kind
    reduction: float
    chance: float
    figure: float
    overall: float
    category: str
    words: str


@dataclass(frozen=True)
class _Null:
    """A parameter's figure in random groups, by draw and group size.

    Attributes
    ----------
    ordered : array of float64, shape (draws, sizes)
        Ascending in each column.
    ranks : array of int32, shape (draws, sizes)
        By draw, how many draws reach its figure, itself included: its p-value times draws.
    """

    ordered: Floats
    ranks: NDArray[np.int32]


def find_parameters(
    parameters: Sequence[Parameter],
    labels: NDArray[np.int32],
    *,
    seed: int,
    draws: int = DRAWS,
) -> dict[int, list[Finding]]:
    """Find the parameters that the images of each group share, beyond chance.

    A parameter is named when its figure (see `variance`) is larger than what random groups with as
    many values reach at the common level, and than what people notice (`NOTICEABLE`). The random
    groups of all sizes are the beginnings of the same random orders, of those images that have a
    value of the parameter. Never named is a parameter that is constant in the whole set, or of
    which a group has less than 3 values or values of less than half of its images.

    The strongest come first: those that surprise most, given the whole set, by the Kullback-Leibler
    divergence in nats. Numbers count as Gaussians, 0.5 (v + z^2 - 1 - ln v), where v = 1 - RR, at
    least 0.01, and z is the difference of the means in standard deviations of the whole set; angles
    as von Mises distributions, the Gaussians of the circle; categories by the share of the one that
    is named (Bernoulli).

    Time grows with draws x p x images of the largest group, and for the random orders with draws x
    n; memory with draws x p x the number of different group sizes, at most the square root of 2 n.

    Parameters
    ----------
    parameters : sequence of Parameter, length p
    labels : array of int32, shape (n,)
        Cluster or family of each image; -1 is noise, which counts in the whole set alone.
    seed : int
        Of the random groups.
    draws : int
        Number of random groups; at least 40 p are drawn.

    Returns
    -------
    dict
        By group, what is named, strongest first; an empty list where nothing is.

    Raises
    ------
    ValueError
        When a parameter has another number of images.
    """
    for parameter in parameters:
        if parameter.values.shape != labels.shape:
            raise ValueError(
                f"{parameter.name}: expected values of shape {labels.shape}, one an image, "
                f"received {parameter.values.shape}"
            )
    prepared = [each for each in map(prepare, parameters) if each is not None]
    draws = max(draws, DRAWS_A_PARAMETER * len(prepared))
    # By group and place in `prepared`, positions of images with a value.
    insides: dict[int, dict[int, Positions]] = {}
    for group, members in groups_of(labels).items():
        own = {place: with_values(each, members) for place, each in enumerate(prepared)}
        insides[group] = {place: inside for place, inside in own.items() if inside is not None}
    sizes = [
        sorted({len(own[place]) for own in insides.values() if place in own})
        for place in range(len(prepared))
    ]
    nulls = _draw(prepared, sizes, len(labels), seed, draws)
    return {
        group: _named(prepared, own, sizes, nulls, draws) if own else []
        for group, own in insides.items()
    }


def _draw(
    prepared: Sequence[Prepared],
    sizes: Sequence[Sequence[int]],
    count: int,
    seed: int,
    draws: int,
) -> list[_Null]:
    """Compute the figures of random groups, for each parameter of each of its sizes."""
    rng = np.random.default_rng(seed)
    results = [np.empty((draws, len(wanted))) for wanted in sizes]
    rows = max(1, BLOCK // max(1, count))
    for start in range(0, draws if any(sizes) else 0, rows):
        some = range(start, min(start + rows, draws))
        orders = np.stack([rng.permutation(count) for _ in some])
        # Often the same images lack several parameters.
        valued: dict[bytes, Positions] = {}
        for each, wanted, result in zip(prepared, sizes, results, strict=True):
            if wanted:
                key = each.defined.tobytes()
                if key not in valued:
                    valued[key] = orders[each.defined[orders]].reshape(len(orders), -1)
                result[some] = figures(each, valued[key], wanted)
    return [_rank(result) for result in results]


def _rank(drawn: Floats) -> _Null:
    ordered = np.sort(drawn, axis=0)
    ranks = np.empty(drawn.shape, dtype=np.int32)
    for column in range(drawn.shape[1]):
        below = np.searchsorted(ordered[:, column], drawn[:, column], side="left")
        ranks[:, column] = len(drawn) - below
    return _Null(ordered, ranks)


def _named(
    prepared: Sequence[Prepared],
    own: dict[int, Positions],
    sizes: Sequence[Sequence[int]],
    nulls: Sequence[_Null],
    draws: int,
) -> list[Finding]:
    """Find what is named of one group, given its positions by place in `prepared`."""
    columns = {place: sizes[place].index(len(inside)) for place, inside in own.items()}
    smallest = np.min([nulls[place].ranks[:, column] for place, column in columns.items()], axis=0)
    # At most one draw in twenty has a smaller rank; the group counts as one that reaches itself.
    rank = int(np.sort(smallest)[int(LEVEL * draws)]) - 1
    named = []
    for place, inside in own.items() if rank else ():
        each = prepared[place]
        figure = float(figures(each, inside[None], [len(inside)])[0, 0])
        chance = max(0.0, float(nulls[place].ordered[-rank, columns[place]]))
        if figure > max(chance, NOTICEABLE[each.parameter.kind]):
            named.append(_describe(each, inside, figure, chance))
    return [finding for _, finding in sorted(named, key=lambda pair: -pair[0])]


def _describe(
    each: Prepared, inside: Positions, reduction: float, chance: float
) -> tuple[float, Finding]:
    """Return how strong a finding is, and the finding with its words."""
    match each.parameter.kind:
        case "category":
            return _describe_category(each, inside, reduction, chance)
        case "angle":
            return _describe_angle(each, inside, reduction, chance)
    parameter = each.parameter
    values, own = parameter.values[each.defined], parameter.values[inside]
    mean, overall = float(own.mean()), float(values.mean())
    remaining = max(1 - reduction, LEAST)
    z = (mean - overall) / each.spread
    strength = 0.5 * (remaining + z * z - 1 - math.log(remaining))
    # More digits than three where the values vary little for their size, and none of rounding.
    ratio = max(abs(mean), abs(overall)) / each.spread
    digits = 3 + min(12, max(0, math.floor(math.log10(ratio)) - 1)) if ratio else 3
    decimals = 3 - math.floor(math.log10(each.spread))
    shown, overall_shown = (_number(round(value, decimals), digits) for value in (mean, overall))
    low, high = float(values.min()), float(values.max())
    words = (
        f"{parameter.name}: {_variance(reduction, chance)}, mean {shown} against {overall_shown}"
    )
    for edge in (low, high):
        if abs(mean - edge) <= EDGE * (high - low):
            words += f", near the edge {_number(edge, digits)} of its range"
    finding = Finding(parameter.name, "number", reduction, chance, mean, overall, "", words)
    return strength, finding


def _describe_angle(
    each: Prepared, inside: Positions, reduction: float, chance: float
) -> tuple[float, Finding]:
    parameter = each.parameter
    mean, _ = direction(parameter.values[inside])
    overall, length = direction(parameter.values[each.defined])
    own_length = 1 - max(1 - reduction, LEAST) * each.spread
    concentration, own_concentration = _concentration(length), _concentration(own_length)
    along = own_concentration - concentration * math.cos(math.radians(mean - overall))
    strength = _log_i0(concentration) - _log_i0(own_concentration) + own_length * along
    shown = _number(mean, 3)
    words = (
        f"{parameter.name}: {_variance(reduction, chance)}, "
        f"mean direction {'0' if shown == '360' else shown}°"
    )
    return strength, Finding(parameter.name, "angle", reduction, chance, mean, overall, "", words)


def _describe_category(
    each: Prepared, inside: Positions, reduction: float, chance: float
) -> tuple[float, Finding]:
    parameter = each.parameter
    shares = np.bincount(each.codes[inside], minlength=len(each.shares)) / len(inside)
    code = int(np.argmax(np.round(shares - each.shares, 9)))
    share, overall = float(shares[code]), float(each.shares[code])
    strength = sum(
        own * math.log(own / whole)
        for own, whole in ((share, overall), (1 - share, 1 - overall))
        if own > 0
    )
    category = parameter.categories[code]
    words = (
        f"{parameter.name}: {category} in {_percent(share)} against {_percent(overall)} of all "
        f"(by chance {_percent(min(1.0, overall + chance))})"
    )
    finding = Finding(
        parameter.name, "category", reduction, chance, share, overall, category, words
    )
    return strength, finding


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


def _less(share: float) -> str:
    text = _percent(share)
    return text if text == "0 %" else f"{MINUS}{text}"


def _percent(share: float) -> str:
    if 0.0005 <= share < 0.01:
        return f"{100 * share:.1g} %"
    if 0.99 < share < 0.9995:
        return f"{100 * share:.1f} %"
    return f"{100 * share:.0f} %"


def _number(value: float, digits: int) -> str:
    rounded = float(f"{value:.{digits}g}") + 0.0  # no -0
    text = f"{rounded:g}"
    if 1e-4 <= abs(rounded) < 1e15:
        text = np.format_float_positional(rounded, trim="-")
    return text.replace("-", MINUS)


def find_confusions(
    parameters: Sequence[Parameter], labels: NDArray[np.int32]
) -> dict[int, list[tuple[str, str, int]]]:
    """Count what the DNN under analysis takes for what in each group.

    Parameters
    ----------
    parameters : sequence of Parameter
        Those named `label` and `prediction` are used, be they categories or numbers.
    labels : array of int32, shape (n,)
        Cluster or family of each image; -1 is noise.

    Returns
    -------
    dict
        By group: label, prediction and number of images, of each pair that differs, most frequent
        first, then by name. Images without one of the two are left out; lists are empty where there
        are no such parameters.
    """
    named = {each.name: each for each in parameters if each.kind != "angle"}
    groups = groups_of(labels)
    if not {"label", "prediction"} <= named.keys():
        return {group: [] for group in groups}
    expected, predicted = ([*map(str, as_cells(named[name]))] for name in ("label", "prediction"))
    found = {}
    for group, members in groups.items():
        counts = Counter((expected[image], predicted[image]) for image in members.tolist())
        confused = [
            (label, prediction, count)
            for (label, prediction), count in counts.items()
            if label and prediction and label != prediction
        ]
        found[group] = sorted(confused, key=lambda each: (-each[2], each[0], each[1]))
    return found
