"""Small sets of points, and distances, DBSCAN and silhouettes straight from their definitions."""

import functools
import itertools
import math

import numpy as np

from pipelines.safe import clustering, silhouette
from pipelines.safe.dbscan import NOISE, Distances


def blobs():
    rng = np.random.default_rng(1)
    crowds = [rng.normal(centre, 0.6, (18, 2)) for centre in ((0, 0), (4, 0), (0, 5))]
    crowds.append(rng.uniform(-4, 9, (8, 2)))
    return rng.permutation(np.concatenate(crowds))


def uniform():
    return np.random.default_rng(2).uniform(0, 5, (60, 3))


def grid():
    """Return integer places, so that many distances tie."""
    return np.random.default_rng(3).integers(0, 9, (55, 2))


def duplicates():
    rng = np.random.default_rng(4)
    return rng.permutation(np.repeat(rng.integers(0, 12, (20, 2)), rng.integers(1, 6, 20), axis=0))


def bridges():
    """Return dense groups on a line with lone images between them, which border on two groups."""
    rng = np.random.default_rng(5)
    line, start = [], 0.0
    for _ in range(6):
        line += [start, start + 0.31, start + 0.6, start + 0.92, start + 1.93]
        start += 2.95
    return rng.permutation(np.array(line))[:, None]


def high_dimensional():
    rng = np.random.default_rng(6)
    centres = rng.normal(size=(4, 30)) * 3
    return centres[rng.integers(0, 4, 50)] + rng.normal(size=(50, 30))


POINT_SETS = {
    make.__name__: make().astype(np.float32)
    for make in (blobs, uniform, grid, duplicates, bridges, high_dimensional)
}


def row_by_row(monkeypatch, block):
    """Let no matrix of distances be kept, and rows be computed in small blocks."""
    monkeypatch.setattr(clustering, "Distances", functools.partial(Distances, limit=0))
    monkeypatch.setattr(silhouette, "BLOCK", block)


def distances_naively(points):
    return _distances_naively(tuple(map(tuple, points.tolist())))


@functools.cache
def _distances_naively(rows):
    return [[math.dist(point, other_point) for other_point in rows] for point in rows]


def eps_off_the_ties(points, count=12):
    """Return values of eps in the middle of wide gaps between the distances that occur."""
    distinct = sorted({value for row in distances_naively(points) for value in row})
    gaps = [(low + high) / 2 for low, high in itertools.pairwise(distinct) if high - low > 1e-4]
    candidates = [gaps[round(share * (len(gaps) - 1))] for share in np.linspace(0, 0.7, count) ** 2]
    return [*dict.fromkeys(candidates), distinct[-1] + 1]


def dbscan_naively(distances, eps, min_samples):
    """DBSCAN and ExpandCluster as in Ester et al. (1996), figure on page 229."""
    unvisited, noise = -2, -1
    labels = [unvisited] * len(distances)

    def region_query(point):
        return [other for other, distance in enumerate(distances[point]) if distance <= eps]

    def expand_cluster(point, cluster):
        seeds = region_query(point)
        if len(seeds) < min_samples:
            labels[point] = noise
            return False
        for seed in seeds:
            if labels[seed] in (unvisited, noise):
                labels[seed] = cluster
        seeds.remove(point)
        while seeds:
            current = seeds.pop(0)
            result = region_query(current)
            if len(result) >= min_samples:
                for other in result:
                    if labels[other] in (unvisited, noise):
                        if labels[other] == unvisited:
                            seeds.append(other)
                        labels[other] = cluster
        return True

    cluster = 0
    for point in range(len(distances)):
        if labels[point] == unvisited and expand_cluster(point, cluster):
            cluster += 1
    return labels


def silhouettes_naively(distances, labels):
    """Silhouettes as Rousseeuw (1987) defines them, noise left out of everything."""
    groups = {}
    for place, label in enumerate(labels):
        if label != NOISE:
            groups.setdefault(int(label), []).append(place)
    values = []
    for place, label in enumerate(labels):
        if label == NOISE or len(groups) < 2 or len(groups[label]) == 1:
            values.append(0.0)
            continue
        own = [distances[place][other] for other in groups[label] if other != place]
        a = sum(own) / len(own)
        b = min(
            sum(distances[place][other] for other in members) / len(members)
            for number, members in groups.items()
            if number != label
        )
        values.append((b - a) / max(a, b) if max(a, b) else 0.0)
    return values
