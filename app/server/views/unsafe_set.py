"""The JSON document of an unsafe set for the page."""

from __future__ import annotations

from pipelines.data.thumbnails import thumbnail_name
from pipelines.unsafe_set.files import CurrentSet


def describe_cut(cut: CurrentSet) -> dict[str, object]:
    """Describe an unsafe set for the page.

    Time and the size of the result grow linearly with the number of chosen images.

    Returns
    -------
    dict
        The entries of `selection.json`, and `rows`: columns of the chosen images, best first, and
        of those that were taken out (`out`); `thumbnail` is a path below ``new/``.
    """
    selection, candidates, chosen = cut.selection, cut.candidates, cut.chosen
    images = chosen.images.tolist()
    clusters = chosen.clusters.tolist()
    return {
        "folder": selection.folder,
        "images": selection.images,
        "rejected": selection.rejected,
        "inside": selection.inside,
        "count": selection.count,
        "counted": selection.describe_count(),
        "allocation": selection.allocation,
        "ranking": selection.ranking,
        "measured": selection.measured,
        "chosen": selection.chosen,
        "same": selection.same,
        "remarks": selection.remarks(),
        "deselected_clusters": selection.deselected_clusters,
        "rows": {
            "path": [candidates.paths[image] for image in images],
            "cluster": clusters,
            "distance": [
                round(float(candidates.distances[image, cluster]), 4)
                for image, cluster in zip(images, clusters, strict=True)
            ],
            "outside": chosen.outside.tolist(),
            "out": cut.out.tolist(),
            "label": [cut.labels.get(candidates.paths[image], "") for image in images],
            "thumbnail": [
                f"{image}/{thumbnail_name(candidates.digests[image])}" for image in images
            ],
        },
    }
