"""What the page shows of an unsafe set, as one JSON document."""

from __future__ import annotations

from typing import Any

from pipelines.data.thumbnails import thumbnail_name
from pipelines.unsafe_set.files import CurrentSet


def describe_cut(cut: CurrentSet) -> dict[str, Any]:
    """Tell all that the page shows of an unsafe set.

    Time and the size of the result grow linearly with the number of chosen images.

    Returns
    -------
    dict
        What `selection.json` says, and `rows` (columns): the chosen images, best first, with those
        that were taken out (`out`); `thumbnail` is a path below ``new/``.
    """
    said, candidates, chosen = cut.selection, cut.candidates, cut.chosen
    images = chosen.images.tolist()
    clusters = chosen.clusters.tolist()
    return {
        "folder": said.folder,
        "images": said.images,
        "rejected": said.rejected,
        "inside": said.inside,
        "count": said.count,
        "counted": said.counted,
        "allocation": said.allocation,
        "ranking": said.ranking,
        "measured": said.measured,
        "chosen": said.chosen,
        "same": said.same,
        "remarks": said.remarks(),
        "deselected_clusters": said.deselected_clusters,
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
