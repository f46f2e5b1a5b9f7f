"""Pictures for the inspection of clusters: GIFs and thumbnails (SAFE, section 2, step 2)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pipelines.clusters.clusters import NOISE, RootCauseClusters, list_clusters, list_members
from pipelines.data.gif import SIDE, canvas_size, fit, frame, write_gif
from pipelines.data.images import ImageFile, Rejected
from pipelines.data.pixels import use_unchanged
from pipelines.data.prefetch import prefetch
from pipelines.data.thumbnails import DECODED_AHEAD, THUMBNAIL_FOLDER, _thumbnail, thumbnail_name
from pipelines.runs.files import atomic_write
from pipelines.runs.folder import Progress

GIF_FOLDER = "gifs"
GIF_NAMES = r"(cluster_\d+|noise)\.gif"
GIF_FRAMES = 100
STAGE = "drawing clusters"


def gif_name(cluster: int) -> str:
    """Return the file name of a cluster's GIF."""
    return "noise.gif" if cluster == NOISE else f"cluster_{cluster:03d}.gif"


@dataclass(frozen=True)
class _Picture:
    """One image as it is shown; `fitted` is None where it is beyond the GIF's last frame."""

    path: str
    thumbnail: bytes
    fitted: Image.Image | None


def draw_clusters(
    images: Path, clusters: RootCauseClusters, run: Path, progress: Progress
) -> list[Rejected]:
    """Write one GIF a cluster, most central image first, and one thumbnail an image.

    A GIF has at most `GIF_FRAMES` frames, 100 a minute, and images keep their proportions. Time
    grows linearly with the number of images; memory holds the frames of one cluster.

    Parameters
    ----------
    images : Path
        The folder that the clusters' paths are relative to; nothing is written into it.
    run : Path
        The run folder.

    Returns
    -------
    list of Rejected
        Images that cannot be read any more, although they could be before, or that are others than
        those that were clustered; they are left out.
    """
    (run / GIF_FOLDER).mkdir(exist_ok=True)
    (run / THUMBNAIL_FOLDER).mkdir(exist_ok=True)
    unreadable: list[Rejected] = []
    drawn: set[str] = set()
    done = 0
    for cluster in list_clusters(clusters):
        fitted: list[tuple[str, Image.Image]] = []
        inside = list(enumerate(list_members(clusters, cluster)))
        pictures = prefetch(
            lambda item: _picture(
                images,
                ImageFile(clusters.paths[item[1]], clusters.digests[item[1]]),
                item[0] < GIF_FRAMES,
            ),
            inside,
            ahead=DECODED_AHEAD,
        )
        for (_, position), picture in zip(inside, pictures, strict=True):
            done += 1
            progress(STAGE, done, len(clusters.paths))
            if isinstance(picture, Rejected):
                unreadable.append(picture)
                continue
            if picture.fitted is not None:
                fitted.append((picture.path, picture.fitted))
            name = thumbnail_name(clusters.digests[position])
            if name not in drawn:
                drawn.add(name)
                with atomic_write(run / THUMBNAIL_FOLDER / name) as file:
                    file.write(picture.thumbnail)
        if fitted:
            canvas = canvas_size([image.size for _, image in fitted])
            frames = (frame(image, path, SIDE, canvas) for path, image in fitted)
            write_gif(run / GIF_FOLDER / gif_name(cluster), frames)
    return unreadable


def _picture(folder: Path, file: ImageFile, framed: bool) -> _Picture | Rejected:
    def draw(image: Image.Image) -> _Picture:
        return _Picture(file.path, _thumbnail(image), fit(image, SIDE) if framed else None)

    return use_unchanged(folder, file, SIDE, draw)
