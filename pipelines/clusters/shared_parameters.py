"""Find parameters that the images of a cluster share (HUDD, section V-B, RQ1.2), beyond chance.

Among many parameters, the variance of some is always reduced by chance. So a parameter is reported
only if its reduction is larger than chance explains. The test is the minP procedure of Westfall and
Young (*Resampling-based multiple testing*, 1993). 2,000 random groups of the cluster's size give
each parameter its own distribution, and each random group gives the smallest p-value over all
parameters. The 5 % quantile of these smallest p-values is the common level at which each parameter
is tested against its own distribution. So at most one in twenty clusters of images that share
nothing gets a parameter.

A test of the largest reduction over all parameters would keep this level as well. But one parameter
with heavy tails (zero for nearly all images, so that small random groups often have RR 1) would
hide all other parameters. Here it hides only itself.

If passing images have values, a parameter is compared with these (`parameter_contrast`), because a
value that passing images also have is no cause. The random groups then come from the cluster and
the passing images together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.clusters.parameter_contrast import (
    ParameterContrast,
    compare_groups,
    draw_contrasts,
    prepare_contrast,
)
from pipelines.clusters.parameter_findings import PASSING, Finding, Samples, describe
from pipelines.clusters.variance_reduction import (
    HIGH_REDUCTION,
    ROUNDING,
    PreparedParameter,
    compute_figures,
    prepare_parameter,
    select_with_values,
    split_groups,
)
from pipelines.data.arrays import Doubles, Positions
from pipelines.data.group_resampling import draw_orders
from pipelines.data.parameters import Parameter, as_cells

DRAWS = 2000
DRAWS_A_PARAMETER = 40
"""Smallest number of draws per parameter: with fewer, p-values cannot become small enough."""
LEVEL = 0.05
FEWEST_PASSING = 10
"""If fewer passing images have a value, a parameter is compared with failing images instead."""
BLOCK = 250_000
"""Number of images of random groups in memory at a time; arrays then fit into the CPU's cache."""
NOTICEABLE = {"number": HIGH_REDUCTION, "angle": HIGH_REDUCTION, "category": 0.1}
"""Smaller figures are not reported, even beyond chance: a large group differs a little from the
whole set in many parameters."""


@dataclass(frozen=True)
class _Null:
    """A parameter's figure in random groups of one size, by draw.

    Attributes
    ----------
    ordered : array of float64, shape (draws,)
        Ascending.
    ranks : array of int32, shape (draws,)
        For each draw, the number of draws with at least its figure, including itself: its p-value
        times draws.
    """

    ordered: Doubles
    ranks: NDArray[np.int32]


def find_parameters(
    parameters: Sequence[Parameter],
    labels: NDArray[np.int32],
    *,
    seed: int,
    draws: int = DRAWS,
    subjects: NDArray[np.int64] | None = None,
) -> dict[int, list[Finding]]:
    """Find the parameters that the images of each group share, beyond chance.

    A parameter is reported if its figure exceeds `NOTICEABLE` and the figure that random groups
    with as many values reach at the common level. The figure is that of `variance_reduction`, or
    that of `parameter_contrast` if passing images have values.

    Random groups of all sizes are the first images of the same random orders. In a comparison with
    passing images, each group has its own random groups.

    A parameter is never reported if it is constant in the whole set (and among passing images), or
    if the group has fewer than 3 values or values for fewer than half of its images.

    The strongest findings come first: those that differ most from the reference (see
    `parameter_findings.describe`).

    Time grows with draws x p x images of the largest group (of all groups, in a comparison with
    passing images), and with draws x images for the random orders. Memory grows with draws x p x
    the number of different group sizes, at most the square root of 2 n (the number of groups, in a
    comparison with passing images).

    Parameters
    ----------
    parameters : sequence of Parameter, length p
        Parameters with values of passing images are compared with these, others with the whole
        failing set.
    labels : array of int32, shape (n,)
        Cluster or family of each image; -1 is noise, which counts as part of the whole set only.
    seed : int
        Seed of the random groups.
    draws : int
        Number of random groups; at least 40 p are drawn.
    subjects : array of int64, shape (n + m,), optional
        For failing, then passing images. Images with the same number show one subject (track,
        drive, person); random groups are drawn subject by subject.

    Returns
    -------
    dict
        By group, its findings, strongest first; an empty list if there are none.

    Raises
    ------
    ValueError
        When a parameter has values for another number of images than `labels`.
    """
    _check_shapes(parameters, labels)
    prepared = [column for column in map(_prepare, parameters) if column is not None]
    draws = max(draws, DRAWS_A_PARAMETER * len(prepared))
    groups = split_groups(labels).items()
    insides = {group: _valued_members(prepared, members) for group, members in groups}
    nulls = _nulls(prepared, insides, len(labels), seed, draws, subjects)
    return {group: _named(prepared, own, nulls[group], draws) for group, own in insides.items()}


def _check_shapes(parameters: Sequence[Parameter], labels: NDArray[np.int32]) -> None:
    for parameter in parameters:
        if parameter.values.shape != labels.shape:
            raise ValueError(
                f"{parameter.name}: expected values of shape {labels.shape}, one an image, "
                f"received {parameter.values.shape}"
            )


def is_contrasted(parameter: Parameter) -> bool:
    """Tell whether a parameter is compared with passing images: at least 10 of them have a value.

    An outcome, such as the error of the DNN, is never compared with them. It defines which images
    fail, so passing images always differ in it.
    """
    known = int((~np.isnan(parameter.passing)).sum())
    return known >= FEWEST_PASSING and not parameter.outcome


def _prepare(parameter: Parameter) -> PreparedParameter | ParameterContrast | None:
    return prepare_contrast(parameter) if is_contrasted(parameter) else prepare_parameter(parameter)


def _valued_members(
    prepared: Sequence[PreparedParameter | ParameterContrast], members: Positions
) -> dict[int, Positions]:
    """Return the members that have a value, by the parameter's place, if they are enough."""
    valued = {
        place: select_with_values(column.defined, members) for place, column in enumerate(prepared)
    }
    return {place: inside for place, inside in valued.items() if inside is not None}


def _nulls(
    prepared: Sequence[PreparedParameter | ParameterContrast],
    insides: dict[int, dict[int, Positions]],
    count: int,
    seed: int,
    draws: int,
    subjects: NDArray[np.int64] | None,
) -> dict[int, dict[int, _Null]]:
    """Compute the figures of random groups, by group and parameter's place in `prepared`."""
    alone = {
        place: column
        for place, column in enumerate(prepared)
        if isinstance(column, PreparedParameter)
    }
    others = {
        place: column
        for place, column in enumerate(prepared)
        if isinstance(column, ParameterContrast)
    }
    sizes = {
        place: sorted({len(own[place]) for own in insides.values() if place in own})
        for place in alone
    }
    failing = None if subjects is None else subjects[:count]
    drawn = _draw(list(alone.values()), list(sizes.values()), count, seed, draws, failing)
    by_size = {
        (place, size): _rank(figures_of[:, column])
        for place, figures_of in zip(alone, drawn, strict=True)
        for column, size in enumerate(sizes[place])
    }
    contrasts = draw_contrasts(others, insides, seed, draws, subjects)
    return {
        group: {
            place: by_size[place, len(inside)] if place in alone else _rank(contrasts[group][place])
            for place, inside in own.items()
        }
        for group, own in insides.items()
    }


def _draw(
    prepared: Sequence[PreparedParameter],
    sizes: Sequence[Sequence[int]],
    count: int,
    seed: int,
    draws: int,
    subjects: NDArray[np.int64] | None,
) -> list[Doubles]:
    """Compute the figures of random groups, for each parameter and each of its group sizes.

    Returns
    -------
    list of array of float64, shape (draws, sizes)
    """
    rng = np.random.default_rng(seed)
    results = [np.empty((draws, len(wanted))) for wanted in sizes]
    rows = max(1, BLOCK // max(1, count))
    for start in range(0, draws if any(sizes) else 0, rows):
        block = range(start, min(start + rows, draws))
        if subjects is None:
            orders = np.stack([rng.permutation(count) for _ in block])
        else:
            orders = draw_orders(rng, subjects, len(block))
        # Parameters with values for the same images share their orders.
        valued: dict[bytes, Positions] = {}
        for column, wanted, result in zip(prepared, sizes, results, strict=True):
            if wanted:
                key = column.defined.tobytes()
                if key not in valued:
                    valued[key] = orders[column.defined[orders]].reshape(len(orders), -1)
                result[block] = compute_figures(column, valued[key], wanted)
    return results


def _rank(drawn: Doubles) -> _Null:
    ordered = np.sort(drawn)
    below = np.searchsorted(ordered, drawn, side="left")
    return _Null(ordered, (len(drawn) - below).astype(np.int32))


def _named(
    prepared: Sequence[PreparedParameter | ParameterContrast],
    own: dict[int, Positions],
    nulls: dict[int, _Null],
    draws: int,
) -> list[Finding]:
    """Return the findings of one group, strongest first.

    Parameters
    ----------
    own : dict of int to array of intp
        The group's images that have a value, by parameter's place in `prepared`.
    """
    if not own:
        return []
    smallest = np.min([nulls[place].ranks for place in own], axis=0)
    # At most one draw in twenty has a smaller rank. The group itself counts as one more draw.
    rank = int(np.sort(smallest)[int(LEVEL * draws)]) - 1
    named = []
    for place, inside in own.items() if rank else ():
        column = prepared[place]
        chance = max(0.0, float(nulls[place].ordered[-rank]))
        if isinstance(column, ParameterContrast):
            pool = np.concatenate([inside, column.passing])
            (excess,), (distance,) = compare_groups(column, inside[None], pool)
            if distance <= ROUNDING:
                continue  # the cluster and the passing images all have the same value
            figure, chance = float(excess / distance), float(chance / distance)
        else:
            figure = float(compute_figures(column, inside[None], [len(inside)])[0, 0])
        if figure > max(chance, NOTICEABLE[column.parameter.kind]):
            named.append(describe(column.parameter, _samples(column, inside), figure, chance))
    return [finding for _, finding in sorted(named, key=lambda pair: -pair[0])]


def _samples(column: PreparedParameter | ParameterContrast, inside: Positions) -> Samples:
    if isinstance(column, ParameterContrast):
        values = column.values
        return Samples(values[inside], values[column.passing], values[column.defined], PASSING)
    values = column.parameter.values
    everything = values[column.defined]
    return Samples(values[inside], everything, everything, "failing images")


def find_confusions(
    parameters: Sequence[Parameter], labels: NDArray[np.int32]
) -> dict[int, list[tuple[str, str, int]]]:
    """Count the confusions of the DNN under analysis in each group: label and wrong prediction.

    Time grows linearly with the number of images.

    Parameters
    ----------
    parameters : sequence of Parameter
        Only those named `label` and `prediction` are used, as categories or as numbers.
    labels : array of int32, shape (n,)
        Cluster or family of each image; -1 is noise.

    Returns
    -------
    dict
        By group: label, prediction and number of images of each pair that differs, most frequent
        first, then by name. Images without a label or a prediction are left out. Lists are empty
        where one of the two parameters is missing.
    """
    named = {parameter.name: parameter for parameter in parameters if parameter.kind != "angle"}
    groups = split_groups(labels)
    if not {"label", "prediction"} <= named.keys():
        return {group: [] for group in groups}
    expected, predicted = ([*map(str, as_cells(named[name]))] for name in ("label", "prediction"))
    confusions = {}
    for group, members in groups.items():
        counts = Counter((expected[image], predicted[image]) for image in members.tolist())
        pairs = [
            (label, prediction, count)
            for (label, prediction), count in counts.items()
            if label and prediction and label != prediction
        ]
        confusions[group] = sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1]))
    return confusions
