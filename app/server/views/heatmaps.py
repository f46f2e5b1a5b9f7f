"""The JSON documents of heatmaps, and of two runs that are compared, for the page."""

from __future__ import annotations

import base64
from pathlib import Path

from pipelines.clusters.agreement import compare
from pipelines.clusters.manifest import HeatmapsParameters
from pipelines.clusters.results import read_known_clusters
from pipelines.hudd.thumbnails import read_layers, read_pictures
from pipelines.runs.manifest import read_manifest, read_part


def describe_layers(folder: Path) -> dict[str, object]:
    """Describe which layers a run of `heatmaps` searched, and which layers have pictures.

    Raises
    ------
    InputError
        When it is no such run.
    """
    rows, shown = read_layers(folder)
    parameters = read_part(read_manifest(folder), HeatmapsParameters)
    return {
        "layers": rows,
        "shown": shown,
        "model": parameters.model,
        "rule": parameters.rule,
        "explain": parameters.explain,
    }


def describe_heatmaps(folder: Path, layer: str, cluster: int) -> dict[str, object]:
    """Return the heatmaps of a cluster's most central images, and the mean of all its heatmaps.

    Returns
    -------
    dict
        `paths`; `height` and `width` of a heatmap; `data`: the heatmaps as signed bytes, -127 to
        127, the mean last, in Base64.
    """
    paths, pictures = read_pictures(folder, layer, cluster)
    _, height, width = pictures.shape
    data = base64.b64encode(pictures.tobytes()).decode("ascii")
    return {"paths": paths, "height": height, "width": width, "data": data}


def describe_agreement(folder: Path, other: Path) -> dict[str, object]:
    """Compare the clusters of two runs on the images that both have."""
    agreement = compare(read_known_clusters(folder)[0], read_known_clusters(other)[0])
    return {
        "name": folder.name,
        "other": other.name,
        "images": agreement.images,
        "rows": agreement.rows,
        "columns": agreement.columns,
        "table": agreement.table.tolist(),
        "index": agreement.index,
    }
