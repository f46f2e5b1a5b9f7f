"""WICD and the number of clusters of a layer (HUDD, section IV-A, Equations 5 and 6).

The weighted average intra-cluster distance (WICD) falls with the number of clusters. The knee of
its derivative shows where it no longer falls significantly (Figure 8).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Doubles
from pipelines.hudd.distances import Distances

MOST = 100
"""Largest number of clusters to consider.

The paper finds 11 to 20, and 71 for faces with eight elements. With 100 clusters, an engineer who
inspects five images of each already looks at 500.
"""
REACH = 2
"""Number of neighbours on each side that the derivative of fourth order needs."""


def limit_clusters(n: int, most: int | None = None) -> int:
    """Return the largest number of clusters of the curve in which the knee is sought.

    The knee depends on the end of the curve, which the paper does not define. The limit is `MOST`,
    but at most n / 2 (beyond that, most clusters have one image) and at least 2. Without any
    groups, WICD falls as 1 / k; with this limit its knee is then at 10 or 11, the lower end of the
    paper's results.

    Parameters
    ----------
    n : int
        Number of images.
    most : int, optional
        Used instead of `MOST`.

    Raises
    ------
    ValueError
        When `most` is less than 2.
    """
    if most is not None and most < 2:
        raise ValueError(f"most: expected at least 2 clusters, received {most}")
    return max(2, min(n // 2, MOST if most is None else most))


def compute_wicd_curve(distances: Distances, merges: Doubles, most: int) -> Doubles:
    """Compute the weighted average intra-cluster distance for 2 to `most` clusters (Equation 5).

    One sweep up the dendrogram computes all values.  A merge adds the distances between its two
    parts to the sum of distances within clusters. So every pair of images is used once, and time
    grows with n^2 for all numbers of clusters together. Memory: n^2 bytes for the largest merge.

    A cluster of one image has no pair, so Equation 6 is not defined: its ICD is set to 0.

    Parameters
    ----------
    distances : array of float32, shape (n, n)
    merges : array of float64, shape (n - 1, 4)
        See `clustering.ward`.
    most : int
        Largest number of clusters; at most n.

    Returns
    -------
    array of float64, shape (most - 1,)
        WICD of 2, 3, ... most clusters.
    """
    n = len(distances)
    members: dict[int, NDArray[np.intp]] = {image: np.array([image]) for image in range(n)}
    # Sums of distances within clusters, and ICD times size.
    within, weighted = np.zeros(2 * n), np.zeros(2 * n)
    total = 0.0
    curve = np.zeros(most - 1)
    for step, (left, right) in enumerate(merges[:, :2].astype(np.intp).tolist()):
        left_members, right_members = members.pop(left), members.pop(right)
        between = distances[left_members[:, None], right_members].sum(dtype=np.float64)
        both = np.concatenate([left_members, right_members])
        new, size, clusters = n + step, len(both), n - 1 - step
        members[new] = both
        within[new] = within[left] + within[right] + between
        weighted[new] = within[new] * 2 / (size - 1)
        total += weighted[new] - weighted[left] - weighted[right]
        if 2 <= clusters <= most:
            curve[clusters - 2] = total / n / clusters
    return curve


def differentiate(curve: Doubles) -> Doubles:
    """Approximate the derivative by central differences of fourth order (section IV-A).

    The first two and the last two values have too few neighbours. For them, the differences to the
    next and to the previous value are used. They must not be left out, since 3 clusters may be the
    right number.

    Parameters
    ----------
    curve : array of float64, shape (m,)
        Values at distances of 1; m is at least 2.

    Returns
    -------
    array of float64, shape (m,)
    """
    steps = np.diff(curve)
    result = np.empty_like(curve)
    half = (len(curve) + 1) // 2
    result[:half], result[half:] = steps[:half], steps[half - 1 :]
    if len(curve) > 2 * REACH:
        before, after = curve[1:-3], curve[3:-1]
        result[REACH:-REACH] = (curve[:-4] - 8 * before + 8 * after - curve[4:]) / 12
    return result


def choose_number(curve: Doubles) -> int:
    """Choose the number of clusters: the knee of the derivative of WICD (Figure 8).

    The derivative rises from far below 0 towards 0, ever more slowly. The knee is where WICD no
    longer falls significantly (Satopaa et al., 2011; the first knee that kneed finds). The search
    starts at the steepest fall of WICD. Before it the derivative does not rise, and kneed would
    return the first point of such a curve as the knee.

    If kneed finds no knee, the number is chosen whose derivative is highest above the straight line
    from the first to the last value, as section III-B describes the knee; of equal ones, the
    smallest. The result is 2 if the curve has fewer than two points.

    Parameters
    ----------
    curve : array of float64, shape (m,)
        WICD of 2 to m + 1 clusters.

    Returns
    -------
    int
        2 to m + 1.
    """
    from kneed import KneeLocator

    if len(curve) < 2:
        return 2
    slopes = differentiate(curve)
    first = int(slopes.argmin())
    slopes = slopes[first:]
    numbers = np.arange(first, first + len(slopes)) + 2
    height = slopes.max() - slopes[0]
    # Differences that consist of rounding errors form no curve.
    if len(slopes) < 3 or height <= 1e-12 * np.abs(curve).max():
        return int(numbers[0])
    located = KneeLocator(numbers, slopes, curve="concave", direction="increasing", online=True)
    knees = [int(knee) for knee in located.all_knees if knee > numbers[0]]
    if knees:
        return knees[0]
    line = np.linspace(slopes[0], slopes[-1], len(slopes))
    return int(numbers[np.argmax(slopes - line)])
